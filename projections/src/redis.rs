//! Read models on a Redis server: the way to it, and the checkpoints that stand beside the data.
//!
//! A batch is one script, which begins with the checkpoint's compare and ends with its set: nothing comes in between, and
//! the server keeps all of it or nothing. What the server has written down is its own affair: one that comes back with less,
//! or with nothing, is given the rest from the log again.
//!
//! One server, not a cluster: what a script touches is named by what it is told.

mod checkpoints;
mod link;
mod passed;
mod server;

pub use crate::open_error::OpenError;
use crate::read_model::Unavailable;
pub(crate) use checkpoints::{Checkpoints, next_of};
use link::Link;
pub(crate) use passed::Passed;
use redis::io::tcp::TcpSettings;
use redis::{FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, ScriptInvocation};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tracing::warn;

/// How long the server may take to take a connection, and to say what it is.
pub const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long one read may take, before its client is told to come again.
pub const READ_MAX: Duration = Duration::from_secs(2);
/// How long writing a batch may take, before it is tried again.
pub const WRITE_MAX: Duration = Duration::from_secs(10);

/// Commands of a node that wait to be sent; further ones wait to wait.
const QUEUE_MAX: usize = 1_000;
/// How long what was sent may be unanswered by the other machine, before the connection is given up.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What a prefix may have, beside letters and digits. None of it means anything in a pattern.
const PREFIX_SIGNS: &str = ":_.-";
const PREFIX_CHARS_MAX: usize = 64;
/// Keys that are looked for, and deleted, at one time.
const DELETED_AT_ONCE: usize = 1_000;

/// The keys of a Redis server that begin with one prefix. It reconnects by itself. A clone is the same one.
#[derive(Clone)]
pub struct Keyspace(Arc<Inner>);

struct Inner {
    /// For reads, and for batches: they do not wait for each other's bytes.
    reads: Link,
    writes: Link,
    prefix: String,
    bound: Arc<OnceLock<Bound>>,
    place: String,
}

/// The log that the read models are built from.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Bound {
    pub(crate) log: String,
    pub(crate) partitions: u32,
}

