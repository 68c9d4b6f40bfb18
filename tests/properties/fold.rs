//! The plain fold that the read models are compared with: key by key over the whole history, slow and short.
//!
//! Who is gone it knows before it begins, from a look through all of the history; it keeps everything that was ever done,
//! and leaves what is theirs out of each answer.

mod notifications;
mod sagas;
mod views;

use crate::answers::{Answers, PostAnswer, ProfileAnswer, SINCE, Standing, VersionAnswer};
use crate::history::{CLAIMS, Decision, POSTS, SESSIONS, TAGS, USERS, claim, hashtag, post, session, user};
use crate::log::key_of;
use events::{
    BlockEvent, Claimed, CommentEvent, CommentId, Content, Email, Event, FeedSlotEvent, FollowEvent, Hashtags, Key,
    LikeEvent, Mentions, MuteEvent, PasswordHash, PostEvent, PostId, Role, SagaId, Sealable, Sealed, SessionEvent,
    SessionId, Timestamp, UserEvent, UserId, Username,
};
use journal::{Partition, partition_of};
use projections::notifications::Deed;
use projections::posts::{Traces, VERSIONS_KEPT_MAX};
use projections::sessions::{CLOSED_KEPT, SessionState};
use projections::users::Related;
use sagas::Happened;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Fold<'a> {
    destroyed: BTreeSet<UserId>,
    /// Whoever was disabled, or whose key the log says is destroyed.
    gone: BTreeSet<UserId>,
    /// The latter.
    forgotten: BTreeSet<UserId>,
    created: BTreeMap<UserId, Person<'a>>,
    follows: BTreeMap<(UserId, UserId), Timestamp>,
    blocks: BTreeMap<(UserId, UserId), Timestamp>,
    mutes: BTreeMap<(UserId, UserId), Timestamp>,
    slots: BTreeMap<(UserId, PostId), Timestamp>,
    posts: BTreeMap<PostId, Written>,
    /// With the text, if it can be read.
    comments: BTreeMap<(PostId, CommentId), (Timestamp, UserId, Option<String>)>,
    likes: BTreeMap<(PostId, UserId), Timestamp>,
    /// What was done and not soon undone, by whom, and when.
    deeds: BTreeMap<(Deed, UserId), Timestamp>,
    /// Whose, and since when closed.
    sessions: BTreeMap<SessionId, (UserId, Option<Timestamp>)>,
    /// When each was opened last, when it was refreshed last, and by what.
    opened: BTreeMap<SessionId, (Timestamp, Timestamp, Option<String>)>,
    /// The newest commit of each partition.
    now: BTreeMap<Partition, Timestamp>,
    sagas: BTreeMap<SagaId, Vec<Happened<'a>>>,
}

/// A post or a draft.
struct Written {
    author: UserId,
    draft: bool,
    /// `None` if it cannot be read.
    answer: Option<PostAnswer>,
    /// What it said before the last edit, oldest first.
    before: Vec<PostAnswer>,
}

impl Written {
    /// Newest first.
    fn versions(&self) -> Option<Vec<VersionAnswer>> {
        let all = self.before.iter().chain([self.answer.as_ref()?]).zip(1..);
        // Its first version is as old as the post.
        let first = self.answer.as_ref()?.created_at;
        let version =
            |(it, n): (&PostAnswer, u64)| (n, it.content.clone(), it.hashtags.clone(), it.edited_at.unwrap_or(first));
        let mut all = all.map(version).collect::<Vec<_>>();
        all.reverse();
        all.truncate(VERSIONS_KEPT_MAX);
        Some(all)
    }
}

/// An account, whether or not it can still be read.
struct Person<'a> {
    created_at: Timestamp,
    email: &'a Sealed<Email>,
    username: &'a Sealed<Username>,
    password: &'a Sealed<PasswordHash>,
    /// How many there were.
    passwords: u64,
    bio: Option<String>,
    role: Role,
    /// Until the log says that the key is destroyed.
    claims: Option<(Claimed, Claimed)>,
}

