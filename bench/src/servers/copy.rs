//! What the database does by itself with the same rows: `COPY`, one table after the other, into tables with all their keys
//! and indexes.

use super::place::Place;
use anyhow::{Context, Result};
use futures::TryStreamExt;
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};

/// All that a projector writes, in an order that references allow.
const TABLES: [&str; 20] = [
    "users",
    "credentials",
    "tombstones",
    "followers",
    "follow_counts",
    "absent",
    "blocks",
    "mutes",
    "posts",
    "post_versions",
    "hashtags",
    "comments",
    "likes",
    "sagas",
    "saga_events",
    "event_outbox",
    "user_saga_log",
    "post_saga_log",
    "saga_ends",
    "saga_gone",
];
/// What is sent at once.
const PART: usize = 1 << 20;

/// The rows of tables, as text.
pub(super) struct Rows(Vec<(&'static str, Vec<u8>)>);

impl Rows {
    /// All rows that a place holds.
    pub(super) async fn of(place: &Place) -> Result<Self> {
        let mut connection = PgConnection::connect(place.url()).await?;
        let mut rows = Vec::new();
        for table in TABLES {
            let mut lines = connection.copy_out_raw(&format!("copy {table} to stdout")).await.context(table)?;
            let mut text = Vec::new();
            while let Some(part) = lines.try_next().await? {
                text.extend_from_slice(&part);
            }
            drop(lines);
            rows.push((table, text));
        }
        connection.close().await?;
        Ok(Self(rows))
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|(_, text)| text.iter().filter(|byte| **byte == b'\n').count()).sum()
    }

    /// How long it takes to copy them into an empty place.
    pub(super) async fn copy_into(&self, place: &Place) -> Result<Duration> {
        let mut connection = PgConnection::connect(place.url()).await?;
        let begun = Instant::now();
        for (table, text) in &self.0 {
            let mut into = connection.copy_in_raw(&format!("copy {table} from stdin")).await.context(*table)?;
            for part in text.chunks(PART) {
                into.send(part).await?;
            }
            into.finish().await?;
        }
        let took = begun.elapsed();
        connection.close().await?;
        Ok(took)
    }
}
