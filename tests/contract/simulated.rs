//! The simulated log and the keyring in memory under the contract: what they do not keep, no simulation can find.

use async_trait::async_trait;
use events::Keyring;
use journal::{Draft, Journal, JournalError, Partition};
use std::sync::Arc;
use tidings_tests::journal_contract::keyring::KeyringUnderTest;
use tidings_tests::journal_contract::{LogUnderTest, Possible};
use tidings_tests::simulation::log::LogFaults;
use tidings_tests::simulation::{Dice, MemoryKeyring, SimulatedLog, Story};

const NO_DISK: &str = "it lives in memory";

/// A simulated log without faults.
pub(crate) struct SimulatedUnderTest {
    log: SimulatedLog,
    remembered: Vec<usize>,
}

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

    fn remember(&mut self) {
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
