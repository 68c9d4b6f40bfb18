//! An account: nothing can be changed in it before it was created, nor after it was deleted.

use super::{Effect, Object, Why};

/// One person's account.
pub struct Account;

/// The state of an [`Account`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Nobody has created it.
    #[default]
    Absent,
    /// It can be used.
    Active,
    /// It is gone and stays so.
    Deleted,
}

/// What can be asked of an [`Account`].
#[derive(Clone, Debug)]
pub enum Op {
    /// To create it.
    Create,
    /// To change the bio.
    ChangeBio,
    /// To delete it.
    Delete,
}

impl Object for Account {
    type State = State;
    type Op = Op;

    fn step(state: &mut State, op: &Op) -> Effect {
        match (op, *state) {
            (Op::Create, State::Absent) => {
                *state = State::Active;
                Effect::Happens
            }
            (Op::Create, State::Active | State::Deleted) | (Op::Delete, State::Deleted) => Effect::Already,
            (Op::ChangeBio, State::Active) => Effect::Happens,
            (Op::Delete, State::Active) => {
                *state = State::Deleted;
                Effect::Happens
            }
            (Op::ChangeBio, State::Absent | State::Deleted) | (Op::Delete, State::Absent) => {
                Effect::Refused(Why::NotFound)
            }
        }
    }
}
