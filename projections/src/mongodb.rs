//! Read models in a MongoDB database: the way to it, its schema, and the checkpoints that stand beside the data.
//!
//! A batch is one transaction with its checkpoint, so the server must be a replica set. What is written is on the disks of
//! most members before it counts, and nothing is read that is not.

mod checkpoints;
mod commands;
mod connections;
mod idle;
mod migrations;
mod transaction;
mod values;

use crate::open_error::OpenError;
use crate::read_model::Unavailable;
use ::mongodb::bson::{Document, doc};
use ::mongodb::error::{Error, ErrorKind};
use ::mongodb::options::{Acknowledgment, ClientOptions, ReadConcern, WriteConcern};
use ::mongodb::{Client, ClientSession, Collection};
pub(crate) use checkpoints::Checkpoints;
pub(crate) use commands::{Refused, run};
use connections::Connections;
pub use pool::PoolUse;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tracing::warn;
use transaction::Transaction;
pub(crate) use values::{count, id, number, text, time};

/// Connections of a node to a member.
pub const CONNECTIONS_MAX: u32 = 16;
/// How long it may take to reach a member, and to find the one that takes writes.
pub const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long one read may take, before its client is told to come again.
pub const READ_MAX: Duration = Duration::from_secs(5);
/// How long writing a batch may take, before it is tried again.
pub const WRITE_MAX: Duration = Duration::from_secs(30);

/// The database, if the URL names none.
const DATABASE: &str = "tidings";

/// The oldest server that is known to do.
const SERVER_VERSION_MIN: i32 = 6;

/// A database for read models. It reconnects by itself. A clone is the same one.
#[derive(Clone)]
pub struct Database {
    client: Client,
    database: ::mongodb::Database,
    options: Arc<ClientOptions>,
    connections: Arc<Connections>,
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
    /// The URL is `mongodb://user:password@host/database?replicaSet=...&authSource=admin`; the database is `tidings` if it
    /// names none.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let database = Self::lazy(url).await?;
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

    /// Brings the schema to what this program knows. Idempotent, also if several do it at once. Programs of the version
    /// before that run go on working. Returns how many steps it took.
    pub async fn migrate(url: &str) -> Result<usize, OpenError> {
        let database = Self::lazy(url).await?;
        database.check_server().await?;
        migrations::run(&database.database).await
    }

    /// Deletes it with all read models.
    pub async fn delete(self) -> Result<(), OpenError> {
        Ok(self.database.drop().await.map_err(unavailable)?)
    }

    /// Where it is, without secrets.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Its connections as they are now; [`CONNECTIONS_MAX`] are open at most to each member.
    pub fn in_use(&self) -> PoolUse {
        self.connections.in_use()
    }

    async fn lazy(url: &str) -> Result<Self, OpenError> {
        let wrong = |error: Error| OpenError::Unusable(format!("it is no mongodb:// URL: {error}"));
        let mut options = ClientOptions::parse(url).await.map_err(wrong)?;
        options.app_name.get_or_insert_with(|| "tidings".to_owned());
        let connections = Arc::<Connections>::default();
        options.cmap_event_handler = Some(connections.noted());
        options.max_pool_size = Some(CONNECTIONS_MAX);
        options.connect_timeout = Some(CONNECT_MAX);
        options.server_selection_timeout = Some(CONNECT_MAX);
        options.read_concern = Some(ReadConcern::majority());
        options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
        let name = options.default_database.clone().unwrap_or_else(|| DATABASE.to_owned());
        let hosts = options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let client = Client::with_options(options.clone()).map_err(wrong)?;
        let (checked, log, bound) = Default::default();
        let (database, options) = (client.database(&name), Arc::new(options));
        let place = format!("{name} on {hosts}").into();
        Ok(Self { client, database, options, connections, checked, log, bound, place })
    }

    /// What is wrong with it for good.
    async fn look(&self) -> Result<(), OpenError> {
        match self.check().await {
            Err(OpenError::Unavailable(why)) => warn!("the read models in {} wait: {why}", self.place),
            checked => checked?,
        }
        Ok(())
    }

    /// A collection, once all is known to be well.
    pub(crate) async fn collection(&self, name: &str) -> Result<Collection<Document>, Unavailable> {
        Ok(self.checked().await?.collection(name))
    }

    /// The database, once all is known to be well.
    pub(crate) async fn checked(&self) -> Result<&::mongodb::Database, Unavailable> {
        match self.check().await {
            Ok(()) => Ok(&self.database),
            Err(OpenError::Unavailable(why)) => Err(why),
            Err(OpenError::Unusable(why)) => Err(Unavailable(format!("MongoDB cannot be used: {why}"))),
        }
    }

    /// To be called by whoever has met the transaction of another worker. It may be one that nobody goes on with.
    pub(crate) async fn end_idle_transactions(&self) {
        match read(idle::end(self)).await {
            Ok(0) => {}
            Ok(ended) => warn!(ended, "{ended} transactions in {} were waited for in vain, and ended", self.place),
            Err(why) => warn!("whether a transaction in {} is waited for in vain is not known: {why}", self.place),
        }
    }

    pub(crate) async fn begin(&self) -> Result<Transaction, Refused> {
        Transaction::begin(self).await
    }

