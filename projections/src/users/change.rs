//! What an event means to users, opened. What cannot be read, since its author's key is destroyed, comes without its text.

use super::Claims;
use crate::opener::Opener;
use crate::text::Text;
use events::{
    BioChanged, BlockEvent, Claimed, Event, FollowEvent, MuteEvent, PasswordHash, Role, SealError, Timestamp,
    UserCreated, UserEvent, UserId,
};

/// An account, but for what there is between it and others.
pub(super) struct Account {
    pub(super) email: Text,
    pub(super) username: Text,
    pub(super) bio: Option<Text>,
    pub(super) password: PasswordHash,
    pub(super) password_version: u64,
    pub(super) role: Role,
    pub(super) created_at: Timestamp,
}

/// What keeps one person from seeing another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Barrier {
    Block,
    Mute,
}

/// What an event means here, opened.
pub(super) enum Change {
    Created {
        user: UserId,
        claims: Claims,
        account: Option<Box<Account>>,
    },
    /// Without the new text the user's key is destroyed.
    Email {
        user: UserId,
        claimed: Claimed,
        email: Option<Text>,
    },
    /// Without the new text the user's key is destroyed.
    Username {
        user: UserId,
        claimed: Claimed,
        username: Option<Text>,
    },
    /// Without the new hash the user's key is destroyed.
    Password {
        user: UserId,
        password: Option<PasswordHash>,
    },
    Role {
        user: UserId,
        role: Role,
    },
    Disabled {
        user: UserId,
    },
    KeyDestroyed {
        user: UserId,
    },
    Bio {
        user: UserId,
        bio: Option<Text>,
    },
    /// The user's key is destroyed.
    Unreadable {
        user: UserId,
    },
    Followed {
        follower: UserId,
        followee: UserId,
        at: Timestamp,
    },
    Unfollowed {
        follower: UserId,
        followee: UserId,
    },
    Raised {
        barrier: Barrier,
        user: UserId,
        target: UserId,
        at: Timestamp,
    },
    Lifted {
        barrier: Barrier,
        user: UserId,
        target: UserId,
    },
}

impl Change {
    pub(super) fn of(event: &Event, at: Timestamp, opener: &Opener) -> Result<Option<Self>, SealError> {
        let change = match event {
            Event::User(UserEvent::Created(created)) => {
                let account = Account::open(created, at, opener)?.map(Box::new);
                let email = Claimed { claim: created.email_claim, version: created.email_version };
                let username = Claimed { claim: created.username_claim, version: created.username_version };
                Self::Created { user: created.user, claims: Claims { email, username }, account }
            }
            Event::User(UserEvent::BioChanged(BioChanged { user, bio: Some(bio) })) => match opener.open(*user, bio)? {
                Some(bio) => Self::Bio { user: *user, bio: Some(bio.as_str().into()) },
                None => Self::Unreadable { user: *user },
            },
            Event::User(UserEvent::BioChanged(BioChanged { user, bio: None })) => Self::Bio { user: *user, bio: None },
            Event::User(UserEvent::EmailChanged(e)) => {
                let email = opener.open(e.user, &e.email)?.map(|email| email.as_str().into());
                Self::Email { user: e.user, claimed: e.claimed, email }
            }
            Event::User(UserEvent::UsernameChanged(e)) => {
                let username = opener.open(e.user, &e.username)?.map(|username| username.as_str().into());
                Self::Username { user: e.user, claimed: e.claimed, username }
            }
            Event::User(UserEvent::PasswordChanged(e)) => {
                Self::Password { user: e.user, password: opener.open(e.user, &e.password)? }
            }
            Event::User(UserEvent::RoleChanged(e)) => Self::Role { user: e.user, role: e.role },
            Event::User(UserEvent::Disabled(e)) => Self::Disabled { user: e.user },
            Event::User(UserEvent::KeyDestroyed(e)) => Self::KeyDestroyed { user: e.user },
            Event::Follow(FollowEvent::Started(e)) => Self::Followed { follower: e.follower, followee: e.followee, at },
            Event::Follow(FollowEvent::Ended(e)) => Self::Unfollowed { follower: e.follower, followee: e.followee },
            Event::Block(BlockEvent::Started(e)) => {
                Self::Raised { barrier: Barrier::Block, user: e.user, target: e.target, at }
            }
            Event::Block(BlockEvent::Ended(e)) => {
                Self::Lifted { barrier: Barrier::Block, user: e.user, target: e.target }
            }
            Event::Mute(MuteEvent::Started(e)) => {
                Self::Raised { barrier: Barrier::Mute, user: e.user, target: e.target, at }
            }
            Event::Mute(MuteEvent::Ended(e)) => Self::Lifted { barrier: Barrier::Mute, user: e.user, target: e.target },
            Event::Session(_)
            | Event::Post(_)
            | Event::Comment(_)
            | Event::Like(_)
            | Event::FeedSlot(_)
            | Event::Claim(_)
            | Event::Saga(_) => return Ok(None),
        };
        Ok(Some(change))
    }
}

impl Account {
    fn open(created: &UserCreated, created_at: Timestamp, opener: &Opener) -> Result<Option<Self>, SealError> {
        let UserCreated { user, email, username, password, .. } = created;
        let opened = (opener.open(*user, email)?, opener.open(*user, username)?, opener.open(*user, password)?);
        let (Some(email), Some(username), Some(password)) = opened else { return Ok(None) };
        Ok(Some(Self {
            email: email.as_str().into(),
            username: username.as_str().into(),
            bio: None,
            password,
            password_version: 1,
            role: Role::default(),
            created_at,
        }))
    }
}
