//! From a handler to the owner of a key, and what its answer means to a client. The one place where a refusal becomes a
//! status.

use crate::auth::Caller;
use crate::backend::Backend;
use crate::consistency::{self, Wanted};
use crate::error::{ApiError, ErrorName};
use crate::intent::Intent;
use axum::Json;
use axum::response::{IntoResponse, Response};
use commands::{
    Answer, BLOCKS_MAX, Command, Ended, MUTES_MAX, POSTS_IN_CREATION_MAX, Receipt, Refusal, Request, SagaCommand,
};
use events::{Key, SagaData, SagaId, Timestamp};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// A write that holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) receipt: Receipt,
    pub(crate) how: How,
}

/// How it came to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// By this request.
    Now,
    /// By the same request, when it came before.
    Before,
    /// By another one: it was so already.
    Already,
}

impl Done {
    /// Whether the same request came before, so that what it made may be another or gone by now.
    pub(crate) fn is_repeated(&self) -> bool {
        self.how == How::Before
    }

    /// The status of a write that repeated changes nothing: 201 to whoever made it so, else 200.
    pub(crate) fn created(&self) -> StatusCode {
        if self.how == How::Already { StatusCode::OK } else { StatusCode::CREATED }
    }
}

/// How long to ask whether a saga has begun, when it was not seen to end.
const PROBE: Duration = Duration::from_secs(1);

/// A saga that a request begins.
pub(crate) struct NewSaga {
    pub(crate) saga: SagaId,
    pub(crate) key: Key,
    pub(crate) data: SagaData,
    /// What only its first commit needs.
    pub(crate) with: Value,
}

/// What became of a saga that a request began.
pub(crate) enum Course {
    /// It has ended, or has done what it was wanted for.
    Ended(Receipt, Ended),
    /// It has begun.
    UnderWay(Done),
}

/// Whether the answer waits for the saga.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As long as a write may take.
    ForTheEnd,
    /// Not at all.
    No,
}

impl Backend {
    /// The saga of a kind that creates, or acts for, what has this id: the same for a request that is sent again.
    pub(crate) fn saga_of(&self, process: &str, id: uuid::Uuid) -> SagaId {
        SagaId(self.secrets().id(&[b"saga", process.as_bytes(), id.as_bytes()]))
    }

    /// Has a signed-in user's saga carried out. One that was not seen to end in time, but has begun, is under way.
    pub(crate) async fn run_saga(
        &self,
        caller: &Caller,
        intent: &Intent,
        new: NewSaga,
        wait: Wait,
    ) -> Result<Course, ApiError> {
        let begin = |within: Duration, until_saga_ends: bool| {
            let command = SagaCommand::Start { saga: new.saga, data: new.data.clone(), with: new.with.clone() };
            let request = Request {
                actor: Some(caller.user),
                retention: intent.retention,
                fingerprint: intent.fingerprint,
                until_saga_ends,
                ..Request::new(intent.command, new.key, command, Timestamp::now(), Instant::now() + within)
            };
            self.ask(request)
        };
        let mut answer = begin(self.limits.write_deadline, wait == Wait::ForTheEnd).await;
        if wait == Wait::ForTheEnd && answer == Answer::Unknown {
            answer = begin(PROBE, false).await;
        }
        if let Answer::Ended(receipt, ended) = answer {
            self.consistency.wrote(caller.session, receipt.position);
            return Ok(Course::Ended(receipt, ended));
        }
        let done = done(answer);
        self.remember(caller, &done);
        done.map(Course::UnderWay)
    }

    /// Has a signed-in user's command carried out.
    pub(crate) async fn submit(
        &self,
        caller: &Caller,
        intent: &Intent,
        key: Key,
        command: impl Into<Command>,
    ) -> Result<Done, ApiError> {
        let deadline = Instant::now() + self.limits.write_deadline;
        let request = Request {
            actor: Some(caller.user),
            retention: intent.retention,
            fingerprint: intent.fingerprint,
            ..Request::new(intent.command, key, command, Timestamp::now(), deadline)
        };
        let done = done(self.ask(request).await);
        self.remember(caller, &done);
        done
    }

    /// Notes what a session has written, for its next read.
    fn remember(&self, caller: &Caller, done: &Result<Done, ApiError>) {
        match done {
            Ok(done) => self.consistency.wrote(caller.session, done.receipt.position),
            Err(error) if error.name() == ErrorName::Unavailable => self.consistency.lost_track(caller.session),
            Err(_) => {}
        }
    }

