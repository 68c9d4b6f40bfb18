//! What becomes of the accounts that were deleted, as the tickets tell: before anything is compared, what is seen of who
//! has left must be gone; in the end each deletion must be over, and then address and name are somebody else's to take.
//!
//! Who got no ticket, as every answer that named it was lost, is not asked about: that deletion is over when the address
//! and the name can be registered again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::RwLock;
use tokio::time::sleep;

use crate::act::Act;
use crate::client::Answer;
use crate::compare::{compare, excerpt};
use crate::findings::Findings;
use crate::model::Model;
use crate::progress::{Bar, Progress};
use crate::report::PhaseLine;
use crate::session::Sessions;

/// How long what is seen of somebody may stay: it takes milliseconds, but a broker that was killed takes a while.
const ERASED_MAX: Duration = Duration::from_secs(60);
/// How long a deletion may take. It waits for requests that were under way, by default 33 s on one node and 103 s on
/// several; the rest is as much again.
const OVER_MAX: Duration = Duration::from_secs(240);
/// How often a ticket is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The part of a deletion that takes away all that can be seen.
const ERASE: &str = "ERASE";

pub(crate) struct Deletions {
    model: Arc<RwLock<Model>>,
    sessions: Arc<Sessions>,
    findings: Arc<Findings>,
}

impl Deletions {
    pub(crate) fn new(model: Arc<RwLock<Model>>, sessions: Arc<Sessions>, findings: Arc<Findings>) -> Self {
        Self { model, sessions, findings }
    }

    /// Waits until all that was seen of who has left is gone, as far as there are tickets.
    pub(crate) async fn erased(&self, progress: Progress) -> Result<PhaseLine> {
        let bar = progress.bar("erase", self.tickets().await.len());
        let before = self.sessions.client.requests();
        let told = self.wait(&bar, ERASED_MAX, "all that can be seen is gone", is_erased).await?;
        let (items, requests) = (told.len() as u64, self.sessions.client.requests() - before);
        Ok(PhaseLine { name: "erase", items, requests, took: bar.finish() })
    }

    /// Waits until all deletions are over, and has somebody else take the address and the name of one who left. Also says
    /// how long the longest deletion took.
    pub(crate) async fn over(&self, progress: Progress) -> Result<(PhaseLine, Option<Duration>)> {
        let bar = progress.bar("deletions", self.tickets().await.len());
        let (before, deadline) = (self.sessions.client.requests(), Instant::now() + OVER_MAX);
        let told = self.wait(&bar, OVER_MAX, "all is over", is_over).await?;
        for told in &told {
            let whole = took(told).is_some() && steps(told).all(|(_, done)| done);
            self.findings.check(whole, || format!("a deletion is over, and is told of as {}", excerpt(told)));
        }
        self.register_again(deadline).await?;
        let (items, requests) = (told.len() as u64, self.sessions.client.requests() - before);
        let longest = told.iter().filter_map(took).max();
        Ok((PhaseLine { name: "deletions", items, requests, took: bar.finish() }, longest))
    }

    async fn tickets(&self) -> Vec<(usize, String)> {
        let model = self.model.read().await;
        model.who_left().filter_map(|person| Some((person, model.ticket(person)?.to_owned()))).collect()
    }

    /// Waits until it is so of each ticket, one after the other, and returns what they tell. It is a difference if it is
    /// not so of one in time.
    async fn wait(&self, bar: &Bar, at_most: Duration, what: &str, is_so: fn(&Value) -> bool) -> Result<Vec<Value>> {
        let deadline = Instant::now() + at_most;
        let mut all = Vec::new();
        for (person, ticket) in self.tickets().await {
            let answer = loop {
                let answer = self.sessions.get(None, ticket.as_str()).await?;
                if answer.status != 200 || is_so(&answer.body) || Instant::now() >= deadline {
                    break answer;
                }
                sleep(LOOK_EVERY).await;
            };
            let is_so = answer.status == 200 && is_so(&answer.body);
            if !is_so {
                let (status, told) = (answer.status, excerpt(&answer.body));
                let leave = self.model.read().await.describe(Act::Leave { person });
                self.findings.differ(format!("{leave}: the ticket does not tell that {what}, but {status} {told}"));
            }
            self.findings.checked(1);
            all.extend(is_so.then_some(answer.body));
            bar.advance();
        }
        Ok(all)
    }

