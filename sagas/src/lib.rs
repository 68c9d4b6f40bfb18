//! The processes of several steps: what follows what, what carries a step out, what undoes it.
//!
//! Pure functions over the saga as it stands in the log. Sending, retrying, timing and undoing in reverse order is the
//! same for all of them and is the owner's (`commands`). A new saga is a file here and a line in [`processes`].

pub mod registration;

use commands::Processes;

/// Every kind of saga that this program runs.
pub fn processes() -> Processes {
    Processes::default().with(registration::Registration)
}
