//! Clients that ask for one thing after another, and note what they asked and were told.

use super::scene::{Comment, POSTS, Scene};
use crate::child::HttpClient;
use crate::linearizability::{Answer, Call, Id, Why, follow, post};
use crate::simulation::Dice;
use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a client waits for the program to be back.
const BACK_MAX: Duration = Duration::from_secs(60);
/// One in so many answered calls is asked again.
const AGAIN_ONE_IN: usize = 25;
/// One in so many likes is read back.
const READ_ONE_IN: usize = 3;

/// One session of one person.
pub(super) struct Client {
    pub(super) http: HttpClient,
    pub(super) id: Id,
    pub(super) token: String,
    pub(super) name: String,
    pub(super) dice: Dice,
    pub(super) scene: Arc<Scene>,
    pub(super) pace: Duration,
}

/// What a client wants.
#[derive(Debug)]
enum Wish {
    /// Of a post; and the program's name of the comment, where it is about one that is there.
    Post(Id, post::Op, Option<Id>),
    /// Of a follow.
    Follow(Id, follow::Op),
}

/// A call and what the program replied, if anything.
struct Asked {
    call: Call<()>,
    reply: Option<(StatusCode, Value)>,
    /// It may have been carried out before it was sent for the last time.
    resent: bool,
}

impl Client {
    /// Asks until the round has had its calls.
    pub(super) async fn live(self) -> Result<()> {
        while let Some(number) = self.scene.next() {
            if !self.pace.is_zero() {
                tokio::time::sleep(self.pace).await;
            }
            let wish = self.wish().await?;
            let asked = self.ask(number, &wish).await?;
            let call = self.note(&wish, asked)?;
            if self.dice.once_in(AGAIN_ONE_IN) {
                let again = Asked { resent: true, ..self.ask(number, &wish).await? };
                self.note(&wish, again)?;
            } else if self.dice.once_in(READ_ONE_IN) {
                self.read_back(&wish, &call).await?;
            }
        }
        Ok(())
    }

    /// Something about one of the posts, or one of the people.
    async fn wish(&self) -> Result<Wish> {
        let (post, comment) = self.hot().await?;
        let by = self.id;
        Ok(match self.dice.below(100) {
            0..28 => Wish::Post(post, post::Op::Like(by), None),
            28..54 => Wish::Post(post, post::Op::Unlike(by), None),
            54..64 => Wish::Post(post, post::Op::Comment { comment: Id(self.dice.uuid()), by }, None),
            64..74 => match comment {
                Some(Comment { ours, theirs }) => {
                    Wish::Post(post, post::Op::Uncomment { comment: ours, by }, Some(theirs))
                }
                None => Wish::Post(post, post::Op::Edit(by), None),
            },
            74..82 => Wish::Post(post, post::Op::Edit(by), None),
            82..84 => Wish::Post(post, post::Op::Delete(by), None),
            84..92 => Wish::Follow(self.somebody(), follow::Op::Start),
            _ => Wish::Follow(self.somebody(), follow::Op::End),
        })
    }

    fn somebody(&self) -> Id {
        let others: Vec<Id> = self.scene.people().filter(|person| *person != self.id).collect();
        *self.dice.one_of(&others)
    }

    /// A post, and a comment under it if it has one. Publishes another one where a post has had its calls.
    async fn hot(&self) -> Result<(Id, Option<Comment>)> {
        let place = self.dice.below(POSTS);
        if let Some(hot) = self.scene.hot(place, &self.dice) {
            return Ok(hot);
        }
        let post = self.publish().await?;
        self.scene.heat(place, post);
        Ok((post, None))
    }

