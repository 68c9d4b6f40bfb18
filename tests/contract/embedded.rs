//! The embedded implementation under the contract, and what the world can do to its directory.

use async_trait::async_trait;
use events::Keyring;
use journal::embedded::{self, Embedded, StaticOwnership};
use journal::{Journal, JournalError, Ownership};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;
use tidings_tests::journal_contract::keyring::KeyringUnderTest;
use tidings_tests::journal_contract::ownership::OwnershipUnderTest;
use tidings_tests::journal_contract::{LogUnderTest, Possible};

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

    fn remember(&mut self) {
        self.remembered = Some(Snapshot::at_rest(&self.directory.path().join("log")));
    }

    async fn rewind(mut self) -> Possible<Result<Self, JournalError>> {
        let remembered = self.remembered.take().unwrap();
        let directory = self.close();
        fs::remove_dir_all(directory.path().join("log")).unwrap();
        remembered.restore(&directory.path().join("log"));
        Possible::Done(Self::open(directory, 1))
    }

    async fn flipped(&self, clean: bool, random: u64) -> Possible<Result<Self, JournalError>> {
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
        snapshot.flip(directory.path(), random);
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

#[async_trait]
impl OwnershipUnderTest for StaticUnderTest {
    async fn create(partitions: u32) -> Self {
        Self(Arc::new(StaticOwnership::new(partitions)))
    }

    fn ownership(&self) -> Arc<dyn Ownership> {
        Arc::clone(&self.0) as _
    }
}

/// All files below a directory, without the zeros that some end in.
#[derive(Clone, PartialEq)]
pub(crate) struct Snapshot(Vec<SavedFile>);

#[derive(Clone, PartialEq)]
struct SavedFile {
    path: PathBuf,
    length: u64,
    content: Vec<u8>,
}

impl Snapshot {
    /// Taken when two looks see the same: the store may be busy in the background, and a copy that is taken while files
    /// come and go is nothing that a crash could leave.
    pub(crate) fn at_rest(directory: &Path) -> Self {
        for _ in 0..1_000 {
            let (one, two) = (Self::take(directory), Self::take(directory));
            if let (Some(one), Some(two)) = (one, two)
                && one == two
            {
                return one;
            }
        }
        panic!("{} does not come to rest", directory.display());
    }

    fn take(directory: &Path) -> Option<Self> {
        let mut files = Vec::new();
        let mut folders = vec![directory.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).ok()? {
                let path = entry.ok()?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let mut content = fs::read(&path).ok()?;
                let length = content.len() as u64;
                content.truncate(content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
                files.push(SavedFile { path: path.strip_prefix(directory).ok()?.to_owned(), length, content });
            }
        }
        files.sort_by(|one, two| one.path.cmp(&two.path));
        Some(Self(files))
    }

    pub(crate) fn restored(&self) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        self.restore(directory.path());
        directory
    }

    pub(crate) fn restore(&self, directory: &Path) {
        for file in &self.0 {
            let path = directory.join(&file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &file.content).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_len(file.length).unwrap();
        }
    }

    /// Flips a bit in one of the files, each as likely as the others, up to a little beyond what is written in it.
    fn flip(&self, directory: &Path, random: u64) {
        let written: Vec<_> = self.0.iter().filter(|file| !file.content.is_empty()).collect();
        let file = written[usize::try_from(random % written.len() as u64).unwrap()];
        let reach = file.length.min(file.content.len() as u64 + 16);
        let bit = (random / written.len() as u64) % (reach * 8);
        let path = directory.join(&file.path);
        let mut content = fs::read(&path).unwrap();
        content[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
        fs::write(&path, content).unwrap();
    }
}
