//! What an event means to notifications.

use super::{Deed, Ids, NotificationId};
use crate::gone::gone;
use events::{Event, FollowEvent, LikeEvent, PostEvent, PostId, Timestamp, UserId};

/// What an event means here.
#[derive(Clone, Copy)]
pub(super) enum Change {
    /// Published, as a post or from a draft. Nothing is done to a draft.
    Published {
        post: PostId,
        author: UserId,
    },
    Deleted {
        post: PostId,
    },
    Done {
        id: NotificationId,
        actor: UserId,
        deed: Deed,
        at: Timestamp,
    },
    Undone {
        id: NotificationId,
        deed: Deed,
        at: Timestamp,
    },
    Gone {
        user: UserId,
    },
}

impl Change {
    pub(super) fn of(event: &Event, at: Timestamp, ids: &Ids) -> Option<Self> {
        let done = |actor, deed| Some(Self::Done { id: ids.of(actor, deed), actor, deed, at });
        let undone = |actor, deed| Some(Self::Undone { id: ids.of(actor, deed), deed, at });
        match event {
            Event::Follow(FollowEvent::Started(e)) => done(e.follower, Deed::Follow { followee: e.followee }),
            Event::Follow(FollowEvent::Ended(e)) => undone(e.follower, Deed::Follow { followee: e.followee }),
            Event::Like(LikeEvent::Added(e)) => done(e.user, Deed::Like { post: e.post }),
            Event::Like(LikeEvent::Removed(e)) => undone(e.user, Deed::Like { post: e.post }),
            Event::Post(event) => Self::of_post(event),
            Event::User(event) => gone(event).map(|user| Self::Gone { user }),
            Event::Session(_)
            | Event::Block(_)
            | Event::Mute(_)
            | Event::FeedSlot(_)
            | Event::Comment(_)
            | Event::Claim(_)
            | Event::Saga(_) => None,
        }
    }

    fn of_post(event: &PostEvent) -> Option<Self> {
        match event {
            PostEvent::Published(e) => Some(Self::Published { post: e.post, author: e.author }),
            PostEvent::DraftPublished(e) => Some(Self::Published { post: e.post, author: e.author }),
            PostEvent::Deleted(e) => Some(Self::Deleted { post: e.post }),
            PostEvent::Drafted(_) | PostEvent::Edited(_) | PostEvent::DraftDropped(_) => None,
        }
    }
}
