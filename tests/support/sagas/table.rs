//! What came of all runs, as a table: saga by step, by kind of failure.

use super::Outcome;
use super::failure::Failure;
use super::scenario::Scenario;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What came of all runs.
#[derive(Default)]
pub struct Table {
    /// Where something went wrong with a step, and where nothing did.
    steps: Rows,
    /// Where it did at a record.
    records: Rows,
    /// Every leftover, with its run.
    pub leftovers: Vec<String>,
}

/// Counts of runs, by scenario and place, in the order in which they came, and by kind of failure.
#[derive(Default)]
struct Rows(Vec<(Place, BTreeMap<String, Cell>)>);

/// A scenario, and where in it.
type Place = (&'static str, String);

/// What came of the runs of one kind at one place.
#[derive(Clone, Copy, Default)]
struct Cell {
    runs: usize,
    met: usize,
    completed: usize,
    undone: usize,
    leftovers: usize,
}

impl Cell {
    fn and(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            met: self.met + other.met,
            completed: self.completed + other.completed,
            undone: self.undone + other.undone,
            leftovers: self.leftovers + other.leftovers,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (self.completed, self.undone) {
            (0, 0) => '-',
            (_, 0) => 'C',
            (0, _) => 'U',
            (..) => 'B',
        };
        let what = match (self.leftovers, self.met) {
            (1.., _) => '!',
            (0, 0) => '?',
            (0, _) => how,
        };
        f.pad(&if self.runs == 1 { what.to_string() } else { format!("{}{what}", self.runs) })
    }
}

impl Rows {
    fn add(&mut self, of: Place, kind: String, cell: Cell) {
        let at = self.0.iter().position(|(row, _)| *row == of).unwrap_or_else(|| {
            self.0.push((of, BTreeMap::new()));
            self.0.len() - 1
        });
        let sum = self.0[at].1.entry(kind).or_default();
        *sum = sum.and(cell);
    }

    fn add_all(&mut self, other: Self) {
        for (of, cells) in other.0 {
            cells.into_iter().for_each(|(kind, cell)| self.add(of.clone(), kind, cell));
        }
    }

    fn not_met(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|((saga, place), cells)| {
            cells.iter().filter(|(_, cell)| cell.met == 0).map(move |(kind, _)| format!("{saga}, {place}: {kind}"))
        })
    }

    fn sum(&self) -> Cell {
        self.0.iter().flat_map(|(_, cells)| cells.values()).fold(Cell::default(), |sum, cell| sum.and(*cell))
    }

    /// The kinds of failures, each with a letter.
    fn kinds(&self) -> BTreeMap<&str, char> {
        let kinds: BTreeSet<_> = self.0.iter().flat_map(|(_, cells)| cells.keys().map(String::as_str)).collect();
        kinds.into_iter().zip('a'..='z').collect()
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds();
        let wide = self.0.iter().flat_map(|(_, cells)| cells.values()).map(|cell| cell.to_string().len()).max();
        let (wide, place_wide) =
            (wide.unwrap_or(1), self.0.iter().map(|((_, place), _)| place.len()).max().unwrap_or(0));
        write!(f, "{:27} {:place_wide$}", "saga", "step")?;
        kinds.values().try_for_each(|letter| write!(f, " {letter:>wide$}"))?;
        writeln!(f, " {:>5} {:>5} {:>8} {:>6} {:>4}", "runs", "met", "complete", "undone", "left")?;
        for ((saga, place), cells) in &self.0 {
            write!(f, "{saga:27} {place:place_wide$}")?;
            for kind in kinds.keys() {
                let cell = cells.get(*kind).map(Cell::to_string).unwrap_or_default();
                write!(f, " {cell:>wide$}")?;
            }
            let sum = cells.values().fold(Cell::default(), |sum, cell| sum.and(*cell));
            let Cell { runs, met, completed, undone, leftovers } = sum;
            writeln!(f, " {runs:>5} {met:>5} {completed:>8} {undone:>6} {leftovers:>4}")?;
        }
        for (kind, letter) in &kinds {
            let of = self.0.iter().filter_map(|(_, cells)| cells.get(*kind));
            let Cell { runs, met, .. } = of.fold(Cell::default(), |sum, cell| sum.and(*cell));
            writeln!(f, "  {letter}: {kind}; {runs} runs, met in {met}")?;
        }
        Ok(())
    }
}

impl Table {
    pub(super) fn note(&mut self, scenario: &Scenario, failure: &Failure, outcome: Outcome) {
        let Outcome { met, completed, leftovers } = outcome;
        let (place, kind) = (failure.place(), failure.kind());
        let of = |left: &String| format!("{}, {place}, {kind}, {failure:?}: {left}", scenario.name);
        self.leftovers.extend(leftovers.iter().map(of));
        let cell = Cell {
            runs: 1,
            met: usize::from(met),
            completed: usize::from(completed == Some(true)),
            undone: usize::from(completed == Some(false)),
            leftovers: leftovers.len(),
        };
        let at_record = matches!(failure, Failure::Record { .. });
        let rows = if at_record { &mut self.records } else { &mut self.steps };
        rows.add((scenario.name, place), kind, cell);
    }

    /// Both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.steps.add_all(other.steps);
        self.records.add_all(other.records);
        self.leftovers.extend(other.leftovers);
        self
    }

    /// What was planned and never happened.
    pub fn not_met(&self) -> Vec<String> {
        self.steps.not_met().chain(self.records.not_met()).collect()
    }

    fn sum(&self) -> Cell {
        self.steps.sum().and(self.records.sum())
    }

    /// How many runs there were.
    pub fn runs(&self) -> usize {
        self.sum().runs
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.steps, self.records)?;
        writeln!(f, "C: complete, U: undone, B: some runs each, -: never begun, ?: not met, !: something is left")?;
        let Cell { runs, met, completed, undone, .. } = self.sum();
        let left = self.leftovers.len();
        write!(f, "{runs} runs, met in {met}: {completed} complete, {undone} undone, {left} leftovers")
    }
}
