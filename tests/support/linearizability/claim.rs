//! An address or a name, held by the registration or the rename that took it.
//!
//! Whoever takes two claims takes them one after the other, which is not one step and not meant to be. On each claim it
//! is: to take it; or to be refused while another one has it; or to take it and give it back, when the other claim was
//! refused. Taking and giving back are two calls over the whole time of the asking. What was taken is given back when its
//! holder takes another one or deletes the account, at some time after that was asked for.

use super::{Effect, Id, Object, Why};

/// One address or name.
pub struct Claim;

/// What can be asked of a [`Claim`].
#[derive(Clone, Debug)]
pub enum Op {
    /// To take it.
    Take(Id),
    /// To give it back.
    Give(Id),
}

impl Object for Claim {
    type State = Option<Id>;
    type Op = Op;

    fn step(holder: &mut Option<Id>, op: &Op) -> Effect {
        match (op, *holder) {
            (Op::Take(by), None) => {
                *holder = Some(*by);
                Effect::Happens
            }
            (Op::Take(by), Some(of)) if of == *by => Effect::Already,
            (Op::Take(_), Some(_)) => Effect::Refused(Why::Taken),
            (Op::Give(by), Some(of)) if of == *by => {
                *holder = None;
                Effect::Happens
            }
            (Op::Give(_), _) => Effect::Refused(Why::NotFound),
        }
    }
}
