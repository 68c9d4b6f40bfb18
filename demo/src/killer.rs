//! Kills the server in the middle of its work, evenly spread over the run, and starts it again. The clients know nothing
//! of it: they lose their connections and try again.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::report::KillLine;
use crate::server::Server;

/// A kill comes up to so long after the step that is its turn, so that it meets requests at any point of their way.
const DELAY_MICROS_MAX: u64 = 10_000;

pub(crate) struct Killer {
    server: Option<Arc<Mutex<Server>>>,
    /// After how many finished steps the next kills are due.
    due: VecDeque<usize>,
    rng: StdRng,
    running: Option<JoinHandle<Result<KillLine>>>,
    done: Vec<KillLine>,
}

impl Killer {
    pub(crate) fn new(server: Option<Arc<Mutex<Server>>>, kills: usize, steps: usize, seed: u64) -> Self {
        let due = (0..kills).map(|kill| steps * (2 * kill + 1) / (2 * kills)).collect();
        Self { server, due, rng: StdRng::seed_from_u64(seed), running: None, done: Vec::new() }
    }

    /// To be told how many steps are finished; begins a kill when one is due and the last one is over.
    pub(crate) fn after(&mut self, steps: usize) {
        if self.running.is_some() || !self.is_due(steps) {
            return;
        }
        self.due.pop_front();
        let Some(server) = self.server.clone() else { return };
        let delay = Duration::from_micros(self.rng.random_range(0..DELAY_MICROS_MAX));
        self.running = Some(tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let mut server = server.lock().await;
            server.kill().await?;
            let ready_again = server.restart().await.context("after a kill")?;
            Ok(KillLine { after_steps: steps, ready_again })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_spread_evenly_over_the_work() {
        assert_eq!(Killer::new(None, 4, 800, 1).due, [100, 300, 500, 700]);
        assert_eq!(Killer::new(None, 0, 800, 1).due, [0; 0]);
    }
}
