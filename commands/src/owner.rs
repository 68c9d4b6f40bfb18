//! The owner: the only writer of a partition.
//!
//! It folds the partition's state from the log, claims the partition, and from then on decides what waits in its
//! mailbox: each command against the state including the decisions that are not durable yet, the commits sent
//! pipelined, each answer given when it has become true. Whenever something shows that it may no longer be the owner
//! (another record where its own should be, no receipt, a longer log than it wrote) it forgets everything, tells who
//! waits "unknown", and begins again from the log.
//!
//! Nothing need show it: an owner can be overtaken in its sleep, and own the partition again when it wakes up. So one that
//! has neither written nor been asked for a while looks at the log's end by itself. Else what was begun meanwhile would
//! stand still until somebody asks something.
//!
//! Only its claim reads the gap when it lands elsewhere than expected: nothing was decided over it yet. A commit that
//! does so costs the tenure, even where the record in between is void and nothing but the offsets has moved. The
//! answers that are promised, and the state, which holds the place of every decision, name those offsets; they would
//! have to be moved with them. A former owner's last records arrive within one delay of the log after a takeover, so
//! what moving them would save is rare, and a fold of the partition is what the owner has anyway.
//!
//! It runs on any journal, transport and clock: the simulation runs this very type.

mod driver;
mod meters;
mod spans;
mod tenure;
mod time;

use crate::process::{Effects, NoEffects, Processes};
use crate::request::Clock;
use crate::router::{Delivery, LocalOwners, MAILBOX_MAX, Mailbox, Router, Transport};
use crate::state::State;
use bytes::Bytes;
use events::{Incarnation, Timestamp};
use journal::chain::IN_FLIGHT_MAX;
use journal::{Appender, Draft, Head, Journal, JournalError, Kind, Offset, Ownership, Partition, Reader, Rule, Rules};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tenure::{End, Tenure};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use traces::Traces;
use tracing::{debug, info, warn};
use uuid::Uuid;

/// The owner's limits.
pub mod limits {
    use std::time::Duration;

    /// Requests decided in one go.
    pub const BATCH_MAX: usize = 512;
    /// Commits sent and not yet known to be valid, when more are taken from the mailbox. With a batch on top it is what
    /// one writer may have in flight.
    pub const WINDOW_MAX: usize = 1_536;
    /// Answers held back until they are known to be true.
    pub const HELD_MAX: usize = 8_192;
    /// Saga steps that are being sent to the owner of one other partition at one time.
    pub const STEPS_SENDING_MAX: usize = 64;
    /// Between two times at which steps begin that nobody waits for. Places in creation are kept for as much longer.
    pub const UNAWAITED_TICK: Duration = Duration::from_millis(5);
    /// How long a saga waits for the answer to one attempt of a step.
    pub const STEP_TIMEOUT: Duration = Duration::from_secs(5);
    /// Effects of sagas that are being carried out at one time; and as many that wait for others.
    pub const EFFECTS_RUNNING_MAX: usize = 16;
    /// How long a saga waits for one attempt of an effect, or for a part of it.
    pub const EFFECT_TIMEOUT: Duration = Duration::from_secs(60);
    /// How long a new owner waits for the receipt of its claim.
    pub const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);
    /// The wait before a lost partition is claimed again; up to this and half of it again.
    pub const RECLAIM_DELAY: Duration = Duration::from_millis(50);
    /// The wait after the log did not answer.
    pub const UNAVAILABLE_DELAY: Duration = Duration::from_millis(250);
    /// After so long without a receipt or a look an owner looks where the log ends.
    pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);
    /// How far the clock of whoever asks may be from the owner's. Requests live for seconds, and so do the differences
    /// between clocks that are kept; what lies further off is a clock that is wrong.
    pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);
    /// How long a stopping owner waits for what is in flight.
    pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
}

const _: () = assert!((limits::WINDOW_MAX + limits::BATCH_MAX) as u64 <= IN_FLIGHT_MAX);

