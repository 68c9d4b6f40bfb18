//! What a run found, as text for people and as numbers for the caller.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::client::Client;
use crate::findings::{Findings, Summary};

/// How many differences are shown.
const SHOWN_MAX: usize = 50;

/// The outcome of a run. The run has passed only if [`Report::differences`] is 0.
#[derive(Debug)]
pub struct Report {
    acts: Vec<(&'static str, usize)>,
    phases: Vec<PhaseLine>,
    kills: Vec<KillLine>,
    longest_deletion: Option<Duration>,
    acknowledged: u64,
    requests: u64,
    repeats: u64,
    checks: u64,
    found: Summary,
}

/// One phase of a run.
#[derive(Debug, Clone, Copy)]
pub struct PhaseLine {
    /// What was done.
    pub name: &'static str,
    /// Writes of the plan, or things that were verified.
    pub items: u64,
    /// HTTP requests, with those that were repeated or read something back.
    pub requests: u64,
    /// How long it took.
    pub took: Duration,
}

/// One kill.
#[derive(Debug, Clone, Copy)]
pub struct KillLine {
    /// What was killed.
    pub victim: &'static str,
    /// How many writes of the plan were finished.
    pub after_steps: usize,
    /// From the restart until it was ready.
    pub ready_again: Duration,
    /// The longest time in which nobody got an answer, from the kill until it was ready again.
    pub silence: Duration,
    /// The longest that anybody waited for an answer that came in that time, through all attempts.
    pub slowest: Duration,
}

impl Report {
    pub(crate) fn new(
        acts: Vec<(&'static str, usize)>,
        phases: Vec<PhaseLine>,
        kills: Vec<KillLine>,
        longest_deletion: Option<Duration>,
        acknowledged: u64,
        client: &Client,
        findings: &Findings,
    ) -> Self {
        let (requests, repeats) = (client.requests(), client.repeats());
        let (checks, found) = (findings.checks(), findings.summary());
        Self { acts, phases, kills, longest_deletion, acknowledged, requests, repeats, checks, found }
    }

    /// How many differences were found, lost and doubled writes among them.
    pub fn differences(&self) -> u64 {
        self.found.differences
    }

    /// How many acknowledged writes are not visible.
    pub fn lost(&self) -> u64 {
        self.found.lost
    }

    /// How many things stand twice, or stand there without a write that was acknowledged.
    pub fn doubled(&self) -> u64 {
        self.found.doubled
    }

    /// The differences in words: all, or the first 1000.
    pub fn lines(&self) -> &[String] {
        &self.found.lines
    }

    /// How many values were compared.
    pub fn checks(&self) -> u64 {
        self.checks
    }

    /// What the people did, by kind.
    pub fn acts(&self) -> &[(&'static str, usize)] {
        &self.acts
    }

    /// The phases, in order.
    pub fn phases(&self) -> &[PhaseLine] {
        &self.phases
    }

    /// The kills, in order.
    pub fn kills(&self) -> &[KillLine] {
        &self.kills
    }

    /// How long the deletion of an account took that took longest; `None` if none was told to be over.
    pub fn longest_deletion(&self) -> Option<Duration> {
        self.longest_deletion
    }

    /// For each kind of victim: the longest time in which nobody was answered, and the longest wait for an answer.
    fn longest(&self) -> Vec<(&'static str, Duration, Duration)> {
        let mut longest = BTreeMap::<&'static str, (Duration, Duration)>::new();
        for KillLine { victim, silence, slowest, .. } in &self.kills {
            let so_far = longest.entry(victim).or_default();
            *so_far = (so_far.0.max(*silence), so_far.1.max(*slowest));
        }
        longest.into_iter().map(|(victim, (silence, slowest))| (victim, silence, slowest)).collect()
    }

    pub(crate) fn add_difference(&mut self, line: String) {
        self.found.differences += 1;
        self.found.lines.push(line);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let acts: Vec<String> = self.acts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(f, "{}", acts.join(", "))?;
        for PhaseLine { name, items, requests, took } in &self.phases {
            let seconds = took.as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
            let rate = *requests as f64 / seconds.max(0.001);
            writeln!(f, "{name:<16} {items:>9} in {seconds:>7.1} s, {requests:>9} requests, {rate:>6.0}/s")?;
        }
        for KillLine { victim, after_steps, ready_again, silence, slowest } in &self.kills {
            let [ready, silence, slowest] = [ready_again, silence, slowest].map(Duration::as_secs_f64);
            write!(f, "{victim} killed after {after_steps} writes, ready again in {ready:.2} s; ")?;
            writeln!(f, "no answer to anybody for {silence:.2} s, the slowest came after {slowest:.2} s")?;
        }
        for (victim, silence, slowest) in self.longest() {
            let [silence, slowest] = [silence, slowest].map(|longest| longest.as_secs_f64());
            writeln!(
                f,
                "longest time without an answer, {victim} killed: {silence:.2} s; slowest answer: {slowest:.2} s"
            )?;
        }
        if let Some(longest) = self.longest_deletion {
            writeln!(f, "longest deletion of an account: {:.1} s", longest.as_secs_f64())?;
        }
        writeln!(f, "requests: {}, of them repeated: {}", self.requests, self.repeats)?;
        writeln!(f, "writes acknowledged: {}", self.acknowledged)?;
        writeln!(f, "values compared: {}", self.checks)?;
        writeln!(f, "acknowledged writes lost: {}, doubled: {}", self.lost(), self.doubled())?;
        write!(f, "differences: {}", self.differences())?;
        for line in self.found.lines.iter().take(SHOWN_MAX) {
            write!(f, "\n  {line}")?;
        }
        match self.differences().saturating_sub(SHOWN_MAX as u64) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(differences: usize) -> Report {
        let findings = Findings::default();
        (0..differences).for_each(|n| findings.differ(format!("number {n}")));
        let client = Client::new("http://127.0.0.1:1", 1).unwrap();
        let kills = vec![KillLine {
            victim: "server",
            after_steps: 9,
            ready_again: Duration::from_millis(250),
            silence: Duration::from_millis(120),
            slowest: Duration::from_millis(400),
        }];
        let longest_deletion = Some(Duration::from_millis(33_250));
        Report::new(vec![("people", 2)], Vec::new(), kills, longest_deletion, 10, &client, &findings)
    }

    #[test]
    fn a_clean_report_says_so() {
        let text = report(0).to_string();
        assert!(text.ends_with("acknowledged writes lost: 0, doubled: 0\ndifferences: 0"), "{text}");
        assert!(text.contains("longest deletion of an account: 33.2 s\n"), "{text}");
        assert!(text.contains("server killed after 9 writes, ready again in 0.25 s"));
    }

    #[test]
    fn the_first_fifty_differences_are_shown_and_the_others_counted() {
        let text = report(53).to_string();
        assert!(text.contains("differences: 53\n  number 0\n"));
        assert!(text.ends_with("number 49\n  and 3 more"), "{text}");
    }
}
