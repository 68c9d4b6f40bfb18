//! The account and the session of whoever comes with another issuer's token.
//!
//! Both ids follow from the token, so that whoever asks twice at once gets one of each, and whoever deleted the account
//! stays deleted.

use super::Foreign;
use crate::backend::Backend;
use crate::error::{ApiError, ErrorName};
use crate::intent::Intent;
use crate::passwords::Password;
use crate::registration::{Applicant, Registration};
use crate::tokens::Verified;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use commands::SessionCommand;
use events::{Email, Key, SessionId, UserId, Username};
use projections::sessions::SessionState;
use projections::users::Credentials;
use projections::{sessions, users};

impl Backend {
    /// Sees to it that there is an account and a session for this token. 401 if there can be none: the issuer vouches for
    /// no address, or for one that somebody has here. Any route can meet it, so it is what any route says to a token that
    /// lets nobody in, with its reason.
    pub(super) async fn admit(&self, foreign: &Foreign) -> Result<Verified, ApiError> {
        let (issuer, subject) = (foreign.issuer.as_bytes(), foreign.subject.as_bytes());
        let user = UserId(self.secrets().id(&[b"oidc user", issuer, subject]));
        let session = SessionId(self.secrets().id(&[b"oidc session", &foreign.hash]));
        let credentials = match self.account_of(user).await? {
            Some(credentials) => credentials,
            None if self.models.users.is_disabled(user).await? => return Err(ApiError::bad_token()),
            None => self.provision(user, foreign).await?,
        };
        match self.models.sessions.state(session, user).await? {
            SessionState::Unknown => self.open_foreign(credentials, session).await?,
            // Whether it may be used is asked of every session.
            SessionState::Open { .. } | SessionState::Closed | SessionState::Outdated => {}
        }
        Ok(Verified { user, session, expires_s: foreign.expires_s })
    }

    async fn account_of(&self, user: UserId) -> Result<Option<Credentials>, ApiError> {
        if let Some(credentials) = self.models.users.credentials_of(user).await? {
            return Ok(Some(credentials));
        }
        self.consistency.caught_up_on(&Key::User(user), &[users::NAME]).await?;
        Ok(self.models.users.credentials_of(user).await?)
    }

    /// Nobody knows the password of such an account: who has it signs in where they always do.
    async fn provision(&self, user: UserId, foreign: &Foreign) -> Result<Credentials, ApiError> {
        let email = foreign.email.as_deref().and_then(|email| Email::parse(email).ok());
        let email = email.ok_or_else(|| not_linked("The issuer of this token vouches for no address"))?;
        // A registration that comes to nothing uses its id up.
        self.consistency.caught_up(&[users::NAME]).await?;
        match self.models.users.credentials(self.secrets().claim("email", &email.folded())).await? {
            // Another request with this token, at the same time, was faster.
            Some(credentials) if credentials.user == user => return Ok(credentials),
            Some(_) => return Err(not_linked("This address is taken by an account that signs in with a password")),
            None => {}
        }
        let name = self.secrets().token(&[b"oidc name", user.0.as_bytes()]);
        let name = name[..6].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let username = Username::parse(&format!("user_{name}")).map_err(ApiError::internal)?;
        let secret = self.secrets().token(&[b"oidc password", user.0.as_bytes()]);
        let password = Password::parse(&BASE64_URL_SAFE_NO_PAD.encode(secret)).map_err(ApiError::internal)?;
        let applicant = Applicant { email, username, password };
        let key = [b"oidc".as_slice(), foreign.issuer.as_bytes(), foreign.subject.as_bytes()];
        let intent = Intent { created: user.0, ..Intent::keyed(self.secrets(), key, None) };
        let carried_out = Registration::under(self, applicant, intent).await?.carry_out(self).await;
        carried_out.map_err(|error| match error.name() {
            ErrorName::Conflict => not_linked("This address was taken meanwhile, or the account was deleted"),
            _ => error,
        })?;
        let credentials = self.account_of(user).await?;
        credentials.ok_or_else(|| ApiError::unavailable("The account is not there yet; ask again"))
    }

    async fn open_foreign(&self, credentials: Credentials, session: SessionId) -> Result<(), ApiError> {
        let Credentials { user, version, .. } = credentials;
        let command = SessionCommand::Open { session, user, credentials: version, device: None };
        // Under one id however often it is asked: a session that was ended meanwhile is not opened again.
        let intent = Intent::keyed(self.secrets(), [b"oidc session", session.0.as_bytes(), b""], None);
        let done = crate::submit::done(self.ask_sessions_as(user, command, &intent).await)?;
        let passed = self.consistency.passed(&[done.receipt.position], &[sessions::NAME]).await;
        passed.map_err(|_| ApiError::unavailable("The session is not there yet; ask again"))
    }
}

fn not_linked(message: &'static str) -> ApiError {
    ApiError::bad_token_since(message)
}
