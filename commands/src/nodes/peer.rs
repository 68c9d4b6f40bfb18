//! One other node: a bounded queue, and batches of what waits in it.
//!
//! What queues while the node is about to take the batches before goes together. Many batches may wait for their answers
//! at once, so that one which takes long holds up nobody.

use crate::answer::Answer;
use crate::request::Request;
use crate::wire::{BATCH_REQUESTS_MAX, BatchWriter, Reply, read_reply};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use journal::Partition;
use metrics::{counter, histogram};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

/// Requests that wait for a node; one more is answered [`Answer::Overloaded`].
const QUEUE_MAX: usize = 4_096;
/// Batches on their way to a node.
const BATCHES_MAX: usize = 64;
/// Batches that the node has not taken yet, of those on their way: the next one gathers meanwhile.
const UNTAKEN_MAX: usize = 2;
/// How long it gathers at most. A node that takes nothing must not keep everybody from being told so.
const GATHER_MAX: Duration = Duration::from_millis(20);
/// How long after the last deadline in a batch its answers are waited for: those of owners that answered in time.
const GRACE: Duration = Duration::from_millis(500);

/// The replies to a batch, as they come; its end, or an error, leaves the rest without one.
pub type Replies = BoxStream<'static, Result<Bytes, LinkError>>;

/// A node that cannot be reached, or stopped answering.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// The batch did not arrive: nothing of it was done.
    #[error("nobody took it: {0}")]
    Refused(String),
    /// It may have arrived.
    #[error("the connection was lost: {0}")]
    Lost(String),
}

/// Carries batches to other nodes.
pub trait Link: Send + Sync {
    /// Hands the batch to the node at this address.
    fn send(&self, address: &str, batch: Bytes) -> BoxFuture<'static, Result<Replies, LinkError>>;
}

struct Asked {
    partition: Partition,
    request: Arc<Request>,
    reply: oneshot::Sender<Reply>,
}

/// See the module.
pub(super) struct Peer(mpsc::Sender<Asked>);

impl Peer {
    /// Ends when it is dropped and everything that was asked has been answered.
    pub(super) fn start(address: String, link: Arc<dyn Link>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(carry(address, link, waiting));
        Self(queue)
    }

    /// What the node replies. A connection that is lost says nothing: [`Answer::Unknown`].
    pub(super) fn ask(&self, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Reply> {
        let (reply, answer) = oneshot::channel();
        match self.0.try_send(Asked { partition, request, reply }) {
            Ok(()) => answer.map(|answer| answer.unwrap_or(Reply::Answer(Answer::Unknown))).boxed(),
            Err(TrySendError::Full(_)) => std::future::ready(Reply::Answer(Answer::Overloaded)).boxed(),
            Err(TrySendError::Closed(_)) => std::future::ready(Reply::NotHere).boxed(),
        }
    }
}

async fn carry(address: String, link: Arc<dyn Link>, mut waiting: mpsc::Receiver<Asked>) {
    let (room, taking) = (Arc::new(Semaphore::new(BATCHES_MAX)), Arc::new(Semaphore::new(UNTAKEN_MAX)));
    let mut asked = Vec::with_capacity(BATCH_REQUESTS_MAX);
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        let untaken = timeout(GATHER_MAX, Arc::clone(&taking).acquire_owned()).await;
        let most = BATCH_REQUESTS_MAX - asked.len();
        if asked.is_empty() && waiting.recv_many(&mut asked, most).await == 0 {
            return;
        }
        let mut batch = BatchWriter::default();
        let fitting = asked.iter().take_while(|asked| batch.push(asked.partition, &asked.request)).count();
        // What did not fit goes first in the next one.
        let later = asked.split_off(fitting);
        let now = std::mem::replace(&mut asked, later);
        histogram!("tidings_peer_batch_requests").record(now.len() as f64);
        let sent = link.send(&address, batch.finish());
        tokio::spawn(async move {
            let taken = sent.inspect(move |_| drop(untaken)).boxed();
            exchange(taken, now).await;
            drop(permit);
        });
    }
}

/// Waits for the replies and passes them on; whoever gets none is told "unknown" by the drop of the reply.
async fn exchange(sent: BoxFuture<'static, Result<Replies, LinkError>>, asked: Vec<Asked>) {
    let begun = Instant::now();
    let last = asked.iter().map(|asked| asked.request.deadline).max().unwrap_or(begun) + GRACE;
    let mut asked: Vec<_> = asked.into_iter().map(Some).collect();
    let failure = match timeout_at(last, receive(sent, &mut asked)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some(LinkError::Lost("it took longer than any asker waits".to_owned())),
    };
    histogram!("tidings_peer_batch_seconds").record(begun.elapsed());
    let Some(failure) = failure else { return };
    debug!("a batch for another node: {failure}");
    let kind = if matches!(failure, LinkError::Refused(_)) { "refused" } else { "lost" };
    counter!("tidings_peer_failures_total", "kind" => kind).increment(1);
    if let LinkError::Refused(_) = failure {
        for asked in asked.into_iter().flatten() {
            let _ = asked.reply.send(Reply::NotHere);
        }
    }
}

async fn receive(
    sent: BoxFuture<'static, Result<Replies, LinkError>>,
    asked: &mut [Option<Asked>],
) -> Result<(), LinkError> {
    let mut replies = sent.await?;
    while let Some(line) = replies.next().await {
        let (n, reply) = read_reply(&line?).map_err(|error| LinkError::Lost(error.to_string()))?;
        if let Some(asked) = asked.get_mut(n).and_then(Option::take) {
            let _ = asked.reply.send(reply);
        }
    }
    Ok(())
}
