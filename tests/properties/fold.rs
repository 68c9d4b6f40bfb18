//! The plain fold that the read models are compared with: key by key over the whole history, slow and short.

use crate::answers::{Answers, PostAnswer, ProfileAnswer};
use crate::history::{CLAIMS, Decision, POSTS, SESSIONS, USERS, claim, post, session, user};
use crate::log::key_of;
use events::{
    CommentEvent, CommentId, Event, FollowEvent, Key, LikeEvent, PostEvent, PostId, Sealable, Sealed, SessionEvent,
    SessionId, Timestamp, UserCreated, UserEvent, UserId,
};
use journal::{Partition, partition_of};
use projections::sessions::{CLOSED_KEPT, SessionState};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Fold<'a> {
    destroyed: BTreeSet<UserId>,
    /// When, what, bio.
    created: BTreeMap<UserId, (Timestamp, &'a UserCreated, Option<String>)>,
    follows: BTreeMap<(UserId, UserId), Timestamp>,
    posts: BTreeMap<PostId, PostAnswer>,
    comments: BTreeMap<(PostId, CommentId), (Timestamp, UserId, String)>,
    likes: BTreeMap<(PostId, UserId), Timestamp>,
    /// Whose, and since when closed.
    sessions: BTreeMap<SessionId, (UserId, Option<Timestamp>)>,
    /// The newest commit of each partition.
    now: BTreeMap<Partition, Timestamp>,
}

/// The answers after the whole history.
pub(crate) fn fold(history: &[Decision], destroyed: &BTreeSet<UserId>, partitions: u32) -> Answers {
    let mut fold = Fold { destroyed: destroyed.clone(), ..Fold::default() };
    let mut by_key: BTreeMap<Key, Vec<&Decision>> = BTreeMap::new();
    for decision in history {
        by_key.entry(decision.key).or_default().push(decision);
    }
    for (key, decisions) in by_key {
        let now = fold.now.entry(partition_of(&key, partitions)).or_default();
        *now = decisions.iter().map(|decision| decision.time).chain([*now]).max().unwrap();
        for decision in decisions {
            decision.events.iter().for_each(|event| fold.apply(event, decision.time));
        }
    }
    fold.answers(partitions)
}

impl<'a> Fold<'a> {
    fn open<T: Sealable>(&self, of: UserId, sealed: &Sealed<T>) -> Option<T> {
        (!self.destroyed.contains(&of)).then(|| sealed.open(&key_of(of)).unwrap())
    }

    fn apply(&mut self, event: &'a Event, at: Timestamp) {
        match event {
            Event::User(UserEvent::Created(e)) => {
                self.created.insert(e.user, (at, e, None));
            }
            Event::User(UserEvent::BioChanged(e)) => {
                let bio = e.bio.as_ref().and_then(|bio| self.open(e.user, bio));
                self.created.get_mut(&e.user).unwrap().2 = bio.map(|bio| bio.as_str().to_owned());
            }
            Event::Follow(FollowEvent::Started(e)) => {
                self.follows.insert((e.follower, e.followee), at);
            }
            Event::Follow(FollowEvent::Ended(e)) => {
                self.follows.remove(&(e.follower, e.followee));
            }
            Event::Post(PostEvent::Published(e)) => {
                if let Some(content) = self.open(e.author, &e.content) {
                    let tags = e.hashtags.as_ref().and_then(|it| self.open(e.author, it)).unwrap_or_default();
                    let mentions = e.mentions.as_ref().and_then(|it| self.open(e.author, it)).unwrap_or_default();
                    let post = PostAnswer {
                        author: e.author,
                        content: content.as_str().to_owned(),
                        hashtags: tags.0,
                        mentions: mentions.0,
                        created_at: at,
                        edited_at: None,
                        likes: 0,
                        comments: 0,
                    };
                    self.posts.insert(e.post, post);
                }
            }
            Event::Post(PostEvent::Edited(e)) => {
                if let Some(content) = self.open(e.author, &e.content) {
                    let post = self.posts.get_mut(&e.post).unwrap();
                    post.content = content.as_str().to_owned();
                    (post.hashtags, post.mentions, post.edited_at) = (Vec::new(), Vec::new(), Some(at));
                }
            }
            Event::Post(PostEvent::Deleted(e)) => {
                self.posts.remove(&e.post);
            }
            Event::Comment(CommentEvent::Added(e)) => {
                if let Some(text) = self.open(e.author, &e.text) {
                    self.comments.insert((e.post, e.comment), (at, e.author, text.as_str().to_owned()));
                }
            }
            Event::Comment(CommentEvent::Deleted(e)) => {
                self.comments.remove(&(e.post, e.comment));
            }
            Event::Like(LikeEvent::Added(e)) => {
                self.likes.insert((e.post, e.user), at);
            }
            Event::Like(LikeEvent::Removed(e)) => {
                self.likes.remove(&(e.post, e.user));
            }
            Event::Session(SessionEvent::Opened(e)) => {
                self.sessions.insert(e.session, (e.user, None));
            }
            Event::Session(SessionEvent::Closed(e)) => {
                self.sessions.insert(e.session, (e.user, Some(at)));
            }
            Event::Claim(_) | Event::Saga(_) => {}
        }
    }

