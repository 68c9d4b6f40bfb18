//! The data behind [`super::Posts`]: each post with its comments and likes, and the posts in their order. A draft
//! is a thread that nothing can lie under and that is in no order.

use super::traces::Traces;
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
use uuid::Uuid;

#[derive(Default)]
pub(super) struct Threads {
    posts: HashMap<PostId, Thread>,
    pub(super) latest: BTreeSet<Place>,
    pub(super) by_author: HashMap<UserId, BTreeSet<Place>>,
    drafts: BTreeSet<(UserId, PostId)>,
    pub(super) traces: Traces,
}

/// A post or a draft, and what lies under it.
pub(super) struct Thread {
    pub(super) author: UserId,
    pub(super) draft: bool,
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

impl Threads {
    /// A published post; nobody but its author knows of a draft.
    pub(super) fn get(&self, post: PostId) -> Option<&Thread> {
        self.posts.get(&post).filter(|thread| !thread.draft)
    }

    /// A published post, or a draft of the viewer's own.
    pub(super) fn seen(&self, post: PostId, viewer: Option<UserId>) -> Option<&Thread> {
        self.posts.get(&post).filter(|thread| !thread.draft || viewer == Some(thread.author))
    }

    /// All posts and drafts of an author.
    pub(super) fn posts_of(&self, author: UserId) -> impl Iterator<Item = PostId> {
        let drafts = self.drafts.range((author, PostId(Uuid::nil()))..=(author, PostId(Uuid::max())));
        let published = self.by_author.get(&author).into_iter().flatten();
        published.map(|(_, id)| PostId(*id)).chain(drafts.map(|(_, post)| *post))
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Published { post, author, body, at } => {
                if self.add(post, author, body, at, false) {
                    self.list(post, author, at);
                }
            }
            Change::Drafted { post, author, body, at } => {
                if self.add(post, author, body, at, true) {
                    self.drafts.insert((author, post));
                }
            }
            Change::DraftPublished { post, at } => self.publish_draft(post, at),
            Change::Edited { post, body, at } => {
                if let Some(thread) = self.posts.get_mut(&post) {
                    (thread.content, thread.hashtags, thread.mentions) = (body.content, body.hashtags, body.mentions);
                    thread.edited_at = Some(at);
                }
            }
            Change::Gone { post } => self.remove(post),
            Change::Commented { post, comment, remark, at } => {
                if let Some(thread) = published(&mut self.posts, post) {
                    let by = remark.author;
                    if thread.comments.insert(comment.0, at, remark) && by != thread.author {
                        self.traces.commented(by, post, comment);
                    }
                }
            }
            Change::Uncommented { post, comment } => {
                if let Some(thread) = published(&mut self.posts, post) {
                    let by = thread.comments.get(comment.0).map(|(_, remark)| remark.author);
                    by.into_iter().for_each(|by| self.traces.uncommented(by, post, comment));
                    thread.comments.remove(comment.0);
                }
            }
            Change::Liked { post, user, at } => {
                if let Some(thread) = published(&mut self.posts, post)
                    && thread.likes.insert(user.0, at, ())
                    && user != thread.author
                {
                    self.traces.liked(user, post);
                }
            }
            Change::Unliked { post, user } => {
                if let Some(thread) = published(&mut self.posts, post) {
                    thread.likes.remove(user.0);
                    self.traces.unliked(user, post);
                }
            }
        }
    }

    /// Returns whether it was not there before.
    fn add(&mut self, post: PostId, author: UserId, body: Body, created_at: Timestamp, draft: bool) -> bool {
        if self.posts.contains_key(&post) {
            return false;
        }
        let Body { content, hashtags, mentions } = body;
        let (comments, likes, edited_at) = (Dated::default(), Dated::default(), None);
        let thread = Thread { author, draft, content, hashtags, mentions, created_at, edited_at, comments, likes };
        self.posts.insert(post, thread);
        true
    }

    fn publish_draft(&mut self, post: PostId, at: Timestamp) {
        let Some(thread) = self.posts.get_mut(&post).filter(|thread| thread.draft) else { return };
        (thread.draft, thread.created_at) = (false, at);
        let author = thread.author;
        self.drafts.remove(&(author, post));
        self.list(post, author, at);
    }

    fn list(&mut self, post: PostId, author: UserId, at: Timestamp) {
        self.latest.insert((at, post.0));
        self.by_author.entry(author).or_default().insert((at, post.0));
    }

    fn remove(&mut self, post: PostId) {
        let Some(thread) = self.posts.remove(&post) else { return };
        for id in thread.comments.ids() {
            let by = thread.comments.get(id).map(|(_, remark)| remark.author);
            by.into_iter().for_each(|by| self.traces.uncommented(by, post, CommentId(id)));
        }
        thread.likes.ids().for_each(|user| self.traces.unliked(UserId(user), post));
        self.drafts.remove(&(thread.author, post));
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

/// Nothing can lie under a draft.
fn published(posts: &mut HashMap<PostId, Thread>, post: PostId) -> Option<&mut Thread> {
    posts.get_mut(&post).filter(|thread| !thread.draft)
}
