//! The requests of a script: put together from pieces that are made before the load begins.

use super::connection::Connection;
use super::empty::Canned;
use crate::closed_loop::Client;
use crate::people::{PASSWORD, People, email};
use crate::script::{Act, Script, content, remark};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::mem::discriminant;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Connections on which people sign in; fewer than the server lets wait for a hash.
const SIGNING_IN: usize = 64;
/// How many different texts there are.
const TEXTS: usize = 310;
/// Acts among which each kind of the mix must come up.
const SAMPLED_MAX: usize = 200;

/// See the module.
pub(crate) struct Requests {
    /// The end of the request line and the headers that every request has, by user.
    heads: Vec<Box<[u8]>>,
    users: Vec<String>,
    posts: Vec<String>,
    /// The rest of the head, and the body.
    contents: Vec<Box<[u8]>>,
    remarks: Vec<Box<[u8]>>,
}

impl Requests {
    /// Signs everybody in and has each session used once, so that the server knows the tokens as it would in the midst
    /// of a day.
    pub(crate) async fn sign_in(address: SocketAddr, people: &People) -> Result<Self> {
        let users = people.users().map(|user| user.to_string()).collect::<Vec<_>>();
        let posts = people.posts().iter().map(ToString::to_string).collect::<Vec<_>>();
        let first_post = posts.first().context("there are no posts")?;
        let mut signing_in = JoinSet::new();
        for first in 0..SIGNING_IN.min(users.len()) {
            let (of, read) = (users.len(), format!("GET /posts/{first_post}"));
            signing_in.spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut heads = Vec::new();
                for n in (first..of).step_by(SIGNING_IN) {
                    let head = sign_in(&mut connection, address, n).await.with_context(|| email(n))?;
                    let request = [read.as_bytes(), &head, b"\r\n"].concat();
                    connection.exchange(&request).await?.expect(200)?;
                    heads.push((n, head));
                }
                anyhow::Ok(heads)
            });
        }
        let mut heads = Vec::new();
        while let Some(signed_in) = signing_in.join_next().await {
            heads.extend(signed_in??);
        }
        heads.sort_unstable_by_key(|(n, _)| *n);
        let heads = heads.into_iter().map(|(_, head)| head).collect();
        let contents = (0..TEXTS).map(|n| with_body(&json!({ "content": content(n) }))).collect();
        let remarks = (0..TEXTS).map(|n| with_body(&json!({ "text": remark(n) }))).collect();
        Ok(Self { heads, users, posts, contents, remarks })
    }

    /// Carries out acts of the mix and a read, and returns an answer to each kind.
    pub(crate) async fn sample(&self, address: SocketAddr, script: &Script) -> Result<Vec<Canned>> {
        let mut connection = Connection::open(address).await?;
        let mut seen = Vec::new();
        let mut answers = Vec::new();
        let acts = (0..SAMPLED_MAX).map(|_| script.next()).chain([Act::Read { user: 0, post: 0 }]);
        for act in acts {
            if seen.contains(&discriminant(&act)) {
                continue;
            }
            seen.push(discriminant(&act));
            let mut request = Vec::new();
            self.write(act, &mut request);
            let answer = connection.exchange(&request).await?;
            answer.expect(act.status())?;
            answers.push(Canned::of(act.route(), &answer));
        }
        Ok(answers)
    }

    /// So many connections on which a script is carried out.
    pub(crate) async fn clients(
        self: &Arc<Self>,
        address: SocketAddr,
        script: &Arc<Script>,
        clients: usize,
    ) -> Result<Vec<Caller>> {
        let mut callers = Vec::new();
        for _ in 0..clients {
            let connection = Connection::open(address).await?;
            let (requests, script) = (Arc::clone(self), Arc::clone(script));
            callers.push(Caller { connection, requests, script, request: Vec::with_capacity(1_024) });
        }
        Ok(callers)
    }

    fn write(&self, act: Act, request: &mut Vec<u8>) {
        const NO_BODY: &[u8] = b"content-length: 0\r\n\r\n";
        let pieces: [&[u8]; 5] = match act {
            Act::Publish { author } => [b"POST /posts", b"", b"", &self.heads[author], &self.contents[author % TEXTS]],
            Act::Comment { author, post } => {
                let (post, text) = (self.posts[post].as_bytes(), &self.remarks[author % TEXTS]);
                [b"POST /posts/", post, b"/comments", &self.heads[author], text]
            }
            Act::Like { user, post } => {
                [b"POST /posts/", self.posts[post].as_bytes(), b"/likes", &self.heads[user], NO_BODY]
            }
            Act::Follow { follower, followee } => {
                [b"POST /users/", self.users[followee].as_bytes(), b"/follow", &self.heads[follower], NO_BODY]
            }
            Act::Read { user, post } => [b"GET /posts/", self.posts[post].as_bytes(), b"", &self.heads[user], b"\r\n"],
        };
        request.clear();
        pieces.iter().for_each(|piece| request.extend_from_slice(piece));
    }
}

impl Act {
    /// What the answer must have.
    fn status(self) -> u16 {
        if matches!(self, Self::Read { .. }) { 200 } else { 201 }
    }

    /// Method and path, as axum has it.
    fn route(self) -> (&'static str, &'static str) {
        match self {
            Self::Publish { .. } => ("POST", "/posts"),
            Self::Comment { .. } => ("POST", "/posts/{post}/comments"),
            Self::Like { .. } => ("POST", "/posts/{post}/likes"),
            Self::Follow { .. } => ("POST", "/users/{user}/follow"),
            Self::Read { .. } => ("GET", "/posts/{post}"),
        }
    }
}

/// One connection that carries out what the script says next.
pub(crate) struct Caller {
    connection: Connection,
    requests: Arc<Requests>,
    script: Arc<Script>,
    request: Vec<u8>,
}

impl Client for Caller {
    async fn ask(&mut self) -> Result<()> {
        let act = self.script.next();
        self.requests.write(act, &mut self.request);
        self.connection.exchange(&self.request).await?.expect(act.status())
    }
}

/// Signs the `n`th user in; the end of the request line and the headers of their requests.
pub(crate) async fn sign_in(connection: &mut Connection, address: SocketAddr, n: usize) -> Result<Box<[u8]>> {
    let body = with_body(&json!({ "email": email(n), "password": PASSWORD }));
    let request = [format!("POST /users/auth/login HTTP/1.1\r\nhost: {address}\r\n").as_bytes(), &body].concat();
    let answer = connection.exchange(&request).await?;
    answer.expect(200)?;
    let session: Value = serde_json::from_slice(answer.body)?;
    let token = session["access_token"].as_str().context("no token in the answer")?;
    let head = format!(" HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\naccept: application/json\r\n");
    Ok(head.into_bytes().into())
}

/// A new post of theirs.
pub(crate) fn publication(head: &[u8]) -> Vec<u8> {
    [b"POST /posts", head, &with_body(&json!({ "content": content(0) }))].concat()
}

fn with_body(body: &Value) -> Box<[u8]> {
    let body = body.to_string();
    let head = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    (head + &body).into_bytes().into()
}
