//! `tidings sagas ...`, `tidings parked ...` and `tidings users ...`: what operators do, over the API of a server that runs.

mod print;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tidings_gateway::AdminToken;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use uuid::Uuid;

/// How long the server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Which server, and what it takes to operate it.
#[derive(Args)]
pub(crate) struct Connection {
    /// The server's address
    #[arg(long, env = "TIDINGS_SERVER", default_value = "http://127.0.0.1:8080", global = true)]
    server: String,

    /// The server's data directory, where its admin token is
    #[arg(long, env = "TIDINGS_DATA", default_value = "./data", global = true)]
    data: PathBuf,

    /// The file of the admin token [default: admin.token in the data directory]
    #[arg(long, env = "TIDINGS_ADMIN_TOKEN_FILE", global = true)]
    admin_token_file: Option<PathBuf>,

    /// Print what the server answers, as JSON
    #[arg(long, global = true)]
    json: bool,
}

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
    /// Goes on without the commit of a key that failed
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
    match command {
        SagasCommand::List(arguments) => {
            let answers = connection.pages(&arguments.path())?;
            connection.print(&Value::Array(answers), |answers| print::list(answers.as_array()))
        }
        SagasCommand::Show { saga } => {
            let answer = connection.ask(Method::GET, &format!("/admin/sagas/{saga}"), None)?;
            connection.print(&answer, print::saga)
        }
        SagasCommand::Retry(order) => connection.order("retry", &order),
        SagasCommand::Compensate(order) => connection.order("compensate", &order),
    }
}

pub(crate) fn parked(connection: &Connection, command: ParkedCommand) -> Result<()> {
    let (path, body) = match command {
        ParkedCommand::List => {
            let answer = connection.ask(Method::GET, "/admin/parked", None)?;
            return connection.print(&answer, print::parked);
        }
        ParkedCommand::Retry { stopped: Stopped { model, key, reason } } => {
            ("/admin/parked/retry", json!({ "model": model, "key": key, "reason": reason }))
        }
        ParkedCommand::Discard { stopped: Stopped { model, key, reason }, position } => {
            let body = json!({ "model": model, "key": key, "position": position, "reason": reason });
            ("/admin/parked/discard", body)
        }
    };
    let answer = connection.ask(Method::POST, path, Some(&body))?;
    connection.print(&answer, print::parked)
}

pub(crate) fn users(connection: &Connection, command: UsersCommand) -> Result<()> {
    let UsersCommand::Role { name, role, reason } = command;
    let user = match name.parse::<Uuid>() {
        Ok(user) => user.to_string(),
        Err(_) => {
            let found = connection.ask(Method::GET, &format!("/admin/users?username={name}"), None)?;
            found["user_id"].as_str().context("the answer names nobody")?.to_owned()
        }
    };
    let role = role.to_possible_value().context("every role has a name")?;
    let body = json!({ "role": role.get_name(), "reason": reason });
    let answer = connection.ask(Method::PUT, &format!("/admin/users/{user}/role"), Some(&body))?;
    connection
        .print(&answer, |answer| format!("{} is {}\n", print::text(&answer["user_id"]), print::text(&answer["role"])))
}

impl ListArguments {
    fn path(&self) -> String {
        let mut path = "/admin/sagas?limit=100".to_owned();
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={value}"));
            }
        };
        add("status", self.status.clone());
        add("type", self.process.clone());
        add("open", self.open.then(|| "true".to_owned()));
        add("older_than_s", self.older_than_s.map(|seconds| seconds.to_string()));
        path
    }
}

impl Connection {
    fn order(&self, order: &str, Order { saga, reason }: &Order) -> Result<()> {
        let body = json!({ "reason": reason });
        let answer = self.ask(Method::POST, &format!("/admin/sagas/{saga}/{order}"), Some(&body))?;
        self.print(&answer, print::saga)
    }

    /// The sagas of all pages of a list.
    fn pages(&self, path: &str) -> Result<Vec<Value>> {
        let mut answer = self.ask(Method::GET, path, None)?;
        let mut all = Vec::new();
        loop {
            all.extend(answer["sagas"].as_array_mut().into_iter().flat_map(std::mem::take));
            let Some(cursor) = answer["next_cursor"].as_str() else { return Ok(all) };
            answer = self.ask(Method::GET, &format!("{path}&cursor={cursor}"), None)?;
        }
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let file = self.admin_token_file.clone().unwrap_or_else(|| AdminToken::path(&self.data));
        let token = AdminToken::read(&file)?;
        let url = format!("{}{path}", self.server.trim_end_matches('/'));
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", token.text()))
            .header("content-type", "application/json")
            .body(Full::<bytes::Bytes>::from(body.map(Value::to_string).unwrap_or_default()))
            .with_context(|| format!("{url} is no address"))?;
        let client = Client::builder(TokioExecutor::new()).build::<_, Full<bytes::Bytes>>(HttpConnector::new());
        let exchange = async {
            let answer = client.request(request).await?;
            let status = answer.status();
            anyhow::Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        let runtime = Runtime::new().context("starting threads")?;
        let answered = runtime.block_on(async { timeout(ANSWER_MAX, exchange).await });
        let answered = answered.with_context(|| format!("{} does not answer", self.server))?;
        let (status, bytes) = answered.with_context(|| format!("no server answers at {}", self.server))?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() {
            bail!("{}: {}", status.as_u16(), answer["message"].as_str().unwrap_or("the answer says no more"));
        }
        Ok(answer)
    }

    fn print(&self, answer: &Value, shown: impl FnOnce(&Value) -> String) -> Result<()> {
        use std::io::Write;
        let text = if self.json { format!("{answer:#}\n") } else { shown(answer) };
        std::io::stdout().write_all(text.as_bytes()).context("writing")
    }
}
