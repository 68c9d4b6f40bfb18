//! Statuses that no honest test over the API can have, each with the reason.

/// What need not be seen.
#[derive(Clone, Copy)]
pub struct Exempt {
    /// Of which operation; of every one if it is not said.
    pub operation: Option<&'static str>,
    /// Which status.
    pub status: u16,
    /// Why no test can have it.
    pub reason: &'static str,
}

/// Everything that need not be seen.
pub const EXEMPT: &[Exempt] =
    &[Exempt { operation: None, status: 500, reason: "a bug of ours: whoever finds a way there repairs it" }];

impl Exempt {
    pub(super) fn covers(&self, operation: &str, status: u16) -> bool {
        self.status == status && self.operation.is_none_or(|it| it == operation)
    }
}
