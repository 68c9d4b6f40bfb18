//! Carries out the plan: many acts at once, each when what it waits for is finished, every answer compared with what it
//! should be and taken into the model.
//!
//! Now and then an acknowledged write is sent once more with its key, which must change nothing and be answered alike,
//! and now and then its author reads it back at once; after a restart and after a repeated attempt always.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use crate::act::Act;
use crate::client::{Answer, Call};
use crate::compare::{compare, excerpt};
use crate::findings::Findings;
use crate::killer::Killer;
use crate::model::Model;
use crate::plan::{Phase, Plan};
use crate::progress::Progress;
use crate::readback;
use crate::report::{KillLine, PhaseLine};
use crate::session::Sessions;

/// One write in so many is read back at once.
const READ_BACK_EVERY: usize = 20;
/// One write in so many is sent again with its key.
const REPEAT_EVERY: usize = 30;
/// So many writes after a restart are all read back.
const READ_BACK_AFTER_RESTART: u32 = 50;

pub(crate) struct Load {
    actors: Arc<Actors>,
    killer: Killer,
    finished: usize,
}

/// What the acts share.
pub(crate) struct Actors {
    pub(crate) plan: Arc<Plan>,
    pub(crate) model: Arc<RwLock<Model>>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) findings: Arc<Findings>,
    /// How many of the next writes are to be read back in any case.
    read_back_next: AtomicU32,
    left_out: AtomicU64,
}

/// Whether nobody has published anything yet, so that all that is listed later must be of this run.
pub(crate) async fn is_empty(sessions: &Sessions) -> Result<bool> {
    let answer = sessions.get(None, "/posts?limit=1").await?;
    ensure!(answer.status == 200, "GET /posts without a token: answered {} {}", answer.status, excerpt(&answer.body));
    Ok(answer.body["posts"].as_array().is_some_and(Vec::is_empty))
}

impl Load {
    pub(crate) fn new(
        plan: Arc<Plan>,
        model: Arc<RwLock<Model>>,
        sessions: Arc<Sessions>,
        findings: Arc<Findings>,
        killer: Killer,
    ) -> Self {
        let (read_back_next, left_out) = (AtomicU32::new(0), AtomicU64::new(0));
        let actors = Actors { plan, model, sessions, findings, read_back_next, left_out };
        Self { actors: Arc::new(actors), killer, finished: 0 }
    }

    pub(crate) async fn run(&mut self, at_once: usize, progress: &Progress) -> Result<Vec<PhaseLine>> {
        let plan = Arc::clone(&self.actors.plan);
        let mut lines = Vec::new();
        for phase in &plan.phases {
            lines.push(self.phase(phase, at_once, progress).await?);
        }
        let left_out = self.actors.left_out.load(Ordering::Relaxed);
        self.actors.findings.check(left_out == 0, || {
            format!("{left_out} acts were left out, as what they are about was never acknowledged")
        });
        Ok(lines)
    }

    /// Waits for a kill that is still under way, and returns all of them.
    pub(crate) async fn finish(self) -> Result<Vec<KillLine>> {
        self.killer.finish().await
    }

    async fn phase(&mut self, phase: &Phase, at_once: usize, progress: &Progress) -> Result<PhaseLine> {
        let bar = progress.bar(phase.name, phase.steps.len());
        let requests_before = self.actors.sessions.client.requests();
        let mut queue = Queue::new(&self.actors.plan, phase);
        let mut running = JoinSet::new();
        while !running.is_empty() || !queue.ready.is_empty() {
            while running.len() < at_once
                && !self.killer.holds_up(self.finished)
                && let Some(step) = queue.ready.pop_front()
            {
                running.spawn(Arc::clone(&self.actors).perform(step));
            }
            tokio::select! {
                Some(joined) = running.join_next() => {
                    queue.finish(joined.context("a task has ended early")??);
                    bar.advance();
                    self.finished += 1;
                    self.killer.after(self.finished);
                }
                kill = self.killer.over() => {
                    let seconds = kill?.ready_again.as_secs_f64();
                    self.actors.read_back_next.store(READ_BACK_AFTER_RESTART, Ordering::Relaxed);
                    bar.say(&format!("killed after {} steps, ready again in {seconds:.2} s", self.finished));
                }
            }
        }
        let requests = self.actors.sessions.client.requests() - requests_before;
        Ok(PhaseLine { name: phase.name, items: phase.steps.len() as u64, requests, took: bar.finish() })
    }
}

/// Which steps of a phase can begin.
struct Queue {
    start: usize,
    ready: VecDeque<usize>,
    /// For each step how many others it still waits for, and who waits for it.
    waiting: Vec<usize>,
    waiters: Vec<Vec<usize>>,
}

