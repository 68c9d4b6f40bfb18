//! The owner's rules, so that a test can take one away and see what breaks.

/// Which rules the owner keeps. All of them, outside tests: only [`Rules::default`] exists in the product, since without
/// the feature `switchable-rules` there is no way to make another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// An acceptance is answered only once its commit is known to be valid.
    pub(crate) acknowledge_after_validity: bool,
    /// A refusal is answered only after the log's end was found where it was expected.
    pub(crate) fence_refusals: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { acknowledge_after_validity: true, fence_refusals: true }
    }
}

#[cfg(feature = "switchable-rules")]
impl Rules {
    /// Breaks the promise that an acknowledged write is in the log.
    #[must_use]
    pub fn without_acknowledging_after_validity(self) -> Self {
        Self { acknowledge_after_validity: false, ..self }
    }

    /// Breaks the promise that a refusal was true when it was answered.
    #[must_use]
    pub fn without_fencing_refusals(self) -> Self {
        Self { fence_refusals: false, ..self }
    }
}