/// What an owner is made of.
pub struct OwnerOptions {
    /// Which partition.
    pub partition: Partition,
    /// The log.
    pub journal: Arc<dyn Journal>,
    /// Who is meant to own what.
    pub ownership: Arc<dyn Ownership>,
    /// The way to the owners of other keys, for the steps of sagas.
    pub router: Router,
    /// The kinds of sagas.
    pub processes: Processes,
    /// Carries out what their steps do outside the log.
    pub effects: Arc<dyn Effects>,
    /// The wall clock.
    pub clock: Clock,
    /// Which traces are followed.
    pub traces: Traces,
    /// Random ids, for incarnations.
    pub random: Arc<dyn Fn() -> Uuid + Send + Sync>,
    /// All of them, outside tests.
    pub rules: Rules,
}

/// A partition's state and the place up to which it was folded: where an owner begins that does not begin at offset 0.
pub struct Recovered {
    /// Folded from everything that `reader` has read.
    pub state: State,
    /// Stands where the state ends.
    pub reader: Reader,
}

/// What an owner is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Folding the log, at this offset.
    Folding(Offset),
    /// Waiting until its claim is valid.
    Claiming,
    /// Deciding.
    Owning,
    /// Not meant to own the partition; following the log, to take it over quickly.
    Idle,
    /// Ended.
    Stopped,
}

/// What an owner is doing, for health.
pub type OwnerStatus = watch::Receiver<Phase>;

/// The owner of one partition.
pub struct Owner {
    pub(crate) options: OwnerOptions,
    pub(crate) inbox: mpsc::Receiver<Delivery>,
    phase: watch::Sender<Phase>,
}

/// The value of a claim's record.
#[derive(Serialize)]
struct ClaimValue {
    #[serde(rename = "type")]
    name: &'static str,
    incarnation: Incarnation,
    time: Timestamp,
}

impl Owner {
    /// A mailbox and the end of it that its owner reads.
    pub fn mailbox() -> (Mailbox, mpsc::Receiver<Delivery>) {
        mpsc::channel(MAILBOX_MAX)
    }

    /// An owner that reads from this mailbox.
    pub fn new(options: OwnerOptions, inbox: mpsc::Receiver<Delivery>) -> Self {
        Self { options, inbox, phase: watch::Sender::new(Phase::Folding(0)) }
    }

    /// An owner for every partition of the log, by partition, by this process's clock, and the way to them: what
    /// `transport` makes of their mailboxes, which may know of other nodes.
    pub fn of_all(
        journal: &Arc<dyn Journal>,
        ownership: &Arc<dyn Ownership>,
        processes: &Processes,
        transport: impl FnOnce(LocalOwners) -> Arc<dyn Transport>,
    ) -> (Router, Vec<Self>) {
        let (mailboxes, inboxes): (Vec<_>, Vec<_>) = (0..journal.partitions()).map(|_| Self::mailbox()).unzip();
        let router = Router::new(transport(LocalOwners::new(mailboxes)), journal.partitions());
        let owner = |(inbox, n)| {
            let options = OwnerOptions {
                partition: Partition(n),
                journal: Arc::clone(journal),
                ownership: Arc::clone(ownership),
                router: router.clone(),
                processes: processes.clone(),
                effects: Arc::new(NoEffects),
                clock: Arc::new(Timestamp::now),
                traces: Traces::default(),
                random: Arc::new(Uuid::new_v4),
                rules: Rules::default(),
            };
            Self::new(options, inbox)
        };
        let owners = inboxes.into_iter().zip(0..).map(owner).collect();
        (router, owners)
    }

    /// The same, with somebody who carries out the effects of its sagas.
    #[must_use]
    pub fn with_effects(mut self, effects: Arc<dyn Effects>) -> Self {
        self.options.effects = effects;
        self
    }

    /// The same, of which the spans go there.
    #[must_use]
    pub fn with_traces(mut self, traces: Traces) -> Self {
        self.options.traces = traces;
        self
    }

    /// What it is doing, as it changes.
    pub fn status(&self) -> OwnerStatus {
        self.phase.subscribe()
    }

