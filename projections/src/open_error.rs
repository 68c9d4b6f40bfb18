//! Why a server of read models cannot be used.

use crate::read_model::Unavailable;

/// Why a server cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not answer; later it may.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Waiting mends nothing.
    #[error("{0}")]
    Unusable(String),
}
