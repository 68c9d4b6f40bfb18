//! Sessions on a Redis server, so that one that was ended is ended on every node.
//!
//! `session:{id}` is a hash: of an open one with its `user` and what is shown of it, of a closed one with when it was
//! `closed`. `user:{id}:sessions` has a user's open ones, `closed:{partition}` the closed ones by the time of their end, and
//! `times` the newest time of each partition.

use super::change::Change;
use super::{CLOSED_KEPT, NAME, OpenSession, SessionState, Sessions, listed};
use crate::checkpoint::Checkpoint;
use crate::listing::{Listing, Page};
use crate::read_model::{Advance, ApplyError, ReadModel, Unavailable};
use crate::redis::{Checkpoints, Keyspace, next_of};
use async_trait::async_trait;
use events::{Key, SessionId, Timestamp, UserId};
use journal::{Offset, Partition, partition_of};
use redis::{Script, ScriptInvocation};
use std::str::FromStr;

/// Closed sessions that are forgotten with one batch; further ones wait for the next.
const FORGOTTEN_AT_ONCE_MAX: usize = 10_000;

const ASK: &str = "return look(KEYS[1], KEYS[2], ARGV[1], ARGV[2])";
/// Changes in their order, each of so many arguments; what does not apply is empty.
const WIDTH: usize = 6;
const WRITE: &str = include_str!("redis/write.lua");
/// A user's open sessions, each with what is shown of it.
const LIST: &str = include_str!("redis/list.lua");

/// The read model of sessions, shared by all nodes.
pub struct RedisSessions {
    keys: Keyspace,
    checkpoints: Checkpoints,
    look: Script,
    write: Script,
    list: Script,
}

/// What a script asks about a session: the arguments of [`RedisSessions::LOOK`].
pub struct Question {
    keys: [String; 2],
    partition: Partition,
    known: Offset,
}

/// What that says.
pub type Looked = (Option<String>, Option<String>, Option<String>);

impl Question {
    /// Adds its two keys, and its two arguments.
    pub fn ask(&self, script: &mut ScriptInvocation<'_>) {
        script.key(&self.keys[..]).arg(self.partition.0).arg(self.known);
    }
}

impl RedisSessions {
    /// The build that is under these keys.
    pub fn new(keys: Keyspace) -> Self {
        let checkpoints = Checkpoints { model: NAME, generation: 0, passed: Default::default() };
        let look = Script::new(&["#!lua flags=no-writes\n", Self::LOOK, ASK].concat());
        Self { keys, checkpoints, look, write: Checkpoints::script(WRITE), list: Script::new(LIST) }
    }

    /// Defines `look`, for scripts that do more with what is known of a session.
    pub const LOOK: &str = include_str!("redis/look.lua");

    /// What is to be asked about a session that is said to be this user's.
    pub fn question(&self, session: SessionId, user: UserId) -> Result<Question, Unavailable> {
        let partition = self.partition(user)?;
        let keys = [self.checkpoints.key(&self.keys), self.keys.key(&format!("session:{session}"))];
        Ok(Question { keys, partition, known: self.checkpoints.passed.of(partition) })
    }

    /// What the answer means.
    pub fn answer(&self, asked: &Question, (stored, user, closed): Looked) -> Result<SessionState, Unavailable> {
        if !self.is_whole(asked.partition, asked.known, stored.as_deref())? {
            return Ok(SessionState::Outdated);
        }
        Ok(match (user, closed) {
            (_, Some(_)) => SessionState::Closed,
            (Some(user), None) => SessionState::Open { user: UserId(parsed(&user)?) },
            (None, None) => SessionState::Unknown,
        })
    }

    fn partition(&self, user: UserId) -> Result<Partition, Unavailable> {
        Ok(partition_of(&Key::User(user), self.keys.bound()?.partitions))
    }

    /// Whether what was read together with this checkpoint has lost nothing of what was `known` before.
    fn is_whole(&self, partition: Partition, known: Offset, stored: Option<&str>) -> Result<bool, Unavailable> {
        let next = next_of(stored)?;
        self.checkpoints.passed.note(partition, next);
        Ok(next >= known)
    }
}

