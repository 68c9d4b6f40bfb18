//! Which documented statuses of which operations were seen, over all tests of a run.
//!
//! Tests run side by side and in several processes, and none is the last one: each server's client appends to one file
//! what it sees for the first time, and when all have ended the program `seen` judges the [`Table`] of it.

mod exempt;

use anyhow::{Context, Result};
pub use exempt::{EXEMPT, Exempt};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};

/// Names the file; without it nothing is noted.
const FILE: &str = "TIDINGS_SEEN";

/// Notes what one client sees.
pub struct Seen {
    file: Option<File>,
    noted: Mutex<HashSet<(String, u16)>>,
}

impl Seen {
    /// For the run that this process is part of.
    pub fn of_this_run() -> Result<Self> {
        let file = std::env::var_os(FILE).map(|path| {
            let opened = OpenOptions::new().append(true).create(true).open(&path);
            opened.with_context(|| format!("{FILE} cannot be written: {}", path.display()))
        });
        Ok(Self { file: file.transpose()?, noted: Mutex::default() })
    }

    /// An answer, by operation (`GET /posts/{post_id}`) and status, that agrees with the document.
    pub fn note(&self, operation: &str, status: u16) -> io::Result<()> {
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        if !self.noted.lock().insert((operation.to_owned(), status)) {
            return Ok(());
        }
        // One short write to a file that is only appended to stays whole beside those of others.
        file.write_all(format!("{status} {operation}\n").as_bytes())
    }
}

/// The document's operations by their statuses, and which were seen.
#[derive(Default)]
pub struct Table {
    rows: BTreeMap<String, BTreeMap<u16, Mark>>,
    wrong: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Seen,
    Exempt,
    Missing,
}

impl Table {
    /// Of a document, of what was noted line by line, and of what need not be seen.
    pub fn of(document: &Value, noted: &str, exempt: &[Exempt]) -> Self {
        let seen: BTreeSet<&str> = noted.lines().collect();
        let (mut table, mut used) = (Self::default(), BTreeSet::new());
        for (operation, status) in promised(document) {
            let because = exempt.iter().find(|it| it.covers(&operation, status));
            used.extend(because.map(|it| it.reason));
            let mark = match (seen.contains(format!("{status} {operation}").as_str()), because) {
                (true, Some(because)) if because.operation.is_some() => {
                    table.wrong.push(format!("{operation} {status} is exempt, but it was seen"));
                    Mark::Seen
                }
                (true, _) => Mark::Seen,
                (false, Some(_)) => Mark::Exempt,
                (false, None) => {
                    table.wrong.push(format!("{operation} {status} was never seen"));
                    Mark::Missing
                }
            };
            table.rows.entry(operation).or_default().insert(status, mark);
        }
        let unused = exempt.iter().filter(|it| !used.contains(it.reason));
        table.wrong.extend(unused.map(|it| format!("nothing is promised that is exempt because: {}", it.reason)));
        table
    }

    /// What is wrong: promises that no test has seen kept, and exemptions without need.
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }

    fn count(&self, mark: Mark) -> usize {
        self.rows.values().flat_map(BTreeMap::values).filter(|it| **it == mark).count()
    }
}

/// Every operation with each of its statuses.
fn promised(document: &Value) -> Vec<(String, u16)> {
    let entries = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let mut promised = Vec::new();
    for (path, item) in entries(&document["paths"]) {
        for (method, operation) in entries(&item) {
            for (status, _) in entries(&operation["responses"]) {
                let status = status.parse().unwrap_or_else(|_| panic!("{method} {path} has no number: {status}"));
                promised.push((format!("{} {path}", method.to_uppercase()), status));
            }
        }
    }
    promised
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses: BTreeSet<u16> = self.rows.values().flat_map(BTreeMap::keys).copied().collect();
        let width = self.rows.keys().map(String::len).max().unwrap_or_default();
        write!(f, "{:width$}", "")?;
        statuses.iter().try_for_each(|status| write!(f, " {status}"))?;
        for (operation, marks) in &self.rows {
            write!(f, "\n{operation:width$}")?;
            for status in &statuses {
                let mark = match marks.get(status) {
                    None => " ",
                    Some(Mark::Seen) => "x",
                    Some(Mark::Exempt) => "-",
                    Some(Mark::Missing) => "?",
                };
                write!(f, "  {mark} ")?;
            }
        }
        let [seen, exempt, missing] = [Mark::Seen, Mark::Exempt, Mark::Missing].map(|mark| self.count(mark));
        write!(f, "\n{} operations; of their statuses {seen} seen (x), {exempt} exempt (-), ", self.rows.len())?;
        write!(f, "{missing} never seen (?)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ANYWHERE: Exempt = Exempt { operation: None, status: 500, reason: "a bug" };
    const HERE: Exempt = Exempt { operation: Some("GET /b"), status: 404, reason: "it is always there" };

    fn wrong(noted: &str, exempt: &[Exempt]) -> Vec<String> {
        let responses = |statuses: &[u16]| {
            let responses = statuses.iter().map(|status| (status.to_string(), json!({})));
            json!({ "responses": responses.collect::<serde_json::Map<_, _>>() })
        };
        let document = json!({"paths": {
            "/a": {"get": responses(&[200, 500]), "post": responses(&[201])},
            "/b": {"get": responses(&[200, 404])},
        }});
        let table = Table::of(&document, noted, exempt);
        assert_eq!(table.to_string().lines().count(), 5);
        table.wrong().to_vec()
    }

    #[test]
    fn what_is_promised_must_be_seen_or_exempt() {
        let all = "200 GET /a\n201 POST /a\n200 GET /b\n";
        assert!(wrong(all, &[ANYWHERE, HERE]).is_empty());
        assert_eq!(wrong(all, &[ANYWHERE]), ["GET /b 404 was never seen"]);
        assert_eq!(wrong("200 GET /a\n200 GET /b\n", &[ANYWHERE, HERE]), ["POST /a 201 was never seen"]);
    }

    #[test]
    fn what_is_exempt_must_be_promised_and_not_be_seen() {
        let all = "200 GET /a\n201 POST /a\n200 GET /b\n404 GET /b\n";
        assert_eq!(wrong(all, &[ANYWHERE, HERE]), ["GET /b 404 is exempt, but it was seen"]);
        let stale = Exempt { operation: Some("GET /c"), status: 404, reason: "it is gone" };
        assert_eq!(wrong(all, &[ANYWHERE, stale]), ["nothing is promised that is exempt because: it is gone"]);
    }
}
