//! Were the answers those of a system that does one thing at a time?
//!
//! A history is linearizable (Herlihy and Wing 1990) if each call can be given one moment between its question and its
//! answer such that, taken in the order of these moments, every answer is the one that a simple object gives. The search
//! for such an order is `todc-utils`' (Wing and Gong's algorithm with Lowe's memory of what was tried before); the
//! objects and the histories are ours. They are written from what the API promises and share no code with the owner.
//! Whatever is too large to be judged is said to be so, never passed over.

pub mod account;
pub mod claim;
pub mod follow;
pub mod ledger;
pub mod post;
mod search;
pub mod session;

use search::search;
use std::fmt;
use std::hash::Hash;
use uuid::Uuid;

/// Calls in one history; the search's time grows with the square of them.
pub const CALLS_MAX: usize = 2_000;
/// Lines shown of a violation, the newest ones.
const LINES_MAX: usize = 80;

/// A person, comment, session or command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub Uuid);

/// Short: the last digits tell the few of one history apart.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:05x}", self.0.as_u128() & 0xf_ffff)
    }
}

/// Why a call took no effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// What it is about is not there.
    NotFound,
    /// It belongs to somebody else.
    Forbidden,
    /// Nobody follows, blocks or mutes themselves.
    SelfFollow,
    /// Somebody else has it.
    Taken,
    /// The call's id is that of another call.
    KeyReused,
}

/// What a call does that comes alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// What was asked.
    Happens,
    /// Nothing: it was so already.
    Already,
    /// Nothing, for this reason.
    Refused(Why),
    /// Nothing; it shows whether something is so.
    Shows(bool),
}

/// What a caller was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It took effect.
    Accepted,
    /// The same call took effect before.
    Repeated,
    /// It took effect, now or when the same call came before.
    Done,
    /// It was so already.
    Unchanged,
    /// It took no effect, for this reason.
    Refused(Why),
    /// What it makes is not there (any more): it was refused as not found, or took effect and was undone since.
    Gone,
    /// It is so, or not.
    Read(bool),
    /// Nothing. It may have taken effect, may yet at any time, or never.
    Unknown,
}

/// An object that does one thing at a time.
pub trait Object {
    /// Its state; the default is where it begins.
    type State: Clone + Default + Eq + Hash + fmt::Debug;
    /// What can be asked of it.
    type Op: Clone + fmt::Debug;

    /// What is done when this is asked in this state.
    fn step(state: &mut Self::State, op: &Self::Op) -> Effect;
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call<Op> {
    /// Who asked, for people to read.
    pub client: String,
    /// What was asked.
    pub op: Op,
    /// The command's id: calls with one id take effect once together.
    pub id: Id,
    /// What distinguishes two requests that use one id; the second is refused.
    pub print: u8,
    /// When it was asked. No two moments of a history are the same.
    pub begun: u64,
    /// When it was answered. Whoever was told [`Answer::Unknown`] has no such moment.
    pub ended: Option<u64>,
    /// What was answered.
    pub answer: Answer,
    /// The call of this id comes before it, whenever that was answered: what a session reads shows what it has written.
    pub after: Option<Id>,
}

impl<Op> Call<Op> {
    /// The same call, asking for this.
    pub fn of<Other>(&self, op: Other) -> Call<Other> {
        let Self { id, print, begun, ended, answer, after, .. } = *self;
        Call { client: self.client.clone(), op, id, print, begun, ended, answer, after }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains every answer.
    Linearizable,
    /// There is none. The history up to the first answer that cannot be explained, for people to read.
    Violated(String),
    /// The history is too large to be judged.
    TooLarge {
        /// How many calls it has.
        calls: usize,
    },
}

/// Judges all calls on one object.
pub fn judge<O: Object>(calls: &[Call<O::Op>]) -> Verdict {
    match search::<O>(calls) {
        Some(true) => Verdict::Linearizable,
        Some(false) => Verdict::Violated(first_unexplained::<O>(calls)),
        None => Verdict::TooLarge { calls: calls.len() },
    }
}

/// The history up to the first answer that cannot be explained. Up to any later one it cannot be explained either, so
/// the first is found by halving.
fn first_unexplained<O: Object>(calls: &[Call<O::Op>]) -> String {
    let mut ends: Vec<u64> = calls.iter().filter_map(|call| call.ended).collect();
    ends.sort_unstable();
    let explained = ends.partition_point(|end| search::<O>(&until(calls, *end)) == Some(true));
    let Some(end) = ends.get(explained) else { return show(calls, None) };
    show(&until(calls, *end), Some(*end))
}

/// What was known at a moment.
fn until<Op: Clone>(calls: &[Call<Op>], moment: u64) -> Vec<Call<Op>> {
    let known = calls.iter().filter(|call| call.begun < moment).cloned().map(|call| match call.ended {
        Some(end) if end > moment => Call { ended: None, answer: Answer::Unknown, ..call },
        _ => call,
    });
    known.collect()
}

/// A line a call, by when it was asked; the answer given at `end` is the one that cannot be explained.
fn show<Op: fmt::Debug + Clone>(calls: &[Call<Op>], end: Option<u64>) -> String {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|call| call.begun);
    let hidden = calls.len().saturating_sub(LINES_MAX);
    let lines = calls.iter().skip(hidden).map(|call| {
        let mark = if end.is_some() && call.ended == end { ">>" } else { "  " };
        let ended = call.ended.map_or_else(|| "-".to_owned(), |ended| ended.to_string());
        let Call { client, op, id, begun, answer, .. } = call;
        format!("{mark} [{begun:>6}, {ended:>6}] {client:<12} {op:?} -> {answer:?} (command {id:?})")
    });
    let head = (hidden > 0).then(|| format!("   ({hidden} earlier calls are not shown)"));
    head.into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}
