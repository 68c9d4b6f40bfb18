//! What MongoDB does by itself with the same documents: `insertMany`, one collection after the other, into collections with
//! all their indexes.

use super::place::Place;
use anyhow::{Context, Result};
use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use std::time::{Duration, Instant};

/// All that the projector writes.
const COLLECTIONS: [&str; 3] = ["gone", "post_authors", "notifications"];
/// What is sent at once; the server takes 100,000 at most.
const PART: usize = 10_000;

/// The documents of collections.
pub(super) struct Documents(Vec<(&'static str, Vec<Document>)>);

impl Documents {
    /// All that a place holds.
    pub(super) async fn of(place: &Place) -> Result<Self> {
        let database = database(place).await?;
        let mut all = Vec::new();
        for collection in COLLECTIONS {
            let found = database.collection::<Document>(collection).find(doc! {}).await?;
            all.push((collection, found.try_collect().await?));
        }
        Ok(Self(all))
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|(_, documents)| documents.len()).sum()
    }

    /// How long it takes to insert them into an empty place.
    pub(super) async fn insert_into(&self, place: &Place) -> Result<Duration> {
        let database = database(place).await?;
        let begun = Instant::now();
        for (collection, documents) in &self.0 {
            for part in documents.chunks(PART) {
                database.collection::<Document>(collection).insert_many(part).await.context(*collection)?;
            }
        }
        Ok(begun.elapsed())
    }
}

async fn database(place: &Place) -> Result<Database> {
    Client::with_uri_str(place.url()).await?.default_database().context("the URL names no database")
}
