//! The keyring in a directory of its own: the server's root secret, one slot of 64 bytes per key, and how many they are.
//!
//! A key is durable before `create` returns and overwritten where it stands before `destroy` returns. One thread does
//! both, so that calls which arrive while it syncs share the next `fdatasync`. Overwriting in place erases on file
//! systems and disks that write in place; where they do not, the disk itself must be encrypted.
//!
//! Secrets are kept in memory as they are on disk; a cipher is made when it is asked for, which takes microseconds,
//! while a million ready ones would take gigabytes.

mod count;
mod keys;
mod root;
mod slot;

use super::directory::{Directory, sync_directory};
use count::Count;
use events::{
    ACCESS_TOKEN_LIFE, CipherKey, KeyId, Keyring, KeyringError, KeyringFuture, Secrets, SigningKeys, Timestamp,
};
use keys::KeysFile;
use parking_lot::{Mutex, RwLock};
use root::Root;
use slot::{Slot, State};
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

const SECRETS: &str = "secrets";
const KEYS: &str = "keys";
const COUNT: &str = "count";
/// How many calls may wait for the disk; further ones wait for their turn to wait.
const CALLS_MAX: usize = 1_024;

type Slots = HashMap<KeyId, (u32, Slot)>;

/// The keys of one data directory.
///
/// Dropping it waits for what it is writing. It keeps the directory locked.
#[derive(Debug)]
pub struct EmbeddedKeyring {
    secrets: Secrets,
    slots: Arc<RwLock<Slots>>,
    calls: Option<mpsc::Sender<Call>>,
    failure: watch::Receiver<Option<KeyringError>>,
    thread: Option<JoinHandle<()>>,
    root: Arc<Mutex<Root>>,
    _directory: Arc<Directory>,
}

#[derive(Debug)]
enum Call {
    Create(KeyId, oneshot::Sender<Result<Slot, KeyringError>>),
    Destroy(KeyId, oneshot::Sender<Result<Slot, KeyringError>>),
}

impl EmbeddedKeyring {
    /// Makes an empty keyring for a log, with a fresh root secret.
    pub(super) fn create_files(path: &Path, log: Uuid) -> Result<(), KeyringError> {
        let root = Root::random(path.join(SECRETS), log)?;
        let made = DirBuilder::new().mode(0o700).create(path).and_then(|()| {
            root.create()?;
            private().create_new(true).open(path.join(KEYS))?.sync_all()?;
            Count::create(&path.join(COUNT), log)
        });
        made.map_err(|error| KeyringError::Unavailable(format!("cannot make {}: {error}", path.display())))
    }

    pub(super) fn open(directory: Arc<Directory>) -> Result<Self, KeyringError> {
        let path = directory.keyring();
        let root = Root::open(path.join(SECRETS), directory.id())?;
        let (file, slots) = KeysFile::open(path.join(KEYS), Count::open(&path.join(COUNT), directory.id())?)?;
        let slots = Arc::new(RwLock::new(slots));
        let (calls, waiting) = mpsc::channel(CALLS_MAX);
        let (failed, failure) = watch::channel(None);
        let mut writer = KeysWriter { file, slots: Arc::clone(&slots), failed };
        let thread = thread::Builder::new().name("keyring".to_owned()).spawn(move || writer.run(waiting));
        let thread = Some(thread.map_err(|error| KeyringError::Unavailable(error.to_string()))?);
        let secrets = root.secrets();
        let root = Arc::new(Mutex::new(root));
        Ok(Self { secrets, slots, calls: Some(calls), failure, thread, root, _directory: directory })
    }

