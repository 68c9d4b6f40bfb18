//! How many connections each address has. There are never more entries than connections.

use crate::address::subject;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Counts connections by what counts as one address.
#[derive(Clone)]
pub(super) struct PerAddress {
    max: usize,
    open: Arc<Mutex<HashMap<u128, usize>>>,
}

/// One connection, for as long as this lives.
pub(super) struct Counted {
    open: Arc<Mutex<HashMap<u128, usize>>>,
    subject: u128,
}

impl PerAddress {
    pub(super) fn new(max: usize) -> Self {
        Self { max, open: Arc::default() }
    }

    /// One more; `None` if there are as many as there may be.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Counted> {
        let subject = subject(address);
        let mut open = self.open.lock();
        let count = open.entry(subject).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Counted { open: Arc::clone(&self.open), subject })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&self.subject) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_and_when_one_ends_another_one() {
        let per_address = PerAddress::new(2);
        let (home, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = per_address.enter(home);
        let second = per_address.enter(home);
        assert!(first.is_some() && second.is_some() && per_address.enter(home).is_none());
        assert!(per_address.enter(other).is_some());
        drop(first);
        assert!(per_address.enter(home).is_some());
        drop(second);
        assert!(per_address.open.lock().is_empty());
    }
}
