//! Sagas as the tables and keys of the TDD have them (3.3.1, 3.3.2, 3.3.4 and 3.3.6).
//!
//! Pure functions of a [`SagaView`], for whoever writes the rows. The names that the TDD gives to the steps of a process
//! stand in `named`; other steps go by their own.

use super::saga::{SagaStatus, SagaView, StepPhase, StepView};
use events::{Key, PostId, SagaId, UserId};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// The process of a post that is created.
const POST_CREATION: &str = "POST_CREATION";

/// What the TDD calls a step.
struct Named {
    step: &'static str,
    /// In `sagas.steps`, where it says whether the step is done.
    done: &'static str,
    /// In `saga:{id}`, while it is the current one.
    pending: &'static str,
    /// In `post_saga_log.current_step`, when it is done.
    reached: &'static str,
}

/// The steps of a process that the TDD names, in their order.
fn named(process: &str) -> &'static [Named] {
    match process {
        // A slot that is reserved is what makes the draft a post.
        POST_CREATION => &[
            Named {
                step: "RESERVE_FEED_SLOT",
                done: "POST_CREATED",
                pending: "POST_PENDING",
                reached: "FEED_RESERVED",
            },
            Named { step: "COMMIT_FEED_SLOT", done: "FEED_UPDATED", pending: "FEED_PENDING", reached: "FEED_UPDATED" },
        ],
        _ => &[],
    }
}

/// By process and step, what the TDD calls a step while it is the current one.
#[cfg(feature = "servers")]
pub(crate) fn pending_names() -> Value {
    let of = |process| named(process).iter().map(|name| (name.step.to_owned(), json!(name.pending))).collect();
    json!({ POST_CREATION: Value::Object(of(POST_CREATION)) })
}

/// A row of `sagas`.
#[derive(Clone, PartialEq, Debug)]
pub struct SagaRow {
    /// `id`
    pub id: SagaId,
    /// `type`
    pub process: Arc<str>,
    /// `status`
    pub status: SagaStatus,
    /// `steps`: for each of its plan whether it is done.
    pub steps: Value,
}

/// The row of `sagas`. Of a saga without a plan it has at least the steps that the TDD names.
pub fn saga(saga: &SagaView) -> SagaRow {
    let names = named(&saga.process);
    let name = |step: &str| names.iter().find(|name| name.step == step).map_or(step, |name| name.done).to_owned();
    let planned = saga.plan.iter().map(|step| &**step);
    let expected = names.iter().map(|name| name.step).filter(|_| saga.plan.is_empty());
    let all = planned.chain(expected).chain(saga.unplanned().map(|step| &*step.name));
    let steps = all.map(|step| (name(step), json!(saga.is_done(step)))).collect();
    SagaRow { id: saga.id, process: Arc::clone(&saga.process), status: saga.status, steps: Value::Object(steps) }
}

/// A row of `event_outbox`.
#[derive(Clone, PartialEq, Debug)]
pub struct OutboxRow {
    /// `id`: the same at every attempt.
    pub id: Uuid,
    /// `saga_id`
    pub saga_id: SagaId,
    /// `event_type`: the step.
    pub event_type: Arc<str>,
    /// `payload`: what is to be sent follows from the saga and this.
    pub payload: Value,
    /// `retry_count`
    pub retry_count: u32,
}

/// The rows of `event_outbox`: what was requested and has no outcome yet.
pub fn event_outbox(saga: &SagaView) -> Vec<OutboxRow> {
    let row = |step: &StepView| {
        let compensation = step.phase == StepPhase::Undoing;
        OutboxRow {
            id: outbox_id(saga.id, &step.name, compensation),
            saga_id: saga.id,
            event_type: Arc::clone(&step.name),
            payload: json!({ "step": &*step.name, "compensation": compensation, "due": step.due.to_string() }),
            retry_count: step.attempts,
        }
    };
    saga.open_steps().map(row).collect()
}

