//! One intention of a client: what makes a request that is sent again the same request.
//!
//! With an `Idempotency-Key` the command's id and the id of what it creates follow from who asks, where and under which
//! key, so that a repetition meets the same partition and the same resource, on any node and after any restart. Where
//! includes the ids in the path: one key under two posts is two intentions.

use crate::auth::Caller;
use crate::backend::Backend;
use crate::error::ApiError;
use axum::extract::FromRequestParts;
use commands::KeyedIds;
use events::{CommandId, Fingerprint, Retention, Secrets};
use http::HeaderName;
use http::request::Parts;
use uuid::Uuid;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// What a key must match.
pub(crate) const KEY_PATTERN: &str = "^[!-~]{8,128}$";

/// The key that the client chose, if it chose one.
#[derive(Clone, Debug)]
pub(crate) struct IdempotencyKey(pub(crate) Option<Box<str>>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default();
        if (8..=128).contains(&text.len()) && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
            return Ok(Self(Some(text.into())));
        }
        Err(ApiError::invalid(format!("Idempotency-Key must match {KEY_PATTERN}")))
    }
}

/// The ids that a request acts under.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) command: CommandId,
    /// The id of what it creates, if it creates something.
    pub(crate) created: Uuid,
    pub(crate) retention: Retention,
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// What is done, and to what.
#[derive(Clone, Copy)]
pub(crate) struct Route<'a> {
    /// Method and path, as in the document. Stable: ids are derived from it.
    pub(crate) name: &'static str,
    /// The ids in the path.
    pub(crate) ids: &'a [Uuid],
}

impl Intent {
    /// The intention of a signed-in user; `body` is what the request says, parsed.
    pub(crate) async fn of(
        app: &Backend,
        caller: &Caller,
        key: &IdempotencyKey,
        route: Route<'_>,
        body: &[&[u8]],
    ) -> Result<Self, ApiError> {
        let Some(key) = &key.0 else { return Ok(Self::fresh()) };
        let cipher = app.key_of(caller.user).await?;
        let place = route.place();
        let mut said = vec![b"request".as_slice(), &place];
        said.extend_from_slice(body);
        let scope = [caller.user.0.as_bytes().as_slice(), &place, key.as_bytes()];
        Ok(Self::keyed(app.secrets(), scope, Some(fingerprint(&cipher.mac(&said)))))
    }

    /// An intention that nobody can repeat but the gateway itself.
    pub(crate) fn fresh() -> Self {
        let command = CommandId(Uuid::now_v7());
        Self { command, created: Uuid::now_v7(), retention: Retention::Short, fingerprint: None }
    }

    /// The intention of whoever says the same in the same scope.
    pub(crate) fn keyed(secrets: &Secrets, scope: [&[u8]; 3], fingerprint: Option<Fingerprint>) -> Self {
        let KeyedIds { command, created } = KeyedIds::of(secrets, scope);
        Self { command, created, retention: Retention::Long, fingerprint }
    }
}

impl Route<'_> {
    fn place(&self) -> Vec<u8> {
        let mut place = self.name.as_bytes().to_vec();
        self.ids.iter().for_each(|id| place.extend_from_slice(id.as_bytes()));
        place
    }
}

pub(crate) fn fingerprint(mac: &[u8; 32]) -> Fingerprint {
    Fingerprint(mac[..16].try_into().expect("a MAC has 32 bytes"))
}
