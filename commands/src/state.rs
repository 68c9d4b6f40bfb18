//! What the owner of a partition knows: the aggregates, the open sagas and the ids of what was carried out, folded from
//! the partition's commits and from nothing else.

mod store;
mod subject;

use crate::aggregates::{
    AccountAt, Block, Claim, Comment, Fact, FeedSlots, Follow, Like, Mute, Muter, Post, Sessions, User,
};
use crate::answer::{Ended, Receipt, Refusal};
use crate::command::Command;
use crate::process::{Desk, Own, Processes, Saga, SagaCommand, SagaStatus, Toward};
use crate::remembered::{CameOut, Known, Remembered};
use crate::request::Request;
use cqrs_es::Aggregate;
use events::{
    ClaimEvent, CommandId, CommentId, Commit, Digest, Event, Key, PostId, Retention, SagaData, SagaId, Timestamp,
    UserEvent, UserId,
};
use journal::{Position, Rule, Rules};
use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use store::{Counted, Store};
pub(crate) use subject::saga_of;
use subject::{
    block_in, block_of, claim_of, comment_in, comment_of, follow_in, follow_of, key_of, like_in, like_of, mute_in,
    mute_of, post_in, session_in, slot_in, user_in,
};
use uuid::Uuid;

/// What was decided on a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// These things happen, in one commit.
    Happens(Vec<Event>),
    /// Things are already as asked, since then.
    Unchanged(Receipt),
    /// The command took effect before, there.
    Repeated(Receipt),
    /// Nothing happens.
    Refused(Refusal),
}

/// The state of one partition.
#[derive(Default)]
pub struct State {
    users: Store<UserId, User>,
    sessions: Store<UserId, Sessions>,
    follows: Store<(UserId, UserId), Follow>,
    blocks: Counted<Block>,
    mutes: Counted<Mute>,
    posts: Store<PostId, Post>,
    comments: Store<(PostId, CommentId), Comment>,
    likes: Store<(PostId, UserId), Like>,
    feed_slots: Store<UserId, FeedSlots>,
    claims: Store<ClaimKey, Claim>,
    /// Those that have not ended, and those that wait for a person to look.
    sagas: Store<SagaId, Saga>,
    under_way: HashMap<SagaId, UnderWay>,
    /// Sagas that have not ended, in an order that does not depend on the process.
    open_sagas: BTreeSet<SagaId>,
    commands: Remembered,
    commits: u64,
    last_time: Timestamp,
    rules: Rules,
}

/// What is kept beside a saga until it has ended.
#[derive(Clone, Copy)]
struct UnderWay {
    /// That of the command that began it.
    retention: Retention,
    /// The last commit with which it changed its own key; the first one counts.
    acted: Receipt,
    /// How old the log was when it changed last.
    changed: Duration,
    origin: Origin,
}

/// What began a saga.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    /// All that the saga does belongs to it too.
    pub(crate) correlation: Uuid,
    pub(crate) command: CommandId,
}

/// A digest of an address is never that of a name, but the two are kept apart all the same.
type ClaimKey = (bool, Digest);

impl State {
    /// The same by these rules. All of them, outside tests.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// How many commits were folded.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// The time of the newest commit.
    pub fn last_time(&self) -> Timestamp {
        self.last_time
    }

    /// A saga, unless it has ended.
    pub fn saga(&self, id: SagaId) -> Option<&Saga> {
        self.sagas.0.get(&id).map(|entry| &entry.aggregate)
    }

    /// Sagas that have not ended, in the order of their ids.
    pub fn open_sagas(&self) -> impl Iterator<Item = (SagaId, &Saga)> {
        self.open_sagas.iter().filter_map(|id| self.saga(*id).map(|saga| (*id, saga)))
    }

    /// What can be told to whoever waits for a saga, if anything: with the commit from which on it is true, and the last
    /// one with which the saga changed its own key.
    pub(crate) fn end_of(&self, id: SagaId, processes: &Processes) -> Option<CameOut> {
        let Some(saga) = self.saga(id) else { return self.commands.saga(id).cloned() };
        let UnderWay { acted, .. } = *self.under_way.get(&id)?;
        if saga.status == SagaStatus::CompensationFailed {
            let error = saga.failure.clone().unwrap_or_default();
            return Some(CameOut { ended: Ended::Stuck { error }, last: self.sagas.changed(id)?, acted });
        }
        saga.is_fulfilled(processes).then_some(CameOut { ended: Ended::Completed, last: acted, acted })
    }

