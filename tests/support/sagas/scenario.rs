//! One scenario for each way in which a saga goes by itself, over people and posts of its own.

use super::people::{Person, uuid};
use super::ready::{At, Before, Ready, Setting};
use commands::{Own, POSTS_IN_CREATION_MAX, Process, User};
use events::{Key, PostId, SagaId, Step};
use sagas::block::{UserBlock, UserBlockData};
use sagas::deletion::{Deletion, DeletionData};
use sagas::post_creation::{PostCreation, PostCreationData, RESERVE_FEED_SLOT};
use sagas::registration::{self, Registration};
use sagas::rename::{self, Rename};
use serde_json::Value;
use std::time::Duration;

/// A saga that is to be run.
#[derive(Clone)]
pub struct Scenario {
    /// Its name in the table.
    pub name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Registration { taken: Taken },
    Post { author: Author },
    Rename { email: bool, username: bool, taken: Taken },
    Respelling,
    Deletion,
    Block { follows: bool, target: Target },
}

/// What somebody else has already.
#[derive(Clone, Copy, PartialEq)]
enum Taken {
    Nothing,
    Email,
    Username,
}

#[derive(Clone, Copy, PartialEq)]
enum Target {
    There,
    Deleted,
}

#[derive(Clone, Copy, PartialEq)]
enum Author {
    There,
    Nowhere,
    Deleted,
    /// With as many posts in creation as may be.
    Busy,
}

/// Every scenario. A new saga is a line here.
pub fn all() -> Vec<Scenario> {
    let of = |name, kind| Scenario { name, kind };
    let rename = |email, username, taken| Kind::Rename { email, username, taken };
    vec![
        of("registration", Kind::Registration { taken: Taken::Nothing }),
        of("registration, address taken", Kind::Registration { taken: Taken::Email }),
        of("registration, name taken", Kind::Registration { taken: Taken::Username }),
        of("post", Kind::Post { author: Author::There }),
        of("post of nobody", Kind::Post { author: Author::Nowhere }),
        of("post of a deleted author", Kind::Post { author: Author::Deleted }),
        of("post, no place left", Kind::Post { author: Author::Busy }),
        of("rename, name", rename(false, true, Taken::Nothing)),
        of("rename, address", rename(true, false, Taken::Nothing)),
        of("rename, both", rename(true, true, Taken::Nothing)),
        of("rename, name taken", rename(false, true, Taken::Username)),
        of("rename, both, name taken", rename(true, true, Taken::Username)),
        of("rename, spelled otherwise", Kind::Respelling),
        of("deletion", Kind::Deletion),
        of("block", Kind::Block { follows: true, target: Target::There }),
        of("block, nobody follows", Kind::Block { follows: false, target: Target::There }),
        of("block of a deleted person", Kind::Block { follows: false, target: Target::Deleted }),
    ]
}

/// How often events happen, by name; what is not named does not happen.
pub type Counts = &'static [(&'static str, usize)];

