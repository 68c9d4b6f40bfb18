//! `tidings sagas ...`, `tidings parked ...` and `tidings users ...`: what operators do, over the API of a server that runs.

mod connection;
mod print;

pub(crate) use connection::Connection;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use connection::{Asked, Query};
use events::Username;
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Subcommand)]
pub(crate) enum SagasCommand {
    /// Lists sagas, oldest first: where each stands and what it waits for
    List(ListArguments),
    /// Shows a saga with all that happened to it
    Show {
        /// Which
        saga: Uuid,
    },
    /// Has what a saga waits for tried at once, also a compensation that was given up
    Retry(Order),
    /// Has a saga undone
    Compensate(Order),
}

#[derive(Args)]
pub(crate) struct ListArguments {
    /// Only those that stand there: RUNNING, COMPLETED, COMPENSATING, COMPENSATED or COMPENSATION_FAILED
    #[arg(long)]
    status: Option<String>,

    /// Only those of this process, such as USER_DELETION
    #[arg(long = "type")]
    process: Option<String>,

    /// Only those that have something left to do
    #[arg(long)]
    open: bool,

    /// Only those that began so many seconds ago, or earlier
    #[arg(long)]
    older_than_s: Option<u64>,

    /// How many, at most
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
}

#[derive(Args)]
pub(crate) struct Order {
    /// Which saga
    saga: Uuid,

    /// Why; it stands in the log
    #[arg(long)]
    reason: String,
}

#[derive(Subcommand)]
pub(crate) enum ParkedCommand {
    /// Lists the keys that stopped in a read model of the server
    List,
    /// Tries the commits of a key again, in order
    Retry {
        #[command(flatten)]
        stopped: Stopped,
    },
    /// Goes on without the commit of a key that failed, until the server is started again
    Discard {
        #[command(flatten)]
        stopped: Stopped,
        /// The commit, as partition@offset
        #[arg(long)]
        position: String,
    },
}

#[derive(Args)]
pub(crate) struct Stopped {
    /// The read model
    model: String,

    /// The key
    key: String,

    /// Why; it stands in the server's log
    #[arg(long)]
    reason: String,
}

#[derive(Subcommand)]
pub(crate) enum UsersCommand {
    /// Changes what a person may do besides using the service
    Role {
        /// The person's name or id
        name: String,
        /// What they may do
        role: RoleName,
        /// Why; it stands in the log
        #[arg(long)]
        reason: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum RoleName {
    User,
    Operator,
}

pub(crate) fn sagas(connection: &Connection, command: SagasCommand) -> Result<()> {
    connection.run(async |asked| {
        let order = async |order: &str, Order { saga, reason }: Order| {
            let body = json!({ "reason": reason });
            asked.ask(Method::POST, &format!("/admin/sagas/{saga}/{order}"), Some(&body)).await
        };
        let saga = match command {
            SagasCommand::List(arguments) => return list(asked, &arguments).await,
            SagasCommand::Show { saga } => asked.ask(Method::GET, &format!("/admin/sagas/{saga}"), None).await,
            SagasCommand::Retry(it) => order("retry", it).await,
            SagasCommand::Compensate(it) => order("compensate", it).await,
        }?;
        asked.print(&saga, print::saga)
    })
}

async fn list(asked: &Asked<'_>, arguments: &ListArguments) -> Result<()> {
    let (sagas, is_all) = asked.pages("/admin/sagas", &arguments.query(), "sagas", arguments.limit).await?;
    asked.print(&Value::Array(sagas), |sagas| print::list(sagas.as_array(), is_all))
}

pub(crate) fn parked(connection: &Connection, command: ParkedCommand) -> Result<()> {
    connection.run(async |asked| {
        let post = async |path: &str, body: Value| asked.ask(Method::POST, path, Some(&body)).await;
        let parked = match command {
            ParkedCommand::List => asked.ask(Method::GET, "/admin/parked", None).await,
            ParkedCommand::Retry { stopped: Stopped { model, key, reason } } => {
                post("/admin/parked/retry", json!({ "model": model, "key": key, "reason": reason })).await
            }
            ParkedCommand::Discard { stopped: Stopped { model, key, reason }, position } => {
                let body = json!({ "model": model, "key": key, "position": position, "reason": reason });
                post("/admin/parked/discard", body).await
            }
        }?;
        asked.print(&parked, print::parked)
    })
}

pub(crate) fn users(connection: &Connection, command: UsersCommand) -> Result<()> {
    let UsersCommand::Role { name, role, reason } = command;
    connection.run(async |asked| {
        let user = match name.parse::<Uuid>() {
            Ok(user) => user,
            Err(_) => find(asked, &name).await?,
        };
        let role = role.to_possible_value().context("every role has a name")?;
        let body = json!({ "role": role.get_name(), "reason": reason });
        let person = asked.ask(Method::PUT, &format!("/admin/users/{user}/role"), Some(&body)).await?;
        asked.print(&person, |it| format!("{} is {}\n", print::text(&it["user_id"]), print::text(&it["role"])))
    })
}

/// Whose name it is.
async fn find(asked: &Asked<'_>, name: &str) -> Result<Uuid> {
    let name = Username::parse(name).with_context(|| format!("{name:?} is neither an id nor a username"))?;
    let path = format!("/admin/users?username={}", name.as_str());
    let found = asked.ask(Method::GET, &path, None).await?;
    found["user_id"].as_str().and_then(|id| id.parse().ok()).context("the answer names nobody")
}

impl ListArguments {
    fn query(&self) -> Query {
        let mut query = Query::default();
        query.add("status", self.status.as_deref());
        query.add("type", self.process.as_deref());
        query.add("open", self.open.then_some("true"));
        query.add("older_than_s", self.older_than_s.map(|seconds| seconds.to_string()).as_deref());
        query
    }
}
