//! A data directory with something of everything that an API can be asked about, also what only goes wrong: a deletion that
//! waits for a person to look, and a commit that a read model cannot apply.

use crate::offline;
use crate::server::{PASSWORD, Person, TestServer};
use anyhow::{Context, Result, ensure};
use commands::{LikeCommand, PostCommand};
use events::{CipherKey, Content, Key, KeyId, PostId, Sealed, UserId};
use gateway::Config;
use http::StatusCode;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use uuid::Uuid;

const POSTS_EACH: usize = 5;
/// Posts of the reader's that get edited, and others that get deleted.
const EDITED: usize = 5;
const DELETED: usize = 20;
/// People whom the reader follows and who do nothing.
const CROWD: usize = 60;
/// Of the crowd, those who get blocked and unblocked; every second one is blocked already. The others stay to be read.
const BLOCKED: usize = 20;
/// Keeps the deletion waiting; what it was edited to cannot be read either.
const LIKED: PostId = PostId(Uuid::from_u128(0x57_0C));
/// Nobody waits for it.
const FORLORN: PostId = PostId(Uuid::from_u128(0x57_0D));

/// A post that no read model can open, since it is sealed with what is not its author's key, and somebody's like of it.
pub async fn unreadable_post(data: &Path, post: PostId, author: UserId, liker: UserId) -> Result<()> {
    let content = unreadable(author)?;
    let publish = PostCommand::Publish { post, author, content, hashtags: None, mentions: None };
    let like = LikeCommand::Add { post, user: liker };
    offline::submit(data, vec![(Key::Post(post), publish.into()), (Key::Post(post), like.into())]).await
}

/// As a list of TOML has them.
fn listed(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ")
}

fn unreadable(author: UserId) -> Result<Sealed<Content>> {
    let wrong = CipherKey::new(KeyId::from(author), &[9; 32]);
    Ok(Sealed::seal(&Content::parse("unreadable")?, &wrong))
}

/// What a client needs to know of it to ask about it.
pub struct World {
    /// Where the data is, below it.
    pub directory: TempDir,
    /// Who may be signed in.
    pub reader: Person,
    /// The names by which the environment knows the rest.
    pub names: Value,
}

impl World {
    /// Made in a new directory below this one.
    pub async fn make(below: &Path) -> Result<Self> {
        let server = TestServer::over(tempfile::tempdir_in(below)?).await?;
        // Whom the document gives as an example, so that its examples can be sent as they are.
        let ada = server.register("ada").await?;
        let (reader, gone) = (server.register("reader").await?, server.register("gone").await?);
        for (follower, followed) in [(&reader, &ada), (&ada, &reader)] {
            let followed = server.post(format!("/users/{}/follow", followed.id)).by(follower).send().await?;
            ensure!(followed.status == StatusCode::CREATED, "{}", followed.body);
        }
        let mut users = vec![ada.id.clone()];
        for n in 0..CROWD {
            let other = server.register(&format!("one_of_many_{n}")).await?;
            let followed = server.post(format!("/users/{}/follow", other.id)).by(&reader).send().await?;
            ensure!(followed.status == StatusCode::CREATED, "{}", followed.body);
            users.push(other.id);
        }
        let blocked = users.split_off(users.len() - BLOCKED);
        for other in blocked.iter().step_by(2) {
            let severed = server.post(format!("/users/{other}/block")).by(&reader).send().await?;
            ensure!(severed.status == StatusCode::CREATED, "{}", severed.body);
        }
        let mut posts = Vec::new();
        for author in [&ada, &reader].repeat(POSTS_EACH) {
            let post = server.publish(author, "a post").await?;
            let comment = server.post(format!("/posts/{post}/comments")).by(&reader).json(&json!({ "text": "hello" }));
            let like = server.post(format!("/posts/{post}/likes")).by(&reader);
            for made in [comment.send().await?, like.send().await?] {
                ensure!(made.status == StatusCode::CREATED, "{}", made.body);
            }
            posts.push(post);
        }
        let mut own = Vec::new();
        for _ in 0..EDITED + DELETED {
            own.push(server.publish(&reader, "a post").await?);
        }
        let (edited, deleted) = own.split_at(EDITED);
        let login = json!({ "email": reader.email, "password": PASSWORD });
        let refresh = server.post("/users/auth/login").json(&login).send().await?.text("refresh_token");
        server.settle().await?;
        let directory = server.stop().await?;
        let data = directory.path().join("data");
        let (author, liker) = (ada.id.parse()?, gone.id.parse()?);
        unreadable_post(&data, LIKED, author, liker).await?;
        let content = unreadable(author)?;
        let edit =
            PostCommand::Edit { post: LIKED, by: author, if_version: None, content, hashtags: None, mentions: None };
        offline::submit(&data, vec![(Key::Post(LIKED), edit.into())]).await?;
        unreadable_post(&data, FORLORN, author, author).await?;
        let quick = |config: &mut Config| (config.write_deadline_ms, config.request_timeout_ms) = (500, 1_000);
        let server = TestServer::over_with(directory, quick).await?;
        server.caught_up().await?;
        let deletion = server.delete("/users/me").by(&gone).send().await?;
        let ticket = deletion.header("location").and_then(|at| at.rsplit('/').next()).context("no ticket")?;
        let token = server.admin_token()?;
        let sagas = server.get("/admin/sagas?type=USER_DELETION").token(&token).send().await?.body;
        let parked = server.get("/admin/parked").token(&token).send().await?.body;
        let key = format!("post:{}", FORLORN.0);
        let parked = parked["parked"].as_array().and_then(|all| all.iter().find(|it| it["key"] == key.as_str()));
        let names = json!({
            "TIDINGS_TICKET": ticket,
            "TIDINGS_SAGA": sagas["sagas"][0]["id"],
            "TIDINGS_USERS": listed(&users),
            "TIDINGS_BLOCKED": listed(&blocked),
            "TIDINGS_POSTS": listed(&posts),
            "TIDINGS_EDITED": listed(edited),
            "TIDINGS_DELETED": listed(deleted),
            "TIDINGS_PARKED_KEY": key,
            "TIDINGS_PARKED_OTHER": format!("post:{}", LIKED.0),
            "TIDINGS_PARKED_AT": parked.context("nothing is parked")?["position"],
            "TIDINGS_ADMIN_TOKEN": token,
            "TIDINGS_READER": reader.email,
            "TIDINGS_REFRESH": refresh,
        });
        Ok(Self { directory: server.stop().await?, reader, names })
    }
}
