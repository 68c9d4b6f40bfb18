//! Whether a server is fit to hold read models: asked whenever a connection is made, since another one may answer there.

use super::Bound;
use super::link::unavailable;
use crate::open_error::OpenError;
use crate::read_model::Unavailable;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError};

/// The oldest version that is known to do: scripts that say what they need.
const VERSION_MIN: u32 = 7;
/// What a server does that has no more memory: it says so, and deletes nothing that it was given.
const POLICY: &str = "noeviction";

/// That it is one of ours, with these keys of this log.
pub(super) async fn check(
    connection: &mut MultiplexedConnection,
    prefix: &str,
    bound: Option<&Bound>,
) -> Result<(), OpenError> {
    let said: String = redis::cmd("INFO").query_async(connection).await.map_err(|error| refused(&error))?;
    check_server(&said)?;
    let Some(Bound { log, .. }) = bound else { return Ok(()) };
    let key = format!("{prefix}log");
    let mut note = redis::pipe();
    note.cmd("SET").arg(&key).arg(log).arg("NX").ignore().cmd("GET").arg(&key);
    let (noted,): (String,) = note.query_async(connection).await.map_err(|error| refused(&error))?;
    if noted == *log {
        return Ok(());
    }
    Err(OpenError::Unusable(format!("its read models are built from the log {noted}, not from {log}")))
}

fn check_server(said: &str) -> Result<(), OpenError> {
    let value = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let version = value("redis_version").unwrap_or_default().trim();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < VERSION_MIN) {
        return Err(OpenError::Unusable(format!("Redis {version} is too old: {VERSION_MIN} or newer is needed")));
    }
    if value("cluster_enabled").map(str::trim) == Some("1") {
        return Err(OpenError::Unusable("it is part of a cluster, and a stand-alone server is needed".to_owned()));
    }
    let policy = value("maxmemory_policy").unwrap_or_default().trim();
    if policy != POLICY {
        let what = "and a read model must be there as a whole or not at all";
        return Err(OpenError::Unusable(format!("its maxmemory-policy is {policy}, {what}: it must be {POLICY}")));
    }
    if value("role").map(str::trim) == Some("slave") {
        return Err(Unavailable("Redis: it is a replica of another server, and takes no writes".to_owned()).into());
    }
    Ok(())
}

/// Wrong credentials, missing permissions and a database that there is not are no outage: nobody but the operator mends
/// them.
pub(super) fn refused(error: &RedisError) -> OpenError {
    const FINAL: [&str; 3] = ["WRONGPASS", "NOAUTH", "NOPERM"];
    const NO_DATABASE: &str = "DB index";
    let text = error.to_string();
    let is_final = error.kind() == ErrorKind::AuthenticationFailed
        || error.code().is_some_and(|code| FINAL.contains(&code))
        || text.contains(NO_DATABASE);
    if is_final { OpenError::Unusable(text) } else { unavailable(error).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server says, with one line said otherwise.
    fn said(name: &str, value: &str) -> String {
        let lines = [
            ("redis_version", "7.0.15"),
            ("redis_mode", "standalone"),
            ("maxmemory_policy", "noeviction"),
            ("role", "master"),
            ("cluster_enabled", "0"),
        ];
        let line = |(known, usual): (&str, &str)| format!("{known}:{}\r\n", if known == name { value } else { usual });
        lines.map(line).concat()
    }

    #[test]
    fn a_server_that_will_not_do_is_refused_by_name() {
        assert!(check_server(&said("", "")).is_ok());
        assert!(check_server(&said("redis_version", "8.2.1")).is_ok());
        for (name, value, why) in [
            ("redis_version", "6.2.14", "Redis 6.2.14 is too old"),
            ("redis_version", "", "too old"),
            ("cluster_enabled", "1", "cluster"),
            ("maxmemory_policy", "allkeys-lru", "allkeys-lru"),
        ] {
            let Err(OpenError::Unusable(said)) = check_server(&said(name, value)) else { panic!("{name}: {value}") };
            assert!(said.contains(why), "{said}");
        }
        let replica = check_server(&said("role", "slave"));
        assert!(matches!(replica, Err(OpenError::Unavailable(_))), "it may become a primary: {replica:?}");
    }
}
