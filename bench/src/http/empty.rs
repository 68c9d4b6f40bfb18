//! The server of the baseline: axum with the same routes, whose handlers read the request and answer what they were
//! given at the start.

use super::connection::Answer;
use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use axum::serve::ListenerExt;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::PathBuf;
use tokio::net::TcpListener;

/// Headers that the HTTP library writes itself.
const WRITTEN_ANYWAY: [&str; 2] = ["content-length", "date"];

/// How it is started.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The answers
    answers: PathBuf,
}

/// The answer of one route.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Canned {
    method: String,
    path: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Canned {
    /// An answer that the product gave.
    pub(crate) fn of((method, path): (&str, &str), answer: &Answer<'_>) -> Self {
        let headers = answer.headers().filter(|(name, _)| !WRITTEN_ANYWAY.contains(name));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            status: answer.status,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: String::from_utf8_lossy(answer.body).into_owned(),
        }
    }

    fn response(&self) -> Result<http::response::Builder> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        Ok(response)
    }
}

/// Serves until it is killed; prints its address.
pub(crate) async fn serve(arguments: Arguments) -> Result<()> {
    let answers: Vec<Canned> = serde_json::from_slice(&std::fs::read(arguments.answers)?)?;
    let mut router = Router::new();
    for canned in answers {
        let method = MethodFilter::try_from(canned.method.parse::<http::Method>()?)?;
        let (parts, ()) = canned.response()?.body(())?.into_parts();
        let body = Bytes::from(canned.body);
        let handler = move |_: Bytes| async move { Response::from_parts(parts.clone(), Body::from(body.clone())) };
        router = router.route(&canned.path, on(method, handler));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| {
        // As the product does; a socket that refuses is slower, which shows.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await.context("the empty server has ended")
}
