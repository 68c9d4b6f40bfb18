//! People who want one thing after another, over few users and posts, so that many want the same.

use super::super::fate;
use super::super::reading::Thing;
use super::super::story::Deed;
use super::super::world::World;
use commands::{
    Answer, BlockCommand, Command, CommentCommand, FollowCommand, LikeCommand, MuteCommand, PostCommand, SagaCommand,
    SessionCommand, UserCommand,
};
use events::{Bio, CommentId, CommentText, Content, Key, PostId, SagaId, Sealed, SessionId, UserId};
use sagas::block::UserBlockData;
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::sleep;

/// What somebody wants.
enum Wish {
    /// One command.
    Command(Key, Command),
    /// A post.
    Publish,
    /// Another name.
    Rename,
}

impl World {
    /// Asks for one thing after another until all commands of the simulation were asked for.
    pub(super) async fn live(self) {
        sleep(self.dice.micros(20_000, 400_000)).await;
        loop {
            let Some((by, wish)) = self.wish() else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
                return;
            }
            match wish {
                Wish::Command(key, command) => self.act(by, key, command).await,
                Wish::Publish => self.publish(by).await,
                Wish::Rename => self.rename(by).await,
            }
            sleep(self.dice.micros(100, 30_000)).await;
        }
    }

    /// Has one command carried out, and looks.
    async fn act(&self, by: UserId, key: Key, command: Command) {
        let request = self.request(Some(by), key, command.clone());
        let answer = self.ask(request.clone()).await;
        if !fate::is_certain(&answer) {
            return;
        }
        self.note(&command, &answer);
        if let (Answer::Accepted(receipt), Some(thing)) = (&answer, Thing::of(&command)) {
            self.look(receipt.position, thing).await;
        }
        self.ask_again(request, &answer).await;
    }

    /// What somebody wants, and who; `None` while nobody is here.
    fn wish(&self) -> Option<(UserId, Wish)> {
        let (user, other) = (self.anybody()?, self.anybody()?);
        // Whoever has no key any more has left.
        let key = self.keyring.key(user.into()).ok()?;
        let post = {
            let posts = self.posts.lock();
            let choice = &posts[posts.len() - posts.len().min(self.swarm.choice)..];
            if choice.is_empty() { PostId(self.dice.uuid()) } else { *self.dice.one_of(choice) }
        };
        let text = format!("text {}", self.dice.below(1_000));
        let content = Sealed::seal(&Content::parse(&text).expect("short"), &key);
        let (on_user, on_post) = (Key::User(user), Key::Post(post));
        let (key, command) = match self.dice.below(100) {
            0..8 => return Some((user, Wish::Publish)),
            8..14 => {
                let edit =
                    PostCommand::Edit { post, by: user, content, hashtags: None, mentions: None, if_version: None };
                (on_post, edit.into())
            }
            14..18 => (on_post, PostCommand::Delete { post, by: user, if_version: None }.into()),
            18..38 => (on_post, LikeCommand::Add { post, user }.into()),
            38..58 => (on_post, LikeCommand::Remove { post, user }.into()),
            58..68 => {
                let text = Sealed::seal(&CommentText::parse(&text).expect("short"), &key);
                let comment = CommentId(self.dice.uuid());
                (on_post, CommentCommand::Add { comment, post, author: user, text }.into())
            }
            68..71 => return Some((user, Wish::Rename)),
            71..75 => {
                let comments = self.comments.lock();
                match comments.is_empty() {
                    true => (on_user, UserCommand::ChangeBio { user, bio: None }.into()),
                    false => {
                        let (post, comment) = *self.dice.one_of(&comments);
                        (Key::Post(post), CommentCommand::Delete { comment, post, by: user }.into())
                    }
                }
            }
            75..82 => (on_user, FollowCommand::Start { follower: user, followee: other }.into()),
            82..85 => (on_user, FollowCommand::End { follower: user, followee: other }.into()),
            85 => (on_user, self.block(user, other)),
            86 => (on_user, BlockCommand::End { user, target: other }.into()),
            87 => (on_user, MuteCommand::Start { user, target: other }.into()),
            88 => (on_user, MuteCommand::End { user, target: other }.into()),
            89..93 => {
                let bio = Sealed::seal(&Bio::parse(&text).expect("short"), &key);
                (on_user, UserCommand::ChangeBio { user, bio: Some(bio) }.into())
            }
            93..97 => {
                let session = SessionId(self.dice.uuid());
                (on_user, SessionCommand::Open { session, user, credentials: 1, device: None }.into())
            }
            _ => {
                let sessions = self.sessions.lock();
                let any = if sessions.is_empty() {
                    (user, SessionId(self.dice.uuid()))
                } else {
                    *self.dice.one_of(&sessions)
                };
                return Some((
                    any.0,
                    Wish::Command(Key::User(any.0), SessionCommand::Close { session: any.1, user: any.0 }.into()),
                ));
            }
        };
        Some((user, Wish::Command(key, command)))
    }

    /// What begins a block.
    pub(super) fn block(&self, user: UserId, target: UserId) -> Command {
        let (saga, data) = (SagaId(self.dice.uuid()), UserBlockData { user, target }.into());
        SagaCommand::Start { saga, data, with: Value::Null }.into()
    }

    /// One of the few whom clients choose from.
    fn anybody(&self) -> Option<UserId> {
        self.people.anybody(&self.dice, self.swarm.choice)
    }

    fn note(&self, command: &Command, answer: &Answer) {
        if !matches!(answer, Answer::Accepted(_) | Answer::Repeated(_)) {
            return;
        }
        match command {
            Command::Comment(CommentCommand::Add { post, comment, .. }) => self.comments.lock().push((*post, *comment)),
            Command::Saga(_) => self.story.deed(Deed::Blocked, format_args!("{command:?}")),
            Command::Session(SessionCommand::Open { session, user, .. }) => {
                self.sessions.lock().push((*user, *session));
            }
            _ => {}
        }
    }
}
