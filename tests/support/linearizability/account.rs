//! An account: nothing can be changed in it before it was created.

use super::{Effect, Object, Why};

/// One person's account.
pub struct Account;

/// What can be asked of an [`Account`].
#[derive(Clone, Debug)]
pub enum Op {
    /// To create it.
    Create,
    /// To change the bio.
    ChangeBio,
}

impl Object for Account {
    type State = bool;
    type Op = Op;

    fn step(exists: &mut bool, op: &Op) -> Effect {
        match (op, *exists) {
            (Op::Create, true) => Effect::Already,
            (Op::ChangeBio, false) => Effect::Refused(Why::NotFound),
            (Op::Create, false) => {
                *exists = true;
                Effect::Happens
            }
            (Op::ChangeBio, true) => Effect::Happens,
        }
    }
}
