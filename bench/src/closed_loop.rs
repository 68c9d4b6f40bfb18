//! Clients that wait for an answer before they ask again, and what is measured of them.

use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What came of one measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Answers a second.
    pub(crate) per_second: f64,
    /// Half of the answers took no longer.
    pub(crate) p50: Duration,
    /// Of a hundred answers, one took longer.
    pub(crate) p99: Duration,
}

/// How long to measure, after how long to warm up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// One client of a measurement.
pub(crate) trait Client: Send + 'static {
    /// One question and its answer; an answer that is not the right one is an error, and ends the measurement.
    fn ask(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// Lets every client ask in a loop, and times the answers that come in the measured part of the span.
pub(crate) async fn measure<C: Client>(clients: Vec<C>, span: Span) -> Result<Measured> {
    let from = Instant::now() + span.warm_up;
    let until = from + span.measured;
    let mut loops = JoinSet::new();
    for mut client in clients {
        loops.spawn(async move {
            let mut times = Vec::new();
            let mut asked = Instant::now();
            while asked < until {
                client.ask().await?;
                let answered = Instant::now();
                if answered >= from && answered < until {
                    times.push(answered - asked);
                }
                asked = answered;
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(ended) = loops.join_next().await {
        times.extend(ended.context("a client panicked")??);
    }
    ensure!(!times.is_empty(), "nothing was answered within {:?}", span.measured);
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    Ok(Measured { per_second: times.len() as f64 / span.measured.as_secs_f64(), p50: at(50), p99: at(99) })
}
