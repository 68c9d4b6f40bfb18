//! People who have deleted their account: from that moment on they do nothing any more, in the end nothing of theirs is
//! left, and what others did is as they left it. And keys: destroyed are those of the gone and of nobody else.

use super::super::MemoryKeyring;
use super::super::book::{Book, Landed};
use super::super::check::Asked;
use commands::Process;
use events::{
    BlockEvent, CommandId, CommentEvent, CommentId, Event, FeedSlotEvent, FollowEvent, LikeEvent, MuteEvent, PostEvent,
    PostId, SagaEvent, SagaId, SessionEvent, UserEvent, UserId,
};
use sagas::block::{UserBlock, UserBlockData};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// What was promised to the gone, and to others about them, and not kept.
pub(super) fn violations(book: &Book, asked: &[Asked], keyring: &MemoryKeyring) -> Vec<String> {
    let gone = book.gone();
    let mut violations = Left::of(book).by(&gone);
    violations.extend(book.partitions.iter().flat_map(|commits| acts(commits)));
    violations.extend(comes_late(book));
    violations.extend(foreign_deletions(book, asked, &gone));
    violations.extend(keys(book, &gone, keyring));
    violations
}

/// What people have left behind.
#[derive(Default)]
struct Left {
    posts: BTreeMap<PostId, UserId>,
    comments: BTreeMap<(PostId, CommentId), UserId>,
    likes: BTreeSet<(PostId, UserId)>,
    follows: BTreeSet<(UserId, UserId)>,
    blocks: BTreeSet<(UserId, UserId)>,
    mutes: BTreeSet<(UserId, UserId)>,
}

impl Left {
    /// At the log's end. All of a post is on its key, so it comes in order.
    fn of(book: &Book) -> Self {
        let mut left = Self::default();
        for (_, event) in book.events() {
            match event {
                Event::Post(PostEvent::Drafted(e)) => {
                    left.posts.insert(e.post, e.author);
                }
                Event::Post(PostEvent::DraftDropped(e)) => left.forget(e.post),
                Event::Post(PostEvent::Deleted(e)) => left.forget(e.post),
                Event::Comment(CommentEvent::Added(e)) => {
                    left.comments.insert((e.post, e.comment), e.author);
                }
                Event::Comment(CommentEvent::Deleted(e)) => {
                    left.comments.remove(&(e.post, e.comment));
                }
                Event::Like(LikeEvent::Added(e)) => {
                    left.likes.insert((e.post, e.user));
                }
                Event::Like(LikeEvent::Removed(e)) => {
                    left.likes.remove(&(e.post, e.user));
                }
                Event::Follow(FollowEvent::Started(e)) => {
                    left.follows.insert((e.follower, e.followee));
                }
                Event::Follow(FollowEvent::Ended(e)) => {
                    left.follows.remove(&(e.follower, e.followee));
                }
                Event::Block(BlockEvent::Started(e)) => {
                    left.blocks.insert((e.user, e.target));
                }
                Event::Block(BlockEvent::Ended(e)) => {
                    left.blocks.remove(&(e.user, e.target));
                }
                Event::Mute(MuteEvent::Started(e)) => {
                    left.mutes.insert((e.user, e.target));
                }
                Event::Mute(MuteEvent::Ended(e)) => {
                    left.mutes.remove(&(e.user, e.target));
                }
                _ => {}
            }
        }
        left
    }

    /// What lies under a post goes with it.
    fn forget(&mut self, post: PostId) {
        self.posts.remove(&post);
        self.comments.retain(|(under, _), _| *under != post);
        self.likes.retain(|(of, _)| *of != post);
    }

    fn by(&self, gone: &BTreeMap<UserId, Instant>) -> Vec<String> {
        let is_gone = |user: &UserId| gone.contains_key(user);
        let posts = self.posts.iter().filter(|(_, author)| is_gone(author));
        let mut left: Vec<String> = posts.map(|(post, author)| format!("{author} has left {post}")).collect();
        let comments = self.comments.iter().filter(|(_, author)| is_gone(author));
        left.extend(comments.map(|((post, comment), by)| format!("{by} has left {comment} under {post}")));
        let likes = self.likes.iter().filter(|(_, user)| is_gone(user));
        left.extend(likes.map(|(post, user)| format!("{user} still likes {post}")));
        for (does, pairs) in [("follows", &self.follows), ("blocks", &self.blocks), ("mutes", &self.mutes)] {
            let pairs = pairs.iter().filter(|(one, other)| is_gone(one) || is_gone(other));
            left.extend(pairs.map(|(one, other)| format!("{one} still {does} {other}, and one of them is gone")));
        }
        left
    }
}

/// What somebody did on their own key after their account was disabled there. What is under way may come to its end.
fn acts(commits: &[Landed]) -> Vec<String> {
    let (mut violations, mut gone) = (Vec::new(), BTreeSet::new());
    for landed in commits {
        for event in landed.events() {
            let does = match event {
                Event::User(UserEvent::Disabled(e)) => {
                    gone.insert(e.user);
                    continue;
                }
                Event::User(UserEvent::Created(e)) => e.user,
                Event::User(UserEvent::BioChanged(e)) => e.user,
                Event::User(UserEvent::EmailChanged(e)) => e.user,
                Event::User(UserEvent::UsernameChanged(e)) => e.user,
                Event::User(UserEvent::PasswordChanged(e)) => e.user,
                Event::User(UserEvent::RoleChanged(e)) => e.user,
                Event::Session(SessionEvent::Opened(e)) => e.user,
                Event::Session(SessionEvent::Refreshed(e)) => e.user,
                Event::Session(SessionEvent::Closed(e)) => e.user,
                Event::Follow(FollowEvent::Started(e)) => e.follower,
                Event::Block(BlockEvent::Started(e)) => e.user,
                Event::Mute(MuteEvent::Started(e)) => e.user,
                Event::FeedSlot(FeedSlotEvent::Reserved(e)) => e.user,
                _ => continue,
            };
            if gone.contains(&does) {
                let (name, _) = event.wire_name();
                violations.push(format!("{does} is gone, and {name} at {}", landed.decoded.position));
            }
        }
    }
    violations
}