    /// Returns when a key could not be written. From then on no key is made or destroyed; those that are there can still
    /// be read. The process must stop: only opening the keyring again shows what has reached the disk.
    pub async fn failed(&self) -> KeyringError {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(error)) => error.clone(),
            _ => KeyringError::Unavailable("its writer has ended".to_owned()),
        }
    }

    async fn call(
        &self,
        call: impl FnOnce(oneshot::Sender<Result<Slot, KeyringError>>) -> Call,
    ) -> Result<Slot, KeyringError> {
        let gone = || KeyringError::Unavailable("the keyring is closed".to_owned());
        let (reply, answer) = oneshot::channel();
        self.calls.as_ref().ok_or_else(gone)?.send(call(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn known(&self, id: KeyId) -> Option<Slot> {
        self.slots.read().get(&id).map(|(_, slot)| *slot)
    }
}

impl Drop for EmbeddedKeyring {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Keyring for EmbeddedKeyring {
    fn create(&self, id: KeyId) -> KeyringFuture<'_, Arc<CipherKey>> {
        Box::pin(async move {
            let slot = match self.known(id) {
                Some(slot) => slot,
                None => self.call(|reply| Call::Create(id, reply)).await?,
            };
            slot.cipher().ok_or(KeyringError::Destroyed(id))
        })
    }

    fn find(&self, id: KeyId) -> KeyringFuture<'_, Option<Arc<CipherKey>>> {
        Box::pin(async move { self.known(id).map(|slot| slot.cipher()).ok_or(KeyringError::Unknown(id)) })
    }

    fn destroy(&self, id: KeyId) -> KeyringFuture<'_, ()> {
        Box::pin(async move {
            match self.known(id) {
                Some(Slot { state: State::Destroyed, .. }) => Ok(()),
                _ => self.call(|reply| Call::Destroy(id, reply)).await.map(drop),
            }
        })
    }

    fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    fn signing_keys(&self) -> Result<Arc<SigningKeys>, KeyringError> {
        Ok(self.root.lock().signing_keys())
    }

    fn rotate_signing_key(&self) -> KeyringFuture<'_, Arc<SigningKeys>> {
        let root = Arc::clone(&self.root);
        Box::pin(async move {
            // There is one node, which knows of it at once.
            let rotate = move || {
                let now = Timestamp::now();
                let mut root = root.lock();
                let rotated = root.signing_keys().rotated(now, now, ACCESS_TOKEN_LIFE);
                root.sign_with(rotated.map_err(|error| KeyringError::Unusable(error.to_string()))?)
            };
            let rotated = tokio::task::spawn_blocking(rotate).await;
            rotated.unwrap_or_else(|panic| Err(KeyringError::Unavailable(panic.to_string())))
        })
    }
}

/// The one that writes the file. After a failed write or sync it writes no more: it cannot know what is on the disk.
struct KeysWriter {
    file: KeysFile,
    slots: Arc<RwLock<Slots>>,
    failed: watch::Sender<Option<KeyringError>>,
}

impl KeysWriter {
    fn run(&mut self, mut waiting: mpsc::Receiver<Call>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut calls = vec![first];
            while calls.len() < CALLS_MAX
                && let Ok(call) = waiting.try_recv()
            {
                calls.push(call);
            }
            self.carry_out(calls);
        }
    }

    fn carry_out(&mut self, calls: Vec<Call>) {
        let mut changed = Slots::new();
        let mut answers = Vec::with_capacity(calls.len());
        let mut next = self.file.slots;
        for call in calls {
            let (Call::Create(id, _) | Call::Destroy(id, _)) = call;
            let known = changed.get(&id).copied().or_else(|| self.slots.read().get(&id).copied());
            let (slot, reply) = match (call, known) {
                (Call::Create(_, reply), Some((_, slot))) => (Ok(slot), reply),
                (Call::Create(_, reply), None) => {
                    let slot = Slot::random(id);
                    if let Ok(slot) = slot {
                        changed.insert(id, (next, slot));
                        next += 1;
                    }
                    (slot, reply)
                }
                (Call::Destroy(_, reply), None) => (Err(KeyringError::Unknown(id)), reply),
                (Call::Destroy(_, reply), Some((index, _))) => {
                    let slot = Slot::destroyed(id);
                    changed.insert(id, (index, slot));
                    (Ok(slot), reply)
                }
            };
            answers.push((reply, slot));
        }
        let failed = self.failed.borrow().clone();
        let written = failed.map_or_else(|| self.file.write(&changed), Err);
        match &written {
            Ok(()) => self.slots.write().extend(changed),
            Err(error) => drop(self.failed.send_replace(Some(error.clone()))),
        }
        for (reply, slot) in answers {
            let _ = reply.send(written.clone().and(slot));
        }
    }
}

/// How files with secrets are opened: readable for their owner only.
fn private() -> fs::OpenOptions {
    let mut options = File::options();
    options.write(true).mode(0o600);
    options
}