fn outbox_id(saga: SagaId, step: &str, compensation: bool) -> Uuid {
    let mut hasher = blake3::Hasher::new();
    hasher.update(saga.0.as_bytes()).update(&[u8::from(compensation)]).update(step.as_bytes());
    let bytes = hasher.finalize().as_bytes()[..16].try_into().expect("a hash has 32 bytes");
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// A row of `post_saga_log`.
#[derive(Clone, PartialEq, Debug)]
pub struct PostSagaRow {
    /// `saga_id`
    pub saga_id: SagaId,
    /// `post_id`
    pub post_id: PostId,
    /// `current_step`
    pub current_step: &'static str,
    /// `compensation_data`: what an undo has to take back; `None` when there is nothing to undo any more.
    pub compensation_data: Option<Value>,
}

/// The row of `post_saga_log`; `None` for a saga that creates no post.
pub fn post_saga_log(saga: &SagaView) -> Option<PostSagaRow> {
    let Key::Post(post) = saga.key else { return None };
    if &*saga.process != POST_CREATION {
        return None;
    }
    let is_done = |name: &&Named| saga.is_done(name.step);
    let reached = named(POST_CREATION).iter().rev().find(is_done).map_or("POST_RESERVED", |name| name.reached);
    let current_step = if saga.status == SagaStatus::Compensated { "COMPENSATED" } else { reached };
    // What was refused is undone too, since it may have been sent twice.
    let steps = saga.steps.iter().filter(|step| step.phase != StepPhase::Undone).map(|step| &*step.name);
    let undo = || json!({ "post": post, "steps": steps.collect::<Vec<_>>() });
    let compensation_data = saga.status.is_open().then(undo);
    Some(PostSagaRow { saga_id: saga.id, post_id: post, current_step, compensation_data })
}

/// A row of `user_saga_log`.
#[derive(Clone, PartialEq, Debug)]
pub struct UserSagaRow {
    /// `saga_id`
    pub saga_id: SagaId,
    /// `user_id`
    pub user_id: UserId,
    /// `compensation_status`
    pub compensation_status: &'static str,
}

/// The row of `user_saga_log`; `None` for a saga that is not on a user's key.
pub fn user_saga_log(saga: &SagaView) -> Option<UserSagaRow> {
    let Key::User(user) = saga.key else { return None };
    let compensation_status = match saga.status {
        SagaStatus::Running | SagaStatus::Compensating => "PENDING",
        SagaStatus::Completed | SagaStatus::Compensated => "COMPLETED",
        SagaStatus::CompensationFailed => "FAILED",
    };
    Some(UserSagaRow { saga_id: saga.id, user_id: user, compensation_status })
}

/// The value of `saga:{id}` in Redis: the process, and the current step or how it ended.
pub fn tracking(saga: &SagaView) -> String {
    let pending = |step: &StepView| {
        let name = named(&saga.process).iter().find(|name| *name.step == *step.name);
        name.map_or_else(|| format!("{}_PENDING", step.name), |name| name.pending.to_owned())
    };
    let current = saga.open_steps().next().map_or_else(|| saga.status.to_string(), pending);
    format!("{}:{current}", saga.process)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{Given, at, now, user};
    use crate::sagas::memory::tests::{SAGA, begin, completed, requested, retried, tell, undone};
    use crate::sagas::{MemorySagas, Sagas};
    use events::{SagaCompensated, SagaCompensating, SagaCompensationFailed, SagaCompleted, SagaData, Step};

    const RESERVE: Step = Step::named("RESERVE_FEED_SLOT");
    const COMMIT: Step = Step::named("COMMIT_FEED_SLOT");
    const POST: PostId = PostId(Uuid::from_u128(9));

    /// A post in creation whose slot is asked for.
    fn post_creation() -> Given<MemorySagas> {
        let sagas = Given::default();
        begin(&sagas, SAGA, POST_CREATION, Key::Post(POST), 1);
        tell(&sagas, 1, requested(&RESERVE, false));
        sagas
    }

    fn view(sagas: &MemorySagas) -> SagaView {
        now(sagas.saga(SAGA)).unwrap().unwrap()
    }

    fn current_step(sagas: &MemorySagas) -> &'static str {
        post_saga_log(&view(sagas)).unwrap().current_step
    }

    fn compensating() -> events::SagaEvent {
        SagaCompensating { saga: SAGA, reason: "full".to_owned() }.into()
    }

    #[test]
    fn a_post_in_creation_goes_by_the_names_of_the_tdd() {
        let sagas = post_creation();
        let row = |sagas: &MemorySagas| saga(&view(sagas));
        assert_eq!(
            (row(&sagas).id, row(&sagas).status.name(), &*row(&sagas).process),
            (SAGA, "RUNNING", POST_CREATION)
        );
        assert_eq!(row(&sagas).steps, json!({ "POST_CREATED": false, "FEED_UPDATED": false }));
        assert_eq!(
            (tracking(&view(&sagas)).as_str(), current_step(&sagas)),
            ("POST_CREATION:POST_PENDING", "POST_RESERVED")
        );

        tell(&sagas, 2, completed(&RESERVE));
        tell(&sagas, 2, requested(&COMMIT, false));
        assert_eq!(row(&sagas).steps, json!({ "POST_CREATED": true, "FEED_UPDATED": false }));
        assert_eq!(
            (tracking(&view(&sagas)).as_str(), current_step(&sagas)),
            ("POST_CREATION:FEED_PENDING", "FEED_RESERVED")
        );

        tell(&sagas, 3, completed(&COMMIT));
        tell(&sagas, 3, SagaCompleted { saga: SAGA });
        assert_eq!(row(&sagas).steps, json!({ "POST_CREATED": true, "FEED_UPDATED": true }));
        assert_eq!(
            (tracking(&view(&sagas)).as_str(), current_step(&sagas)),
            ("POST_CREATION:COMPLETED", "FEED_UPDATED")
        );
        assert_eq!(post_saga_log(&view(&sagas)).unwrap().compensation_data, None);
    }

    #[test]
    fn the_log_of_a_post_says_what_an_undo_has_to_take_back() {
        let sagas = post_creation();
        let undo = |sagas: &MemorySagas| post_saga_log(&view(sagas)).unwrap().compensation_data;
        let both = json!({ "post": POST, "steps": ["RESERVE_FEED_SLOT"] });
        assert_eq!(undo(&sagas), Some(both.clone()));
        tell(&sagas, 2, compensating());
        tell(&sagas, 2, requested(&RESERVE, true));
        assert_eq!((undo(&sagas), current_step(&sagas)), (Some(both), "POST_RESERVED"));
        tell(&sagas, 3, undone(&RESERVE));
        tell(&sagas, 3, SagaCompensated { saga: SAGA });
        assert_eq!((undo(&sagas), current_step(&sagas)), (None, "COMPENSATED"));
        assert_eq!(tracking(&view(&sagas)), "POST_CREATION:COMPENSATED");
    }

    #[test]
    fn the_outbox_holds_what_has_no_outcome_under_one_id_at_every_attempt() {
        let sagas = post_creation();
        let first = event_outbox(&view(&sagas));
        tell(&sagas, 2, retried(&RESERVE, false, 1));
        let second = event_outbox(&view(&sagas));
        assert_eq!((first[0].retry_count, second[0].retry_count), (0, 1));
        assert_eq!((second[0].id, second[0].saga_id, &*second[0].event_type), (first[0].id, SAGA, "RESERVE_FEED_SLOT"));
        let payload = json!({ "step": "RESERVE_FEED_SLOT", "compensation": false, "due": at(100).to_string() });
        assert_eq!(second[0].payload, payload);

        tell(&sagas, 3, compensating());
        assert!(event_outbox(&view(&sagas)).is_empty());
        tell(&sagas, 3, requested(&RESERVE, true));
        let undo = event_outbox(&view(&sagas));
        assert_ne!(undo[0].id, first[0].id, "the compensation is another thing to send");
        tell(&sagas, 4, undone(&RESERVE));
        assert!(event_outbox(&view(&sagas)).is_empty());
    }

    #[test]
    fn all_steps_of_a_plan_are_there_before_they_are_requested() {
        let plan = |_: &SagaData| vec![RESERVE, COMMIT, Step::named("TELL")];
        let sagas = Given { model: MemorySagas::planned(Arc::new(plan)), ..Given::default() };
        begin(&sagas, SAGA, POST_CREATION, Key::Post(POST), 1);
        let steps = |sagas: &MemorySagas| saga(&view(sagas)).steps;
        assert_eq!(steps(&sagas), json!({ "POST_CREATED": false, "FEED_UPDATED": false, "TELL": false }));
        tell(&sagas, 1, requested(&RESERVE, false));
        tell(&sagas, 2, completed(&RESERVE));
        tell(&sagas, 2, requested(&Step::named("MORE"), false));
        let expected = json!({ "POST_CREATED": true, "FEED_UPDATED": false, "TELL": false, "MORE": false });
        assert_eq!(steps(&sagas), expected);
    }

    #[test]
    fn other_processes_go_by_the_names_of_their_steps() {
        let sagas = Given::<MemorySagas>::default();
        begin(&sagas, SAGA, "USER_RENAME", Key::User(user(1)), 1);
        tell(&sagas, 1, requested(&Step::named("CLAIM_NEW"), false));
        assert_eq!(saga(&view(&sagas)).steps, json!({ "CLAIM_NEW": false }));
        assert_eq!(tracking(&view(&sagas)), "USER_RENAME:CLAIM_NEW_PENDING");
        assert_eq!(post_saga_log(&view(&sagas)), None);
    }

    #[test]
    fn the_log_of_a_user_says_whether_a_person_must_look() {
        let sagas = Given::<MemorySagas>::default();
        let row = |sagas: &MemorySagas| user_saga_log(&view(sagas)).unwrap();
        begin(&sagas, SAGA, "USER_RENAME", Key::User(user(1)), 1);
        tell(&sagas, 1, requested(&RESERVE, false));
        assert_eq!((row(&sagas).user_id, row(&sagas).compensation_status), (user(1), "PENDING"));
        tell(&sagas, 2, compensating());
        tell(&sagas, 2, SagaCompensationFailed { saga: SAGA, step: RESERVE, error: "no".to_owned() });
        assert_eq!(row(&sagas).compensation_status, "FAILED");
        assert_eq!(tracking(&view(&sagas)), "USER_RENAME:COMPENSATION_FAILED");
        tell(&sagas, 3, SagaCompensated { saga: SAGA });
        assert_eq!(row(&sagas).compensation_status, "COMPLETED");
        assert_eq!(user_saga_log(&view(&post_creation())), None);
    }
}
