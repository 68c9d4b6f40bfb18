//! What must be decided together shares a key, and a key always lands on one partition.

use crate::{Digest, PostId, UserId};
use std::fmt;
use std::str::FromStr;

/// The unit of consistency: aggregates of one key are decided in one place, in one order.
///
/// Its text form is the record's key in the log and is stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// A user with sessions, outgoing follows, blocks and mutes, and the sagas of the account.
    User(UserId),
    /// A post with its comments and likes.
    Post(PostId),
    /// The claim to an email address, by the HMAC of its folded form.
    Email(Digest),
    /// The claim to a username, by the HMAC of its folded form.
    Username(Digest),
}

/// The text is not a key of ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a key of this log (expected user:, post:, email: or username: and an id)")]
pub struct KeyError(String);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Post(id) => write!(f, "post:{id}"),
            Self::Email(digest) => write!(f, "email:{digest}"),
            Self::Username(digest) => write!(f, "username:{digest}"),
        }
    }
}

impl FromStr for Key {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let wrong = || KeyError(text.to_owned());
        let (kind, id) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            "user" => id.parse().map(Self::User).map_err(|_| wrong()),
            "post" => id.parse().map(Self::Post).map_err(|_| wrong()),
            "email" => id.parse().map(Self::Email).map_err(|_| wrong()),
            "username" => id.parse().map(Self::Username).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_text_of_a_key_parses_back_to_it() {
        for key in [
            Key::User(UserId(Uuid::from_u128(7))),
            Key::Post(PostId(Uuid::from_u128(8))),
            Key::Email(Digest([3; 32])),
            Key::Username(Digest([250; 32])),
        ] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn an_unknown_kind_is_named() {
        assert!("group:1".parse::<Key>().unwrap_err().to_string().contains("group:1"));
    }
}
