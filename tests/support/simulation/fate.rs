//! What strikes the write side from outside, and whether the owners bear it.

use super::nodes::Node;
use super::world::World;
use super::{Fault, check};
use commands::Answer;
use futures::FutureExt;
use journal::{Journal, Kind, Partition};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Former owners that go on beside the present ones.
const FORMER_MAX: usize = 6;
/// How long after it was assigned to another node a former owner's claim may still land: as long as owners stand still
/// and the log is slow or out of reach.
const CLAIMS_LATE_MAX: Duration = Duration::from_secs(8);

/// One owner in so many that stand still does so for long, and nobody takes over.
const AWAY_ONE_IN: usize = 4;
/// How long, in microseconds: longer than the sagas of others have patience at first.
const AWAY: (u64, u64) = (3_000_000, 15_000_000);

/// Records that a log loses at most when it is cut.
const LOST_MAX: usize = 3;
/// Posts that are written after it.
const CUT_WRITES_MAX: usize = 50;

const SECOND: i64 = 1_000_000;

impl World {
    /// Whether the partition's owner stands still and nobody takes over.
    pub(super) fn is_away(&self, partition: Partition) -> bool {
        self.away.lock().get(&partition).is_some_and(|until| *until > Instant::now())
    }

    /// Something breaks that owners or the log must bear.
    pub(super) fn strike_the_write_side(&self, node: &mut Node, former: &mut Vec<Node>) {
        let partition = node.partition;
        let strikes = [
            Fault::ClockJump,
            Fault::HandOver,
            Fault::Revoked,
            Fault::HandBack,
            Fault::LogUnavailable,
            Fault::LogFull,
            Fault::OwnerAway,
        ];
        let strike = *self.dice.one_of(&strikes);
        if !self.swarm.has(strike) {
            return;
        }
        let on = format!("partition {partition}");
        match strike {
            Fault::OwnerAway if self.dice.once_in(AWAY_ONE_IN) => {
                let pause = self.dice.micros(AWAY.0, AWAY.1);
                self.story.fault(strike, format_args!("{on} for {pause:?}"));
                node.gate.close_until(Instant::now() + pause);
                self.away.lock().insert(partition, Instant::now() + pause);
            }
            Fault::OwnerAway => {}
            Fault::HandOver => {
                self.story.fault(strike, on);
                node.stop.cancel();
                former.push(std::mem::replace(node, self.cluster.start(partition)));
            }
            Fault::Revoked => {
                self.story.fault(strike, on);
                let old = std::mem::replace(node, self.cluster.start(partition));
                self.cluster.revoke(&old);
                former.push(old);
            }
            Fault::HandBack => {
                let back =
                    former.iter_mut().rev().find(|node| node.partition == partition && !node.stop.is_cancelled());
                let Some(back) = back else { return };
                self.story.fault(strike, on);
                self.cluster.hand_back(back);
                std::mem::swap(node, back);
                if self.dice.once_in(2) {
                    self.cluster.revoke(back);
                }
            }
            Fault::LogUnavailable => {
                let pause = self.dice.micros(20_000, 2_000_000);
                self.story.fault(strike, format_args!("{on} for {pause:?}"));
                self.log.make_unavailable(partition, pause);
            }
            Fault::LogFull => {
                let pause = self.dice.micros(20_000, 2_000_000);
                self.story.fault(strike, format_args!("{on} for {pause:?}"));
                self.log.fill(partition, pause);
            }
            _ => self.jump(),
        }
    }

    /// The wall clock of all owners jumps; clients ask it too.
    fn jump(&self) {
        let far = *self.dice.one_of(&[2, 2, 3_600, 86_400, 10 * 86_400]) * SECOND;
        let far = usize::try_from(far).expect("positive");
        let jump = i64::try_from(self.dice.below(2 * far)).expect("small") - i64::try_from(far).expect("small");
        self.story.fault(Fault::ClockJump, format_args!("by {jump} µs"));
        self.note_the_time();
        self.jumped.fetch_add(jump, Ordering::Relaxed);
        self.note_the_time();
    }

    /// Notes how far the wall clock goes at most.
    pub(super) fn note_the_time(&self) {
        let now = (self.clock)();
        let mut range = self.clock_range.lock();
        *range = Some(range.map_or((now, now), |(earliest, latest)| (now.min(earliest), now.max(latest))));
    }

    /// An owner that has ended by itself is a violation; another one starts. Former owners are let go in time.
    pub(super) fn tend(&self, nodes: &mut [Node], former: &mut Vec<Node>) {
        for node in nodes.iter_mut().filter(|node| node.task.is_finished()) {
            self.note_the_end(node);
            *node = self.cluster.start(node.partition);
        }
        former.retain_mut(|node| {
            let ended = node.task.is_finished();
            if ended {
                self.note_the_end(node);
            }
            !ended
        });
        while former.len() > FORMER_MAX {
            former.remove(0).task.abort();
        }
    }

    fn note_the_end(&self, node: &mut Node) {
        match (&mut node.task).now_or_never() {
            Some(Ok(Ok(()))) if node.stop.is_cancelled() => {}
            end => {
                let what = format!("the owner of partition {} has ended by itself: {end:?}", node.partition);
                self.asked.lock().push(check::Asked::violation(what));
            }
        }
    }
}

/// Who is not meant to own a partition leaves it alone.
pub(super) async fn trespassers(world: &World) -> Vec<String> {
    let mut violations = Vec::new();
    for n in 0..world.log.partitions() {
        let partition = Partition(n);
        let records = world.log.read(partition, 0, usize::MAX).await.expect("without faults the log can be read");
        for (record, at) in records.iter().zip(world.log.landings(partition)) {
            let (kind, incarnation) = (record.draft.kind, record.draft.incarnation);
            if kind == Kind::Claim && !world.cluster.was_assigned(incarnation, partition, at - CLAIMS_LATE_MAX, at) {
                violations.push(format!("{incarnation} claimed partition {partition}, which was not its node's"));
            }
        }
    }
    violations
}

/// In the end, the log does what none may: it loses its tail and goes on with something else, as after an unclean
/// election. Whoever goes on from a checkpoint that the tail was part of must stop, and say so.
pub(super) async fn cut_the_log(world: &World, nodes: &[Node], former: &[Node]) -> Option<String> {
    let node = world.dice.one_of(nodes);
    let partition = node.partition;
    let records = world.log.landed(partition);
    let lost = 1 + world.dice.below(LOST_MAX) as u64;
    if records <= lost {
        return None;
    }
    world.reading.halt();
    nodes.iter().chain(former).for_each(|node| node.task.abort());
    world.story.fault(Fault::LogCut, format_args!("partition {partition} lost {lost} of {records} records"));
    world.log.cut(partition, records - lost);
    let owner = world.cluster.start(partition);
    // The same asker again and again, until the log is longer than it was.
    for _ in 0..CUT_WRITES_MAX {
        if world.log.landed(partition) > records {
            break;
        }
        world.draft_on(partition).await;
    }
    world.reading.crash();
    let stopped = world.reading.stops_as_diverged(partition).await;
    owner.task.abort();
    (!stopped).then(|| format!("a runner goes on although the tail of partition {partition} is another one"))
}

/// Whether this says for certain what came of a request.
pub(super) fn is_certain(answer: &Answer) -> bool {
    !matches!(answer, Answer::Unknown | Answer::Overloaded | Answer::Expired)
}