    /// How long ago a saga that is under way changed last, by the log: no clock can make it more, a jump adds a second at
    /// most, and a log without commits makes it less.
    pub(crate) fn unchanged_for(&self, id: SagaId) -> Duration {
        let changed = self.under_way.get(&id).map_or(Duration::MAX, |under_way| under_way.changed);
        self.commands.age().saturating_sub(changed)
    }

    /// What began a saga, unless it has ended.
    pub(crate) fn origin(&self, id: SagaId) -> Option<Origin> {
        self.under_way.get(&id).map(|under_way| under_way.origin)
    }

    /// What stands on a key, as far as a saga on it may decide upon it.
    pub(crate) fn own(&self, key: &Key) -> Own {
        match key {
            Key::User(user) => Own { user: self.users.get(*user), ..Own::default() },
            Key::Post(post) => Own { post: self.posts.get(*post), ..Own::default() },
            Key::Email(_) | Key::Username(_) => Own::default(),
        }
    }

    /// How the person of a key stands to whom a saga with such data is about.
    fn toward(&self, key: &Key, data: &SagaData, processes: &Processes) -> Toward {
        let (Key::User(user), Some(other)) = (*key, processes.other(data)) else { return Toward::default() };
        Toward {
            follows: self.follows.get((user, other)) == Follow::Following,
            blocks: self.blocks.pairs.get((user, other)) == Block::Blocking,
            blocked: self.blocks.of(user),
        }
    }

    /// The version of a claim, if the key is one.
    pub(crate) fn claim_version(&self, key: &Key) -> Option<u64> {
        claim_of(key).map(|claim| self.claims.get(claim).version())
    }

    /// An account. For checks, not for decisions.
    pub fn user(&self, user: UserId) -> User {
        self.users.get(user)
    }

    /// Claims that somebody holds. For checks, not for decisions.
    pub fn held_claims(&self) -> impl Iterator<Item = UserId> {
        self.claims.0.values().filter_map(|entry| entry.aggregate.user())
    }

    /// Decides a request. A panic in a handler is a refusal: it would be one again at every retry.
    pub fn decide(&self, request: &Request, processes: &Processes) -> Decision {
        if let Some(known) = self.known(request) {
            return known;
        }
        let decided = catch_unwind(AssertUnwindSafe(|| self.decide_command(request, processes)));
        match decided {
            Ok(Ok(events)) if events.is_empty() => {
                match self.unchanged_since(&request.key, &request.command, processes) {
                    Some(receipt) => {
                        Decision::Unchanged(Receipt { version: self.claim_version(&request.key), ..receipt })
                    }
                    None => Decision::Refused(Refusal::Fault("it changes nothing that is there".to_owned())),
                }
            }
            Ok(Ok(events)) => Decision::Happens(events),
            Ok(Err(refusal)) => Decision::Refused(refusal),
            Err(panic) => Decision::Refused(Refusal::Fault(panic_text(panic.as_ref()))),
        }
    }

    /// What is to be said of a command that came before, or whose compensation did.
    fn known(&self, request: &Request) -> Option<Decision> {
        match self.commands.find(request.id)? {
            Known::Undone => {
                self.rules.keep(Rule::CompensationsOvertakeSteps).then_some(Decision::Refused(Refusal::Undone))
            }
            Known::Done(_) if !self.rules.keep(Rule::RememberCommands) => None,
            Known::Done(done)
                if done.fingerprint != request.fingerprint && self.rules.keep(Rule::CompareFingerprints) =>
            {
                Some(Decision::Refused(Refusal::KeyReused))
            }
            Known::Done(done) => Some(Decision::Repeated(done.receipt)),
        }
    }

