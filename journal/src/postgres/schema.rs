//! The tables, made once, and refused where something else lives.

use super::{field, refused, secret, unavailable};
use aws_lc_rs::rand;
use events::KeyringError;
use pool::Pool;
use sqlx::{AssertSqlSafe, PgConnection, raw_sql};
use uuid::Uuid;

const VERSION: i64 = 1;

/// One row: the root of all secrets, and the log that they belong to. A key without a secret was destroyed: the row
/// stays, so that "gone on purpose" and "lost" are never mixed up.
const TABLES: &str = "
    create table keyring (
        only_row boolean primary key default true check (only_row),
        version bigint not null,
        root bytea not null check (length(root) = 32),
        log uuid not null,
        cluster text,
        topic text,
        partitions bigint
    );
    create table keys (
        id uuid primary key,
        secret bytea check (length(secret) = 32)
    );
    create table signing_keys (
        generation bigint primary key,
        signs_from_us bigint not null
    );
    insert into signing_keys values (0, 0);
    create table anchors (
        partition bigint primary key,
        records bigint not null,
        head bytea not null check (length(head) = 32)
    );
";

/// The root of the secrets and the log's name, made now if there are none.
pub(super) async fn prepare(pool: &Pool) -> Result<([u8; 32], Uuid), KeyringError> {
    // Two nodes that start at once must not both find nothing.
    let alone = "select pg_advisory_xact_lock(x'746964696e6773'::bigint)";
    let mut transaction = pool.begin(alone).await.map_err(refused)?;
    make_schema(&mut transaction).await?;
    let tables = sqlx::query(
        "select coalesce(bool_or(table_name = 'keyring'), false), count(*) from information_schema.tables \
         where table_schema = current_schema()",
    );
    let tables = tables.fetch_one(&mut *transaction).await.map_err(unavailable)?;
    let (is_ours, others): (bool, i64) = (field(&tables, 0)?, field(&tables, 1)?);
    if !is_ours && others > 0 {
        let what = "the database holds tables that are none of a keyring's: give the keyring one of its own";
        return Err(KeyringError::Damaged(what.to_owned()));
    }
    if !is_ours {
        raw_sql(TABLES).execute(&mut *transaction).await.map_err(unavailable)?;
        sqlx::query("insert into keyring (version, root, log) values ($1, $2, $3)")
            .bind(VERSION)
            .bind(random()?.to_vec())
            .bind(Uuid::new_v4())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
    }
    let row = sqlx::query("select version, root, log from keyring").fetch_one(&mut *transaction).await;
    let row = row.map_err(|error| match error {
        sqlx::Error::RowNotFound => KeyringError::Damaged("its only row is gone".to_owned()),
        error => unavailable(error),
    })?;
    transaction.commit().await.map_err(unavailable)?;
    let version: i64 = field(&row, 0)?;
    if version > VERSION {
        return Err(KeyringError::Damaged(format!("it was made by a newer program: version {version}")));
    }
    Ok((secret(field(&row, 1)?)?, field(&row, 2)?))
}

/// Whoever shares a database names a schema in the URL (`?options[search_path]=...`): it is made if it is not there.
async fn make_schema(connection: &mut PgConnection) -> Result<(), KeyringError> {
    let row = sqlx::query("select current_schema()::text, current_setting('search_path')");
    let row = row.fetch_one(&mut *connection).await.map_err(unavailable)?;
    let (there, wanted): (Option<String>, String) = (field(&row, 0)?, field(&row, 1)?);
    if there.is_none() {
        let quoted = wanted.trim_matches('"').replace('"', "\"\"");
        let make = AssertSqlSafe(format!("create schema if not exists \"{quoted}\""));
        raw_sql(make).execute(&mut *connection).await.map_err(unavailable)?;
    }
    Ok(())
}

pub(super) fn random() -> Result<[u8; 32], KeyringError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| KeyringError::Unavailable("no randomness".to_owned()))?;
    Ok(bytes)
}
