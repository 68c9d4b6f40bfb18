//! What people do in a simulation, one file for each kind of it. They are in trouble themselves: their clocks are wrong,
//! they give up, or they lose everything but what they wanted, and begin again under the same key.

mod asking;
mod publishing;
mod registering;
mod wishes;