    fn decide_command(&self, request: &Request, processes: &Processes) -> Result<Vec<Event>, Refusal> {
        let misplaced = || Refusal::Fault(format!("the command does not belong on {}", request.key));
        if key_of(&request.command).is_some_and(|key| key != request.key) {
            return Err(misplaced());
        }
        match (request.command.clone(), request.key) {
            (Command::User(command), Key::User(user)) => self.users.decide(user, command, &()),
            (Command::Session(command), Key::User(user)) => {
                self.sessions.decide(user, command, &AccountAt { user: self.users.get(user), now: request.time })
            }
            (Command::Follow(command), Key::User(user)) => {
                self.follows.decide(follow_of(&command), command, &self.users.get(user))
            }
            (Command::Block(command), Key::User(_)) => self.blocks.pairs.decide(block_of(&command), command, &()),
            (Command::Mute(command), Key::User(user)) => {
                let muter = Muter { account: self.users.get(user), mutes: self.mutes.of(user) };
                self.mutes.pairs.decide(mute_of(&command), command, &muter)
            }
            (Command::Post(command), Key::Post(post)) => self.posts.decide(post, command, &()),
            (Command::Comment(command), Key::Post(post)) => {
                self.comments.decide(comment_of(&command), command, &self.posts.get(post))
            }
            (Command::Like(command), Key::Post(post)) => {
                self.likes.decide(like_of(&command), command, &self.posts.get(post))
            }
            (Command::FeedSlot(command), Key::User(user)) => {
                self.feed_slots.decide(user, command, &self.users.get(user))
            }
            (Command::Claim(command), key) => {
                let claim = claim_of(&key).ok_or_else(misplaced)?;
                self.claims.decide(claim, command, &())
            }
            (Command::Saga(SagaCommand::Start { data, .. }), key) if processes.key(&data)? != key => Err(misplaced()),
            (Command::Saga(command), key) => self.decide_saga(command, &key, request.time, processes),
            _ => Err(misplaced()),
        }
    }

    /// A saga's own events, each followed by what it does to the saga's key.
    fn decide_saga(
        &self,
        command: SagaCommand,
        key: &Key,
        now: Timestamp,
        processes: &Processes,
    ) -> Result<Vec<Event>, Refusal> {
        let id = saga_of(&command);
        let data = self.saga(id).and_then(|saga| saga.data.as_ref());
        if data.is_some_and(|data| processes.key(data).is_ok_and(|own| own != *key)) {
            return Err(Refusal::Fault(format!("saga {id} is not on {key}")));
        }
        let mut desk = Desk { processes: processes.clone(), own: self.own(key), now };
        let mut begins = match &command {
            SagaCommand::Start { data, with, .. } if self.saga(id).is_none() && self.commands.saga(id).is_none() => {
                desk.own.toward = self.toward(key, data, processes);
                match processes.begin(data, with, &desk.own)? {
                    Some(begins) => begins,
                    None => return Ok(Vec::new()),
                }
            }
            SagaCommand::Start { .. } => return Ok(Vec::new()),
            SagaCommand::Order { .. } if self.commands.saga(id).is_some() => return Err(Refusal::SagaEnded),
            SagaCommand::Record { .. } | SagaCommand::Order { .. } => Vec::new(),
        };
        let mut saga = self.sagas.get(id);
        let mut all = Vec::new();
        for event in self.sagas.decide(id, command, &desk)? {
            let Event::Saga(event) = event else { continue };
            saga.apply(Fact(event.clone()));
            let effects = saga.effects(processes, &event, &desk.own);
            all.push(Event::Saga(event));
            all.append(&mut begins);
            all.extend(effects);
        }
        Ok(all)
    }

    fn unchanged_since(&self, key: &Key, command: &Command, processes: &Processes) -> Option<Receipt> {
        match (command, key) {
            (Command::User(_), Key::User(user)) => self.users.changed(*user),
            (Command::Session(_), Key::User(user)) => self.sessions.changed(*user),
            (Command::Follow(command), _) => {
                let (follower, _) = follow_of(command);
                self.follows.changed(follow_of(command)).or_else(|| self.users.changed(follower))
            }
            (Command::Block(command), _) => self.blocks.pairs.changed(block_of(command)),
            (Command::Mute(command), _) => self.mutes.pairs.changed(mute_of(command)),
            (Command::Post(_), Key::Post(post)) => self.posts.changed(*post),
            (Command::Comment(command), _) => self.comments.changed(comment_of(command)),
            (Command::Like(command), _) => self.likes.changed(like_of(command)),
            (Command::Claim(_), key) => claim_of(key).and_then(|claim| self.claims.changed(claim)),
            (Command::FeedSlot(_), Key::User(user)) => {
                self.feed_slots.changed(*user).or_else(|| self.users.changed(*user))
            }
            (Command::Saga(command), key) => {
                let id = saga_of(command);
                let came_out = || self.commands.saga(id).map(|came_out| came_out.last);
                let block = || match (command, key) {
                    (SagaCommand::Start { data, .. }, Key::User(user)) => {
                        self.blocks.pairs.changed((*user, processes.other(data)?))
                    }
                    _ => None,
                };
                self.sagas.changed(id).or_else(came_out).or_else(block).or_else(|| self.key_changed(key))
            }
            _ => None,
        }
    }

