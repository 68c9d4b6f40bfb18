//! Random histories as the write side could have written them, and the logs that hold them.

mod sagas;

pub(crate) use sagas::{SAGAS, USER_DELETION};

use crate::log::{MemoryLog, key_of};
use events::{
    Bio, BioChanged, BlockEnded, BlockStarted, Claimed, CommentAdded, CommentDeleted, CommentId, CommentText, Content,
    Device, Digest, Email, EmailChanged, Event, FeedSlotCommitted, FeedSlotReleased, FeedSlotReserved, FollowEnded,
    FollowStarted, Hashtags, Key, LikeAdded, LikeRemoved, Mentions, MuteEnded, MuteStarted, PasswordChanged,
    PasswordHash, PostDeleted, PostDraftDropped, PostDraftPublished, PostDrafted, PostEdited, PostId, PostPublished,
    Role, RoleChanged, SagaId, Sealed, SessionClosed, SessionId, SessionOpened, SessionRefreshed, Timestamp,
    UserCreated, UserDisabled, UserId, UserKeyDestroyed, Username, UsernameChanged,
};
use journal::{Journal, Partition, Position};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use uuid::Uuid;

/// The last of the users never gets an account.
pub(crate) const USERS: u8 = 6;
pub(crate) const POSTS: u8 = 6;
pub(crate) const COMMENTS: u8 = 4;
pub(crate) const TAGS: u8 = 3;
/// Two for each who registers.
pub(crate) const SESSIONS: u8 = 2 * (USERS - 1);
/// Fewer than users: some are claimed twice.
pub(crate) const CLAIMS: u8 = 4;

/// Longer than any history takes, so that all open sessions are listed.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(1_000_000_000);

/// A decision: what happened on a key, when.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) key: Key,
    pub(crate) time: Timestamp,
    pub(crate) actor: Option<UserId>,
    pub(crate) events: Vec<Event>,
    /// How many void records, and whether a claim, stand before it.
    noise: u8,
}

