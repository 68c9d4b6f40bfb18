//! A comment under a post; decided on the post's key.

use super::{Fact, Post};
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{CommentAdded, CommentDeleted, CommentEvent, CommentId, CommentText, PostId, Sealed, UserId};
use serde::{Deserialize, Serialize};

/// What the write side must know of a comment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Comment {
    /// There is none under this id.
    #[default]
    Absent,
    /// It can be read.
    Added {
        /// Who wrote it.
        author: UserId,
    },
    /// It is gone and stays so.
    Deleted,
}

/// What can be asked of a comment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommentCommand {
    /// Adds it. Over a comment that exists it changes nothing.
    Add {
        /// The new comment.
        comment: CommentId,
        /// Under which post.
        post: PostId,
        /// Who writes it.
        author: UserId,
        /// What it says.
        text: Sealed<CommentText>,
    },
    /// Deletes it: its author may, and the author of the post.
    Delete {
        /// Which comment.
        comment: CommentId,
        /// Under which post.
        post: PostId,
        /// Who asks.
        by: UserId,
    },
}

impl Aggregate for Comment {
    const TYPE: &'static str = "comment";
    type Command = CommentCommand;
    type Event = Fact<CommentEvent>;
    type Error = Refusal;
    type Services = Post;

    async fn handle(&mut self, command: CommentCommand, under: &Post, sink: &EventSink<Self>) -> Result<(), Refusal> {
        let post_author = under.author().ok_or(Refusal::NotFound)?;
        let event: CommentEvent = match command {
            CommentCommand::Add { comment, post, author, text } => {
                match self {
                    Self::Absent => {}
                    Self::Added { author: of } if *of == author => return Ok(()),
                    Self::Added { .. } => return Err(Refusal::Forbidden),
                    Self::Deleted => return Err(Refusal::NotFound),
                }
                CommentAdded { comment, post, author, text }.into()
            }
            CommentCommand::Delete { comment, post, by } => match *self {
                Self::Added { author } if author == by || post_author == by => {
                    CommentDeleted { comment, post, author }.into()
                }
                Self::Added { .. } => return Err(Refusal::Forbidden),
                Self::Absent | Self::Deleted => return Err(Refusal::NotFound),
            },
        };
        sink.write(Fact(event), self).await;
        Ok(())
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        *self = match event {
            CommentEvent::Added(CommentAdded { author, .. }) => Self::Added { author },
            CommentEvent::Deleted(_) => Self::Deleted,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::post::tests::post;
    use super::super::user::tests::user;
    use super::*;
    use cqrs_es::test::TestFramework;
    use events::CipherKey;
    use uuid::Uuid;

    fn framework(under: Post) -> TestFramework<Comment> {
        TestFramework::with(under)
    }

    fn published() -> Post {
        Post::Published { author: user(1), version: 1 }
    }

    fn comment() -> CommentId {
        CommentId(Uuid::from_u128(70))
    }

    fn added() -> CommentAdded {
        let text = CommentText::parse("nice").unwrap();
        let text = Sealed::seal(&text, &CipherKey::new(user(2).into(), &[2; 32]));
        CommentAdded { comment: comment(), post: post(), author: user(2), text }
    }

    fn delete(by: u128) -> CommentCommand {
        CommentCommand::Delete { comment: comment(), post: post(), by: user(by) }
    }

    #[test]
    fn a_comment_is_added_once_and_only_under_a_post_that_can_be_read() {
        let CommentAdded { comment, post, author, text } = added();
        let expected = CommentAdded { comment, post, author, text: text.clone() };
        let add = CommentCommand::Add { comment, post, author, text };
        framework(published())
            .given_no_previous_events()
            .when(add.clone())
            .then_expect_events(vec![Fact(expected.clone().into())]);
        framework(published()).given(vec![Fact(expected.into())]).when(add.clone()).then_expect_events(vec![]);
        framework(Post::Deleted).given_no_previous_events().when(add).then_expect_error(Refusal::NotFound);
    }

    #[test]
    fn its_author_and_the_author_of_the_post_delete_it_and_nobody_else() {
        let gone = || vec![Fact(CommentDeleted { comment: comment(), post: post(), author: user(2) }.into())];
        for by in [1, 2] {
            framework(published()).given(vec![Fact(added().into())]).when(delete(by)).then_expect_events(gone());
        }
        framework(published()).given(vec![Fact(added().into())]).when(delete(3)).then_expect_error(Refusal::Forbidden);
    }
}