impl Keyspace {
    /// Opens the keys that the URL names on a server that is fit for it: not too old, no cluster, one that evicts nothing.
    /// Nothing is changed. One that does not answer now is looked at whenever a connection is made; until then everything
    /// that is asked of it is [`Unavailable`].
    ///
    /// The URL is `redis://:password@host:port/database?prefix=text`, or `rediss://` over TLS. Database and prefix may be
    /// missing: then they are 0 and empty. Whoever has other keys in the same database, such as another log, needs another
    /// prefix, of letters, digits and `:_.-`.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let keyspace = Self::lazy(url)?;
        keyspace.look().await?;
        Ok(keyspace)
    }

    /// Says which log the read models are built from, and how many partitions it has. It is noted if they are built from none
    /// yet; those of another log are [`OpenError::Unusable`]. As with [`Self::open`], a server that does not answer is looked
    /// at later.
    pub async fn bind(&self, log: &str, partitions: u32) -> Result<(), OpenError> {
        let wanted = Bound { log: log.to_owned(), partitions };
        let bound = self.0.bound.get_or_init(|| wanted.clone());
        if *bound != wanted {
            return Err(OpenError::Unusable(format!("it was bound to the log {} before, not to {log}", bound.log)));
        }
        // Connections that were made before did not ask.
        self.0.reads.forget();
        self.0.writes.forget();
        self.look().await
    }

    /// What is wrong with it for good.
    async fn look(&self) -> Result<(), OpenError> {
        match self.0.reads.connection().await {
            Err(OpenError::Unavailable(why)) => warn!("the read models in {} wait: {why}", self.0.place),
            connected => drop(connected?),
        }
        Ok(())
    }

    fn lazy(url: &str) -> Result<Self, OpenError> {
        let prefix = prefix_of(url).map_err(OpenError::Unusable)?;
        let no_url = |error: RedisError| OpenError::Unusable(format!("it is no redis:// URL: {error}"));
        let info = url.into_connection_info().map_err(no_url)?;
        let tcp = TcpSettings::default().set_nodelay(true);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(SILENCE_MAX);
        let info = info.set_tcp_settings(tcp);
        let place = format!("{}/{}", info.addr(), info.redis_settings().db());
        let place = if prefix.is_empty() { place } else { format!("{place}, with keys that begin with {prefix}") };
        let client = redis::Client::open(info).map_err(no_url)?;
        let bound = Arc::<OnceLock<Bound>>::default();
        let link = || Link::new(client.clone(), prefix.clone(), Arc::clone(&bound));
        let (reads, writes) = (link(), link());
        Ok(Self(Arc::new(Inner { reads, writes, prefix, bound, place })))
    }

    /// Deletes all keys that begin with the prefix. An empty one is refused: then they may be anybody's.
    pub async fn delete(self) -> Result<(), OpenError> {
        if self.0.prefix.is_empty() {
            return Err(OpenError::Unusable("the URL names no prefix: nothing was deleted".to_owned()));
        }
        let pattern = self.key("*");
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::pipe();
            scan.cmd("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(DELETED_AT_ONCE);
            let ((next, keys),): ((u64, Vec<String>),) = self.write(&scan).await?;
            if !keys.is_empty() {
                let mut delete = redis::pipe();
                delete.cmd("UNLINK").arg(keys).ignore();
                self.write::<()>(&delete).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    /// Where it is, without secrets.
    pub fn place(&self) -> &str {
        &self.0.place
    }

    /// The key of this name.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.0.prefix)
    }

    /// The log that it was bound to.
    pub(crate) fn bound(&self) -> Result<&Bound, Unavailable> {
        self.0.bound.get().ok_or_else(|| Unavailable("Redis: it is not known yet which log it is of".to_owned()))
    }

    /// What a script that reads comes to, at most after [`READ_MAX`].
    pub async fn ask<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Unavailable> {
        self.0.reads.within(READ_MAX, async |mut connection| script.invoke_async(&mut connection).await).await
    }

    /// What a script that writes a batch comes to, at most after [`WRITE_MAX`].
    pub(crate) async fn change<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Unavailable> {
        self.0.writes.within(WRITE_MAX, async |mut connection| script.invoke_async(&mut connection).await).await
    }

    async fn write<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Unavailable> {
        self.0.writes.within(WRITE_MAX, async |mut connection| commands.query_async(&mut connection).await).await
    }
}

/// What every key begins with.
fn prefix_of(url: &str) -> Result<String, String> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default();
    let fits = |sign: char| sign.is_ascii_alphanumeric() || PREFIX_SIGNS.contains(sign);
    if prefix.len() <= PREFIX_CHARS_MAX && prefix.chars().all(fits) {
        return Ok(prefix.to_owned());
    }
    Err(format!(
        "the prefix in its URL has more than {PREFIX_CHARS_MAX} signs, or others than letters, digits and {PREFIX_SIGNS}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_what_the_url_says_if_no_pattern_could_mean_anything_else() {
        assert_eq!(prefix_of("redis://localhost").as_deref(), Ok(""));
        assert_eq!(prefix_of("redis://localhost/1?protocol=resp3&prefix=a:b").as_deref(), Ok("a:b"));
        assert_eq!(prefix_of("rediss://localhost?prefix=a#insecure").as_deref(), Ok("a"));
        for bad in ["*", "a?", "[a]", "a%20", "ä"] {
            assert!(prefix_of(&format!("redis://localhost?prefix={bad}")).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn what_is_no_server_of_ours_is_refused_without_its_secret() {
        for url in ["redis://:secret@", "http://:secret@localhost", "redis://:secret@localhost/x", "nonsense:secret"] {
            let Err(OpenError::Unusable(why)) = Keyspace::open(url).await else { panic!("{url}") };
            assert!(why.contains("redis://") && !why.contains("secret"), "{why}");
        }
    }
}
