//! A world in which everything that may go wrong does, from a seed: the real owner, saga driver and projection runner
//! over a simulated log, network and clock.
//!
//! Only clock, network and store are simulated; the rest are the very types that `tidings serve` constructs. Time is
//! tokio's paused clock on one thread, all chance comes from one [`Dice`], so a seed replays exactly.

pub mod book;
pub mod check;
mod clients;
pub mod dice;
pub mod effects;
mod fate;
pub mod history;
mod judge;
pub mod keyring;
pub mod log;
pub mod network;
pub mod nodes;
pub mod reading;
pub mod story;
pub mod swarm;
pub mod world;

pub use dice::Dice;
pub use keyring::MemoryKeyring;
pub use log::SimulatedLog;
pub use network::Network;
pub use reading::Reading;
pub use story::{Deed, Fault, Story};
pub use swarm::Swarm;
pub use world::{Outcome, Settings, run};
