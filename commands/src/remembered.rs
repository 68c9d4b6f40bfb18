//! Which commands were carried out, and what came of the sagas that they began, as long as their ids are remembered: what
//! makes a command that is sent again take effect once.
//!
//! Folded from the commits and from nothing else, so that every owner of a partition forgets the same id at the same
//! commit. Time is that of the commits, but no clock can make it fly: one commit adds [`AGE_STEP_MAX`] at most. So a
//! clock that jumps by days forgets nothing that somebody is still asking again, and a partition of few commits
//! remembers no more ids than one with a commit a second does. A clock that jumped back stands still until it has
//! caught up, and so does forgetting.

use crate::answer::{Ended, Receipt};
use events::{CommandId, Commit, Fingerprint, Retention, SagaId, Timestamp};
use journal::{Rule, Rules};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// How long ids that a client or a saga chose are remembered.
pub(crate) const LONG_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long generated ids are remembered; longer than anybody sends a request again.
pub(crate) const SHORT_RETENTION: Duration = Duration::from_secs(120);
/// The most that one commit ages what is remembered.
pub(crate) const AGE_STEP_MAX: Duration = Duration::from_secs(1);

/// What is known of a command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Known {
    /// It took effect.
    Done(Done),
    /// It was undone, perhaps before it came; it must not take effect any more.
    Undone,
}

/// A command that took effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Done {
    /// What it was asked with.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Where it took effect.
    pub(crate) receipt: Receipt,
}

/// How a saga came out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CameOut {
    pub(crate) ended: Ended,
    /// Its last commit.
    pub(crate) last: Receipt,
    /// The last commit with which it changed its own key.
    pub(crate) acted: Receipt,
}

/// The ids of a partition's commands and of its sagas that have ended.
#[derive(Default)]
pub(crate) struct Remembered {
    done: Kept<CommandId, Done>,
    undone: Kept<CommandId, ()>,
    sagas: Kept<SagaId, CameOut>,
    age: Duration,
    last_time: Timestamp,
}

impl Remembered {
    /// The time that has passed over the commits, without jumps.
    pub(crate) fn age(&self) -> Duration {
        self.age
    }

    /// What is known of a command; `None` if it never came or came too long ago.
    pub(crate) fn find(&self, id: CommandId) -> Option<Known> {
        if self.undone.get(&id).is_some() {
            return Some(Known::Undone);
        }
        self.done.get(&id).copied().map(Known::Done)
    }

    /// Notes a commit, and forgets what is too old by its time.
    pub(crate) fn remember(&mut self, commit: &Commit, receipt: Receipt, rules: Rules) {
        let passed = commit.time.since(self.last_time);
        self.age += if rules.keep(Rule::JumpsDoNotAge) { passed.min(AGE_STEP_MAX) } else { passed };
        self.last_time = self.last_time.max(commit.time);
        self.done.forget(self.age);
        self.undone.forget(self.age);
        self.sagas.forget(self.age);
        let done = Done { fingerprint: commit.fingerprint, receipt };
        self.done.keep(commit.command, done, self.age, commit.retention);
        if let Some(undone) = commit.undoes {
            // Whatever is forgotten of the command itself.
            self.undone.keep(undone, (), self.age, Retention::Long);
        }
    }

    /// How a saga came out; `None` if it never ended or ended too long ago.
    pub(crate) fn saga(&self, id: SagaId) -> Option<&CameOut> {
        self.sagas.get(&id)
    }

    /// Notes how a saga came out that the commit noted last has ended. It is remembered, from then on, as long as the
    /// command that began it.
    pub(crate) fn came_out(&mut self, id: SagaId, came_out: CameOut, begun_by: Retention) {
        self.sagas.keep(id, came_out, self.age, begun_by);
    }
}

