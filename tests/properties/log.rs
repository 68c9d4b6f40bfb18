//! A log and a keyring in memory that do what they are told: append, claim, leave a void record, fail to answer.

use async_trait::async_trait;
use bytes::Bytes;
use events::{
    CipherKey, CommandId, Commit, Event, Incarnation, Key, KeyId, Keyring, KeyringError, KeyringFuture, Retention,
    Secrets, SigningKeys, Timestamp, UserId,
};
use journal::{
    Anchor, Appender, Chain, Draft, Head, Journal, JournalError, Kind, Offset, Partition, Position, Record,
    partition_of,
};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

const LOG: &str = "in memory";

/// The log. What is appended is there at once.
pub(crate) struct MemoryLog {
    pub(crate) partitions: Vec<Mutex<Stored>>,
    appended: watch::Sender<u64>,
    /// How many reads from now on find no answer.
    pub(crate) unavailable: AtomicU32,
}

/// What stands in one partition.
pub(crate) struct Stored {
    pub(crate) records: Vec<Record>,
    chain: Chain,
}

impl MemoryLog {
    pub(crate) fn new(partitions: u32) -> Arc<Self> {
        let stored = |n| Mutex::new(Stored { records: Vec::new(), chain: Chain::genesis(LOG, Partition(n)) });
        let log = Self {
            partitions: (0..partitions).map(stored).collect(),
            appended: watch::Sender::new(0),
            unavailable: AtomicU32::new(0),
        };
        (0..partitions).for_each(|n| log.claim(Partition(n)));
        Arc::new(log)
    }

    /// A new owner takes the partition.
    pub(crate) fn claim(&self, partition: Partition) {
        self.put(partition, |chain| {
            let owner = Incarnation(Uuid::from_u128(u128::from(chain.next()) + 1));
            Draft::extending(chain.head(), Kind::Claim, owner, Bytes::new(), Bytes::from_static(b"{}"))
        });
    }

    /// A record that never happened.
    pub(crate) fn void(&self, partition: Partition) {
        let draft = |_: &Chain| {
            let owner = Incarnation(Uuid::from_u128(0));
            Draft::extending(Head([9; 32]), Kind::Commit, owner, Bytes::new(), Bytes::from_static(b"void"))
        };
        self.put(partition, draft);
    }

    pub(crate) fn append(&self, key: Key, time: Timestamp, actor: Option<UserId>, events: Vec<Event>) -> Position {
        let value = |owner| Commit {
            command: CommandId(Uuid::from_u128(1)),
            ordinal: 0,
            incarnation: owner,
            time,
            actor,
            correlation: Uuid::nil(),
            causation: None,
            retention: Retention::Short,
            fingerprint: None,
            undoes: None,
            events,
        };
        self.append_value(key, |owner| value(owner).encode())
    }

    /// A valid record with any value.
    pub(crate) fn append_value(&self, key: Key, value: impl FnOnce(Incarnation) -> Vec<u8>) -> Position {
        let partition = partition_of(&key, self.partitions());
        let offset = self.put(partition, |chain| {
            let owner = chain.checkpoint().incarnation.unwrap();
            Draft::extending(chain.head(), Kind::Commit, owner, key.to_string().into(), value(owner).into())
        });
        Position { partition, offset }
    }

    fn put(&self, partition: Partition, draft: impl FnOnce(&Chain) -> Draft) -> Offset {
        let mut stored = self.partitions[partition.0 as usize].lock();
        let record = draft(&stored.chain).at(stored.chain.next());
        stored.chain.admit(&record).unwrap();
        let offset = record.offset;
        stored.records.push(record);
        self.appended.send_modify(|appended| *appended += 1);
        offset
    }
}

#[async_trait]
impl Journal for MemoryLog {
    fn log(&self) -> &str {
        LOG
    }

    fn partitions(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap()
    }

    fn appender(&self, _: Partition) -> Result<Box<dyn Appender>, JournalError> {
        Err(JournalError::Unusable("nobody appends through the port here".to_owned()))
    }

