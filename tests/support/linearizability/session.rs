//! A sign-in of a person who has an account. Its id is fresh, so it is opened once; the password never changes. With the
//! account it ends for good.

use super::{Effect, Object, Why};

/// One sign-in.
pub struct Session;

/// The state of a [`Session`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Nobody is signed in.
    #[default]
    Closed,
    /// Somebody is.
    Open,
    /// The account is gone.
    WithoutAccount,
}

/// What can be asked of a [`Session`].
#[derive(Clone, Debug)]
pub enum Op {
    /// To sign in.
    Open,
    /// To sign out.
    Close,
    /// To delete the account.
    DeleteAccount,
}

impl Object for Session {
    type State = State;
    type Op = Op;

    fn step(state: &mut State, op: &Op) -> Effect {
        *state = match (op, *state) {
            (Op::DeleteAccount, State::WithoutAccount) | (Op::Open, State::Open) => return Effect::Already,
            (_, State::WithoutAccount) | (Op::Close, State::Closed) => return Effect::Refused(Why::NotFound),
            (Op::DeleteAccount, _) => State::WithoutAccount,
            (Op::Open, State::Closed) => State::Open,
            (Op::Close, State::Open) => State::Closed,
        };
        Effect::Happens
    }
}
