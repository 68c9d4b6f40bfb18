//! What was measured, as text in aligned columns and as JSON.

use anyhow::Result;
use serde::Serialize;
use std::fmt;

/// Everything that a run has measured. Each table is shown as soon as it is there: a run may take an hour.
#[derive(Serialize)]
pub(crate) struct Report {
    cores: usize,
    sections: Vec<Section>,
    floors: Vec<Floor>,
}

/// A table, and what is compared in it.
#[derive(Serialize)]
pub(crate) struct Section {
    title: String,
    notes: Vec<String>,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// Something in a table.
#[derive(Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Cell {
    Text(String),
    /// With so many decimals when it is shown.
    Number(f64, #[serde(skip)] usize),
}

/// What must be reached, and whether it is.
#[derive(Serialize)]
pub(crate) struct Floor {
    pub(crate) what: String,
    pub(crate) limit: String,
    pub(crate) measured: String,
    pub(crate) met: bool,
}

impl Report {
    /// Of nothing yet; says on what it is measured.
    pub(crate) fn begin(cores: usize) -> Self {
        println!("{cores} cores, shared by everything that is measured; rates are medians of the rounds");
        Self { cores, sections: Vec::new(), floors: Vec::new() }
    }

    pub(crate) fn add(&mut self, sections: impl IntoIterator<Item = Section>, floors: impl IntoIterator<Item = Floor>) {
        for section in sections {
            print!("\n{section}");
            self.sections.push(section);
        }
        self.floors.extend(floors);
    }

    /// Shows the floors, which come last.
    pub(crate) fn end(&self) {
        if self.floors.is_empty() {
            return;
        }
        let mut floors = Section::new("Floors", vec!["", "floor", "measured", "met"]);
        for Floor { what, limit, measured, met } in &self.floors {
            let met = if *met { "yes" } else { "NO" };
            floors.row(vec![what.as_str().into(), limit.as_str().into(), measured.as_str().into(), met.into()]);
        }
        print!("\n{floors}");
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    pub(crate) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

impl Floor {
    pub(crate) fn at_least(what: impl Into<String>, limit: f64, measured: f64) -> Self {
        let met = measured >= limit;
        Self { what: what.into(), limit: format!("at least {}", short(limit)), measured: short(measured), met }
    }

    pub(crate) fn at_most(what: impl Into<String>, limit: f64, measured: f64) -> Self {
        let met = measured <= limit;
        Self { what: what.into(), limit: format!("at most {}", short(limit)), measured: short(measured), met }
    }
}

impl Cell {
    /// A number without decimals.
    pub(crate) fn count(value: f64) -> Self {
        Self::Number(value, 0)
    }

    /// A number with two decimals.
    pub(crate) fn number(value: f64) -> Self {
        Self::Number(value, 2)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Section {
    pub(crate) fn new(title: impl Into<String>, columns: Vec<&'static str>) -> Self {
        Self { title: title.into(), notes: Vec::new(), columns, rows: Vec::new() }
    }

    /// The same, and what is particular to it.
    pub(crate) fn titled(mut self, particular: &str) -> Self {
        self.title = format!("{}; {particular}", self.title);
        self
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== {}", self.title)?;
        for note in &self.notes {
            writeln!(f, "   {note}")?;
        }
        let rows = self.rows.iter().map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>());
        let head = self.columns.iter().map(ToString::to_string).collect::<Vec<_>>();
        let lines = std::iter::once(head).chain(rows).collect::<Vec<_>>();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths = (0..self.columns.len()).map(width).collect::<Vec<_>>();
        for line in &lines {
            let mut text = String::new();
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                // The first column says what the row is; the others are read from the right.
                text += &if column == 0 { format!("   {cell:<width$}") } else { format!("  {cell:>width$}") };
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(value, 0) => f.write_str(&grouped(*value)),
            Self::Number(value, decimals) => write!(f, "{value:.decimals$}"),
        }
    }
}

/// A large number without decimals, a small one with two.
fn short(value: f64) -> String {
    if value >= 100.0 { grouped(value) } else { format!("{value:.2}") }
}

/// With a comma before every three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut section = Section::new("t", vec!["what", "a second"]);
        section.row(vec!["x".into(), Cell::count(1_234_567.0)]);
        section.row(vec!["longer".into(), Cell::number(0.5)]);
        assert_eq!(section.to_string(), "== t\n   what     a second\n   x       1,234,567\n   longer       0.50\n");
    }

    #[test]
    fn a_floor_that_is_not_reached_is_not_met() {
        assert!(!Floor::at_least("x", 0.5, 0.49).met);
        assert!(!Floor::at_most("x", 2.0, 2.1).met);
    }
}
