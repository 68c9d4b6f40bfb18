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
pub const EXEMPT: &[Exempt] = &[
    Exempt { operation: None, status: 500, reason: "a bug of ours: whoever finds a way there repairs it" },
    Exempt {
        operation: Some("DELETE /users/me"),
        status: 202,
        reason: "one node has nobody to wait for: tests/nodes/deletions.rs has two",
    },
    Exempt {
        operation: Some("POST /admin/sagas/{saga_id}/compensate"),
        status: 200,
        reason: "on one node a saga with a way back ends within a moment: tests/nodes/stuck.rs has one wait, and undoes it",
    },
    Exempt {
        operation: Some("POST /admin/parked/retry"),
        status: 200,
        reason: "what a program cannot apply it cannot apply again: projections/src/runner/tests.rs mends the model",
    },
];

impl Exempt {
    pub(super) fn covers(&self, operation: &str, status: u16) -> bool {
        self.status == status && self.operation.is_none_or(|it| it == operation)
    }
}
