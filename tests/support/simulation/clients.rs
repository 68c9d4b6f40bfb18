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

use super::world::World;
pub(super) use people::People;
pub(super) use publishing::Wanted;
use tokio::task::JoinSet;

impl World {
    /// Everybody begins.
    pub(super) fn begin(&self) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for number in 0..self.swarm.registrations {
            clients.spawn(self.clone().register(number));
        }
        for _ in 0..self.swarm.clients {
            clients.spawn(self.clone().live());
            clients.spawn(self.clone().insist());
            clients.spawn(self.clone().walk_away());
        }
        for _ in 0..self.swarm.nobodies {
            clients.spawn(self.clone().publish_as_nobody());
        }
        for _ in 0..self.swarm.leavers {
            clients.spawn(self.clone().have_enough());
        }
        if self.swarm.burst {
            clients.spawn(self.clone().publish_a_lot());
        }
        clients.spawn(self.clone().operate());
        clients
    }
}
