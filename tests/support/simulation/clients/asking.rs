//! Asking: until there is an answer, by clocks that are wrong, and again to see that the answer stays the same.

use super::super::check::{Asked, Seen};
use super::super::reading::Thing;
use super::super::world::{DEADLINE, STORM_MAX, World};
use super::super::{Fault, fate};
use commands::{Answer, Command, Refusal, Request};
use events::{CommandId, Fingerprint, Key, Retention, Timestamp, UserId};
use journal::{Position, partition_of};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a client goes on asking: however full the mailboxes are in a storm, there is room for all soon after it.
const PATIENCE: Duration = STORM_MAX.saturating_add(Duration::from_secs(60));

const SECOND: i64 = 1_000_000;

impl World {
    /// What somebody asks for under ids of their own, or of the gateway's.
    pub(in super::super) fn request(&self, by: Option<UserId>, key: Key, command: impl Into<Command>) -> Request {
        let id = CommandId(self.dice.uuid());
        let mut request = Request::new(id, key, command, self.askers_time(), Instant::now() + DEADLINE);
        request.actor = by;
        // Half of the ids are the gateway's own.
        if self.dice.once_in(2) {
            request.fingerprint = Some(Fingerprint([1; 16]));
            request.retention = Retention::Long;
        }
        request
    }

    /// Asks until there is an answer that is one; [`Answer::Unknown`] if whoever asks gives up before, or is not let in.
    pub(in super::super) async fn ask(&self, request: Request) -> Answer {
        if !self.is_let_in(&request).await {
            return Answer::Unknown;
        }
        let noted = self.history.asks(&request);
        let (begun, mut is_first) = (Instant::now(), true);
        while begun.elapsed() < PATIENCE {
            let mut asked = self.attempt(&request).await;
            let answer = asked.answer.clone();
            // Told that nothing happened some leave it at that, and some ask again.
            let leaves = is_first && answer == Answer::Overloaded && self.dice.once_in(2);
            if fate::is_certain(&answer) || leaves {
                if !leaves {
                    self.history.answered(noted, &answer);
                }
                self.asked.lock().push(asked);
                return answer;
            }
            if self.gives_up(&request, &answer) || !self.is_let_in(&request).await {
                // What came of it when it was sent before nobody has said.
                asked.answer = Answer::Unknown;
                self.asked.lock().push(asked);
                return Answer::Unknown;
            }
            is_first = false;
            sleep(self.dice.micros(1_000, 200_000)).await;
        }
        self.asked.lock().push(Asked::violation(format!("{} was never answered", request.id)));
        Answer::Unknown
    }

    /// Asks once, whether or not anybody would let it in.
    pub(super) async fn ask_once(&self, request: Request) -> Answer {
        let noted = self.history.asks(&request);
        let asked = self.attempt(&request).await;
        let answer = asked.answer.clone();
        if fate::is_certain(&answer) {
            self.history.answered(noted, &answer);
        }
        self.asked.lock().push(asked);
        answer
    }

    async fn attempt(&self, request: &Request) -> Asked {
        let partition = partition_of(&request.key, self.swarm.partitions);
        let request = Request { deadline: Instant::now() + DEADLINE, ..request.clone() };
        let from = self.log.landed(partition);
        let answer = self.router.submit(request.clone()).await;
        let to = self.log.landed(partition);
        self.story.tell(format_args!("{} {} -> {answer:?} [{from}, {to}]", request.id, request.key));
        Asked { request, partition, from, to, answer, violation: None }
    }

    /// Now and then the same request comes again, or its id for another one.
    pub(super) async fn ask_again(&self, mut request: Request, first: &Answer) {
        if self.dice.once_in(20) {
            let id = request.id;
            let again = self.ask(request).await;
            let is_same = match first {
                Answer::Accepted(receipt) | Answer::Repeated(receipt) => again == Answer::Repeated(*receipt),
                // It may be told where it acted last, which may be later by now.
                Answer::Ended(_, ended) => matches!(&again, Answer::Ended(_, same) if same == ended),
                _ => true,
            };
            if fate::is_certain(&again) && !is_same {
                let what = format!("{id} was answered {first:?}, and asked again {again:?}");
                self.asked.lock().push(Asked::violation(what));
            }
        } else if self.dice.once_in(40) && matches!(first, Answer::Accepted(_) | Answer::Ended(..)) {
            request.fingerprint = Some(Fingerprint([9; 16]));
            let again = self.ask(request).await;
            if fate::is_certain(&again) && again != Answer::Refused(Refusal::KeyReused) {
                self.asked.lock().push(Asked::violation(format!("a reused key was answered {again:?}")));
            }
        }
    }

    /// Whoever was told that something took effect sees it.
    pub(super) async fn look(&self, position: Position, thing: Thing) {
        let Some(there) = self.reading.see(thing.model(), position, |models| models.show(thing)).await else {
            let asked = Asked::violation(format!("{} never passed {position}", thing.model()));
            return self.asked.lock().push(asked);
        };
        let to = self.log.landed(position.partition);
        self.seen.lock().push(Seen { position, to, at: Instant::now(), thing, there });
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

    /// Whether a client that knows no more than this lets go of its request. Who has no account yet does not: somebody
    /// must be there to ask for more.
    fn gives_up(&self, request: &Request, answer: &Answer) -> bool {
        let one_in = self.swarm.give_up_one_in;
        let may = *answer == Answer::Unknown && request.actor.is_some();
        let gives_up = may && one_in > 0 && self.dice.once_in(one_in);
        if gives_up {
            self.story.fault(Fault::GaveUp, request.id);
        }
        gives_up
    }
}
