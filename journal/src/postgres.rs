//! The keyring in a PostgreSQL database of its own: the installation's secrets, people's keys, and what is known about
//! the log from outside it.
//!
//! All nodes of a log share it. Calls that come while a statement runs go together in the next one, since a statement
//! costs a round trip however much it asks. What was read is remembered for a moment ([`events::STALENESS_MAX`]).
//!
//! PostgreSQL keeps what a row held before: a key that was destroyed is gone for every reader at once, also after a
//! crash, but its bytes stay in the table until it is vacuumed, which `destroy` asks for, and in the write-ahead log and
//! its archives until they are recycled. How long those live is the horizon of deletion, as for backups.

mod keys;
mod schema;
mod signing;

use crate::chain::{Anchor, Head};
use crate::partition::Partition;
use events::{CipherKey, KeyId, Keyring, KeyringError, KeyringFuture, Secrets, SigningKeys};
use keys::Keys;
pub use pool::PoolUse;
use pool::{Limits, Pool};
use signing::Signing;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Connections of a node.
pub const CONNECTIONS_MAX: u32 = 4;
/// How long the database may take to give one.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long it may take to answer. Emptying a large table of what was deleted takes longest.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Where the log is that a keyring belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBinding {
    /// The id of the Kafka cluster.
    pub cluster: String,
    /// The log's topic.
    pub topic: String,
    /// How many partitions it was made with.
    pub partitions: u32,
}

/// A keyring that the nodes of a log share.
///
/// While the database does not answer, keys that were read a moment ago are still given; everything else is
/// [`KeyringError::Unavailable`]. It reconnects by itself.
pub struct PostgresKeyring {
    pool: Pool,
    secrets: Secrets,
    log: Uuid,
    keys: Keys,
    signing: Signing,
}

impl PostgresKeyring {
    /// Opens the keyring, or makes one if the database is empty; nodes that do so at once get the same one.
    ///
    /// [`KeyringError::Unavailable`] if the database does not answer, [`KeyringError::Unusable`] if it is the wrong address,
    /// or it does not let us in, [`KeyringError::Damaged`] if it holds something else or was made by a newer program; nothing
    /// was changed then.
    pub async fn open(url: &str) -> Result<Self, KeyringError> {
        let options = pool::options(url).map_err(|what| unusable(&what))?;
        let limits = Limits { connections: CONNECTIONS_MAX, connect: CONNECT_MAX, answer: Some(ANSWER_MAX) };
        let pool = Pool::new(options, limits);
        let (root, log) = in_time(schema::prepare(&pool)).await?;
        let signing = Signing::start(pool.clone()).await?;
        Ok(Self { secrets: Secrets::derive(&root), log, keys: Keys::start(pool.clone()), signing, pool })
    }

    /// The name of the log whose keys these are: made with the keyring, and never another one.
    pub fn log(&self) -> Uuid {
        self.log
    }

    /// Its connections as they are now; [`CONNECTIONS_MAX`] are open at most.
    pub fn in_use(&self) -> PoolUse {
        self.pool.in_use()
    }

    /// Where the log is, if it was opened before.
    pub async fn binding(&self) -> Result<Option<LogBinding>, KeyringError> {
        let row = sqlx::query("select cluster, topic, partitions from keyring where cluster is not null");
        let row = row.fetch_optional(&self.pool).await.map_err(unavailable)?;
        row.map(|row| {
            let (cluster, topic) = (field(&row, 0)?, field(&row, 1)?);
            Ok(LogBinding { cluster, topic, partitions: number(field(&row, 2)?)? })
        })
        .transpose()
    }

    /// Ties the keyring to the log at this place, if it is not tied yet. [`KeyringError::Damaged`] if it belongs to
    /// another one. Idempotent, and safe when several nodes do it.
    pub async fn bind(&self, wanted: &LogBinding) -> Result<(), KeyringError> {
        sqlx::query("update keyring set cluster = $1, topic = $2, partitions = $3 where cluster is null")
            .bind(&wanted.cluster)
            .bind(&wanted.topic)
            .bind(i64::from(wanted.partitions))
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        match self.binding().await? {
            Some(bound) if bound == *wanted => Ok(()),
            Some(LogBinding { cluster, topic, partitions }) => Err(KeyringError::Damaged(format!(
                "it belongs to the log in the topic {topic} of {partitions} partitions on the Kafka cluster {cluster}, \
                 not to the one in {} of {} on {}",
                wanted.topic, wanted.partitions, wanted.cluster
            ))),
            None => Err(KeyringError::Damaged("its only row is gone".to_owned())),
        }
    }

    /// What the log was known to hold.
    pub async fn anchors(&self) -> Result<Vec<(Partition, Anchor)>, KeyringError> {
        let rows = sqlx::query("select partition, records, head from anchors").fetch_all(&self.pool);
        rows.await.map_err(unavailable)?.iter().map(anchor).collect()
    }

    /// Notes what the log holds. An anchor never goes back: of two nodes the one that has read further counts.
    pub async fn note_anchors(&self, anchors: &[(Partition, Anchor)]) -> Result<(), KeyringError> {
        note(&self.pool, anchors).await
    }

