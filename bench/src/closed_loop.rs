//! Clients that wait for an answer before they ask again.

use anyhow::{Context, Result};
use std::fmt;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What came of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Answers a second.
    pub(crate) per_second: f64,
    p50: Duration,
    p99: Duration,
}

impl Measured {
    /// The one in the middle, by rate.
    pub(crate) fn median(mut all: Vec<Self>) -> Self {
        all.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        all[all.len() / 2]
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(f, "{:.0} | {:.2} / {:.2}", self.per_second, ms(self.p50), ms(self.p99))
    }
}

/// One client of a measurement: asks once and returns when it has its answer.
pub(crate) trait Client: Send + 'static {
    /// One question and its answer.
    fn ask(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// Lets every client ask in a loop for a while, and times every answer.
pub(crate) async fn measure<C: Client>(clients: Vec<C>, run: Duration) -> Result<Measured> {
    let begun = Instant::now();
    let mut loops = JoinSet::new();
    for mut client in clients {
        loops.spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < run {
                let asked = Instant::now();
                client.ask().await?;
                times.push(asked.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(ended) = loops.join_next().await {
        times.extend(ended.context("a client panicked")??);
    }
    let elapsed = begun.elapsed();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    Ok(Measured { per_second: times.len() as f64 / elapsed.as_secs_f64(), p50: at(50), p99: at(99) })
}
