//! What each is to hear of: what was done to them or to their posts, and not soon undone.

use super::Fold;
use crate::answers::NotificationAnswer;
use events::{Event, FollowEvent, LikeEvent, PostEvent, Timestamp, UserId};
use projections::notifications::{Deed, TAKEN_BACK_MAX};
use std::cmp::Reverse;

impl Fold<'_> {
    pub(super) fn hear(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Follow(FollowEvent::Started(e)) => {
                self.done((Deed::Follow { followee: e.followee }, e.follower), at);
            }
            Event::Follow(FollowEvent::Ended(e)) => {
                self.undone((Deed::Follow { followee: e.followee }, e.follower), at);
            }
            Event::Like(LikeEvent::Added(e)) => self.done((Deed::Like { post: e.post }, e.user), at),
            Event::Like(LikeEvent::Removed(e)) => self.undone((Deed::Like { post: e.post }, e.user), at),
            Event::Post(PostEvent::Deleted(e)) => {
                self.deeds.retain(|(deed, _), _| *deed != Deed::Like { post: e.post });
            }
            _ => {}
        }
    }

    fn done(&mut self, deed: (Deed, UserId), at: Timestamp) {
        self.deeds.entry(deed).or_insert(at);
    }

    fn undone(&mut self, deed: (Deed, UserId), at: Timestamp) {
        if self.deeds.get(&deed).is_some_and(|done| at.since(*done) <= TAKEN_BACK_MAX) {
            self.deeds.remove(&deed);
        }
    }

    /// What everybody who may hear of all is to hear of.
    pub(super) fn notifications(&self, id: UserId) -> Vec<NotificationAnswer> {
        let hearer = |deed: &Deed| match deed {
            Deed::Follow { followee } => Some(*followee),
            Deed::Like { post } => self.posts.get(post).map(|post| post.author),
        };
        let of_others = self.deeds.iter().filter(|((deed, by), _)| *by != id && hearer(deed) == Some(id));
        let heard = of_others.filter(|((_, by), _)| !self.gone.contains(by) && !self.gone.contains(&id));
        let mut heard = heard.map(|((deed, by), at)| (*at, *by, *deed)).collect::<Vec<_>>();
        heard.sort_by_key(|it| Reverse(*it));
        heard
    }
}
