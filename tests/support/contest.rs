//! Clients of the real program that fight over a few posts and follows, whatever becomes of it meanwhile, and the judge
//! of what they were told: each answer must be that of a system that does one thing at a time.
//!
//! Judged are the answers to all writes (201, 200, 204, 403, 404; with their reason), and reads of one's own likes: what
//! a session reads was so at some moment after its last acknowledged like, or end of one, took effect. More is not
//! promised to readers: what others write arrives later, so those reads are not judged. Whoever gets no answer
//! either leaves, and what they asked may have taken effect or not, or asks again under the same `Idempotency-Key` until
//! there is an answer: one call, which ends then. A few ask again what was answered already. What posts and comments say
//! is not judged, nor are lists, feeds and counts.

mod client;
mod scene;

use crate::child::HttpClient;
use crate::linearizability::Id;
use crate::linearizability::ledger::Report;
use crate::simulation::Dice;
use anyhow::{Result, ensure};
use client::Client;
use http::{Method, StatusCode};
use scene::Scene;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const PEOPLE: usize = 4;
const SESSIONS: usize = 3;
const PASSWORD: &str = "correct horse battery";

/// Clients who fight.
pub struct Contest {
    scene: Arc<Scene>,
    clients: JoinSet<Result<()>>,
}

impl Contest {
    /// New people, whose sessions ask for so many things at most, all together, each with connections of its own and a
    /// pause of `pace` before each. The name is theirs alone.
    pub async fn begin(http: &HttpClient, name: &str, calls_max: usize, pace: Duration) -> Result<Self> {
        let dice = Dice::new(name.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte)));
        let mut people = Vec::new();
        for person in 0..PEOPLE {
            people.push(sign_up(http, &format!("{name}_{person}")).await?);
        }
        let ids = people.iter().map(|(id, _)| *id).collect();
        let scene = Arc::new(Scene::new(name.to_owned(), ids, calls_max));
        let mut clients = JoinSet::new();
        for (person, (id, tokens)) in people.into_iter().enumerate() {
            for (session, token) in tokens.into_iter().enumerate() {
                let (http, scene) = (http.with_own_connections(person + session), Arc::clone(&scene));
                let name = format!("person {person}.{session}");
                clients.spawn(Client { http, id, token, name, dice: dice.clone(), scene, pace }.live());
            }
        }
        Ok(Self { scene, clients })
    }

    /// Waits until so many calls were answered, all in all.
    pub async fn answered(&self, calls: usize) {
        self.scene.answered(calls).await;
    }

    /// How many calls were answered by now.
    pub fn answers(&self) -> usize {
        self.scene.answers()
    }

    /// Nobody asks for anything new.
    pub fn stop(&self) {
        self.scene.stop();
    }

    /// Waits for the last answers and judges all of them; returns also how many calls were asked again after they had
    /// got no answer.
    pub async fn finish(mut self) -> Result<(Report, usize)> {
        while let Some(client) = self.clients.join_next().await {
            client??;
        }
        Ok(self.scene.judge())
    }
}

/// Somebody new, and the tokens of their sessions.
async fn sign_up(http: &HttpClient, name: &str) -> Result<(Id, Vec<String>)> {
    let address = format!("{name}@example.com");
    let body = json!({ "email": address, "password": PASSWORD, "username": name });
    let (status, own) = http.until_answered(Method::POST, "/users/auth/register", Some(&body), &[]).await?;
    ensure!(status == StatusCode::CREATED, "{status} {own}");
    let token = |session: &Value| session["access_token"].as_str().map(str::to_owned).unwrap_or_default();
    let mut tokens = vec![token(&own)];
    let login = json!({ "email": address, "password": PASSWORD });
    while tokens.len() < SESSIONS {
        let (status, session) = http.until_answered(Method::POST, "/users/auth/login", Some(&login), &[]).await?;
        ensure!(status == StatusCode::OK, "{status} {session}");
        tokens.push(token(&session));
    }
    Ok((client::id(&own["id"])?, tokens))
}
