//! The rules by which owners, readers and runners keep their promises, so that a test can take one away and see what
//! breaks without it.
//!
//! The product keeps them all: without the feature `switchable-rules` a [`Rules`] is empty and every question is answered
//! at compile time.

/// One rule. Whoever enforces it asks [`Rules::keep`] at that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// An acceptance is answered only once its commit is known to be valid.
    AcknowledgeAfterValidity,
    /// A refusal is answered only after the log's end was found where it was expected.
    FenceRefusals,
    /// A read model is changed only by whoever knows its stored checkpoint.
    CompareCheckpoints,
    /// A runner knows which keys are parked before it applies anything.
    LoadParkedKeys,
}

/// Which rules are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    #[cfg(feature = "switchable-rules")]
    without: Option<Rule>,
}

impl Rules {
    /// Whether this one is kept.
    #[must_use]
    pub fn keep(self, rule: Rule) -> bool {
        #[cfg(feature = "switchable-rules")]
        return self.without != Some(rule);
        #[cfg(not(feature = "switchable-rules"))]
        {
            let _ = rule;
            true
        }
    }

    /// All but one.
    #[cfg(feature = "switchable-rules")]
    #[must_use]
    pub fn without(rule: Rule) -> Self {
        Self { without: Some(rule) }
    }
}