/// What is kept for a while, each under an id that is not kept already.
struct Kept<K, V> {
    known: HashMap<K, V>,
    /// By the age at which they are forgotten.
    long: VecDeque<(Duration, K)>,
    short: VecDeque<(Duration, K)>,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), long: VecDeque::new(), short: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, V> Kept<K, V> {
    fn get(&self, id: &K) -> Option<&V> {
        self.known.get(id)
    }

    fn keep(&mut self, id: K, known: V, age: Duration, retention: Retention) {
        let (queue, retention) = match retention {
            Retention::Long => (&mut self.long, LONG_RETENTION),
            Retention::Short => (&mut self.short, SHORT_RETENTION),
        };
        queue.push_back((age + retention, id));
        self.known.insert(id, known);
    }

    fn forget(&mut self, age: Duration) {
        for queue in [&mut self.long, &mut self.short] {
            while let Some((_, id)) = queue.pop_front_if(|(until, _)| *until < age) {
                self.known.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::Incarnation;
    use journal::{Partition, Position};
    use uuid::Uuid;

    const SECOND: i64 = 1_000_000;

    fn id(n: u128) -> CommandId {
        CommandId(Uuid::from_u128(n))
    }

    fn commit(n: u128, seconds: i64, retention: Retention) -> Commit {
        Commit {
            command: id(n),
            ordinal: 0,
            incarnation: Incarnation::default(),
            time: Timestamp(seconds * SECOND),
            actor: None,
            correlation: Uuid::nil(),
            causation: None,
            retention,
            fingerprint: None,
            undoes: None,
            events: Vec::new(),
        }
    }

    fn note(remembered: &mut Remembered, commit: &Commit) {
        let position = Position { partition: Partition(0), offset: 0 };
        let receipt = Receipt { position, time: commit.time, version: None };
        remembered.remember(commit, receipt, Rules::default());
    }

    #[test]
    fn a_generated_id_is_forgotten_after_two_minutes_and_a_chosen_one_is_not() {
        let mut remembered = Remembered::default();
        note(&mut remembered, &commit(1, 0, Retention::Short));
        note(&mut remembered, &commit(2, 0, Retention::Long));
        for second in 1..=120 {
            note(&mut remembered, &commit(100 + second, second as i64, Retention::Short));
        }
        assert!(remembered.find(id(1)).is_some());
        note(&mut remembered, &commit(3, 121, Retention::Short));
        assert_eq!(remembered.find(id(1)), None);
        assert!(remembered.find(id(2)).is_some());
    }

    #[test]
    fn how_a_saga_came_out_is_remembered_as_long_as_what_began_it() {
        let mut remembered = Remembered::default();
        note(&mut remembered, &commit(1, 0, Retention::Short));
        let position = Position { partition: Partition(0), offset: 0 };
        let receipt = Receipt { position, time: Timestamp(0), version: None };
        let came_out = || CameOut { ended: Ended::Completed, last: receipt, acted: receipt };
        let (brief, long) = (SagaId(Uuid::from_u128(1)), SagaId(Uuid::from_u128(2)));
        remembered.came_out(brief, came_out(), Retention::Short);
        remembered.came_out(long, came_out(), Retention::Long);
        for second in 1..=121 {
            note(&mut remembered, &commit(100 + second, second as i64, Retention::Short));
        }
        assert_eq!((remembered.saga(brief), remembered.saga(long)), (None, Some(&came_out())));
    }

    #[test]
    fn a_clock_that_jumps_by_years_forgets_nothing() {
        let mut remembered = Remembered::default();
        note(&mut remembered, &commit(1, 0, Retention::Short));
        note(&mut remembered, &commit(2, 10 * 365 * 24 * 3_600, Retention::Short));
        note(&mut remembered, &commit(3, 1, Retention::Short));
        assert!(remembered.find(id(1)).is_some() && remembered.find(id(2)).is_some());
    }

    #[test]
    fn what_was_undone_before_it_came_stays_so() {
        let mut remembered = Remembered::default();
        note(&mut remembered, &Commit { undoes: Some(id(7)), ..commit(1, 0, Retention::Long) });
        assert_eq!(remembered.find(id(7)), Some(Known::Undone));
    }

    #[test]
    fn what_was_undone_after_it_came_does_not_come_back_when_it_is_forgotten() {
        let mut remembered = Remembered::default();
        note(&mut remembered, &commit(7, 0, Retention::Short));
        note(&mut remembered, &Commit { undoes: Some(id(7)), ..commit(1, 0, Retention::Long) });
        for second in 1..=130 {
            note(&mut remembered, &commit(100 + second, second as i64, Retention::Short));
        }
        assert_eq!(remembered.find(id(7)), Some(Known::Undone));
    }
}
