//! Up to which moment this node has heard what happened to sessions. One that was ended on another node is refused here
//! only once this node has read of it; a node that hears nothing for too long must not go on taking its token. Where all nodes
//! share the sessions there is nothing to hear.

use crate::error::ApiError;
use parking_lot::Mutex;
use projections::{ModelLag, sessions};
use std::time::{Duration, Instant};

/// See the module.
pub(crate) struct Hearsay {
    until: Mutex<Instant>,
    /// `None` where nothing happens elsewhere, or all share what has happened.
    lag_max: Option<Duration>,
}

impl Hearsay {
    /// Everything is known at this moment, as it is when a node begins to serve.
    pub(crate) fn new(lag_max: Option<Duration>) -> Self {
        Self { until: Mutex::new(Instant::now()), lag_max }
    }

    /// How far the read models are behind the log's end, asked at `asked`.
    pub(crate) fn note(&self, asked: Instant, lags: &[ModelLag]) {
        let behind = lags.iter().filter(|lag| lag.model == sessions::NAME && lag.records > 0);
        let oldest = behind.filter_map(|lag| lag.oldest).max().unwrap_or_default();
        let until = asked.checked_sub(oldest).unwrap_or(asked);
        let mut known = self.until.lock();
        *known = (*known).max(until);
    }

    /// Whether a session that is open here is open, give or take what is allowed.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let Some(lag_max) = self.lag_max else { return Ok(()) };
        let lag = self.until.lock().elapsed();
        if lag <= lag_max {
            return Ok(());
        }
        let what = format!("This node has heard nothing of the log for {} s", lag.as_secs());
        Err(ApiError::unavailable(format!("{what}: it cannot tell whether the session is still open")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::Partition;

    fn lag(records: u64, oldest: Duration) -> ModelLag {
        let (next, end) = (0, records);
        ModelLag { model: sessions::NAME, partition: Partition(0), next, end, records, parked: 0, oldest: Some(oldest) }
    }

    #[test]
    fn what_is_too_old_is_not_relied_upon() {
        let hearsay = Hearsay::new(Some(Duration::from_secs(60)));
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(100)) else { return };
        *hearsay.until.lock() = long_ago;
        assert!(hearsay.check().is_err());
        hearsay.note(Instant::now(), &[lag(3, Duration::from_secs(90))]);
        assert!(hearsay.check().is_err());
        hearsay.note(Instant::now(), &[lag(3, Duration::from_secs(5))]);
        assert!(hearsay.check().is_ok());
        *hearsay.until.lock() = long_ago;
        hearsay.note(Instant::now(), &[lag(0, Duration::ZERO)]);
        assert!(hearsay.check().is_ok());
        assert!(Hearsay::new(None).check().is_ok());
    }
}
