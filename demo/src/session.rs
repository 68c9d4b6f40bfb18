//! Who is signed in. A call as somebody logs in first where needed, and once more when the access token has expired; a
//! token that is refused before its time is a difference.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::client::{Answer, Call, Client};
use crate::compare::excerpt;
use crate::findings::Findings;
use crate::names::{Names, PASSWORD};

/// How long before its end a token may be refused, for the time that requests take.
const EXPIRY_SLACK: Duration = Duration::from_secs(10);
/// How long the token of a session that was ended on one node may be taken on another, which has to read of it first.
const SESSION_LAG_MAX: Duration = Duration::from_secs(2);
/// How often that is looked at.
const SESSION_LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Sessions {
    pub(crate) client: Client,
    names: Names,
    tokens: Vec<Mutex<Option<Token>>>,
    findings: Arc<Findings>,
}

#[derive(Debug, Clone)]
struct Token {
    access: String,
    taken: Instant,
    lives: Duration,
}

impl Token {
    /// `None` if the answer is not that of a login or registration.
    fn read(body: &Value, taken: Instant) -> Option<Self> {
        let lives = Duration::from_secs(body["expires_in"].as_u64()?);
        Some(Self { access: body["access_token"].as_str()?.to_owned(), taken, lives })
    }

    fn should_live(&self) -> bool {
        self.taken.elapsed() + EXPIRY_SLACK < self.lives
    }
}

impl Sessions {
    pub(crate) fn new(client: Client, people: usize, names: Names, findings: Arc<Findings>) -> Self {
        let tokens = (0..people).map(|_| Mutex::new(None)).collect();
        Self { client, names, tokens, findings }
    }

    /// Nobody's sessions yet, of the same people through another client.
    pub(crate) fn with(&self, client: Client) -> Self {
        Self::new(client, self.tokens.len(), self.names.clone(), Arc::clone(&self.findings))
    }

    /// Reads as this person, or without a token.
    pub(crate) async fn get(&self, reader: Option<usize>, path: impl Into<String>) -> Result<Answer> {
        self.send(reader, &Call::get(path)).await
    }

    pub(crate) async fn send(&self, person: Option<usize>, call: &Call) -> Result<Answer> {
        let Some(person) = person else { return self.client.exchange(call, None).await };
        let token = self.token(person).await?;
        let answer = self.exchange(call, token.as_ref()).await?;
        let Some(token) = token.filter(|_| answer.status == 401) else { return Ok(answer) };
        self.refused(person, &token, call).await;
        let token = self.token(person).await?;
        self.exchange(call, token.as_ref()).await
    }

    /// Registers a person, or repeats that; the session is theirs from then on.
    pub(crate) async fn register(&self, person: usize, call: &Call) -> Result<Answer> {
        let taken = Instant::now();
        let answer = self.client.exchange(call, None).await?;
        if answer.status == 201 {
            self.check_session(person, &answer);
            *self.tokens[person].lock().await = Token::read(&answer.body, taken);
        }
        Ok(answer)
    }

    /// Ends the session, and checks that its token is refused from then on and that of another session is not. The
    /// other one, which is older than the end of the first, is theirs from then on.
    pub(crate) async fn log_out(&self, person: usize, call: &Call) -> Result<Answer> {
        let (token, other) = self.two_sessions(person).await?;
        let answer = self.end(call, token.as_ref()).await?;
        let status = after_the_end(&self.client, token.as_ref(), self.lag_max()).await?;
        self.findings.check(status == 401, || {
            format!("{} has logged out, and the token is answered {status}", self.names.username(person))
        });
        let elsewhere = self.exchange(&Call::get("/users/me"), other.as_ref()).await?;
        self.findings.check(elsewhere.status == 200, || {
            let name = self.names.username(person);
            format!("{name} has logged out, and the token of another session is answered {}", elsewhere.status)
        });
        Ok(answer)
    }

