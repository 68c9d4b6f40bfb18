//! The calls of a run, sorted by the object that each is about, and what comes of judging them all.

use super::account::{self, Account};
use super::claim::{self, Claim};
use super::follow::{self, Follow};
use super::post::{self, Post};
use super::session::{self, Session};
use super::{Answer, Call, Id, Object, Verdict, judge};
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::ops::AddAssign;

/// The calls on each object of one type.
type Histories<K, Op> = BTreeMap<K, Vec<Call<Op>>>;

/// The calls of a run.
#[derive(Default)]
pub struct Ledger {
    /// By post.
    pub posts: Histories<Id, post::Op>,
    /// By follower and followee.
    pub follows: Histories<(Id, Id), follow::Op>,
    /// By blocker and blocked.
    pub blocks: Histories<(Id, Id), follow::Op>,
    /// By muter and muted.
    pub mutes: Histories<(Id, Id), follow::Op>,
    /// By session.
    pub sessions: Histories<Id, session::Op>,
    /// By person.
    pub accounts: Histories<Id, account::Op>,
    /// By what is claimed.
    pub claims: Histories<String, claim::Op>,
    /// Requests that were answered.
    pub operations: usize,
    /// Requests that were not; whoever asked has left.
    pub unknown: usize,
    /// Second deliveries of a request.
    pub doubled: usize,
    /// Answers that no object gives.
    pub strange: Vec<String>,
}

/// What came of judging a run, or several.
#[derive(Default, Debug)]
pub struct Report {
    /// Requests whose answers were judged.
    pub operations: usize,
    /// Objects with a history of their own.
    pub histories: usize,
    /// The calls of the longest history.
    pub longest: usize,
    /// Requests without an answer, which may have taken effect or may yet.
    pub unknown: usize,
    /// Second deliveries, which may take effect if the first did not.
    pub doubled: usize,
    /// How often each answer was given.
    pub answers: BTreeMap<String, usize>,
    /// Histories that no order explains, and answers that are none.
    pub violations: Vec<String>,
    /// Histories that were too large to be judged.
    pub too_large: Vec<String>,
}

impl Ledger {
    /// Judges every history.
    pub fn judge(&self) -> Report {
        let Self { operations, unknown, doubled, .. } = *self;
        let violations = self.strange.clone();
        let mut report = Report { operations, unknown, doubled, violations, ..Report::default() };
        report.judge_all::<_, Post>("post", &self.posts);
        report.judge_all::<_, Follow>("follow", &self.follows);
        report.judge_all::<_, Follow>("block", &self.blocks);
        report.judge_all::<_, Follow>("mute", &self.mutes);
        report.judge_all::<_, Session>("session", &self.sessions);
        report.judge_all::<_, Account>("account", &self.accounts);
        report.judge_all::<_, Claim>("claim", &self.claims);
        report
    }
}

impl Report {
    fn judge_all<K: Debug, O: Object>(&mut self, kind: &str, histories: &Histories<K, O::Op>) {
        for (key, calls) in histories {
            self.histories += 1;
            self.longest = self.longest.max(calls.len());
            for call in calls.iter().filter(|call| call.answer != Answer::Unknown) {
                *self.answers.entry(format!("{:?}", call.answer)).or_default() += 1;
            }
            match judge::<O>(calls) {
                Verdict::Linearizable => {}
                Verdict::Violated(history) => {
                    self.violations.push(format!("{kind} {key:?}: no order explains the answer marked >>\n{history}"));
                }
                Verdict::TooLarge { calls } => self.too_large.push(format!("{kind} {key:?} has {calls} calls")),
            }
        }
    }
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.histories += other.histories;
        self.longest = self.longest.max(other.longest);
        self.unknown += other.unknown;
        self.doubled += other.doubled;
        self.violations.extend(other.violations);
        self.too_large.extend(other.too_large);
        for (answer, times) in other.answers {
            *self.answers.entry(answer).or_default() += times;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, histories, longest, unknown, doubled, answers, violations, too_large } = self;
        write!(
            f,
            "{operations} operations in {histories} histories (the longest has {longest} calls), {unknown} more \
             without an answer, {doubled} delivered twice: {} violations, {} histories too large to be judged; \
             {answers:?}",
            violations.len(),
            too_large.len()
        )
    }
}
