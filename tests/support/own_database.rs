//! A PostgreSQL database of a test's own, since its settings and its sessions are those of all of its schemas.

use crate::services::Services;
use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar, raw_sql};
use uuid::Uuid;

/// See the module.
pub struct OwnDatabase {
    /// Another database of the same server.
    server: String,
    name: String,
    /// Where it is.
    pub url: String,
}

impl OwnDatabase {
    /// A new one, in which nothing is yet.
    pub async fn make(services: &Services) -> Result<Self> {
        let somewhere = services.fresh_database_url();
        let (server, _) = somewhere.split_once('?').context("no schema in the URL")?;
        let name = format!("test_{}", Uuid::new_v4().simple());
        let (host, _) = server.rsplit_once('/').context("no database in the URL")?;
        let it = Self { server: server.to_owned(), url: format!("{host}/{name}"), name };
        it.tell("create database NAME").await?;
        Ok(it)
    }

    /// Whether it takes no writes. Sessions that are open do not hear of it, and are ended.
    pub async fn set_read_only(&self, on: bool) -> Result<()> {
        let set = if on { "set default_transaction_read_only = on" } else { "reset default_transaction_read_only" };
        self.tell(&format!("alter database NAME {set}")).await?;
        self.end_sessions().await
    }

    /// The server's own workers are none of ours.
    async fn end_sessions(&self) -> Result<()> {
        let ours = "datname = 'NAME' and usename = current_user";
        self.tell(&format!("select pg_terminate_backend(pid) from pg_stat_activity where {ours}")).await
    }

    /// Sessions that have a transaction open, whether they are at work in it or not.
    pub async fn open_transactions(&self) -> Result<i64> {
        let mut connection = PgConnection::connect(&self.server).await?;
        let open = query_scalar("select count(*) from pg_stat_activity where datname = $1 and xact_start is not null");
        let open = open.bind(&self.name).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(open)
    }

    /// Ends what is open in it, and deletes it.
    pub async fn delete(self) -> Result<()> {
        self.end_sessions().await?;
        self.tell("drop database NAME").await
    }

    async fn tell(&self, sql: &str) -> Result<()> {
        let mut connection = PgConnection::connect(&self.server).await?;
        raw_sql(AssertSqlSafe(sql.replace("NAME", &self.name))).execute(&mut connection).await?;
        connection.close().await.context("closing")
    }
}
