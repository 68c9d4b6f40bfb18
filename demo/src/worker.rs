//! Work on many items at once, at most so many at a time; the first error ends it.

use std::future::Future;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::progress::Bar;

pub(crate) async fn each<T, F, W>(items: Vec<T>, at_once: usize, bar: &Bar, work: W) -> Result<()>
where
    W: Fn(T) -> F,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for item in items {
        if running.len() >= at_once {
            one(&mut running, bar).await?;
        }
        running.spawn(work(item));
    }
    while !running.is_empty() {
        one(&mut running, bar).await?;
    }
    Ok(())
}

async fn one(running: &mut JoinSet<Result<()>>, bar: &Bar) -> Result<()> {
    if let Some(joined) = running.join_next().await {
        joined.context("a task has ended early")??;
        bar.advance();
    }
    Ok(())
}
