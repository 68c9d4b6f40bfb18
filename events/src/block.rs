//! Blocking somebody.

use crate::UserId;
use serde::{Deserialize, Serialize};

/// What happens to a block; decided on the key of whoever blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum BlockEvent {
    /// Neither sees anything of the other from here on.
    Started(BlockStarted),
    /// And from here on no longer.
    Ended(BlockEnded),
}

/// `block.started`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockStarted {
    /// Who blocks.
    pub user: UserId,
    /// Whom.
    pub target: UserId,
}

/// `block.ended`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockEnded {
    /// Who blocked.
    pub user: UserId,
    /// Whom.
    pub target: UserId,
}
