//! The write side: what may happen (aggregates), and who decides it (the owner, the only writer of a partition).
//!
//! Invariants: a decision is made against all decisions before it, durable or not; nothing is answered before it is
//! true; whatever is in memory here can be folded from the log again. Read models are unknown here.

mod aggregates;
mod answer;
mod command;
mod nodes;
mod owner;
mod process;
mod remembered;
mod request;
mod router;
mod state;
pub mod wire;

pub use aggregates::{
    Account, AccountAt, BLOCKS_MAX, Block, BlockCommand, Claim, ClaimCommand, Comment, CommentCommand, Fact,
    FeedSlotCommand, FeedSlots, Follow, FollowCommand, Like, LikeCommand, MUTES_MAX, Mute, MuteCommand, Muter,
    POSTS_IN_CREATION_MAX, Post, PostCommand, REFRESH_GRACE, SESSION_IDLE_MAX, SESSIONS_MAX, SessionCommand, Sessions,
    User, UserCommand,
};
pub use answer::{Answer, Ended, Receipt, Refusal};
pub use command::Command;
pub use nodes::{Link, LinkError, Nodes, Replies};
pub use owner::{Owner, OwnerOptions, OwnerStatus, Phase, Recovered, limits};
pub use process::{
    Action, Desk, Effect, EffectFuture, Effects, Next, NoEffects, Order, Outcome, Own, Process, Processes, Saga,
    SagaCommand, SagaStatus, StepPhase, StepState, Toward, step_command_id,
};
pub use request::{Clock, KeyedIds, Request};
pub use router::{Delivery, LocalOwners, MAILBOX_MAX, Mailbox, REQUEST_DEADLINE_MAX, Router, Transport};
pub use state::{Decision, State};
