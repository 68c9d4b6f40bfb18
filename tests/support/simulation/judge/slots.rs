//! Places in people's feeds: only who can act takes one, nobody has too many, and in the end nobody has any.

use super::super::book::Book;
use commands::POSTS_IN_CREATION_MAX;
use events::{Event, FeedSlotEvent, PostId, SagaId, UserEvent, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// A place, by what took it.
type Place = (PostId, SagaId);

/// What was promised of places and not kept. All of a person's are on their key, so they come in order.
pub(super) fn violations(book: &Book) -> Vec<String> {
    let mut violations = Vec::new();
    let mut can_act: BTreeSet<UserId> = BTreeSet::new();
    let mut taken: BTreeMap<UserId, BTreeSet<Place>> = BTreeMap::new();
    let mut given_back: BTreeSet<Place> = BTreeSet::new();
    for (landed, event) in book.events() {
        let at = landed.decoded.position;
        match event {
            Event::User(UserEvent::Created(e)) => {
                can_act.insert(e.user);
            }
            Event::User(UserEvent::Disabled(e)) => {
                can_act.remove(&e.user);
            }
            Event::FeedSlot(FeedSlotEvent::Reserved(e)) => {
                let places = taken.entry(e.user).or_default();
                if !can_act.contains(&e.user) {
                    violations.push(format!("{} took a place at {at}, and cannot act", e.user));
                }
                if places.len() >= POSTS_IN_CREATION_MAX {
                    violations.push(format!("{} took a place at {at}, and has {} already", e.user, places.len()));
                }
                if given_back.contains(&(e.post, e.saga)) || !places.insert((e.post, e.saga)) {
                    violations.push(format!("{} took the place of {} at {at} once more", e.user, e.post));
                }
            }
            Event::FeedSlot(FeedSlotEvent::Committed(e)) => {
                given_back.insert((e.post, e.saga));
                if !taken.entry(e.user).or_default().remove(&(e.post, e.saga)) {
                    violations.push(format!("{} made good a place at {at} that they had not", e.user));
                }
            }
            Event::FeedSlot(FeedSlotEvent::Released(e)) => {
                given_back.insert((e.post, e.saga));
                taken.entry(e.user).or_default().remove(&(e.post, e.saga));
            }
            _ => {}
        }
    }
    let left = taken.iter().filter(|(_, places)| !places.is_empty());
    violations.extend(left.map(|(user, places)| format!("{user} still has {places:?}")));
    violations
}
