//! The processes of several steps: what follows what, what carries a step out, what undoes it.
//!
//! Pure functions over the saga as it stands in the log. Sending, retrying, timing and undoing in reverse order is the
//! same for all of them and is the owner's (`commands`). A new saga is a file here and a line in [`processes`].

pub mod block;
pub mod deletion;
pub mod post_creation;
pub mod registration;
pub mod rename;

#[cfg(test)]
mod stage;

use commands::Processes;
use std::time::Duration;

/// Every kind of saga that this program runs. No request that a user had under way when their account was disabled is
/// decided later than `stragglers` after it.
pub fn processes(stragglers: Duration) -> Processes {
    Processes::default()
        .with(registration::Registration)
        .with(post_creation::PostCreation)
        .with(rename::Rename)
        .with(block::UserBlock)
        .with(deletion::Deletion { stragglers })
}
