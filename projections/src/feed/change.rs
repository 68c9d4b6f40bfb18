//! What an event means to the feeds: for whatever holds them, the memory or a server.

use crate::gone::gone;
use crate::opener::Opener;
use events::{Event, FeedSlotEvent, FollowEvent, PostEvent, PostId, SealError, Timestamp, UserId};

/// See the module.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Published {
        post: PostId,
        author: UserId,
        at: Timestamp,
    },
    Drafted {
        post: PostId,
        author: UserId,
    },
    DraftPublished {
        post: PostId,
        author: UserId,
        at: Timestamp,
    },
    /// Deleted or dropped, or its author's key is destroyed.
    Deleted {
        post: PostId,
        author: UserId,
    },
    Followed {
        follower: UserId,
        followee: UserId,
    },
    Unfollowed {
        follower: UserId,
        followee: UserId,
    },
    Reserved {
        user: UserId,
        post: PostId,
        at: Timestamp,
    },
    /// Committed or released.
    Vacated {
        user: UserId,
        post: PostId,
    },
    Gone {
        user: UserId,
    },
}

impl Change {
    pub(super) fn of(event: &Event, at: Timestamp, opener: &Opener) -> Result<Option<Self>, SealError> {
        Ok(match event {
            Event::Post(event) => Self::of_post(event, at, opener),
            Event::Follow(FollowEvent::Started(e)) => {
                Some(Self::Followed { follower: e.follower, followee: e.followee })
            }
            Event::Follow(FollowEvent::Ended(e)) => {
                Some(Self::Unfollowed { follower: e.follower, followee: e.followee })
            }
            Event::FeedSlot(FeedSlotEvent::Reserved(e)) => Some(Self::Reserved { user: e.user, post: e.post, at }),
            Event::FeedSlot(FeedSlotEvent::Committed(e)) => Some(Self::Vacated { user: e.user, post: e.post }),
            Event::FeedSlot(FeedSlotEvent::Released(e)) => Some(Self::Vacated { user: e.user, post: e.post }),
            Event::User(event) => gone(event).map(|user| Self::Gone { user }),
            Event::Session(_)
            | Event::Block(_)
            | Event::Mute(_)
            | Event::Comment(_)
            | Event::Like(_)
            | Event::Claim(_)
            | Event::Saga(_) => None,
        })
    }

    fn of_post(event: &PostEvent, at: Timestamp, opener: &Opener) -> Option<Self> {
        match event {
            PostEvent::Published(e) if opener.is_destroyed(e.author) => {
                Some(Self::Deleted { post: e.post, author: e.author })
            }
            PostEvent::Published(e) => Some(Self::Published { post: e.post, author: e.author, at }),
            PostEvent::Drafted(e) if opener.is_destroyed(e.author) => None,
            PostEvent::Drafted(e) => Some(Self::Drafted { post: e.post, author: e.author }),
            PostEvent::DraftPublished(e) => Some(Self::DraftPublished { post: e.post, author: e.author, at }),
            PostEvent::DraftDropped(e) => Some(Self::Deleted { post: e.post, author: e.author }),
            PostEvent::Edited(e) if opener.is_destroyed(e.author) => {
                Some(Self::Deleted { post: e.post, author: e.author })
            }
            PostEvent::Edited(_) => None,
            PostEvent::Deleted(e) => Some(Self::Deleted { post: e.post, author: e.author }),
        }
    }
}