    /// Asks until the post is there.
    async fn publish(&self) -> Result<Id> {
        let (command, begun) = (Id(self.dice.uuid()), self.scene.now());
        let key = format!("post-{}", command.0);
        let headers = [("authorization", &*self.bearer()), ("idempotency-key", &*key)];
        let body = json!({ "content": "something to fight over" });
        let (status, body) = self.http.until_answered(Method::POST, "/posts", Some(&body), &headers).await?;
        ensure!(status == StatusCode::CREATED, "{status} {body}");
        let post = id(&body["id"])?;
        let call = Call { ended: Some(self.scene.now()), ..self.call(command, begun) };
        let asked = Asked { call, reply: Some((status, body)), resent: true };
        self.note(&Wish::Post(post, post::Op::Publish(self.id), None), asked)?;
        Ok(post)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn call(&self, command: Id, begun: u64) -> Call<()> {
        Call {
            client: self.name.clone(),
            op: (),
            id: command,
            print: 0,
            begun,
            ended: None,
            answer: Answer::Unknown,
            after: None,
        }
    }

    /// Asks; where there is no answer, one in two asks again until there is one. A second time with the same number it
    /// is the same command.
    async fn ask(&self, number: usize, wish: &Wish) -> Result<Asked> {
        let (method, path, body) = request(wish);
        let key = self.scene.key(number);
        let headers = [("authorization", &*self.bearer()), ("idempotency-key", &*key)];
        let call = self.call(Id(Uuid::from_u128(number as u128 + 1)), self.scene.now());
        let reply = self.http.send(method.clone(), &path, body.as_ref(), &headers).await;
        let ended = Some(self.scene.now());
        match reply {
            Ok((status, body))
                if ![StatusCode::ACCEPTED, StatusCode::SERVICE_UNAVAILABLE].contains(&status)
                    && body["error"] != "InFlight" =>
            {
                return Ok(Asked { call: Call { ended, ..call }, reply: Some((status, body)), resent: false });
            }
            _ => self.back().await?,
        }
        if self.dice.once_in(2) {
            return Ok(Asked { call, reply: None, resent: false });
        }
        self.scene.asks_again();
        let reply = self.http.until_answered(method, &path, body.as_ref(), &headers).await?;
        Ok(Asked { call: Call { ended: Some(self.scene.now()), ..call }, reply: Some(reply), resent: true })
    }

    /// After an acknowledged like, or the end of one: what the same session reads then. It may be what was so at any
    /// moment since that took effect. Whoever cannot be shown that much is told so, and the read is void.
    async fn read_back(&self, wish: &Wish, write: &Call<()>) -> Result<()> {
        let Wish::Post(post, post::Op::Like(_) | post::Op::Unlike(_), _) = wish else { return Ok(()) };
        if !matches!(write.answer, Answer::Done | Answer::Unchanged) {
            return Ok(());
        }
        let headers = [("authorization", &*self.bearer()), ("prefer", "consistency=strict")];
        let reply = self.http.send(Method::GET, &format!("/posts/{}", post.0), None, &headers).await;
        let ended = Some(self.scene.now());
        let answer = match reply {
            Ok((StatusCode::OK, body)) => {
                Answer::Read(body["liked_by_me"].as_bool().with_context(|| body.to_string())?)
            }
            Ok((StatusCode::NOT_FOUND, _)) => Answer::Refused(Why::NotFound),
            Ok((StatusCode::SERVICE_UNAVAILABLE, _)) | Err(_) => return self.back().await,
            Ok((status, body)) => bail!("a read was answered {status} {body}"),
        };
        let after = Some(write.id);
        let call = Call { ended, answer, after, ..self.call(Id(self.dice.uuid()), write.begun + 1) };
        self.scene.note_post(*post, call.of(post::Op::IsLiked(self.id)));
        Ok(())
    }

    /// Waits until the program is back.
    async fn back(&self) -> Result<()> {
        let begun = Instant::now();
        while !matches!(self.http.send(Method::GET, "/readyz", None, &[]).await, Ok((StatusCode::OK, _))) {
            ensure!(begun.elapsed() < BACK_MAX, "the program is not back within {BACK_MAX:?}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Ok(())
    }

    /// Notes the call; returns it with its answer.
    fn note(&self, wish: &Wish, Asked { call, reply, resent }: Asked) -> Result<Call<()>> {
        let answer = match &reply {
            None => Answer::Unknown,
            // A node whose owner falls silent sends it again itself.
            Some((status, body)) => told(wish, *status, resent || self.http.has_several_nodes())
                .with_context(|| format!("{wish:?}: {body}"))?,
        };
        let call = Call { answer, ..call };
        match wish {
            Wish::Post(post, op, _) => {
                if let (post::Op::Comment { comment, .. }, Some((StatusCode::CREATED, body))) = (op, &reply) {
                    self.scene.commented(*post, Comment { ours: *comment, theirs: id(&body["id"])? });
                }
                self.scene.note_post(*post, call.of(op.clone()));
            }
            Wish::Follow(whom, op) => self.scene.note_follow((self.id, *whom), call.of(op.clone())),
        }
        Ok(call)
    }
}

/// Method, path and body.
fn request(wish: &Wish) -> (Method, String, Option<Value>) {
    let at = |post: &Id, rest: &str| format!("/posts/{}{rest}", post.0);
    match wish {
        Wish::Post(post, op, theirs) => match op {
            post::Op::Publish(_) => (Method::POST, "/posts".to_owned(), Some(json!({ "content": "new" }))),
            post::Op::Edit(_) => (Method::PUT, at(post, ""), Some(json!({ "content": "edited" }))),
            post::Op::Delete(_) => (Method::DELETE, at(post, ""), None),
            post::Op::Like(_) => (Method::POST, at(post, "/likes"), None),
            post::Op::Unlike(_) => (Method::DELETE, at(post, "/likes"), None),
            post::Op::IsLiked(_) => (Method::GET, at(post, ""), None),
            post::Op::Comment { .. } => (Method::POST, at(post, "/comments"), Some(json!({ "text": "no" }))),
            post::Op::Uncomment { comment, .. } => {
                let theirs = theirs.unwrap_or(*comment);
                (Method::DELETE, at(post, &format!("/comments/{}", theirs.0)), None)
            }
        },
        Wish::Follow(whom, op) => {
            let method = if matches!(op, follow::Op::End) { Method::DELETE } else { Method::POST };
            (method, format!("/users/{}/follow", whom.0), None)
        }
    }
}

/// What a status means as an answer. A call that may have been carried out earlier than it was sent for the last time
/// shows what is there now: what it made may be gone.
fn told(wish: &Wish, status: StatusCode, resent: bool) -> Result<Answer> {
    let edits = matches!(wish, Wish::Post(_, post::Op::Edit(_), _));
    let makes = edits || matches!(wish, Wish::Post(_, post::Op::Like(_) | post::Op::Comment { .. }, _));
    let makes = makes || matches!(wish, Wish::Follow(_, follow::Op::Start));
    Ok(match status {
        StatusCode::CREATED | StatusCode::NO_CONTENT => Answer::Done,
        StatusCode::OK if edits => Answer::Done,
        StatusCode::OK => Answer::Unchanged,
        StatusCode::FORBIDDEN => Answer::Refused(Why::Forbidden),
        StatusCode::NOT_FOUND if makes && resent => Answer::Gone,
        StatusCode::NOT_FOUND => Answer::Refused(Why::NotFound),
        other => bail!("answered {other}"),
    })
}

/// An id in an answer.
pub(super) fn id(value: &Value) -> Result<Id> {
    let text = value.as_str().context("an id is a string")?;
    Ok(Id(Uuid::parse_str(text)?))
}
