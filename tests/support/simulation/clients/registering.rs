//! People who register: under names that others want too, and people who walk away before they know what came of it.

use super::super::check::Asked;
use super::super::fate;
use super::super::story::{Deed, Fault};
use super::super::world::World;
use commands::{Answer, Ended, Request, SagaCommand, SessionCommand};
use events::{Email, Key, Keyring, PasswordHash, SagaId, Sealed, SessionId, UserId, Username};
use futures::future::join_all;
use journal::partition_of;
use sagas::registration::RegistrationData;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Names that all compete for.
const NAMES: usize = 7;
/// Addresses that all compete for.
const ADDRESSES: usize = 11;
/// How often somebody in a hurry asks for the same thing at once.
const ASKS_AT_ONCE: u64 = 8;

/// A name that others want too.
pub(super) fn name(number: usize) -> String {
    format!("name{}", number % NAMES)
}

/// An address that others want too.
pub(super) fn address(number: usize) -> String {
    format!("{}@example.com", number % ADDRESSES)
}

impl World {
    /// A person registers, under a name that others want too, asks until there is an answer, and signs in.
    pub(super) async fn register(self, number: usize) {
        sleep(self.dice.micros(0, 1_500_000)).await;
        let (user, request) = self.registration(&name(number), &address(number)).await;
        match self.ask(request).await {
            Answer::Ended(_, Ended::Completed) => {
                self.story.deed(Deed::Registered, user);
                self.sign_in(user).await;
            }
            Answer::Ended(..) => self.story.deed(Deed::NotRegistered, user),
            _ => {}
        }
    }

    /// As the gateway does it for whoever has registered.
    async fn sign_in(&self, user: UserId) {
        let session = SessionId(self.dice.uuid());
        let open = SessionCommand::Open { session, user, credentials: 1, device: None };
        let request = self.request(Some(user), Key::User(user), open);
        loop {
            let answer = self.ask(request.clone()).await;
            if let Answer::Accepted(receipt) | Answer::Repeated(receipt) = answer {
                return self.people.join(user, session, receipt.position);
            }
            if fate::is_certain(&answer) {
                let what = format!("{user} has registered and cannot sign in: {answer:?}");
                return self.asked.lock().push(Asked::violation(what));
            }
        }
    }

    /// What a person who registers asks for.
    async fn registration(&self, name: &str, address: &str) -> (UserId, Request) {
        let user = UserId(self.dice.uuid());
        let key = self.keyring.create(user.into()).await.expect("a fresh key");
        let secrets = self.keyring.secrets();
        let data = RegistrationData {
            user,
            email: Sealed::seal(&Email::parse(address).expect("an address"), &key),
            username: Sealed::seal(&Username::parse(name).expect("a name"), &key),
            password: Sealed::seal(&PasswordHash::new("$argon2id$".to_owned()), &key),
            email_claim: secrets.claim("email", address),
            username_claim: secrets.claim("username", name),
        };
        let saga = SagaId(self.dice.uuid());
        let start = SagaCommand::Start { saga, data: data.into(), with: Value::Null };
        let request = self.request(None, Key::User(user), start);
        (user, Request { until_saga_ends: true, ..request })
    }

    /// Registers, perhaps several times at once, and walks away: whatever comes of it, nobody asks again.
    pub(super) async fn walk_away(self) {
        sleep(self.dice.micros(0, 6_000_000)).await;
        let name = format!("gone{}", self.dice.below(1_000_000));
        let (_, request) = self.registration(&name, &format!("{name}@example.com")).await;
        self.story.fault(Fault::GaveUp, request.id);
        self.history.asks(&request);
        self.asked.lock().push(Asked::forgotten(request.clone()));
        // The request itself may still be under way when the client is gone.
        let patience = self.dice.micros(0, 100_000);
        let asks =
            (0..*self.dice.one_of(&[1, ASKS_AT_ONCE])).map(|n| self.ask_in_passing(request.clone(), n, patience));
        join_all(asks).await;
    }

    async fn ask_in_passing(&self, request: Request, n: u64, patience: Duration) {
        sleep(Duration::from_millis(n * 4)).await;
        let partition = partition_of(&request.key, self.swarm.partitions);
        let from = self.log.landed(partition);
        if let Ok(answer) = timeout(patience, self.router.submit(request.clone())).await {
            let to = self.log.landed(partition);
            self.asked.lock().push(Asked { request, partition, from, to, answer, violation: None });
        }
    }
}
