//! Stands in for the windows in Redis in a build without it: there are none.

use super::windows::{Charge, Standing, Taken};
use events::{SessionId, UserId};
use projections::Unavailable;
use projections::sessions::SessionState;

/// There are none.
pub(crate) enum SharedWindows {}

pub(super) type Timed<T> = (T, u64);

impl SharedWindows {
    pub(super) async fn take(
        &self,
        _: u128,
        _: &[Charge],
        _: Option<u64>,
    ) -> Result<Timed<Result<Taken, Standing>>, Unavailable> {
        match *self {}
    }

    pub(super) async fn look(
        &self,
        _: u128,
        _: Charge,
        _: Option<u64>,
    ) -> Result<Timed<Result<Standing, Standing>>, Unavailable> {
        match *self {}
    }

    pub(super) async fn give_back(&self, _: &Taken) -> Result<(), Unavailable> {
        match *self {}
    }

    pub(super) async fn enter(
        &self,
        _: (SessionId, UserId),
        _: &[Charge],
    ) -> Result<Timed<(SessionState, Option<Result<Taken, Standing>>)>, Unavailable> {
        match *self {}
    }
}
