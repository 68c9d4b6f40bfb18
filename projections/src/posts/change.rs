//! What an event means to posts, opened.

use super::threads::Remark;
use crate::opener::Opener;
use crate::text::Text;
use events::{
    CommentEvent, CommentId, Content, Event, Hashtags, LikeEvent, Mentions, PostEvent, PostId, SealError, Sealed,
    Timestamp, UserId,
};
use std::sync::Arc;

/// What an author wrote, opened.
pub(super) struct Body {
    pub(super) content: Text,
    pub(super) hashtags: Arc<[Text]>,
    pub(super) mentions: Arc<[UserId]>,
}

/// What an event means here, opened.
pub(super) enum Change {
    Published {
        post: PostId,
        author: UserId,
        body: Body,
        at: Timestamp,
    },
    Drafted {
        post: PostId,
        author: UserId,
        body: Body,
        at: Timestamp,
    },
    DraftPublished {
        post: PostId,
        at: Timestamp,
    },
    Edited {
        post: PostId,
        body: Body,
        at: Timestamp,
    },
    /// Deleted or dropped, or its author's key is destroyed.
    Gone {
        post: PostId,
    },
    Commented {
        post: PostId,
        comment: CommentId,
        remark: Remark,
        at: Timestamp,
    },
    Uncommented {
        post: PostId,
        comment: CommentId,
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
}

impl Change {
    pub(super) fn of(event: &Event, at: Timestamp, opener: &Opener) -> Result<Option<Self>, SealError> {
        let change = match event {
            Event::Post(PostEvent::Published(e)) => {
                match Body::open(e.author, &e.content, e.hashtags.as_ref(), e.mentions.as_ref(), opener)? {
                    Some(body) => Self::Published { post: e.post, author: e.author, body, at },
                    None => Self::Gone { post: e.post },
                }
            }
            Event::Post(PostEvent::Drafted(e)) => {
                match Body::open(e.author, &e.content, e.hashtags.as_ref(), e.mentions.as_ref(), opener)? {
                    Some(body) => Self::Drafted { post: e.post, author: e.author, body, at },
                    None => Self::Gone { post: e.post },
                }
            }
            Event::Post(PostEvent::DraftPublished(e)) => Self::DraftPublished { post: e.post, at },
            Event::Post(PostEvent::DraftDropped(e)) => Self::Gone { post: e.post },
            Event::Post(PostEvent::Edited(e)) => {
                match Body::open(e.author, &e.content, e.hashtags.as_ref(), e.mentions.as_ref(), opener)? {
                    Some(body) => Self::Edited { post: e.post, body, at },
                    None => Self::Gone { post: e.post },
                }
            }
            Event::Post(PostEvent::Deleted(e)) => Self::Gone { post: e.post },
            Event::Comment(CommentEvent::Added(e)) => match opener.open(e.author, &e.text)? {
                Some(text) => {
                    let remark = Remark { author: e.author, text: text.as_str().into() };
                    Self::Commented { post: e.post, comment: e.comment, remark, at }
                }
                None => return Ok(None),
            },
            Event::Comment(CommentEvent::Deleted(e)) => Self::Uncommented { post: e.post, comment: e.comment },
            Event::Like(LikeEvent::Added(e)) => Self::Liked { post: e.post, user: e.user, at },
            Event::Like(LikeEvent::Removed(e)) => Self::Unliked { post: e.post, user: e.user },
            Event::User(_)
            | Event::Session(_)
            | Event::Follow(_)
            | Event::FeedSlot(_)
            | Event::Claim(_)
            | Event::Saga(_) => return Ok(None),
        };
        Ok(Some(change))
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
