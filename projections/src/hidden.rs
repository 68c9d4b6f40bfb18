//! Whom somebody does not see: a look at the blocks and mutes as they were at one moment, for all that one answer shows.

use events::UserId;
use std::collections::HashSet;
use std::sync::Arc;

/// People who are hidden from somebody. Cheap to make and to ask, however many there are.
#[derive(Clone, Debug)]
pub struct Hidden {
    pub(crate) apart: Option<Arc<HashSet<UserId>>>,
    pub(crate) muted: Option<Arc<HashSet<UserId>>>,
}

impl Hidden {
    /// Nobody is.
    pub const NOBODY: Self = Self { apart: None, muted: None };

    /// Whether one of the two blocks the other: nothing of theirs is shown.
    pub fn hides(&self, user: UserId) -> bool {
        self.apart.as_ref().is_some_and(|apart| apart.contains(&user))
    }

    /// Whether what they post is left out of the feed: as above, or they are muted.
    pub fn hides_in_feed(&self, user: UserId) -> bool {
        self.hides(user) || self.muted.as_ref().is_some_and(|muted| muted.contains(&user))
    }

    /// All whose posts are left out of the feed, in any order; who is there for two reasons comes twice.
    #[cfg(feature = "servers")]
    pub(crate) fn all_in_feed(&self) -> impl Iterator<Item = UserId> {
        self.apart.iter().chain(&self.muted).flat_map(|users| users.iter().copied())
    }
}
