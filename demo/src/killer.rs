//! Kills the servers in turn, and those that they need, in the middle of their work, evenly spread over the run, and
//! starts them again. The clients know nothing of it: they lose their connections and try again.

use std::collections::VecDeque;
use std::future::pending;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::client::Client;
use crate::report::KillLine;
use crate::victim::Victim;

/// A kill comes up to so long after the step that is its turn, so that it meets requests at any point of their way.
const DELAY_MICROS_MAX: u64 = 10_000;
/// The same in the last phase, in which the way is longer: passwords are hashed on it.
const DELAY_LAST_MICROS_MAX: u64 = 100_000;

/// How long an answer is waited for after a kill.
const ANSWERED_MAX: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(5);

pub(crate) struct Killer {
    /// Killed in turn.
    victims: Vec<Arc<Mutex<Victim>>>,
    client: Client,
    /// After how many finished steps the next kills are due.
    due: VecDeque<usize>,
    /// After how many the last phase begins.
    last: usize,
    rng: StdRng,
    running: Option<JoinHandle<Result<KillLine>>>,
    done: Vec<KillLine>,
}

impl Killer {
    /// `last`: the steps of the last phase.
    pub(crate) fn new(
        victims: Vec<Arc<Mutex<Victim>>>,
        client: Client,
        kills: usize,
        last: &Range<usize>,
        seed: u64,
    ) -> Self {
        let (due, last, rng) = (due(kills, last), last.start, StdRng::seed_from_u64(seed));
        Self { victims, client, due, last, rng, running: None, done: Vec::new() }
    }

    /// To be told how many steps are finished; begins a kill when one is due and the last one is over.
    pub(crate) fn after(&mut self, steps: usize) {
        if self.running.is_some() || !self.is_due(steps) {
            return;
        }
        self.due.pop_front();
        if self.victims.is_empty() {
            return;
        }
        self.victims.rotate_left(1);
        let (victim, client) = (Arc::clone(&self.victims[0]), self.client.clone());
        let delay_max = if steps < self.last { DELAY_MICROS_MAX } else { DELAY_LAST_MICROS_MAX };
        let delay = Duration::from_micros(self.rng.random_range(0..delay_max));
        self.running = Some(tokio::spawn(async move {
            sleep(delay).await;
            let mut victim = victim.lock().await;
            victim.kill().await?;
            client.listen();
            let ready_again = victim.restart().await.context("after a kill")?;
            answered(&client).await;
            let (silence, slowest) = (client.silence(), client.slowest());
            Ok(KillLine { victim: victim.kind(), after_steps: steps, ready_again, silence, slowest })
        }));
    }

    /// Whether the next kill is due before the last one is over. Then nothing new may begin, or a fast run would end with
    /// fewer kills than were asked for.
    pub(crate) fn holds_up(&self, steps: usize) -> bool {
        self.running.is_some() && self.is_due(steps)
    }

    fn is_due(&self, steps: usize) -> bool {
        self.due.front().is_some_and(|due| steps >= *due)
    }

    /// Waits until the kill that has begun is over; for ever if there is none. May be cancelled.
    pub(crate) async fn over(&mut self) -> Result<KillLine> {
        let Some(running) = &mut self.running else { return pending().await };
        let line = running.await.context("the kill has ended early")?;
        self.running = None;
        let line = line?;
        self.done.push(line);
        Ok(line)
    }

    /// Waits for the last kill and returns all.
    pub(crate) async fn finish(mut self) -> Result<Vec<KillLine>> {
        if self.running.is_some() {
            self.over().await?;
        }
        Ok(self.done)
    }
}

/// Evenly spread; but the last of several kills falls into the last phase, however few its steps are. They all begin at
/// once, so it is due when they do.
fn due(kills: usize, last: &Range<usize>) -> VecDeque<usize> {
    let spread = |kills: usize, steps: usize| (0..kills).map(move |kill| steps * (2 * kill + 1) / (2 * kills));
    if kills < 2 || last.is_empty() {
        return spread(kills, last.end).collect();
    }
    spread(kills - 1, last.start).chain([last.start]).collect()
}

/// Waits until somebody has been answered again, if anybody asks, so that the silence is over when it is measured.
async fn answered(client: &Client) {
    let before = client.answers();
    let asked = Instant::now();
    while client.is_asked() && client.answers() == before && asked.elapsed() < ANSWERED_MAX {
        sleep(POLL_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_spread_evenly_over_the_work_and_one_falls_into_its_last_phase() {
        assert_eq!(due(4, &(800..800)), [100, 300, 500, 700]);
        assert_eq!(due(5, &(800..806)), [100, 300, 500, 700, 800]);
        assert_eq!(due(1, &(797..800)), [400]);
        assert_eq!(due(0, &(797..800)), [0; 0]);
    }
}
