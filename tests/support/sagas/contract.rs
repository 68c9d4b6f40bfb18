//! The kit over logs on which time costs something: all scenarios at once, each on a log of its own, since what takes long
//! is waiting.

use super::scenario;
use super::{Extent, PARTITIONS_MIN, Stand, Table};
use crate::journal_contract::LogUnderTest;
use crate::simulation::network::NetworkFaults;
use crate::simulation::nodes::Cluster;
use crate::simulation::{Dice, Network, Story};
use events::Timestamp;
use futures::future::join_all;
use journal::{Journal, Rules};
use std::sync::Arc;
use std::time::Instant;

/// Owners over a log as it is, on a network without faults.
pub fn cluster(journal: Arc<dyn Journal>, seed: u64) -> Cluster {
    let dice = Dice::new(seed);
    let network = Network::new(journal.partitions(), dice.clone(), Story::default(), NetworkFaults::NONE);
    Cluster::new(journal, network, Arc::new(Timestamp::now), Rules::default(), dice)
}

/// Every saga ends as it must, and nothing of it is left.
#[expect(clippy::print_stdout, reason = "the table is what somebody looks for who runs it by itself")]
pub async fn every_saga_ends_whatever_goes_wrong<L: LogUnderTest>(extent: Extent) {
    let begun = Instant::now();
    let scenarios = scenario::all().into_iter().zip(1..).map(|(scenario, seed)| {
        tokio::spawn(async move {
            let log = L::create(PARTITIONS_MIN).await;
            let mut stand = Stand::new(cluster(log.journal(), seed), extent).await;
            let table = stand.run_all(&scenario).await;
            stand.end().await;
            table
        })
    });
    let tables = join_all(scenarios).await.into_iter().map(|table| table.expect("no panic"));
    let table = tables.fold(Table::default(), Table::and);
    println!("{table} in {:.0?}", begun.elapsed());
    assert!(table.leftovers.is_empty(), "{:#?}", table.leftovers);
    assert_eq!(table.not_met(), [""; 0], "the kit plans what it does not do");
}

/// The kit over an implementation, to this extent.
#[macro_export]
macro_rules! saga_contract {
    ($implementation:ident: $log:ty, $extent:ident) => {
        mod $implementation {
            #[tokio::test(flavor = "multi_thread")]
            async fn every_saga_ends_whatever_goes_wrong() {
                if <$log as $crate::journal_contract::UnderTest>::is_available() {
                    let extent = $crate::sagas::Extent::$extent;
                    $crate::sagas::contract::every_saga_ends_whatever_goes_wrong::<$log>(extent).await;
                }
            }
        }
    };
}
