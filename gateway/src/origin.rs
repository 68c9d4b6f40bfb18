//! The request that something is done for: what it asks of owners belongs to its trace.
//!
//! It goes with the request's own task, since every write of a handler belongs to it, whether a token came or not.

use crate::backend::Backend;
use commands::{Answer, Request};
use std::time::Instant;
use traces::{Kind, Part, Span, SpanId};
use uuid::Uuid;

tokio::task_local! {
    static ORIGIN: Origin;
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The correlation of all that the request leads to.
    pub(crate) trace: Uuid,
    /// The span of the request itself.
    pub(crate) span: SpanId,
}

impl Origin {
    /// What is done within belongs to this request.
    pub(crate) async fn scope<T>(self, within: impl Future<Output = T>) -> T {
        ORIGIN.scope(self, within).await
    }
}

impl Backend {
    /// Sends a request to the owner of its key, as a part of what it is asked for.
    pub(crate) async fn ask(&self, request: Request) -> Answer {
        let Ok(origin) = ORIGIN.try_with(|origin| *origin) else { return self.router.submit(request).await };
        let request = Request { correlation: origin.trace, ..request };
        if !self.traces.follows(origin.trace) {
            return self.router.submit(request).await;
        }
        let (command, name, begun) = (request.id.0, request.command.name(), Instant::now());
        let answer = self.router.submit(request).await;
        let took = begun.elapsed();
        let id = match answer {
            // It is asked again, and that is what others continue.
            Answer::Unknown => SpanId::mixed(command, took.as_nanos() as u64),
            _ => SpanId::of(Part::Submit, command),
        };
        let span = Span::new(origin.trace, id, format!("submit {name}")).under(origin.span).kind(Kind::Client);
        let failed = matches!(answer, Answer::Unknown | Answer::Overloaded | Answer::Expired);
        self.traces.finish(Span { failed, ..span }.took(took).with("tidings.answer", answer.name()));
        answer
    }
}
