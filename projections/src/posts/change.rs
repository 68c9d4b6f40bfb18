//! What an event means to posts, opened. What cannot be read, since its author's key is destroyed, comes without its text.

use crate::gone::gone;
use crate::opener::Opener;
use crate::text::Text;
use events::{
    CommentEvent, CommentId, Content, Event, Hashtags, LikeEvent, Mentions, PostEvent, PostId, SealError, Sealed,
    Timestamp, UserId,
};
use std::sync::Arc;

/// What an author wrote.
pub(super) struct Body {
    pub(super) content: Text,
    pub(super) hashtags: Arc<[Text]>,
    pub(super) mentions: Arc<[UserId]>,
}

/// What an event means here.
pub(super) enum Change {
    /// Published, or drafted.
    Written {
        post: PostId,
        author: UserId,
        draft: bool,
        body: Option<Body>,
        at: Timestamp,
    },
    DraftPublished {
        post: PostId,
        at: Timestamp,
    },
    Edited {
        post: PostId,
        body: Option<Body>,
        at: Timestamp,
    },
    /// Deleted or dropped.
    Deleted {
        post: PostId,
    },
    Commented {
        post: PostId,
        comment: CommentId,
        author: UserId,
        text: Option<Text>,
        at: Timestamp,
    },
    Uncommented {
        post: PostId,
        comment: CommentId,
        author: UserId,
    },
    Liked {
        post: PostId,
        user: UserId,
        at: Timestamp,
    },
    Unliked {
        post: PostId,
        user: UserId,
    },
    Gone {
        user: UserId,
    },
}

impl Change {
    pub(super) fn of(event: &Event, at: Timestamp, opener: &Opener) -> Result<Option<Self>, SealError> {
        let change = match event {
            Event::Post(event) => Self::of_post(event, at, opener)?,
            Event::Comment(CommentEvent::Added(e)) => {
                let text = opener.open(e.author, &e.text)?.map(|text| text.as_str().into());
                Self::Commented { post: e.post, comment: e.comment, author: e.author, text, at }
            }
            Event::Comment(CommentEvent::Deleted(e)) => {
                Self::Uncommented { post: e.post, comment: e.comment, author: e.author }
            }
            Event::Like(LikeEvent::Added(e)) => Self::Liked { post: e.post, user: e.user, at },
            Event::Like(LikeEvent::Removed(e)) => Self::Unliked { post: e.post, user: e.user },
            Event::User(event) => return Ok(gone(event).map(|user| Self::Gone { user })),
            Event::Session(_)
            | Event::Follow(_)
            | Event::Block(_)
            | Event::Mute(_)
            | Event::FeedSlot(_)
            | Event::Claim(_)
            | Event::Saga(_) => {
                return Ok(None);
            }
        };
        Ok(Some(change))
    }

    fn of_post(event: &PostEvent, at: Timestamp, opener: &Opener) -> Result<Self, SealError> {
        Ok(match event {
            PostEvent::Published(e) => {
                let body = Body::open(e.author, &e.content, e.hashtags.as_ref(), e.mentions.as_ref(), opener)?;
                Self::Written { post: e.post, author: e.author, draft: false, body, at }
            }
            PostEvent::Drafted(e) => {
                let body = Body::open(e.author, &e.content, e.hashtags.as_ref(), e.mentions.as_ref(), opener)?;
                Self::Written { post: e.post, author: e.author, draft: true, body, at }
            }
            PostEvent::DraftPublished(e) => Self::DraftPublished { post: e.post, at },
            PostEvent::Edited(e) => {
                let body = Body::open(e.author, &e.content, e.hashtags.as_ref(), e.mentions.as_ref(), opener)?;
                Self::Edited { post: e.post, body, at }
            }
            PostEvent::DraftDropped(e) => Self::Deleted { post: e.post },
            PostEvent::Deleted(e) => Self::Deleted { post: e.post },
        })
    }
}

impl Body {
    fn open(
        author: UserId,
        content: &Sealed<Content>,
        hashtags: Option<&Sealed<Hashtags>>,
        mentions: Option<&Sealed<Mentions>>,
        opener: &Opener,
    ) -> Result<Option<Self>, SealError> {
        let Some(content) = opener.open(author, content)? else { return Ok(None) };
        let hashtags = hashtags.map(|sealed| opener.open(author, sealed)).transpose()?.flatten().unwrap_or_default();
        let mentions = mentions.map(|sealed| opener.open(author, sealed)).transpose()?.flatten().unwrap_or_default();
        Ok(Some(Self {
            content: content.as_str().into(),
            hashtags: hashtags.0.iter().map(|tag| tag.as_str().into()).collect(),
            mentions: mentions.0.into(),
        }))
    }
}