impl Scenario {
    /// The name of its process.
    pub fn process(&self) -> &'static str {
        match self.kind {
            Kind::Registration { .. } => Registration::NAME,
            Kind::Post { .. } => PostCreation::NAME,
            Kind::Rename { .. } | Kind::Respelling => Rename::NAME,
            Kind::Deletion => Deletion::NAME,
            Kind::Block { .. } => UserBlock::NAME,
        }
    }

    /// The step that is refused by itself.
    pub fn refused(&self) -> Option<Step> {
        match self.kind {
            Kind::Registration { taken: Taken::Email } => Some(registration::CLAIM_EMAIL),
            Kind::Registration { taken: Taken::Username } => Some(registration::CLAIM_USERNAME),
            Kind::Post { author: Author::Nowhere | Author::Deleted | Author::Busy } => Some(RESERVE_FEED_SLOT),
            Kind::Rename { taken: Taken::Username, .. } => Some(rename::CLAIM_USERNAME),
            _ => None,
        }
    }

    /// Whether the person has an account before it begins and it is theirs to lose.
    pub fn is_of_a_member(&self) -> bool {
        match self.kind {
            Kind::Post { author } => matches!(author, Author::There | Author::Busy),
            Kind::Rename { .. } | Kind::Respelling | Kind::Block { .. } => true,
            Kind::Registration { .. } | Kind::Deletion => false,
        }
    }

    /// Whether the person has an account by this step.
    pub(super) fn has_made_a_member(&self, ready: &Ready, at: &At) -> bool {
        self.kind == (Kind::Registration { taken: Taken::Nothing }) && !ready.can_undo(&at.step)
    }

    /// Whether another change of the person's address and name would get into its way.
    pub fn is_a_rename(&self) -> bool {
        matches!(self.kind, Kind::Rename { .. })
    }

    /// Whether the step gives back what the person may take again.
    pub(super) fn gives_back(&self, step: &Step) -> bool {
        self.is_a_rename() && [rename::VACATE_EMAIL, rename::VACATE_USERNAME].contains(step)
    }

    /// What happens on the saga's own key besides the saga itself: all of it, if it is completed or else undone.
    pub fn happens_here(&self, completed: bool) -> Counts {
        match (self.kind, completed) {
            (Kind::Registration { .. }, true) => &[("user.created", 1)],
            (Kind::Registration { .. }, false) => &[("user.key_destroyed", 1)],
            (Kind::Post { .. }, true) => &[("post.drafted", 1), ("post.draft_published", 1)],
            (Kind::Post { .. }, false) => &[("post.drafted", 1), ("post.draft_dropped", 1)],
            (Kind::Rename { email: true, username: true, .. }, true) => {
                &[("user.email_changed", 1), ("user.username_changed", 1)]
            }
            (Kind::Rename { email: true, .. }, true) => &[("user.email_changed", 1)],
            (Kind::Rename { .. } | Kind::Respelling, true) => &[("user.username_changed", 1)],
            (Kind::Rename { .. } | Kind::Respelling, false) => &[],
            (Kind::Block { follows: true, .. }, true) => &[("block.started", 1), ("follow.ended", 1)],
            (Kind::Block { follows: false, .. }, true) => &[("block.started", 1)],
            (Kind::Block { .. }, false) => &[],
            (Kind::Deletion, _) => &[("user.disabled", 1), ("user.key_destroyed", 1)],
        }
    }

    /// What happens on other keys if it is completed.
    pub fn happens_there(&self) -> Counts {
        match self.kind {
            Kind::Registration { .. } => &[("claim.reserved", 2), ("claim.confirmed", 2)],
            Kind::Post { .. } => &[("feed_slot.reserved", 1), ("feed_slot.committed", 1)],
            Kind::Rename { email: true, username: true, .. } => {
                &[("claim.reserved", 2), ("claim.confirmed", 2), ("claim.released", 2)]
            }
            Kind::Rename { .. } => &[("claim.reserved", 1), ("claim.confirmed", 1), ("claim.released", 1)],
            Kind::Block { follows: true, .. } => &[("follow.ended", 1)],
            Kind::Respelling | Kind::Block { follows: false, .. } => &[],
            Kind::Deletion => &[("claim.released", 2)],
        }
    }

    /// What one run of it is about, on a log of so many partitions.
    pub fn ready(&self, run: u128, partitions: u32) -> Ready {
        let is_block = matches!(self.kind, Kind::Block { .. });
        let other = if is_block { Person::apart } else { Person::of };
        let (person, other) = (Person::of(run, 1, partitions), other(run, 2, partitions));
        let account = person.account();
        let rename = |email, username| person.rename((account.email, account.username), email, username);
        let setting = self.setting(run, &person, &other, partitions);
        let member = Own { user: User::Active(account), ..Own::default() };
        match self.kind {
            Kind::Registration { taken } => {
                let email = if taken == Taken::Email { other.email } else { person.email };
                let username = if taken == Taken::Username { other.username } else { person.username };
                let data = person.having(email, username).registration();
                Ready::new(Registration, setting, data, Value::Null, Own::default())
            }
            Kind::Post { .. } => {
                let (post, with) = person.draft();
                Ready::new(PostCreation, setting, PostCreationData { post, author: person.id }, with, Own::default())
            }
            Kind::Rename { email, username, taken } => {
                let name = if taken == Taken::Username { other.username } else { person.other_username(3) };
                let data = rename(email.then(|| person.other_email(3)), username.then_some(name));
                Ready::new(Rename, setting, data, Value::Null, member)
            }
            Kind::Respelling => Ready::new(Rename, setting, rename(None, Some(person.username)), Value::Null, member),
            Kind::Block { .. } => {
                let data = UserBlockData { user: person.id, target: other.id };
                Ready::new(UserBlock, setting, data, Value::Null, member)
            }
            Kind::Deletion => {
                let process = Deletion { stragglers: Duration::ZERO };
                let disabled = Own { user: User::Disabled(account), ..Own::default() };
                Ready::new(process, setting, DeletionData { user: person.id }, Value::Null, disabled)
            }
        }
    }

    /// Who is there before it begins, and what has become of them.
    fn setting(&self, run: u128, person: &Person, other: &Person, partitions: u32) -> Setting {
        let of =
            |which, person: &Person, data| Before { saga: SagaId(uuid(run, which)), key: Key::User(person.id), data };
        let registered = |which, person: &Person| of(which, person, person.registration().into());
        let (person_is_there, other_is_there) = match self.kind {
            Kind::Registration { taken } => (false, taken != Taken::Nothing),
            Kind::Post { author } => (author != Author::Nowhere, false),
            Kind::Rename { taken, .. } => (true, taken != Taken::Nothing),
            Kind::Respelling | Kind::Deletion => (true, false),
            Kind::Block { .. } => (true, true),
        };
        let mut before = Vec::new();
        before.extend(person_is_there.then(|| registered(20, person)));
        before.extend(other_is_there.then(|| registered(21, other)));
        if self.kind == (Kind::Post { author: Author::Deleted }) {
            before.push(of(22, person, DeletionData { user: person.id }.into()));
        }
        if matches!(self.kind, Kind::Block { target: Target::Deleted, .. }) {
            before.push(of(23, other, DeletionData { user: other.id }.into()));
        }
        let drafts = if self.kind == (Kind::Post { author: Author::Busy }) { POSTS_IN_CREATION_MAX as u128 } else { 0 };
        let held = (0..drafts).map(|draft| PostId(uuid(run, 100 + draft))).collect();
        let both_ways = vec![(person.id, other.id), (other.id, person.id)];
        let follows = if matches!(self.kind, Kind::Block { follows: true, .. }) { both_ways } else { Vec::new() };
        Setting { run, person: person.clone(), before, held, follows, partitions }
    }
}
