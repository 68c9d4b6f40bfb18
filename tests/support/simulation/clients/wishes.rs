//! People who want one thing after another, over few users and posts, so that many want the same.

use super::super::fate;
use super::super::world::World;
use commands::{Answer, Command, CommentCommand, FollowCommand, LikeCommand, PostCommand, SessionCommand, UserCommand};
use events::{Bio, CommentId, CommentText, Content, Key, PostId, Sealed, SessionId};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::sleep;

impl World {
    /// Asks for one thing after another until all commands of the simulation were asked for.
    pub(in super::super) async fn live(self) {
        sleep(self.dice.micros(20_000, 400_000)).await;
        loop {
            let Some((key, command)) = self.wish() else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
                return;
            }
            let request = self.request(key, command.clone());
            let answer = self.ask(request.clone()).await;
            if !fate::is_certain(&answer) {
                continue;
            }
            self.note(&command, &answer);
            self.look(&command, &answer).await;
            self.ask_again(request, &answer).await;
            sleep(self.dice.micros(100, 30_000)).await;
        }
    }

    /// What a client wants, over few users and posts, so that many want the same; `None` while nobody is registered.
    fn wish(&self) -> Option<(Key, Command)> {
        let users = self.users.lock();
        if users.is_empty() {
            return None;
        }
        let choice = &users[..users.len().min(self.swarm.choice)];
        let (user, other) = (*self.dice.one_of(choice), *self.dice.one_of(choice));
        drop(users);
        let key = self.keyring.key(user.into()).expect("nobody destroys keys");
        let post = {
            let posts = self.posts.lock();
            let choice = &posts[posts.len() - posts.len().min(self.swarm.choice)..];
            if choice.is_empty() { PostId(self.dice.uuid()) } else { *self.dice.one_of(choice) }
        };
        let text = format!("text {}", self.dice.below(1_000));
        let content = Sealed::seal(&Content::parse(&text).expect("short"), &key);
        let (on_user, on_post) = (Key::User(user), Key::Post(post));
        Some(match self.dice.below(100) {
            0..10 => {
                let post = PostId(self.dice.uuid());
                let publish = PostCommand::Publish { post, author: user, content, hashtags: None, mentions: None };
                (Key::Post(post), publish.into())
            }
            10..16 => (on_post, PostCommand::Edit { post, by: user, content, hashtags: None, mentions: None }.into()),
            16..20 => (on_post, PostCommand::Delete { post, by: user }.into()),
            20..40 => (on_post, LikeCommand::Add { post, user }.into()),
            40..60 => (on_post, LikeCommand::Remove { post, user }.into()),
            60..68 => {
                let text = Sealed::seal(&CommentText::parse(&text).expect("short"), &key);
                let comment = CommentId(self.dice.uuid());
                (on_post, CommentCommand::Add { comment, post, author: user, text }.into())
            }
            68..73 => {
                let comments = self.comments.lock();
                match comments.is_empty() {
                    true => (on_user, UserCommand::ChangeBio { user, bio: None }.into()),
                    false => {
                        let (post, comment) = *self.dice.one_of(&comments);
                        (Key::Post(post), CommentCommand::Delete { comment, post, by: user }.into())
                    }
                }
            }
            73..81 => (on_user, FollowCommand::Start { follower: user, followee: other }.into()),
            81..89 => (on_user, FollowCommand::End { follower: user, followee: other }.into()),
            89..93 => {
                let bio = Sealed::seal(&Bio::parse(&text).expect("short"), &key);
                (on_user, UserCommand::ChangeBio { user, bio: Some(bio) }.into())
            }
            93..97 => {
                let session = SessionId(self.dice.uuid());
                (on_user, SessionCommand::Open { session, user, credentials: 1 }.into())
            }
            _ => {
                let sessions = self.sessions.lock();
                let any = if sessions.is_empty() {
                    (user, SessionId(self.dice.uuid()))
                } else {
                    *self.dice.one_of(&sessions)
                };
                (Key::User(any.0), SessionCommand::Close { session: any.1, user: any.0 }.into())
            }
        })
    }

    fn note(&self, command: &Command, answer: &Answer) {
        if !matches!(answer, Answer::Accepted(_) | Answer::Repeated(_)) {
            return;
        }
        match command {
            Command::Post(PostCommand::Publish { post, .. }) => self.posts.lock().push(*post),
            Command::Comment(CommentCommand::Add { post, comment, .. }) => self.comments.lock().push((*post, *comment)),
            Command::Session(SessionCommand::Open { session, user, .. }) => {
                self.sessions.lock().push((*user, *session));
            }
            _ => {}
        }
    }
}