/// Ids whose order has nothing to do with that of their numbers.
fn id(kind: u128, n: u8) -> Uuid {
    Uuid::from_u128((kind * 256 + u128::from(n) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

pub(crate) fn user(n: u8) -> UserId {
    UserId(id(1, n % USERS))
}

pub(crate) fn post(n: u8) -> PostId {
    PostId(id(2, n % POSTS))
}

pub(crate) fn comment(n: u8) -> CommentId {
    CommentId(id(3, n % COMMENTS))
}

pub(crate) fn session(n: u8) -> SessionId {
    SessionId(id(4, n % SESSIONS))
}

pub(crate) fn saga(n: u8) -> SagaId {
    SagaId(id(5, n % SAGAS))
}

pub(crate) fn hashtag(n: u8) -> String {
    format!("tag{}", n % TAGS)
}

pub(crate) fn claim(n: u8) -> Digest {
    Digest([n % CLAIMS; 32])
}

/// A history of about `length` decisions.
pub(crate) fn histories(length: usize) -> impl Strategy<Value = Vec<Decision>> {
    let wish = (0..25_u8, any::<u8>(), any::<u8>(), any::<u8>());
    prop::collection::vec(wish, 0..length).prop_map(|wishes| {
        let mut writer = Writer::default();
        wishes.into_iter().filter_map(|wish| writer.decide(wish)).collect()
    })
}

/// What the write side knows, as far as it keeps it from deciding what cannot be.
#[derive(Default)]
struct Writer {
    time: Timestamp,
    accounts: BTreeSet<UserId>,
    disabled: BTreeSet<UserId>,
    /// How often an address or a name was claimed anew.
    renames: u64,
    follows: BTreeSet<(UserId, UserId)>,
    blocks: BTreeSet<(UserId, UserId)>,
    mutes: BTreeSet<(UserId, UserId)>,
    /// The author, and whether it is still there.
    posts: BTreeMap<PostId, (UserId, bool)>,
    drafts: BTreeSet<PostId>,
    /// Slots that were reserved, and whether they still are.
    slots: BTreeMap<PostId, bool>,
    comments: BTreeMap<(PostId, CommentId), (UserId, bool)>,
    likes: BTreeSet<(PostId, UserId)>,
    sessions: BTreeSet<SessionId>,
    sagas: sagas::Course,
}

impl Writer {
    fn decide(&mut self, (what, a, b, c): (u8, u8, u8, u8)) -> Option<Decision> {
        // Many commits of one time, and now and then a pause after which sessions are forgotten.
        let pause = if c < 8 { Duration::from_secs(2_400) } else { Duration::from_micros(u64::from(c % 3) / 2) };
        self.time = self.time.plus(pause);
        let (person, other) = (user(a), user(b));
        let (thread, remark) = (post(b), comment(c));
        let alive = self.posts.get(&thread).filter(|(_, alive)| *alive).map(|(author, _)| *author);
        let alive = alive.filter(|_| !self.drafts.contains(&thread));
        let (key, events): (Key, Vec<Event>) = match what {
            0 | 1 => {
                // The last user never registers.
                let n = a % (USERS - 1);
                let person = user(n);
                if !self.accounts.insert(person) {
                    return None;
                }
                self.sessions.insert(session(n));
                let events = vec![created(n).into(), opened(session(n), person, self.time).into()];
                (Key::User(person), events)
            }
            18 | 19 => self.sagas.go_on(b, c)?,
            20 if self.disabled.contains(&person) => {
                (Key::User(person), vec![UserKeyDestroyed { user: person }.into()])
            }
            _ if !self.accounts.contains(&person) => return None,
            // The account itself no longer changes. What else its owner had under way may still be decided, and their
            // deletion deletes in their name.
            2 | 17 if self.disabled.contains(&person) => return None,
            2 => {
                let bio = (b > 60).then(|| seal(person, &Bio::parse(&format!("bio {b}")).unwrap()));
                (Key::User(person), vec![BioChanged { user: person, bio }.into()])
            }
            3 | 4 => {
                if person == other || !self.follows.insert((person, other)) {
                    return None;
                }
                (Key::User(person), vec![FollowStarted { follower: person, followee: other }.into()])
            }
            5 => {
                if !self.follows.remove(&(person, other)) {
                    return None;
                }
                (Key::User(person), vec![FollowEnded { follower: person, followee: other }.into()])
            }
            6 | 7 => {
                if self.posts.contains_key(&thread) {
                    return None;
                }
                self.posts.insert(thread, (person, true));
                let content = seal(person, &Content::parse(&format!("post {c}")).unwrap());
                let hashtags = tagged(person, c);
                let mentions = (c % 3 == 0).then(|| seal(person, &Mentions(vec![other])));
                let published = PostPublished { post: thread, author: person, content, hashtags, mentions };
                let mut events = vec![published.into()];
                if c % 5 == 0 && self.likes.insert((thread, person)) {
                    events.push(LikeAdded { post: thread, user: person }.into());
                }
                (Key::Post(thread), events)
            }
            8 => {
                let author = alive?;
                let content = seal(author, &Content::parse(&format!("edited {c}")).unwrap());
                let edited = PostEdited { post: thread, author, content, hashtags: tagged(author, c), mentions: None };
                (Key::Post(thread), vec![edited.into()])
            }
            9 => {
                let author = alive.filter(|_| c < 100)?;
                self.posts.insert(thread, (author, false));
                (Key::Post(thread), vec![PostDeleted { post: thread, author }.into()])
            }
            10 => {
                alive?;
                if let Some((author, there)) = self.comments.get_mut(&(thread, remark)) {
                    if !*there {
                        return None;
                    }
                    *there = false;
                    let deleted = CommentDeleted { comment: remark, post: thread, author: *author };
                    (Key::Post(thread), vec![deleted.into()])
                } else {
                    self.comments.insert((thread, remark), (person, true));
                    let text = seal(person, &CommentText::parse(&format!("comment {a}")).unwrap());
                    let added = CommentAdded { comment: remark, post: thread, author: person, text };
                    (Key::Post(thread), vec![added.into()])
                }
            }
            11 | 12 => {
                alive?;
                let like = (thread, person);
                if self.likes.remove(&like) {
                    (Key::Post(thread), vec![LikeRemoved { post: thread, user: person }.into()])
                } else {
                    self.likes.insert(like);
                    (Key::Post(thread), vec![LikeAdded { post: thread, user: person }.into()])
                }
            }
            14 => (Key::Post(thread), self.draft(person, other, thread, c)?),
            15 | 16 => (Key::User(person), vec![self.slot(person, thread, c)?]),
            17 => (Key::User(person), vec![self.rename(person, b, c)]),
            22..=24 if person == other => return None,
            22 | 23 => {
                let pair = (person, other);
                let event = if self.blocks.remove(&pair) {
                    BlockEnded { user: person, target: other }.into()
                } else {
                    self.blocks.insert(pair);
                    BlockStarted { user: person, target: other }.into()
                };
                (Key::User(person), vec![event])
            }
            24 => {
                let pair = (person, other);
                let event = if self.mutes.remove(&pair) {
                    MuteEnded { user: person, target: other }.into()
                } else {
                    self.mutes.insert(pair);
                    MuteStarted { user: person, target: other }.into()
                };
                (Key::User(person), vec![event])
            }
            20 if c < 50 => {
                self.disabled.insert(person);
                // Nobody relies on the account being disabled first.
                let gone = match b % 4 {
                    0 => UserKeyDestroyed { user: person }.into(),
                    _ => UserDisabled { user: person }.into(),
                };
                (Key::User(person), vec![gone])
            }
            20 => {
                let role = if b % 2 == 0 { Role::Operator } else { Role::User };
                let changed = RoleChanged { user: person, role, by: None, reason: "a test".to_owned() };
                (Key::User(person), vec![changed.into()])
            }
            _ => {
                // A session never changes hands.
                let (session, user) = (session(b), user(b % SESSIONS % (USERS - 1)));
                if !self.accounts.contains(&user) || self.disabled.contains(&user) {
                    return None;
                }
                (Key::User(user), vec![self.sign(session, user, c)])
            }
        };
        let actor = (b % 2 == 0).then_some(person);
        Some(Decision { key, time: self.time, actor, events, noise: c / 16 })
    }

    /// Signs in or out, refreshes the session, or changes the password.
    fn sign(&mut self, session: SessionId, user: UserId, c: u8) -> Event {
        if c.is_multiple_of(5) {
            self.sessions.retain(|session| owner_of(*session) != user);
            let password = seal(user, &PasswordHash::new(format!("new hash {c}")));
            return PasswordChanged { user, password }.into();
        }
        if !self.sessions.contains(&session) {
            self.sessions.insert(session);
            return opened(session, user, self.time).into();
        }
        if c.is_multiple_of(2) {
            let (generation, former_until) = (u32::from(c), self.time);
            let refresh_until = self.time.plus(SESSION_LIFE);
            return SessionRefreshed { session, user, generation, former_until, refresh_until }.into();
        }
        self.sessions.remove(&session);
        SessionClosed { session, user }.into()
    }

    /// Drafts a post, or publishes or drops the draft.
    fn draft(&mut self, person: UserId, other: UserId, post: PostId, c: u8) -> Option<Vec<Event>> {
        if self.drafts.remove(&post) {
            let (author, alive) = self.posts.get_mut(&post)?;
            let author = *author;
            *alive = !c.is_multiple_of(3);
            return Some(vec![match *alive {
                true => PostDraftPublished { post, author }.into(),
                false => PostDraftDropped { post, author }.into(),
            }]);
        }
        if self.posts.contains_key(&post) {
            return None;
        }
        self.posts.insert(post, (person, true));
        self.drafts.insert(post);
        let content = seal(person, &Content::parse(&format!("draft {c}")).unwrap());
        let mentions = c.is_multiple_of(3).then(|| seal(person, &Mentions(vec![other])));
        Some(vec![PostDrafted { post, author: person, content, hashtags: tagged(person, c), mentions }.into()])
    }

    /// Reserves the slot of a post, commits or releases it; now and then one is released that never was reserved.
    fn slot(&mut self, user: UserId, post: PostId, c: u8) -> Option<Event> {
        let (author, _) = self.posts.get(&post)?;
        if *author != user {
            return None;
        }
        let saga = SagaId(Uuid::nil());
        match self.slots.get(&post) {
            None if c < 16 => {
                self.slots.insert(post, false);
                Some(FeedSlotReleased { user, post, saga }.into())
            }
            None if self.disabled.contains(&user) => None,
            None => {
                self.slots.insert(post, true);
                Some(FeedSlotReserved { user, post, saga }.into())
            }
            Some(true) => {
                self.slots.insert(post, false);
                Some(match c % 2 {
                    0 => FeedSlotCommitted { user, post, saga }.into(),
                    _ => FeedSlotReleased { user, post, saga }.into(),
                })
            }
            Some(false) => None,
        }
    }

    /// Whatever is claimed anew is claimed by a higher version than all before.
    fn rename(&mut self, user: UserId, b: u8, c: u8) -> Event {
        self.renames += 1;
        let claimed = Claimed { claim: claim(b), version: u64::from(u8::MAX) + self.renames };
        if c.is_multiple_of(2) {
            let email = seal(user, &Email::parse(&format!("u{b}@example.org")).unwrap());
            return EmailChanged { user, email, claimed }.into();
        }
        let username = seal(user, &Username::parse(&format!("renamed_{b}")).unwrap());
        UsernameChanged { user, username, claimed }.into()
    }
}

/// A session never changes hands.
pub(crate) fn owner_of(session: SessionId) -> UserId {
    let n = (0..SESSIONS).find(|n| self::session(*n) == session).expect("one of the few");
    user(n % (USERS - 1))
}

fn opened(session: SessionId, user: UserId, at: Timestamp) -> SessionOpened {
    let device = Device::of("a client").map(|device| seal(user, &device));
    SessionOpened { session, user, device, refresh_until: Some(at.plus(SESSION_LIFE)) }
}

fn created(n: u8) -> UserCreated {
    let user = user(n);
    UserCreated {
        user,
        email: seal(user, &Email::parse(&format!("u{n}@example.com")).unwrap()),
        username: seal(user, &Username::parse(&format!("user_{n}")).unwrap()),
        password: seal(user, &PasswordHash::new(format!("hash {n}"))),
        email_claim: claim(n),
        email_version: u64::from(n / CLAIMS) + 1,
        username_claim: claim(n),
        username_version: u64::from(n / CLAIMS) + 1,
    }
}

fn seal<T: events::Sealable>(user: UserId, value: &T) -> Sealed<T> {
    Sealed::seal(value, &key_of(user))
}

/// None, one or two hashtags.
fn tagged(user: UserId, c: u8) -> Option<Sealed<Hashtags>> {
    let tags = [hashtag(c), hashtag(c / TAGS)];
    let tags = if tags[0] == tags[1] { &tags[..1] } else { &tags };
    (!c.is_multiple_of(5)).then(|| seal(user, &Hashtags(tags.into())))
}

/// Appends a decision, with what may stand before it.
pub(crate) fn append(log: &MemoryLog, decision: &Decision) -> Position {
    let partition: Partition = journal::partition_of(&decision.key, log.partitions());
    match decision.noise {
        0 => log.claim(partition),
        1 | 2 => (0..decision.noise).for_each(|_| log.void(partition)),
        _ => {}
    }
    log.append(decision.key, decision.time, decision.actor, decision.events.clone())
}