    async fn read(&self, partition: Partition, from: Offset, records_max: usize) -> Result<Vec<Record>, JournalError> {
        let fail = |n: u32| n.checked_sub(1);
        if self.unavailable.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fail).is_ok() {
            return Err(JournalError::Unavailable("asked to fail".into()));
        }
        let stored = self.partitions[partition.0 as usize].lock();
        let from = usize::try_from(from).unwrap();
        match stored.records.get(from..) {
            Some(records) => Ok(records.iter().take(records_max).cloned().collect()),
            None => Err(JournalError::Diverged { partition, offset: from as Offset, what: "past the end".to_owned() }),
        }
    }

    async fn end(&self, partition: Partition) -> Result<Offset, JournalError> {
        Ok(self.partitions[partition.0 as usize].lock().records.len() as Offset)
    }

    async fn wait_past(&self, partition: Partition, offset: Offset) -> Result<(), JournalError> {
        let mut appended = self.appended.subscribe();
        let more = appended.wait_for(|_| self.partitions[partition.0 as usize].lock().chain.next() > offset);
        let _ = timeout(Duration::from_secs(1), more).await;
        Ok(())
    }

    async fn anchor(&self, _: Partition) -> Result<Option<Anchor>, JournalError> {
        Ok(None)
    }
}

/// A keyring that knows everybody's key, but for those it is told about.
pub(crate) struct MemoryKeys {
    pub(crate) destroyed: BTreeSet<UserId>,
    /// Destroyed since, by whoever read in the log that they were.
    pub(crate) destroyed_since: Mutex<BTreeSet<UserId>>,
    pub(crate) unknown: BTreeSet<UserId>,
    /// How many look-ups from now on find no answer.
    pub(crate) unavailable: AtomicU32,
    pub(crate) secrets: Secrets,
}

impl Default for MemoryKeys {
    fn default() -> Self {
        Self {
            destroyed: BTreeSet::new(),
            destroyed_since: Mutex::default(),
            unknown: BTreeSet::new(),
            unavailable: AtomicU32::new(0),
            secrets: Secrets::derive(&[1; 32]),
        }
    }
}

/// A person's key, destroyed or not.
pub(crate) fn key_of(user: UserId) -> CipherKey {
    let mut secret = [5; 32];
    secret[..16].copy_from_slice(user.0.as_bytes());
    CipherKey::new(user.into(), &secret)
}

impl Keyring for MemoryKeys {
    fn create(&self, id: KeyId) -> KeyringFuture<'_, Arc<CipherKey>> {
        Box::pin(async move { self.find(id).await?.ok_or(KeyringError::Destroyed(id)) })
    }

    fn find(&self, id: KeyId) -> KeyringFuture<'_, Option<Arc<CipherKey>>> {
        Box::pin(async move {
            let fail = |n: u32| n.checked_sub(1);
            if self.unavailable.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fail).is_ok() {
                return Err(KeyringError::Unavailable("asked to fail".to_owned()));
            }
            let user = UserId(id.0);
            if self.unknown.contains(&user) {
                return Err(KeyringError::Unknown(id));
            }
            let is_destroyed = self.destroyed.contains(&user) || self.destroyed_since.lock().contains(&user);
            Ok((!is_destroyed).then(|| Arc::new(key_of(user))))
        })
    }

    fn destroy(&self, id: KeyId) -> KeyringFuture<'_, ()> {
        self.destroyed_since.lock().insert(UserId(id.0));
        Box::pin(async { Ok(()) })
    }

    fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    fn signing_keys(&self) -> Result<Arc<SigningKeys>, KeyringError> {
        Ok(Arc::default())
    }

    fn rotate_signing_key(&self) -> KeyringFuture<'_, Arc<SigningKeys>> {
        Box::pin(async { Err(KeyringError::Unavailable("no key is changed here".to_owned())) })
    }
}
