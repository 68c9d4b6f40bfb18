//! Several nodes of the real program over one log on Kafka: killed, paused, stopped and started again while many write
//! and read. Each test has the machine for itself, as what they measure is time.

mod deletions;
mod limits;
mod outages;
mod pauses;
mod races;
mod restarts;
mod roles;
mod sessions;
mod stuck;
mod traces;