    fn answers(mut self, partitions: u32) -> Answers {
        let mut all = Answers::default();
        // The feed knows no accounts.
        let followed = self.follows.keys().copied().collect::<Vec<_>>();
        let is_here = |user: &UserId| self.created.contains_key(user) && !self.destroyed.contains(user);
        self.follows.retain(|(follower, followee), _| is_here(follower) && is_here(followee));
        for id in (0..USERS).map(user) {
            self.answers_on_user(id, &mut all);
            let authors = followed.iter().filter(|(follower, _)| *follower == id).map(|(_, followee)| *followee);
            all.feeds.insert(id, self.posts_of(&authors.chain([id]).collect::<Vec<_>>()));
        }
        for n in 0..CLAIMS {
            let holder = self.created.values().filter(|(_, e, _)| e.email_claim == claim(n));
            let holder = holder.max_by_key(|(_, e, _)| e.email_version).map(|(_, e, _)| *e);
            if let Some(e) = holder
                && let Some(password) = self.open(e.user, &e.password)
            {
                all.credentials.insert(n, (e.user, password.as_str().to_owned()));
                all.usernames.insert(n, e.user);
            }
        }
        for id in (0..POSTS).map(post) {
            self.answers_on_post(id, &mut all);
        }
        for id in (0..SESSIONS).map(session) {
            let state = match self.sessions.get(&id) {
                None => SessionState::Unknown,
                Some((user, None)) => SessionState::Open { user: *user },
                Some((user, Some(closed))) => {
                    let now = self.now[&partition_of(&Key::User(*user), partitions)];
                    if now.since(*closed) > CLOSED_KEPT { SessionState::Unknown } else { SessionState::Closed }
                }
            };
            all.sessions.insert(id, state);
        }
        all.latest = newest(self.posts.iter().map(|(id, post)| (post.created_at, *id)));
        for (id, post) in &mut self.posts {
            post.likes = all.likes[id].len();
            post.comments = all.comments[id].len();
        }
        all.posts = self.posts;
        all
    }

    fn answers_on_user(&self, id: UserId, all: &mut Answers) {
        let follows = self.follows.iter();
        let mut followers =
            follows.clone().filter(|((_, b), _)| *b == id).map(|((a, _), at)| (*at, *a)).collect::<Vec<_>>();
        let mut following = follows.filter(|((a, _), _)| *a == id).map(|((_, b), at)| (*at, *b)).collect::<Vec<_>>();
        followers.sort_by_key(|it| Reverse(*it));
        following.sort_by_key(|it| Reverse(*it));
        if let Some((created_at, e, bio)) = self.created.get(&id)
            && let Some(email) = self.open(id, &e.email)
        {
            let profile = ProfileAnswer {
                email: email.as_str().to_owned(),
                username: self.open(id, &e.username).unwrap().as_str().to_owned(),
                bio: bio.clone(),
                created_at: *created_at,
                followers: followers.len(),
                following: following.len(),
            };
            all.profiles.insert(id, profile);
        }
        for other in (0..USERS).map(user) {
            let follows = |a, b| self.follows.contains_key(&(a, b));
            all.relations.insert((id, other), (follows(id, other), follows(other, id)));
        }
        all.latest_of.insert(id, self.posts_of(&[id]));
        all.followers.insert(id, followers);
        all.following.insert(id, following);
        let mut liked = Vec::new();
        for n in 0..POSTS {
            if self.posts.contains_key(&post(n)) && self.likes.contains_key(&(post(n), id)) {
                liked.push(post(n));
            }
        }
        all.liked.insert(id, liked);
    }

    fn posts_of(&self, authors: &[UserId]) -> Vec<PostId> {
        let posts = self.posts.iter().filter(|(_, post)| authors.contains(&post.author));
        newest(posts.map(|(id, post)| (post.created_at, *id)))
    }

    fn answers_on_post(&self, id: PostId, all: &mut Answers) {
        let here = self.posts.contains_key(&id);
        let comments = self.comments.iter().filter(|((post, _), _)| here && *post == id);
        let mut comments =
            comments.map(|((_, it), (at, author, text))| (*at, *it, *author, text.clone())).collect::<Vec<_>>();
        comments.sort();
        all.comments.insert(id, comments);
        let likes = self.likes.iter().filter(|((post, _), _)| here && *post == id);
        let mut likes = likes.map(|((_, user), at)| (*at, *user)).collect::<Vec<_>>();
        likes.sort_by_key(|it| Reverse(*it));
        all.likes.insert(id, likes);
    }
}

fn newest(posts: impl Iterator<Item = (Timestamp, PostId)>) -> Vec<PostId> {
    let mut posts = posts.collect::<Vec<_>>();
    posts.sort_by_key(|it| Reverse(*it));
    posts.into_iter().map(|(_, id)| id).collect()
}
