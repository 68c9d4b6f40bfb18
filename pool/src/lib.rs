//! Connections to PostgreSQL that go from hand to hand.
//!
//! One over which something was not answered to its end, since whoever asked gave up or the server did not like it, is not
//! used again but closed, with what was open in it. So nobody hears what somebody else asked for, nobody goes on in somebody
//! else's transaction, and connections that have fallen silent are replaced as soon as whoever waits for them gives up. The
//! pool that comes with sqlx (0.9.0) asks the server after each use instead, which costs as much as a small read, and keeps
//! the place of a connection for as long as there is no answer (transact-rs/sqlx#4349, #4393).

use deadpool::managed::{
    self, Manager, Metrics, Object, PoolConfig, PoolError, QueueMode, RecycleError, RecycleResult,
};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use sqlx::postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{
    ConnectOptions, Connection as _, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr, raw_sql,
};
use std::fmt;
use std::io::ErrorKind;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// A connection that was not used for so long is tried out first: a round trip that would double the cost of a busy one.
pub const IDLE_UNTESTED_MAX: Duration = Duration::from_secs(1);
/// How long it may take to answer then, before another one is opened in its place.
const TEST_MAX: Duration = Duration::from_millis(500);
/// How old a connection may become: what a session of the server holds grows, and an address may lead elsewhere since.
const AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// For how long it is tried to connect to a server that is just starting or has no place free.
const STARTING_MAX: Duration = Duration::from_secs(1);
const STARTING_POLL: Duration = Duration::from_millis(50);

/// So many connections at most. It is an executor for single statements, whose rows are read before the first is handed on.
/// A clone is the same one.
#[derive(Clone)]
pub struct Pool {
    connections: managed::Pool<Opening>,
    connect_max: Duration,
}

/// How many connections there are.
#[derive(Clone, Copy, Debug)]
pub struct PoolUse {
    /// Those that are open.
    pub open: u32,
    /// Those of them that wait for work.
    pub idle: u32,
}

/// How to connect.
struct Opening(PgConnectOptions);

/// A connection that is in use. It is closed when it is dropped, unless it was [given back](Self::give_back).
pub struct Connection(Option<Object<Opening>>);

/// What is changed together. Unless it is committed all of it is taken back when this is dropped.
pub struct Transaction(Connection);

impl Manager for Opening {
    type Type = PgConnection;
    type Error = Error;

    async fn create(&self) -> Result<PgConnection, Error> {
        let begun = Instant::now();
        loop {
            // In a box: it is large, and seldom there.
            match self.0.connect().boxed().await {
                Err(error) if is_starting(&error) && begun.elapsed() < STARTING_MAX => sleep(STARTING_POLL).await,
                opened => return opened,
            }
        }
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<Error> {
        if metrics.age() >= AGE_MAX {
            return Err(RecycleError::message("it is too old"));
        }
        if metrics.last_used() >= IDLE_UNTESTED_MAX {
            timeout(TEST_MAX, connection.ping()).await.map_err(|_| RecycleError::message("it is silent"))??;
        }
        Ok(())
    }
}

/// Whether the server will soon take a connection. Nobody listens yet, it still reads its log, or somebody's end was not
/// noticed yet.
fn is_starting(error: &Error) -> bool {
    /// As SQLSTATE: cannot connect now, too many connections.
    const STARTING: [&str; 2] = ["57P03", "53300"];
    match error {
        Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
        Error::Database(error) => error.code().is_some_and(|code| STARTING.contains(&&*code)),
        _ => false,
    }
}

impl Pool {
    /// Connects when it is first used. `connect_max` is how long it may take to get a connection, with the wait for one that
    /// is free.
    pub fn new(options: PgConnectOptions, connections_max: u32, connect_max: Duration) -> Self {
        // The one that was used last, so that the others may become idle and no use meets all of those that have broken.
        let connections_max = usize::try_from(connections_max).unwrap_or(usize::MAX);
        let config = PoolConfig { queue_mode: QueueMode::Lifo, ..PoolConfig::new(connections_max) };
        let connections = managed::Pool::builder(Opening(options)).config(config).build();
        Self { connections: connections.expect("without timeouts of its own it needs no runtime"), connect_max }
    }

    /// One that nobody else uses. [`Error::PoolTimedOut`] if it takes too long.
    pub async fn get(&self) -> Result<Connection, Error> {
        let connection = timeout(self.connect_max, self.connections.get()).await.map_err(|_| Error::PoolTimedOut)?;
        let connection = connection.map_err(|error| match error {
            PoolError::Backend(error) => error,
            other => Error::Configuration(other.into()),
        });
        Ok(Connection(Some(connection?)))
    }

    /// Begins a transaction with these statements, of which the first is `begin`: one round trip.
    pub async fn begin(&self, with: &'static str) -> Result<Transaction, Error> {
        let mut connection = self.get().await?;
        raw_sql(with).execute(&mut *connection).await?;
        Ok(Transaction(connection))
    }

    /// As it is now.
    pub fn in_use(&self) -> PoolUse {
        let status = self.connections.status();
        let count = |connections: usize| u32::try_from(connections).unwrap_or(u32::MAX);
        PoolUse { open: count(status.size), idle: count(status.available) }
    }
}

impl Connection {
    /// Everything that was asked is answered: the next may have it.
    pub fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Transaction {
    /// Makes it durable. After an error it may have been.
    pub async fn commit(mut self) -> Result<(), Error> {
        raw_sql("commit").execute(&mut *self).await?;
        self.0.give_back();
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Taken from the pool, it is closed.
        drop(self.0.take().map(Object::take));
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_deref().expect("it is there until it is given back")
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_deref_mut().expect("it is there until it is given back")
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.in_use()).finish()
    }
}

impl<'c> Executor<'c> for &'c Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let answer = async move {
            let mut connection = self.get().await?;
            let answer = Executor::fetch_many(&mut *connection, query).try_collect::<Vec<_>>().await?;
            connection.give_back();
            Ok(stream::iter(answer.into_iter().map(Ok)))
        };
        answer.try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let answer = async move {
            let mut connection = self.get().await?;
            let answer = Executor::fetch_optional(&mut *connection, query).await?;
            connection.give_back();
            Ok(answer)
        };
        answer.boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        let prepared = async move {
            let mut connection = self.get().await?;
            let prepared = Executor::prepare_with(&mut *connection, sql, parameters).await?;
            connection.give_back();
            Ok(prepared)
        };
        prepared.boxed()
    }
}
