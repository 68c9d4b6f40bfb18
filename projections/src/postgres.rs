//! Read models in a PostgreSQL database: the way to it, its schema, and the checkpoints that stand beside the data.
//!
//! A batch is one transaction with its checkpoint. Its commit waits for the disk, as every one of a [`Pool`] does: nodes
//! remember how far a checkpoint was, and answer whoever waits for that from tables that a crash of the server must not have
//! taken back.

mod batches;
mod checkpoints;
mod fate;
mod migrations;
mod rows;
mod values;

pub use crate::open_error::OpenError;
use crate::read_model::Unavailable;
pub(crate) use batches::{Batches, Tables, in_time};
pub(crate) use checkpoints::Checkpoints;
pub(crate) use fate::Fate;
pub use pool::PoolUse;
use pool::{Limits, Pool};
pub(crate) use rows::{Of, Rows};
use sqlx::{AssertSqlSafe, raw_sql};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tracing::warn;
pub(crate) use values::{At, FIRST, at, column, count, number, text, time};

/// Connections of a node for reads, and as many for writes: readers do not wait for projectors, nor these for readers.
pub const CONNECTIONS_MAX: u32 = 8;
/// How long the database may take to give a connection.
pub const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long one read may take, before its client is told to come again.
pub const READ_MAX: Duration = Duration::from_secs(5);
/// How long writing a batch may take, before it is tried again.
pub const WRITE_MAX: Duration = Duration::from_secs(30);

/// The oldest server that is known to do, as `server_version_num` tells it.
const SERVER_VERSION_MIN: i32 = 140_000;

/// A database for read models. It reconnects by itself. A clone is the same one.
#[derive(Clone)]
pub struct Database {
    reads: Pool,
    writes: Pool,
    /// Whether the server and its schema were seen to be what they should be.
    checked: Arc<OnceCell<()>>,
    /// Which log they must be built from, if it was told.
    log: Arc<OnceLock<String>>,
    /// Whether they were seen to be.
    bound: Arc<OnceCell<()>>,
    place: Arc<str>,
}