    /// Begins to read what there is at one moment.
    pub(crate) async fn snapshot(&self) -> Result<ClientSession, Unavailable> {
        self.checked().await?;
        let session = self.client.start_session().snapshot(true);
        read(async { session.await }).await
    }

    async fn check(&self) -> Result<(), OpenError> {
        let check = || async {
            self.check_server().await?;
            migrations::check(&self.database).await
        };
        self.checked.get_or_try_init(check).await?;
        let Some(log) = self.log.get() else { return Ok(()) };
        self.bound.get_or_try_init(|| self.check_log(log)).await.copied()
    }

    async fn check_log(&self, log: &str) -> Result<(), OpenError> {
        let built_from = self.database.collection::<Document>("built_from");
        let note = built_from.find_one_and_update(doc! { "_id": "log" }, doc! { "$setOnInsert": { "log": log } });
        let note = note.upsert(true).return_document(::mongodb::options::ReturnDocument::After);
        let noted = read(async { note.await }).await?.unwrap_or_default();
        match text(&noted, "log")? {
            noted if noted == log => Ok(()),
            noted => {
                Err(OpenError::Unusable(format!("its read models are built from the log {noted}, not from {log}")))
            }
        }
    }

    /// That it is a server with which all of this works, and that it lets us in.
    async fn check_server(&self) -> Result<(), OpenError> {
        let admin = self.client.database("admin");
        let hello = async { admin.run_command(doc! { "hello": 1 }).await };
        let hello = match timeout(READ_MAX, hello).await.map_err(|_| too_slow(READ_MAX))? {
            Ok(hello) => hello,
            Err(error) if matches!(*error.kind, ErrorKind::ServerSelection { .. }) => {
                self.ask_each_member().await?;
                return Err(unavailable(error).into());
            }
            Err(error) => return Err(refused(error)),
        };
        check_set(&hello, self.options.repl_set_name.as_deref())?;
        let build = async { admin.run_command(doc! { "buildInfo": 1 }).await };
        let build = timeout(READ_MAX, build).await.map_err(|_| too_slow(READ_MAX))?.map_err(refused)?;
        let version = text(&build, "version")?;
        let major = version.split('.').next().and_then(|major| major.parse::<i32>().ok());
        match major {
            Some(major) if major >= SERVER_VERSION_MIN => Ok(()),
            _ => {
                let wanted = SERVER_VERSION_MIN;
                Err(OpenError::Unusable(format!("MongoDB {version} is too old: {wanted} or newer is needed")))
            }
        }
    }

    /// A client that is told of a replica set passes over servers that are none or another one: whether one of these is
    /// there.
    async fn ask_each_member(&self) -> Result<(), OpenError> {
        for host in &self.options.hosts {
            let mut options = ClientOptions::builder().hosts(vec![host.clone()]).direct_connection(true).build();
            options.tls = self.options.tls.clone();
            options.connect_timeout = Some(CONNECT_MAX);
            options.server_selection_timeout = Some(CONNECT_MAX);
            let Ok(client) = Client::with_options(options) else { continue };
            let admin = client.database("admin");
            let hello = async { admin.run_command(doc! { "hello": 1 }).await };
            if let Ok(Ok(hello)) = timeout(READ_MAX, hello).await {
                check_set(&hello, self.options.repl_set_name.as_deref())?;
            }
        }
        Ok(())
    }
}

/// That a server which has said hello is of this replica set, or of any.
fn check_set(hello: &Document, wanted: Option<&str>) -> Result<(), OpenError> {
    let Ok(set) = hello.get_str("setName") else {
        if matches!(hello.get_bool("isreplicaset"), Ok(true)) {
            return Err(Unavailable("MongoDB: the replica set is not initiated yet".to_owned()).into());
        }
        let what = "the server stands alone, and has no transactions: make it a replica set, of one member if need be";
        return Err(OpenError::Unusable(what.to_owned()));
    };
    match wanted {
        Some(wanted) if wanted != set => {
            Err(OpenError::Unusable(format!("the server is of the replica set {set}, not of {wanted}")))
        }
        _ => Ok(()),
    }
}

/// What a read comes to, at most after [`READ_MAX`].
pub(crate) async fn read<T>(query: impl Future<Output = Result<T, Error>>) -> Result<T, Unavailable> {
    timeout(READ_MAX, query).await.map_err(|_| too_slow(READ_MAX))?.map_err(unavailable)
}

pub(crate) fn too_slow(max: Duration) -> Unavailable {
    Unavailable(format!("MongoDB has not answered for {} s", max.as_secs()))
}

/// What the server says. It names hosts and users, never passwords.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn unavailable(error: Error) -> Unavailable {
    Unavailable(format!("MongoDB: {error}"))
}

/// Wrong credentials are no outage: nobody but the operator mends them.
fn refused(error: Error) -> OpenError {
    /// Unauthorized, and authentication failed.
    const FINAL: [i32; 2] = [13, 18];
    match &*error.kind {
        ErrorKind::Authentication { .. } | ErrorKind::IncompatibleServer { .. } => {
            OpenError::Unusable(error.to_string())
        }
        ErrorKind::Command(command) if FINAL.contains(&command.code) => OpenError::Unusable(error.to_string()),
        _ => unavailable(error).into(),
    }
}
