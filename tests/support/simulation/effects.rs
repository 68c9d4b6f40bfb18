//! What sagas do outside the log, carried out by the real thing over the simulated read models, router and keyring; and
//! what goes wrong with it: it fails, takes long, its answer is lost, or whoever waits for it is gone.

use super::history::Recorder;
use super::{Dice, Fault, MemoryKeyring, Network, Reading, SimulatedLog, Story, fate};
use commands::{Answer, Clock, Effect, EffectFuture, Effects, Outcome, Request, Router, Transport};
use events::{CommandId, Keyring, SagaId};
use futures::FutureExt;
use futures::future::BoxFuture;
use gateway::{Elsewhere, Parts, ServerEffects};
use journal::{Offset, Partition};
use parking_lot::Mutex;
use projections::Projections;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use tokio::time::sleep;

/// How often something goes wrong with an effect; 0 for never.
#[derive(Clone, Copy, Debug)]
pub struct EffectRates {
    /// One in so many fails and changes nothing.
    pub failed_one_in: usize,
    /// One in so many takes long.
    pub slow_one_in: usize,
    /// Of one in so many nobody hears that it was carried out.
    pub answer_lost_one_in: usize,
}

impl EffectRates {
    /// Effects that work.
    pub const NONE: Self = Self { failed_one_in: 0, slow_one_in: 0, answer_lost_one_in: 0 };
}

/// The effects of a simulation.
pub(super) struct WorldEffects {
    /// The read models, as they are when an effect begins.
    pub(super) reading: Reading,
    pub(super) router: Router,
    pub(super) keyring: Arc<MemoryKeyring>,
    pub(super) clock: Clock,
    pub(super) dice: Dice,
    pub(super) story: Story,
    pub(super) rates: Mutex<EffectRates>,
    pub(super) log: SimulatedLog,
    pub(super) violations: Arc<Mutex<Vec<String>>>,
}

impl Effects for WorldEffects {
    fn carry_out(&self, saga: SagaId, effect: Effect) -> EffectFuture {
        let (dice, story, rates) = (self.dice.clone(), self.story.clone(), *self.rates.lock());
        let once_in = move |times: usize| times > 0 && dice.once_in(times);
        let (projections, real) = self.of_now();
        let (dice, log, violations) = (self.dice.clone(), self.log.clone(), Arc::clone(&self.violations));
        let waits = Waits { effect, story: self.story.clone(), in_vain: true };
        Box::pin(async move {
            let what = format_args!("{effect:?}").to_string();
            if once_in(rates.failed_one_in) {
                story.fault(Fault::EffectFailed, &what);
                sleep(dice.micros(10, 100_000)).await;
                waits.end();
                return match dice.once_in(2) {
                    true => Outcome::Failed("it does not work today".to_owned()),
                    false => Outcome::Unknown("nobody answers today".to_owned()),
                };
            }
            if once_in(rates.slow_one_in) {
                story.fault(Fault::EffectSlow, &what);
                sleep(dice.micros(100_000, 5_000_000)).await;
            }
            let before = log.ends();
            let outcome = now_and_then(&dice, real.carry_out(saga, effect)).await;
            if effect.waits() && matches!(outcome, Outcome::Done { .. }) && !is_passed(&projections, &before) {
                violations.lock().push(format!("{what} is done, and a read model is behind {before:?}"));
            }
            story.tell(format_args!("{what} of saga {saga}: {outcome:?}"));
            waits.end();
            if once_in(rates.answer_lost_one_in) {
                story.fault(Fault::EffectAnswerLost, &what);
                return Outcome::Unknown("the answer was lost".to_owned());
            }
            outcome
        })
    }
}

impl WorldEffects {
    /// From now on they fail this often.
    pub(super) fn set_rates(&self, rates: EffectRates) {
        *self.rates.lock() = rates;
    }

    /// What happened that must not.
    pub(super) fn violations(&self) -> Vec<String> {
        self.violations.lock().clone()
    }

    /// The real thing, over the read models of this moment.
    fn of_now(&self) -> (Arc<Projections>, ServerEffects) {
        let (projections, footprint) = self.reading.footprint();
        let dice = self.dice.clone();
        let real = ServerEffects::new(Parts {
            router: self.router.clone(),
            keyring: Arc::clone(&self.keyring) as Arc<dyn Keyring>,
            projections: Arc::clone(&projections),
            elsewhere: Elsewhere::nowhere(),
            footprint,
            clock: Arc::clone(&self.clock),
            fresh: Arc::new(move || dice.uuid()),
        });
        (projections, real)
    }
}

/// Whether every read model has passed all that lies before these ends.
fn is_passed(projections: &Projections, ends: &[Offset]) -> bool {
    let passed = |model, partition, end| {
        projections.progress(model, partition).is_some_and(|progress| progress.borrow().next >= end)
    };
    let mut ends = (0..).map(Partition).zip(ends);
    ends.all(|(partition, end)| projections.names().all(|model| passed(model, partition, *end)))
}

/// Polls a future now and then rather than when it is woken: whom a watch wakes first is chance, and not the seed's.
async fn now_and_then<T>(dice: &Dice, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Some(output) = future.as_mut().now_or_never() {
            return output;
        }
        sleep(dice.micros(500, 8_000)).await;
    }
}

/// Notes what effects ask of owners, as what clients ask is noted: however often it is sent, it is asked once.
pub(super) struct Noted {
    network: Network,
    history: Recorder,
    asked: Mutex<BTreeMap<CommandId, usize>>,
}

impl Noted {
    pub(super) fn new(network: Network, history: Recorder) -> Self {
        Self { network, history, asked: Mutex::default() }
    }
}

impl Transport for Noted {
    fn send(&self, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Answer> {
        let noted = *self.asked.lock().entry(request.id).or_insert_with(|| self.history.asks(&request));
        let (history, sent) = (self.history.clone(), self.network.send(partition, request));
        async move {
            let answer = sent.await;
            if fate::is_certain(&answer) {
                history.answered(noted, &answer);
            }
            answer
        }
        .boxed()
    }
}

/// Notes the effect of an owner that is gone before it is carried out.
struct Waits {
    effect: Effect,
    story: Story,
    in_vain: bool,
}

impl Waits {
    fn end(mut self) {
        self.in_vain = false;
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if self.in_vain {
            self.story.fault(Fault::EffectCutShort, format_args!("{:?}", self.effect));
        }
    }
}

/// For sagas that have no other effects than to destroy keys.
pub struct KeyEffects(pub Arc<MemoryKeyring>);

impl Effects for KeyEffects {
    fn carry_out(&self, _: SagaId, effect: Effect) -> EffectFuture {
        let keyring = Arc::clone(&self.0);
        Box::pin(async move {
            let Effect::DestroyKey(user) = effect else {
                return Outcome::Unknown(format!("nobody here can carry out {effect:?}"));
            };
            match keyring.destroy(user.into()).await {
                Ok(()) => Outcome::Done { version: None },
                Err(error) => Outcome::Unknown(error.to_string()),
            }
        })
    }
}
