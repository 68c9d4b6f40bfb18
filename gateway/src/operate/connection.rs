//! The connection to a server that is operated.

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidings_gateway::AdminToken;
use tokio::runtime;
use tokio::time::timeout;

/// How long the server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Items that are asked for at one time.
const PAGE: usize = 100;

/// Which server, and what it takes to operate it.
#[derive(Args)]
pub(crate) struct Connection {
    /// The server's address; tokens travel in the clear, so what is not on this machine is reached through a tunnel
    #[arg(long, env = "TIDINGS_SERVER", default_value = "http://127.0.0.1:8080", global = true)]
    server: String,

    /// The server's data directory, where its admin token is
    #[arg(long, env = "TIDINGS_DATA", default_value = "./data", global = true)]
    data: PathBuf,

    /// The file of the admin token [default: admin.token in the data directory]
    #[arg(long, env = "TIDINGS_ADMIN_TOKEN_FILE", global = true)]
    admin_token_file: Option<PathBuf>,

    /// A file with an operator's access token instead, so that what is ordered stands in the log with their id
    #[arg(long, env = "TIDINGS_TOKEN_FILE", global = true, conflicts_with = "admin_token_file")]
    token_file: Option<PathBuf>,

    /// Print what the server answers, as JSON
    #[arg(long, global = true)]
    json: bool,
}

/// A connection that is open.
pub(crate) struct Asked<'a> {
    connection: &'a Connection,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
    token: String,
}

/// What stands behind the question mark.
#[derive(Default)]
pub(crate) struct Query(String);

impl Connection {
    /// Has something asked.
    pub(crate) fn run(&self, ask: impl AsyncFnOnce(&Asked<'_>) -> Result<()>) -> Result<()> {
        ensure!(
            self.server.starts_with("http://"),
            "{} does not begin with http://: TLS ends in front of a server, and operators come from behind",
            self.server
        );
        let token = match &self.token_file {
            Some(file) => access_token(file)?,
            None => {
                let file = self.admin_token_file.clone().unwrap_or_else(|| AdminToken::path(&self.data));
                AdminToken::read(&file)?.text().to_owned()
            }
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
        runtime.block_on(async {
            let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
            ask(&Asked { connection: self, client, token }).await
        })
    }
}

fn access_token(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let is_one = !text.trim().is_empty() && text.trim().bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(is_one, "{} holds no access token", file.display());
    Ok(text.trim().to_owned())
}

impl Asked<'_> {
    /// The answer to a request, or what the server says is wrong with it.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let server = &self.connection.server;
        let url = format!("{}{path}", server.trim_end_matches('/'));
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Full::from(body.map(Value::to_string).unwrap_or_default()))
            .with_context(|| format!("{url} is no address"))?;
        let exchange = async {
            let answer = self.client.request(request).await?;
            let status = answer.status();
            anyhow::Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        let answered = timeout(ANSWER_MAX, exchange).await.with_context(|| format!("{server} does not answer"))?;
        let (status, bytes) = answered.with_context(|| format!("no server answers at {server}"))?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() {
            bail!("{}: {}", status.as_u16(), answer["message"].as_str().unwrap_or("the answer says no more"));
        }
        Ok(answer)
    }

    /// So many items of a list at most, and whether they are all.
    pub(crate) async fn pages(
        &self,
        path: &str,
        query: &Query,
        name: &str,
        limit: usize,
    ) -> Result<(Vec<Value>, bool)> {
        let (mut items, mut cursor) = (Vec::new(), None);
        loop {
            let page = (limit - items.len()).clamp(1, PAGE);
            let mut asked = Query(query.0.clone());
            asked.add("limit", Some(&page.to_string()));
            asked.add("cursor", cursor.as_deref());
            let mut answer = self.ask(Method::GET, &format!("{path}?{}", asked.0), None).await?;
            items.extend(answer[name].as_array_mut().into_iter().flat_map(std::mem::take));
            cursor = answer["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() || items.len() >= limit {
                return Ok((items, cursor.is_none()));
            }
        }
    }

    /// Writes what was answered to standard output.
    pub(crate) fn print(&self, answer: &Value, shown: impl FnOnce(&Value) -> String) -> Result<()> {
        use std::io::Write;
        let text = if self.connection.json { format!("{answer:#}\n") } else { shown(answer) };
        std::io::stdout().write_all(text.as_bytes()).context("writing")
    }
}

impl Query {
    /// A parameter, if it has a value.
    pub(crate) fn add(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        let separator = if self.0.is_empty() { "" } else { "&" };
        self.0.push_str(&format!("{separator}{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_stays_one_value() {
        let mut query = Query::default();
        query.add("status", Some("A&open=false#x y"));
        query.add("type", None);
        query.add("limit", Some("1"));
        assert_eq!(query.0, "status=A%26open%3Dfalse%23x%20y&limit=1");
    }
}
