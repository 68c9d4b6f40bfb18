//! `tidings keyring show` and `rotate`: the generations of the key that signs access tokens.

use anyhow::{Context, Result};
use events::{ACCESS_TOKEN_LIFE, Keyring, SigningKeys, Timestamp};
use std::io::Write;
use std::sync::Arc;
use tidings_gateway::{Store, StoreConfig};
use tokio::runtime::Runtime;

pub(crate) fn show(store: &StoreConfig) -> Result<()> {
    with(store, |_, keyring| Ok(keyring.signing_keys()?))
}

/// A server that runs needs no restart: on a shared keyring it sees the new generation before that signs.
pub(crate) fn rotate(store: &StoreConfig) -> Result<()> {
    with(store, |runtime, keyring| Ok(runtime.block_on(keyring.rotate_signing_key())?))
}

fn with(store: &StoreConfig, work: impl FnOnce(&Runtime, &Arc<dyn Keyring>) -> Result<Arc<SigningKeys>>) -> Result<()> {
    let runtime = Runtime::new().context("starting threads")?;
    let keyring = runtime.block_on(Store::keyring_of(store))?;
    let keys = work(&runtime, &keyring)?;
    let now = Timestamp::now();
    let signing = keys.signing_at(now).generation;
    let mut out = std::io::stdout().lock();
    for key in keys.all() {
        let (generation, from) = (key.generation, key.signs_from);
        let state = match key.generation {
            _ if !keys.is_good(generation, now, ACCESS_TOKEN_LIFE) => "retired",
            generation if generation < signing => "verifies",
            generation if generation > signing => "will sign",
            _ => "signs",
        };
        writeln!(out, "signing key {generation}: {state}, from {from}").context("writing")?;
    }
    Ok(())
}
