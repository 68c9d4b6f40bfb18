//! What an owner does, as spans of the traces that are followed.
//!
//! A command's span is a child of the one in which it was sent; what came of a saga's step is a child of the step, and the
//! steps are children of the command that began the saga.

use crate::command::Command;
use crate::process::{SagaCommand, step_command_id};
use crate::request::Request;
use crate::state::Origin;
use events::{Event, SagaId, Step};
use std::collections::BTreeSet;
use std::time::Duration;
use traces::{Kind, Part, Span, SpanId};

/// One attempt of a saga's step that has ended.
pub(super) struct Attempt<'a> {
    pub(super) saga: SagaId,
    pub(super) step: &'a Step,
    pub(super) compensation: bool,
    /// How often it was tried before.
    pub(super) tried: u32,
    pub(super) outcome: &'static str,
    pub(super) took: Duration,
}

impl Attempt<'_> {
    pub(super) fn span(self, origin: Origin, process: &str) -> Span {
        let Self { saga, step, compensation, tried, outcome, took } = self;
        let command = step_command_id(saga, step, compensation).0;
        // What follows from a step has the first attempt for its parent.
        let id = match tried {
            0 => SpanId::of(Part::Submit, command),
            tried => SpanId::mixed(command, u64::from(tried) + u64::from(u32::MAX)),
        };
        let what = if compensation { "compensate" } else { "step" };
        let span = Span::new(origin.correlation, id, format!("{what} {step}"));
        Span { failed: !matches!(outcome, "done" | "progress"), ..span }
            .under(SpanId::of(Part::Decide, origin.command.0))
            .took(took)
            .with("tidings.saga.type", process.to_owned())
            .with("tidings.saga.id", saga.to_string())
            .with("tidings.saga.outcome", outcome)
    }
}

/// The span of a command at its owner, which was `answered` so.
pub(super) fn decide(request: &Request, answered: &'static str, took: Duration) -> Span {
    let sent_as = match &request.command {
        Command::Saga(SagaCommand::Record { saga, step, compensation, .. }) => {
            step_command_id(*saga, step, *compensation)
        }
        _ => request.id,
    };
    Span::new(request.correlation, SpanId::of(Part::Decide, request.id.0), format!("decide {}", request.command.name()))
        .under(SpanId::of(Part::Submit, sent_as.0))
        .kind(Kind::Internal)
        .took(took)
        .with("tidings.answer", answered)
}

/// The span of a commit on its way into the log.
pub(super) fn append(request: &Request, took: Duration) -> Span {
    Span::new(request.correlation, SpanId::of(Part::Append, request.id.0), "append")
        .under(SpanId::of(Part::Decide, request.id.0))
        .kind(Kind::Client)
        .took(took)
}

/// The names of what happened, each once.
pub(super) fn names(events: &[Event]) -> String {
    let names: BTreeSet<_> = events.iter().map(|event| event.wire_name().0).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}
