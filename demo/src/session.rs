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
        self.check_session(person, &answer);
        *self.tokens[person].lock().await = Token::read(&answer.body, taken);
        Ok(answer)
    }

    /// Ends the session, and checks that its token is refused from then on and that of another session is not. The
    /// other one, which is older than the end of the first, is theirs from then on.
    pub(crate) async fn log_out(&self, person: usize, call: &Call) -> Result<Answer> {
        // An expired token is replaced here, so that the logout itself has a valid one.
        self.get(Some(person), "/users/me").await?;
        let token = self.tokens[person].lock().await.take();
        let other = self.token(person).await?;
        let answer = self.end(call, token.as_ref()).await?;
        let ended = Instant::now();
        let mut after = self.exchange(&Call::get("/users/me"), token.as_ref()).await?;
        while after.status == 200 && self.client.has_several_nodes() && ended.elapsed() < SESSION_LAG_MAX {
            sleep(SESSION_LOOK).await;
            after = self.exchange(&Call::get("/users/me"), token.as_ref()).await?;
        }
        self.findings.check(after.status == 401, || {
            format!("{} has logged out, and the token is answered {}", self.names.username(person), after.status)
        });
        let elsewhere = self.exchange(&Call::get("/users/me"), other.as_ref()).await?;
        self.findings.check(elsewhere.status == 200, || {
            let name = self.names.username(person);
            format!("{name} has logged out, and the token of another session is answered {}", elsewhere.status)
        });
        Ok(answer)
    }

    /// Sends what ends the session that it comes with.
    async fn end(&self, call: &Call, token: Option<&Token>) -> Result<Answer> {
        let mut answer = self.exchange(call, token).await?;
        if answer.attempts > 1 && answer.status == 401 {
            // The attempt whose answer was lost has ended the session that this one came with.
            (answer.status, answer.body) = (204, Value::Null);
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
            let body = json!({"email": self.names.email(person), "password": PASSWORD});
            let answer = self.client.exchange(&Call::post("/users/auth/login", Some(body)), None).await?;
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
