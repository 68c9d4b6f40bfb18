//! What is verified: each profile, post and list, by whom, and with which page size.

use serde_json::Value;

use crate::act::Act;
use crate::model::Model;
use crate::plan::Plan;

/// Page sizes, one after another; `None` is the default.
const LIMITS: [Option<usize>; 4] = [Some(7), Some(20), Some(100), None];
/// So many feeds are read to their end, of the others so many pages.
const WHOLE_FEEDS: usize = 60;
const FEED_PAGES: usize = 3;
/// A list of all posts is read to its end with every page size up to so many posts; beyond, with pages of 100 only.
const POSTS_ALL_LIMITS_MAX: usize = 20_000;
const POSTS_PAGES: usize = 300;
/// One resource in so many is also read without a token, and one empty list in so many is read at all.
const SAMPLE: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Me { person: usize },
    Profile { person: usize, reader: Option<usize> },
    Post { post: usize, reader: Option<usize> },
    Gone { post: usize, by: Act, reader: Option<usize> },
    Left { person: usize, reader: Option<usize> },
    List { list: List, reader: Option<usize>, limit: Option<usize>, pages_max: Option<usize>, depth_max: Option<usize> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    AllPosts,
    PostsOf { person: usize },
    Feed { person: usize },
    Followers { person: usize },
    Following { person: usize },
    Comments { post: usize },
    Likes { post: usize },
}

/// All that is read with a session, by these people.
pub(super) fn signed_in(model: &Model, readers: &[usize], feed_depth_max: Option<usize>) -> Vec<Job> {
    let mut jobs = Vec::new();
    // Primes, so that readers and page sizes meet in all combinations.
    let reader = |n: usize| (!readers.is_empty()).then(|| readers[n * 7919 % readers.len()]);
    let is_reader = |person: &usize| readers.binary_search(person).is_ok();
    for limit in LIMITS {
        let pages_max = (limit != Some(100) && model.all_posts().len() > POSTS_ALL_LIMITS_MAX).then_some(POSTS_PAGES);
        jobs.push(Job::List { list: List::AllPosts, reader: reader(jobs.len()), limit, pages_max, depth_max: None });
    }
    for (n, person) in readers.iter().copied().enumerate() {
        jobs.push(Job::Me { person });
        let whole = n % (readers.len() / WHOLE_FEEDS).max(1) == 0;
        let (limit, pages) = if whole { (Some(100), None) } else { (LIMITS[n % LIMITS.len()], Some(FEED_PAGES)) };
        let depth_pages = feed_depth_max.map(|depth| depth.div_ceil(limit.unwrap_or(20)));
        let pages_max = [pages, depth_pages].into_iter().flatten().min();
        let list = List::Feed { person };
        jobs.push(Job::List { list, reader: Some(person), limit, pages_max, depth_max: feed_depth_max });
    }
    for person in model.everybody() {
        jobs.push(Job::Profile { person, reader: reader(person) });
        // Also by somebody who follows them and by somebody whom they follow, for the relation that they see.
        let related = [model.followers(person), model.following(person)];
        for related in related.iter().filter_map(|people| people.iter().copied().find(is_reader)) {
            jobs.push(Job::Profile { person, reader: Some(related) });
        }
        for (n, list) in
            [List::PostsOf { person }, List::Followers { person }, List::Following { person }].into_iter().enumerate()
        {
            let limit = LIMITS[(person + n) % LIMITS.len()];
            jobs.push(Job::List { list, reader: reader(person + n), limit, pages_max: None, depth_max: None });
        }
    }
    for person in model.who_left() {
        jobs.push(Job::Left { person, reader: reader(person) });
        let (list, limit) = (List::PostsOf { person }, LIMITS[person % LIMITS.len()]);
        jobs.push(Job::List { list, reader: reader(person + 1), limit, pages_max: None, depth_max: None });
    }
    for post in model.every_post() {
        if let Some(by) = model.gone_by(post) {
            jobs.push(Job::Gone { post, by, reader: reader(post) });
            continue;
        }
        let liker = model.likes_of(post).into_iter().find(is_reader).filter(|_| post % 2 == 1);
        jobs.push(Job::Post { post, reader: liker.or_else(|| reader(post)) });
        let empty = [(List::Comments { post }, model.comments_of(post).is_empty())];
        let empty = empty.into_iter().chain([(List::Likes { post }, model.likes_of(post).is_empty())]);
        for (list, _) in empty.filter(|(_, empty)| !empty || post % SAMPLE == 0) {
            let limit = LIMITS[(post / 3) % LIMITS.len()];
            jobs.push(Job::List { list, reader: reader(post + 1), limit, pages_max: None, depth_max: None });
        }
    }
    jobs
}

