//! A batch that is given up, since its partition has moved or its time is over: wherever that falls, it was written or it was
//! not, and nothing of it is left in a connection that others use next.

use crate::answers::Models;
use crate::read_models::PARTITIONS;
use crate::stores::{Store, workers};
use journal::Partition;
use projections::ApplyError;
use projections::postgres::Database;
use std::iter;
use std::time::{Duration, Instant};
use tidings_tests::own_database::OwnDatabase;
use tidings_tests::services::Services;
use tidings_tests::settings;
use tidings_tests::steps::in_steps;
use tokio::time::sleep;

/// Batches that are given up at each point until they are written.
const BATCHES: usize = 4;
/// Commits of one of them.
const COMMITS: usize = 5;
const SEEDS_MAX: usize = 1_000;
/// At so many points at most a batch is given up.
const POINTS_MAX: usize = 1_000;
/// How long a transaction may stay open of which nobody knows: far less than what the database itself allows it.
const LEFT_OPEN_MAX: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);

#[tokio::test]
async fn a_batch_that_is_given_up_at_any_point_leaves_nothing_behind() {
    let Some(services) = Services::from_env() else { return };
    let (seed, dice) = settings::seed();
    println!("TIDINGS_FAULT_SEED={seed}");
    for store in Store::ALL {
        let own = match store {
            Store::Postgres => Some(OwnDatabase::make(&services).await.unwrap()),
            _ => None,
        };
        let url = match &own {
            Some(own) => {
                Database::migrate(&own.url).await.unwrap();
                own.url.clone()
            }
            None => store.fresh(&services).await,
        };
        let model = store.model();
        let seeds = iter::repeat_with(|| dice.uuid().as_u64_pair().0);
        let long_enough = |seed: &u64| workers(*seed, Models::default()).commits(Partition(0)) > BATCHES * COMMITS;
        let seed = seeds.take(SEEDS_MAX).find(long_enough).expect("most histories are longer");
        let mut ours = workers(seed, store.open(&url).await);
        // Makes the connection that the others use.
        ours.apply(model, Partition(0), 1).await;
        let mut given_up = 0;
        for _ in 0..BATCHES {
            for steps in 1..=POINTS_MAX {
                let call = ours.next(model, Partition(0), COMMITS).await;
                match in_steps(steps, ours.write(&call)).await {
                    Some(Ok(())) => break,
                    // It has met what was given up before, and was still on its way.
                    Some(Err(ApplyError::Unavailable(_) | ApplyError::Fenced)) if own.is_none() => {}
                    Some(Err(error)) => panic!("{store:?}: {error}"),
                    None => given_up += 1,
                }
                if let Some(own) = &own {
                    until_nothing_is_open(own, steps).await;
                }
            }
        }
        assert!(given_up > 0, "{store:?} is written in one step: nothing was given up");
        let mut twin = workers(seed, Models::default());
        for n in 0..PARTITIONS {
            ours.apply(model, Partition(n), usize::MAX).await;
            twin.apply(model, Partition(n), usize::MAX).await;
        }
        store.open(&url).await.answers(3).await.check(&twin.models.answers(3).await);
        drop(ours);
        match own {
            Some(own) => own.delete().await.unwrap(),
            None => gateway::delete_read_models(&url).await.unwrap(),
        }
    }
}

async fn until_nothing_is_open(own: &OwnDatabase, steps: usize) {
    let begun = Instant::now();
    while own.open_transactions().await.unwrap() > 0 {
        assert!(begun.elapsed() < LEFT_OPEN_MAX, "given up after {steps} steps, a transaction is left open");
        sleep(LOOK).await;
    }
}
