//! Everything that can be asked of the write side.

use crate::aggregates::{
    BlockCommand, ClaimCommand, CommentCommand, FeedSlotCommand, FollowCommand, LikeCommand, MuteCommand, PostCommand,
    SessionCommand, UserCommand,
};
use crate::process::SagaCommand;
use serde::{Deserialize, Serialize};

/// What is asked; the request says by whom and on which key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Of an account.
    User(UserCommand),
    /// Of a session.
    Session(SessionCommand),
    /// Of a follow.
    Follow(FollowCommand),
    /// Of a block.
    Block(BlockCommand),
    /// Of a mute.
    Mute(MuteCommand),
    /// Of a post.
    Post(PostCommand),
    /// Of a comment.
    Comment(CommentCommand),
    /// Of a like.
    Like(LikeCommand),
    /// Of a place in a person's feed.
    FeedSlot(FeedSlotCommand),
    /// Of the claim to an address or a name.
    Claim(ClaimCommand),
    /// Of a saga.
    Saga(SagaCommand),
}

impl Command {
    /// Of what it is asked, for a span.
    pub fn name(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Session(_) => "session",
            Self::Follow(_) => "follow",
            Self::Block(_) => "block",
            Self::Mute(_) => "mute",
            Self::Post(_) => "post",
            Self::Comment(_) => "comment",
            Self::Like(_) => "like",
            Self::FeedSlot(_) => "feed_slot",
            Self::Claim(_) => "claim",
            Self::Saga(SagaCommand::Start { .. }) => "saga start",
            Self::Saga(SagaCommand::Record { .. }) => "saga record",
            Self::Saga(SagaCommand::Order { .. }) => "saga order",
        }
    }
}

macro_rules! into_command {
    ($($variant:ident($command:ty)),*) => {
        $(impl From<$command> for Command {
            fn from(command: $command) -> Self {
                Self::$variant(command)
            }
        })*
    };
}

into_command!(
    User(UserCommand),
    Session(SessionCommand),
    Follow(FollowCommand),
    Block(BlockCommand),
    Mute(MuteCommand),
    Post(PostCommand),
    Comment(CommentCommand),
    Like(LikeCommand),
    FeedSlot(FeedSlotCommand),
    Claim(ClaimCommand),
    Saga(SagaCommand)
);
