//! Connections to PostgreSQL that go from hand to hand.
//!
//! One over which something was not answered to its end, since whoever asked gave up or the server did not like it, is not
//! used again but closed, with what was open in it. So nobody hears what somebody else asked for, nobody goes on in somebody
//! else's transaction, and connections that have fallen silent are replaced as soon as whoever waits for them gives up. The
//! pool that comes with sqlx (0.9.0) asks the server after each use instead, which costs as much as a small read, and keeps
//! the place of a connection for as long as there is no answer (transact-rs/sqlx#4349, #4393).

use deadpool::managed::{self, Manager, Metrics, Object, PoolConfig, PoolError, QueueMode, RecycleResult};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use sqlx::postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr,
    raw_sql,
};
use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

/// A connection that was not used for so long is tried out first: a round trip that would double the cost of a busy one.
pub const IDLE_UNTESTED_MAX: Duration = Duration::from_secs(1);
/// How long it may take to answer then, before another one is opened in its place.
const TEST_MAX: Duration = Duration::from_millis(500);
/// For how long a connection is kept that nobody uses.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How old a connection may become: what a session of the server holds grows, and an address may lead elsewhere since.
const AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// For how long it is tried to connect to a server that is just starting or has no place free.
const STARTING_MAX: Duration = Duration::from_secs(1);
const STARTING_POLL: Duration = Duration::from_millis(50);
/// For how long the server may still be at work for whoever gave up, before another one has that place.
const GIVEN_UP_MAX: Duration = Duration::from_secs(1);
/// How long a transaction may wait for its next statement: that of a node which sleeps in the middle of it holds up
/// whoever takes over.
const NEXT_STATEMENT_MAX: Duration = Duration::from_secs(5);
/// How often the server looks whether whoever has asked is still there: what it works at otherwise holds its locks until
/// it is done.
const ASKER_POLL: Duration = Duration::from_secs(1);

/// So many connections at most. It is an executor for single statements, whose rows are read before the first is handed on.
/// A clone is the same one.
#[derive(Clone)]
pub struct Pool {
    sessions: managed::Pool<Opening>,
    limits: Limits,
}

/// What a pool may need.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections.
    pub connections: u32,
    /// The time until there is a connection, the wait for one that is free included.
    pub connect: Duration,
    /// The time until a single statement, the beginning of a transaction or its commit is answered, which the server keeps
    /// to as well; `None` if it may take as long as it takes.
    pub answer: Option<Duration>,
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

/// A connection, and when it was last taken up or given back.
struct Session {
    postgres: PgConnection,
    used: Instant,
}

/// A connection that is in use. It is closed when it is dropped, unless it was [given back](Self::give_back).
pub struct Connection(Option<Object<Opening>>);

/// What is changed together. Unless it is committed all of it is taken back when this is dropped.
pub struct Transaction {
    connection: Connection,
    limits: Limits,
}

/// What is never used again. It keeps its place in the pool until it is dropped.
struct GivenUp(Option<Object<Opening>>);

impl Manager for Opening {
    type Type = Session;
    type Error = Error;

    async fn create(&self) -> Result<Session, Error> {
        let begun = Instant::now();
        loop {
            // In a box: it is large, and seldom there.
            match self.0.connect().boxed().await {
                Err(error) if is_starting(&error) && begun.elapsed() < STARTING_MAX => sleep(STARTING_POLL).await,
                opened => return Ok(Session { postgres: opened?, used: Instant::now() }),
            }
        }
    }

    /// Whether it is in order is for [`Pool::get`] to see, which can do something about the others too.
    async fn recycle(&self, _: &mut Session, _: &Metrics) -> RecycleResult<Error> {
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

/// What a `postgres://` URL says of how to connect; the error says what is wrong with it, without secrets.
pub fn options(url: &str) -> Result<PgConnectOptions, String> {
    const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
    // Which any other scheme is to the driver as well.
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        return Err("it is no postgres:// URL".to_owned());
    }
    PgConnectOptions::from_str(url).map_err(|error| format!("it is no postgres:// URL: {error}"))
}

/// Whether nobody but the operator mends it: wrong credentials, a database that is not there, and a server that cannot do
/// what is asked of it.
pub fn is_final(error: &Error) -> bool {
    /// Classes of SQLSTATE, or one of them as a whole: invalid authorization, invalid catalog name, a setting that the
    /// server does not take, and one that it does not know.
    const FINAL: [&str; 4] = ["28", "3D", "22023", "42704"];
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| FINAL.iter().any(|class| code.starts_with(class)))
}

