//! The generations of the signing key: each node looks for new ones now and then, and a new one takes over only when all
//! nodes that may still sign have seen it.

use super::{field, in_time, number, unavailable};
use events::{ACCESS_TOKEN_LIFE, KeyringError, SigningKey, SigningKeys, Timestamp};
use parking_lot::Mutex;
use pool::Pool;
use sqlx::postgres::PgRow;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tracing::warn;

/// How often a node looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a look may take.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// A node that has not seen the generations for so long signs nothing.
const FRESH_MAX: Duration = Duration::from_secs(15);
/// When a new generation takes over: nobody who has not heard of it signs or verifies by then.
const DELAY: Duration = Duration::from_secs(30);

const _: () = assert!(FRESH_MAX.as_secs() < DELAY.as_secs());

/// See the module.
pub(super) struct Signing {
    pool: Pool,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    keys: Arc<SigningKeys>,
    /// When the look began that found them.
    looked: Instant,
}

impl Signing {
    /// Reads them once, and looks for new ones until dropped.
    pub(super) async fn start(pool: Pool) -> Result<Self, KeyringError> {
        let looked = Instant::now();
        let keys = Arc::new(read(&pool).await?);
        let seen = Arc::new(Mutex::new(Seen { keys, looked }));
        tokio::spawn(look(pool.clone(), Arc::downgrade(&seen)));
        Ok(Self { pool, seen })
    }

    pub(super) fn keys(&self) -> Result<Arc<SigningKeys>, KeyringError> {
        let seen = self.seen.lock();
        if seen.looked.elapsed() < FRESH_MAX {
            return Ok(Arc::clone(&seen.keys));
        }
        let what = format!("its database has been silent for {FRESH_MAX:?}: there may be a new signing key");
        Err(KeyringError::Unavailable(what))
    }

    /// Adds a generation, by the database's clock.
    pub(super) async fn rotate(&self) -> Result<Arc<SigningKeys>, KeyringError> {
        let keys = Arc::new(in_time(self.add()).await?);
        self.seen.lock().keys = Arc::clone(&keys);
        Ok(keys)
    }

    async fn add(&self) -> Result<SigningKeys, KeyringError> {
        let mut transaction = self.pool.begin("").await.map_err(unavailable)?;
        // Of two rotations at once the second sees what the first has added.
        let now =
            sqlx::query("select (extract(epoch from clock_timestamp()) * 1000000)::bigint from keyring for update");
        let now = now.fetch_one(&mut *transaction).await.map_err(unavailable)?;
        let now = Timestamp(field(&now, 0)?);
        let keys = read(&mut *transaction).await?;
        let rotated = keys.rotated(now.plus(DELAY), now, ACCESS_TOKEN_LIFE);
        let rotated = rotated.map_err(|error| KeyringError::Unusable(error.to_string()))?;
        let (first, last) = (rotated.all()[0], rotated.all()[rotated.all().len() - 1]);
        sqlx::query("insert into signing_keys (generation, signs_from_us) values ($1, $2)")
            .bind(i64::from(last.generation))
            .bind(last.signs_from.0)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        sqlx::query("delete from signing_keys where generation < $1")
            .bind(i64::from(first.generation))
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(rotated)
    }
}

/// Looks again and again, as long as somebody wants to know.
async fn look(pool: Pool, seen: Weak<Mutex<Seen>>) {
    loop {
        sleep(LOOK_EVERY).await;
        if seen.strong_count() == 0 {
            return;
        }
        let looked = Instant::now();
        let read = timeout(LOOK_MAX, read(&pool)).await;
        let read = read.unwrap_or_else(|_| Err(KeyringError::Unavailable(format!("no answer within {LOOK_MAX:?}"))));
        let Some(seen) = seen.upgrade() else { return };
        match read {
            Ok(keys) => *seen.lock() = Seen { keys: Arc::new(keys), looked },
            Err(error) => warn!("looking for new signing keys: {error}"),
        }
    }
}

async fn read(database: impl sqlx::PgExecutor<'_>) -> Result<SigningKeys, KeyringError> {
    let rows = sqlx::query("select generation, signs_from_us from signing_keys order by generation");
    let rows = rows.fetch_all(database).await.map_err(unavailable)?;
    let keys = rows.iter().map(generation).collect::<Result<Vec<_>, _>>()?;
    SigningKeys::new(keys).map_err(|error| KeyringError::Damaged(error.to_string()))
}

fn generation(row: &PgRow) -> Result<SigningKey, KeyringError> {
    Ok(SigningKey { generation: number(field(row, 0)?)?, signs_from: Timestamp(field(row, 1)?) })
}