    /// Deletes the account, and checks that no node takes a token or the password of theirs from then on: at once if that
    /// is what was answered, and otherwise as soon as every node has read of it.
    pub(crate) async fn leave(&self, person: usize, call: &Call) -> Result<Answer> {
        let (token, other) = self.two_sessions(person).await?;
        self.forget(person).await;
        let mut answer = self.end(call, token.as_ref()).await?;
        let lag_max = if answer.status == 204 && !answer.inferred { Duration::ZERO } else { self.lag_max() };
        if answer.status == 202 && self.client.has_several_nodes() {
            // It holds, but not every node has said so.
            answer.status = 204;
        }
        if answer.status != 204 {
            return Ok(answer);
        }
        let name = self.names.username(person);
        self.findings.check(answer.inferred || answer.location().is_some(), || {
            format!("{name} has left, and is not told where to ask how far that is")
        });
        for node in self.client.of_each() {
            for (whose, token) in [("the", &token), ("another session's", &other)] {
                let status = after_the_end(&node, token.as_ref(), lag_max).await?;
                self.findings
                    .check(status == 401, || format!("{name} has left, and {whose} token is answered {status}"));
            }
            let status = node.exchange(&self.login(person), None).await?.status;
            self.findings.check(status == 401, || format!("{name} has left, and the login is answered {status}"));
        }
        Ok(answer)
    }

    /// Two sessions of theirs. They go on with the second one.
    async fn two_sessions(&self, person: usize) -> Result<(Option<Token>, Option<Token>)> {
        // An expired token is replaced here, so that what is sent with the first one has a valid one.
        self.get(Some(person), "/users/me").await?;
        let token = self.tokens[person].lock().await.take();
        Ok((token, self.token(person).await?))
    }

    /// How long a node may take a token that another one has ended.
    fn lag_max(&self) -> Duration {
        if self.client.has_several_nodes() { SESSION_LAG_MAX } else { Duration::ZERO }
    }

    /// Sends what ends the session that it comes with.
    async fn end(&self, call: &Call, token: Option<&Token>) -> Result<Answer> {
        let mut answer = self.exchange(call, token).await?;
        if answer.attempts > 1 && answer.status == 401 {
            // The attempt whose answer was lost has ended the session that this one came with.
            (answer.status, answer.body, answer.inferred) = (204, Value::Null, true);
        }
        Ok(answer)
    }

    /// Forgets the session, so that the next call begins with a login.
    pub(crate) async fn forget(&self, person: usize) {
        *self.tokens[person].lock().await = None;
    }

    async fn exchange(&self, call: &Call, token: Option<&Token>) -> Result<Answer> {
        self.client.exchange(call, token.map(|token| token.access.as_str())).await
    }

    /// `None` if the login fails, which is a difference.
    async fn token(&self, person: usize) -> Result<Option<Token>> {
        let mut token = self.tokens[person].lock().await;
        if token.is_none() {
            let taken = Instant::now();
            let answer = self.client.exchange(&self.login(person), None).await?;
            self.findings.check(answer.status == 200, || {
                format!(
                    "login of {}: answered {} {}",
                    self.names.username(person),
                    answer.status,
                    excerpt(&answer.body)
                )
            });
            self.check_session(person, &answer);
            *token = Token::read(&answer.body, taken);
        }
        Ok(token.clone())
    }

    fn login(&self, person: usize) -> Call {
        let body = json!({"email": self.names.email(person), "password": PASSWORD});
        Call::post("/users/auth/login", Some(body))
    }

    async fn refused(&self, person: usize, refused: &Token, call: &Call) {
        self.findings.check(!refused.should_live(), || {
            let (age, lives) = (refused.taken.elapsed().as_secs(), refused.lives.as_secs());
            format!("{call}: 401 with a token that is {age} s old and lives for {lives} s")
        });
        let mut token = self.tokens[person].lock().await;
        if token.as_ref().is_some_and(|token| token.access == refused.access) {
            *token = None;
        }
    }

    fn check_session(&self, person: usize, answer: &Answer) {
        let filled = |field: &str| answer.body[field].as_str().is_some_and(|token| !token.is_empty());
        let holds = answer.body["token_type"] == "Bearer"
            && answer.body["email"] == self.names.email(person)
            && answer.body["expires_in"].as_u64().is_some_and(|seconds| seconds > 0)
            && filled("access_token")
            && filled("refresh_token");
        self.findings.check(holds, || {
            // Never the body itself: it may hold tokens.
            format!("the session of {} is incomplete (answered {})", self.names.username(person), answer.status)
        });
    }
}

/// What is answered to who comes with the token of a session that was ended. What is asked for can be read without one, so
/// that a refusal is about the token.
async fn after_the_end(node: &Client, token: Option<&Token>, lag_max: Duration) -> Result<u16> {
    let call = Call::get("/posts?limit=1");
    let mut since = None;
    loop {
        let status = node.exchange(&call, token.map(|token| token.access.as_str())).await?.status;
        if status == 401 || since.get_or_insert_with(Instant::now).elapsed() >= lag_max {
            return Ok(status);
        }
        sleep(SESSION_LOOK).await;
    }
}
