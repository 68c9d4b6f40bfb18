//! A saga about to begin: what it is about, what carries out and undoes each of its steps, and who must be there before.

use super::people::{Person, uuid};
use commands::{Action, Command, FeedSlotCommand, FollowCommand, Own, Process, SagaCommand};
use events::{CommandId, Key, PostId, SagaData, SagaId, Step, UserId};
use journal::{Partition, partition_of};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// A step, or the compensation of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Which step.
    pub step: Step,
    /// Whether it is about undoing it.
    pub undo: bool,
}

impl At {
    /// No step: the saga as a whole.
    pub const NOWHERE: Self = Self { step: Step::named("-"), undo: false };
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", if self.undo { "undo " } else { "" }, self.step))
    }
}

/// What is there when a saga begins.
pub(super) struct Setting {
    pub(super) run: u128,
    pub(super) person: Person,
    pub(super) before: Vec<Before>,
    pub(super) held: Vec<PostId>,
    pub(super) follows: Vec<(UserId, UserId)>,
    pub(super) partitions: u32,
}

/// A saga that comes to its end before the one that is looked at begins.
#[derive(Clone)]
pub(super) struct Before {
    pub(super) saga: SagaId,
    pub(super) key: Key,
    pub(super) data: SagaData,
}

/// What carries out what.
type Actions = Arc<dyn Fn(&At) -> Option<Action> + Send + Sync>;

/// A saga ready to begin.
#[derive(Clone)]
pub struct Ready {
    /// Which.
    pub saga: SagaId,
    /// On which key.
    pub key: Key,
    /// The steps that it takes if nothing stands in its way.
    pub steps: Vec<Step>,
    /// Who it is about.
    pub(super) person: Person,
    pub(super) start: SagaCommand,
    /// The id of the command that begins it.
    pub(super) begun_by: CommandId,
    /// Another saga, in which the person is deleted.
    pub(super) deletion: SagaId,
    /// Another saga, in which the person takes another address and name.
    pub(super) rival: SagaId,
    /// A saga that never was.
    pub(super) nobody: SagaId,
    pub(super) before: Vec<Before>,
    /// Posts that hold a place in the person's feed meanwhile.
    held: Vec<PostId>,
    /// Who follows whom before it begins.
    follows: Vec<(UserId, UserId)>,
    /// The step that its process only ever undoes.
    undone_last: Option<Step>,
    actions: Actions,
    partitions: u32,
}

impl Ready {
    pub(super) fn new<P: Process>(process: P, setting: Setting, data: P::Data, with: Value, own: Own) -> Self
    where
        P::Data: Clone + Send + Sync + Into<SagaData>,
    {
        let Setting { run, person, before, held, follows, partitions } = setting;
        let saga = SagaId(uuid(run, 10));
        let (key, steps) = (process.key(&data), process.plan(&data));
        let start = SagaCommand::Start { saga, data: data.clone().into(), with };
        let taken = steps.clone();
        let actions = move |at: &At| {
            if at.undo {
                return process.compensation(saga, &data, &at.step);
            }
            taken.contains(&at.step).then(|| process.action(saga, &data, &at.step, &own))
        };
        Self {
            saga,
            key,
            steps,
            person,
            start,
            begun_by: CommandId(uuid(run, 11)),
            deletion: SagaId(uuid(run, 12)),
            rival: SagaId(uuid(run, 13)),
            nobody: SagaId(uuid(run, 14)),
            before,
            held,
            follows,
            undone_last: P::BEFORE,
            actions: Arc::new(actions),
            partitions,
        }
    }

    /// What carries a step out, or its compensation; `None` if there is no such thing.
    pub(super) fn action(&self, at: &At) -> Option<Action> {
        (self.actions)(at)
    }

    /// Whether something undoes the step.
    pub fn can_undo(&self, step: &Step) -> bool {
        self.action(&At { step: step.clone(), undo: true }).is_some()
    }

    /// What is undone when this step is refused, in order.
    pub fn compensations(&self, refused: &Step) -> Vec<Step> {
        let requested = self.steps.iter().take_while(|step| *step != refused).chain([refused]);
        let mut undone: Vec<_> = requested.filter(|step| self.can_undo(step)).cloned().collect();
        undone.reverse();
        undone.into_iter().chain(self.undone_last.clone()).collect()
    }

    /// Everything that it may have carried out.
    pub(super) fn places(&self) -> impl Iterator<Item = At> {
        let forward = self.steps.iter().map(|step| At { step: step.clone(), undo: false });
        let back = self.steps.iter().chain(&self.undone_last).map(|step| At { step: step.clone(), undo: true });
        forward.chain(back).filter(|at| self.action(at).is_some())
    }

    /// The partition whose owner carries it out; `None` for what is done outside the log.
    pub(super) fn target(&self, at: &At) -> Option<Partition> {
        match self.action(at)? {
            Action::Command(key, _) => Some(partition_of(&key, self.partitions)),
            Action::Effect(_) => None,
        }
    }

    /// The partition that the saga is on.
    pub(super) fn own(&self) -> Partition {
        partition_of(&self.key, self.partitions)
    }

    /// What makes those follow who do when it begins.
    pub(super) fn follows(&self) -> impl Iterator<Item = (Key, Command)> {
        let start = |(follower, followee): &(UserId, UserId)| {
            let start = FollowCommand::Start { follower: *follower, followee: *followee };
            (Key::User(*follower), start.into())
        };
        self.follows.iter().map(start)
    }

    /// What takes the places that are held meanwhile, or gives them back.
    pub(super) fn places_in_feed(&self, back: bool) -> Vec<(Key, Command)> {
        let user = self.person.id;
        let command = |post: &PostId| {
            let (post, saga) = (*post, SagaId(post.0));
            let reserve = FeedSlotCommand::Reserve { user, post, saga };
            let command = if back { FeedSlotCommand::Release { user, post, saga } } else { reserve };
            (Key::User(user), command.into())
        };
        self.held.iter().map(command).collect()
    }
}
