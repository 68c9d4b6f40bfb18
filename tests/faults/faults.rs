//! The real program, killed without warning in the middle of things.

mod linearizability;
mod registrations;
