//! A sign-in of a person who has an account. Its id is fresh, so it is opened once; the password never changes.

use super::{Effect, Object, Why};

/// One sign-in.
pub struct Session;

/// What can be asked of a [`Session`].
#[derive(Clone, Debug)]
pub enum Op {
    /// To sign in.
    Open,
    /// To sign out.
    Close,
}

impl Object for Session {
    type State = bool;
    type Op = Op;

    fn step(open: &mut bool, op: &Op) -> Effect {
        match (op, *open) {
            (Op::Open, true) => Effect::Already,
            (Op::Close, false) => Effect::Refused(Why::NotFound),
            (Op::Open, false) | (Op::Close, true) => {
                *open = !*open;
                Effect::Happens
            }
        }
    }
}
