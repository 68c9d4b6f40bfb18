//! Traces: what was done for a request, where, and for how long, as spans in the sense of OpenTelemetry. No I/O: whoever
//! makes a [`Traces`] says where finished spans go.
//!
//! The log says nothing of traces that it does not say anyway. A trace's id is the correlation that stands in every commit;
//! the ids of the spans that others continue [follow](SpanId::of) from the command's id; and which traces are followed is
//! decided by the trace's id alone. So whoever reads a commit, on any node, knows whether it belongs to a trace, to which
//! one, and whose child its own span is.

mod sampling;
mod span;

pub use sampling::Sampling;
pub use span::{Kind, Part, Span, SpanId, Value};

use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// Which traces are followed, and where their spans go. Clones are the same. By default there are none.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Followed>>);

struct Followed {
    sampling: Sampling,
    sink: Box<dyn Fn(Span) + Send + Sync>,
}

impl Traces {
    /// Follows what is sampled, and hands each finished span to `sink`, which must not wait.
    pub fn new(sampling: Sampling, sink: impl Fn(Span) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Followed { sampling, sink: Box::new(sink) })))
    }

    /// Whether any trace may be followed.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the spans of this trace are wanted. It is the same on every node that samples alike, and costs a comparison.
    pub fn follows(&self, trace: Uuid) -> bool {
        self.0.as_ref().is_some_and(|followed| followed.sampling.takes(trace))
    }

    /// Hands over a span that ends now. One of a trace that is not followed goes nowhere.
    pub fn finish(&self, span: Span) {
        if let Some(followed) = self.0.as_ref().filter(|followed| followed.sampling.takes(span.trace)) {
            (followed.sink)(span);
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traces").field(&self.0.as_ref().map(|followed| followed.sampling)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn spans_of_followed_traces_arrive_and_no_others() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let half = Sampling::ratio(0.5).unwrap();
        let traces = Traces::new(half, move |span| sink.lock().unwrap().push(span.trace));
        let ids = [Uuid::from_u128(1), Uuid::from_u128(u128::MAX)];
        for trace in ids {
            traces.finish(Span::new(trace, SpanId::of(Part::Decide, trace), "decide"));
        }
        assert_eq!(*seen.lock().unwrap(), [ids[1]]);
        assert!(!traces.follows(ids[0]) && traces.follows(ids[1]));
        assert!(!Traces::default().follows(ids[1]) && !Traces::default().is_on());
    }
}
