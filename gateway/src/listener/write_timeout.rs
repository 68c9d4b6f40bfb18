//! A time limit for readers of answers: the library has one for the head of a request, and none for writing.
//!
//! The time runs from when the socket takes no more until it has taken all that was to be written, so that taking an
//! answer byte by byte does not help: what waits for a reader is in memory for so long at most.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream whose writes fail with `TimedOut` when they take too long.
pub(super) struct WithWriteTimeout<S> {
    stream: S,
    limit: Duration,
    /// Made when a write has to wait for the first time: most connections need none.
    sleep: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl<S> WithWriteTimeout<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, sleep: None, waits: false }
    }

    /// What a write that has to wait becomes: pending, or at the end of the time an error.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        if !self.waits {
            self.waits = true;
            sleep.as_mut().reset(Instant::now() + self.limit);
        }
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client did not take the answer in time")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WithWriteTimeout<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithWriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Pending => self.wait(cx),
            done => done,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(cx, pieces) {
            Poll::Pending => self.wait(cx),
            done => done,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The library flushes when nothing is left to be written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        self.waits = false;
        Poll::Ready(done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const LIMIT: Duration = Duration::from_secs(30);
    const ROOM: usize = 8;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_and_who_takes_it_byte_by_byte_are_cut_off() {
        for every in [None, Some(LIMIT / 4)] {
            let (ours, mut theirs) = duplex(ROOM);
            let mut writer = WithWriteTimeout::new(ours, LIMIT);
            let reading = tokio::spawn(async move {
                while let Some(every) = every {
                    sleep(every).await;
                    if theirs.read_u8().await.is_err() {
                        break;
                    }
                }
                sleep(LIMIT * 10).await;
                drop(theirs);
            });
            let begun = Instant::now();
            let error = writer.write_all(&[0; 100]).await.unwrap_err();
            assert_eq!(
                (error.kind(), begun.elapsed().as_secs()),
                (io::ErrorKind::TimedOut, LIMIT.as_secs()),
                "{every:?}"
            );
            reading.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_all_of_it_has_all_the_time_again() {
        let (ours, mut theirs) = duplex(ROOM);
        let mut writer = WithWriteTimeout::new(ours, LIMIT);
        let reading = tokio::spawn(async move {
            for _ in 0..3 {
                sleep(LIMIT * 2 / 3).await;
                theirs.read_exact(&mut [0; 2 * ROOM]).await.unwrap();
            }
        });
        for _ in 0..3 {
            writer.write_all(&[0; 2 * ROOM]).await.unwrap();
            writer.flush().await.unwrap();
        }
        reading.await.unwrap();
    }
}
