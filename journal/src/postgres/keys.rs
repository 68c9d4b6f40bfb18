//! People's keys: asked for one by one, read and made many at a time, remembered for a moment.

use super::schema::random;
use super::{field, secret, unavailable};
use events::{CipherKey, KeyId, KeyringError, STALENESS_MAX};
use parking_lot::Mutex;
use pool::Pool;
use sqlx::postgres::PgRow;
use sqlx::raw_sql;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::warn;

/// Calls that wait; further ones wait for their turn to wait.
const WAITING_MAX: usize = 8_192;
/// Keys of one statement.
const BATCH_MAX: usize = 1_024;
/// How long a statement may take. Whoever waits is told that the keyring is not available.
const STATEMENT_MAX: Duration = Duration::from_secs(5);
/// Keys that are remembered; about 200 bytes each.
const REMEMBERED_MAX: usize = 100_000;

/// `None` for a key that was destroyed.
type Known = Option<Arc<CipherKey>>;
type Reply = oneshot::Sender<Result<Known, KeyringError>>;

struct Call {
    id: KeyId,
    /// Made if it is not there.
    create: bool,
    reply: Reply,
}

/// See the module.
pub(super) struct Keys {
    pool: Pool,
    calls: mpsc::Sender<Call>,
    remembered: Arc<Mutex<HashMap<KeyId, (Known, Instant)>>>,
}

impl Keys {
    pub(super) fn start(pool: Pool) -> Self {
        let (calls, waiting) = mpsc::channel(WAITING_MAX);
        let remembered = Arc::new(Mutex::new(HashMap::new()));
        tokio::spawn(serve(pool.clone(), waiting, Arc::clone(&remembered)));
        Self { pool, calls, remembered }
    }

    pub(super) async fn find(&self, id: KeyId) -> Result<Known, KeyringError> {
        match self.remembered(id) {
            Some(known) => Ok(known),
            None => self.call(id, false).await,
        }
    }

    /// The key, made now if there is none; `None` if there was one.
    pub(super) async fn create(&self, id: KeyId) -> Result<Known, KeyringError> {
        self.call(id, true).await
    }

    pub(super) async fn destroy(&self, id: KeyId) -> Result<(), KeyringError> {
        let destroyed = sqlx::query("update keys set secret = null where id = $1").bind(id.0).execute(&self.pool);
        let destroyed = destroyed.await.map_err(unavailable)?.rows_affected();
        if destroyed == 0 {
            return Err(KeyringError::Unknown(id));
        }
        // Not before: a call under way may have read it and would remember it again.
        self.remembered.lock().insert(id, (None, Instant::now()));
        if let Err(error) = raw_sql("vacuum keys").execute(&self.pool).await {
            warn!("a destroyed key's bytes stay in the table until it is vacuumed: {error}");
        }
        Ok(())
    }

    fn remembered(&self, id: KeyId) -> Option<Known> {
        let remembered = self.remembered.lock();
        remembered.get(&id).filter(|(_, read)| read.elapsed() < STALENESS_MAX).map(|(known, _)| known.clone())
    }

    async fn call(&self, id: KeyId, create: bool) -> Result<Known, KeyringError> {
        let gone = || KeyringError::Unavailable("the keyring is closed".to_owned());
        let (reply, answer) = oneshot::channel();
        self.calls.send(Call { id, create, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Carries out what waits, all of it together, until nobody can call any more.
async fn serve(
    pool: Pool,
    mut waiting: mpsc::Receiver<Call>,
    remembered: Arc<Mutex<HashMap<KeyId, (Known, Instant)>>>,
) {
    let mut calls = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut calls, BATCH_MAX).await > 0 {
        let begun = Instant::now();
        let found = match timeout(STATEMENT_MAX, carry_out(&pool, &calls)).await {
            Ok(found) => found,
            Err(_) => Err(KeyringError::Unavailable(format!("no answer within {STATEMENT_MAX:?}"))),
        };
        if let Ok(found) = &found {
            let mut remembered = remembered.lock();
            if remembered.len() + found.len() > REMEMBERED_MAX {
                remembered.clear();
            }
            for (id, known) in found {
                // What was destroyed here meanwhile stays so.
                let entry = remembered.entry(*id).or_insert((known.clone(), begun));
                if entry.0.is_some() || entry.1 < begun {
                    *entry = (known.clone(), begun);
                }
            }
        }
        for Call { id, reply, .. } in calls.drain(..) {
            let answer = match &found {
                Ok(found) => found.get(&id).cloned().ok_or(KeyringError::Unknown(id)),
                Err(error) => Err(error.clone()),
            };
            let _ = reply.send(answer);
        }
    }
}

async fn carry_out(pool: &Pool, calls: &[Call]) -> Result<HashMap<KeyId, Known>, KeyringError> {
    let create = calls.iter().filter(|call| call.create).map(|call| call.id).collect::<BTreeSet<_>>();
    if !create.is_empty() {
        let ids = create.iter().map(|id| id.0).collect::<Vec<_>>();
        let secrets = ids.iter().map(|_| random().map(|secret| secret.to_vec())).collect::<Result<Vec<_>, _>>()?;
        // In the order of the ids, so that two nodes which make the same keys do not wait for each other in a circle.
        sqlx::query(
            "insert into keys (id, secret) select * from unnest($1::uuid[], $2::bytea[]) on conflict do nothing",
        )
        .bind(ids)
        .bind(secrets)
        .execute(pool)
        .await
        .map_err(unavailable)?;
    }
    let ids = calls.iter().map(|call| call.id.0).collect::<Vec<_>>();
    let rows = sqlx::query("select id, secret from keys where id = any($1)").bind(ids).fetch_all(pool).await;
    rows.map_err(unavailable)?.iter().map(key).collect()
}

fn key(row: &PgRow) -> Result<(KeyId, Known), KeyringError> {
    let id = KeyId(field(row, 0)?);
    let stored: Option<Vec<u8>> = field(row, 1)?;
    let known = stored.map(|stored| secret(stored).map(|secret| Arc::new(CipherKey::new(id, &secret))));
    Ok((id, known.transpose()?))
}
