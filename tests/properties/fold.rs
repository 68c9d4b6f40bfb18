//! The plain fold that the read models are compared with: key by key over the whole history, slow and short.

mod sagas;

use crate::answers::{Answers, PostAnswer, ProfileAnswer, Standing};
use crate::history::{CLAIMS, Decision, POSTS, SESSIONS, USERS, claim, post, session, user};
use crate::log::key_of;
use events::{
    Claimed, CommentEvent, CommentId, Content, Email, Event, FeedSlotEvent, FollowEvent, Hashtags, Key, LikeEvent,
    Mentions, PasswordHash, PostEvent, PostId, Role, SagaId, Sealable, Sealed, SessionEvent, SessionId, Timestamp,
    UserEvent, UserId, Username,
};
use journal::{Partition, partition_of};
use projections::posts::Traces;
use projections::sessions::{CLOSED_KEPT, SessionState};
use projections::users::Related;
use sagas::Happened;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Fold<'a> {
    destroyed: BTreeSet<UserId>,
    created: BTreeMap<UserId, Person<'a>>,
    disabled: BTreeSet<UserId>,
    follows: BTreeMap<(UserId, UserId), Timestamp>,
    /// As the feed has them, which knows no accounts but forgets whom a disabled one followed.
    followed: BTreeSet<(UserId, UserId)>,
    slots: BTreeMap<(UserId, PostId), Timestamp>,
    drafts: BTreeMap<PostId, PostAnswer>,
    posts: BTreeMap<PostId, PostAnswer>,
    comments: BTreeMap<(PostId, CommentId), (Timestamp, UserId, String)>,
    likes: BTreeMap<(PostId, UserId), Timestamp>,
    /// Whose, and since when closed.
    sessions: BTreeMap<SessionId, (UserId, Option<Timestamp>)>,
    /// The newest commit of each partition.
    now: BTreeMap<Partition, Timestamp>,
    /// On which key, and what happened.
    sagas: BTreeMap<SagaId, (Key, Vec<Happened<'a>>)>,
}

