//! One tenure: from a valid claim until something shows that it is over.
//!
//! What must stay true: an acceptance leaves only when its commit is valid; any other answer leaves only when
//! everything it was decided over is valid and the log was seen to end, after the request was read, where this owner's
//! own records end. Both are one comparison: an answer knows the offset up to which the log must be known to be valid.

use super::driver::{Attempt, Driver};
use super::meters::Meters;
use super::time::commit_time;
use super::{Owner, limits, spans};
use crate::answer::{Answer, Receipt, Refusal};
use crate::command::Command;
use crate::process::SagaCommand;
use crate::request::Request;
use crate::router::Delivery;
use crate::state::{Decision, State, saga_of};
use bytes::Bytes;
use events::{Commit, Event, Incarnation, SagaEvent, SagaId};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use journal::{
    AppendError, Appender, Assignment, Draft, Head, JournalError, Kind, Offset, Partition, Position, Rule, Rules,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How a tenure ended.
pub(super) enum End {
    /// It was told to stop; nothing is in flight, or has been for too long.
    Stopped,
    /// It is, or may be, no longer the owner.
    Lost(String),
    /// The log cannot be used.
    Failed(JournalError),
}

/// Where an answer goes; `None` for the owner's own requests.
type Reply = Option<oneshot::Sender<Answer>>;

/// A commit that was sent.
struct Sent {
    /// Where it must land.
    offset: Offset,
    request: Arc<Request>,
    receipt: Receipt,
    reply: Reply,
    /// What it says about sagas, which the driver acts upon once it is valid.
    sagas: Vec<SagaEvent>,
    /// When it was asked for.
    asked: Instant,
    since: Instant,
    /// What happened, if its trace is followed.
    names: Option<String>,
}

/// A commit that was just handed to the log.
struct New {
    receipt: Receipt,
    sagas: Vec<SagaEvent>,
    names: Option<String>,
}

/// An answer that is not yet known to be true.
struct Held {
    request: Arc<Request>,
    answer: Answer,
    reply: Reply,
    /// Everything below this was there when it was decided.
    decided_at: Offset,
    /// The log was, or will be, seen to hold nothing foreign below this, by a look that began after the request was
    /// read or by a commit that was sent after it.
    fence: Option<Offset>,
    /// When it was asked for.
    asked: Instant,
    since: Instant,
}

/// A look at the log's end, under way.
struct Look {
    end: BoxFuture<'static, Result<Offset, JournalError>>,
    /// How many held answers, from the front, it is for.
    covers: usize,
}

/// Somebody who waits until a saga has ended.
struct Waiter {
    reply: oneshot::Sender<Answer>,
}

pub(super) struct Tenure {
    state: State,
    incarnation: Incarnation,
    /// The chain of the newest record that was sent.
    head: Head,
    /// Where the next record must land.
    next: Offset,
    /// Everything below is known to be valid.
    valid: Offset,
    appender: Box<dyn Appender>,
    sent: VecDeque<Sent>,
    receipts: FuturesOrdered<journal::Receipt>,
    held: VecDeque<Held>,
    look: Option<Look>,
    /// When it was known for the last time that nobody else had written.
    alone_at: Instant,
    driver: Driver,
    /// In order, so that a lost tenure lets go of them in the same order every time.
    waiters: BTreeMap<SagaId, Vec<Waiter>>,
    rules: Rules,
    meters: Meters,
}

impl Tenure {
    pub(super) fn new(
        state: State,
        incarnation: Incarnation,
        head: Head,
        next: Offset,
        appender: Box<dyn Appender>,
        owner: &Owner,
    ) -> Self {
        let options = &owner.options;
        let driver =
            if options.rules.keep(Rule::ResumeOpenSteps) { Driver::resume(&state, options) } else { Driver::default() };
        Self {
            state,
            incarnation,
            head,
            next,
            valid: next,
            appender,
            sent: VecDeque::new(),
            receipts: FuturesOrdered::new(),
            held: VecDeque::new(),
            look: None,
            alone_at: Instant::now(),
            driver,
            waiters: BTreeMap::new(),
            rules: options.rules,
            meters: Meters::of(owner),
        }
    }

    /// What it knows, whether or not it stands in the log.
    pub(super) fn into_state(self) -> State {
        self.state
    }

    /// Serves until the end, whatever it is. Whoever still waits is told "unknown" when the tenure is dropped, by the
    /// drop of the reply.
    pub(super) async fn serve(&mut self, owner: &mut Owner, stop: &CancellationToken) -> End {
        let mut batch = Vec::with_capacity(limits::BATCH_MAX);
        let partition = owner.options.partition;
        let mut assignments = owner.options.ownership.assignments();
        loop {
            self.look_if_needed(owner);
            self.driver.send_due(&self.state, &owner.options);
            let room = self.has_room();
            let due = self.driver.next_due();
            let stepped = tokio::select! {
                biased;
                () = stop.cancelled() => return self.drain(owner).await,
                () = revoked(&mut assignments, partition) => {
                    return End::Lost("it was assigned to another node".to_owned());
                }
                Some(receipt) = self.receipts.next(), if !self.receipts.is_empty() => self.landed(owner, receipt),
                end = async { self.look.as_mut().expect("guarded").end.as_mut().await }, if self.look.is_some() => {
                    self.looked(owner, end)
                }
                Some(attempt) = self.driver.attempted(), if room => self.record_attempt(owner, attempt),
                () = due => Ok(()),
                taken = owner.inbox.recv_many(&mut batch, limits::BATCH_MAX), if room => {
                    if taken == 0 {
                        return self.drain(owner).await;
                    }
                    self.meters.taken(&batch, owner.inbox.len(), self.sent.len());
                    for Delivery { request, reply, since } in batch.drain(..) {
                        self.decide(owner, request, Some(reply), since);
                    }
                    Ok(())
                }
                () = sleep_until(self.alone_at + limits::LOOK_INTERVAL), if self.look.is_none() => Ok(()),
            };
            if let Err(end) = stepped {
                return end;
            }
        }
    }

    /// Whether one more batch may be decided.
    fn has_room(&self) -> bool {
        self.sent.len() < limits::WINDOW_MAX && self.held.len() < limits::HELD_MAX
    }

    /// Decides a request: sends a commit, or holds the answer back until it is known to be true.
    fn decide(&mut self, owner: &Owner, request: Arc<Request>, reply: Reply, asked: Instant) {
        let late = request.deadline <= Instant::now() && self.rules.keep(Rule::ExpireAtTheDeadline);
        let answer = match self.state.decide(&request, &owner.options.processes) {
            Decision::Repeated(receipt) => Answer::Repeated(receipt),
            _ if late => Answer::Expired,
            Decision::Happens(events) => match self.send(owner, &request, events) {
                Ok(new) => return self.sent(owner, new, request, (reply, asked)),
                Err(refusal) => Answer::Refused(refusal),
            },
            Decision::Unchanged(receipt) => Answer::Unchanged(receipt),
            Decision::Refused(refusal) => Answer::Refused(refusal),
        };
        self.hold(owner, request, answer, (reply, asked));
    }

    fn sent(&mut self, owner: &Owner, new: New, request: Arc<Request>, (reply, asked): (Reply, Instant)) {
        let New { receipt, sagas, names } = new;
        // Whatever is held and has no fence yet gets one: if this commit is valid, nothing foreign came before it.
        // Those without one are always the last.
        for held in self.held.iter_mut().rev().take_while(|held| held.fence.is_none()) {
            held.fence = Some(self.next);
        }
        let mut reply = reply;
        if !self.rules.keep(Rule::AcknowledgeAfterValidity) {
            self.release(owner, &request, Answer::Accepted(receipt), reply.take());
        }
        if !self.rules.keep(Rule::StepsStandInTheLog) {
            sagas.iter().for_each(|event| self.driver.note(&self.state, &owner.options, event));
        }
        let (offset, since) = (receipt.position.offset, Instant::now());
        self.sent.push_back(Sent { offset, request, receipt, reply, sagas, asked, since, names });
    }

    /// Encodes the commit, applies it to the state and hands it to the log.
    fn send(&mut self, owner: &Owner, request: &Request, events: Vec<Event>) -> Result<New, Refusal> {
        let commit = Commit {
            command: request.id,
            ordinal: self.state.commits(),
            incarnation: self.incarnation,
            time: commit_time(request.time, (owner.options.clock)(), self.state.last_time(), self.rules),
            actor: request.actor,
            correlation: request.correlation,
            causation: request.causation,
            retention: request.retention,
            fingerprint: request.fingerprint,
            undoes: request.undoes,
            events,
        };
        let value = commit.encode();
        if value.len() > Commit::ENCODED_MAX {
            return Err(Refusal::TooLarge(value.len()));
        }
        let (key, bytes) = (Bytes::from(request.key.to_string()), value.len());
        let draft = Draft::extending(self.head, Kind::Commit, self.incarnation, key, Bytes::from(value));
        let position = Position { partition: owner.options.partition, offset: self.next };
        self.head = draft.chain;
        self.next += 1;
        self.receipts.push_back(self.appender.append(draft));
        self.state.apply(&request.key, position, &commit);
        self.meters.sent(bytes);
        let names = owner.options.traces.follows(request.correlation).then(|| spans::names(&commit.events));
        let sagas = commit.events.into_iter().filter_map(|event| match event {
            Event::Saga(event) => Some(event),
            _ => None,
        });
        let receipt = Receipt { position, time: commit.time, version: self.version_of(request) };
        Ok(New { receipt, sagas: sagas.collect(), names })
    }

    fn version_of(&self, request: &Request) -> Option<u64> {
        matches!(request.command, Command::Claim(_)).then(|| self.state.claim_version(&request.key)).flatten()
    }

    fn hold(&mut self, owner: &Owner, request: Arc<Request>, answer: Answer, (reply, asked): (Reply, Instant)) {
        if !self.rules.keep(Rule::FenceRefusals) {
            return self.release(owner, &request, answer, reply);
        }
        let (decided_at, since) = (self.next, Instant::now());
        self.held.push_back(Held { request, answer, reply, decided_at, fence: None, asked, since });
    }

    /// Begins a look at the log's end, unless one is under way, if an answer waits for one or nothing was heard for long.
    fn look_if_needed(&mut self, owner: &Owner) {
        let waited_for = self.held.back().is_some_and(|held| held.fence.is_none());
        if self.look.is_none() && (waited_for || self.alone_at.elapsed() >= limits::LOOK_INTERVAL) {
            self.begin_look(owner, Duration::ZERO);
        }
    }

    fn begin_look(&mut self, owner: &Owner, after: Duration) {
        let (journal, partition) = (Arc::clone(&owner.options.journal), owner.options.partition);
        let end = Box::pin(async move {
            if !after.is_zero() {
                sleep(after).await;
            }
            journal.end(partition).await
        });
        self.look = Some(Look { end, covers: self.held.len() });
    }

    /// A look has found the log's end. If it lies past what was sent, somebody else has written. While the log does not
    /// answer, what is held stays so: nothing says that the partition is lost.
    fn looked(&mut self, owner: &Owner, end: Result<Offset, JournalError>) -> Result<(), End> {
        let covers = self.look.take().map_or(0, |look| look.covers);
        match end {
            Ok(end) if end > self.next => {
                Err(End::Lost(format!("the log ends at {end}, but this owner wrote up to {}", self.next)))
            }
            Ok(end) => {
                self.alone_at = Instant::now();
                for held in self.held.iter_mut().take(covers) {
                    held.fence = Some(held.fence.map_or(end, |fence| fence.min(end)));
                }
                self.release_held(owner);
                Ok(())
            }
            Err(JournalError::Unavailable(error)) => {
                debug!(partition = owner.options.partition.0, "the end of the log cannot be told: {error}");
                self.begin_look(owner, limits::UNAVAILABLE_DELAY);
                Ok(())
            }
            Err(error) => Err(End::Failed(error)),
        }
    }

    /// A receipt has come, in the order of sending.
    fn landed(&mut self, owner: &Owner, landed: Result<Offset, AppendError>) -> Result<(), End> {
        let Some(sent) = self.sent.pop_front() else { return Ok(()) };
        match landed {
            Ok(offset) if offset == sent.offset => self.valid = offset + 1,
            Ok(offset) if !self.rules.keep(Rule::LeaveWhenOvertaken) => self.valid = offset + 1,
            Ok(offset) => return Err(End::Lost(format!("a record for {} landed at {offset}", sent.offset))),
            Err(error) => {
                if !self.rules.keep(Rule::DoubtIsUnknown) {
                    answer(sent.reply, Answer::Overloaded);
                }
                return Err(End::Lost(error.to_string()));
            }
        }
        self.alone_at = Instant::now();
        self.meters.landed(sent.since);
        trace_commit(owner, &sent);
        self.tell_sagas(owner, &sent);
        self.release(owner, &sent.request, Answer::Accepted(sent.receipt), sent.reply);
        self.release_held(owner);
        Ok(())
    }

    /// Acts upon what a valid commit says about sagas.
    fn tell_sagas(&mut self, owner: &Owner, sent: &Sent) {
        for event in &sent.sagas {
            self.driver.note(&self.state, &owner.options, event);
        }
        let Some(id) = sent.sagas.first().map(SagaEvent::saga) else { return };
        if self.waiters.contains_key(&id)
            && let Some(ended) = self.end_of(owner, id)
        {
            for waiter in self.waiters.remove(&id).unwrap_or_default() {
                answer(Some(waiter.reply), ended.clone());
            }
        }
    }

    /// What can be told by now to whoever waits for a saga.
    fn end_of(&self, owner: &Owner, id: SagaId) -> Option<Answer> {
        let came_out = self.state.end_of(id, &owner.options.processes)?;
        let is_true = came_out.last.position.offset < self.valid || !self.rules.keep(Rule::TellEndsThatAreValid);
        is_true.then_some(Answer::Ended(came_out.acted, came_out.ended))
    }

    /// Lets go of every held answer that is known to be true by now. They become true in the order of deciding.
    fn release_held(&mut self, owner: &Owner) {
        let valid = self.valid;
        let known = |held: &Held| held.decided_at <= valid && held.fence.is_some_and(|fence| fence <= valid);
        while self.held.front().is_some_and(known) {
            if let Some(held) = self.held.pop_front() {
                if let Some(look) = &mut self.look {
                    look.covers = look.covers.saturating_sub(1);
                }
                self.meters.released(held.since);
                let traces = &owner.options.traces;
                if traces.follows(held.request.correlation) {
                    traces.finish(spans::decide(&held.request, held.answer.name(), held.asked.elapsed()));
                }
                self.release(owner, &held.request, held.answer, held.reply);
            }
        }
    }

    /// Answers, or lets the asker wait for the end of the saga.
    fn release(&mut self, owner: &Owner, request: &Request, given: Answer, reply: Reply) {
        let Some(reply) = reply else { return self.recorded(owner, request, &given) };
        let waits_for = match (&request.command, &given) {
            (Command::Saga(command), Answer::Accepted(_) | Answer::Repeated(_) | Answer::Unchanged(_))
                if request.until_saga_ends =>
            {
                saga_of(command)
            }
            _ => return answer(Some(reply), given),
        };
        match self.end_of(owner, waits_for) {
            Some(ended) => answer(Some(reply), ended),
            // What it was wanted for was done before, and how is no longer known.
            None if self.state.end_of(waits_for, &owner.options.processes).is_none()
                && self.state.saga(waits_for).is_none() =>
            {
                answer(Some(reply), given);
            }
            None => {
                let waiters = self.waiters.entry(waits_for).or_default();
                waiters.retain(|waiter| !waiter.reply.is_closed());
                waiters.push(Waiter { reply });
            }
        }
    }

    /// Puts what came of a saga's step to the saga.
    fn record_attempt(&mut self, owner: &Owner, attempt: Attempt) -> Result<(), End> {
        if let Some(request) = self.driver.outcome(&self.state, &owner.options, attempt) {
            self.decide(owner, Arc::new(request), None, Instant::now());
        }
        Ok(())
    }

    /// The saga of a step has been told what came of it. One that could not take it in waits for the step all the same.
    fn recorded(&mut self, owner: &Owner, request: &Request, given: &Answer) {
        let Command::Saga(SagaCommand::Record { saga, step, compensation, .. }) = &request.command else { return };
        if let Answer::Refused(refusal) = given {
            warn!(%saga, %step, "the outcome of the step {step} of saga {saga} was refused: {refusal}");
            self.driver.again(&self.state, &owner.options, *saga, step.clone(), *compensation);
        }
    }

    /// Finishes what was accepted: decides what waits, as there is room, and waits for the receipts, within a limit.
    async fn drain(&mut self, owner: &mut Owner) -> End {
        owner.inbox.close();
        let finish = async {
            loop {
                while self.has_room()
                    && let Ok(Delivery { request, reply, since }) = owner.inbox.try_recv()
                {
                    self.decide(owner, request, Some(reply), since);
                }
                if self.sent.is_empty() && self.held.is_empty() {
                    return End::Stopped;
                }
                self.look_if_needed(owner);
                let stepped = tokio::select! {
                    biased;
                    Some(receipt) = self.receipts.next(), if !self.receipts.is_empty() => self.landed(owner, receipt),
                    end = async { self.look.as_mut().expect("guarded").end.as_mut().await }, if self.look.is_some() => {
                        self.looked(owner, end)
                    }
                    else => Ok(()),
                };
                if let Err(end) = stepped {
                    return end;
                }
                // A log that answers at once must not keep the limit below from being noticed.
                yield_now().await;
            }
        };
        timeout(limits::DRAIN_TIMEOUT, finish).await.unwrap_or_else(|_| {
            warn!(partition = owner.options.partition.0, "stopped with commits in flight: their askers must ask again");
            End::Stopped
        })
    }
}

/// Tells of a commit that is valid.
fn trace_commit(owner: &Owner, sent: &Sent) {
    let Some(names) = &sent.names else { return };
    let traces = &owner.options.traces;
    let Position { partition, offset } = sent.receipt.position;
    traces.finish(spans::append(&sent.request, sent.since.elapsed()));
    let decided = spans::decide(&sent.request, "accepted", sent.asked.elapsed());
    let decided = decided.with("tidings.partition", u64::from(partition.0)).with("tidings.offset", offset);
    traces.finish(decided.with("tidings.events", names.clone()));
}

/// Returns when the partition is no longer assigned to this node.
async fn revoked(assignments: &mut watch::Receiver<Assignment>, partition: Partition) {
    let nobody_tells = assignments.wait_for(|assigned| !assigned.contains(&partition)).await.is_err();
    if nobody_tells {
        std::future::pending::<()>().await;
    }
}

/// Whoever has gone away needs no answer.
fn answer(reply: Reply, answer: Answer) {
    if let Some(reply) = reply {
        let _ = reply.send(answer);
    }
}
