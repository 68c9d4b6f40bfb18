//! A post.

use super::Fact;
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{
    Content, Hashtags, Mentions, PostDeleted, PostDraftPublished, PostDrafted, PostEdited, PostEvent, PostId,
    PostPublished, Sealed, UserId,
};
use serde::{Deserialize, Serialize};

/// What the write side must know of a post.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Post {
    /// There is none under this id.
    #[default]
    Absent,
    /// It is being created; only its saga decides what becomes of it.
    Draft {
        /// Who writes it.
        author: UserId,
    },
    /// It can be read, commented and liked.
    Published {
        /// Who may edit and delete it.
        author: UserId,
    },
    /// It is gone and stays so.
    Deleted,
}

/// What can be asked of a post.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostCommand {
    /// Publishes it. Over a post that exists it changes nothing, so that a late retry is harmless.
    Publish {
        /// The new post.
        post: PostId,
        /// Who writes it.
        author: UserId,
        /// What it says.
        content: Sealed<Content>,
        /// Its hashtags, if any.
        hashtags: Option<Sealed<Hashtags>>,
        /// Whom it mentions, if anybody.
        mentions: Option<Sealed<Mentions>>,
    },
    /// Replaces its content.
    Edit {
        /// Which post.
        post: PostId,
        /// Who asks.
        by: UserId,
        /// What it says now.
        content: Sealed<Content>,
        /// Its hashtags now.
        hashtags: Option<Sealed<Hashtags>>,
        /// Whom it mentions now.
        mentions: Option<Sealed<Mentions>>,
    },
    /// Deletes it with all that lies under it.
    Delete {
        /// Which post.
        post: PostId,
        /// Who asks.
        by: UserId,
    },
}

impl Post {
    /// The author, if the post can be read.
    pub fn author(&self) -> Option<UserId> {
        match self {
            Self::Published { author } => Some(*author),
            Self::Absent | Self::Draft { .. } | Self::Deleted => None,
        }
    }

    fn only(&self, by: UserId) -> Result<(), Refusal> {
        match self.author() {
            None => Err(Refusal::NotFound),
            Some(author) if author != by => Err(Refusal::Forbidden),
            Some(_) => Ok(()),
        }
    }
}

impl Aggregate for Post {
    const TYPE: &'static str = "post";
    type Command = PostCommand;
    type Event = Fact<PostEvent>;
    type Error = Refusal;
    type Services = ();

    async fn handle(&mut self, command: PostCommand, (): &(), sink: &EventSink<Self>) -> Result<(), Refusal> {
        let event: PostEvent = match command {
            PostCommand::Publish { post, author, content, hashtags, mentions } => {
                match self {
                    Self::Absent => {}
                    Self::Published { author: of } if *of == author => return Ok(()),
                    Self::Published { .. } | Self::Draft { .. } => return Err(Refusal::Forbidden),
                    Self::Deleted => return Err(Refusal::NotFound),
                }
                PostPublished { post, author, content, hashtags, mentions }.into()
            }
            PostCommand::Edit { post, by, content, hashtags, mentions } => {
                self.only(by)?;
                PostEdited { post, author: by, content, hashtags, mentions }.into()
            }
            PostCommand::Delete { post, by } => {
                self.only(by)?;
                PostDeleted { post, author: by }.into()
            }
        };
        sink.write(Fact(event), self).await;
        Ok(())
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        match event {
            PostEvent::Published(PostPublished { author, .. }) => *self = Self::Published { author },
            PostEvent::Drafted(PostDrafted { author, .. }) => *self = Self::Draft { author },
            PostEvent::DraftPublished(PostDraftPublished { author, .. }) => *self = Self::Published { author },
            PostEvent::Edited(_) => {}
            PostEvent::DraftDropped(_) | PostEvent::Deleted(_) => *self = Self::Deleted,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::user::tests::user;
    use super::*;
    use cqrs_es::test::TestFramework;
    use events::CipherKey;
    use uuid::Uuid;

    fn framework() -> TestFramework<Post> {
        TestFramework::with(())
    }

    pub(in crate::aggregates) fn post() -> PostId {
        PostId(Uuid::from_u128(50))
    }

    fn content(text: &str) -> Sealed<Content> {
        Sealed::seal(&Content::parse(text).unwrap(), &CipherKey::new(user(1).into(), &[1; 32]))
    }

    fn publish(content: Sealed<Content>) -> PostCommand {
        PostCommand::Publish { post: post(), author: user(1), content, hashtags: None, mentions: None }
    }

    fn published(content: Sealed<Content>) -> Fact<PostEvent> {
        let event = PostPublished { post: post(), author: user(1), content, hashtags: None, mentions: None };
        Fact(event.into())
    }

    fn deleted() -> Fact<PostEvent> {
        Fact(PostDeleted { post: post(), author: user(1) }.into())
    }

    #[test]
    fn a_post_is_published_once() {
        let hello = content("hello");
        framework()
            .given_no_previous_events()
            .when(publish(hello.clone()))
            .then_expect_events(vec![published(hello.clone())]);
        framework().given(vec![published(hello.clone())]).when(publish(hello)).then_expect_events(vec![]);
    }

    #[test]
    fn the_author_edits() {
        let new = content("new");
        let edit =
            PostCommand::Edit { post: post(), by: user(1), content: new.clone(), hashtags: None, mentions: None };
        let edited = PostEdited { post: post(), author: user(1), content: new, hashtags: None, mentions: None };
        framework().given(vec![published(content("old"))]).when(edit).then_expect_events(vec![Fact(edited.into())]);
    }

    #[test]
    fn nobody_else_deletes_it() {
        framework()
            .given(vec![published(content("mine"))])
            .when(PostCommand::Delete { post: post(), by: user(2) })
            .then_expect_error(Refusal::Forbidden);
    }

    #[test]
    fn nobody_touches_a_draft_but_its_saga() {
        let drafted = || {
            let content = content("soon");
            let event = PostDrafted { post: post(), author: user(1), content, hashtags: None, mentions: None };
            vec![Fact(event.into())]
        };
        let delete = PostCommand::Delete { post: post(), by: user(1) };
        framework().given(drafted()).when(delete.clone()).then_expect_error(Refusal::NotFound);
        framework().given(drafted()).when(publish(content("now"))).then_expect_error(Refusal::Forbidden);
        let published = Fact(PostDraftPublished { post: post(), author: user(1) }.into());
        let given = drafted().into_iter().chain([published]).collect();
        framework().given(given).when(delete).then_expect_events(vec![deleted()]);
    }

    #[test]
    fn what_is_deleted_stays_deleted() {
        let gone = || vec![published(content("gone")), deleted()];
        framework()
            .given(gone())
            .when(PostCommand::Delete { post: post(), by: user(1) })
            .then_expect_error(Refusal::NotFound);
        framework().given(gone()).when(publish(content("again"))).then_expect_error(Refusal::NotFound);
    }
}