#[async_trait]
impl Sessions for RedisSessions {
    async fn state(&self, session: SessionId, user: UserId) -> Result<SessionState, Unavailable> {
        let question = self.question(session, user)?;
        let mut look = self.look.prepare_invoke();
        question.ask(&mut look);
        self.answer(&question, self.keys.ask(&look).await?)
    }

    async fn of(&self, user: UserId, now: Timestamp, page: Page) -> Result<Listing<OpenSession>, Unavailable> {
        let partition = self.partition(user)?;
        let known = self.checkpoints.passed.of(partition);
        let mut list = self.list.prepare_invoke();
        list.key(self.checkpoints.key(&self.keys)).key(self.keys.key(&format!("user:{user}:sessions")));
        list.arg(partition.0).arg(self.keys.key("session:"));
        let (stored, open): (Option<String>, Vec<Row>) = self.keys.ask(&list).await?;
        if !self.is_whole(partition, known, stored.as_deref())? {
            return Err(Unavailable("Redis: it has lost sessions, and gets them from the log again".to_owned()));
        }
        let open = open.into_iter().map(shown).collect::<Result<Vec<_>, _>>()?;
        Ok(listed(open.into_iter(), now, page))
    }

    fn expect(&self, partition: Partition, next: Offset) {
        self.checkpoints.passed.note(partition, next);
    }
}

#[async_trait]
impl ReadModel for RedisSessions {
    fn name(&self) -> &'static str {
        self.checkpoints.model
    }

    fn system(&self) -> Option<&'static str> {
        Some("redis")
    }

    fn generation(&self) -> u64 {
        self.checkpoints.generation
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        self.checkpoints.load(&self.keys, partition).await
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let changes = advance.batch.changes(Change::of)?;
        let mut script = self.checkpoints.advance(&self.write, &self.keys, advance)?;
        let newest = advance.batch.newest().map(|newest| newest.0.to_string()).unwrap_or_default();
        script.arg(newest).arg(micros(CLOSED_KEPT)).arg(FORGOTTEN_AT_ONCE_MAX);
        changes.iter().for_each(|change| change.write(&mut script));
        self.checkpoints.carry_out(&self.keys, &script, advance).await
    }
}

impl Change {
    fn write(&self, script: &mut ScriptInvocation<'_>) {
        let args: [String; WIDTH] = match self {
            Self::Opened { user, session } => {
                let OpenSession { id, device, created_at, refresh_until, .. } = session;
                let until = refresh_until.map(|until| until.0.to_string()).unwrap_or_default();
                // One that has no name and one whose name is empty are two things.
                let device = device.as_ref().map(|device| format!("={}", &**device)).unwrap_or_default();
                ["opened".to_owned(), user.to_string(), id.to_string(), created_at.0.to_string(), until, device]
            }
            Self::Refreshed { user, session, refresh_until, at } => {
                let (at, until) = (at.0.to_string(), refresh_until.0.to_string());
                ["refreshed".to_owned(), user.to_string(), session.to_string(), at, until, String::new()]
            }
            Self::Closed { user, session, at } => about("closed", *user, session.to_string(), Some(*at)),
            Self::AllClosed { user, at } => about("all closed", *user, String::new(), Some(*at)),
            Self::Unreadable { user } => about("unreadable", *user, String::new(), None),
        };
        script.arg(&args[..]);
    }
}

fn about(what: &str, user: UserId, session: String, at: Option<Timestamp>) -> [String; WIDTH] {
    let at = at.map(|at| at.0.to_string()).unwrap_or_default();
    [what.to_owned(), user.to_string(), session, at, String::new(), String::new()]
}

/// Id, when it was opened, refreshed, until when it can be, and the device as it was written.
type Row = (String, i64, i64, Option<i64>, Option<String>);

fn shown((id, created_at, refreshed_at, refresh_until, device): Row) -> Result<OpenSession, Unavailable> {
    Ok(OpenSession {
        id: SessionId(parsed(&id)?),
        device: device.as_deref().and_then(|device| device.strip_prefix('=')).map(Into::into),
        created_at: Timestamp(created_at),
        refreshed_at: Timestamp(refreshed_at),
        refresh_until: refresh_until.map(Timestamp),
    })
}

fn parsed<T: FromStr>(text: &str) -> Result<T, Unavailable> {
    text.parse().map_err(|_| Unavailable("Redis: a session has another shape".to_owned()))
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
