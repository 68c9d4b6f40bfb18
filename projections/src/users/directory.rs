//! The data behind [`super::Users`]: accounts, the follows between them, and who holds which address and name.
//!
//! Follows are kept on both sides, also those of accounts that are not here; each side counts how many of its entries
//! are of such accounts, so that a count costs nothing.

use super::Follow;
use crate::dated::Dated;
use crate::listing::{Listing, Page};
use crate::opener::Opener;
use crate::text::Text;
use events::{
    BioChanged, Digest, Event, FollowEvent, PasswordHash, SealError, Timestamp, UserCreated, UserEvent, UserId,
};
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Directory {
    nodes: HashMap<UserId, Node>,
    pub(super) emails: Claims,
    pub(super) usernames: Claims,
}

/// What is known of a user id, whether or not there is an account.
#[derive(Default)]
pub(super) struct Node {
    account: Option<Box<Account>>,
    pub(super) followers: Follows,
    pub(super) following: Follows,
}

pub(super) struct Account {
    pub(super) email: Text,
    pub(super) username: Text,
    pub(super) bio: Option<Text>,
    pub(super) password: PasswordHash,
    pub(super) password_version: u64,
    pub(super) created_at: Timestamp,
}

/// One side of the follows of a user.
#[derive(Default)]
pub(super) struct Follows {
    users: Dated<()>,
    /// How many of them have no account here.
    hidden: usize,
}

/// Who holds which address or name: whoever came with the highest version.
#[derive(Default)]
pub(super) struct Claims(HashMap<Digest, (u64, UserId)>);

/// What is claimed, and the claim's version.
type Claim = (Digest, u64);

/// What an event means here, opened.
pub(super) enum Change {
    Created {
        user: UserId,
        email: Claim,
        username: Claim,
        account: Option<Box<Account>>,
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
}

impl Change {
    pub(super) fn of(event: &Event, at: Timestamp, opener: &Opener) -> Result<Option<Self>, SealError> {
        let change = match event {
            Event::User(UserEvent::Created(created)) => {
                let account = Account::open(created, at, opener)?.map(Box::new);
                let email = (created.email_claim, created.email_version);
                let username = (created.username_claim, created.username_version);
                Self::Created { user: created.user, email, username, account }
            }
            Event::User(UserEvent::BioChanged(BioChanged { user, bio: Some(bio) })) => match opener.open(*user, bio)? {
                Some(bio) => Self::Bio { user: *user, bio: Some(bio.as_str().into()) },
                None => Self::Unreadable { user: *user },
            },
            Event::User(UserEvent::BioChanged(BioChanged { user, bio: None })) => Self::Bio { user: *user, bio: None },
            Event::Follow(FollowEvent::Started(e)) => Self::Followed { follower: e.follower, followee: e.followee, at },
            Event::Follow(FollowEvent::Ended(e)) => Self::Unfollowed { follower: e.follower, followee: e.followee },
            Event::Session(_)
            | Event::Post(_)
            | Event::Comment(_)
            | Event::Like(_)
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
            created_at,
        }))
    }
}

impl Directory {
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Created { user, email, username, account } => {
                self.emails.claim(email, user);
                self.usernames.claim(username, user);
                if let Some(account) = account {
                    self.appear(user, account);
                }
            }
            Change::Bio { user, bio } => {
                if let Some(account) = self.nodes.get_mut(&user).and_then(|node| node.account.as_mut()) {
                    account.bio = bio;
                }
            }
            Change::Unreadable { user } => self.vanish(user),
            Change::Followed { follower, followee, at } => self.follow(follower, followee, at),
            Change::Unfollowed { follower, followee } => self.unfollow(follower, followee),
        }
    }

    pub(super) fn account(&self, user: UserId) -> Option<(&Node, &Account)> {
        let node = self.nodes.get(&user)?;
        Some((node, node.account.as_deref()?))
    }

    pub(super) fn follows(&self, follower: UserId, followee: UserId) -> bool {
        let of = self.account(follower).filter(|_| self.is_here(followee));
        of.is_some_and(|(node, _)| node.following.users.contains(followee.0))
    }

    /// A page of one side, newest first, without those who have no account.
    pub(super) fn list(&self, follows: &Follows, page: Page) -> Listing<Follow> {
        Listing::of(page, follows.users.newest(page.after), |(created_at, id)| {
            let user = UserId(id);
            self.is_here(user).then_some(Follow { user, created_at })
        })
    }

    fn is_here(&self, user: UserId) -> bool {
        self.account(user).is_some()
    }

    fn appear(&mut self, user: UserId, account: Box<Account>) {
        let node = self.nodes.entry(user).or_default();
        if node.account.is_none() {
            node.account = Some(account);
            self.recount(user, |hidden| hidden - 1);
        }
    }

    fn vanish(&mut self, user: UserId) {
        if self.nodes.get_mut(&user).is_some_and(|node| node.account.take().is_some()) {
            self.recount(user, |hidden| hidden + 1);
        }
    }

    /// Changes how many are hidden on the other side of each of a user's follows.
    fn recount(&mut self, user: UserId, change: fn(usize) -> usize) {
        let node = &self.nodes[&user];
        let followers = node.followers.users.ids().map(UserId).collect::<Vec<_>>();
        let following = node.following.users.ids().map(UserId).collect::<Vec<_>>();
        for follower in followers {
            let node = self.nodes.entry(follower).or_default();
            node.following.hidden = change(node.following.hidden);
        }
        for followee in following {
            let node = self.nodes.entry(followee).or_default();
            node.followers.hidden = change(node.followers.hidden);
        }
    }

    fn follow(&mut self, follower: UserId, followee: UserId, at: Timestamp) {
        let hidden = |here: bool| usize::from(!here);
        let (follower_hidden, followee_hidden) = (hidden(self.is_here(follower)), hidden(self.is_here(followee)));
        let following = &mut self.nodes.entry(follower).or_default().following;
        if following.users.insert(followee.0, at, ()) {
            following.hidden += followee_hidden;
            let followers = &mut self.nodes.entry(followee).or_default().followers;
            followers.users.insert(follower.0, at, ());
            followers.hidden += follower_hidden;
        }
    }

    fn unfollow(&mut self, follower: UserId, followee: UserId) {
        let hidden = |here: bool| usize::from(!here);
        let (follower_hidden, followee_hidden) = (hidden(self.is_here(follower)), hidden(self.is_here(followee)));
        let following = &mut self.nodes.entry(follower).or_default().following;
        if following.users.remove(followee.0) {
            following.hidden -= followee_hidden;
            let followers = &mut self.nodes.entry(followee).or_default().followers;
            followers.users.remove(follower.0);
            followers.hidden -= follower_hidden;
        }
    }
}

impl Follows {
    /// How many entries the list has.
    pub(super) fn visible(&self) -> usize {
        self.users.len() - self.hidden
    }
}

impl Claims {
    fn claim(&mut self, (digest, version): Claim, user: UserId) {
        let held = self.0.entry(digest).or_insert((version, user));
        if held.0 < version {
            *held = (version, user);
        }
    }

    pub(super) fn holder(&self, digest: Digest) -> Option<UserId> {
        self.0.get(&digest).map(|(_, user)| *user)
    }
}
