//! Who has an account in a simulation and is signed in, and who is let in: as the gateway decides it, by what the read
//! models say of the session at that moment.

use super::super::Dice;
use super::super::story::Deed;
use super::super::world::World;
use commands::{Command, FollowCommand, MuteCommand, Process, Request, SagaCommand};
use events::{SessionId, UserId};
use journal::Position;
use parking_lot::Mutex;
use projections::sessions::{self, SessionState};
use sagas::block::{UserBlock, UserBlockData};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Somebody with an account.
#[derive(Clone, Copy)]
struct Person {
    user: UserId,
    /// In which they are signed in. It ends with the account and not before.
    session: SessionId,
    /// Where that was opened.
    opened: Position,
}

/// Everybody who has, or had, an account. Clones are the same people.
#[derive(Clone, Default)]
pub(in super::super) struct People(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// In the order in which they came.
    all: Vec<Person>,
    /// Who has been turned away; for good.
    gone: BTreeSet<UserId>,
}

impl People {
    /// Somebody has registered and signed in.
    pub(super) fn join(&self, user: UserId, session: SessionId, opened: Position) {
        self.0.lock().all.push(Person { user, session, opened });
    }

    /// Everybody who ever joined.
    pub(in super::super) fn everybody(&self) -> Vec<UserId> {
        self.0.lock().all.iter().map(|person| person.user).collect()
    }

    /// One of those who are here, of so many at most; `None` if nobody is.
    pub(super) fn anybody(&self, dice: &Dice, choice: usize) -> Option<UserId> {
        let inner = self.0.lock();
        let here = inner.all.iter().map(|person| person.user).filter(|user| !inner.gone.contains(user));
        let here: Vec<_> = here.take(choice).collect();
        if here.is_empty() { None } else { Some(*dice.one_of(&here)) }
    }

    /// One of those who are here and may leave: the first one stays.
    pub(super) fn somebody_else(&self, dice: &Dice) -> Option<UserId> {
        let inner = self.0.lock();
        let others = inner.all.iter().skip(1).map(|person| person.user).filter(|user| !inner.gone.contains(user));
        let others: Vec<_> = others.collect();
        if others.is_empty() { None } else { Some(*dice.one_of(&others)) }
    }

    /// In which session somebody is signed in.
    pub(super) fn session(&self, user: UserId) -> Option<SessionId> {
        self.find(user).map(|person| person.session)
    }

    fn find(&self, user: UserId) -> Option<Person> {
        self.0.lock().all.iter().find(|person| person.user == user).copied()
    }

    fn is_gone(&self, user: UserId) -> bool {
        self.0.lock().gone.contains(&user)
    }

    /// They are not let in any more.
    pub(super) fn turn_away(&self, user: UserId) {
        self.0.lock().gone.insert(user);
    }
}

impl World {
    /// Whether a request would pass the gateway now: whoever asks is signed in, whoever is to be followed, blocked or muted
    /// exists, and nobody follows across a block. Who never had an account is let in: it is for the owners to find that out.
    pub(super) async fn is_let_in(&self, request: &Request) -> bool {
        let models = self.reading.models();
        if toward(&request.command).is_some_and(|other| !models.has_account(other)) {
            return false;
        }
        if let Command::Follow(FollowCommand::Start { follower, followee }) = request.command
            && models.are_apart(follower, followee)
        {
            return false;
        }
        let Some(person) = request.actor.and_then(|user| self.people.find(user)) else { return true };
        let is_signed_in = self.is_signed_in(person).await;
        if !is_signed_in {
            self.story.deed(Deed::TurnedAway, person.user);
        }
        is_signed_in
    }

    async fn is_signed_in(&self, person: Person) -> bool {
        if self.people.is_gone(person.user) {
            return false;
        }
        let mut state = self.reading.models().session(person.session);
        if state == SessionState::Unknown {
            // It may have been opened a moment ago, or the read model is being built anew.
            let seen = self.reading.see(sessions::NAME, person.opened, |models| models.session(person.session));
            state = seen.await.unwrap_or(state);
        }
        let is_open = state == SessionState::Open { user: person.user };
        if !is_open {
            self.people.turn_away(person.user);
        }
        is_open
    }
}

/// Whom a command is about who must have an account.
fn toward(command: &Command) -> Option<UserId> {
    match command {
        Command::Follow(FollowCommand::Start { followee, .. }) => Some(*followee),
        Command::Mute(MuteCommand::Start { target, .. }) => Some(*target),
        Command::Saga(SagaCommand::Start { data, .. }) if data.process == UserBlock::NAME => {
            data.read::<UserBlockData>().ok().map(|data| data.target)
        }
        _ => None,
    }
}
