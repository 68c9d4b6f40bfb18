//! POST_CREATION: a draft, a place in its author's feed, and then both are made good: the draft is a post.
//!
//! That its author may still act, and has not too much under way, only the owner of the author's key can say. It says so
//! by the place: while the draft holds it nobody but the author sees the draft. The post is published in the commit that
//! records the place, and from there on there is no way back; giving the place free is all that remains.

use commands::{Action, FeedSlotCommand, Next, Own, Post, Process, Refusal, Saga};
use events::{
    Event, Key, PostDraftDropped, PostDraftPublished, PostDrafted, PostId, SagaData, SagaEvent, SagaId, Step, UserId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Takes a place in the author's feed.
pub const RESERVE_FEED_SLOT: Step = Step::named("RESERVE_FEED_SLOT");
/// Gives it free, since the draft is a post.
pub const COMMIT_FEED_SLOT: Step = Step::named("COMMIT_FEED_SLOT");

/// The process.
pub struct PostCreation;

/// What the steps need. What the post says is in the event with which it begins, and nowhere else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostCreationData {
    /// The post to be.
    pub post: PostId,
    /// Who writes it.
    pub author: UserId,
}

impl From<PostCreationData> for SagaData {
    fn from(data: PostCreationData) -> Self {
        Self::new(PostCreation::NAME, &data)
    }
}

/// What the saga begins with.
pub fn opening(draft: &PostDrafted) -> Value {
    serde_json::to_value(draft).expect("an event is plain data")
}

impl Process for PostCreation {
    const NAME: &'static str = "POST_CREATION";
    const STEPS: &'static [Step] = &[RESERVE_FEED_SLOT, COMMIT_FEED_SLOT];
    type Data = PostCreationData;

    fn key(&self, data: &PostCreationData) -> Key {
        Key::Post(data.post)
    }

    fn begin(&self, data: &PostCreationData, with: &Value, own: &Own) -> Result<Option<Vec<Event>>, Refusal> {
        match own.post {
            Post::Absent => {}
            Post::Draft { author } | Post::Published { author, .. } if author == data.author => return Ok(None),
            Post::Draft { .. } | Post::Published { .. } => return Err(Refusal::Forbidden),
            Post::Deleted => return Err(Refusal::NotFound),
        }
        let drafted = PostDrafted::deserialize(with).map_err(|error| Refusal::Fault(format!("no draft: {error}")))?;
        if (drafted.post, drafted.author) != (data.post, data.author) {
            return Err(Refusal::Fault("the draft is another one".to_owned()));
        }
        Ok(Some(vec![drafted.into()]))
    }

    fn next(&self, _: &Saga, _: &PostCreationData, event: &SagaEvent, _: &Own) -> Vec<Next> {
        match event {
            SagaEvent::Started(_) => vec![Next::Request(RESERVE_FEED_SLOT)],
            SagaEvent::StepCompleted(done) if done.step == RESERVE_FEED_SLOT => vec![Next::Request(COMMIT_FEED_SLOT)],
            SagaEvent::StepCompleted(_) => vec![Next::Complete],
            _ => Vec::new(),
        }
    }

    fn effects(&self, _: &Saga, data: &PostCreationData, event: &SagaEvent, _: &Own) -> Vec<Event> {
        let PostCreationData { post, author } = *data;
        match event {
            SagaEvent::StepCompleted(done) if done.step == RESERVE_FEED_SLOT => {
                vec![PostDraftPublished { post, author }.into()]
            }
            SagaEvent::Compensating(_) => vec![PostDraftDropped { post, author }.into()],
            _ => Vec::new(),
        }
    }

    fn action(&self, saga: SagaId, data: &PostCreationData, step: &Step, _: &Own) -> Action {
        let PostCreationData { post, author: user } = *data;
        let command = if *step == RESERVE_FEED_SLOT {
            FeedSlotCommand::Reserve { user, post, saga }
        } else {
            FeedSlotCommand::Commit { user, post, saga }
        };
        Action::Command(Key::User(user), command.into())
    }

    fn compensation(&self, saga: SagaId, data: &PostCreationData, step: &Step) -> Option<Action> {
        let PostCreationData { post, author: user } = *data;
        let release = FeedSlotCommand::Release { user, post, saga };
        (*step == RESERVE_FEED_SLOT).then(|| Action::Command(Key::User(user), release.into()))
    }

    fn is_fulfilled(&self, saga: &Saga) -> bool {
        saga.done(&RESERVE_FEED_SLOT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{ADA, Stage, sealed};
    use events::{Content, UserDisabled};
    use uuid::Uuid;

    const POST: PostId = PostId(Uuid::from_u128(50));

    fn data() -> SagaData {
        PostCreationData { post: POST, author: ADA }.into()
    }

    fn draft() -> Value {
        let content = sealed(&Content::parse("hello").unwrap());
        opening(&PostDrafted { post: POST, author: ADA, content, hashtags: None, mentions: None })
    }

    #[test]
    fn a_draft_that_has_a_place_is_a_post() {
        let mut stage = Stage::with_ada();
        let begun = stage.begin(&PostCreation, data(), draft()).unwrap();
        assert_eq!(begun, ["saga.started", "post.drafted", "saga.step_requested"]);
        let (there, here) = stage.step(&PostCreation, &data(), RESERVE_FEED_SLOT);
        assert_eq!(there.unwrap(), ["feed_slot.reserved"]);
        assert_eq!(here, ["saga.step_completed", "post.draft_published", "saga.step_requested"]);
        let (there, here) = stage.step(&PostCreation, &data(), COMMIT_FEED_SLOT);
        assert_eq!(there.unwrap(), ["feed_slot.committed"]);
        assert_eq!(here, ["saga.step_completed", "saga.completed"]);
        assert_eq!(stage.begin(&PostCreation, data(), draft()), Ok(vec![]), "it is there");
    }

    #[test]
    fn who_is_being_deleted_gets_no_place_and_the_draft_is_dropped() {
        let mut stage = Stage::with_ada();
        stage.happens(Key::User(ADA), vec![UserDisabled { user: ADA }.into()]);
        stage.begin(&PostCreation, data(), draft()).unwrap();
        let (there, here) = stage.step(&PostCreation, &data(), RESERVE_FEED_SLOT);
        assert_eq!(there, Err(Refusal::Forbidden));
        assert_eq!(here, ["saga.step_refused", "saga.compensating", "post.draft_dropped", "saga.step_requested"]);
        let (there, here) = stage.undo(&PostCreation, &data(), RESERVE_FEED_SLOT);
        assert_eq!((there, here), (vec!["feed_slot.released"], vec!["saga.step_undone", "saga.compensated"]));
        assert_eq!(stage.begin(&PostCreation, data(), draft()), Ok(vec![]), "it came to its end");
    }

    #[test]
    fn a_place_that_comes_after_it_was_given_back_is_refused() {
        let mut stage = Stage::with_ada();
        stage.begin(&PostCreation, data(), draft()).unwrap();
        assert_eq!(stage.undo(&PostCreation, &data(), RESERVE_FEED_SLOT).0, ["feed_slot.released"]);
        let (there, _) = stage.step(&PostCreation, &data(), RESERVE_FEED_SLOT);
        assert_eq!(there, Err(Refusal::Undone));
    }
}
