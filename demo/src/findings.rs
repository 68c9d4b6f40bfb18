//! What was checked and what was found to differ. Every lost or doubled write is also a difference, so a report without
//! differences has neither.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::act::Act;

/// How many differences are kept in words; all are counted.
const LINES_MAX: usize = 1000;

#[derive(Debug, Default)]
pub(crate) struct Findings {
    checks: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    lines: Vec<String>,
    differences: u64,
    lost: BTreeSet<Act>,
    doubled: BTreeSet<String>,
}

impl Findings {
    pub(crate) fn checked(&self, values: u64) {
        self.checks.fetch_add(values, Ordering::Relaxed);
    }

    pub(crate) fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    pub(crate) fn differ(&self, line: String) {
        self.found().differ(line);
    }

    /// One check, which holds or is a difference in the words that are given.
    pub(crate) fn check(&self, holds: bool, line: impl FnOnce() -> String) {
        self.checked(1);
        if !holds {
            self.differ(line());
        }
    }

    /// An acknowledged write that is not visible; counted once, however often it is missed.
    pub(crate) fn lost(&self, act: Act, line: &str) {
        let mut found = self.found();
        if found.lost.insert(act) {
            found.differ(format!("lost: {line}"));
        }
    }

    /// Something that stands where one write should have left one thing; `what` is counted once.
    pub(crate) fn doubled(&self, what: String, line: &str) {
        let mut found = self.found();
        if found.doubled.insert(what) {
            found.differ(format!("doubled: {line}"));
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        let found = self.found();
        Summary {
            lines: found.lines.clone(),
            differences: found.differences,
            lost: found.lost.len() as u64,
            doubled: found.doubled.len() as u64,
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // A panic while a line was added has left a list that is still one.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn differ(&mut self, line: String) {
        self.differences += 1;
        if self.lines.len() < LINES_MAX {
            self.lines.push(line);
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) lines: Vec<String>,
    pub(crate) differences: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_write_is_one_difference_however_often_it_is_missed() {
        let findings = Findings::default();
        findings.lost(Act::Publish { post: 1 }, "POST /posts");
        findings.lost(Act::Publish { post: 1 }, "POST /posts");
        let summary = findings.summary();
        assert_eq!((summary.lost, summary.differences), (1, 1));
    }

    #[test]
    fn differences_beyond_the_kept_lines_are_still_counted() {
        let findings = Findings::default();
        (0..LINES_MAX + 5).for_each(|n| findings.differ(n.to_string()));
        let summary = findings.summary();
        assert_eq!((summary.lines.len(), summary.differences), (LINES_MAX, LINES_MAX as u64 + 5));
    }
}
