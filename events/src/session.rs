//! Signing in and out.

use crate::{SessionId, UserId};
use serde::{Deserialize, Serialize};

/// What happens to a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SessionEvent {
    /// The user signed in.
    Opened(SessionOpened),
    /// The session's tokens are worth nothing from here on.
    Closed(SessionClosed),
}

/// `session.opened`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// Which session.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
}

/// `session.closed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionClosed {
    /// Which session.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
}
