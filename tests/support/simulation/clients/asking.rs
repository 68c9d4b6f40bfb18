//! Asking: until there is an answer, by clocks that are wrong, and again to see that the answer stays the same.

use super::super::check::{Asked, Seen};
use super::super::reading::Thing;
use super::super::world::{DEADLINE, World};
use super::super::{Fault, fate};
use commands::{Answer, Command, Refusal, Request};
use events::{CommandId, Fingerprint, Key, Retention, Timestamp};
use journal::partition_of;
use tokio::time::{Instant, sleep};

/// How often a client asks again before it gives up; far more than any seed needs.
const TRIES_MAX: usize = 200;

const SECOND: i64 = 1_000_000;

impl World {
    /// Whoever was told that something took effect sees it.
    pub(super) async fn look(&self, command: &Command, answer: &Answer) {
        let (Answer::Accepted(receipt), Some(thing)) = (answer, Thing::of(command)) else { return };
        let position = receipt.position;
        let Some(there) = self.reading.see(thing.model(), position, |models| models.show(thing)).await else {
            let asked = Asked::violation(format!("{} never passed {position}", thing.model()));
            return self.asked.lock().push(asked);
        };
        self.seen.lock().push(Seen { position, to: self.log.landed(position.partition), thing, there });
    }

    /// Now and then the same request comes again, or its id for another one.
    pub(super) async fn ask_again(&self, mut request: Request, first: &Answer) {
        if self.dice.once_in(20) {
            request.deadline = Instant::now() + DEADLINE;
            let again = self.ask(request).await;
            if let Answer::Accepted(first) | Answer::Repeated(first) = first
                && !matches!(&again, Answer::Repeated(same) if same == first)
                && fate::is_certain(&again)
            {
                let what = format!("accepted at {}, asked again: {again:?}", first.position);
                self.asked.lock().push(Asked::violation(what));
            }
        } else if self.dice.once_in(40) && matches!(first, Answer::Accepted(_)) {
            request.deadline = Instant::now() + DEADLINE;
            request.fingerprint = Some(Fingerprint([9; 16]));
            let again = self.ask(request).await;
            if fate::is_certain(&again) && again != Answer::Refused(Refusal::KeyReused) {
                self.asked.lock().push(Asked::violation(format!("a reused key was answered {again:?}")));
            }
        }
    }

    pub(in super::super) fn request(&self, key: Key, command: Command) -> Request {
        let id = CommandId(self.dice.uuid());
        let deadline = Instant::now() + DEADLINE;
        let mut request = Request::new(id, key, command, self.askers_time(), deadline);
        // Half of the ids are the gateway's own.
        if self.dice.once_in(2) {
            request.fingerprint = Some(Fingerprint([1; 16]));
            request.retention = Retention::Long;
        }
        request
    }

    /// Asks until there is an answer that is one.
    pub(in super::super) async fn ask(&self, request: Request) -> Answer {
        let partition = partition_of(&request.key, self.swarm.partitions);
        let asked = self.history.asks(&request);
        for n in 0..TRIES_MAX {
            let mut attempt = request.clone();
            attempt.deadline = Instant::now() + DEADLINE;
            let from = self.log.landed(partition);
            let answer = self.router.submit(attempt.clone()).await;
            let to = self.log.landed(partition);
            self.story.tell(format_args!("{} {} -> {answer:?} [{from}, {to}]", request.id, request.key));
            // Told that nothing happened some leave it at that, and some ask again.
            let leaves = n == 0 && answer == Answer::Overloaded && self.dice.once_in(2);
            if fate::is_certain(&answer) || leaves || self.gives_up(&request, &answer) {
                if fate::is_certain(&answer) {
                    self.history.answered(asked, &answer);
                }
                self.asked.lock().push(Asked {
                    request: attempt,
                    partition,
                    from,
                    to,
                    answer: answer.clone(),
                    violation: None,
                });
                return answer;
            }
            sleep(self.dice.micros(1_000, 200_000)).await;
        }
        self.asked.lock().push(Asked::violation(format!("{} was never answered", request.id)));
        Answer::Unknown
    }

    /// What a client's clock says.
    pub(super) fn askers_time(&self) -> Timestamp {
        let now = (self.clock)();
        if self.swarm.wrong_clock_one_in == 0 || !self.dice.once_in(self.swarm.wrong_clock_one_in) {
            return now;
        }
        let off = *self.dice.one_of(&[1, 10, 3_600, 86_400, 10 * 366 * 86_400]) * SECOND;
        let off = if self.dice.once_in(2) { -off } else { off };
        self.story.fault(Fault::WrongClock, format_args!("by {off} µs"));
        Timestamp(now.0 + off)
    }

    /// Whether a client that knows no more than this lets go of its request. Who registers to stay does not: somebody
    /// must be there to ask for more.
    fn gives_up(&self, request: &Request, answer: &Answer) -> bool {
        let one_in = self.swarm.give_up_one_in;
        let may = *answer == Answer::Unknown && !request.until_saga_ends;
        let gives_up = may && one_in > 0 && self.dice.once_in(one_in);
        if gives_up {
            self.story.fault(Fault::GaveUp, request.id);
        }
        gives_up
    }
}
