//! Clients of the real program that fight over a few posts and follows, while it is killed without warning: each answer
//! must be that of a system that does one thing at a time.
//!
//! Judged are the answers to all writes (201, 200, 204, 403, 404; with their reason), and reads of one's own likes: what
//! a session reads was so at some moment after its last acknowledged like, or end of one, took effect. More is not
//! promised to readers: what others write arrives later, so those reads are not judged. Whoever gets no answer when
//! the program dies either leaves, and what they asked may have taken effect or not, or asks again under the same
//! `Idempotency-Key` until there is an answer: one call, which ends then. A few ask again what was answered already.
//! What posts and comments say is not judged, nor are lists, feeds and counts.

mod clients;
mod scene;

use anyhow::{Result, ensure};
use clients::Client;
use http::{Method, StatusCode};
use scene::Scene;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tidings_tests::child::{HttpClient, Server};
use tidings_tests::linearizability::Id;
use tidings_tests::linearizability::ledger::Report;
use tidings_tests::settings;
use tidings_tests::simulation::Dice;
use tokio::task::JoinSet;

/// The kills of a short run, one a round; `TIDINGS_ROUNDS` asks for more.
const KILLS: usize = 3;
const PEOPLE: usize = 4;
const SESSIONS: usize = 3;
/// Calls in a round, all clients together.
const CALLS: usize = 7_500;
const PASSWORD: &str = "correct horse battery";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_true_whenever_the_program_is_killed() -> Result<()> {
    let kills = usize::try_from(settings::number("TIDINGS_ROUNDS", KILLS as u64))?;
    let directory = tempfile::tempdir()?;
    let mut server = Server::start(&directory.path().join("data")).await?;
    let (begun, mut report, mut asked_again) = (Instant::now(), Report::default(), 0);
    for number in 0..kills {
        let (judged, again) = round(&mut server, number).await?;
        report += judged;
        asked_again += again;
    }
    println!("{kills} kills in {:.0?}, {asked_again} calls asked again after one: {report}", begun.elapsed());
    assert!(report.too_large.is_empty(), "too large to be judged:\n{}", report.too_large.join("\n"));
    assert!(report.violations.is_empty(), "{}", report.violations.join("\n\n"));
    assert!(report.operations >= kills * CALLS * 9 / 10, "few calls were answered");
    assert!(report.unknown > 0 && asked_again > 0, "no kill fell among the calls");
    Ok(())
}

/// New people, all at once, and one kill; returns also how many calls were asked again after it.
async fn round(server: &mut Server, number: usize) -> Result<(Report, usize)> {
    let dice = Dice::new(u64::try_from(number)?);
    let http = HttpClient::new(server.url());
    let mut people = Vec::new();
    for person in 0..PEOPLE {
        people.push(sign_up(&http, number, person).await?);
    }
    let ids = people.iter().map(|(id, _)| *id).collect();
    let scene = Arc::new(Scene::new(number, ids, CALLS));
    let mut clients = JoinSet::new();
    for (person, (id, tokens)) in people.into_iter().enumerate() {
        for (session, token) in tokens.into_iter().enumerate() {
            // Each with connections of its own.
            let http = HttpClient::new(server.url());
            let name = format!("person {person}.{session}");
            let client = Client { http, id, token, name, dice: dice.clone(), scene: Arc::clone(&scene) };
            clients.spawn(client.live());
        }
    }
    let kill_after = CALLS / 5 + dice.below(CALLS * 3 / 5);
    scene.answered(kill_after).await;
    server.kill_and_restart().await?;
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(scene.judge())
}

/// Somebody new, and the tokens of their sessions.
async fn sign_up(http: &HttpClient, round: usize, person: usize) -> Result<(Id, Vec<String>)> {
    let address = format!("person{person}.{round}@example.com");
    let body = json!({ "email": address, "password": PASSWORD, "username": format!("person_{round}_{person}") });
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
    Ok((clients::id(&own["id"])?, tokens))
}
