//! What happens to an account.

use crate::{Bio, Digest, Email, PasswordHash, Sealed, UserId, Username};
use serde::{Deserialize, Serialize};

/// What happens to an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum UserEvent {
    /// The account exists from here on.
    Created(UserCreated),
    /// The bio was set or cleared.
    BioChanged(BioChanged),
}

/// `user.created`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserCreated {
    /// Who.
    pub user: UserId,
    /// The address.
    pub email: Sealed<Email>,
    /// The name as written by its owner.
    pub username: Sealed<Username>,
    /// The hash of the password.
    pub password: Sealed<PasswordHash>,
    /// Under which digest the address is claimed.
    pub email_claim: Digest,
    /// The version of that claim: of two users with one address, the higher version has it.
    pub email_version: u64,
    /// Under which digest the name is claimed.
    pub username_claim: Digest,
    /// The version of that claim.
    pub username_version: u64,
}

/// `user.bio_changed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BioChanged {
    /// Whose.
    pub user: UserId,
    /// The new bio; `None` clears it.
    pub bio: Option<Sealed<Bio>>,
}
