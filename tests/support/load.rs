//! People who write through the API without pause, each write under an `Idempotency-Key`, asked again until it is
//! answered; and their books of what was acknowledged. Beside them guests come and go.

mod guest;

use crate::child::{Answered, HttpClient};
use crate::simulation::dice::Dice;
use anyhow::{Context, Result, bail, ensure};
use events::Timestamp;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

const PASSWORD: &str = "correct horse battery";
/// How many guests are there at one time.
const GUESTS: usize = 2;
/// How many of the newest posts are liked and commented on.
const POSTS_TALKED_ABOUT: usize = 50;

/// People who write until they are told to finish.
pub struct Load {
    shared: Arc<Shared>,
    writing: JoinSet<Result<Writer>>,
    guests: JoinSet<Result<usize>>,
}

/// What all writers share.
struct Shared {
    people: Vec<String>,
    posts: Mutex<Vec<String>>,
    acknowledged: watch::Sender<usize>,
    /// Becomes true when they are to finish.
    stop: watch::Sender<bool>,
}

/// A write that was acknowledged: `value` is what `key` stands at from then on.
#[derive(Clone, Debug)]
pub struct Write {
    /// What it is about: a post, a comment, who likes what, who follows whom.
    pub key: String,
    /// What must be in the log.
    pub value: String,
    /// How often it was sent before without it being known what came of it.
    pub doubts: u32,
    /// How often the server itself said so.
    pub told_unknown: u32,
    /// When it was sent the last time.
    pub last_sent: Timestamp,
}

/// Somebody who has registered.
#[derive(Clone)]
pub struct Writer {
    client: HttpClient,
    id: String,
    token: String,
    dice: Dice,
    sent: usize,
    likes: BTreeSet<String>,
    follows: BTreeSet<String>,
    /// What was acknowledged, in order.
    pub books: Vec<Write>,
}

impl Load {
    /// Registers so many people, who begin to write.
    pub async fn begin(client: &HttpClient, people: usize, dice: &Dice) -> Result<Self> {
        let mut writers = Vec::new();
        for n in 0..people {
            writers.push(Writer::register(client, &format!("writer_{n}"), dice).await?);
        }
        let shared = Arc::new(Shared {
            people: writers.iter().map(|writer| writer.id.clone()).collect(),
            posts: Mutex::default(),
            acknowledged: watch::Sender::new(0),
            stop: watch::Sender::new(false),
        });
        let mut writing = JoinSet::new();
        for writer in writers {
            writing.spawn(writer.run(Arc::clone(&shared)));
        }
        let mut guests = JoinSet::new();
        for n in 0..GUESTS {
            guests.spawn(guest::come_and_go(client.clone(), format!("guest_{n}"), shared.stop.subscribe()));
        }
        Ok(Self { shared, writing, guests })
    }

    /// Returns when so many more writes are acknowledged. An error if somebody was answered what should not be, or not
    /// at all.
    pub async fn wait_for(&mut self, more: usize) -> Result<()> {
        let mut acknowledged = self.shared.acknowledged.subscribe();
        let enough = *acknowledged.borrow() + more;
        tokio::select! {
            Some(ended) = self.writing.join_next() => {
                ended??;
                bail!("a writer has ended, although nobody told it to")
            }
            Some(ended) = self.guests.join_next() => {
                ended??;
                bail!("guests have ended, although nobody told them to")
            }
            _ = acknowledged.wait_for(|acknowledged| *acknowledged >= enough) => Ok(()),
        }
    }

    /// Lets the writers finish what they have begun; all that was acknowledged.
    pub async fn finish(mut self) -> Result<Vec<Write>> {
        self.shared.stop.send_replace(true);
        let mut books = Vec::new();
        while let Some(writer) = self.writing.join_next().await {
            books.extend(writer??.books);
        }
        let mut guests = 0;
        while let Some(came) = self.guests.join_next().await {
            guests += came??;
        }
        ensure!(guests > 0, "nobody came and went");
        Ok(books)
    }
}

