//! Fifty people want one name at the same moment, and in every second round the server is killed while they ask.

use anyhow::Result;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tidings_tests::child::{HttpClient, Server};
use tidings_tests::settings;
use tokio::task::JoinSet;

const PEOPLE: usize = 50;
/// The rounds of a short run; `TIDINGS_RACES` asks for more.
const RACES: usize = 6;
const PASSWORD: &str = "correct horse battery";

fn address(race: usize, person: usize) -> String {
    format!("person{person}.{race}@example.com")
}

/// Registers with a key of one's own, asking until there is an answer.
async fn register(client: HttpClient, race: usize, person: usize, name: String) -> Result<(StatusCode, Value)> {
    let body = json!({ "email": address(race, person), "password": PASSWORD, "username": name });
    let key = format!("race-{race}-{person}-{name}");
    client.until_answered(Method::POST, "/users/auth/register", Some(&body), &[("idempotency-key", &key)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_fifty_gets_the_name_and_no_name_is_stuck() -> Result<()> {
    let races = usize::try_from(settings::number("TIDINGS_RACES", RACES as u64))?;
    let directory = tempfile::tempdir()?;
    let mut server = Server::start(&directory.path().join("data")).await?;
    let begun = Instant::now();
    let mut kills = 0;
    for race in 0..races {
        let client = HttpClient::new(server.url());
        let name = format!("wanted_{race}");
        let mut people = JoinSet::new();
        for person in 0..PEOPLE {
            let (client, name) = (client.clone(), name.clone());
            people.spawn(async move { (person, register(client, race, person, name).await) });
        }
        let mut answers = Vec::new();
        if race % 2 == 1 {
            // After the first answers, so that the kill falls among those who still wait.
            for _ in 0..race % 7 + 1 {
                answers.extend(people.join_next().await);
            }
            server.kill_and_restart().await?;
            kills += 1;
        }
        answers.extend(people.join_all().await.into_iter().map(Ok));
        let mut winners = Vec::new();
        for answer in answers {
            let (person, answer) = answer?;
            let (status, body) = answer?;
            match status {
                StatusCode::CREATED => winners.push(person),
                StatusCode::CONFLICT => assert_eq!(body["error"], "Conflict", "{body}"),
                other => panic!("race {race}: person {person} was answered {other}: {body}"),
            }
        }
        assert_eq!(winners.len(), 1, "race {race}: {winners:?} were all told that the name is theirs");
        let loser = (winners[0] + 1) % PEOPLE;
        nothing_is_stuck(&client, race, winners[0], loser).await?;
    }
    println!("{races} races of {PEOPLE} in {:.0?}, {kills} with a kill: one winner each", begun.elapsed());
    Ok(())
}

/// The winner has the name; a loser's address is free and takes another name at once.
async fn nothing_is_stuck(client: &HttpClient, race: usize, winner: usize, loser: usize) -> Result<()> {
    let login = json!({ "email": address(race, winner), "password": PASSWORD });
    let (status, body) = client.until_answered(Method::POST, "/users/auth/login", Some(&login), &[]).await?;
    assert_eq!((status, &body["username"]), (StatusCode::OK, &json!(format!("wanted_{race}"))), "{body}");
    let login = json!({ "email": address(race, loser), "password": PASSWORD });
    let (status, _) = client.until_answered(Method::POST, "/users/auth/login", Some(&login), &[]).await?;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "a loser has an account");
    // A compensation may still be under way; it takes milliseconds, and a stuck claim would never go.
    let begun = Instant::now();
    for attempt in 0.. {
        let (status, body) = register(client.clone(), race, loser, format!("other_{race}_{attempt}")).await?;
        if status == StatusCode::CREATED {
            return Ok(());
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the address of a loser is stuck: {body}");
    }
    Ok(())
}
