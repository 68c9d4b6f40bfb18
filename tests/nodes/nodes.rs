//! Several nodes of the real program over one log on Kafka: killed, paused, stopped and started again while many write
//! and read. Each test has the machine for itself, as what they measure is time.

mod deletions;
mod outages;
mod pauses;
mod races;
mod restarts;
mod stuck;