impl Queue {
    fn new(plan: &Plan, phase: &Phase) -> Self {
        let start = phase.steps.start;
        let steps = &plan.steps[phase.steps.clone()];
        let waiting: Vec<usize> = steps.iter().map(|step| step.after.len()).collect();
        let mut waiters = vec![Vec::new(); steps.len()];
        for (number, step) in phase.steps.clone().zip(steps) {
            for after in &step.after {
                waiters[after - start].push(number);
            }
        }
        let ready = phase.steps.clone().filter(|step| waiting[step - start] == 0).collect();
        Self { start, ready, waiting, waiters }
    }

    fn finish(&mut self, step: usize) {
        for waiter in std::mem::take(&mut self.waiters[step - self.start]) {
            let waiting = &mut self.waiting[waiter - self.start];
            *waiting -= 1;
            if *waiting == 0 {
                self.ready.push_back(waiter);
            }
        }
    }
}

impl Actors {
    async fn perform(self: Arc<Self>, step: usize) -> Result<usize> {
        let act = self.plan.steps[step].act;
        let Some(call) = self.model.read().await.request(act, step) else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return Ok(step);
        };
        let answer = self.send(act, &call).await?;
        if !self.check_answer(act, step, &call, &answer).await {
            return Ok(step);
        }
        if act.is_repeatable() && step % REPEAT_EVERY == REPEAT_EVERY / 2 {
            let again = self.send(act, &call).await?;
            self.check_repeat(act, &call, &again).await;
        }
        let next = self.read_back_next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if next.is_ok() || answer.attempts > 1 || step.is_multiple_of(READ_BACK_EVERY) {
            readback::read_back(&self, act, &call).await?;
        }
        Ok(step)
    }

    async fn send(&self, act: Act, call: &Call) -> Result<Answer> {
        match act {
            Act::Register { person } => self.sessions.register(person, call).await,
            Act::Logout { person } => self.sessions.log_out(person, call).await,
            Act::Leave { person } => self.sessions.leave(person, call).await,
            _ => self.sessions.send(Some(act.actor(&self.plan)), call).await,
        }
    }

    /// Takes the answer into the model; false if it is not an acknowledgement.
    async fn check_answer(&self, act: Act, step: usize, call: &Call, answer: &Answer) -> bool {
        let status = act.status();
        self.findings.check(answer.status == status, || {
            format!("{call}: expected {status}, answered {} {}", answer.status, excerpt(&answer.body))
        });
        if answer.status != status {
            return false;
        }
        let mut model = self.model.write().await;
        if let Err(lacks) = model.apply(act, step, &answer.body) {
            self.findings.differ(format!("{call}: {lacks}"));
            return false;
        }
        if let (Act::Leave { person }, Some(ticket)) = (act, answer.location()) {
            model.keep_ticket(person, ticket);
        }
        if model.is_acknowledged(act) && !answer.inferred {
            let token = answer.headers.contains_key("x-consistency-token");
            self.findings.check(token, || format!("{call}: no X-Consistency-Token"));
        }
        let comparison = compare(&model.answer(act), &answer.body);
        self.findings.checked(comparison.values);
        for mismatch in comparison.mismatches {
            self.findings.differ(format!("{call}: the answer's {mismatch}"));
        }
        true
    }

    /// What was sent again with its key must be answered as before, above all with the same id.
    async fn check_repeat(&self, act: Act, call: &Call, again: &Answer) {
        let status = act.status();
        self.findings.check(again.status == status, || {
            format!("{call}: repeated, expected {status} again, answered {} {}", again.status, excerpt(&again.body))
        });
        if again.status != status {
            return;
        }
        let comparison = compare(&self.model.read().await.answer(act), &again.body);
        self.findings.checked(comparison.values);
        for mismatch in comparison.mismatches {
            let line = format!("{call}: repeated, the answer's {mismatch}");
            if mismatch.starts_with("id:") {
                self.findings.doubled(again.body["id"].to_string(), &line);
            } else {
                self.findings.differ(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;

    #[test]
    fn a_step_begins_when_all_that_it_waits_for_is_finished() {
        let step = |after: &[usize]| Step { act: Act::Register { person: 0 }, after: after.into() };
        let plan = Plan {
            people: 1,
            bios: Vec::new(),
            drafts: Vec::new(),
            posts: Vec::new(),
            comments: Vec::new(),
            steps: vec![step(&[]), step(&[]), step(&[]), step(&[1, 2])],
            phases: Vec::new(),
        };
        let mut queue = Queue::new(&plan, &Phase { name: "some", steps: 1..4 });
        assert_eq!(queue.ready, [1, 2]);
        queue.finish(2);
        assert_eq!(queue.ready, [1, 2]);
        queue.finish(1);
        assert_eq!(queue.ready, [1, 2, 3]);
    }
}
