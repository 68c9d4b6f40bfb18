//! Who has an address or a name, by the digest of its folded form.
//!
//! Only what accounts claim now is in here, so an account is not found by what it has given up, in whatever order the
//! changes of different accounts come. For a moment two can be here with one digest, when one was seen to take what the
//! other was not yet seen to give up.

use events::{Claimed, Digest, UserId};
use std::collections::BTreeSet;
use uuid::Uuid;

#[derive(Default)]
pub(super) struct Holders(BTreeSet<(Digest, u64, UserId)>);

impl Holders {
    /// Whoever has it by the highest version.
    pub(super) fn holder(&self, claim: Digest) -> Option<UserId> {
        let all = (claim, 0, UserId(Uuid::nil()))..=(claim, u64::MAX, UserId(Uuid::max()));
        self.0.range(all).next_back().map(|(.., user)| *user)
    }

    pub(super) fn add(&mut self, Claimed { claim, version }: Claimed, user: UserId) {
        self.0.insert((claim, version, user));
    }

    pub(super) fn remove(&mut self, Claimed { claim, version }: Claimed, user: UserId) {
        self.0.remove(&(claim, version, user));
    }

    pub(super) fn replace(&mut self, before: Claimed, after: Claimed, user: UserId) {
        self.remove(before, user);
        self.add(after, user);
    }
}
