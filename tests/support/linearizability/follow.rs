//! Whether one person follows another, or blocks or mutes them. Both have accounts before anybody asks, so each pair is an
//! object of its own; who has deleted theirs follows nobody any more, but whom they followed is unfollowed one by one.

use super::{Effect, Object, Why};

/// One person following another.
pub struct Follow;

/// The state of a [`Follow`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct State {
    follows: bool,
    /// The follower has no account any more.
    deleted: bool,
}

/// What can be asked of a [`Follow`].
#[derive(Clone, Debug)]
pub enum Op {
    /// To follow.
    Start,
    /// To follow oneself.
    StartOneself,
    /// To follow no longer.
    End,
    /// To be parted by a block.
    Sever,
    /// To delete the account of the one who follows.
    DeleteAccount,
}

impl Object for Follow {
    type State = State;
    type Op = Op;

    fn step(state: &mut State, op: &Op) -> Effect {
        let State { follows, deleted } = state;
        match op {
            Op::DeleteAccount if *deleted => Effect::Already,
            Op::DeleteAccount => {
                *deleted = true;
                Effect::Happens
            }
            Op::Start | Op::StartOneself if *deleted => Effect::Refused(Why::NotFound),
            Op::StartOneself => Effect::Refused(Why::SelfFollow),
            Op::Sever => {
                *follows = false;
                Effect::Happens
            }
            Op::Start if *follows => Effect::Already,
            Op::End if !*follows => Effect::Refused(Why::NotFound),
            Op::Start | Op::End => {
                *follows = !*follows;
                Effect::Happens
            }
        }
    }
}
