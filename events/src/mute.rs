//! Muting somebody.

use crate::UserId;
use serde::{Deserialize, Serialize};

/// What happens to a mute; decided on the key of whoever mutes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MuteEvent {
    /// What the other posts is not in the person's feed from here on; nobody else is told.
    Started(MuteStarted),
    /// And from here on no longer.
    Ended(MuteEnded),
}

/// `mute.started`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MuteStarted {
    /// Who mutes.
    pub user: UserId,
    /// Whom.
    pub target: UserId,
}

/// `mute.ended`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MuteEnded {
    /// Who muted.
    pub user: UserId,
    /// Whom.
    pub target: UserId,
}
