//! Roles: what a person may do besides using the service.

use crate::admin::reason;
use crate::backend::App;
use crate::error::{ApiError, Error};
use crate::extract::{InPath, InQuery};
use crate::json::{Field, Fields, JsonBody};
use crate::operator::Operator;
use crate::submit::done;
use axum::Json;
use axum::extract::State;
use commands::{Request, UserCommand};
use events::{CommandId, Key, Role, Timestamp, UserId, Username};
use projections::users;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(find)).routes(routes!(change))
}

/// A person and their role.
#[derive(Serialize, ToSchema)]
pub(crate) struct PersonRole {
    /// Who.
    user_id: Uuid,
    /// `user` or `operator`.
    role: String,
}

/// What a role is to become.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewRole {
    /// `user` or `operator`.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::role, required = true)]
    role: Field,
    /// In the operator's words; it stands in the log.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::reason, required = true)]
    reason: Field,
}

#[derive(Deserialize)]
struct Named {
    username: String,
}

/// A name in a query, as it is documented.
struct NameSchema;

impl ToSchema for NameSchema {}

impl utoipa::PartialSchema for NameSchema {
    fn schema() -> RefOr<Schema> {
        crate::schemas::username().into()
    }
}

/// Who has a name, and their role
#[utoipa::path(get, path = "/admin/users", tag = "operators", security(("bearer" = [])),
    params(("username" = inline(NameSchema), Query, description = "The name, without regard to case")),
    responses((status = 200, description = "The person", body = PersonRole),
        (status = 403, description = "The caller is no operator", body = Error),
        (status = 404, description = "Nobody has this name", body = Error)))]
async fn find(
    State(app): State<App>,
    _: Operator,
    InQuery(Named { username }): InQuery<Named>,
) -> Result<Json<PersonRole>, ApiError> {
    let name = Username::parse(&username).map_err(|error| ApiError::invalid(format!("username: {error}")))?;
    app.consistency.caught_up(&[users::NAME]).await?;
    let user = app.models.users.by_username(app.secrets().claim("username", &name.folded())).await?;
    let user = user.ok_or_else(|| ApiError::not_found("user"))?;
    Ok(Json(PersonRole { user_id: user.0, role: app.models.users.role(user).await?.to_string() }))
}

/// Change what a person may do
#[utoipa::path(put, path = "/admin/users/{user_id}/role", tag = "operators", security(("bearer" = [])),
    request_body = NewRole, params(("user_id" = Uuid, Path, description = "Whose role")),
    responses((status = 200, description = "The person and the role that they have now", body = PersonRole),
        (status = 403, description = "The caller is no operator", body = Error),
        (status = 404, description = "There is no such user", body = Error)))]
async fn change(
    State(app): State<App>,
    Operator { by }: Operator,
    InPath(user): InPath<UserId>,
    JsonBody(body): JsonBody<NewRole>,
) -> Result<Json<PersonRole>, ApiError> {
    let mut fields = Fields::default();
    let role = fields.required("role", &body.role, |text| text.parse::<Role>());
    let reason = fields.required("reason", &body.reason, reason);
    let (role, reason) = fields.done(role.zip(reason))?;
    let command = UserCommand::ChangeRole { user, role, by, reason };
    let deadline = Instant::now() + app.limits.write_deadline;
    let request = Request::new(CommandId(Uuid::now_v7()), Key::User(user), command, Timestamp::now(), deadline);
    let done = done(app.ask(Request { actor: by, ..request }).await)?;
    let passed = app.consistency.passed(&[done.receipt.position], &[users::NAME]).await;
    passed.map_err(|_| ApiError::outcome_unknown())?;
    Ok(Json(PersonRole { user_id: user.0, role: role.to_string() }))
}
