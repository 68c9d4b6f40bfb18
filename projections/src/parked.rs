//! The parked keys of a checkpoint as a server stores them beside it: as JSON.

use crate::checkpoint::Parked;
use crate::read_model::Unavailable;
use events::{Key, Timestamp};
use journal::Offset;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A parked key as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    error: String,
    since: i64,
    offsets: Vec<Offset>,
}

/// As [`decode`] reads it.
pub(crate) fn encode(parked: &BTreeMap<Key, Parked>) -> String {
    let stored = |(key, it): (&Key, &Parked)| {
        (key.to_string(), Stored { error: it.error.clone(), since: it.since.0, offsets: it.offsets.clone() })
    };
    let stored = parked.iter().map(stored).collect::<BTreeMap<_, _>>();
    serde_json::to_string(&stored).expect("strings and numbers")
}

/// What [`encode`] wrote, in this server.
pub(crate) fn decode(text: &str, server: &str) -> Result<BTreeMap<Key, Parked>, Unavailable> {
    let damaged = |what: &str| Unavailable(format!("{server}: a checkpoint has {what}"));
    let stored: BTreeMap<String, Stored> =
        serde_json::from_str(text).map_err(|_| damaged("markers of another shape"))?;
    let marker = |(key, Stored { error, since, offsets }): (String, Stored)| {
        let key = key.parse().map_err(|_| damaged("a marker without a key"))?;
        Ok((key, Parked { error, since: Timestamp(since), offsets }))
    };
    stored.into_iter().map(marker).collect()
}