    /// Where what a key is named after was changed last.
    fn key_changed(&self, key: &Key) -> Option<Receipt> {
        match key {
            Key::User(user) => self.users.changed(*user),
            Key::Post(post) => self.posts.changed(*post),
            Key::Email(_) | Key::Username(_) => None,
        }
    }

    /// Folds a commit in. `position` is where it stands, or will stand once it is durable.
    pub fn apply(&mut self, key: &Key, position: Position, commit: &Commit) {
        self.commits += 1;
        self.last_time = self.last_time.max(commit.time);
        let mut receipt = Receipt { position, time: commit.time, version: None };
        let mut saga = None;
        for event in &commit.events {
            if let Event::Claim(ClaimEvent::Reserved(reserved)) = event {
                receipt.version = Some(reserved.version);
            }
            if let Event::Saga(event) = event {
                saga = Some(event.saga());
            }
            self.apply_event(key, event, receipt);
        }
        self.commands.remember(commit, receipt, self.rules);
        if let Some(saga) = saga {
            self.follow(saga, commit, receipt);
        }
    }

    /// Notes what a commit means to the saga that is in it.
    fn follow(&mut self, id: SagaId, commit: &Commit, receipt: Receipt) {
        let changed = self.commands.age();
        let origin = Origin { correlation: commit.correlation, command: commit.command };
        let begins = UnderWay { retention: commit.retention, acted: receipt, changed, origin };
        let under_way = self.under_way.entry(id).or_insert(begins);
        under_way.changed = changed;
        if commit.events.iter().any(|event| !matches!(event, Event::Saga(_))) {
            under_way.acted = receipt;
        }
        let UnderWay { retention, acted, .. } = *under_way;
        let Some(saga) = self.saga(id) else { return };
        let ended = match saga.status {
            SagaStatus::Completed => Ended::Completed,
            SagaStatus::Compensated => {
                let reason = saga.reason.clone().unwrap_or_default();
                Ended::Compensated { refused: saga.refused.clone(), reason }
            }
            SagaStatus::Running | SagaStatus::Compensating | SagaStatus::CompensationFailed => return,
        };
        self.sagas.0.remove(&id);
        self.under_way.remove(&id);
        self.commands.came_out(id, CameOut { ended, last: receipt, acted }, retention);
    }

    fn apply_event(&mut self, key: &Key, event: &Event, receipt: Receipt) {
        match event {
            Event::User(event) => {
                if let UserEvent::PasswordChanged(_) | UserEvent::Disabled(_) = event {
                    self.sessions.0.remove(&user_in(event));
                }
                self.users.apply(user_in(event), event, receipt);
            }
            Event::Session(event) => self.sessions.apply(session_in(event), event, receipt),
            Event::Follow(event) => self.follows.apply(follow_in(event), event, receipt),
            Event::Block(event) => self.blocks.apply(block_in(event), event, receipt),
            Event::Mute(event) => self.mutes.apply(mute_in(event), event, receipt),
            Event::Post(event) => self.posts.apply(post_in(event), event, receipt),
            Event::Comment(event) => self.comments.apply(comment_in(event), event, receipt),
            Event::Like(event) => self.likes.apply(like_in(event), event, receipt),
            Event::FeedSlot(event) => self.feed_slots.apply(slot_in(event), event, receipt),
            Event::Claim(event) => {
                if let Some(claim) = claim_of(key) {
                    self.claims.apply(claim, event, receipt);
                }
            }
            Event::Saga(event) => {
                let id = event.saga();
                self.sagas.apply(id, event, receipt);
                match self.saga(id) {
                    Some(saga) if !saga.ended() => self.open_sagas.insert(id),
                    _ => self.open_sagas.remove(&id),
                };
            }
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}
