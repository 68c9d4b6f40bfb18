//! What people do in a simulation, one file for each kind of it. They are in trouble themselves: their clocks are wrong,
//! they give up, or they lose everything but what they wanted, and begin again under the same key.

mod asking;
mod leaving;
mod operating;
mod people;
mod publishing;
mod registering;
mod renaming;
mod wishes;

pub(super) use people::People;
pub(super) use publishing::Wanted;
