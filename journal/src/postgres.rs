//! The keyring in a PostgreSQL database of its own.
#![allow(missing_docs, reason = "not final")]

use crate::chain::{Anchor, Head};
use crate::partition::Partition;
use aws_lc_rs::rand;
use events::{CipherKey, KeyId, Keyring, KeyringError, KeyringFuture, Secrets};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Row, raw_sql};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const SCHEMA: &str = "
create table if not exists tidings_keyring (
    one boolean primary key default true check (one),
    root bytea not null,
    log uuid not null,
    cluster text, topic text, partitions bigint
);
create table if not exists keys (id uuid primary key, secret bytea);
create table if not exists anchors (partition bigint primary key, records bigint not null, head bytea not null);
";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBinding {
    pub cluster: String,
    pub topic: String,
    pub partitions: u32,
}

pub struct PostgresKeyring {
    pool: PgPool,
    secrets: Secrets,
    log: Uuid,
}

fn unavailable(error: sqlx::Error) -> KeyringError {
    KeyringError::Unavailable(error.to_string())
}

fn random() -> Result<[u8; 32], KeyringError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| KeyringError::Unavailable("no randomness".to_owned()))?;
    Ok(bytes)
}

impl PostgresKeyring {
    pub async fn open(url: &str) -> Result<Self, KeyringError> {
        let pool = PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(5));
        let pool = pool.connect(url).await.map_err(unavailable)?;
        let mut transaction = pool.begin().await.map_err(unavailable)?;
        raw_sql("select pg_advisory_xact_lock(7423)").execute(&mut *transaction).await.map_err(unavailable)?;
        raw_sql(SCHEMA).execute(&mut *transaction).await.map_err(unavailable)?;
        sqlx::query("insert into tidings_keyring (root, log) values ($1, $2) on conflict do nothing")
            .bind(random()?.to_vec())
            .bind(Uuid::new_v4())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        let row = sqlx::query("select root, log from tidings_keyring").fetch_one(&pool).await.map_err(unavailable)?;
        let root: Vec<u8> = row.get(0);
        let root = root.try_into().map_err(|_| KeyringError::Damaged("the root has another length".to_owned()))?;
        Ok(Self { pool, secrets: Secrets::derive(&root), log: row.get(1) })
    }

    pub fn log(&self) -> Uuid {
        self.log
    }

    pub async fn binding(&self) -> Result<Option<LogBinding>, KeyringError> {
        let row = sqlx::query("select cluster, topic, partitions from tidings_keyring where cluster is not null");
        let row = row.fetch_optional(&self.pool).await.map_err(unavailable)?;
        Ok(row.map(|row| LogBinding {
            cluster: row.get(0),
            topic: row.get(1),
            partitions: u32::try_from(row.get::<i64, _>(2)).unwrap_or_default(),
        }))
    }

    pub async fn bind(&self, binding: &LogBinding) -> Result<(), KeyringError> {
        sqlx::query("update tidings_keyring set cluster = $1, topic = $2, partitions = $3 where cluster is null")
            .bind(&binding.cluster)
            .bind(&binding.topic)
            .bind(i64::from(binding.partitions))
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        match self.binding().await? {
            Some(bound) if bound != *binding => {
                Err(KeyringError::Damaged(format!("it belongs to {bound:?}, not to {binding:?}")))
            }
            _ => Ok(()),
        }
    }

    pub async fn anchors(&self) -> Result<Vec<(Partition, Anchor)>, KeyringError> {
        let rows = sqlx::query("select partition, records, head from anchors");
        let rows = rows.fetch_all(&self.pool).await.map_err(unavailable)?;
        rows.into_iter()
            .map(|row| {
                let head: Vec<u8> = row.get(2);
                let head = head.try_into().map_err(|_| KeyringError::Damaged("an anchor's head".to_owned()))?;
                let partition = Partition(u32::try_from(row.get::<i64, _>(0)).unwrap_or_default());
                let count = u64::try_from(row.get::<i64, _>(1)).unwrap_or_default();
                Ok((partition, Anchor { count, head: Head(head) }))
            })
            .collect()
    }

    pub async fn note_anchors(&self, anchors: &[(Partition, Anchor)]) -> Result<(), KeyringError> {
        for (partition, anchor) in anchors {
            sqlx::query(
                "insert into anchors as old (partition, records, head) values ($1, $2, $3) on conflict (partition) do \
                 update set records = excluded.records, head = excluded.head where old.records < excluded.records",
            )
            .bind(i64::from(partition.0))
            .bind(i64::try_from(anchor.count).unwrap_or_default())
            .bind(anchor.head.0.to_vec())
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        }
        Ok(())
    }

    pub async fn replace_anchors(&self, anchors: &[(Partition, Anchor)]) -> Result<(), KeyringError> {
        raw_sql("delete from anchors").execute(&self.pool).await.map_err(unavailable)?;
        self.note_anchors(anchors).await
    }

    async fn secret(&self, id: KeyId) -> Result<Option<Option<Arc<CipherKey>>>, KeyringError> {
        let row = sqlx::query("select secret from keys where id = $1").bind(id.0);
        let row = row.fetch_optional(&self.pool).await.map_err(unavailable)?;
        let Some(row) = row else { return Ok(None) };
        let secret: Option<Vec<u8>> = row.get(0);
        let secret = secret
            .map(|secret| secret.try_into().map_err(|_| KeyringError::Damaged(format!("key {id} has another length"))));
        Ok(Some(secret.transpose()?.map(|secret| Arc::new(CipherKey::new(id, &secret)))))
    }
}

impl Keyring for PostgresKeyring {
    fn create(&self, id: KeyId) -> KeyringFuture<'_, Arc<CipherKey>> {
        Box::pin(async move {
            sqlx::query("insert into keys (id, secret) values ($1, $2) on conflict do nothing")
                .bind(id.0)
                .bind(random()?.to_vec())
                .execute(&self.pool)
                .await
                .map_err(unavailable)?;
            self.secret(id).await?.flatten().ok_or(KeyringError::Destroyed(id))
        })
    }

    fn find(&self, id: KeyId) -> KeyringFuture<'_, Option<Arc<CipherKey>>> {
        Box::pin(async move { self.secret(id).await?.ok_or(KeyringError::Unknown(id)) })
    }

    fn destroy(&self, id: KeyId) -> KeyringFuture<'_, ()> {
        Box::pin(async move {
            let done = sqlx::query("update keys set secret = null where id = $1").bind(id.0).execute(&self.pool).await;
            if done.map_err(unavailable)?.rows_affected() == 0 { Err(KeyringError::Unknown(id)) } else { Ok(()) }
        })
    }

    fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}
