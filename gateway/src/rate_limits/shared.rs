//! The windows in Redis, so that all nodes count together. It is the one place beside the read models that talks to Redis.
//!
//! What a request takes is one script, and for somebody who is signed in the same script says whether their session is open,
//! so that they cost one round trip. Windows go by the clock of Redis, and go when they are over; nothing else bounds how
//! many there are. For who is signed in they are taken even where Redis has no more memory: there are no more of these than
//! people.

use super::windows::{Charge, Standing, Taken, WINDOW_S};
use events::{SessionId, UserId};
use projections::redis::Keyspace;
use projections::sessions::SessionState;
use projections::{RedisSessions, Unavailable};
use redis::Script;
use std::sync::Arc;

const TAKE: &str = "
local now = clock(ARGV[1])
return {now, take(KEYS, {unpack(ARGV, 4)}, now, tonumber(ARGV[2]), ARGV[3] == 'take')}
";
const ENTER: &str = "
local partition, known, user, given, length = unpack(ARGV, 1, 5)
local now, session = clock(given), look(KEYS[1], KEYS[2], partition, known)
local is_open = session[2] == user and not session[3]
local taken = is_open and take({unpack(KEYS, 3)}, {unpack(ARGV, 6)}, now, tonumber(length), true) or {}
return {now, session[1], session[2], session[3], taken}
";

/// See the module.
pub(crate) struct SharedWindows {
    keys: Keyspace,
    sessions: Arc<RedisSessions>,
    take: Script,
    enter: Script,
    give_back: Script,
}

/// What came of it, and when that was, in milliseconds since 1970.
pub(super) type Timed<T> = (T, u64);

/// Whether it fits, what is left, and when all of it is there again.
type Row = (u8, u32, u64);

impl SharedWindows {
    pub(crate) fn new(keys: Keyspace, sessions: Arc<RedisSessions>) -> Self {
        let windows = include_str!("shared/windows.lua");
        Self {
            keys,
            sessions,
            take: Script::new(&["#!lua\n", windows, TAKE].concat()),
            enter: Script::new(&["#!lua flags=allow-oom\n", RedisSessions::LOOK, windows, ENTER].concat()),
            give_back: Script::new(include_str!("shared/give_back.lua")),
        }
    }

    /// As [`super::windows::Windows::take`], at this time or now.
    pub(super) async fn take(
        &self,
        subject: u128,
        charges: &[Charge],
        at_ms: Option<u64>,
    ) -> Result<Timed<Result<Taken, Standing>>, Unavailable> {
        let (rows, now_ms) = self.ask(subject, charges, at_ms, "take").await?;
        Ok((taken(subject, charges, &rows), now_ms))
    }

    /// As [`super::windows::Windows::look`], at this time or now.
    pub(super) async fn look(
        &self,
        subject: u128,
        charge: Charge,
        at_ms: Option<u64>,
    ) -> Result<Timed<Result<Standing, Standing>>, Unavailable> {
        let (rows, now_ms) = self.ask(subject, &[charge], at_ms, "look").await?;
        let standing = taken(subject, &[charge], &rows);
        Ok((standing.map(|taken| taken.standings().next().expect("one was asked about")), now_ms))
    }

    /// As [`super::windows::Windows::give_back`].
    pub(super) async fn give_back(&self, taken: &Taken) -> Result<(), Unavailable> {
        let mut script = self.give_back.prepare_invoke();
        for Standing { charge, ends_ms, .. } in taken.standings() {
            script.key(self.key(charge, taken.subject())).arg(ends_ms).arg(charge.cost);
        }
        self.keys.ask(&script).await
    }

    /// What is known of a session, and if it is open what its user takes, or is refused.
    pub(super) async fn enter(
        &self,
        (session, user): (SessionId, UserId),
        charges: &[Charge],
    ) -> Result<Timed<(SessionState, Option<Result<Taken, Standing>>)>, Unavailable> {
        let subject = user.0.as_u128();
        let question = self.sessions.question(session, user)?;
        let mut script = self.enter.prepare_invoke();
        question.ask(&mut script);
        script.arg(user.to_string()).arg("").arg(WINDOW_S * 1_000);
        for charge in charges {
            let charge = fitting(*charge);
            script.key(self.key(charge, subject)).arg(charge.limit).arg(charge.cost);
        }
        type Said = (u64, Option<String>, Option<String>, Option<String>, Vec<Row>);
        let (now_ms, stored, whose, closed, rows): Said = self.keys.ask(&script).await?;
        let state = self.sessions.answer(&question, (stored, whose, closed))?;
        let taken = (!rows.is_empty()).then(|| taken(subject, charges, &rows));
        Ok(((state, taken), now_ms))
    }

    async fn ask(
        &self,
        subject: u128,
        charges: &[Charge],
        at_ms: Option<u64>,
        what: &str,
    ) -> Result<(Vec<Row>, u64), Unavailable> {
        let mut script = self.take.prepare_invoke();
        let at_ms = at_ms.map(|at_ms| at_ms.to_string()).unwrap_or_default();
        script.arg(at_ms).arg(WINDOW_S * 1_000).arg(what);
        for charge in charges {
            let charge = fitting(*charge);
            script.key(self.key(charge, subject)).arg(charge.limit).arg(charge.cost);
        }
        let (now_ms, rows): (u64, Vec<Row>) = self.keys.ask(&script).await?;
        Ok((rows, now_ms))
    }

    fn key(&self, Charge { class, .. }: Charge, subject: u128) -> String {
        self.keys.key(&format!("limit:{}:{subject:032x}", class.name()))
    }
}

/// All of it, or the tightest of what was refused.
fn taken(subject: u128, charges: &[Charge], rows: &[Row]) -> Result<Taken, Standing> {
    let standing = |(charge, (fits, left, ends_ms)): (&Charge, &Row)| {
        let standing = Standing { charge: fitting(*charge), left: *left, ends_ms: *ends_ms };
        if *fits == 1 { Ok(standing) } else { Err(standing) }
    };
    let standings = charges.iter().zip(rows).map(standing);
    match standings.clone().filter_map(Result::err).reduce(Standing::tighter) {
        Some(refused) => Err(refused),
        None => Ok(Taken::new(subject, standings.flatten())),
    }
}

/// What costs more than there is ever takes all there is.
fn fitting(charge: Charge) -> Charge {
    Charge { cost: charge.cost.min(charge.limit), ..charge }
}
