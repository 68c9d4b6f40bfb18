//! The real program and the real store: killed without warning, on a disk that lies, forgets or refuses.
#![expect(clippy::print_stdout, reason = "each test says in a line what it has seen")]

mod bit_flips;
mod cuts;
#[cfg(target_os = "linux")]
mod failing_disk;
mod keyrings;
mod linearizability;
mod registrations;
mod sagas;
mod sigkills;
