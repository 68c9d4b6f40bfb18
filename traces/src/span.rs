//! A finished span, and the ids of those that are continued elsewhere.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;
use uuid::Uuid;

/// The id of a span within its trace; never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SpanId(u64);

/// What is done for one command, each by one span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// It is sent to the owner of its key until it is answered; for a step of a saga, it is carried out.
    Submit,
    /// The owner decides it, until what it decided stands in the log.
    Decide,
    /// The commit is on its way into the log.
    Append,
}

impl SpanId {
    /// The span of this part of a command: the same for everybody who knows the command's id.
    pub fn of(part: Part, command: Uuid) -> Self {
        Self::mixed(command, part as u64 + 1)
    }

    /// A span that nobody else continues, or only those who are told of it: of something with this id, told apart from
    /// others of the same thing by `which`.
    pub fn mixed(id: Uuid, which: u64) -> Self {
        let (high, low) = id.as_u64_pair();
        let mixed = mix(mix(high ^ which.wrapping_mul(0x9e37_79b9_7f4a_7c15)) ^ low);
        Self(mixed.max(1))
    }

    /// One that came from elsewhere; `None` if it is zero.
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        let id = u64::from_be_bytes(bytes);
        (id != 0).then_some(Self(id))
    }

    /// As it is sent.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The finalizer of SplitMix64: each bit of the input changes half of the output's.
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// What a span is in its trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It answers a request from outside.
    Server,
    /// It asks somebody else.
    Client,
    /// It takes in what somebody else has written.
    Consumer,
    /// Neither.
    Internal,
}

/// What is said of a span. Nothing that people wrote or are known by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

/// Something that was done and has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// To which trace it belongs: the correlation of what was done.
    pub trace: Uuid,
    /// Which it is.
    pub id: SpanId,
    /// What it was done for; `None` at the beginning of a trace.
    pub parent: Option<SpanId>,
    /// Others of its trace that it was done for as well.
    pub links: Vec<SpanId>,
    /// What was done: of few different words.
    pub name: Cow<'static, str>,
    /// What it is in its trace.
    pub kind: Kind,
    /// How long it took until now.
    pub took: Duration,
    /// Whether it failed.
    pub failed: bool,
    /// What is said of it.
    pub attributes: Vec<(&'static str, Value)>,
}

impl Span {
    /// One that has just begun and ended, inside, for nothing else.
    pub fn new(trace: Uuid, id: SpanId, name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            trace,
            id,
            parent: None,
            links: Vec::new(),
            name: name.into(),
            kind: Kind::Internal,
            took: Duration::ZERO,
            failed: false,
            attributes: Vec::new(),
        }
    }

    /// The same, done for this one.
    #[must_use]
    pub fn under(self, parent: SpanId) -> Self {
        Self { parent: Some(parent), ..self }
    }

    /// The same as this kind of span.
    #[must_use]
    pub fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The same, having taken so long.
    #[must_use]
    pub fn took(self, took: Duration) -> Self {
        Self { took, ..self }
    }

    /// The same, with this said of it.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// Beyond what a signed number holds it stays at the largest.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_spans_of_commands_are_told_apart() {
        let ids = (0..1_000)
            .map(Uuid::from_u128)
            .flat_map(|id| [Part::Submit, Part::Decide, Part::Append].map(|part| SpanId::of(part, id)));
        assert_eq!(ids.collect::<BTreeSet<_>>().len(), 3_000);
    }

    #[test]
    fn an_id_goes_out_and_comes_back() {
        let id = SpanId::of(Part::Submit, Uuid::from_u128(7));
        assert_eq!(SpanId::from_bytes(id.to_bytes()), Some(id));
        assert_eq!(SpanId::from_bytes([0; 8]), None);
    }
}
