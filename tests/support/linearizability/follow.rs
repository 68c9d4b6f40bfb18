//! Whether one person follows another. Both have accounts before anybody asks, and keep them, so each pair is an object
//! of its own.

use super::{Effect, Object, Why};

/// One person following another.
pub struct Follow;

/// What can be asked of a [`Follow`].
#[derive(Clone, Debug)]
pub enum Op {
    /// To follow.
    Start,
    /// To follow oneself.
    StartOneself,
    /// To follow no longer.
    End,
}

impl Object for Follow {
    type State = bool;
    type Op = Op;

    fn step(follows: &mut bool, op: &Op) -> Effect {
        match (op, *follows) {
            (Op::StartOneself, _) => Effect::Refused(Why::SelfFollow),
            (Op::Start, true) => Effect::Already,
            (Op::End, false) => Effect::Refused(Why::NotFound),
            (Op::Start, false) | (Op::End, true) => {
                *follows = !*follows;
                Effect::Happens
            }
        }
    }
}
