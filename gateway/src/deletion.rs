//! Deleting one's account.
//!
//! It is answered when nobody can use the account any more; the rest is a saga, and since nobody can sign in to ask how far
//! that is, the answer hands out a ticket which says so to whoever has it, and nothing else.

use crate::auth::Caller;
use crate::backend::{App, Backend};
use crate::consistency::Wanted;
use crate::error::{ApiError, Error, ErrorName};
use crate::extract::InPath;
use crate::intent::Intent;
use crate::submit::{Course, Done, How, NewSaga, Wait};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use commands::Process;
use events::{Key, SagaId, Secrets, Timestamp};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use projections::sagas::{self as saga_model, SagaView, StepPhase};
use sagas::deletion::{Deletion, DeletionData};
use serde::Serialize;
use serde_json::Value;
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(delete)).routes(routes!(progress))
}

/// A saga's id (16 bytes) and the beginning of a MAC.
const TICKET_BYTES: usize = 16 + 16;

/// How far a deletion has come.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeletionProgress {
    /// Whether anything is left to be done.
    status: DeletionStatus,
    /// When it was asked for; since then nobody can use the account.
    #[schema(schema_with = crate::schemas::time)]
    requested_at: Timestamp,
    /// When nothing was left; null before.
    #[schema(schema_with = crate::schemas::time_or_null, required = true)]
    completed_at: Option<Timestamp>,
    /// What it consists of, in order.
    steps: Vec<DeletionStep>,
}

/// Whether anything of a deletion is left to be done.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum DeletionStatus {
    /// Something is.
    Running,
    /// Nothing is.
    Completed,
}

/// A part of a deletion.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeletionStep {
    /// Its name.
    step: &'static str,
    /// Whether it is done.
    done: bool,
}

/// Delete the own account
///
/// When it is answered with 204, no token of the account is good any more, on any node, and nobody can sign in to it. Within
/// seconds nothing of it can be read. Its address and its name can be registered again when the deletion, whose progress is
/// at `Location`, is completed. Where it is not known whether it has begun (503, `outcome` is `unknown`), `Location` tells.
#[utoipa::path(delete, path = "/users/me", tag = "users", security(("bearer" = [])),
    responses(
        (status = 204, description = "Nobody can use the account any more",
            headers(("Location" = String, description = "How far the deletion has come"))),
        (status = 202, description = "The deletion has begun and cannot be stopped, but a node has not said yet that it takes \
            no token of the account any more",
            headers(("Location" = String, description = "How far the deletion has come")))))]
async fn delete(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let intent = Intent::fresh();
    let new = NewSaga {
        saga: app.saga_of(Deletion::NAME, caller.user.0),
        key: Key::User(caller.user),
        data: DeletionData { user: caller.user }.into(),
        with: Value::Null,
    };
    let location = format!("/deletions/{}", Ticket(new.saga).text(app.secrets()));
    let mut response = match app.run_saga(&caller, &intent, new, Wait::ForTheEnd).await {
        Ok(Course::Ended(receipt, _)) => app.disabled(&caller, &Done { receipt, how: How::Now }).await,
        Ok(Course::UnderWay(done)) => app.disabled(&caller, &done).await,
        Err(error) if error.name() == ErrorName::NotFound => return Err(ApiError::bad_token()),
        Err(error) if error.name() == ErrorName::Unavailable => error.into_response(),
        Err(error) => return Err(error),
    };
    let location = HeaderValue::from_str(&location).expect("base64 is visible ASCII");
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// How far a deletion has come
///
/// The ticket is in the `Location` of the answer to the deletion, and is good for this only.
#[utoipa::path(get, path = "/deletions/{ticket}", tag = "users",
    params(("ticket" = String, Path, description = "The ticket")),
    responses((status = 200, description = "How far it has come", body = DeletionProgress),
        (status = 404, description = "There is no such deletion, or it was completed long ago", body = Error)))]
async fn progress(State(app): State<App>, InPath(text): InPath<String>, wanted: Wanted) -> Result<Response, ApiError> {
    let not_found = || ApiError::not_found("deletion");
    let Ticket(saga) = Ticket::read(app.secrets(), &text).ok_or_else(not_found)?;
    let fresh = app.consistency.wait(app.secrets(), &wanted, None, &[saga_model::NAME]).await?;
    let view = app.saga(saga).await?.ok_or_else(not_found)?;
    Ok((fresh, Json(DeletionProgress::of(&view))).into_response())
}

impl Backend {
    /// The answer when an account was disabled: 204 as soon as no node takes a token of it any more.
    async fn disabled(&self, caller: &Caller, done: &Done) -> Response {
        self.consistency.lost_track(caller.session);
        let mut response = self.gone(done);
        if let Err(waits) = self.ended(caller.user, done).await {
            warn!(user = %caller.user, "tokens of {} may still be taken for a while: {waits}", caller.user);
            *response.status_mut() = StatusCode::ACCEPTED;
        }
        response
    }

    /// A saga; one that may have begun a moment ago is waited for.
    pub(crate) async fn saga(&self, saga: SagaId) -> Result<Option<SagaView>, ApiError> {
        if let Some(view) = self.models.sagas.saga(saga).await? {
            return Ok(Some(view));
        }
        self.consistency.caught_up(&[saga_model::NAME]).await?;
        Ok(self.models.sagas.saga(saga).await?)
    }
}

impl DeletionProgress {
    fn of(saga: &SagaView) -> Self {
        let done = |name: &str| saga.steps.iter().any(|step| &*step.name == name && step.phase == StepPhase::Done);
        let steps = Deletion::STEPS.iter().map(|step| &*step.0);
        Self {
            status: if saga.ended_at.is_some() { DeletionStatus::Completed } else { DeletionStatus::Running },
            requested_at: saga.started_at,
            completed_at: saga.ended_at,
            steps: steps.map(|step| DeletionStep { step, done: done(step) }).collect(),
        }
    }
}

/// What lets somebody see how far a deletion is who can no longer say who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ticket(SagaId);

impl Ticket {
    fn text(self, secrets: &Secrets) -> String {
        let mut bytes = [0; TICKET_BYTES];
        bytes[..16].copy_from_slice(self.0.0.as_bytes());
        bytes[16..].copy_from_slice(&self.mac(secrets)[..16]);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(secrets: &Secrets, text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == TICKET_BYTES)?;
        let ticket = Self(SagaId(Uuid::from_slice(&bytes[..16]).ok()?));
        let mac = ticket.mac(secrets);
        aws_lc_rs::constant_time::verify_slices_are_equal(&mac[..16], &bytes[16..]).is_ok().then_some(ticket)
    }

    fn mac(self, secrets: &Secrets) -> [u8; 32] {
        secrets.token(&[b"deletion", self.0.0.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_on_the_installation_that_made_it_and_for_its_deletion() {
        let (ours, other) = (Secrets::derive(&[1; 32]), Secrets::derive(&[2; 32]));
        let ticket = Ticket(SagaId(Uuid::from_u128(7)));
        let text = ticket.text(&ours);
        assert_eq!(Ticket::read(&ours, &text), Some(ticket));
        assert_eq!(Ticket::read(&other, &text), None);
        assert_eq!(Ticket::read(&ours, &text[1..]), None);
        assert_eq!(Ticket::read(&ours, ""), None);
    }
}
