//! The accounts that a batch changes: read, changed one event after the other, and written as they are in the end. All events
//! of an account are on its own key, so nobody else changes it meanwhile; only a name can be taken from it.

use super::super::Claims;
use super::super::change::{Account, Change};
use super::absent::Absent;
use super::rows::{self, Stored};
use crate::text::Text;
use events::{Claimed, UserId};
use sqlx::{Error, PgConnection};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Everybody whom a batch is about.
pub(super) struct People(BTreeMap<UserId, Person>);

struct Person {
    was: Kind,
    is: State,
    has_changed: bool,
    /// Whether address or name were written, so that somebody else may have to lose them.
    has_claimed: bool,
    /// Whether a password was written.
    has_password: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Unknown,
    Here,
    Gone,
}

/// What is known of somebody.
enum State {
    Unknown,
    Here(Box<Here>),
    Gone(Tombstone),
}

/// An account that is here.
pub(super) struct Here {
    pub(super) account: Account,
    pub(super) claims: Claims,
}

/// Of an account that was.
#[derive(Clone, Copy)]
pub(super) struct Tombstone {
    pub(super) disabled: bool,
    pub(super) claims: Option<Claims>,
}

impl State {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown => Kind::Unknown,
            Self::Here(_) => Kind::Here,
            Self::Gone(_) => Kind::Gone,
        }
    }

    fn claims(&self) -> Option<Claims> {
        match self {
            Self::Unknown => None,
            Self::Here(here) => Some(here.claims),
            Self::Gone(tombstone) => tombstone.claims,
        }
    }

    /// It cannot be read any more.
    fn vanish(&mut self) {
        if let Self::Here(here) = self {
            *self = Self::Gone(Tombstone { disabled: false, claims: Some(here.claims) });
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Account)) {
        if let Self::Here(here) = self {
            change(&mut here.account);
        }
    }

    fn claim(&mut self, change: impl FnOnce(&mut Claims)) {
        match self {
            Self::Here(here) => change(&mut here.claims),
            Self::Gone(Tombstone { claims: Some(claims), .. }) => change(claims),
            Self::Unknown | Self::Gone(_) => {}
        }
    }

    fn rename(
        &mut self,
        claimed: Claimed,
        text: Option<Text>,
        claims: fn(&mut Claims) -> &mut Claimed,
        texts: fn(&mut Account) -> &mut Text,
    ) {
        self.claim(|it| *claims(it) = claimed);
        match text {
            Some(text) => self.change(|account| *texts(account) = text),
            None => self.vanish(),
        }
    }
}

impl Person {
    fn of(is: State) -> Self {
        Self { was: is.kind(), is, has_changed: false, has_claimed: false, has_password: false }
    }

    fn apply(&mut self, change: Change) {
        let state = &mut self.is;
        self.has_changed = true;
        match change {
            Change::Created { claims, account, .. } => {
                // Nobody comes back.
                if let State::Unknown = state {
                    (self.has_claimed, self.has_password) = (true, true);
                    *state = match account {
                        Some(account) => State::Here(Box::new(Here { account: *account, claims })),
                        None => State::Gone(Tombstone { disabled: false, claims: Some(claims) }),
                    };
                }
            }
            Change::Email { claimed, email, .. } => {
                self.has_claimed = true;
                state.rename(claimed, email, |claims| &mut claims.email, |account| &mut account.email);
            }
            Change::Username { claimed, username, .. } => {
                self.has_claimed = true;
                state.rename(claimed, username, |claims| &mut claims.username, |account| &mut account.username);
            }
            Change::Bio { bio, .. } => state.change(|account| account.bio = bio),
            Change::Password { password: Some(password), .. } => {
                self.has_password = true;
                state.change(|account| {
                    (account.password, account.password_version) = (password, account.password_version + 1);
                });
            }
            Change::Role { role, .. } => state.change(|account| account.role = role),
            Change::Disabled { .. } => *state = State::Gone(Tombstone { disabled: true, claims: state.claims() }),
            Change::KeyDestroyed { .. } => *state = State::Gone(Tombstone { disabled: true, claims: None }),
            Change::Password { password: None, .. } | Change::Unreadable { .. } => state.vanish(),
            Change::Followed { .. } | Change::Unfollowed { .. } | Change::Raised { .. } | Change::Lifted { .. } => {}
        }
    }
}

