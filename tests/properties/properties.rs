//! Properties over random histories: whatever the interleaving, the batches, the duplicates and the crashes, the read
//! models answer every question as a plain fold over each key does.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod answers;
mod between_nodes;
mod feeding;
mod fold;
mod given_up;
mod history;
mod keys;
mod log;
mod paused;
mod peers;
mod ranking;
mod read_models;
mod stored;
mod stored_feeds;
mod stored_in_mongodb;
mod stored_sagas;
mod stored_sessions;
mod stores;
