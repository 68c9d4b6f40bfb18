//! One connection that many share, made anew when it fails.
//!
//! Whoever comes while it is being made waits for the same attempt, and hears what became of it; the next one begins another.

use super::server;
use super::{Bound, CONNECT_MAX, QUEUE_MAX};
use crate::open_error::OpenError;
use crate::read_model::Unavailable;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::timeout;

type Connecting = Shared<BoxFuture<'static, Result<MultiplexedConnection, OpenError>>>;

/// See the module.
pub(super) struct Link {
    client: Client,
    prefix: String,
    bound: Arc<OnceLock<Bound>>,
    current: Mutex<Option<Connecting>>,
}

impl Link {
    pub(super) fn new(client: Client, prefix: String, bound: Arc<OnceLock<Bound>>) -> Self {
        Self { client, prefix, bound, current: Mutex::default() }
    }

    /// One that was seen to lead to a server that is fit.
    pub(super) async fn connection(&self) -> Result<MultiplexedConnection, OpenError> {
        let connecting = self.connecting();
        let connected = connecting.clone().await;
        if connected.is_err() {
            self.give_up(&connecting);
        }
        connected
    }

    /// The next one to come makes a new one.
    pub(super) fn forget(&self) {
        *self.current.lock() = None;
    }

    /// What is asked over the connection. If that has failed, or has been silent for so long, it is not used again.
    pub(super) async fn within<T, F>(
        &self,
        max: Duration,
        ask: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, Unavailable>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let connecting = self.connecting();
        let asked = async {
            let connection = connecting.clone().await.map_err(|error| match error {
                OpenError::Unavailable(why) => why,
                OpenError::Unusable(why) => Unavailable(format!("Redis cannot be used: {why}")),
            });
            let connection = connection.inspect_err(|_| self.give_up(&connecting))?;
            ask(connection).await.map_err(|error| {
                if error.is_io_error() || error.is_unrecoverable_error() {
                    self.give_up(&connecting);
                }
                unavailable(&error)
            })
        };
        let asked = timeout(max, asked).await;
        asked.unwrap_or_else(|_| {
            self.give_up(&connecting);
            Err(Unavailable(format!("Redis has not answered for {} s", max.as_secs())))
        })
    }

    fn connecting(&self) -> Connecting {
        let mut current = self.current.lock();
        let begin = || connect(self.client.clone(), self.prefix.clone(), Arc::clone(&self.bound)).boxed().shared();
        current.get_or_insert_with(begin).clone()
    }

    /// If no other one has been begun since.
    fn give_up(&self, failed: &Connecting) {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|it| it.ptr_eq(failed)) {
            *current = None;
        }
    }
}

async fn connect(
    client: Client,
    prefix: String,
    bound: Arc<OnceLock<Bound>>,
) -> Result<MultiplexedConnection, OpenError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_MAX))
        // Whoever asks says how long they wait.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE_MAX);
    let connected = async {
        let made = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = made.map_err(|error| server::refused(&error))?;
        server::check(&mut connection, &prefix, bound.get()).await?;
        Ok(connection)
    };
    let late = |_| Unavailable(format!("Redis has not taken a connection for {} s", CONNECT_MAX.as_secs()));
    timeout(CONNECT_MAX, connected).await.map_err(late)?
}

/// What the server or the way to it says. It names hosts and users, never passwords.
pub(super) fn unavailable(error: &RedisError) -> Unavailable {
    Unavailable(format!("Redis: {error}"))
}
