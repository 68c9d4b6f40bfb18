//! Refreshing: a new access token for a refresh token, which is replaced by the next one.
//!
//! A refresh token names its session and its generation under a MAC and is kept nowhere; which generation counts, the
//! owner of the user's key decides. Whoever brings one that was replaced long ago holds a copy, and so may whoever brings
//! the one that counts: the session ends.

use super::Tokens;
use crate::backend::{App, Backend};
use crate::error::{ApiError, Error, ErrorName};
use crate::json::{Field, Fields, JsonBody};
use crate::rate_limits::{Admission, Class};
use crate::submit::done;
use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use commands::{Answer, Refusal, SessionCommand};
use events::{Secrets, SessionId, TextError, UserId};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What a refresh token must match.
pub(crate) const REFRESH_TOKEN_PATTERN: &str = "^[A-Za-z0-9_-]{91}$";
const TOKEN_CHARS: usize = 91;
const NAMED_BYTES: usize = 16 + 16 + 4;
const TOKEN_BYTES: usize = NAMED_BYTES + 32;

/// What a refresh token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RefreshToken {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    /// Counted from 0.
    pub(crate) generation: u32,
}

/// A session is to go on.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Refresh {
    /// The refresh token that was given last.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::refresh_token, required = true)]
    refresh_token: Field,
}

impl RefreshToken {
    /// As it is given to the client.
    pub(crate) fn write(self, secrets: &Secrets) -> String {
        let named = self.named();
        BASE64_URL_SAFE_NO_PAD.encode([named.as_slice(), &mac(secrets, &named)].concat())
    }

    /// What a token says, if it is one of ours.
    fn read(secrets: &Secrets, text: &str) -> Option<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (named, signed) = bytes.split_at(NAMED_BYTES);
        let is_ours = aws_lc_rs::constant_time::verify_slices_are_equal(&mac(secrets, named), signed).is_ok();
        if length != TOKEN_BYTES || !is_ours {
            return None;
        }
        let id = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
        let generation = u32::from_be_bytes(named[32..].try_into().ok()?);
        Some(Self { user: UserId(id(&named[..16])?), session: SessionId(id(&named[16..32])?), generation })
    }

    fn named(self) -> [u8; NAMED_BYTES] {
        let mut named = [0; NAMED_BYTES];
        named[..16].copy_from_slice(self.user.0.as_bytes());
        named[16..32].copy_from_slice(self.session.0.as_bytes());
        named[32..].copy_from_slice(&self.generation.to_be_bytes());
        named
    }
}

fn mac(secrets: &Secrets, named: &[u8]) -> [u8; 32] {
    secrets.token(&[b"refresh", named])
}

fn parse(text: &str) -> Result<String, TextError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.len() == TOKEN_CHARS && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err(TextError(format!("refresh_token must match {REFRESH_TOKEN_PATTERN}")))
}

/// Go on with a session
///
/// Each refresh token is good for one answer, which brings the next; for 30 seconds it gets the same next one again. An
/// older one ends the session. A session that is not refreshed for 30 days cannot be any more.
#[utoipa::path(post, path = "/users/auth/refresh", tag = "auth", request_body = Refresh,
    responses((status = 200, description = "The next tokens of the session", body = Tokens),
        (status = 401, description = "The refresh token is not good, or was replaced long ago, with which its session \
            has ended", body = Error)))]
pub(super) async fn refresh(
    State(app): State<App>,
    admission: Admission,
    JsonBody(body): JsonBody<Refresh>,
) -> Result<Response, ApiError> {
    let mut fields = Fields::default();
    let text = fields.required("refresh_token", &body.refresh_token, parse);
    let text = fields.done(text)?;
    let token = RefreshToken::read(app.secrets(), &text).ok_or_else(bad_token)?;
    let RefreshToken { user, session, generation } = token;
    admission.take(Class::Refresh, session).await?;
    let done = match app.ask_sessions(user, SessionCommand::Refresh { session, user, generation }).await {
        Answer::Refused(Refusal::UsedBefore) => return Err(app.end_stolen(user, session).await),
        Answer::Refused(Refusal::NotFound) => return Err(bad_token()),
        answer => done(answer)?,
    };
    app.consistency.wrote(session, done.receipt.position);
    // Also where nothing was written: then it was replaced a moment ago, by exactly this one.
    let tokens = app.issue(RefreshToken { generation: generation + 1, ..token })?;
    Ok(super::confidential(app.written(StatusCode::OK, &done, tokens)))
}

impl Backend {
    /// Ends a session of whose refresh token there is a copy. That it has ended is what the error says.
    async fn end_stolen(&self, user: UserId, session: SessionId) -> ApiError {
        let ended = match self.ask_sessions(user, SessionCommand::Close { session, user }).await {
            Answer::Refused(Refusal::NotFound) => Ok(()),
            answer => match done(answer) {
                Ok(done) => self.signed_out(user, &done).await,
                Err(error) => Err(error),
            },
        };
        ended.err().unwrap_or_else(bad_token)
    }
}

fn bad_token() -> ApiError {
    ApiError::new(ErrorName::Unauthorized, "The refresh token is not valid, or not any more: sign in again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_is_good_where_it_was_made_as_it_was_made() {
        let (ours, other) = (Secrets::derive(&[1; 32]), Secrets::derive(&[2; 32]));
        let id = |n| Uuid::from_u128(n);
        let token = RefreshToken { user: UserId(id(1)), session: SessionId(id(2)), generation: 7 };
        let text = token.write(&ours);
        assert_eq!((text.len(), parse(&text)), (TOKEN_CHARS, Ok(text.clone())));
        assert_eq!(RefreshToken::read(&ours, &text), Some(token));
        assert_eq!(RefreshToken::read(&other, &text), None);
        for at in [0, 22, 44, 60, TOKEN_CHARS - 2] {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(RefreshToken::read(&ours, std::str::from_utf8(&changed).unwrap()), None, "{at}");
        }
    }
}