impl Pool {
    /// Connects when it is first used. Whatever the server or the options say, a commit waits for the disk there
    /// (`synchronous_commit`), and what is given up or forgotten in the middle does not hold its locks for long. Sessions bear
    /// the name in the options, or else that of the program.
    pub fn new(options: PgConnectOptions, limits: Limits) -> Self {
        let millis = |time: Duration| time.as_millis().to_string();
        let name = options.get_application_name().unwrap_or("tidings").to_owned();
        let options = options.application_name(&name).options([
            ("synchronous_commit", "on"),
            ("statement_timeout", &millis(limits.answer.unwrap_or_default())),
            ("idle_in_transaction_session_timeout", &millis(NEXT_STATEMENT_MAX)),
            ("client_connection_check_interval", &millis(ASKER_POLL)),
        ]);
        // The one that was used last, so that the others may become idle and are closed.
        let connections = usize::try_from(limits.connections).unwrap_or(usize::MAX);
        let config = PoolConfig { queue_mode: QueueMode::Lifo, ..PoolConfig::new(connections) };
        let sessions = managed::Pool::builder(Opening(options)).config(config).build();
        Self { sessions: sessions.expect("without timeouts of its own it needs no runtime"), limits }
    }

    /// One that nobody else uses. [`Error::PoolTimedOut`] if it takes too long.
    pub async fn get(&self) -> Result<Connection, Error> {
        timeout(self.limits.connect, self.in_order()).await.map_err(|_| Error::PoolTimedOut)?
    }

    async fn in_order(&self) -> Result<Connection, Error> {
        drop(self.sessions.retain(|it, metrics| it.used.elapsed() < IDLE_MAX && metrics.age() < AGE_MAX));
        loop {
            let session = self.sessions.get().await.map_err(|error| match error {
                PoolError::Backend(error) => error,
                other => Error::Configuration(other.into()),
            })?;
            let is_fresh = session.used.elapsed() < IDLE_UNTESTED_MAX;
            let mut connection = Connection(Some(session));
            if is_fresh || matches!(timeout(TEST_MAX, connection.ping()).await, Ok(Ok(()))) {
                return Ok(connection);
            }
            // What has happened to it has happened to all that have waited for as long.
            drop(self.sessions.retain(|it, _| it.used.elapsed() < IDLE_UNTESTED_MAX));
        }
    }

    /// Begins a transaction, and carries out what is to come first in it, if there is something: one round trip.
    pub async fn begin(&self, first: &'static str) -> Result<Transaction, Error> {
        let mut connection = self.get().await?;
        let begin = AssertSqlSafe(format!("begin; {first}"));
        in_time(self.limits.answer, raw_sql(begin).execute(&mut *connection)).await?;
        Ok(Transaction { connection, limits: self.limits })
    }

    /// As it is now.
    pub fn in_use(&self) -> PoolUse {
        let status = self.sessions.status();
        let count = |connections: usize| u32::try_from(connections).unwrap_or(u32::MAX);
        PoolUse { open: count(status.size), idle: count(status.available) }
    }
}

/// An answer, if it comes in time.
async fn in_time<T>(max: Option<Duration>, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let Some(max) = max else { return answer.await };
    let too_late = |_| Error::Io(io::Error::new(ErrorKind::TimedOut, format!("no answer within {max:?}")));
    timeout(max, answer).await.map_err(too_late)?
}

impl Connection {
    /// Everything that was asked is answered: the next may have it.
    pub fn give_back(mut self) {
        if let Some(mut session) = self.0.take() {
            session.used = Instant::now();
        }
    }
}

impl Transaction {
    /// Makes it durable. After an error it may have been.
    pub async fn commit(mut self) -> Result<(), Error> {
        in_time(self.limits.answer, raw_sql("commit").execute(&mut *self.connection)).await?;
        self.connection.give_back();
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(session) = self.0.take() else { return };
        let mut given_up = GivenUp(Some(session));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { given_up.end().await });
        }
    }
}

impl GivenUp {
    /// As long as the server is at work for it, within limits, nobody else has its place: else whoever asks and goes away, again
    /// and again, would have the server at work for any number.
    async fn end(&mut self) {
        let GivenUp(Some(session)) = self else { return };
        let given_up = Instant::now();
        let is_broken = matches!(timeout(GIVEN_UP_MAX, session.postgres.ping()).await, Ok(Err(_)));
        // The server has ended it, and most likely all that have waited since: it was started again.
        if is_broken && let Some(sessions) = Object::pool(session) {
            drop(sessions.retain(|it, _| it.used > given_up));
        }
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        // Taken from the pool, it is closed.
        drop(self.0.take().map(Object::take));
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0.as_ref().expect("it is there until it is given back").postgres
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0.as_mut().expect("it is there until it is given back").postgres
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
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
            let rows = Executor::fetch_many(&mut *connection, query).try_collect::<Vec<_>>();
            let answer = in_time(self.limits.answer, rows).await?;
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
            let row = Executor::fetch_optional(&mut *connection, query);
            let answer = in_time(self.limits.answer, row).await?;
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
            let prepared = Executor::prepare_with(&mut *connection, sql, parameters);
            let prepared = in_time(self.limits.answer, prepared).await?;
            connection.give_back();
            Ok(prepared)
        };
        prepared.boxed()
    }
}
