//! Whom the kit's sagas are about, and on which partitions their keys are: what a saga does on its own key and what it does
//! on each kind of other key is never one owner's, so that a kill meets the one that is meant.

use commands::Account;
use events::{
    CipherKey, Claimed, Content, Digest, Email, Key, PasswordHash, PostDrafted, PostId, Role, Sealable, Sealed, UserId,
    Username,
};
use journal::{Partition, partition_of};
use sagas::post_creation;
use sagas::registration::RegistrationData;
use sagas::rename::{Change, RenameData};
use serde_json::Value;
use uuid::Uuid;

/// Kinds of keys, each on a partition of its own.
pub const PARTITIONS_MIN: u32 = 4;

/// Somebody of a run.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) id: UserId,
    /// With what they register.
    pub(super) email: Digest,
    /// With what they register.
    pub(super) username: Digest,
    run: u128,
    partitions: u32,
}

impl Person {
    /// One of those of a run: `who` tells them apart.
    pub(super) fn of(run: u128, who: u8, partitions: u32) -> Self {
        Self::at(kind(&Key::User(UserId(Uuid::nil()))), run, who, partitions)
    }

    /// The same, with an account that is where the run has its posts: apart from everybody else's.
    pub(super) fn apart(run: u128, who: u8, partitions: u32) -> Self {
        Self::at(kind(&Key::Post(PostId(Uuid::nil()))), run, who, partitions)
    }

    fn at(kind: u32, run: u128, who: u8, partitions: u32) -> Self {
        let is_right = |id: &Uuid| is_at(kind, &Key::User(UserId(*id)), run, partitions);
        let ids = (0..).map(|salt: u128| uuid(run, u128::from(who) + (salt << 16)));
        let id = UserId(ids.into_iter().find(is_right).expect("some key is on every partition"));
        let nobody = Self { id, email: Digest::default(), username: Digest::default(), run, partitions };
        Self { email: nobody.other_email(who), username: nobody.other_username(who), ..nobody }
    }

    /// The same with another address and another name.
    pub(super) fn having(&self, email: Digest, username: Digest) -> Self {
        Self { email, username, ..self.clone() }
    }

    /// The claim of an address that nobody else of the run has.
    pub(super) fn other_email(&self, which: u8) -> Digest {
        self.digest(which, Key::Email)
    }

    /// The claim of a name that nobody else of the run has.
    pub(super) fn other_username(&self, which: u8) -> Digest {
        self.digest(which, Key::Username)
    }

    fn digest(&self, which: u8, key: impl Fn(Digest) -> Key) -> Digest {
        let salted = |salt: u64| {
            let mut digest = [which; 32];
            digest[..16].copy_from_slice(&self.run.to_be_bytes());
            digest[16..24].copy_from_slice(&salt.to_be_bytes());
            Digest(digest)
        };
        let is_right = |digest: &Digest| is_in_place(&key(*digest), self.run, self.partitions);
        (0..).map(salted).find(is_right).expect("some key is on every partition")
    }

    /// As it is registered, by the first claims of an address and a name.
    pub(super) fn account(&self) -> Account {
        let first = |claim| Claimed { claim, version: 1 };
        Account { credentials: 1, email: first(self.email), username: first(self.username), role: Role::User }
    }

    pub(super) fn registration(&self) -> RegistrationData {
        RegistrationData {
            user: self.id,
            email: self.sealed(&Email::parse("ada@example.com").expect("one")),
            username: self.sealed(&Username::parse("ada").expect("one")),
            password: self.sealed(&PasswordHash::new("$argon2id$".to_owned())),
            email_claim: self.email,
            username_claim: self.username,
        }
    }

    /// From what they have to another address, another name, or both.
    pub(super) fn rename(
        &self,
        (had_email, had_username): (Claimed, Claimed),
        email: Option<Digest>,
        username: Option<Digest>,
    ) -> RenameData {
        let to = self.sealed(&Email::parse("lovelace@example.com").expect("one"));
        let email = email.map(|claim| Change { from: had_email, to, claim });
        let to = self.sealed(&Username::parse("lovelace").expect("one"));
        let username = username.map(|claim| Change { from: had_username, to, claim });
        RenameData { user: self.id, email, username, bio: None }
    }

    /// A post of theirs, and what its creation begins with.
    pub(super) fn draft(&self) -> (PostId, Value) {
        let is_right = |id: &Uuid| is_in_place(&Key::Post(PostId(*id)), self.run, self.partitions);
        let ids = (0..).map(|salt: u128| uuid(self.run, 0xFF + (salt << 16)));
        let post = PostId(ids.into_iter().find(is_right).expect("some key is on every partition"));
        let content = self.sealed(&Content::parse("hello").expect("short"));
        let drafted = PostDrafted { post, author: self.id, content, hashtags: None, mentions: None };
        (post, post_creation::opening(&drafted))
    }

    fn sealed<T: Sealable>(&self, value: &T) -> Sealed<T> {
        Sealed::seal(value, &CipherKey::new(self.id.into(), &[1; 32]))
    }
}

/// An id of a run.
pub(super) fn uuid(run: u128, which: u128) -> Uuid {
    Uuid::from_u128((run << 64) + which)
}

/// Whether the key is where the run has its keys of this kind. Runs take turns where there are more partitions.
fn is_in_place(key: &Key, run: u128, partitions: u32) -> bool {
    is_at(kind(key), key, run, partitions)
}

fn kind(key: &Key) -> u32 {
    match key {
        Key::User(_) => 0,
        Key::Email(_) => 1,
        Key::Username(_) => 2,
        Key::Post(_) => 3,
    }
}

/// Whether the key is where the run has its keys of this kind.
fn is_at(kind: u32, key: &Key, run: u128, partitions: u32) -> bool {
    let turns = u128::from(partitions / PARTITIONS_MIN);
    let turn = u32::try_from(run % turns).expect("there are few partitions");
    partition_of(key, partitions) == Partition(turn * PARTITIONS_MIN + kind)
}
