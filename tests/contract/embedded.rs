//! The embedded implementation under the contract, and what the world can do to its directory.

use async_trait::async_trait;
use events::Keyring;
use journal::embedded::{self, Embedded, StaticOwnership};
use journal::{Journal, JournalError, Ownership};
use std::fs;
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;
use tidings_tests::journal_contract::keyring::KeyringUnderTest;
use tidings_tests::journal_contract::ownership::OwnershipUnderTest;
use tidings_tests::journal_contract::{LogUnderTest, Possible, UnderTest};
use tidings_tests::snapshot::Snapshot;

/// A log and a keyring in a directory of their own.
pub(crate) struct EmbeddedUnderTest {
    opened: Embedded,
    directory: TempDir,
    remembered: Option<Snapshot>,
    killed: OnceLock<Snapshot>,
    closed: OnceLock<Snapshot>,
}

impl EmbeddedUnderTest {
    fn open(directory: TempDir, partitions: u32) -> Result<Self, JournalError> {
        let opened = embedded::open(directory.path(), partitions)?;
        Ok(Self { opened, directory, remembered: None, killed: OnceLock::new(), closed: OnceLock::new() })
    }

    fn close(self) -> TempDir {
        drop(self.opened);
        self.directory
    }
}

impl UnderTest for EmbeddedUnderTest {}

#[async_trait]
impl LogUnderTest for EmbeddedUnderTest {
    async fn create(partitions: u32) -> Self {
        Self::open(tempfile::tempdir().unwrap(), partitions).unwrap()
    }

    fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.opened.log) as _
    }

    /// There is one process by design; its second handle is the first one.
    fn other(&self) -> Arc<dyn Journal> {
        self.journal()
    }

    async fn reopen(self) -> Result<Self, JournalError> {
        Self::open(self.close(), 1)
    }

    async fn crash(self) -> Possible<Result<Self, JournalError>> {
        let killed = Snapshot::at_rest(self.directory.path());
        drop(self.close());
        Possible::Done(Self::open(killed.restored(), 1))
    }

    async fn remember(&mut self) {
        self.remembered = Some(Snapshot::at_rest(&self.directory.path().join("log")));
    }

    async fn rewind(mut self) -> Possible<Result<Self, JournalError>> {
        let remembered = self.remembered.take().unwrap();
        let directory = self.close();
        fs::remove_dir_all(directory.path().join("log")).unwrap();
        remembered.restore(&directory.path().join("log"));
        Possible::Done(Self::open(directory, 1))
    }

    async fn flipped(&self, clean: bool, random: Option<u64>) -> Possible<Result<Self, JournalError>> {
        let killed = self.killed.get_or_init(|| Snapshot::at_rest(self.directory.path()));
        let snapshot = if clean {
            self.closed.get_or_init(|| {
                let directory = Self::open(killed.restored(), 1).unwrap().close();
                Snapshot::at_rest(directory.path())
            })
        } else {
            killed
        };
        let directory = snapshot.restored();
        if let Some(random) = random {
            snapshot.flip(directory.path(), random);
        }
        Possible::Done(Self::open(directory, 1))
    }
}

#[async_trait]
impl KeyringUnderTest for EmbeddedUnderTest {
    async fn create() -> Self {
        Self::open(tempfile::tempdir().unwrap(), 1).unwrap()
    }

    fn keyring(&self) -> Arc<dyn Keyring> {
        Arc::clone(&self.opened.keyring) as _
    }

    async fn reopen(self) -> Possible<Self> {
        Possible::Done(Self::open(self.close(), 1).unwrap())
    }
}

pub(crate) struct StaticUnderTest(Arc<StaticOwnership>);

impl UnderTest for StaticUnderTest {}

#[async_trait]
impl OwnershipUnderTest for StaticUnderTest {
    async fn create(partitions: u32) -> Self {
        Self(Arc::new(StaticOwnership::new(partitions)))
    }

    fn ownership(&self) -> Arc<dyn Ownership> {
        Arc::clone(&self.0) as _
    }
}
