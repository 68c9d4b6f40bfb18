//! Work that is given up: as when a client goes away, a limit of time is over, or a partition moves.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// What comes of it in so many steps; `None` if it is not done then, and is dropped.
pub async fn in_steps<T>(steps: usize, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut left) = (pin!(work), steps);
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        left -= 1;
        if left == 0 { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}
