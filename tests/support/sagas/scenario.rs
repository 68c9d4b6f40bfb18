//! One scenario for each way a saga can go by itself, over people and posts of its own.

use super::Stand;
use commands::{Account, SagaCommand};
use events::{
    CipherKey, Content, Digest, Email, Key, PasswordHash, PostDrafted, PostId, SagaData, SagaId, Sealable, Sealed,
    Step, UserId, Username,
};
use sagas::deletion::{self, DeletionData};
use sagas::post_creation::{self, PostCreationData};
use sagas::registration::{self, RegistrationData};
use sagas::rename::{self, Change, RenameData};
use serde_json::Value;
use uuid::Uuid;

/// A saga that is to be run, and what comes of it if nothing goes wrong.
pub struct Scenario {
    /// Its name in the table.
    pub name: &'static str,
    /// Its steps, if nothing goes wrong; with each whether it can be undone.
    pub steps: Vec<(Step, bool)>,
    /// Steps that are refused by themselves.
    pub undone: Vec<Step>,
    /// What must have happened at the end, exactly once each: if completed, if compensated.
    pub events: (Vec<&'static str>, Vec<&'static str>),
    /// How many claims the person holds at the end: if completed, if compensated.
    pub claims: (usize, usize),
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Registration { taken: Option<&'static str> },
    Post { author: Author },
    Rename { email: bool, taken: bool },
    Deletion,
}

#[derive(Clone, Copy, PartialEq)]
enum Author {
    There,
    Nowhere,
    Disabled,
}

/// A saga ready to begin.
pub struct Ready {
    /// Which.
    pub saga: SagaId,
    /// On which key.
    pub key: Key,
    /// Whose claims are counted.
    pub user: UserId,
    /// What begins it.
    pub start: SagaCommand,
}

/// Every scenario. A new saga is a line here.
pub fn all() -> Vec<Scenario> {
    let register = |name, taken| Scenario::registration(name, taken);
    vec![
        register("registration", None),
        register("registration, address taken", Some("email")),
        register("registration, name taken", Some("username")),
        Scenario::post("post", Author::There),
        Scenario::post("post of nobody", Author::Nowhere),
        Scenario::post("post of a deleted author", Author::Disabled),
        Scenario::rename("rename", false, false),
        Scenario::rename("rename, both", true, false),
        Scenario::rename("rename, name taken", false, true),
        Scenario::deletion(),
    ]
}

impl Scenario {
    fn registration(name: &'static str, taken: Option<&'static str>) -> Self {
        use registration::{CLAIM_EMAIL, CLAIM_USERNAME, CONFIRM_EMAIL, CONFIRM_USERNAME};
        let all = vec![(CLAIM_EMAIL, true), (CLAIM_USERNAME, true), (CONFIRM_EMAIL, false), (CONFIRM_USERNAME, false)];
        let (steps, undone) = match taken {
            None => (all, vec![]),
            Some("email") => (all[..1].to_vec(), vec![CLAIM_EMAIL]),
            Some(_) => (all[..2].to_vec(), vec![CLAIM_USERNAME, CLAIM_EMAIL]),
        };
        let events = (vec!["user.created", "saga.completed"], vec!["saga.compensated"]);
        Self { name, steps, undone, events, claims: (2, 0), kind: Kind::Registration { taken } }
    }

    fn post(name: &'static str, author: Author) -> Self {
        use post_creation::{COMMIT_FEED_SLOT, RESERVE_FEED_SLOT};
        let (steps, undone) = match author {
            Author::There => (vec![(RESERVE_FEED_SLOT, true), (COMMIT_FEED_SLOT, false)], vec![]),
            Author::Nowhere | Author::Disabled => (vec![(RESERVE_FEED_SLOT, true)], vec![RESERVE_FEED_SLOT]),
        };
        let events = (
            vec!["post.drafted", "post.draft_published", "saga.completed"],
            vec!["post.drafted", "post.draft_dropped", "saga.compensated"],
        );
        let claims = if author == Author::There { 2 } else { 0 };
        Self { name, steps, undone, events, claims: (claims, claims), kind: Kind::Post { author } }
    }

    fn rename(name: &'static str, email: bool, taken: bool) -> Self {
        use rename::{CLAIM_EMAIL, CLAIM_USERNAME, CONFIRM_EMAIL, CONFIRM_USERNAME, VACATE_EMAIL, VACATE_USERNAME};
        let mut steps = vec![(CLAIM_USERNAME, true), (CONFIRM_USERNAME, false), (VACATE_USERNAME, false)];
        let mut completed = vec!["user.username_changed", "saga.completed"];
        if email {
            steps.extend([(CLAIM_EMAIL, true), (CONFIRM_EMAIL, false), (VACATE_EMAIL, false)]);
            completed.push("user.email_changed");
        }
        let undone = if taken { vec![CLAIM_USERNAME] } else { vec![] };
        if taken {
            steps.truncate(1);
        }
        let events = (completed, vec!["saga.compensated"]);
        Self { name, steps, undone, events, claims: (2, 2), kind: Kind::Rename { email, taken } }
    }

