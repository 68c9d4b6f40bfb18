//! What is shown to one person: everything but what blocks and mutes hide from them.

use super::{Models, NotificationAnswer, walk};
use crate::history::{POSTS, TAGS, USERS, hashtag, post, user};
use events::{CommentId, PostId, Timestamp, UserId};
use projections::posts::Post;
use projections::users::{Follow, List, Relation};
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
    pub(crate) notifications: Vec<NotificationAnswer>,
    pub(crate) comments: BTreeMap<PostId, Vec<CommentId>>,
    pub(crate) likes: BTreeMap<PostId, Vec<UserId>>,
}

impl Models {
    pub(super) async fn view(&self, viewer: UserId, limit: usize) -> View {
        let hidden = &self.users.hidden_from(viewer).await.unwrap();
        let relation = |(other, relation): (UserId, Relation)| {
            let Relation { following, followed_by, blocking, blocked_by, muting } = relation;
            assert_eq!(hidden.hides(other), blocking || blocked_by);
            (other, [following, followed_by, blocking, blocked_by, muting])
        };
        let others = (0..USERS).map(user).collect::<Vec<_>>();
        let relations = self.users.relations(viewer, &others).await.unwrap();
        let listed = async |list, page| self.users.list(list, viewer, page, &Hidden::NOBODY).await.unwrap();
        let mut view = View {
            relations: others.into_iter().zip(relations).map(relation).collect(),
            blocks: dated(limit, async |page| listed(List::Blocks, page).await).await,
            mutes: dated(limit, async |page| listed(List::Mutes, page).await).await,
            latest: ids(limit, async |page| self.posts.latest(None, page, hidden).await.unwrap()).await,
            feed: self.feed_of(viewer, limit, hidden).await,
            notifications: self.notifications_of(viewer, limit, hidden).await,
            ..View::default()
        };
        for of in (0..USERS).map(user) {
            let seen = async |list, page| self.users.list(list, of, page, hidden).await.unwrap();
            view.followers.insert(of, names(limit, async |page| seen(List::Followers, page).await).await);
            view.following.insert(of, names(limit, async |page| seen(List::Following, page).await).await);
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