    /// Owns the partition until told to stop, then finishes what is in flight.
    ///
    /// An error means that the partition cannot be served: the log is damaged, has diverged, or holds what this program
    /// cannot read. It is final; nothing was skipped. Dropping the future is a crash: nothing acknowledged is lost.
    pub async fn run(mut self, recovered: Option<Recovered>, stop: CancellationToken) -> Result<(), JournalError> {
        let mut recovered = recovered;
        while !stop.is_cancelled() {
            let tenure = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                tenure = self.next_tenure(&mut recovered) => tenure,
            };
            let ended = match tenure {
                Ok(Some(mut tenure)) => {
                    self.phase.send_replace(Phase::Owning);
                    let ended = tenure.serve(&mut self, &stop).await;
                    if !self.options.rules.keep(Rule::ForgetWhatIsNotInTheLog) {
                        recovered = self.keep(tenure.into_state()).await.ok();
                    }
                    ended
                }
                Ok(None) => {
                    debug!(partition = self.options.partition.0, "not confirmed, or claimed by another one");
                    self.turn_away();
                    self.pause(limits::RECLAIM_DELAY, &stop).await;
                    continue;
                }
                Err(error) => End::Failed(error),
            };
            match ended {
                End::Stopped => break,
                End::Lost(why) => {
                    info!(partition = self.options.partition.0, "partition {} lost: {why}", self.options.partition);
                    metrics::counter!("tidings_owner_lost_total").increment(1);
                    self.turn_away();
                    self.pause(limits::RECLAIM_DELAY, &stop).await;
                }
                End::Failed(JournalError::Unavailable(error)) => {
                    warn!(partition = self.options.partition.0, "the log does not answer: {error}");
                    self.pause(limits::UNAVAILABLE_DELAY, &stop).await;
                }
                End::Failed(error) => {
                    self.phase.send_replace(Phase::Stopped);
                    return Err(error);
                }
            }
        }
        self.phase.send_replace(Phase::Stopped);
        Ok(())
    }

    /// The same on a node that is never assigned anything: it follows no log and turns away whoever asks.
    pub async fn decline(mut self, stop: CancellationToken) -> Result<(), JournalError> {
        self.phase.send_replace(Phase::Idle);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // Dropping the reply says "unknown", and they ask again.
                asked = self.inbox.recv() => if asked.is_none() { break },
            }
        }
        self.phase.send_replace(Phase::Stopped);
        Ok(())
    }

    /// The state as a lost tenure left it, at the log's end.
    async fn keep(&self, state: State) -> Result<Recovered, JournalError> {
        let mut reader = self.reader().await?;
        while !reader.records().await?.is_empty() {}
        Ok(Recovered { state, reader })
    }

    async fn reader(&self) -> Result<Reader, JournalError> {
        let OwnerOptions { partition, journal, rules, .. } = &self.options;
        Ok(Reader::from_start(Arc::clone(journal), *partition).await?.with_rules(*rules))
    }

    /// Whoever waits here may wait for the wrong owner: dropping the reply says "unknown", and they ask again.
    fn turn_away(&mut self) {
        while self.inbox.try_recv().is_ok() {}
    }

    /// Waits for about so long, at random, so that two owners that fight do not meet again.
    async fn pause(&self, about: Duration, stop: &CancellationToken) {
        let spread = u32::try_from((self.options.random)().as_u128() % 1_000).expect("below 1,000");
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = sleep(about + about / 2_000 * spread) => {}
        }
    }

    /// Stands by until the partition is assigned to this node, confirms it, and claims the partition.
    async fn next_tenure(&self, recovered: &mut Option<Recovered>) -> Result<Option<Tenure>, JournalError> {
        let OwnerOptions { partition, ownership, rules, .. } = &self.options;
        if rules.keep(Rule::ConfirmBeforeClaiming) {
            self.stand_by(recovered).await?;
            if !ownership.confirm(*partition).await? {
                self.phase.send_replace(Phase::Idle);
                return Ok(None);
            }
        }
        self.begin(recovered.take()).await
    }

    /// Follows the log while the partition is another node's, so that taking it over reads only what is left.
    async fn stand_by(&self, recovered: &mut Option<Recovered>) -> Result<(), JournalError> {
        let OwnerOptions { partition, ownership, .. } = &self.options;
        let mut assignments = ownership.assignments();
        while !assignments.borrow_and_update().contains(partition) {
            let Recovered { state, reader } = match recovered {
                Some(recovered) => recovered,
                None => recovered.insert(self.recover().await?),
            };
            // Whatever it was before: it has nothing to say until the partition is its own.
            self.phase.send_if_modified(|phase| std::mem::replace(phase, Phase::Idle) != Phase::Idle);
            tokio::select! {
                biased;
                Ok(()) = assignments.changed() => {}
                caught_up = Self::catch_up(state, reader) => caught_up?,
            }
        }
        Ok(())
    }

    /// Folds what there is, and waits for more: about a second at most.
    async fn catch_up(state: &mut State, reader: &mut Reader) -> Result<(), JournalError> {
        let commits = reader.commits().await?;
        for decoded in &commits {
            state.apply(&decoded.key, decoded.position, &decoded.commit);
        }
        // Folding a long log must not keep a worker thread from everything else.
        tokio::task::yield_now().await;
        reader.wait().await
    }

    /// Before the first record.
    async fn recover(&self) -> Result<Recovered, JournalError> {
        Ok(Recovered { state: State::default().with_rules(self.options.rules), reader: self.reader().await? })
    }

    /// Folds the log to its end and claims the partition.
    async fn begin(&self, recovered: Option<Recovered>) -> Result<Option<Tenure>, JournalError> {
        let OwnerOptions { partition, journal, .. } = &self.options;
        let Recovered { mut state, mut reader } = match recovered {
            Some(recovered) => recovered,
            None => self.recover().await?,
        };
        self.fold(&mut state, &mut reader).await?;
        self.phase.send_replace(Phase::Claiming);
        let appender = journal.appender(*partition)?;
        self.claim(state, reader, appender).await
    }

    async fn fold(&self, state: &mut State, reader: &mut Reader) -> Result<(), JournalError> {
        loop {
            self.phase.send_replace(Phase::Folding(reader.next()));
            let commits = reader.commits().await?;
            if commits.is_empty() {
                return Ok(());
            }
            for decoded in &commits {
                state.apply(&decoded.key, decoded.position, &decoded.commit);
            }
            // Folding a long log must not keep a worker thread from everything else.
            tokio::task::yield_now().await;
        }
    }

    /// Appends a claim and looks whether it is the record that extends the head.
    async fn claim(
        &self,
        state: State,
        mut reader: Reader,
        mut appender: Box<dyn Appender>,
    ) -> Result<Option<Tenure>, JournalError> {
        let incarnation = Incarnation((self.options.random)());
        let claim = ClaimValue { name: "journal.claimed", incarnation, time: (self.options.clock)() };
        let value = Bytes::from(serde_json::to_vec(&claim).expect("a claim is plain data"));
        let head = reader.checkpoint().head;
        let expected = reader.next();
        let draft = Draft::extending(head, Kind::Claim, incarnation, Bytes::new(), value);
        let mine = draft.chain;
        if !self.options.rules.keep(Rule::ClaimBeforeWriting) {
            return Ok(Some(self.tenure(state, incarnation, head, expected, appender)));
        }
        let next = match timeout(limits::CLAIM_TIMEOUT, appender.append(draft)).await {
            Ok(Ok(offset)) if offset == expected || !self.options.rules.keep(Rule::LookForTheClaim) => offset + 1,
            // Another offset or no receipt: only the log knows. Records of a former owner that arrived first are void
            // and do no harm; a valid one, or another claim, that came first makes this one void.
            _ => {
                while !reader.records().await?.is_empty() {}
                if reader.checkpoint().head != mine {
                    return Ok(None);
                }
                reader.next()
            }
        };
        Ok(Some(self.tenure(state, incarnation, mine, next, appender)))
    }

    fn tenure(
        &self,
        state: State,
        incarnation: Incarnation,
        head: Head,
        next: Offset,
        appender: Box<dyn Appender>,
    ) -> Tenure {
        info!(partition = self.options.partition.0, next, "partition {} claimed", self.options.partition);
        metrics::counter!("tidings_owner_claims_total").increment(1);
        self.options.ownership.announce(self.options.partition, incarnation);
        Tenure::new(state, incarnation, head, next, appender, self)
    }
}
