//! From whoever asks to the owner of the key, and again with the same id when the answer is "unknown".

use crate::answer::Answer;
use crate::request::Request;
use futures::future::BoxFuture;
use journal::{Partition, Rule, Rules, partition_of};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// The longest that anybody waits for an answer.
pub const REQUEST_DEADLINE_MAX: Duration = Duration::from_secs(10);
/// The wait before a request is sent again; doubled each time.
const RESEND_DELAY: Duration = Duration::from_millis(5);
/// The longest such wait.
const RESEND_DELAY_MAX: Duration = Duration::from_millis(500);

/// Requests that wait for a partition; one more is answered [`Answer::Overloaded`].
pub const MAILBOX_MAX: usize = 4_096;

/// A request in a mailbox, and where its answer goes.
#[derive(Debug)]
pub struct Delivery {
    /// What is asked.
    pub request: Arc<Request>,
    /// Where the answer goes; dropped, it means "unknown".
    pub reply: oneshot::Sender<Answer>,
    /// When it was handed over.
    pub since: Instant,
}

impl Delivery {
    /// A request that is handed over now.
    pub fn new(request: Arc<Request>, reply: oneshot::Sender<Answer>) -> Self {
        Self { request, reply, since: Instant::now() }
    }
}

/// The way to an owner in the same process; bounded by [`MAILBOX_MAX`].
pub type Mailbox = mpsc::Sender<Delivery>;

/// The way to the owners.
///
/// A request that is sent may arrive late, twice or not at all, and so may its answer; the sender only knows
/// [`Answer::Unknown`] then. The same request sent again takes effect at most once.
pub trait Transport: Send + Sync {
    /// Hands the request to whoever owns the partition and waits for the answer.
    fn send(&self, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Answer>;
}

/// Owners in the same process.
pub struct LocalOwners(Vec<Mailbox>);

impl LocalOwners {
    /// The mailboxes of all partitions, in order.
    pub fn new(mailboxes: Vec<Mailbox>) -> Self {
        Self(mailboxes)
    }
}

impl Transport for LocalOwners {
    fn send(&self, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Answer> {
        let (reply, answer) = oneshot::channel();
        let delivered = match self.0.get(partition.0 as usize) {
            None => Err(Answer::Unknown),
            Some(mailbox) => mailbox.try_send(Delivery::new(request, reply)).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Answer::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Answer::Unknown,
            }),
        };
        Box::pin(async move {
            match delivered {
                Ok(()) => answer.await.unwrap_or(Answer::Unknown),
                Err(answer) => answer,
            }
        })
    }
}

/// Sends requests to the owners of their keys.
#[derive(Clone)]
pub struct Router {
    transport: Arc<dyn Transport>,
    partitions: u32,
    given_up: CancellationToken,
    rules: Rules,
}

impl Router {
    /// A router over a log of so many partitions.
    pub fn new(transport: Arc<dyn Transport>, partitions: u32) -> Self {
        Self { transport, partitions, given_up: CancellationToken::new(), rules: Rules::default() }
    }

    /// The same by these rules. All of them, outside tests.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Sends nothing again: from here on whoever is in doubt is told so at once. For a log that has failed, of which no
    /// owner will know more in this process.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Sends the request until it is answered or its deadline has passed.
    ///
    /// [`Answer::Unknown`] means that it may have taken effect; asking again with the same id finds out.
    pub async fn submit(&self, request: Request) -> Answer {
        let partition = partition_of(&request.key, self.partitions);
        let deadline = request.deadline.min(Instant::now() + REQUEST_DEADLINE_MAX);
        let request = Arc::new(request);
        let mut delay = RESEND_DELAY;
        let mut in_doubt = false;
        loop {
            let sent = self.transport.send(partition, Arc::clone(&request));
            match timeout_at(deadline, sent).await {
                Ok(Answer::Unknown) => in_doubt = true,
                // True of this sending; an earlier one may have taken effect.
                Ok(Answer::Overloaded | Answer::Expired)
                    if in_doubt && self.rules.keep(Rule::DoubtOutlivesRefusals) => {}
                Ok(answer) => return answer,
                Err(_) => return Answer::Unknown,
            }
            let again = Instant::now() + delay + jitter(&request, delay);
            if again >= deadline {
                return Answer::Unknown;
            }
            tokio::select! {
                biased;
                () = self.given_up.cancelled() => return Answer::Unknown,
                () = sleep_until(again) => {}
            }
            delay = (delay * 2).min(RESEND_DELAY_MAX);
        }
    }
}

/// Up to half the delay, by the request's id, so that those who wait for one owner do not come back all at once.
fn jitter(request: &Request, delay: Duration) -> Duration {
    delay / 2_000 * u32::try_from(request.id.0.as_u128() % 1_000).expect("below 1,000")
}
