//! The data behind [`super::Posts`]: each post with its comments and likes, and the posts in their order.

use crate::dated::Dated;
use crate::listing::Place;
use crate::opener::Opener;
use crate::text::Text;
use events::{
    CommentEvent, CommentId, Content, Event, Hashtags, LikeEvent, Mentions, PostEvent, PostId, SealError, Sealed,
    Timestamp, UserId,
};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Threads {
    posts: HashMap<PostId, Thread>,
    pub(super) latest: BTreeSet<Place>,
    pub(super) by_author: HashMap<UserId, BTreeSet<Place>>,
}

/// A post and what lies under it.
pub(super) struct Thread {
    pub(super) author: UserId,
    pub(super) content: Text,
    pub(super) hashtags: Arc<[Text]>,
    pub(super) mentions: Arc<[UserId]>,
    pub(super) created_at: Timestamp,
    pub(super) edited_at: Option<Timestamp>,
    pub(super) comments: Dated<Remark>,
    pub(super) likes: Dated<()>,
}

/// A comment under a post.
pub(super) struct Remark {
    pub(super) author: UserId,
    pub(super) text: Text,
}

/// What an author wrote, opened.
pub(super) struct Body {
    content: Text,
    hashtags: Arc<[Text]>,
    mentions: Arc<[UserId]>,
}

/// What an event means here, opened.
pub(super) enum Change {
    Published {
        post: PostId,
        author: UserId,
        body: Body,
        at: Timestamp,
    },
    Edited {
        post: PostId,
        body: Body,
        at: Timestamp,
    },
    /// Deleted, or its author's key is destroyed.
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
            Event::User(_) | Event::Session(_) | Event::Follow(_) | Event::Claim(_) | Event::Saga(_) => {
                return Ok(None);
            }
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

impl Threads {
    pub(super) fn get(&self, post: PostId) -> Option<&Thread> {
        self.posts.get(&post)
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Published { post, author, body, at } => self.publish(post, author, body, at),
            Change::Edited { post, body, at } => {
                if let Some(thread) = self.posts.get_mut(&post) {
                    (thread.content, thread.hashtags, thread.mentions) = (body.content, body.hashtags, body.mentions);
                    thread.edited_at = Some(at);
                }
            }
            Change::Gone { post } => self.remove(post),
            Change::Commented { post, comment, remark, at } => {
                if let Some(thread) = self.posts.get_mut(&post) {
                    thread.comments.insert(comment.0, at, remark);
                }
            }
            Change::Uncommented { post, comment } => {
                if let Some(thread) = self.posts.get_mut(&post) {
                    thread.comments.remove(comment.0);
                }
            }
            Change::Liked { post, user, at } => {
                if let Some(thread) = self.posts.get_mut(&post) {
                    thread.likes.insert(user.0, at, ());
                }
            }
            Change::Unliked { post, user } => {
                if let Some(thread) = self.posts.get_mut(&post) {
                    thread.likes.remove(user.0);
                }
            }
        }
    }

    fn publish(&mut self, post: PostId, author: UserId, body: Body, at: Timestamp) {
        if self.posts.contains_key(&post) {
            return;
        }
        let Body { content, hashtags, mentions } = body;
        let (comments, likes) = (Dated::default(), Dated::default());
        let thread = Thread { author, content, hashtags, mentions, created_at: at, edited_at: None, comments, likes };
        self.posts.insert(post, thread);
        self.latest.insert((at, post.0));
        self.by_author.entry(author).or_default().insert((at, post.0));
    }

    fn remove(&mut self, post: PostId) {
        let Some(thread) = self.posts.remove(&post) else { return };
        let place = (thread.created_at, post.0);
        self.latest.remove(&place);
        if let Some(order) = self.by_author.get_mut(&thread.author) {
            order.remove(&place);
            if order.is_empty() {
                self.by_author.remove(&thread.author);
            }
        }
    }
}
