//! The keys of a Redis server as its operator has them: opened for a log of one partition, copied, deleted.

use projections::redis::Keyspace;
use tidings_tests::services::Services;

pub(crate) async fn keys(url: &str) -> Keyspace {
    let keys = Keyspace::open(url).await.unwrap();
    keys.bind("in memory", 1).await.unwrap();
    keys
}

pub(crate) async fn delete(url: &str) {
    Keyspace::open(url).await.unwrap().delete().await.unwrap();
}

/// A snapshot of all keys, or that snapshot again.
pub(crate) async fn copy(services: &Services, url: &str, from: &str, to: &str) {
    let mut connection = services.redis_connection().await;
    let prefix = url.split_once("prefix=").unwrap().1;
    let pattern = format!("{from}{prefix}*");
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    let mut copies = redis::pipe();
    copies.atomic();
    for key in keys {
        let copied = format!("{to}{}", &key[from.len()..]);
        copies.cmd("COPY").arg(&key).arg(copied).arg("REPLACE").ignore();
    }
    copies.query_async::<()>(&mut connection).await.unwrap();
}
