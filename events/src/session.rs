//! Signing in and out.

use crate::{Device, Sealed, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// What happens to a session. With `user.password_changed` and `user.disabled` all sessions of the user end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SessionEvent {
    /// The user signed in.
    Opened(SessionOpened),
    /// A refresh token was used: the next one counts from here on.
    Refreshed(SessionRefreshed),
    /// The session's tokens are worth nothing from here on.
    Closed(SessionClosed),
}

/// `session.opened`, version 2. Version 1 had neither `device` nor `refresh_until`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// Which session.
    pub session: SessionId,
    /// Whose; the sealed field is under this user's key.
    pub user: UserId,
    /// What the client called itself, if anything.
    pub device: Option<Sealed<Device>>,
    /// Its first refresh token, of generation 0, can be used until then; `None`: for ever.
    pub refresh_until: Option<Timestamp>,
}

/// `session.refreshed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRefreshed {
    /// Which session.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
    /// The generation of the refresh token that counts now. Counted from 0.
    pub generation: u32,
    /// The token of the generation before is taken until then, for whoever asked twice.
    pub former_until: Timestamp,
    /// The token that counts can be used until then.
    pub refresh_until: Timestamp,
}

/// `session.closed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionClosed {
    /// Which session.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
}