/// The answers after the whole history.
pub(crate) fn fold(history: &[Decision], destroyed: &BTreeSet<UserId>, partitions: u32) -> Answers {
    let mut fold = Fold { destroyed: destroyed.clone(), ..Fold::default() };
    for event in history.iter().flat_map(|decision| &decision.events) {
        match event {
            Event::User(UserEvent::Disabled(e)) => fold.gone.insert(e.user),
            Event::User(UserEvent::KeyDestroyed(e)) => fold.gone.insert(e.user) | fold.forgotten.insert(e.user),
            _ => false,
        };
    }
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
                fold.hear(event, decision.time);
                if let Event::Saga(saga) = event {
                    let Decision { time: at, actor, .. } = *decision;
                    let happened = Happened { key, at, actor, event: saga, name: event.wire_name().0 };
                    fold.sagas.entry(saga.saga()).or_default().push(happened);
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
            }
            Event::Follow(FollowEvent::Ended(e)) => {
                self.follows.remove(&(e.follower, e.followee));
            }
            Event::Block(BlockEvent::Started(e)) => {
                self.blocks.insert((e.user, e.target), at);
            }
            Event::Block(BlockEvent::Ended(e)) => {
                self.blocks.remove(&(e.user, e.target));
            }
            Event::Mute(MuteEvent::Started(e)) => {
                self.mutes.insert((e.user, e.target), at);
            }
            Event::Mute(MuteEvent::Ended(e)) => {
                self.mutes.remove(&(e.user, e.target));
            }
            Event::Post(PostEvent::Published(e)) => {
                let answer = self.answer(e.author, &e.content, e.hashtags.as_ref(), e.mentions.as_ref(), at);
                self.posts.insert(e.post, Written { author: e.author, draft: false, answer, before: Vec::new() });
            }
            Event::Post(PostEvent::Drafted(e)) => {
                let answer = self.answer(e.author, &e.content, e.hashtags.as_ref(), e.mentions.as_ref(), at);
                self.posts.insert(e.post, Written { author: e.author, draft: true, answer, before: Vec::new() });
            }
            Event::Post(PostEvent::DraftPublished(e)) => {
                let draft = self.posts.get_mut(&e.post).unwrap();
                draft.draft = false;
                draft.answer.iter_mut().for_each(|answer| answer.created_at = at);
            }
            Event::Post(PostEvent::DraftDropped(e)) => {
                self.posts.remove(&e.post);
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
                let answer = self.answer(e.author, &e.content, e.hashtags.as_ref(), e.mentions.as_ref(), at);
                if let Some(answer) = answer {
                    let post = self.posts.get_mut(&e.post).unwrap();
                    let before = post.answer.take().unwrap();
                    let created_at = before.created_at;
                    post.answer = Some(PostAnswer { created_at, edited_at: Some(at), ..answer });
                    post.before.push(before);
                }
            }
            Event::Post(PostEvent::Deleted(e)) => {
                self.posts.remove(&e.post);
            }
            Event::Comment(CommentEvent::Added(e)) => {
                let text = self.open(e.author, &e.text).map(|text| text.as_str().to_owned());
                self.comments.insert((e.post, e.comment), (at, e.author, text));
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
                let device = e.device.as_ref().and_then(|device| self.open(e.user, device));
                self.opened.insert(e.session, (at, at, device.map(|device| device.as_str().to_owned())));
            }
            Event::Session(SessionEvent::Refreshed(e)) => {
                self.opened.get_mut(&e.session).unwrap().1 = at;
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
                    passwords: 1,
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
            UserEvent::PasswordChanged(e) => {
                let person = self.created.get_mut(&e.user).unwrap();
                (person.password, person.passwords) = (&e.password, person.passwords + 1);
                self.close_all(e.user, at);
            }
            UserEvent::Disabled(e) => self.close_all(e.user, at),
            UserEvent::KeyDestroyed(e) => self.created.get_mut(&e.user).unwrap().claims = None,
        }
    }

    fn close_all(&mut self, user: UserId, at: Timestamp) {
        let open = self.sessions.values_mut().filter(|(whose, closed)| *whose == user && closed.is_none());
        open.for_each(|(_, closed)| *closed = Some(at));
    }

    /// What can be read of a post or a draft.
    fn answer(
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
        self.created.contains_key(&user) && !self.destroyed.contains(&user) && !self.gone.contains(&user)
    }

    /// What everybody sees.
    fn shown(&self) -> impl Iterator<Item = (PostId, &PostAnswer)> {
        let published = self.posts.iter().filter(|(_, post)| !post.draft && !self.gone.contains(&post.author));
        published.filter_map(|(id, post)| Some((*id, post.answer.as_ref()?)))
    }

    fn is_shown(&self, id: PostId) -> bool {
        self.shown().any(|(shown, _)| shown == id)
    }

    fn answers(mut self, partitions: u32) -> Answers {
        let mut all = Answers::default();
        for id in (0..USERS).map(user) {
            all.notifications.insert(id, self.notifications(id));
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
                let Person { password, passwords, .. } = self.created[&id];
                let password = self.open(id, password).unwrap();
                all.credentials.insert(n, (id, password.as_str().to_owned(), passwords));
            }
            all.usernames.extend(holder(|(_, username)| *username).map(|id| (n, id)));
        }
        let drafts = self.posts.iter().filter(|(_, post)| post.draft && !self.gone.contains(&post.author));
        let drafts = drafts.filter_map(|(id, post)| Some((*id, post.answer.as_ref()?)));
        all.drafts = drafts.map(|(id, it)| (id, (it.author, it.created_at, it.content.clone()))).collect();
        sagas::answers(&self.sagas, &self.forgotten, &mut all);
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
            if let SessionState::Open { user } = state {
                let (created_at, refreshed_at, device) = self.opened[&id].clone();
                all.open_sessions.entry(user).or_default().push((created_at, id, refreshed_at, device));
            }
            all.sessions.insert(id, state);
        }
        all.open_sessions.values_mut().for_each(|sessions| sessions.sort_by(|a, b| b.cmp(a)));
        for tag in (0..TAGS).map(hashtag) {
            let tagged = self.shown().filter(|(_, post)| post.hashtags.contains(&tag));
            let tagged = newest(tagged.map(|(id, post)| (post.created_at, id)));
            all.tagged.insert(tag, tagged);
        }
        let there = self.posts.iter().filter(|(_, post)| !self.gone.contains(&post.author));
        all.versions = there.filter_map(|(id, post)| Some((*id, post.versions()?))).collect();
        all.latest = newest(self.shown().map(|(id, post)| (post.created_at, id)));
        all.posts = self.shown().map(|(id, post)| (id, post.clone())).collect();
        for (id, post) in &mut all.posts {
            post.likes = all.likes[id].len();
            post.comments = all.comments[id].len();
        }
        all.views = (0..USERS).map(user).map(|id| (id, self.view(id, &all))).collect();
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
            all.acts.insert((id, other), SINCE.map(|since| self.acts(id, other, since)).into());
        }
        all.latest_of.insert(id, self.posts_of(&[id]));
        all.followers.insert(id, followers);
        all.following.insert(id, following);
        let mut liked = Vec::new();
        for n in 0..POSTS {
            if self.is_shown(post(n)) && self.likes.contains_key(&(post(n), id)) && !self.gone.contains(&id) {
                liked.push(post(n));
            }
        }
        all.liked.insert(id, liked);
    }

    fn standing(&self, id: UserId) -> Standing {
        let person = self.created.get(&id);
        let from = |all: &BTreeMap<(UserId, UserId), Timestamp>| {
            all.keys().filter(|(a, _)| *a == id).map(|(_, b)| *b).collect::<Vec<_>>()
        };
        let to = |all: &BTreeMap<(UserId, UserId), Timestamp>| {
            all.keys().filter(|(_, b)| *b == id).map(|(a, _)| *a).collect::<Vec<_>>()
        };
        Standing {
            role: person.filter(|_| self.is_here(id)).map_or(Role::User, |person| person.role),
            is_disabled: self.gone.contains(&id),
            holds: self.is_here(id),
            claims: person.and_then(|person| person.claims),
            related: Related {
                followers: to(&self.follows),
                following: from(&self.follows),
                blocked_by: to(&self.blocks),
                blocking: from(&self.blocks),
                muted_by: to(&self.mutes),
                muting: from(&self.mutes),
            },
        }
    }

    fn traces(&self, id: UserId) -> Traces {
        let of_another = |post: &PostId| self.posts.get(post).is_some_and(|post| post.author != id);
        let of_drafts = |draft: bool| self.posts.iter().filter(move |(_, it)| it.author == id && it.draft == draft);
        let comments = self.comments.iter().filter(|((post, _), (_, author, _))| of_another(post) && *author == id);
        let likes = self.likes.keys().filter(|(post, user)| of_another(post) && *user == id);
        Traces {
            posts: of_drafts(false).map(|(post, _)| *post).collect(),
            drafts: of_drafts(true).map(|(post, _)| *post).collect(),
            comments: comments.map(|(place, _)| *place).collect(),
            likes: likes.map(|(post, _)| *post).collect(),
        }
    }

    /// Likes and comments of one with posts of another.
    fn acts(&self, id: UserId, author: UserId, since: Timestamp) -> (usize, usize) {
        let is_of = |post: &PostId| id != author && self.posts.get(post).is_some_and(|post| post.author == author);
        let likes = self.likes.iter().filter(|((post, by), at)| *by == id && is_of(post) && **at >= since);
        let comments = self.comments.iter().filter(|((post, _), (at, by, _))| *by == id && is_of(post) && *at >= since);
        (likes.count(), comments.count())
    }

    /// Posts of theirs and of whom they follow, and drafts of theirs that are not among these.
    fn feed(&self, id: UserId) -> Vec<PostId> {
        if self.gone.contains(&id) {
            return Vec::new();
        }
        let is_theirs = |author: UserId| author == id || self.follows.contains_key(&(id, author));
        let posts = self.shown().filter(|(_, post)| is_theirs(post.author)).map(|(id, it)| (it.created_at, id));
        let slots = self.slots.iter().filter(|((user, post), _)| *user == id && !self.is_shown(*post));
        newest(posts.chain(slots.map(|((_, post), at)| (*at, *post))))
    }

    fn posts_of(&self, authors: &[UserId]) -> Vec<PostId> {
        let posts = self.shown().filter(|(_, post)| authors.contains(&post.author));
        newest(posts.map(|(id, post)| (post.created_at, id)))
    }

    fn answers_on_post(&self, id: PostId, all: &mut Answers) {
        let here = self.is_shown(id);
        let comments = self
            .comments
            .iter()
            .filter(|((post, _), (_, author, _))| here && *post == id && !self.gone.contains(author));
        let comments = comments.filter_map(|((_, it), (at, by, text))| Some((*at, *it, *by, text.clone()?)));
        let mut comments = comments.collect::<Vec<_>>();
        comments.sort();
        all.comments.insert(id, comments);
        let likes = self.likes.iter().filter(|((post, by), _)| here && *post == id && !self.gone.contains(by));
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
