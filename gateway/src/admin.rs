//! What operators see and do. Who asks is an [`Operator`](crate::operator::Operator); what they order stands in the log,
//! with their reason.

mod meters;
mod parked;
mod roles;
mod sagas;

pub(crate) use meters::SagaMeters;

use crate::backend::App;
use crate::error::ApiError;
use crate::json::{Field, Fields};
use utoipa_axum::router::OpenApiRouter;

/// The longest reason, in characters.
pub(crate) const REASON_CHARS_MAX: usize = 500;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(sagas::router()).merge(roles::router()).merge(parked::router())
}

/// A reason is no reason unless it says something. It is printed on terminals.
fn reason(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("reason must be one line without control characters".to_owned());
    }
    let text = text.trim();
    match text.chars().count() {
        0 => Err("reason must say something".to_owned()),
        1..=REASON_CHARS_MAX => Ok(text.to_owned()),
        _ => Err(format!("reason must have at most {REASON_CHARS_MAX} characters")),
    }
}

fn required_reason(field: &Field) -> Result<String, ApiError> {
    let mut fields = Fields::default();
    let reason = fields.required("reason", field, reason);
    fields.done(reason)
}
