//! What is shown to one person: everything but what blocks and mutes hide from them.

use super::{Models, walk};
use crate::history::{POSTS, TAGS, USERS, hashtag, post, user};
use events::{CommentId, PostId, Timestamp, UserId};
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
    pub(super) fn view(&self, viewer: UserId, limit: usize) -> View {
        let hidden = &self.users.hidden_from(viewer);
        let relation = |other: UserId| {
            let Relation { following, followed_by, blocking, blocked_by, muting } = self.users.relation(viewer, other);
            assert_eq!(hidden.hides(other), blocking || blocked_by);
            [following, followed_by, blocking, blocked_by, muting]
        };
        let dated = |list: &dyn Fn(Page) -> Listing<Follow>| {
            let walked = walk(limit, list, |entry| (entry.created_at, entry.user.0));
            walked.into_iter().map(|entry| (entry.created_at, entry.user)).collect::<Vec<_>>()
        };
        let names = |list: &dyn Fn(Page) -> Listing<Follow>| dated(list).into_iter().map(|(_, user)| user).collect();
        let users = || (0..USERS).map(user);
        let tagged = |tag: &String| {
            let walked = walk(limit, |page| self.posts.tagged(tag, page, hidden), |it| (it.created_at, it.id.0));
            walked.into_iter().map(|post| post.id).collect()
        };
        let latest = walk(limit, |page| self.posts.latest(None, page, hidden), |it| (it.created_at, it.id.0));
        View {
            relations: users().map(|other| (other, relation(other))).collect(),
            blocks: dated(&|page| self.users.blocks(viewer, page)),
            mutes: dated(&|page| self.users.mutes(viewer, page)),
            followers: users().map(|of| (of, names(&|page| self.users.followers(of, page, hidden)))).collect(),
            following: users().map(|of| (of, names(&|page| self.users.following(of, page, hidden)))).collect(),
            latest: latest.into_iter().map(|post| post.id).collect(),
            tagged: (0..TAGS).map(hashtag).map(|tag| (tag.clone(), tagged(&tag))).collect(),
            feed: walk(limit, |page| self.feed.latest(viewer, page, hidden), |post| self.place_of(*post, viewer)),
            comments: (0..POSTS).map(post).map(|of| (of, self.comments_seen(of, limit, hidden))).collect(),
            likes: (0..POSTS).map(post).map(|of| (of, self.likes_seen(of, limit, hidden))).collect(),
        }
    }

    fn comments_seen(&self, post: PostId, limit: usize, hidden: &Hidden) -> Vec<CommentId> {
        let comments = walk(limit, |page| self.posts.comments(post, page, hidden), |it| (it.created_at, it.id.0));
        comments.into_iter().map(|comment| comment.id).collect()
    }

    fn likes_seen(&self, post: PostId, limit: usize, hidden: &Hidden) -> Vec<UserId> {
        let likes = walk(limit, |page| self.posts.likes(post, page, hidden), |it| (it.created_at, it.user.0));
        likes.into_iter().map(|like| like.user).collect()
    }
}
