//! What the test suites share.
pub mod child;
pub mod journal_contract;
pub mod linearizability;
pub mod owner_contract;
pub mod server;
pub mod simulation;