/// An account, whether or not it can still be read.
struct Person<'a> {
    created_at: Timestamp,
    email: &'a Sealed<Email>,
    username: &'a Sealed<Username>,
    password: &'a Sealed<PasswordHash>,
    bio: Option<String>,
    role: Role,
    /// Until the log says that the key is destroyed.
    claims: Option<(Claimed, Claimed)>,
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
            for event in &decision.events {
                fold.apply(event, decision.time);
                if let Event::Saga(saga) = event {
                    let events = &mut fold.sagas.entry(saga.saga()).or_insert((key, Vec::new())).1;
                    events.push((decision.time, saga, event.wire_name().0));
                }
            }
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
            Event::User(event) => self.apply_to_user(event, at),
            Event::Follow(FollowEvent::Started(e)) => {
                self.follows.insert((e.follower, e.followee), at);
                self.followed.insert((e.follower, e.followee));
            }
            Event::Follow(FollowEvent::Ended(e)) => {
                self.follows.remove(&(e.follower, e.followee));
                self.followed.remove(&(e.follower, e.followee));
            }
            Event::Post(PostEvent::Published(e)) => {
                let post = self.post(e.author, &e.content, e.hashtags.as_ref(), e.mentions.as_ref(), at);
                self.posts.extend(post.map(|post| (e.post, post)));
            }
            Event::Post(PostEvent::Drafted(e)) => {
                let post = self.post(e.author, &e.content, e.hashtags.as_ref(), e.mentions.as_ref(), at);
                self.drafts.extend(post.map(|post| (e.post, post)));
            }
            Event::Post(PostEvent::DraftPublished(e)) => {
                let post = self.drafts.remove(&e.post);
                self.posts.extend(post.map(|post| (e.post, PostAnswer { created_at: at, ..post })));
            }
            Event::Post(PostEvent::DraftDropped(e)) => {
                self.drafts.remove(&e.post);
            }
            Event::FeedSlot(FeedSlotEvent::Reserved(e)) => {
                self.slots.insert((e.user, e.post), at);
            }
            Event::FeedSlot(FeedSlotEvent::Committed(e)) => {
                self.slots.remove(&(e.user, e.post));
            }
            Event::FeedSlot(FeedSlotEvent::Released(e)) => {
                self.slots.remove(&(e.user, e.post));
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

    fn apply_to_user(&mut self, event: &'a UserEvent, at: Timestamp) {
        match event {
            UserEvent::Created(e) => {
                let email = Claimed { claim: e.email_claim, version: e.email_version };
                let username = Claimed { claim: e.username_claim, version: e.username_version };
                let person = Person {
                    created_at: at,
                    email: &e.email,
                    username: &e.username,
                    password: &e.password,
                    bio: None,
                    role: Role::User,
                    claims: Some((email, username)),
                };
                self.created.insert(e.user, person);
            }
            UserEvent::BioChanged(e) => {
                let bio = e.bio.as_ref().and_then(|bio| self.open(e.user, bio));
                self.created.get_mut(&e.user).unwrap().bio = bio.map(|bio| bio.as_str().to_owned());
            }
            UserEvent::EmailChanged(e) => {
                let person = self.created.get_mut(&e.user).unwrap();
                person.email = &e.email;
                person.claims = person.claims.map(|(_, username)| (e.claimed, username));
            }
            UserEvent::UsernameChanged(e) => {
                let person = self.created.get_mut(&e.user).unwrap();
                person.username = &e.username;
                person.claims = person.claims.map(|(email, _)| (email, e.claimed));
            }
            UserEvent::RoleChanged(e) => self.created.get_mut(&e.user).unwrap().role = e.role,
            UserEvent::Disabled(e) => {
                self.disabled.insert(e.user);
                self.followed.retain(|(follower, _)| *follower != e.user);
                self.slots.retain(|(user, _), _| *user != e.user);
                let open = self.sessions.values_mut().filter(|(user, closed)| *user == e.user && closed.is_none());
                open.for_each(|(_, closed)| *closed = Some(at));
            }
            UserEvent::KeyDestroyed(e) => {
                self.disabled.insert(e.user);
                self.created.get_mut(&e.user).unwrap().claims = None;
            }
        }
    }

    /// What can be read of a post or a draft.
    fn post(
        &self,
        author: UserId,
        content: &Sealed<Content>,
        hashtags: Option<&Sealed<Hashtags>>,
        mentions: Option<&Sealed<Mentions>>,
        created_at: Timestamp,
    ) -> Option<PostAnswer> {
        Some(PostAnswer {
            author,
            content: self.open(author, content)?.as_str().to_owned(),
            hashtags: hashtags.and_then(|it| self.open(author, it)).unwrap_or_default().0,
            mentions: mentions.and_then(|it| self.open(author, it)).unwrap_or_default().0,
            created_at,
            edited_at: None,
            likes: 0,
            comments: 0,
        })
    }

    fn is_here(&self, user: UserId) -> bool {
        self.created.contains_key(&user) && !self.destroyed.contains(&user) && !self.disabled.contains(&user)
    }

    fn answers(mut self, partitions: u32) -> Answers {
        let mut all = Answers::default();
        for id in (0..USERS).map(user) {
            all.standings.insert(id, self.standing(id));
            all.traces.insert(id, self.traces(id));
            all.feeds.insert(id, self.feed(id));
        }
        let here = (0..USERS).map(user).filter(|user| self.is_here(*user)).collect::<BTreeSet<_>>();
        self.follows.retain(|(follower, followee), _| here.contains(follower) && here.contains(followee));
        for id in (0..USERS).map(user) {
            self.answers_on_user(id, &mut all);
        }
        for n in 0..CLAIMS {
            let holder = |which: fn(&(Claimed, Claimed)) -> Claimed| {
                let claims = here.iter().map(|id| (which(&self.created[id].claims.unwrap()), *id));
                claims.filter(|(it, _)| it.claim == claim(n)).max_by_key(|(it, id)| (it.version, *id)).map(|(_, id)| id)
            };
            if let Some(id) = holder(|(email, _)| *email) {
                let password = self.open(id, self.created[&id].password).unwrap();
                all.credentials.insert(n, (id, password.as_str().to_owned()));
            }
            all.usernames.extend(holder(|(_, username)| *username).map(|id| (n, id)));
        }
        let drafts = self.drafts.iter();
        all.drafts = drafts.map(|(id, it)| (*id, (it.author, it.created_at, it.content.clone()))).collect();
        sagas::answers(&self.sagas, &mut all);
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
        if self.is_here(id) {
            let person = &self.created[&id];
            let profile = ProfileAnswer {
                email: self.open(id, person.email).unwrap().as_str().to_owned(),
                username: self.open(id, person.username).unwrap().as_str().to_owned(),
                bio: person.bio.clone(),
                created_at: person.created_at,
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

    fn standing(&self, id: UserId) -> Standing {
        let person = self.created.get(&id);
        let follows = self.follows.keys();
        Standing {
            role: person.filter(|_| self.is_here(id)).map_or(Role::User, |person| person.role),
            is_disabled: self.disabled.contains(&id),
            holds: self.is_here(id),
            claims: person.and_then(|person| person.claims),
            related: Related {
                followers: follows.clone().filter(|(_, b)| *b == id).map(|(a, _)| *a).collect(),
                following: follows.filter(|(a, _)| *a == id).map(|(_, b)| *b).collect(),
            },
        }
    }

    fn traces(&self, id: UserId) -> Traces {
        let of_another = |post: &PostId| self.posts.get(post).is_some_and(|post| post.author != id);
        let posts = self.posts.iter().chain(&self.drafts).filter(|(_, post)| post.author == id);
        let posts = posts.map(|(post, _)| *post).collect::<BTreeSet<_>>();
        let comments = self.comments.iter().filter(|((post, _), (_, author, _))| of_another(post) && *author == id);
        let likes = self.likes.keys().filter(|(post, user)| of_another(post) && *user == id);
        Traces {
            posts: posts.into_iter().collect(),
            comments: comments.map(|(place, _)| *place).collect(),
            likes: likes.map(|(post, _)| *post).collect(),
        }
    }

    /// Posts of theirs and of whom they follow, and drafts of theirs that are not among these.
    fn feed(&self, id: UserId) -> Vec<PostId> {
        let is_shown = |author: UserId| author == id || self.followed.contains(&(id, author));
        let posts = self.posts.iter().filter(|(_, post)| is_shown(post.author)).map(|(id, it)| (it.created_at, *id));
        let slots = self.slots.iter().filter(|((user, post), _)| *user == id && !self.posts.contains_key(post));
        newest(posts.chain(slots.map(|((_, post), at)| (*at, *post))))
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
