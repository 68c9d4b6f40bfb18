//! Uniqueness by reservation: who may use an address or a name.
//!
//! The claim is the record's key, so its events do not repeat the digest. A claim never lapses by time: the saga that
//! reserved it confirms or releases it.

use crate::{SagaId, UserId};
use serde::{Deserialize, Serialize};

/// What happens to the claim of an address or a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ClaimEvent {
    /// Taken for a saga that has not ended.
    Reserved(ClaimReserved),
    /// Taken for good.
    Confirmed(ClaimConfirmed),
    /// Free again.
    Released(ClaimReleased),
}

/// `claim.reserved`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimReserved {
    /// For which saga.
    pub saga: SagaId,
    /// For whom.
    pub user: UserId,
    /// Counts the reservations of this value, from 1.
    pub version: u64,
}

/// `claim.confirmed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimConfirmed {
    /// By which saga.
    pub saga: SagaId,
    /// For whom.
    pub user: UserId,
    /// Which reservation.
    pub version: u64,
}

/// `claim.released`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimReleased {
    /// By which saga.
    pub saga: SagaId,
    /// Who had it, if it was taken; a release that overtakes its reservation finds it free.
    pub user: Option<UserId>,
}