/// A part of the same without a token.
pub(super) fn anonymous(model: &Model) -> Vec<Job> {
    let list = |list, limit| Job::List { list, reader: None, limit, pages_max: None, depth_max: None };
    let mut jobs = vec![list(List::AllPosts, Some(100))];
    for person in model.everybody().step_by(SAMPLE) {
        jobs.push(Job::Profile { person, reader: None });
        jobs.push(list(List::PostsOf { person }, None));
        jobs.push(list(List::Followers { person }, Some(7)));
        jobs.push(list(List::Following { person }, Some(100)));
    }
    for person in model.who_left() {
        jobs.push(Job::Left { person, reader: None });
        jobs.push(list(List::PostsOf { person }, None));
    }
    for post in model.every_post().step_by(SAMPLE) {
        if let Some(by) = model.gone_by(post) {
            jobs.push(Job::Gone { post, by, reader: None });
        } else {
            jobs.push(Job::Post { post, reader: None });
            jobs.push(list(List::Comments { post }, Some(7)));
            jobs.push(list(List::Likes { post }, Some(7)));
        }
    }
    jobs
}

impl List {
    pub(super) fn path(self, model: &Model) -> Option<String> {
        let path = match self {
            Self::AllPosts => "/posts".to_owned(),
            Self::PostsOf { person } => format!("/posts?author_id={}", model.person_id(person)?),
            Self::Feed { .. } => "/feed?mode=latest".to_owned(),
            Self::Followers { person } => format!("/users/{}/followers", model.person_id(person)?),
            Self::Following { person } => format!("/users/{}/following", model.person_id(person)?),
            Self::Comments { post } => format!("{}/comments", model.post_path(post)?),
            Self::Likes { post } => format!("{}/likes", model.post_path(post)?),
        };
        Some(path)
    }

    pub(super) fn array(self) -> &'static str {
        match self {
            Self::AllPosts | Self::PostsOf { .. } => "posts",
            Self::Feed { .. } => "feed",
            Self::Followers { .. } | Self::Following { .. } => "users",
            Self::Comments { .. } => "comments",
            Self::Likes { .. } => "likes",
        }
    }

    pub(super) fn key(self) -> &'static str {
        if matches!(self, Self::Likes { .. }) { "user_id" } else { "id" }
    }

    /// The numbers of the posts, people or comments that must be listed, in order.
    pub(super) fn expected(self, model: &Model) -> Vec<usize> {
        match self {
            Self::AllPosts => model.all_posts(),
            Self::PostsOf { person } => model.posts_of(person),
            Self::Feed { person } => model.feed(person),
            Self::Followers { person } => model.followers(person),
            Self::Following { person } => model.following(person),
            Self::Comments { post } => model.comments_of(post),
            Self::Likes { post } => model.likes_of(post),
        }
    }

    pub(super) fn id(self, model: &Model, index: usize) -> Option<&str> {
        match self {
            Self::AllPosts | Self::PostsOf { .. } | Self::Feed { .. } => model.post_id(index),
            Self::Followers { .. } | Self::Following { .. } | Self::Likes { .. } => model.person_id(index),
            Self::Comments { .. } => model.comment_id(index),
        }
    }

    pub(super) fn item(self, model: &Model, index: usize, reader: Option<usize>) -> Value {
        match self {
            Self::AllPosts | Self::PostsOf { .. } | Self::Feed { .. } => model.post(index, reader),
            Self::Followers { .. } | Self::Following { .. } => model.public_profile(index, reader),
            Self::Comments { .. } => model.comment(index),
            Self::Likes { post } => model.like(post, index),
        }
    }

    /// The write that is lost if this is not listed; `None` where another read tells.
    pub(super) fn write(self, index: usize) -> Option<Act> {
        match self {
            Self::AllPosts | Self::PostsOf { .. } | Self::Feed { .. } => None,
            Self::Followers { person } => Some(Act::Follow { follower: index, followee: person }),
            Self::Following { person } => Some(Act::Follow { follower: person, followee: index }),
            Self::Comments { .. } => Some(Act::Comment { comment: index }),
            Self::Likes { post } => Some(Act::Like { person: index, post }),
        }
    }

    /// The writes of which one is lost if this is still listed: its own undoing, and the leave of whoever it is of.
    pub(super) fn undoing(self, plan: &Plan, index: usize) -> [Act; 2] {
        let (act, person) = match self {
            Self::AllPosts | Self::PostsOf { .. } | Self::Feed { .. } => {
                (Act::DeletePost { post: index }, plan.posts[index].author)
            }
            Self::Followers { person } => (Act::Unfollow { follower: index, followee: person }, index),
            Self::Following { person } => (Act::Unfollow { follower: person, followee: index }, index),
            Self::Comments { .. } => (Act::DeleteComment { comment: index }, plan.comments[index].author),
            Self::Likes { post } => (Act::Unlike { person: index, post }, index),
        };
        [act, Act::Leave { person }]
    }
}