/// When a deletion is complete nothing of it comes any more: no trace of theirs, and no saga that had begun before.
fn comes_late(book: &Book) -> Vec<String> {
    let (gone, complete) = (book.gone(), complete(book));
    let mut violations = Vec::new();
    let mut begun: BTreeMap<SagaId, UserId> = BTreeMap::new();
    for (landed, event) in book.events() {
        let (of, does) = match event {
            Event::Comment(CommentEvent::Added(e)) => (vec![e.author], "comments"),
            Event::Like(LikeEvent::Added(e)) => (vec![e.user], "likes"),
            Event::Follow(FollowEvent::Started(e)) => (vec![e.follower, e.followee], "follows, or is followed,"),
            Event::Block(BlockEvent::Started(e)) => (vec![e.user, e.target], "blocks, or is blocked,"),
            Event::Mute(MuteEvent::Started(e)) => (vec![e.user, e.target], "mutes, or is muted,"),
            Event::Post(PostEvent::DraftPublished(e)) => (vec![e.author], "publishes"),
            Event::Post(PostEvent::Edited(e)) => (vec![e.author], "edits"),
            Event::Saga(SagaEvent::Started(e)) => {
                let of = landed.decoded.commit.actor.filter(|of| gone.get(of).is_some_and(|since| landed.at < *since));
                begun.extend(of.map(|of| (e.saga, of)));
                continue;
            }
            Event::Saga(event) => (begun.get(&event.saga()).copied().into_iter().collect(), "has a saga that goes on"),
            _ => continue,
        };
        let late = of.iter().find(|user| complete.get(user).is_some_and(|since| landed.at > *since));
        violations.extend(late.map(|user| format!("{user} {does} at {}, after the end", landed.decoded.position)));
    }
    violations
}

/// When each deletion was complete.
fn complete(book: &Book) -> BTreeMap<UserId, Instant> {
    let destroyed = book.events().filter_map(|(landed, event)| match event {
        Event::User(UserEvent::KeyDestroyed(e)) => Some((e.user, landed.at)),
        _ => None,
    });
    destroyed.collect()
}

/// Whatever nobody asked to delete was the gone's, or was severed by a block.
fn foreign_deletions(book: &Book, asked: &[Asked], gone: &BTreeMap<UserId, Instant>) -> Vec<String> {
    let asked: BTreeSet<CommandId> = asked.iter().map(|asked| asked.request.id).collect();
    let blocks = blocks(book);
    let severed = |landed: &Landed| blocks.get(&SagaId(landed.decoded.commit.causation?)).copied();
    let foreign = |(landed, event): (&Landed, &Event)| {
        let of = match event {
            Event::Post(PostEvent::Deleted(e)) => vec![e.author],
            Event::Comment(CommentEvent::Deleted(e)) => vec![e.author],
            Event::Like(LikeEvent::Removed(e)) => vec![e.user],
            Event::Follow(FollowEvent::Ended(e)) if severed(landed) == Some((e.followee, e.follower)) => return None,
            Event::Follow(FollowEvent::Ended(e)) => vec![e.follower, e.followee],
            Event::Block(BlockEvent::Ended(e)) => vec![e.user, e.target],
            Event::Mute(MuteEvent::Ended(e)) => vec![e.user, e.target],
            _ => return None,
        };
        let commit = &landed.decoded.commit;
        let was_gone = |user: &UserId| gone.get(user).is_some_and(|since| *since <= landed.at);
        let may = of.iter().any(|user| was_gone(user) && commit.actor == Some(*user));
        let (name, at) = (event.wire_name().0, landed.decoded.position);
        (!may && !asked.contains(&commit.command)).then(|| format!("{name} at {at}, which nobody asked for: {event:?}"))
    };
    book.events().filter_map(foreign).collect()
}

/// Who blocks whom by which saga.
fn blocks(book: &Book) -> BTreeMap<SagaId, (UserId, UserId)> {
    let block = |(_, event): (&Landed, &Event)| match event {
        Event::Saga(SagaEvent::Started(e)) if e.data.process == UserBlock::NAME => {
            let UserBlockData { user, target } = e.data.read().ok()?;
            Some((e.saga, (user, target)))
        }
        _ => None,
    };
    book.events().filter_map(block).collect()
}

/// A key is destroyed before the log says so, and only if its owner is gone or never came to be.
fn keys(book: &Book, gone: &BTreeMap<UserId, Instant>, keyring: &MemoryKeyring) -> Vec<String> {
    let mut violations = Vec::new();
    let destroyed = |user: UserId| keyring.destroyed_since(user.into());
    for (landed, event) in book.events() {
        match event {
            Event::User(UserEvent::KeyDestroyed(e)) if destroyed(e.user).is_none_or(|since| since > landed.at) => {
                let at = landed.decoded.position;
                violations.push(format!("the key of {} was not destroyed when {at} said so", e.user));
            }
            Event::User(UserEvent::Created(e)) if !gone.contains_key(&e.user) && destroyed(e.user).is_some() => {
                violations.push(format!("{} lives, and their key is destroyed", e.user));
            }
            _ => {}
        }
    }
    let kept = gone.keys().filter(|user| destroyed(**user).is_none());
    violations.extend(kept.map(|user| format!("{user} is gone, and their key is still there")));
    violations
}