    fn deletion() -> Self {
        use deletion::{DESTROY_KEY, ERASE, PASS_READ_MODELS, SWEEP, VACATE_EMAIL, VACATE_USERNAME};
        let steps = [ERASE, SWEEP, VACATE_EMAIL, VACATE_USERNAME, PASS_READ_MODELS, DESTROY_KEY];
        let events = (vec!["user.disabled", "user.key_destroyed", "saga.completed"], vec![]);
        let steps = steps.into_iter().map(|step| (step, false)).collect();
        Self { name: "deletion", steps, undone: vec![], events, claims: (0, 0), kind: Kind::Deletion }
    }

    /// Makes what must be there before, for the `n`th run.
    pub async fn prepare(&self, stand: &mut Stand, n: u128) -> Ready {
        let (user, other, post) = (id(n, 1), id(n, 2), PostId(uuid(n, 3)));
        let saga = SagaId(uuid(n, 10));
        let (key, data, with): (Key, SagaData, Value) = match self.kind {
            Kind::Registration { taken } => {
                let (mut email, mut username) = (digest(n, 1), digest(n, 2));
                if let Some(taken) = taken {
                    stand.register(n, other, digest(n, 3), digest(n, 4)).await;
                    *(if taken == "email" { &mut email } else { &mut username }) =
                        digest(n, if taken == "email" { 3 } else { 4 });
                }
                (Key::User(user), registration_data(user, email, username), Value::Null)
            }
            Kind::Post { author } => {
                if author != Author::Nowhere {
                    stand.register(n, user, digest(n, 1), digest(n, 2)).await;
                }
                if author == Author::Disabled {
                    stand
                        .run_saga(SagaId(uuid(n, 11)), Key::User(user), DeletionData { user }.into(), Value::Null)
                        .await;
                }
                let content = sealed(user, &Content::parse("hello").expect("short"));
                let drafted = PostDrafted { post, author: user, content, hashtags: None, mentions: None };
                let data = PostCreationData { post, author: user };
                (Key::Post(post), data.into(), post_creation::opening(&drafted))
            }
            Kind::Rename { email, taken } => {
                stand.register(n, user, digest(n, 1), digest(n, 2)).await;
                if taken {
                    stand.register(n, other, digest(n, 3), digest(n, 4)).await;
                }
                let account = stand.account(user).await;
                (Key::User(user), rename_data(n, user, &account, email), Value::Null)
            }
            Kind::Deletion => {
                stand.register(n, user, digest(n, 1), digest(n, 2)).await;
                (Key::User(user), DeletionData { user }.into(), Value::Null)
            }
        };
        Ready { saga, key, user, start: SagaCommand::Start { saga, data, with } }
    }
}

pub(super) fn uuid(n: u128, kind: u128) -> Uuid {
    Uuid::from_u128((n << 32) + kind)
}

fn id(n: u128, kind: u128) -> UserId {
    UserId(uuid(n, kind))
}

fn digest(n: u128, kind: u8) -> Digest {
    let mut digest = [kind; 32];
    digest[..16].copy_from_slice(&n.to_be_bytes());
    Digest(digest)
}

fn sealed<T: Sealable>(user: UserId, value: &T) -> Sealed<T> {
    Sealed::seal(value, &CipherKey::new(user.into(), &[1; 32]))
}

pub(super) fn registration_data(user: UserId, email_claim: Digest, username_claim: Digest) -> SagaData {
    let data = RegistrationData {
        user,
        email: sealed(user, &Email::parse("ada@example.com").expect("one")),
        username: sealed(user, &Username::parse("ada").expect("one")),
        password: sealed(user, &PasswordHash::new("$argon2id$".to_owned())),
        email_claim,
        username_claim,
    };
    data.into()
}

fn rename_data(n: u128, user: UserId, account: &Account, with_email: bool) -> SagaData {
    let email = with_email.then(|| Change {
        from: account.email,
        to: sealed(user, &Email::parse("lovelace@example.com").expect("one")),
        claim: digest(n, 5),
    });
    let username = Some(Change {
        from: account.username,
        to: sealed(user, &Username::parse("lovelace").expect("one")),
        claim: digest(n, 4),
    });
    RenameData { user, email, username }.into()
}
