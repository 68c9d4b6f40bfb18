//! The contract of a keyring.

use super::{Possible, UnderTest};
use async_trait::async_trait;
use events::{ACCESS_TOKEN_LIFE, CipherKey, KeyId, Keyring, KeyringError, SigningKeys, Timestamp};
use futures::future::join_all;
use std::sync::Arc;
use uuid::Uuid;

/// A keyring that belongs to one test.
#[async_trait]
pub trait KeyringUnderTest: UnderTest + Sized + Send + Sync + 'static {
    /// A new, empty keyring.
    async fn create() -> Self;

    /// The keyring.
    fn keyring(&self) -> Arc<dyn Keyring>;

    /// Closes it and opens it again.
    async fn reopen(self) -> Possible<Self>;
}

fn id(n: u128) -> KeyId {
    KeyId(Uuid::from_u128(n))
}

/// Two keys are the same if they make the same MAC.
fn mark(key: &CipherKey) -> [u8; 32] {
    key.mac(&[b"mark"])
}

/// And `find` gives it as well.
pub async fn to_create_a_key_twice_gives_the_same_key<K: KeyringUnderTest>() {
    let created = K::create().await;
    let keyring = created.keyring();
    let first = mark(&keyring.create(id(1)).await.unwrap());
    assert_eq!(mark(&keyring.create(id(1)).await.unwrap()), first);
    assert_eq!(mark(&keyring.find(id(1)).await.unwrap().unwrap()), first);
}

/// Many at once, of many keys.
pub async fn racing_creations_give_the_same_key<K: KeyringUnderTest>() {
    let created = K::create().await;
    let racing = (0..400).map(|n| {
        let keyring = created.keyring();
        tokio::spawn(async move { (n % 20, mark(&keyring.create(id(n % 20)).await.unwrap())) })
    });
    let marks: Vec<_> = join_all(racing).await.into_iter().map(Result::unwrap).collect();
    for (n, found) in &marks {
        assert_eq!(*found, marks[usize::try_from(*n).unwrap()].1, "key {n}");
    }
}

/// All of them.
pub async fn keys_survive_a_reopen<K: KeyringUnderTest>() {
    let created = K::create().await;
    let keyring = created.keyring();
    let marks: Vec<_> = join_all((0..100).map(|n| keyring.create(id(n)))).await;
    let marks: Vec<_> = marks.into_iter().map(|key| mark(&key.unwrap())).collect();
    drop(keyring);
    let Some(reopened) = created.reopen().await.done() else { return };
    for (before, n) in marks.into_iter().zip(0..) {
        assert_eq!(mark(&reopened.keyring().find(id(n)).await.unwrap().unwrap()), before, "key {n}");
    }
}

/// Destroying again changes nothing, creating again is refused, also after a reopen; other keys stay.
pub async fn a_destroyed_key_stays_destroyed<K: KeyringUnderTest>() {
    let created = K::create().await;
    let keyring = created.keyring();
    for n in 0..3 {
        keyring.create(id(n)).await.unwrap();
    }
    keyring.destroy(id(1)).await.unwrap();
    keyring.destroy(id(1)).await.unwrap();
    stays_destroyed(&*keyring).await;
    drop(keyring);
    let Some(reopened) = created.reopen().await.done() else { return };
    let keyring = reopened.keyring();
    stays_destroyed(&*keyring).await;
    keyring.destroy(id(1)).await.unwrap();
}

async fn stays_destroyed(keyring: &dyn Keyring) {
    assert!(keyring.find(id(1)).await.unwrap().is_none());
    assert!(matches!(keyring.create(id(1)).await, Err(KeyringError::Destroyed(found)) if found == id(1)));
    assert!(keyring.find(id(0)).await.unwrap().is_some());
    assert!(keyring.find(id(2)).await.unwrap().is_some());
}

/// "Gone on purpose" and "lost" are never mixed up.
pub async fn a_key_that_never_was_is_unknown_not_destroyed<K: KeyringUnderTest>() {
    let created = K::create().await;
    let keyring = created.keyring();
    assert!(matches!(keyring.find(id(9)).await, Err(KeyringError::Unknown(found)) if found == id(9)));
}

/// Their secrets are random.
pub async fn two_keys_are_different<K: KeyringUnderTest>() {
    let created = K::create().await;
    let keyring = created.keyring();
    let (one, two) = (keyring.create(id(1)).await.unwrap(), keyring.create(id(2)).await.unwrap());
    assert_ne!(mark(&one), mark(&two));
}

/// For the life of the log.
pub async fn secrets_are_stable<K: KeyringUnderTest>() {
    let created = K::create().await;
    let keyring = created.keyring();
    let before = (keyring.secrets().claim("email", "a@b"), keyring.secrets().signing_seed(0));
    drop(keyring);
    let Some(reopened) = created.reopen().await.done() else { return };
    let keyring = reopened.keyring();
    assert_eq!((keyring.secrets().claim("email", "a@b"), keyring.secrets().signing_seed(0)), before);
}

/// Nothing that was signed is refused because of a rotation.
pub async fn a_new_signing_key_survives_a_reopen_and_the_former_stays<K: KeyringUnderTest>() {
    let created = K::create().await;
    let keyring = created.keyring();
    assert_eq!(*keyring.signing_keys().unwrap(), SigningKeys::default());
    let rotated = keyring.rotate_signing_key().await.unwrap();
    assert_eq!(generations(&rotated), [0, 1]);
    assert!(rotated.is_good(0, Timestamp::now(), ACCESS_TOKEN_LIFE));
    assert_eq!(keyring.signing_keys().unwrap(), rotated);
    assert_ne!(keyring.secrets().signing_seed(0), keyring.secrets().signing_seed(1));
    let seed = keyring.secrets().signing_seed(1);
    drop(keyring);
    let Some(reopened) = created.reopen().await.done() else { return };
    let keyring = reopened.keyring();
    assert_eq!(keyring.signing_keys().unwrap(), rotated);
    assert_eq!(keyring.secrets().signing_seed(1), seed);
}

/// None is lost, and none is made twice.
pub async fn racing_rotations_each_add_a_signing_key<K: KeyringUnderTest>() {
    let created = K::create().await;
    let racing = (0..5).map(|_| {
        let keyring = created.keyring();
        tokio::spawn(async move { keyring.rotate_signing_key().await.unwrap() })
    });
    let longest = join_all(racing).await.into_iter().map(Result::unwrap).max_by_key(|keys| keys.all().len()).unwrap();
    assert_eq!(generations(&longest), [0, 1, 2, 3, 4, 5]);
}

fn generations(keys: &SigningKeys) -> Vec<u32> {
    keys.all().iter().map(|key| key.generation).collect()
}
