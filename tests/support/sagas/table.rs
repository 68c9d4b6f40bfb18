//! What came of all runs, as a table.

use super::scenario::Scenario;
use super::{Blow, Failure, Outcome};
use std::collections::BTreeMap;
use std::fmt;

/// By scenario, step and kind of failure.
#[derive(Default)]
pub struct Table {
    rows: BTreeMap<(String, String, String), Row>,
    /// Every leftover, with its run.
    pub leftovers: Vec<String>,
}

#[derive(Default)]
struct Row {
    runs: usize,
    met: usize,
    completed: usize,
    leftovers: usize,
}

impl Table {
    pub(super) fn note(&mut self, scenario: &Scenario, failure: &Failure, outcome: Outcome) {
        let (step, kind) = match (&failure.step, failure.blow) {
            (Some((step, undo, wrong)), _) => {
                (format!("{}{step}", if *undo { "undo " } else { "" }), format!("{wrong:?}"))
            }
            (None, Some(Blow::Owner(_))) => ("between records".to_owned(), "owner killed".to_owned()),
            (None, Some(Blow::Targets(_))) => ("between records".to_owned(), "targets killed".to_owned()),
            (None, Some(Blow::SecondOwner(_))) => ("between records".to_owned(), "two owners".to_owned()),
            (None, None) => ("-".to_owned(), "nothing".to_owned()),
        };
        let Outcome { met, completed, leftovers } = outcome;
        let name = scenario.name;
        self.leftovers.extend(leftovers.iter().map(|left| format!("{name}, {step}, {kind} {failure:?}: {left}")));
        let row = self.rows.entry((name.to_owned(), step, kind)).or_default();
        row.runs += 1;
        row.met += usize::from(met);
        row.completed += usize::from(completed);
        row.leftovers += leftovers.len();
    }

    /// How many runs there were.
    pub fn runs(&self) -> usize {
        self.rows.values().map(|row| row.runs).sum()
    }

    /// In how many of them what should go wrong did.
    pub fn met(&self) -> usize {
        self.rows.values().map(|row| row.met).sum()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["saga", "step", "what goes wrong", "runs", "met", "complete", "undone", "left"];
        writeln!(
            f,
            "{:28} {:22} {:18} {:>5} {:>5} {:>8} {:>7} {:>5}",
            head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]
        )?;
        for ((saga, step, kind), row) in &self.rows {
            let Row { runs, met, completed, leftovers } = row;
            let undone = runs - completed;
            writeln!(f, "{saga:28} {step:22} {kind:18} {runs:>5} {met:>5} {completed:>8} {undone:>7} {leftovers:>5}")?;
        }
        write!(f, "{} runs, {} of them with their failure, {} leftovers", self.runs(), self.met(), self.leftovers.len())
    }
}
