//! The way in: HTTP, who is who, and the server that puts everything together.
//!
//! Invariants: what a person typed is sealed before a command leaves here; a write is answered by the owner of its key
//! and a read by the read models, and nothing here remembers anything that losing it would change; every error has one
//! shape.

mod accept;
mod across_keys;
mod address;
mod admin;
mod auth;
mod backend;
mod blocks;
mod comments;
mod config;
mod consistency;
mod cors;
mod deletion;
mod discovery;
mod document;
mod door;
mod edge;
mod effects;
mod elsewhere;
mod error;
mod etag;
mod extract;
mod faces;
mod feed;
mod follows;
mod hashtags;
mod health;
mod hearsay;
mod intent;
mod internal;
mod json;
mod likes;
mod listener;
mod oidc;
mod operator;
mod owners;
mod paging;
mod passwords;
mod posts;
mod prefer;
mod protection;
mod rate_limits;
mod read_models;
mod recent;
mod registration;
mod routes;
mod schemas;
mod serve;
mod sessions;
mod store;
mod submit;
pub mod telemetry;
mod tokens;
mod users;

pub use address::Network;
pub use config::{Config, DoorConfig, LogFormat, ReadModelsConfig, SERVERS, StoreConfig, refuse_servers};
pub use cors::Origin;
pub use effects::{Footprint, Parts, ServerEffects, Trace};
pub use elsewhere::{Elsewhere, Passing, Waits};
pub use oidc::OidcIssuer;
pub use operator::AdminToken;
pub use owners::{Entrance, Owners};
pub use rate_limits::Quotas;
pub use read_models::{delete as delete_read_models, migrate};
pub use routes::openapi;
pub use serve::Server;
pub use store::Store;
