//! What operators ask of a parked key: to try again, or to go on without the commit that failed.
//!
//! The partition's own runner carries it out, a batch at a time between those of the log. Until the queue is empty the
//! key stays parked, so what arrives meanwhile queues behind; a crash in between leaves the rest of the queue parked.

use super::{Runner, Stop, limits};
use crate::backoff::Backoff;
use crate::checkpoint::Parked;
use crate::read_model::{Batch, Entry};
use events::{Commit, Key, WireError};
use journal::{JournalError, Kind, Offset, Position, Record, chain};
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing::{info, warn};

/// Something asked by an operator.
pub(crate) struct Request {
    /// Which read model, in the order of registration.
    pub(crate) model: usize,
    pub(crate) key: Key,
    pub(crate) discard: Option<Discard>,
    pub(crate) reply: oneshot::Sender<Result<(), RequestError>>,
}

/// What to go on without.
pub(crate) struct Discard {
    pub(crate) offset: Offset,
    pub(crate) reason: String,
}

/// Why a request was not carried out to its end.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RequestError {
    /// There is nothing parked under this key, or not the commit that was named.
    #[error("nothing is parked there")]
    NotParked,
    /// It failed again, here; what comes before is applied, the rest stays parked.
    #[error("the commit at {position} cannot be applied: {error}")]
    Failed {
        /// Which commit.
        position: Position,
        /// Why.
        error: String,
    },
    /// Too many requests wait for the partition; try again.
    #[error("too many requests wait for this partition")]
    Busy,
    /// Another node feeds the partition, and so it is the one to ask.
    #[error("another node feeds this partition: ask the one that owns it")]
    Elsewhere,
    /// The partition's runner has ended.
    #[error("the runner of this partition has ended")]
    Stopped,
}

/// A request under way.
pub(super) struct Replay(Request);

impl Runner {
    pub(super) fn accept(&mut self, request: Request) {
        self.replays.push_back(Replay(request));
    }

    /// Carries the oldest request on by one batch.
    pub(super) async fn replay(&mut self) -> Result<(), Stop> {
        let Some(Replay(mut request)) = self.replays.pop_front() else { return Ok(()) };
        let (model, key) = (request.model, request.key);
        let place = Arc::clone(&self.places[model]);
        let discard = request.discard.take();
        let queue = place.parked.get(&key).map(|parked| &parked.offsets);
        let Some(queue) = queue.filter(|queue| discard.as_ref().is_none_or(|it| queue.first() == Some(&it.offset)))
        else {
            let _ = request.reply.send(Err(RequestError::NotParked));
            return Ok(());
        };
        let (now, later) = queue.split_at(queue.len().min(limits::BATCH_MAX));
        let mut commits = Vec::with_capacity(now.len());
        for offset in &now[usize::from(discard.is_some())..] {
            commits.push((*offset, self.queued(key, *offset).await?));
        }
        let mut new = place.succeed(place.at);
        let parked = new.parked.remove(&key);
        if !later.is_empty() {
            let since = commits.last().map(|(_, commit)| commit.time).or(parked.map(|parked| parked.since));
            let error = "a retry was interrupted before this commit".to_owned();
            new.parked.insert(key, Parked { error, since: since.unwrap_or_default(), offsets: later.to_vec() });
        }
        let opener = self.opener(commits.iter().map(|(_, commit)| commit)).await?;
        let position = |offset| Position { partition: self.partition, offset };
        let entries =
            commits.iter().map(|(offset, commit)| Entry { position: position(*offset), key, commit }).collect();
        self.write(model, Batch { entries, opener: &opener }, new).await?;
        self.tell(model, key, discard);
        self.answer(request, later.first().copied());
        Ok(())
    }

    /// After a batch of a retry: done, failed again, or to be carried on from `next`.
    fn answer(&mut self, request: Request, next: Option<Offset>) {
        let answer = match self.places[request.model].parked.get(&request.key) {
            None => Ok(()),
            Some(parked) if parked.offsets.first().copied() == next => {
                return self.replays.push_front(Replay(request));
            }
            Some(Parked { offsets, error, .. }) => {
                let position = Position { partition: self.partition, offset: offsets[0] };
                Err(RequestError::Failed { position, error: error.clone() })
            }
        };
        let _ = request.reply.send(answer);
    }

    fn tell(&self, model: usize, key: Key, discard: Option<Discard>) {
        let (name, partition) = (self.models[model].name(), self.partition);
        match discard {
            Some(Discard { offset, reason }) => {
                warn!(model = name, %key, offset, reason, "{name} goes on without {partition}@{offset}: {reason}");
            }
            None => info!(model = name, %key, "{name} tried the parked {key} again"),
        }
    }

    /// Reads a queued commit from the log again. It was valid when it was queued, and so it still is.
    async fn queued(&self, key: Key, offset: Offset) -> Result<Commit, Stop> {
        let position = Position { partition: self.partition, offset };
        let mut backoff = Backoff::default();
        let records = loop {
            match self.journal.read(self.partition, offset, 1).await {
                Err(JournalError::Unavailable(error)) => self.back_off(&mut backoff, &error.to_string()).await,
                records => break records?,
            }
        };
        let commit = records.first().filter(|record| is_intact(record, key)).map(|record| &record.draft.value);
        let Some(value) = commit else {
            let what = format!("no intact commit of {key}, which was queued from here");
            return Err(JournalError::Damaged { position, what }.into());
        };
        let unreadable = |source: WireError| JournalError::Unreadable { position, source };
        Ok(Commit::decode(value).map_err(unreadable)?)
    }
}

fn is_intact(Record { draft, .. }: &Record, key: Key) -> bool {
    draft.kind == Kind::Commit
        && draft.key == key.to_string().as_bytes()
        && draft.chain == chain::link(draft.prev, draft.kind, draft.incarnation, &draft.key, &draft.value)
}
