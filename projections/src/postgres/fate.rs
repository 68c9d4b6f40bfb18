//! What becomes of a row in the course of a batch, so that it is written once however often it came and went.

/// It is first taken away, then put there, or both.
pub(crate) struct Fate<T> {
    pub(crate) removed: bool,
    pub(crate) added: Option<T>,
}

impl<T> Default for Fate<T> {
    fn default() -> Self {
        Self { removed: false, added: None }
    }
}

impl<T> Fate<T> {
    /// What is there already stays as it is.
    pub(crate) fn add(&mut self, row: T) {
        self.added.get_or_insert(row);
    }

    pub(crate) fn remove(&mut self) {
        *self = Self { removed: true, added: None };
    }
}
