//! People who delete their account, while they and others go on.

use super::super::check::Asked;
use super::super::story::Deed;
use super::super::world::World;
use commands::{Answer, Ended, Process, Request, SagaCommand};
use events::{Key, UserId};
use projections::Sessions;
use projections::sessions::SessionState;
use sagas::deletion::{Deletion, DeletionData};
use serde_json::Value;
use tokio::time::sleep;

impl World {
    /// Sooner or later somebody has enough.
    pub(in super::super) async fn have_enough(self) {
        sleep(self.dice.micros(500_000, 6_000_000)).await;
        if let Some(user) = self.people.somebody_else(&self.dice) {
            self.leave(user).await;
        }
    }

    /// Somebody deletes their account. When they are told that it is gone, nobody can use it any more.
    async fn leave(&self, user: UserId) {
        let cipher = self.keyring.key(user.into());
        let saga = self.saga_of(Deletion::NAME, user.0);
        let start = SagaCommand::Start { saga, data: DeletionData { user }.into(), with: Value::Null };
        let request = Request { until_saga_ends: true, ..self.request(Some(user), Key::User(user), start) };
        let Answer::Ended(receipt, Ended::Completed) = self.ask(request).await else { return };
        self.story.deed(Deed::Left, user);
        let Some(session) = self.people.session(user) else { return };
        let state = self.reading.see(Sessions::NAME, receipt.position, |models| models.session(session)).await;
        if !matches!(state, Some(SessionState::Closed | SessionState::Unknown)) {
            let what = format!("{user} was told that the account is gone, and {session} is {state:?}");
            self.asked.lock().push(Asked::violation(what));
        }
        self.people.turn_away(user);
        // What they were about to say may come at any time after that.
        if let Ok(cipher) = cipher {
            sleep(self.dice.micros(0, 4_000_000)).await;
            let request = self.creation(user, &cipher);
            let answer = self.ask_once(request.clone()).await;
            self.told(&request, &answer).await;
        }
    }
}
