//! The real program and the real store: killed without warning, on a disk that lies, forgets or refuses.

mod bit_flips;
mod cuts;
mod registrations;
mod sigkills;