impl Database {
    /// Opens a database whose schema is the one that this program knows. Nothing is changed. One that does not answer now
    /// is looked at when it first does; until then everything that is asked of it is [`Unavailable`].
    ///
    /// The URL is `postgres://user:password@host/database`; a schema of its own can be named by
    /// `?options[search_path]=...`.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let database = Self::lazy(url, Some(WRITE_MAX))?;
        database.look().await?;
        Ok(database)
    }

    /// Says which log the read models are built from: this one, and it is noted if they are built from none yet. A database
    /// of another log is [`OpenError::Unusable`]; nothing was changed in it. As with [`Self::open`], one that does not answer
    /// is looked at later.
    pub async fn bind(&self, log: &str) -> Result<(), OpenError> {
        let bound = self.log.get_or_init(|| log.to_owned());
        if bound != log {
            return Err(OpenError::Unusable(format!("it was bound to the log {bound} before, not to {log}")));
        }
        self.look().await
    }

    /// Brings the schema to what this program knows, and makes it if the one that the URL names is not there. Idempotent; of
    /// several that do it at once one does it. Programs of the version before that run go on working. Returns how many steps
    /// it took.
    pub async fn migrate(url: &str) -> Result<usize, OpenError> {
        // A step may take as long as it takes, and so may waiting for whoever takes one.
        let database = Self::lazy(url, None)?;
        database.check_version().await?;
        let mut connection = database.writes.get().await.map_err(unavailable)?;
        migrations::run(&mut connection).await
    }

    /// What is wrong with it for good.
    async fn look(&self) -> Result<(), OpenError> {
        match self.check().await {
            Err(OpenError::Unavailable(why)) => warn!("the read models in {} wait: {why}", self.place),
            checked => checked?,
        }
        Ok(())
    }

    fn lazy(url: &str, write_max: Option<Duration>) -> Result<Self, OpenError> {
        let options = pool::options(url).map_err(OpenError::Unusable)?;
        let pool = |answer: Option<Duration>| {
            let limits = Limits { connections: CONNECTIONS_MAX, connect: CONNECT_MAX, answer };
            Pool::new(options.clone(), limits)
        };
        let database = options.get_database().unwrap_or(options.get_username());
        let place = format!("{} on {}:{}", database, options.get_host(), options.get_port()).into();
        let (checked, log, bound) = Default::default();
        Ok(Self { reads: pool(Some(READ_MAX)), writes: pool(write_max), checked, log, bound, place })
    }

    /// Deletes the schema that it is in, with all read models.
    pub async fn delete(self) -> Result<(), OpenError> {
        let schema = sqlx::query_scalar("select quote_ident(current_schema())");
        let schema: String = schema.fetch_one(&self.writes).await.map_err(unavailable)?;
        let drop = AssertSqlSafe(format!("drop schema {schema} cascade"));
        raw_sql(drop).execute(&self.writes).await.map_err(unavailable)?;
        Ok(())
    }

    /// Its pools by name, as they are now; [`CONNECTIONS_MAX`] are open at most.
    pub fn pools(&self) -> [(&'static str, PoolUse); 2] {
        [("postgresql_reads", self.reads.in_use()), ("postgresql_writes", self.writes.in_use())]
    }

    /// Where it is, without secrets.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// For reads.
    pub(crate) async fn reads(&self) -> Result<&Pool, Unavailable> {
        self.checked().await?;
        Ok(&self.reads)
    }

    /// For batches.
    pub(crate) async fn writes(&self) -> Result<&Pool, Unavailable> {
        self.checked().await?;
        Ok(&self.writes)
    }

    async fn checked(&self) -> Result<(), Unavailable> {
        self.check().await.map_err(|error| match error {
            OpenError::Unavailable(why) => why,
            OpenError::Unusable(why) => Unavailable(format!("PostgreSQL cannot be used: {why}")),
        })
    }

    async fn check(&self) -> Result<(), OpenError> {
        self.checked.get_or_try_init(|| self.check_database()).await?;
        let Some(log) = self.log.get() else { return Ok(()) };
        self.bound.get_or_try_init(|| self.check_log(log)).await.copied()
    }

    async fn check_database(&self) -> Result<(), OpenError> {
        self.check_version().await?;
        let mut connection = self.writes.get().await.map_err(unavailable)?;
        let checked = timeout(READ_MAX, migrations::check(&mut connection)).await;
        checked.map_err(|_| too_slow(READ_MAX))??;
        connection.give_back();
        Ok(())
    }

    async fn check_log(&self, log: &str) -> Result<(), OpenError> {
        let note = sqlx::query("insert into built_from (log) values ($1) on conflict do nothing").bind(log);
        note.execute(&self.writes).await.map_err(unavailable)?;
        let noted = sqlx::query_scalar("select log from built_from").fetch_one(&self.writes);
        let noted: String = noted.await.map_err(unavailable)?;
        if noted == log {
            return Ok(());
        }
        Err(OpenError::Unusable(format!("its read models are built from the log {noted}, not from {log}")))
    }

    async fn check_version(&self) -> Result<(), OpenError> {
        let version = sqlx::query_scalar("select current_setting('server_version_num')::int4");
        let version: i32 = version.fetch_one(&self.reads).await.map_err(refused)?;
        if version < SERVER_VERSION_MIN {
            let (is, wanted) = (version / 10_000, SERVER_VERSION_MIN / 10_000);
            return Err(OpenError::Unusable(format!("PostgreSQL {is} is too old: {wanted} or newer is needed")));
        }
        Ok(())
    }
}

/// What a read comes to, at most after [`READ_MAX`].
pub(crate) async fn read<T>(query: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Unavailable> {
    timeout(READ_MAX, query).await.map_err(|_| too_slow(READ_MAX))?.map_err(unavailable)
}

pub(crate) fn too_slow(max: Duration) -> Unavailable {
    Unavailable(format!("PostgreSQL has not answered for {} s", max.as_secs()))
}

/// What the server says. It names hosts and roles, never passwords.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn unavailable(error: sqlx::Error) -> Unavailable {
    Unavailable(format!("PostgreSQL: {error}"))
}

/// Why it cannot be opened: for good, or for now.
fn refused(error: sqlx::Error) -> OpenError {
    if pool::is_final(&error) { OpenError::Unusable(error.to_string()) } else { unavailable(error).into() }
}
