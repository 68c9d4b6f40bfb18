//! Identifiers, one type for each thing, so that a post's id cannot stand where a user's is asked for.
//!
//! No order may ever be derived from an id: some are UUIDv7, some are derived from an idempotency key.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A person's account.
    UserId
);
id!(
    /// One sign-in of a user; access tokens name it.
    SessionId
);
id!(
    /// A post.
    PostId
);
id!(
    /// A comment; unique across posts.
    CommentId
);
id!(
    /// One run of a process of several steps.
    SagaId
);
id!(
    /// One intention of a client or of a saga. Sent again with the same id, it takes effect at most once.
    CommandId
);
id!(
    /// One tenure of an owner over a partition: random, taken anew with each claim.
    Incarnation
);
id!(
    /// A cipher key in the keyring. A user's values are sealed under the key whose id is the user's.
    KeyId
);

impl From<UserId> for KeyId {
    fn from(user: UserId) -> Self {
        Self(user.0)
    }
}