impl Writer {
    /// Registers somebody, asking until there is an answer.
    pub async fn register(client: &HttpClient, name: &str, dice: &Dice) -> Result<Self> {
        let body = json!({ "email": format!("{name}@example.com"), "password": PASSWORD, "username": name });
        let key = format!("register-{name}");
        let headers = [("idempotency-key", key.as_str())];
        let (status, body) = client.until_answered(Method::POST, "/users/auth/register", Some(&body), &headers).await?;
        ensure!(status == StatusCode::CREATED, "{name} was not registered: {body}");
        let field = |name: &str| body[name].as_str().map(str::to_owned).context("a field is missing");
        let (likes, follows) = (BTreeSet::new(), BTreeSet::new());
        let (id, token) = (field("id")?, format!("Bearer {}", field("access_token")?));
        Ok(Self { client: client.clone(), id, token, dice: dice.clone(), sent: 0, likes, follows, books: Vec::new() })
    }

    async fn run(mut self, load: Arc<Shared>) -> Result<Self> {
        while !*load.stop.borrow() {
            self.write(&load).await?;
            load.acknowledged.send_modify(|acknowledged| *acknowledged += 1);
        }
        Ok(self)
    }

    async fn write(&mut self, load: &Shared) -> Result<()> {
        let posts = {
            let posts = load.posts.lock();
            posts[posts.len().saturating_sub(POSTS_TALKED_ABOUT)..].to_vec()
        };
        let others: Vec<_> = load.people.iter().filter(|other| **other != self.id).collect();
        match self.dice.below(10) {
            _ if posts.is_empty() => self.post().await.map(|post| load.posts.lock().push(post)),
            0..3 => self.post().await.map(|post| load.posts.lock().push(post)),
            3..6 => self.comment(self.dice.one_of(&posts).clone()).await,
            6..9 => self.like(self.dice.one_of(&posts).clone()).await,
            _ if others.is_empty() => Ok(()),
            _ => self.follow((*self.dice.one_of(&others)).clone()).await,
        }
    }

    /// Publishes a post; its id.
    pub async fn post(&mut self) -> Result<String> {
        let content = format!("post {} of {}", self.sent, self.id);
        let answered = self.ask(Method::POST, "/posts", Some(json!({ "content": content })), 201).await?;
        let id = answered.body["id"].as_str().context("no id")?.to_owned();
        self.note(format!("post {id}"), format!("{content} by {}", self.id), &answered);
        Ok(id)
    }

    async fn comment(&mut self, post: String) -> Result<()> {
        let text = format!("comment {} of {}", self.sent, self.id);
        let path = format!("/posts/{post}/comments");
        let answered = self.ask(Method::POST, &path, Some(json!({ "text": text })), 201).await?;
        let id = answered.body["id"].as_str().context("no id")?;
        self.note(format!("comment {id}"), format!("{text} by {} under {post}", self.id), &answered);
        Ok(())
    }

    async fn like(&mut self, post: String) -> Result<()> {
        let (path, on) = (format!("/posts/{post}/likes"), self.likes.insert(post.clone()));
        if !on {
            self.likes.remove(&post);
        }
        let answered = self.switch(&path, on).await?;
        self.note(format!("like of {post} by {}", self.id), on.to_string(), &answered);
        Ok(())
    }

    async fn follow(&mut self, whom: String) -> Result<()> {
        let (path, on) = (format!("/users/{whom}/follow"), self.follows.insert(whom.clone()));
        if !on {
            self.follows.remove(&whom);
        }
        let answered = self.switch(&path, on).await?;
        self.note(format!("follow of {whom} by {}", self.id), on.to_string(), &answered);
        Ok(())
    }

    async fn switch(&mut self, path: &str, on: bool) -> Result<Answered> {
        let (method, status) = if on { (Method::POST, 201) } else { (Method::DELETE, 204) };
        self.ask(method, path, None, status).await
    }

    async fn ask(&mut self, method: Method, path: &str, body: Option<Value>, status: u16) -> Result<Answered> {
        let key = format!("write-{}-{}", self.id, self.sent);
        self.sent += 1;
        let headers = [("authorization", self.token.as_str()), ("idempotency-key", key.as_str())];
        let answered = self.client.ask(method.clone(), path, body.as_ref(), &headers).await?;
        ensure!(answered.status == status, "{method} {path}: {} {}", answered.status, answered.body);
        Ok(answered)
    }

    fn note(&mut self, key: String, value: String, answered: &Answered) {
        let Answered { doubts, told_unknown, last_sent, .. } = *answered;
        self.books.push(Write { key, value, doubts: doubts + told_unknown, told_unknown, last_sent });
    }
}
