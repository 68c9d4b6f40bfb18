//! People who register: under names that others want too, and people who walk away before they know what came of it.

use super::super::Fault;
use super::super::check::Asked;
use super::super::world::World;
use commands::{Answer, Ended, Request, SagaCommand};
use events::{Email, Key, Keyring, PasswordHash, SagaId, Sealed, UserId, Username};
use futures::future::join_all;
use journal::partition_of;
use sagas::registration::RegistrationData;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Names that all registrations compete for.
const NAMES: usize = 7;
/// How often somebody in a hurry asks for the same thing at once.
const ASKS_AT_ONCE: u64 = 8;

impl World {
    /// A person registers, under a name that others want too, and asks until there is an answer.
    pub(in super::super) async fn register(self, number: usize) {
        sleep(self.dice.micros(0, 1_500_000)).await;
        let (name, address) = (format!("name{}", number % NAMES), format!("{}@example.com", number % (NAMES + 4)));
        let (user, request) = self.registration(&name, &address).await;
        if let Answer::Ended(_, Ended::Completed) = self.ask(request).await {
            self.users.lock().push(user);
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
        let mut request = self.request(
            Key::User(user),
            SagaCommand::Start { saga, data: data.into(), with: serde_json::Value::Null }.into(),
        );
        request.until_saga_ends = true;
        (user, request)
    }

    /// Registers, perhaps several times at once, and walks away: whatever comes of it, nobody asks again.
    pub(in super::super) async fn walk_away(self) {
        sleep(self.dice.micros(0, 6_000_000)).await;
        let name = format!("gone{}", self.dice.below(1_000_000));
        let (_, request) = self.registration(&name, &format!("{name}@example.com")).await;
        self.story.fault(Fault::GaveUp, request.id);
        self.history.asks(&request);
        self.asked.lock().push(Asked::forgotten(request.clone()));
        // The request itself may still be under way when the client is gone.
        let patience = self.dice.micros(0, 100_000);
        let asks = (0..*self.dice.one_of(&[1, ASKS_AT_ONCE])).map(|n| self.ask_once(request.clone(), n, patience));
        join_all(asks).await;
    }

    async fn ask_once(&self, request: Request, n: u64, patience: Duration) {
        sleep(Duration::from_millis(n * 4)).await;
        let partition = partition_of(&request.key, self.swarm.partitions);
        let from = self.log.landed(partition);
        if let Ok(answer) = timeout(patience, self.router.submit(request.clone())).await {
            let to = self.log.landed(partition);
            self.asked.lock().push(Asked { request, partition, from, to, answer, violation: None });
        }
    }
}
