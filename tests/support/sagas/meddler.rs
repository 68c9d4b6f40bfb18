//! What goes wrong with one step of one saga: between the saga and the owner of the other key, and with what it does
//! outside the log.

use commands::{Answer, Effect, EffectFuture, Effects, Outcome, Refusal, Request, Transport, step_command_id};
use events::{CommandId, SagaId, Step, UserId};
use futures::FutureExt;
use futures::future::BoxFuture;
use journal::Partition;
use parking_lot::Mutex;
use sagas::deletion::{DESTROY_KEY, ERASE, PASS_READ_MODELS, SWEEP};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What goes wrong with the attempts of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// It is delivered twice.
    Twice,
    /// The first attempts fail without being delivered, in so many times.
    Fails(u32),
    /// It is delivered each time, and so many answers are lost.
    AnswersLost(u32),
    /// It is delivered, and the answer takes so long.
    AnswerLate(Duration),
    /// It is refused, without being delivered.
    Refused,
    /// The same, and what undoes it overtakes it: it is delivered after its compensation.
    Overtaken,
}

/// One step, or the compensation of one, and what goes wrong with it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of which saga.
    pub saga: SagaId,
    /// Which step.
    pub step: Step,
    /// Whether it is about undoing it.
    pub compensation: bool,
    /// What goes wrong.
    pub wrong: Wrong,
}

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    times: u32,
    held: Option<(Partition, Arc<Request>)>,
    /// Whose keys are destroyed.
    destroyed: BTreeSet<UserId>,
    /// Of whom a part was deleted.
    begun: BTreeSet<UserId>,
}

/// Stands between everybody and the network. Clones are the same meddler.
#[derive(Clone)]
pub struct Meddler {
    inner: Arc<dyn Transport>,
    state: Arc<Mutex<State>>,
}

const FAULT: &str = "it does not work today";

impl Meddler {
    /// Before a network.
    pub fn new(inner: Arc<dyn Transport>) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// From now on this goes wrong, and nothing else.
    pub fn plan(&self, plan: Option<Plan>) {
        let mut state = self.state.lock();
        (state.plan, state.times, state.held) = (plan, 0, None);
    }

    /// Whether what was planned has happened.
    pub fn has_happened(&self) -> bool {
        self.state.lock().times > 0
    }

    /// Delivers what was held back and nothing has overtaken: a network may keep it until the saga has ended.
    pub async fn deliver_late(&self) {
        let held = self.state.lock().held.take();
        if let Some((partition, held)) = held {
            self.inner.send(partition, late(&held)).await;
        }
    }

    /// Whose keys are destroyed.
    pub fn destroyed(&self) -> BTreeSet<UserId> {
        self.state.lock().destroyed.clone()
    }

    /// What goes wrong with this command now, if anything does, and how often it did before.
    fn meets(&self, id: CommandId) -> Option<(Wrong, u32)> {
        let mut state = self.state.lock();
        let plan = state.plan.as_ref()?;
        if step_command_id(plan.saga, &plan.step, plan.compensation) != id {
            return None;
        }
        let wrong = plan.wrong;
        state.times += 1;
        Some((wrong, state.times - 1))
    }

    /// After a compensation: the step that it has overtaken.
    fn overtaken(&self, id: CommandId) -> Option<(Partition, Arc<Request>)> {
        let mut state = self.state.lock();
        let plan = state.plan.as_ref()?;
        if step_command_id(plan.saga, &plan.step, true) == id { state.held.take() } else { None }
    }
}

impl Transport for Meddler {
    fn send(&self, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Answer> {
        let (meddler, inner) = (self.clone(), Arc::clone(&self.inner));
        let send = move |request: &Arc<Request>| inner.send(partition, Arc::clone(request));
        async move {
            match meddler.meets(request.id) {
                Some((Wrong::Twice, _)) => {
                    let (one, _) = futures::future::join(send(&request), send(&request)).await;
                    one
                }
                Some((Wrong::Fails(times), before)) if before < times => Answer::Refused(Refusal::Fault(FAULT.into())),
                Some((Wrong::AnswersLost(times), before)) if before < times => {
                    send(&request).await;
                    Answer::Refused(Refusal::Fault(FAULT.into()))
                }
                Some((Wrong::AnswerLate(late), 0)) => {
                    let answer = send(&request).await;
                    sleep(late).await;
                    answer
                }
                Some((Wrong::Refused, 0)) => Answer::Refused(Refusal::Taken),
                Some((Wrong::Overtaken, 0)) => {
                    meddler.state.lock().held = Some((partition, request));
                    Answer::Refused(Refusal::Taken)
                }
                _ => {
                    let answer = send(&request).await;
                    if let Some((partition, held)) = meddler.overtaken(request.id) {
                        meddler.inner.send(partition, late(&held)).await;
                    }
                    answer
                }
            }
        }
        .boxed()
    }
}

fn late(request: &Request) -> Arc<Request> {
    Arc::new(Request { deadline: Instant::now() + Duration::from_secs(5), ..request.clone() })
}

impl Effects for Meddler {
    fn carry_out(&self, saga: SagaId, effect: Effect) -> EffectFuture {
        let (step, user) = match effect {
            Effect::Erase(user) => (ERASE, user),
            Effect::Sweep(user) => (SWEEP, user),
            Effect::PassReadModels(user) => (PASS_READ_MODELS, user),
            Effect::DestroyKey(user) => (DESTROY_KEY, user),
        };
        let met = self.meets(step_command_id(saga, &step, false));
        let state = Arc::clone(&self.state);
        Box::pin(async move {
            match met {
                Some((Wrong::Fails(times), before)) if before < times => return Outcome::Unknown(FAULT.into()),
                Some((Wrong::Refused | Wrong::Overtaken, 0)) => return Outcome::Refused(FAULT.into()),
                Some((Wrong::AnswerLate(late), 0)) => sleep(late).await,
                _ => {}
            }
            let mut state = state.lock();
            if matches!(effect, Effect::DestroyKey(_)) {
                state.destroyed.insert(user);
            }
            match met {
                Some((Wrong::AnswersLost(times), before)) if before < times => Outcome::Unknown(FAULT.into()),
                // An erasure goes in parts.
                _ if step == ERASE && state.begun.insert(user) => Outcome::Progress("a part".into()),
                _ => Outcome::Done { version: None },
            }
        })
    }
}
