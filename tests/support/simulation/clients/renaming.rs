//! People who want another address, another name, or both: of the few that others want too.

use super::super::reading::Thing;
use super::super::story::Deed;
use super::super::world::World;
use super::registering::{address, name};
use commands::{Answer, Ended, Request, SagaCommand};
use events::{CipherKey, Claimed, Digest, Email, Key, Keyring, SagaId, Sealed, UserId, Username};
use sagas::rename::{Change, RenameData};
use serde_json::Value;

/// Names and addresses to choose from.
const CHOICE: usize = 40;

impl World {
    /// Wants to be called otherwise, and looks.
    pub(super) async fn rename(&self, user: UserId) {
        let Ok(cipher) = self.keyring.key(user.into()) else { return };
        // As it was seen a moment ago: it may have changed since.
        let Some(claims) = self.reading.models().claims(user) else { return };
        let which = self.dice.below(4);
        let email = (which < 2).then(|| self.new_address(claims.email, &cipher));
        let username = (which != 1).then(|| self.new_name(claims.username, &cipher));
        let wants = username.as_ref().map(|change| change.claim);
        let data = RenameData { user, email, username, bio: None };
        let start = SagaCommand::Start { saga: SagaId(self.dice.uuid()), data: data.into(), with: Value::Null };
        let request = Request { until_saga_ends: true, ..self.request(Some(user), Key::User(user), start) };
        let answer = self.ask(request.clone()).await;
        match &answer {
            Answer::Ended(receipt, Ended::Completed) => {
                self.story.deed(Deed::Renamed, user);
                if let Some(claim) = wants {
                    self.look(receipt.position, Thing::Name(user, claim)).await;
                }
            }
            Answer::Ended(_, Ended::Compensated { .. }) | Answer::Refused(_) => {
                self.story.deed(Deed::NotRenamed, user);
            }
            _ => {}
        }
        self.ask_again(request, &answer).await;
    }

    fn new_address(&self, from: Claimed, cipher: &CipherKey) -> Change<Sealed<Email>> {
        let address = address(self.dice.below(CHOICE));
        let to = Email::parse(&address).expect("an address");
        Change { from, to: Sealed::seal(&to, cipher), claim: self.claim("email", &address) }
    }

    fn new_name(&self, from: Claimed, cipher: &CipherKey) -> Change<Sealed<Username>> {
        let name = name(self.dice.below(CHOICE));
        let written = if self.dice.once_in(4) { name.to_uppercase() } else { name.clone() };
        let to = Username::parse(&written).expect("a name");
        Change { from, to: Sealed::seal(&to, cipher), claim: self.claim("username", &name) }
    }

    fn claim(&self, kind: &str, folded: &str) -> Digest {
        self.keyring.secrets().claim(kind, folded)
    }
}
