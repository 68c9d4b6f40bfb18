//! Everything over HTTP, as a client sees it. Each answer is held against `openapi.json` by the harness.

mod admin;
mod attacks;
mod bad_input;
mod deletion;
mod devices;
mod discovery;
mod document;
mod erasure;
mod feed;
mod follows;
mod idempotency;
mod lifecycle;
mod oidc;
mod paging;
mod post_creation;
mod posts;
mod program;
mod readme;
mod registration;
mod sessions;
mod signing_keys;
mod stuck;
mod under_posts;
mod users;
mod visibility;
