//! What the test suites share.
pub mod audit;
pub mod broker;
pub mod child;
pub mod cluster;
pub mod contest;
pub mod failing_disk;
pub mod journal_contract;
pub mod linearizability;
pub mod load;
pub mod owner_contract;
pub mod proxy;
pub mod server;
pub mod services;
pub mod settings;
pub mod simulation;
pub mod snapshot;
pub mod stored_log;
