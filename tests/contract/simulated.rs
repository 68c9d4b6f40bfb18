//! The simulated log and the keyring in memory under the contract: what they do not keep, no simulation can find.

use async_trait::async_trait;
use bytes::Bytes;
use events::{Incarnation, Keyring};
use journal::chain::genesis;
use journal::{Draft, Journal, JournalError, Kind, Partition, Reader};
use std::sync::Arc;
use tidings_tests::journal_contract::keyring::KeyringUnderTest;
use tidings_tests::journal_contract::{LogUnderTest, Possible, UnderTest};
use tidings_tests::simulation::log::LogFaults;
use tidings_tests::simulation::{Dice, MemoryKeyring, SimulatedLog, Story};

const NO_DISK: &str = "it lives in memory";

/// A simulated log without faults.
pub(crate) struct SimulatedUnderTest {
    log: SimulatedLog,
    remembered: Vec<usize>,
}

impl UnderTest for SimulatedUnderTest {}

#[async_trait]
impl LogUnderTest for SimulatedUnderTest {
    async fn create(partitions: u32) -> Self {
        let log = SimulatedLog::new(partitions, Dice::new(1), Story::default(), LogFaults::NONE);
        Self { log, remembered: Vec::new() }
    }

    fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(self.log.clone())
    }

    fn other(&self) -> Arc<dyn Journal> {
        self.journal()
    }

    fn name_among_others(&self) -> Possible<String> {
        Possible::NotHere("each simulated world has one log")
    }

    async fn reopen(self) -> Result<Self, JournalError> {
        Ok(self)
    }

    async fn crash(self) -> Possible<Result<Self, JournalError>> {
        Possible::NotHere(NO_DISK)
    }

    async fn remember(&mut self) {
        let landed = |n| usize::try_from(self.log.landed(Partition(n))).unwrap();
        self.remembered = (0..self.log.partitions()).map(landed).collect();
    }

    async fn rewind(self) -> Possible<Result<Self, JournalError>> {
        for (length, n) in self.remembered.iter().zip(0..) {
            self.log.tamper(Partition(n), |records: &mut Vec<Draft>| records.truncate(*length));
        }
        Possible::Done(Ok(self))
    }

    async fn flipped(&self, _clean: bool, _random: Option<u64>) -> Possible<Result<Self, JournalError>> {
        Possible::NotHere(NO_DISK)
    }
}

pub(crate) struct MemoryUnderTest(Arc<MemoryKeyring>);

impl UnderTest for MemoryUnderTest {}

#[async_trait]
impl KeyringUnderTest for MemoryUnderTest {
    async fn create() -> Self {
        Self(Arc::new(MemoryKeyring::default()))
    }

    fn keyring(&self) -> Arc<dyn Keyring> {
        Arc::clone(&self.0) as _
    }

    async fn reopen(self) -> Possible<Self> {
        Possible::NotHere(NO_DISK)
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_void_and_is_valid_now_stops_whoever_goes_on() {
    const P: Partition = Partition(0);
    let log = SimulatedLog::new(1, Dice::new(1), Story::default(), LogFaults::NONE);
    let claim = |prev| Draft::extending(prev, Kind::Claim, Incarnation::default(), Bytes::new(), Bytes::new());
    let mut appender = log.appender(P).unwrap();
    let (first, void) = (claim(genesis(log.log(), P)), claim(genesis("another log", P)));
    let head = first.chain;
    appender.append(first).await.unwrap();
    appender.append(void).await.unwrap();
    let mut reader = Reader::from_start(Arc::new(log.clone()), P).await.unwrap();
    assert_eq!(reader.records().await.unwrap().len(), 1);
    reader.compare().await.unwrap();
    log.cut(P, 1);
    let second = claim(head);
    let third = claim(second.chain);
    appender.append(second).await.unwrap();
    appender.append(third).await.unwrap();
    let resumed = Reader::resume(Arc::new(log.clone()), P, reader.checkpoint()).await.map(drop);
    assert!(matches!(resumed, Err(JournalError::Diverged { offset: 1, .. })), "{resumed:?}");
}
