//! Which key and which aggregate a command or an event is about.

use super::ClaimKey;
use crate::aggregates::{
    BlockCommand, CommentCommand, FeedSlotCommand, FollowCommand, LikeCommand, MuteCommand, PostCommand,
    SessionCommand, UserCommand,
};
use crate::command::Command;
use crate::process::SagaCommand;
use events::{
    BlockEvent, CommentEvent, CommentId, FeedSlotEvent, FollowEvent, Key, LikeEvent, MuteEvent, PostEvent, PostId,
    SagaId, SessionEvent, UserEvent, UserId,
};

/// The key on which a command must be decided, where the command itself says so.
pub(super) fn key_of(command: &Command) -> Option<Key> {
    match command {
        Command::User(
            UserCommand::ChangeBio { user, .. }
            | UserCommand::ChangePassword { user, .. }
            | UserCommand::ChangeRole { user, .. },
        )
        | Command::Session(
            SessionCommand::Open { user, .. }
            | SessionCommand::Refresh { user, .. }
            | SessionCommand::Close { user, .. }
            | SessionCommand::CloseAll { user, .. },
        ) => Some(Key::User(*user)),
        Command::Follow(command) => Some(Key::User(follow_of(command).0)),
        Command::Block(command) => Some(Key::User(block_of(command).0)),
        Command::Mute(command) => Some(Key::User(mute_of(command).0)),
        Command::Post(
            PostCommand::Publish { post, .. } | PostCommand::Edit { post, .. } | PostCommand::Delete { post, .. },
        ) => Some(Key::Post(*post)),
        Command::Comment(command) => Some(Key::Post(comment_of(command).0)),
        Command::Like(command) => Some(Key::Post(like_of(command).0)),
        Command::FeedSlot(
            FeedSlotCommand::Reserve { user, .. }
            | FeedSlotCommand::Commit { user, .. }
            | FeedSlotCommand::Release { user, .. },
        ) => Some(Key::User(*user)),
        Command::Saga(_) | Command::Claim(_) => None,
    }
}

pub(super) fn follow_of(command: &FollowCommand) -> (UserId, UserId) {
    match command {
        FollowCommand::Start { follower, followee }
        | FollowCommand::End { follower, followee }
        | FollowCommand::Sever { follower, followee } => (*follower, *followee),
    }
}

pub(super) fn block_of(BlockCommand::End { user, target }: &BlockCommand) -> (UserId, UserId) {
    (*user, *target)
}

pub(super) fn mute_of(command: &MuteCommand) -> (UserId, UserId) {
    match command {
        MuteCommand::Start { user, target } | MuteCommand::End { user, target } => (*user, *target),
    }
}

pub(super) fn comment_of(command: &CommentCommand) -> (PostId, CommentId) {
    match command {
        CommentCommand::Add { post, comment, .. } | CommentCommand::Delete { post, comment, .. } => (*post, *comment),
    }
}

pub(super) fn like_of(command: &LikeCommand) -> (PostId, UserId) {
    match command {
        LikeCommand::Add { post, user } | LikeCommand::Remove { post, user } => (*post, *user),
    }
}

pub(super) fn claim_of(key: &Key) -> Option<ClaimKey> {
    match key {
        Key::Email(digest) => Some((true, *digest)),
        Key::Username(digest) => Some((false, *digest)),
        Key::User(_) | Key::Post(_) => None,
    }
}

pub(crate) fn saga_of(command: &SagaCommand) -> SagaId {
    match command {
        SagaCommand::Start { saga, .. } | SagaCommand::Record { saga, .. } | SagaCommand::Order { saga, .. } => *saga,
    }
}

pub(super) fn user_in(event: &UserEvent) -> UserId {
    match event {
        UserEvent::Created(e) => e.user,
        UserEvent::BioChanged(e) => e.user,
        UserEvent::EmailChanged(e) => e.user,
        UserEvent::UsernameChanged(e) => e.user,
        UserEvent::PasswordChanged(e) => e.user,
        UserEvent::RoleChanged(e) => e.user,
        UserEvent::Disabled(e) => e.user,
        UserEvent::KeyDestroyed(e) => e.user,
    }
}

pub(super) fn session_in(event: &SessionEvent) -> UserId {
    match event {
        SessionEvent::Opened(e) => e.user,
        SessionEvent::Refreshed(e) => e.user,
        SessionEvent::Closed(e) => e.user,
    }
}

pub(super) fn follow_in(event: &FollowEvent) -> (UserId, UserId) {
    match event {
        FollowEvent::Started(e) => (e.follower, e.followee),
        FollowEvent::Ended(e) => (e.follower, e.followee),
    }
}

pub(super) fn block_in(event: &BlockEvent) -> (UserId, UserId) {
    match event {
        BlockEvent::Started(e) => (e.user, e.target),
        BlockEvent::Ended(e) => (e.user, e.target),
    }
}

pub(super) fn mute_in(event: &MuteEvent) -> (UserId, UserId) {
    match event {
        MuteEvent::Started(e) => (e.user, e.target),
        MuteEvent::Ended(e) => (e.user, e.target),
    }
}

pub(super) fn post_in(event: &PostEvent) -> PostId {
    match event {
        PostEvent::Published(e) => e.post,
        PostEvent::Drafted(e) => e.post,
        PostEvent::DraftPublished(e) => e.post,
        PostEvent::DraftDropped(e) => e.post,
        PostEvent::Edited(e) => e.post,
        PostEvent::Deleted(e) => e.post,
    }
}

pub(super) fn comment_in(event: &CommentEvent) -> (PostId, CommentId) {
    match event {
        CommentEvent::Added(e) => (e.post, e.comment),
        CommentEvent::Deleted(e) => (e.post, e.comment),
    }
}

pub(super) fn like_in(event: &LikeEvent) -> (PostId, UserId) {
    match event {
        LikeEvent::Added(e) => (e.post, e.user),
        LikeEvent::Removed(e) => (e.post, e.user),
    }
}

pub(super) fn slot_in(event: &FeedSlotEvent) -> UserId {
    match event {
        FeedSlotEvent::Reserved(e) => e.user,
        FeedSlotEvent::Committed(e) => e.user,
        FeedSlotEvent::Released(e) => e.user,
    }
}
