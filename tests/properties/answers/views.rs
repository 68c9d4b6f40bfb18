//! What is shown to one person: everything but what blocks and mutes hide from them.

use super::{Models, walk};
use crate::history::{POSTS, TAGS, USERS, hashtag, post, user};
use events::{CommentId, PostId, Timestamp, UserId};
use projections::posts::Post;
use projections::users::{Follow, Relation};
use projections::{Hidden, Listing, Page};
use std::collections::BTreeMap;

/// What one person sees of the others.
#[derive(PartialEq, Debug, Default)]
pub(crate) struct View {
    /// Whether they follow each other, whether one of the two blocks the other, and whether the viewer mutes them.
    pub(crate) relations: BTreeMap<UserId, [bool; 5]>,
    pub(crate) blocks: Vec<(Timestamp, UserId)>,
    pub(crate) mutes: Vec<(Timestamp, UserId)>,
    pub(crate) followers: BTreeMap<UserId, Vec<UserId>>,
    pub(crate) following: BTreeMap<UserId, Vec<UserId>>,
    pub(crate) latest: Vec<PostId>,
    pub(crate) tagged: BTreeMap<String, Vec<PostId>>,
    pub(crate) feed: Vec<PostId>,
    pub(crate) comments: BTreeMap<PostId, Vec<CommentId>>,
    pub(crate) likes: BTreeMap<PostId, Vec<UserId>>,
}

impl Models {
    pub(super) async fn view(&self, viewer: UserId, limit: usize) -> View {
        let hidden = &self.users.hidden_from(viewer);
        let relation = |other: UserId| {
            let Relation { following, followed_by, blocking, blocked_by, muting } = self.users.relation(viewer, other);
            assert_eq!(hidden.hides(other), blocking || blocked_by);
            [following, followed_by, blocking, blocked_by, muting]
        };
        let mut view = View {
            relations: (0..USERS).map(user).map(|other| (other, relation(other))).collect(),
            blocks: dated(limit, async |page| self.users.blocks(viewer, page)).await,
            mutes: dated(limit, async |page| self.users.mutes(viewer, page)).await,
            latest: ids(limit, async |page| self.posts.latest(None, page, hidden).await.unwrap()).await,
            feed: self.feed_of(viewer, limit, hidden).await,
            ..View::default()
        };
        for of in (0..USERS).map(user) {
            view.followers.insert(of, names(limit, async |page| self.users.followers(of, page, hidden)).await);
            view.following.insert(of, names(limit, async |page| self.users.following(of, page, hidden)).await);
        }
        for tag in (0..TAGS).map(hashtag) {
            let posts = ids(limit, async |page| self.posts.tagged(&tag, page, hidden).await.unwrap()).await;
            view.tagged.insert(tag, posts);
        }
        for of in (0..POSTS).map(post) {
            view.comments.insert(of, self.comments_seen(of, limit, hidden).await);
            view.likes.insert(of, self.likes_seen(of, limit, hidden).await);
        }
        view
    }

    async fn comments_seen(&self, post: PostId, limit: usize, hidden: &Hidden) -> Vec<CommentId> {
        let comments = async |page| self.posts.comments(post, page, hidden).await.unwrap();
        let comments = walk(limit, comments, |it| (it.created_at, it.id.0)).await;
        comments.into_iter().map(|comment| comment.id).collect()
    }

    async fn likes_seen(&self, post: PostId, limit: usize, hidden: &Hidden) -> Vec<UserId> {
        let likes = async |page| self.posts.likes(post, page, hidden).await.unwrap();
        let likes = walk(limit, likes, |it| (it.created_at, it.user.0)).await;
        likes.into_iter().map(|like| like.user).collect()
    }
}

async fn dated(limit: usize, list: impl AsyncFn(Page) -> Listing<Follow>) -> Vec<(Timestamp, UserId)> {
    let walked = walk(limit, list, |entry| (entry.created_at, entry.user.0)).await;
    walked.into_iter().map(|entry| (entry.created_at, entry.user)).collect()
}

async fn names(limit: usize, list: impl AsyncFn(Page) -> Listing<Follow>) -> Vec<UserId> {
    dated(limit, list).await.into_iter().map(|(_, user)| user).collect()
}

async fn ids(limit: usize, list: impl AsyncFn(Page) -> Listing<Post>) -> Vec<PostId> {
    let walked = walk(limit, list, |post| (post.created_at, post.id.0)).await;
    walked.into_iter().map(|post| post.id).collect()
}
