//! After a simulation: the promises of the write side one by one, each by a fold of its own that knows nothing of the
//! owner's state.

mod claims;
mod gone;
mod sagas;
mod slots;

use super::book::{Book, Landed};
use super::check::Asked;
use super::clients::Wanted;
use super::network::{Carried, LANDS_LATE_MAX, Sending, sending};
use super::world::World;
use commands::limits::CLOCK_TOLERANCE;
use commands::{Answer, Command, CommentCommand, Ended, SagaCommand, SessionCommand};
use events::{CommandId, CommentEvent, Event, Key, PostEvent, PostId, SessionEvent};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Everything that was promised and not kept.
pub(super) fn violations(world: &World, book: &Book) -> Vec<String> {
    let carried = world.network.carried();
    let asked = world.asked.lock();
    let mut violations = claims::violations(book);
    violations.extend(sagas::violations(book));
    violations.extend(slots::violations(book));
    violations.extend(gone::violations(book, &asked, &world.keyring));
    violations.extend(created(book, &asked));
    violations.extend(deadlines(book, &carried));
    violations.extend(without_effect(book, &asked, &carried));
    violations.extend(times(world, book));
    violations.extend(wanted(book, &world.wanted.lock()));
    violations
}

/// What an event makes new, by an id that is never used again.
fn makes(event: &Event) -> Option<(&'static str, Uuid)> {
    match event {
        Event::Post(PostEvent::DraftPublished(e)) => Some(("post", e.post.0)),
        Event::Comment(CommentEvent::Added(e)) => Some(("comment", e.comment.0)),
        Event::Session(SessionEvent::Opened(e)) => Some(("session", e.session.0)),
        _ => None,
    }
}

/// Nothing is made twice, and whoever was told that something was made finds it under its id.
fn created(book: &Book, asked: &[Asked]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut made: BTreeSet<(&str, Uuid)> = BTreeSet::new();
    for new in book.events().filter_map(|(_, event)| makes(event)) {
        if !made.insert(new) {
            violations.push(format!("{} {} was made twice", new.0, new.1));
        }
    }
    for Asked { request, answer, .. } in asked.iter().filter(|asked| asked.violation.is_none()) {
        let new = match (&request.command, answer) {
            (Command::Comment(CommentCommand::Add { comment, .. }), Answer::Accepted(_) | Answer::Repeated(_)) => {
                ("comment", comment.0)
            }
            (Command::Session(SessionCommand::Open { session, .. }), Answer::Accepted(_) | Answer::Repeated(_)) => {
                ("session", session.0)
            }
            (Command::Saga(SagaCommand::Start { .. }), Answer::Ended(_, Ended::Completed)) => match request.key {
                Key::Post(post) => ("post", post.0),
                _ => continue,
            },
            _ => continue,
        };
        if !made.contains(&new) {
            violations.push(format!("{} was told that {} {} was made, and it was not", request.id, new.0, new.1));
        }
    }
    violations
}

/// Nothing is decided past its deadline, and what an owner has called too late never takes effect; unless it was undone
/// since, of which an owner knows no more.
fn deadlines(book: &Book, carried: &BTreeMap<Sending, Carried>) -> Vec<String> {
    let undone: BTreeSet<CommandId> = book.all().filter_map(|landed| landed.decoded.commit.undoes).collect();
    let late = |landed: &Landed| {
        let (commit, at) = (&landed.decoded.commit, landed.decoded.position);
        let (id, carried) =
            (commit.command, carried.get(&(commit.command, commit.fingerprint.map(|fingerprint| fingerprint.0)))?);
        if landed.at > carried.deadline + LANDS_LATE_MAX {
            return Some(format!("{id} landed at {at}, {:?} after its deadline", landed.at - carried.deadline));
        }
        // Once it has taken effect, or every deadline has passed with which it was ever sent, no other copy can be the one.
        let settled = landed.at.min(carried.deadline);
        let arrived = carried.expired.filter(|arrived| *arrived > settled && !undone.contains(&id))?;
        let when = if landed.at < arrived { "before" } else { "after" };
        Some(format!("{id} was called expired, but took effect at {at}, {when} it arrived"))
    };
    book.all().filter_map(late).collect()
}

/// Whoever was told once that nothing came of a request, and asked no more, finds nothing of it; unless the network
/// made a second request of it, which may find things changed.
fn without_effect(book: &Book, asked: &[Asked], carried: &BTreeMap<Sending, Carried>) -> Vec<String> {
    let took_effect: BTreeMap<CommandId, &Landed> =
        book.all().map(|landed| (landed.decoded.commit.command, landed)).collect();
    let mut times: BTreeMap<CommandId, usize> = BTreeMap::new();
    asked.iter().for_each(|asked| *times.entry(asked.request.id).or_default() += 1);
    let broken = |asked: &&Asked| {
        let (id, answer) = (asked.request.id, &asked.answer);
        let nothing = matches!(answer, Answer::Refused(_) | Answer::Unchanged(_) | Answer::Overloaded);
        let doubled = carried.get(&sending(&asked.request)).is_none_or(|carried| carried.doubled);
        let landed = took_effect.get(&id).filter(|_| nothing && !doubled && times.get(&id) == Some(&1))?;
        Some(format!("{id} was told {answer:?}, but took effect at {}", landed.decoded.position))
    };
    asked.iter().filter(|asked| asked.violation.is_none()).filter_map(|asked| broken(&asked)).collect()
}

/// No commit carries a time that no owner's clock has shown.
fn times(world: &World, book: &Book) -> Vec<String> {
    world.note_the_time();
    let Some((earliest, latest)) = *world.clock_range.lock() else { return Vec::new() };
    let latest = latest.plus(CLOCK_TOLERANCE);
    let foreign = |landed: &&Landed| {
        let time = landed.decoded.commit.time;
        time > latest || time.plus(CLOCK_TOLERANCE) < earliest
    };
    let say = |landed: &Landed| format!("the commit at {} carries a foreign time", landed.decoded.position);
    book.all().filter(foreign).map(say).collect()
}

/// Whoever wanted one thing has one, however often it asked.
fn wanted(book: &Book, wanted: &[Wanted]) -> Vec<String> {
    let published = book.events().filter_map(|(_, event)| match event {
        Event::Post(PostEvent::DraftPublished(e)) => Some(e.post),
        _ => None,
    });
    let published: BTreeSet<PostId> = published.collect();
    let broken = |wanted: &Wanted| {
        let posts = wanted.tries.intersection(&published).count();
        let kept = if wanted.accepted { posts == 1 } else { posts <= 1 };
        (!kept).then(|| format!("under the key {} there are {posts} posts (told so: {})", wanted.key, wanted.accepted))
    };
    wanted.iter().filter_map(broken).collect()
}
