//! Values between Rust and MongoDB.

use crate::read_model::Unavailable;
use ::mongodb::bson::{DateTime, Document};
use events::Timestamp;
use uuid::Uuid;

/// A time as MongoDB takes it, of which it keeps the milliseconds.
pub(crate) fn time(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.0.div_euclid(1_000))
}

/// A number as MongoDB takes it. None of ours comes near its limit.
pub(crate) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A number that is never below zero.
pub(crate) fn count(document: &Document, name: &str) -> Result<u64, Unavailable> {
    let stored = document.get_i64(name).ok().and_then(|stored| u64::try_from(stored).ok());
    stored.ok_or_else(|| missing(name))
}

/// A field of text.
pub(crate) fn text<'d>(document: &'d Document, name: &str) -> Result<&'d str, Unavailable> {
    document.get_str(name).map_err(|_| missing(name))
}

/// A field with the id of something.
pub(crate) fn id(document: &Document, name: &str) -> Result<Uuid, Unavailable> {
    text(document, name)?.parse().map_err(|_| missing(name))
}

fn missing(name: &str) -> Unavailable {
    Unavailable(format!("MongoDB: a document has no {name} of the kind that it should have"))
}
