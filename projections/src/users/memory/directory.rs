//! The data behind [`super::MemoryUsers`]: accounts, what there is between them, and who holds which address and name.
//!
//! Follows are kept on both sides, also those of accounts that are not here; each side counts how many of its entries
//! are of such accounts, so that a count costs nothing. Of a disabled account its claims are kept as well, until its key
//! is destroyed: its deletion has to release them.

use super::super::change::{Account, Change};
use super::super::{Claims, Follow};
use super::barriers::Barriers;
use super::holders::Holders;
use crate::dated::Dated;
use crate::hidden::Hidden;
use crate::listing::{Listing, Page};
use events::{Timestamp, UserId};
use std::collections::{HashMap, HashSet};

#[derive(Default)]
pub(super) struct Directory {
    nodes: HashMap<UserId, Node>,
    /// For good; most of them have no node any more.
    disabled: HashSet<UserId>,
    /// Of the accounts that are here.
    pub(super) emails: Holders,
    pub(super) usernames: Holders,
    pub(super) barriers: Barriers,
}

/// What is known of a user id, whether or not there is an account.
#[derive(Default)]
pub(super) struct Node {
    account: Option<Box<Account>>,
    pub(super) claims: Option<Box<Claims>>,
    pub(super) followers: Follows,
    pub(super) following: Follows,
}

/// One side of the follows of a user.
#[derive(Default)]
pub(super) struct Follows {
    pub(super) users: Dated<()>,
    /// How many of them have no account here.
    hidden: usize,
}

impl Directory {
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Created { user, claims, account } => self.create(user, claims, account),
            Change::Email { user, claimed, email: Some(email) } => {
                self.claim(user, |claims| claims.email = claimed);
                self.change(user, |account| account.email = email);
            }
            Change::Username { user, claimed, username: Some(username) } => {
                self.claim(user, |claims| claims.username = claimed);
                self.change(user, |account| account.username = username);
            }
            Change::Email { user, claimed, email: None } => {
                self.vanish(user);
                self.claim(user, |claims| claims.email = claimed);
            }
            Change::Username { user, claimed, username: None } => {
                self.vanish(user);
                self.claim(user, |claims| claims.username = claimed);
            }
            Change::Bio { user, bio } => self.change(user, |account| account.bio = bio),
            Change::Password { user, password: Some(password) } => self.change(user, |account| {
                (account.password, account.password_version) = (password, account.password_version + 1);
            }),
            Change::Password { user, password: None } => self.vanish(user),
            Change::Role { user, role } => self.change(user, |account| account.role = role),
            Change::Disabled { user } => {
                self.disabled.insert(user);
                self.vanish(user);
            }
            Change::KeyDestroyed { user } => {
                self.disabled.insert(user);
                self.vanish(user);
                self.forget_claims(user);
            }
            Change::Unreadable { user } => self.vanish(user),
            Change::Followed { follower, followee, at } => self.follow(follower, followee, at),
            Change::Unfollowed { follower, followee } => self.unfollow(follower, followee),
            Change::Raised { barrier, user, target, at } => self.barriers.raise(barrier, user, target, at),
            Change::Lifted { barrier, user, target } => self.barriers.lift(barrier, user, target),
        }
    }

    pub(super) fn account(&self, user: UserId) -> Option<(&Node, &Account)> {
        let node = self.nodes.get(&user)?;
        Some((node, node.account.as_deref()?))
    }

    /// What is known of a user id; of a disabled account too.
    pub(super) fn node(&self, user: UserId) -> Option<&Node> {
        self.nodes.get(&user)
    }

    pub(super) fn is_disabled(&self, user: UserId) -> bool {
        self.disabled.contains(&user)
    }

    pub(super) fn follows(&self, follower: UserId, followee: UserId) -> bool {
        let of = self.account(follower).filter(|_| self.is_here(followee));
        of.is_some_and(|(node, _)| node.following.users.contains(followee.0))
    }

    /// A page of people, newest first, without those who have no account or are hidden.
    pub(super) fn list(&self, people: &Dated<()>, page: Page, hidden: &Hidden) -> Listing<Follow> {
        Listing::of(page, people.newest(page.after), |(created_at, id)| {
            let user = UserId(id);
            (self.is_here(user) && !hidden.hides(user)).then_some(Follow { user, created_at })
        })
    }

    fn is_here(&self, user: UserId) -> bool {
        self.account(user).is_some()
    }

    fn create(&mut self, user: UserId, claims: Claims, account: Option<Box<Account>>) {
        let node = self.nodes.entry(user).or_default();
        // Nobody comes back.
        if node.claims.is_some() || self.disabled.contains(&user) {
            return self.prune(user);
        }
        node.claims = Some(Box::new(claims));
        if let Some(account) = account {
            node.account = Some(account);
            self.emails.add(claims.email, user);
            self.usernames.add(claims.username, user);
            self.recount(user, |hidden| hidden - 1);
        }
    }

    fn change(&mut self, user: UserId, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.nodes.get_mut(&user).and_then(|node| node.account.as_mut()) {
            change(account);
        }
    }

    /// Changes what an account claims, whether or not it is here; only what is here is found by it.
    fn claim(&mut self, user: UserId, change: impl FnOnce(&mut Claims)) {
        let Some(node) = self.nodes.get_mut(&user) else { return };
        let Some(claims) = &mut node.claims else { return };
        let before = **claims;
        change(claims);
        if node.account.is_some() {
            self.emails.replace(before.email, claims.email, user);
            self.usernames.replace(before.username, claims.username, user);
        }
    }

    fn vanish(&mut self, user: UserId) {
        let Some(node) = self.nodes.get_mut(&user) else { return };
        if node.account.take().is_some() {
            if let Some(claims) = &node.claims {
                self.emails.remove(claims.email, user);
                self.usernames.remove(claims.username, user);
            }
            self.recount(user, |hidden| hidden + 1);
        }
    }

    fn forget_claims(&mut self, user: UserId) {
        if let Some(node) = self.nodes.get_mut(&user) {
            node.claims = None;
        }
        self.prune(user);
    }

    /// Nothing stays of those of whom nothing is known.
    fn prune(&mut self, user: UserId) {
        let known = |node: &Node| {
            let follows = node.followers.users.len() + node.following.users.len();
            node.account.is_some() || node.claims.is_some() || follows > 0
        };
        if self.nodes.get(&user).is_some_and(|node| !known(node)) {
            self.nodes.remove(&user);
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
        let Some(Node { following, .. }) = self.nodes.get_mut(&follower) else { return };
        if following.users.remove(followee.0) {
            following.hidden -= followee_hidden;
            let followers = &mut self.nodes.entry(followee).or_default().followers;
            followers.users.remove(follower.0);
            followers.hidden -= follower_hidden;
            self.prune(follower);
            self.prune(followee);
        }
    }
}

impl Follows {
    /// At most this many of them, whether or not they have an account here.
    pub(super) fn some(&self, limit: usize) -> Vec<UserId> {
        self.users.ids().take(limit).map(UserId).collect()
    }

    /// How many entries the list has.
    pub(super) fn visible(&self) -> usize {
        self.users.len() - self.hidden
    }
}
