//! What a runner does, as spans of the traces that are followed: in each read model each batch continues the trace of every
//! commit in it.

use super::Runner;
use crate::read_model::Entry;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use traces::{Kind, Part, Span, SpanId};
use uuid::Uuid;

/// Traces that one batch of one read model continues. More of them than that say nothing more of the batch.
const TRACES_MAX: usize = 64;
/// Further commits of a trace in a batch that its span names.
const LINKS_MAX: usize = 16;
/// What is older is not continued: it is read again, not for the first time.
const AGE_MAX: Duration = Duration::from_secs(300);

impl Runner {
    /// Tells of a batch that is applied, of these commits, to the traces that they belong to.
    pub(super) fn trace(&self, model: usize, entries: &[Entry<'_>], begun: Instant) {
        if !self.traces.is_on() {
            return;
        }
        let mut followed = BTreeMap::<Uuid, Vec<&Entry<'_>>>::new();
        let now = (self.clock)();
        for entry in entries.iter().filter(|entry| self.traces.follows(entry.commit.correlation)) {
            if now.since(entry.commit.time) <= AGE_MAX
                && (followed.len() < TRACES_MAX || followed.contains_key(&entry.commit.correlation))
            {
                followed.entry(entry.commit.correlation).or_default().push(entry);
            }
        }
        if followed.is_empty() {
            return;
        }
        let (model, took) = (&self.models[model], begun.elapsed());
        for (trace, commits) in followed {
            let cause = |entry: &&Entry<'_>| SpanId::of(Part::Decide, entry.commit.command.0);
            let (first, last) = (commits[0], commits[commits.len() - 1]);
            // Two that apply it differ in their names or in when they do.
            let which =
                model.name().bytes().fold(now.0.unsigned_abs(), |sum, byte| sum.rotate_left(5) ^ u64::from(byte));
            let mut span =
                Span::new(trace, SpanId::mixed(first.commit.command.0, which), format!("apply {}", model.name()))
                    .under(cause(&first))
                    .kind(Kind::Consumer)
                    .took(took)
                    .with("tidings.model", model.name())
                    .with("tidings.partition", u64::from(self.partition.0))
                    .with("tidings.offset", last.position.offset)
                    .with("tidings.batch.commits", entries.len() as u64);
            if let Some(system) = model.system() {
                span = span.with("db.system.name", system);
            }
            span.links = commits[1..].iter().take(LINKS_MAX).map(cause).collect();
            self.traces.finish(span);
        }
    }
}
