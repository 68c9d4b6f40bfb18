//! What happens to an account.

use crate::{Bio, Digest, Email, PasswordHash, Sealed, UserId, Username};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What happens to an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum UserEvent {
    /// The account exists from here on.
    Created(UserCreated),
    /// The bio was set or cleared.
    BioChanged(BioChanged),
    /// The account has another address.
    EmailChanged(EmailChanged),
    /// The account has another name.
    UsernameChanged(UsernameChanged),
    /// The account has another password, and no session any more.
    PasswordChanged(PasswordChanged),
    /// What the person may do besides using the service was changed.
    RoleChanged(RoleChanged),
    /// The account is being deleted: nobody can sign in to it or act for it from here on, and nobody sees it.
    Disabled(UserDisabled),
    /// The key of all that this person ever typed is destroyed; after a restore of the keyring it is destroyed again.
    KeyDestroyed(UserKeyDestroyed),
}

/// An address or a name as it is claimed: the higher version of two claims of one digest is the one that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// The HMAC of the folded form.
    pub claim: Digest,
    /// Which reservation of it.
    pub version: u64,
}

/// What a person may do besides using the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Nothing.
    #[default]
    User,
    /// See and steer what the server does.
    Operator,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Operator => "operator",
        })
    }
}

/// There is no role of that name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no role `{0}`: there are `user` and `operator`")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        match text {
            "user" => Ok(Self::User),
            "operator" => Ok(Self::Operator),
            _ => Err(RoleError(text.to_owned())),
        }
    }
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

/// `user.email_changed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmailChanged {
    /// Whose.
    pub user: UserId,
    /// The new address.
    pub email: Sealed<Email>,
    /// Under what it is claimed.
    pub claimed: Claimed,
}

/// `user.username_changed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UsernameChanged {
    /// Whose.
    pub user: UserId,
    /// The new name as written by its owner.
    pub username: Sealed<Username>,
    /// Under what it is claimed.
    pub claimed: Claimed,
}

/// `user.password_changed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PasswordChanged {
    /// Whose.
    pub user: UserId,
    /// The hash of the new password.
    pub password: Sealed<PasswordHash>,
}

/// `user.role_changed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleChanged {
    /// Whose.
    pub user: UserId,
    /// The new role.
    pub role: Role,
    /// Which operator said so; `None` for whoever held the installation's admin token.
    pub by: Option<UserId>,
    /// Why, in the operator's words.
    pub reason: String,
}

/// `user.disabled`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserDisabled {
    /// Who.
    pub user: UserId,
}

/// `user.key_destroyed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserKeyDestroyed {
    /// Whose.
    pub user: UserId,
}
