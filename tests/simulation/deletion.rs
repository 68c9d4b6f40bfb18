//! Deleting an account while clocks are set and owners start again.

use crate::registration::{PARTITIONS, answer, applicant, cluster_whose_clock_can_be_set, registration, start_all};
use commands::{Effect, EffectFuture, Effects, Ended, Outcome, Request, SagaCommand};
use events::{CommandId, Key, SagaId, Timestamp};
use journal::partition_of;
use parking_lot::Mutex;
use sagas::deletion::DeletionData;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

const STRAGGLERS: Duration = Duration::from_secs(15);

/// Effects that succeed at once, and when each was carried out.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Vec<(Effect, Instant)>>>);

impl Noted {
    fn first(&self, of: fn(&Effect) -> bool) -> Option<Instant> {
        self.0.lock().iter().find(|(effect, _)| of(effect)).map(|(_, at)| *at)
    }

    fn erased(&self) -> Option<Instant> {
        self.first(|effect| matches!(effect, Effect::Erase(_)))
    }

    fn swept(&self) -> Option<Instant> {
        self.first(|effect| matches!(effect, Effect::Sweep(_)))
    }
}

impl Effects for Noted {
    fn carry_out(&self, _: SagaId, effect: Effect) -> EffectFuture {
        self.0.lock().push((effect, Instant::now()));
        Box::pin(async { Outcome::Done { version: None } })
    }
}

#[tokio::test(start_paused = true)]
async fn stragglers_have_their_time_although_a_clock_is_set_forward_and_the_owner_starts_again() {
    let set = Arc::new(AtomicI64::new(0));
    let (mut cluster, _, keyring) = cluster_whose_clock_can_be_set(1, Arc::clone(&set));
    let effects = Noted::default();
    (cluster.stragglers, cluster.effects) = (STRAGGLERS, Arc::new(effects.clone()));
    let mut nodes = start_all(&cluster);
    let request = registration(&keyring, 1, "ada@example.com", "ada").await;
    assert_eq!(answer(&cluster, &request).await, Ended::Completed);
    let user = applicant(&request);
    let data = DeletionData { user }.into();
    let start = SagaCommand::Start { saga: SagaId(Uuid::from_u128(7)), data, with: Value::Null };
    let id = CommandId(Uuid::from_u128(8));
    let delete = Request::new(id, Key::User(user), start, Timestamp(1_000), Instant::now());
    let delete = Request { until_saga_ends: true, ..delete };
    assert_eq!(answer(&cluster, &delete).await, Ended::Completed);
    while effects.erased().is_none() {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_secs(1)).await;
    set.store(24 * 3_600 * 1_000_000, Ordering::Relaxed);
    let home = partition_of(&Key::User(user), PARTITIONS);
    let node = &mut nodes[home.0 as usize];
    node.task.abort();
    *node = cluster.start(home);
    while effects.swept().is_none() {
        sleep(Duration::from_millis(10)).await;
    }
    let waited = effects.swept().zip(effects.erased()).map(|(swept, erased)| swept - erased);
    assert!(waited >= Some(STRAGGLERS), "swept after {waited:?}");
}
