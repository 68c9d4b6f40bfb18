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
        /// How often something was written here: 1 when it is published, one more with each edit.
        version: u64,
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
        /// The versions of which one must be the post's; `None` if any will do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        if_version: Option<Vec<u64>>,
    },
    /// Deletes it with all that lies under it.
    Delete {
        /// Which post.
        post: PostId,
        /// Who asks.
        by: UserId,
        /// The versions of which one must be the post's; `None` if any will do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        if_version: Option<Vec<u64>>,
    },
}

impl Post {
    /// The author, if the post can be read.
    pub fn author(&self) -> Option<UserId> {
        match self {
            Self::Published { author, .. } => Some(*author),
            Self::Absent | Self::Draft { .. } | Self::Deleted => None,
        }
    }

    /// Whoever may not change it learns nothing about its version.
    fn check(&self, by: UserId, if_version: Option<&[u64]>) -> Result<(), Refusal> {
        match self {
            Self::Absent | Self::Draft { .. } | Self::Deleted => Err(Refusal::NotFound),
            Self::Published { author, .. } if *author != by => Err(Refusal::Forbidden),
            Self::Published { version, .. } if if_version.is_some_and(|wanted| !wanted.contains(version)) => {
                Err(Refusal::PreconditionFailed)
            }
            Self::Published { .. } => Ok(()),
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
                    Self::Published { author: of, .. } if *of == author => return Ok(()),
                    Self::Published { .. } | Self::Draft { .. } => return Err(Refusal::Forbidden),
                    Self::Deleted => return Err(Refusal::NotFound),
                }
                PostPublished { post, author, content, hashtags, mentions }.into()
            }
            PostCommand::Edit { post, by, content, hashtags, mentions, if_version } => {
                self.check(by, if_version.as_deref())?;
                PostEdited { post, author: by, content, hashtags, mentions }.into()
            }
            PostCommand::Delete { post, by, if_version } => {
                self.check(by, if_version.as_deref())?;
                PostDeleted { post, author: by }.into()
            }
        };
        sink.write(Fact(event), self).await;
        Ok(())
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        match event {
            PostEvent::Published(PostPublished { author, .. })
            | PostEvent::DraftPublished(PostDraftPublished { author, .. }) => {
                *self = Self::Published { author, version: 1 };
            }
            PostEvent::Drafted(PostDrafted { author, .. }) => *self = Self::Draft { author },
            PostEvent::Edited(_) => {
                if let Self::Published { version, .. } = self {
                    *version += 1;
                }
            }
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

    fn edit(by: u128, content: Sealed<Content>, if_version: Option<Vec<u64>>) -> PostCommand {
        PostCommand::Edit { post: post(), by: user(by), content, hashtags: None, mentions: None, if_version }
    }

    fn edited(content: Sealed<Content>) -> Fact<PostEvent> {
        Fact(PostEdited { post: post(), author: user(1), content, hashtags: None, mentions: None }.into())
    }

    fn delete(by: u128, if_version: Option<Vec<u64>>) -> PostCommand {
        PostCommand::Delete { post: post(), by: user(by), if_version }
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
        framework()
            .given(vec![published(content("old"))])
            .when(edit(1, new.clone(), None))
            .then_expect_events(vec![edited(new)]);
    }

    #[test]
    fn whoever_edits_or_deletes_what_has_another_version_by_now_is_told_so() {
        let (first, second, new) = (content("first"), content("second"), content("new"));
        let given = || vec![published(first.clone()), edited(second.clone())];
        for (wanted, is_met) in [(vec![2], true), (vec![1, 2], true), (vec![1], false), (vec![], false)] {
            let (edit, delete) = (edit(1, new.clone(), Some(wanted.clone())), delete(1, Some(wanted)));
            let (edits, deletes) = (framework().given(given()).when(edit), framework().given(given()).when(delete));
            if is_met {
                edits.then_expect_events(vec![edited(new.clone())]);
                deletes.then_expect_events(vec![deleted()]);
            } else {
                edits.then_expect_error(Refusal::PreconditionFailed);
                deletes.then_expect_error(Refusal::PreconditionFailed);
            }
        }
        framework().given(given()).when(edit(2, new, Some(vec![1]))).then_expect_error(Refusal::Forbidden);
        framework().given(vec![deleted()]).when(delete(1, Some(vec![1]))).then_expect_error(Refusal::NotFound);
    }

    #[test]
    fn nobody_else_deletes_it() {
        framework().given(vec![published(content("mine"))]).when(delete(2, None)).then_expect_error(Refusal::Forbidden);
    }

    #[test]
    fn nobody_touches_a_draft_but_its_saga() {
        let drafted = || {
            let content = content("soon");
            let event = PostDrafted { post: post(), author: user(1), content, hashtags: None, mentions: None };
            vec![Fact(event.into())]
        };
        framework().given(drafted()).when(delete(1, None)).then_expect_error(Refusal::NotFound);
        framework().given(drafted()).when(publish(content("now"))).then_expect_error(Refusal::Forbidden);
        let published = Fact(PostDraftPublished { post: post(), author: user(1) }.into());
        let given = drafted().into_iter().chain([published]).collect();
        framework().given(given).when(delete(1, None)).then_expect_events(vec![deleted()]);
    }

    #[test]
    fn what_is_deleted_stays_deleted() {
        let gone = || vec![published(content("gone")), deleted()];
        framework().given(gone()).when(delete(1, None)).then_expect_error(Refusal::NotFound);
        framework().given(gone()).when(publish(content("again"))).then_expect_error(Refusal::NotFound);
    }
}