    /// Waits until all that the caller has written can be read, for an answer that is read back.
    pub(crate) async fn visible(&self, caller: &Caller, models: &[&str]) -> Result<(), ApiError> {
        self.consistency.wait(self.secrets(), &Wanted::strict(), Some(caller), models).await.map(|_| ())
    }

    /// What stands for a write of a signed-in user that had nothing to write.
    pub(crate) async fn nothing_to_do(&self, caller: &Caller) -> Result<Done, ApiError> {
        let newest = self.consistency.newest_on(&Key::User(caller.user)).await?;
        // The account itself stands there.
        let position = newest.ok_or_else(ApiError::bad_token)?;
        let receipt = Receipt { position, time: Timestamp::now(), version: None };
        Ok(Done { receipt, how: How::Already })
    }

    /// The answer to a write: its body, and where it stands.
    pub(crate) fn written(&self, status: StatusCode, done: &Done, body: impl Serialize) -> Response {
        (status, [(consistency::TOKEN, self.token(done))], Json(body)).into_response()
    }

    /// The same, of something new that can be read at `location`.
    pub(crate) fn written_at(&self, location: &str, status: StatusCode, done: &Done, body: impl Serialize) -> Response {
        let mut response = self.written(status, done, body);
        let location = HeaderValue::from_str(location).expect("a path of ids is visible ASCII");
        response.headers_mut().insert(LOCATION, location);
        response
    }

    /// The answer to a write that leaves nothing to show.
    pub(crate) fn gone(&self, done: &Done) -> Response {
        (StatusCode::NO_CONTENT, [(consistency::TOKEN, self.token(done))]).into_response()
    }

    fn token(&self, done: &Done) -> HeaderValue {
        consistency::token(self.secrets(), done.receipt.position)
    }
}

/// What an answer means.
pub(crate) fn done(answer: Answer) -> Result<Done, ApiError> {
    match answer {
        Answer::Accepted(receipt) | Answer::Ended(receipt, _) => Ok(Done { receipt, how: How::Now }),
        Answer::Repeated(receipt) => Ok(Done { receipt, how: How::Before }),
        Answer::Unchanged(receipt) => Ok(Done { receipt, how: How::Already }),
        Answer::Refused(refusal) => Err(refused(&refusal)),
        Answer::Expired => Err(ApiError::unavailable("This took too long and was not done; ask again")),
        Answer::Overloaded => Err(ApiError::unavailable("There is too much to do; nothing was done, ask again")),
        Answer::Unknown => Err(ApiError::outcome_unknown()),
    }
}

fn too_many(message: String) -> ApiError {
    ApiError::new(ErrorName::TooManyRequests, message)
}

pub(crate) fn too_many_drafts() -> ApiError {
    too_many(format!("{POSTS_IN_CREATION_MAX} posts of yours are being created; wait for one of them"))
}

fn refused(refusal: &Refusal) -> ApiError {
    match refusal {
        Refusal::NotFound => ApiError::new(ErrorName::NotFound, "It does not exist, or not any more"),
        Refusal::Forbidden => ApiError::new(ErrorName::Forbidden, "It belongs to somebody else"),
        Refusal::SelfFollow => ApiError::conflict("One cannot follow oneself"),
        Refusal::Oneself => ApiError::conflict("One cannot block or mute oneself"),
        Refusal::TooManyBlocks => too_many(format!("You block {BLOCKS_MAX} people; unblock one of them first")),
        Refusal::TooManyMutes => too_many(format!("You mute {MUTES_MAX} people; unmute one of them first")),
        Refusal::Taken => ApiError::conflict("It is taken"),
        Refusal::StaleCredentials => ApiError::conflict("The password was changed meanwhile"),
        Refusal::UsedBefore => ApiError::new(ErrorName::Unauthorized, "It was used before"),
        Refusal::Stale => ApiError::conflict("It was changed meanwhile; ask again"),
        Refusal::PreconditionFailed => {
            let message = "It was edited meanwhile: If-Match names no version that it has now";
            ApiError::new(ErrorName::PreconditionFailed, message)
        }
        Refusal::TooManyDrafts => too_many_drafts(),
        Refusal::KeyReused => ApiError::new(ErrorName::KeyReused, "This Idempotency-Key was used for another request"),
        Refusal::Undone => ApiError::conflict("It was undone before it came"),
        Refusal::SagaEnded => ApiError::conflict("This process has ended"),
        Refusal::NoWayBack => ApiError::conflict("This process cannot be undone any more; it can be retried"),
        Refusal::TooLarge(_) => ApiError::new(ErrorName::PayloadTooLarge, "It is too large to be stored"),
        Refusal::Fault(fault) => ApiError::internal(fault),
    }
}
