//! People who delete their account, while they and others go on.

use super::super::check::Asked;
use super::super::story::Deed;
use super::super::world::{SAYS_WITHIN, World};
use commands::{
    Answer, Command, CommentCommand, Ended, FollowCommand, LikeCommand, MuteCommand, Process, Request, SagaCommand,
};
use events::{CipherKey, CommentId, CommentText, Key, Sealed, UserId};
use futures::future::{join, join_all};
use projections::sessions::{self, SessionState};
use sagas::deletion::{Deletion, DeletionData};
use serde_json::Value;
use tokio::time::sleep;

/// What they, and others to them, are about to do when they leave.
const LAST_WORDS: usize = 6;

impl World {
    /// Sooner or later somebody has enough.
    pub(super) async fn have_enough(self) {
        sleep(self.dice.micros(500_000, 6_000_000)).await;
        let Some(user) = self.people.somebody_else(&self.dice) else { return };
        let Ok(cipher) = self.keyring.key(user.into()) else { return };
        let words = join_all((0..LAST_WORDS).map(|_| self.say_a_last_word(user, &cipher)));
        let leave = async {
            sleep(self.dice.micros(0, 200_000)).await;
            self.leave(user, &cipher).await;
        };
        join(words, leave).await;
    }

    /// Somebody deletes their account. When they are told that it is gone, nobody can use it any more.
    async fn leave(&self, user: UserId, cipher: &CipherKey) {
        let saga = self.saga_of(Deletion::NAME, user.0);
        let start = SagaCommand::Start { saga, data: DeletionData { user }.into(), with: Value::Null };
        let request = Request { until_saga_ends: true, ..self.request(Some(user), Key::User(user), start) };
        let Answer::Ended(receipt, Ended::Completed) = self.ask(request).await else { return };
        self.story.deed(Deed::Left, user);
        let Some(session) = self.people.session(user) else { return };
        let state = self.reading.see(sessions::NAME, receipt.position, |models| models.session(session)).await;
        if !matches!(state, Some(SessionState::Closed | SessionState::Unknown)) {
            let what = format!("{user} was told that the account is gone, and {session} is {state:?}");
            self.asked.lock().push(Asked::violation(what));
        }
        self.people.turn_away(user);
        let shown = self.shown();
        match self.reading.see_all(receipt.position, |models| models.shown_of(user, &shown)).await {
            Some(shown) => self.asked.lock().extend(shown.into_iter().map(Asked::violation)),
            None => self.asked.lock().push(Asked::violation(format!("no read ever saw that {user} is gone"))),
        }
        // Not even a saga of theirs that begins long after does anything.
        sleep(self.dice.micros(0, 4_000_000)).await;
        let request = self.creation(user, cipher);
        let answer = self.ask_once(request.clone()).await;
        self.told(&request, &answer).await;
    }

    /// Somebody is let in and takes their time to say what they want.
    async fn say_a_last_word(&self, user: UserId, cipher: &CipherKey) {
        let request = self.last_word(user, cipher);
        if self.is_let_in(&request).await {
            let within = u64::try_from(SAYS_WITHIN.as_micros()).expect("a few seconds");
            sleep(self.dice.micros(0, within)).await;
            let answer = self.ask_once(request.clone()).await;
            self.told(&request, &answer).await;
        }
    }

    /// Something that leaves a trace of them.
    fn last_word(&self, user: UserId, cipher: &CipherKey) -> Request {
        let posts = self.posts.lock().clone();
        let others = self.people.everybody();
        let other = *self.dice.one_of(&others);
        let by_user = |key, command: Command| self.request(Some(user), key, command);
        match (self.dice.below(8), posts.is_empty()) {
            (0, _) | (1..4, true) => self.creation(user, cipher),
            (1, _) => {
                let post = *self.dice.one_of(&posts);
                by_user(Key::Post(post), LikeCommand::Add { post, user }.into())
            }
            (2 | 3, _) => {
                let (post, comment) = (*self.dice.one_of(&posts), CommentId(self.dice.uuid()));
                let text = Sealed::seal(&CommentText::parse("one more thing").expect("short"), cipher);
                by_user(Key::Post(post), CommentCommand::Add { comment, post, author: user, text }.into())
            }
            (4, _) => by_user(Key::User(user), FollowCommand::Start { follower: user, followee: other }.into()),
            (5, _) => by_user(Key::User(user), self.block(user, other)),
            (6, _) => self.request(Some(other), Key::User(other), MuteCommand::Start { user: other, target: user }),
            (_, _) => {
                let follow = FollowCommand::Start { follower: other, followee: user };
                self.request(Some(other), Key::User(other), follow)
            }
        }
    }
}