/// Whose account a change is about.
fn subject(change: &Change) -> Option<UserId> {
    match change {
        Change::Created { user, .. }
        | Change::Email { user, .. }
        | Change::Username { user, .. }
        | Change::Password { user, .. }
        | Change::Role { user, .. }
        | Change::Disabled { user }
        | Change::KeyDestroyed { user }
        | Change::Bio { user, .. }
        | Change::Unreadable { user } => Some(*user),
        Change::Followed { .. } | Change::Unfollowed { .. } | Change::Raised { .. } | Change::Lifted { .. } => None,
    }
}

impl People {
    /// What is stored of those whom these changes are about.
    pub(super) async fn load(transaction: &mut PgConnection, changes: &[Change]) -> Result<Self, Error> {
        let mut people: BTreeMap<_, _> =
            changes.iter().filter_map(subject).map(|user| (user, Person::of(State::Unknown))).collect();
        let ids = people.keys().map(|user| user.0).collect::<Vec<_>>();
        for stored in rows::load(transaction, &ids).await? {
            let (user, state) = match stored {
                Stored::Here(user, here) => (user, State::Here(here)),
                Stored::Gone(user, tombstone) => (user, State::Gone(tombstone)),
            };
            people.insert(user, Person::of(state));
        }
        Ok(Self(people))
    }

    pub(super) fn apply(&mut self, change: Change) {
        if let Some(person) = subject(&change).and_then(|user| self.0.get_mut(&user)) {
            person.apply(change);
        }
    }

    /// Writes those who have changed. Returns whose accounts have come or gone with that.
    pub(super) async fn write(&self, transaction: &mut PgConnection) -> Result<Absent, Error> {
        let gone = self.ids(|it| it.was == Kind::Here && it.is.kind() != Kind::Here);
        rows::delete(transaction, &gone).await?;
        rows::write_tombstones(transaction, &self.tombstones()).await?;
        rows::take_names(transaction, &self.here(|it| it.has_claimed)).await?;
        let new = self.here(|it| it.was != Kind::Here);
        let renamed = self.here(|it| it.was == Kind::Here && it.has_claimed);
        rows::write(transaction, &new, &renamed).await?;
        rows::update(transaction, &self.here(|it| it.was == Kind::Here && !it.has_claimed)).await?;
        rows::write_credentials(transaction, &self.here(|it| it.has_password)).await?;
        // Whoever is gone for good has been parted from everybody.
        let ended = |it: &Person| matches!(it.is, State::Gone(Tombstone { disabled: true, claims: None }));
        let settled = self.ids(|it| it.was != Kind::Here && (it.is.kind() == Kind::Here || ended(it)));
        Ok(Absent { settled, gone, ..Absent::default() })
    }

    fn ids(&self, which: impl Fn(&Person) -> bool) -> Vec<Uuid> {
        self.0.iter().filter(|(_, person)| which(person)).map(|(user, _)| user.0).collect()
    }

    /// The accounts that have changed and are here, of those that `which` says.
    fn here(&self, which: impl Fn(&Person) -> bool) -> Vec<(UserId, &Here)> {
        let changed = self.0.iter().filter(|(_, person)| person.has_changed && which(person));
        let here = changed.filter_map(|(user, person)| match &person.is {
            State::Here(here) => Some((*user, &**here)),
            State::Unknown | State::Gone(_) => None,
        });
        here.collect()
    }

    fn tombstones(&self) -> Vec<(UserId, Tombstone)> {
        let changed = self.0.iter().filter(|(_, person)| person.has_changed);
        let gone = changed.filter_map(|(user, person)| match person.is {
            State::Gone(tombstone) => Some((*user, tombstone)),
            State::Unknown | State::Here(_) => None,
        });
        gone.collect()
    }
}