    /// Has somebody else register as one of those who have left, and as each who got no ticket.
    async fn register_again(&self, deadline: Instant) -> Result<()> {
        let model = self.model.read().await;
        let (told, untold): (Vec<usize>, Vec<usize>) =
            model.who_left().partition(|person| model.ticket(*person).is_some());
        // What was refused under a key stays so: each attempt has its own.
        let mut key = model.plan.steps.len();
        for person in untold.iter().copied().chain(told.into_iter().take(1)) {
            let answer = loop {
                let call = model.register_again(person).with_key(model.names.key(key));
                let answer = self.sessions.register(person, &call).await?;
                key += 1;
                let is_open = answer.status == 409 && untold.contains(&person);
                if !is_open || Instant::now() >= deadline {
                    break answer;
                }
                sleep(LOOK_EVERY).await;
            };
            self.newcomer(&model, person, &answer).await?;
        }
        Ok(())
    }

    /// Whoever has the address and the name now is somebody new.
    async fn newcomer(&self, model: &Model, person: usize, answer: &Answer) -> Result<()> {
        let name = model.username(person);
        self.findings.check(answer.status == 201, || {
            let (status, body) = (answer.status, excerpt(&answer.body));
            format!("{name} has left, and registering as they did is answered {status} {body}")
        });
        if answer.status != 201 {
            return Ok(());
        }
        let id = answer.body["id"].as_str();
        self.findings.check(id != model.person_id(person), || format!("{name} has left, and comes back with their id"));
        let me = self.sessions.get(Some(person), "/users/me").await?;
        let comparison = compare(&model.newcomer(person), &me.body);
        self.findings.checked(comparison.values);
        for mismatch in comparison.mismatches {
            self.findings.differ(format!("who took the address and the name of {name}: {mismatch}"));
        }
        Ok(())
    }
}

fn is_erased(told: &Value) -> bool {
    steps(told).any(|(step, done)| step == ERASE && done)
}

fn is_over(told: &Value) -> bool {
    told["status"] == "COMPLETED"
}

/// The parts of a deletion, and whether they are done.
fn steps(told: &Value) -> impl Iterator<Item = (&str, bool)> {
    let steps = told["steps"].as_array().into_iter().flatten();
    steps.map(|step| (step["step"].as_str().unwrap_or_default(), step["done"] == true))
}

/// From the request until it was over.
fn took(told: &Value) -> Option<Duration> {
    let time = |field: &str| OffsetDateTime::parse(told[field].as_str()?, &Rfc3339).ok();
    (time("completed_at")? - time("requested_at")?).try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ticket_tells_how_far_a_deletion_is_and_how_long_it_took() {
        let step = |step: &str, done: bool| json!({"step": step, "done": done});
        let mut told =
            json!({"status": "RUNNING", "requested_at": "2026-01-01T00:00:59.500000Z", "completed_at": null});
        told["steps"] = json!([step("ERASE", false), step("SWEEP", false)]);
        assert!(!is_erased(&told) && !is_over(&told));
        told["steps"] = json!([step("ERASE", true), step("SWEEP", false)]);
        assert!(is_erased(&told) && !is_over(&told));
        assert_eq!(took(&told), None);
        told["completed_at"] = "2026-01-01T00:01:32.750000Z".into();
        assert_eq!(took(&told), Some(Duration::from_millis(33_250)));
        told["completed_at"] = "2025-01-01T00:00:00.000000Z".into();
        assert_eq!(took(&told), None, "over before it began");
    }
}
