//! What deciding costs: likes through owners, beside the same store doing nothing but durable appends of as many bytes.
//!
//! Both run in one process, one after the other and in turns, so that the ratio means something on a noisy machine. No
//! absolute figure printed here is a promise.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod appends;
mod closed_loop;
mod likes;

use anyhow::Result;
use closed_loop::Measured;
use std::time::Duration;

/// Closed-loop clients: each waits for its answer before it asks again.
const CLIENTS: [usize; 4] = [1, 16, 256, 1_024];
/// How long each measurement runs, after as long again to warm up the first time.
const RUN: Duration = Duration::from_secs(3);
/// Measurements of each kind, in turns; the medians are printed.
const ROUNDS: usize = 3;

fn main() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Result<()> {
    let appends = appends::Appends::open()?;
    let likes = likes::Likes::open().await?;
    println!("| clients | likes/s | p50 / p99 ms | durable appends/s | p50 / p99 ms | ratio |");
    println!("|---|---|---|---|---|---|");
    for clients in CLIENTS {
        let (mut liked, mut appended) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            liked.push(likes.run(clients, RUN).await?);
            appended.push(appends.run(clients, RUN, likes.value_bytes()).await?);
        }
        let (liked, appended) = (Measured::median(liked), Measured::median(appended));
        println!("| {clients} | {liked} | {appended} | {:.2} |", liked.per_second / appended.per_second);
    }
    likes.close().await;
    Ok(())
}
