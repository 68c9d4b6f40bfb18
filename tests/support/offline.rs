//! What happened before a server is started: commands decided by real owners over its data directory, without the rest.

use crate::server::config;
use anyhow::{Result, ensure};
use commands::{Answer, Command, Owner, Request};
use events::{CommandId, Key, Timestamp};
use gateway::{Owners, Store};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const DECIDED_WITHIN: Duration = Duration::from_secs(5);

/// Has these commands carried out, one after another. Nobody may have the directory open. An error if one is refused.
pub async fn submit(data: &Path, commands: Vec<(Key, Command)>) -> Result<()> {
    let store = Store::open(&config(data).store).await?;
    let Owners { router, owners, .. } = Owners::new(&store, &sagas::processes(Duration::ZERO), None, None)?;
    let stop = CancellationToken::new();
    let running: Vec<_> = owners.into_iter().map(|owner: Owner| tokio::spawn(owner.run(None, stop.clone()))).collect();
    for (key, command) in commands {
        let id = CommandId(Uuid::new_v4());
        let request = Request::new(id, key, command, Timestamp::now(), Instant::now() + DECIDED_WITHIN);
        let answer = router.submit(request).await;
        ensure!(matches!(answer, Answer::Accepted(_)), "{key}: {answer:?}");
    }
    stop.cancel();
    for owner in running {
        owner.await??;
    }
    store.close().await
}
