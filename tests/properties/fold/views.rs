//! What each sees: the answers that everybody gets, without what blocks and mutes hide.

use super::Fold;
use crate::answers::{Answers, View};
use crate::history::{USERS, user};
use events::{PostId, Timestamp, UserId};
use std::cmp::Reverse;
use std::collections::BTreeMap;

impl Fold<'_> {
    /// `all` has everything that everybody gets.
    pub(super) fn view(&self, viewer: UserId, all: &Answers) -> View {
        let is_apart =
            |other: &UserId| self.blocks.contains_key(&(viewer, *other)) || self.blocks.contains_key(&(*other, viewer));
        let is_muted = |other: &UserId| self.mutes.contains_key(&(viewer, *other));
        let author = |post: &PostId| self.posts.get(post).map_or(viewer, |post| post.author);
        let follows = |a: UserId, b: UserId| self.follows.contains_key(&(a, b)) && !is_apart(&a) && !is_apart(&b);
        let relation = |other: UserId| {
            let blocks = |a: UserId, b: UserId| self.blocks.contains_key(&(a, b));
            let follows = [follows(viewer, other), follows(other, viewer)];
            let [following, followed_by] = follows;
            [following, followed_by, blocks(viewer, other), blocks(other, viewer), is_muted(&other)]
        };
        let people = |list: &BTreeMap<UserId, Vec<(Timestamp, UserId)>>| {
            let seen = |(of, list): (&UserId, &Vec<(Timestamp, UserId)>)| {
                (*of, list.iter().map(|(_, user)| *user).filter(|user| !is_apart(user)).collect())
            };
            list.iter().map(seen).collect()
        };
        let posts = |list: &[PostId]| list.iter().copied().filter(|post| !is_apart(&author(post))).collect::<Vec<_>>();
        let comments = all.comments.iter().map(|(post, comments)| {
            let seen = comments.iter().filter(|(_, _, by, _)| !is_apart(by));
            (*post, seen.map(|(_, comment, ..)| *comment).collect())
        });
        let likes = all
            .likes
            .iter()
            .map(|(post, likes)| (*post, likes.iter().map(|(_, by)| *by).filter(|by| !is_apart(by)).collect()));
        let heard = all.notifications[&viewer].iter().copied().filter(|(_, by, _)| !is_apart(by) && !is_muted(by));
        View {
            relations: (0..USERS).map(user).map(|other| (other, relation(other))).collect(),
            blocks: self.barred(viewer, &self.blocks),
            mutes: self.barred(viewer, &self.mutes),
            followers: people(&all.followers),
            following: people(&all.following),
            latest: posts(&all.latest),
            tagged: all.tagged.iter().map(|(tag, list)| (tag.clone(), posts(list))).collect(),
            notifications: heard.collect(),
            feed: posts(&all.feeds[&viewer]).into_iter().filter(|post| !is_muted(&author(post))).collect(),
            comments: comments.collect(),
            likes: likes.collect(),
        }
    }

    /// Whom one blocks, or mutes: those who have accounts, newest first.
    fn barred(&self, viewer: UserId, all: &BTreeMap<(UserId, UserId), Timestamp>) -> Vec<(Timestamp, UserId)> {
        let own = all.iter().filter(|((by, whom), _)| *by == viewer && self.is_here(viewer) && self.is_here(*whom));
        let mut own = own.map(|((_, whom), at)| (*at, *whom)).collect::<Vec<_>>();
        own.sort_by_key(|it| Reverse(*it));
        own
    }
}