    /// Forgets all anchors for these: what the log has lost is accepted.
    pub async fn replace_anchors(&self, anchors: &[(Partition, Anchor)]) -> Result<(), KeyringError> {
        in_time(async {
            let mut transaction = self.pool.begin("").await.map_err(unavailable)?;
            sqlx::query("delete from anchors").execute(&mut *transaction).await.map_err(unavailable)?;
            note(&mut *transaction, anchors).await?;
            transaction.commit().await.map_err(unavailable)
        })
        .await
    }

    /// Deletes the schema that it is in, and with it every key: what they sealed cannot be read any more. The backups of the
    /// database keep them as long as they live.
    pub async fn delete(self) -> Result<(), KeyringError> {
        let schema: String = sqlx::query_scalar("select quote_ident(current_schema())")
            .fetch_one(&self.pool)
            .await
            .map_err(unavailable)?;
        let drop = format!("drop schema {schema} cascade");
        sqlx::query(AssertSqlSafe(drop)).execute(&self.pool).await.map_err(unavailable)?;
        Ok(())
    }
}

/// What several statements come to, at most after [`ANSWER_MAX`].
async fn in_time<T>(statements: impl Future<Output = Result<T, KeyringError>>) -> Result<T, KeyringError> {
    let too_late = |_| KeyringError::Unavailable(format!("no answer within {ANSWER_MAX:?}"));
    timeout(ANSWER_MAX, statements).await.map_err(too_late)?
}

/// One statement for all, by arrays.
async fn note<'e>(
    database: impl sqlx::Executor<'e, Database = sqlx::Postgres>,
    anchors: &[(Partition, Anchor)],
) -> Result<(), KeyringError> {
    let partitions: Vec<i64> = anchors.iter().map(|(partition, _)| i64::from(partition.0)).collect();
    let counts = anchors.iter().map(|(_, anchor)| i64::try_from(anchor.count));
    let counts: Vec<i64> =
        counts.collect::<Result<_, _>>().map_err(|error| KeyringError::Damaged(error.to_string()))?;
    let heads: Vec<Vec<u8>> = anchors.iter().map(|(_, anchor)| anchor.head.0.to_vec()).collect();
    sqlx::query(
        "insert into anchors as noted (partition, records, head) \
         select * from unnest($1::bigint[], $2::bigint[], $3::bytea[]) \
         on conflict (partition) do update set records = excluded.records, head = excluded.head \
         where noted.records < excluded.records",
    )
    .bind(partitions)
    .bind(counts)
    .bind(heads)
    .execute(database)
    .await
    .map(drop)
    .map_err(unavailable)
}

fn anchor(row: &PgRow) -> Result<(Partition, Anchor), KeyringError> {
    let count = u64::try_from(field::<i64>(row, 1)?).map_err(|error| KeyringError::Damaged(error.to_string()))?;
    Ok((Partition(number(field(row, 0)?)?), Anchor { count, head: Head(secret(field(row, 2)?)?) }))
}

fn number(stored: i64) -> Result<u32, KeyringError> {
    u32::try_from(stored).map_err(|_| KeyringError::Damaged(format!("{stored} where a small number should be")))
}

fn secret(stored: Vec<u8>) -> Result<[u8; 32], KeyringError> {
    stored.try_into().map_err(|_| KeyringError::Damaged("a value of another length than 32 bytes".to_owned()))
}

fn field<'r, T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>>(
    row: &'r PgRow,
    index: usize,
) -> Result<T, KeyringError> {
    row.try_get(index).map_err(|error| KeyringError::Damaged(error.to_string()))
}

/// What the database says when it cannot be asked. It names hosts, never passwords.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: sqlx::Error) -> KeyringError {
    KeyringError::Unavailable(error.to_string())
}

/// Why it cannot be opened: for good, or for now.
fn refused(error: sqlx::Error) -> KeyringError {
    if pool::is_final(&error) { unusable(&error.to_string()) } else { unavailable(error) }
}

fn unusable(what: &str) -> KeyringError {
    KeyringError::Unusable(format!("the keyring cannot be used: {what}"))
}

impl Keyring for PostgresKeyring {
    fn create(&self, id: KeyId) -> KeyringFuture<'_, Arc<CipherKey>> {
        Box::pin(async move { self.keys.create(id).await?.ok_or(KeyringError::Destroyed(id)) })
    }

    fn find(&self, id: KeyId) -> KeyringFuture<'_, Option<Arc<CipherKey>>> {
        Box::pin(self.keys.find(id))
    }

    fn destroy(&self, id: KeyId) -> KeyringFuture<'_, ()> {
        Box::pin(self.keys.destroy(id))
    }

    fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    fn signing_keys(&self) -> Result<Arc<SigningKeys>, KeyringError> {
        self.signing.keys()
    }

    fn rotate_signing_key(&self) -> KeyringFuture<'_, Arc<SigningKeys>> {
        Box::pin(self.signing.rotate())
    }
}
