//! Read models of a demo or a measurement alone, on servers that others use too.

use anyhow::{Context, Result};
use uuid::Uuid;

/// The same server, and a schema, a database or a prefix on it that nobody else has and whose name begins with this one. In
/// MongoDB whoever signs in is known where they were known before.
pub fn apart(url: &str, name: &str) -> Result<String> {
    let run = Uuid::new_v4().simple();
    let and = if url.contains('?') { '&' } else { '?' };
    match url.split(['+', ':']).next() {
        Some("mongodb") => in_database(url, &format!("{name}_{run}")).context("the URL of MongoDB has no scheme"),
        Some("redis" | "rediss") => Ok(format!("{url}{and}prefix={name}_{run}:")),
        _ => Ok(format!("{url}{and}options[search_path]={name}_{run}")),
    }
}

fn in_database(url: &str, name: &str) -> Option<String> {
    let (server, settings) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = server.split_once("://")?;
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    let source = if database.is_empty() { "admin" } else { database };
    let source = (hosts.contains('@') && !settings.contains("authSource=")).then(|| format!("authSource={source}"));
    let settings = [Some(settings.to_owned()), source].into_iter().flatten().filter(|it| !it.is_empty());
    let settings = settings.collect::<Vec<_>>().join("&");
    Some(format!("{scheme}://{hosts}/{name}?{settings}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_told_in_its_own_way_what_is_apart() {
        let apart = |url: &str| apart(url, "demo").unwrap();
        assert!(apart("postgres://a@host/b").starts_with("postgres://a@host/b?options[search_path]=demo_"));
        assert!(apart("redis://host?protocol=resp3").starts_with("redis://host?protocol=resp3&prefix=demo_"));
        let mongodb = apart("mongodb://a:b@host/?replicaSet=rs");
        assert!(
            mongodb.starts_with("mongodb://a:b@host/demo_") && mongodb.ends_with("?replicaSet=rs&authSource=admin")
        );
        assert!(apart("mongodb://a:b@host/c").ends_with("?authSource=c"));
        assert_ne!(apart("redis://host"), apart("redis://host"));
    }
}
