//! Operators, who see what is open and have it retried or undone, rightly or wrongly, and try again what is parked.

use super::super::story::Deed;
use super::super::world::World;
use commands::{Answer, Order, SagaCommand};
use projections::Page;
use projections::sagas::SagaFilter;
use tokio::time::sleep;

/// Open sagas that an operator looks at.
const PAGE: usize = 100;

impl World {
    /// Gives a few orders.
    pub(super) async fn operate(self) {
        for _ in 0..self.swarm.orders {
            sleep(self.dice.micros(200_000, 1_200_000)).await;
            self.reading.look_after().await;
            let filter = SagaFilter { open: Some(true), ..SagaFilter::default() };
            let open = self.reading.models().sagas(&filter, Page { limit: PAGE, after: None });
            if open.is_empty() {
                continue;
            }
            let about = self.dice.one_of(&open);
            let order = if self.dice.once_in(2) { Order::Retry } else { Order::Compensate };
            let command = SagaCommand::Order { saga: about.id, order, by: None, reason: "it takes long".to_owned() };
            match (self.ask(self.request(None, about.key, command)).await, order) {
                (Answer::Accepted(_) | Answer::Repeated(_), Order::Retry) => self.story.deed(Deed::Retried, about.id),
                (Answer::Accepted(_) | Answer::Repeated(_), Order::Compensate) => {
                    self.story.deed(Deed::Undone, about.id);
                }
                (Answer::Refused(refusal), _) => self.story.deed(Deed::OrderRefused, refusal),
                _ => {}
            }
        }
    }
}
