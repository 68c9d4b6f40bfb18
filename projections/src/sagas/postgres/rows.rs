//! The rows of sagas, in bulk.

use super::courses::{Course, End};
use crate::postgres::{At, number, time};
use crate::sagas::history::History;
use crate::sagas::names::Names;
use crate::sagas::tables::{event_outbox, post_saga_log, saga, user_saga_log};
use crate::sagas::{ENDED_MAX, HISTORY_MAX, SagaStatus, SagaView, StepPhase, StepView, USER_DELETION};
use events::{Key, SagaId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, Row, query};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The columns that [`view`] reads.
macro_rules! columns {
    () => {
        "id, type, status, key, actor_id, reason, failure, sagas.created_at, updated_at, progressed_at, ended_at, \
         plan::text, taken::text, events_count"
    };
}
pub(super) use columns;

/// A step that was taken, as it is stored; times in microseconds.
#[derive(Serialize, Deserialize)]
struct Taken<'a> {
    name: &'a str,
    phase: &'a str,
    attempts: u32,
    parts: u32,
    progress: Option<String>,
    error: Option<String>,
    requested_at: i64,
    since: i64,
    due: i64,
}

impl<'a> Taken<'a> {
    fn of(step: &'a StepView) -> Self {
        Self {
            name: &step.name,
            phase: step.phase.name(),
            attempts: step.attempts,
            parts: step.parts,
            progress: step.progress.as_deref().map(str::to_owned),
            error: step.error.as_deref().map(str::to_owned),
            requested_at: step.requested_at.0,
            since: step.since.0,
            due: step.due.0,
        }
    }

    fn step(self, names: &mut Names) -> Result<StepView, Error> {
        let phase = StepPhase::named(self.phase).ok_or_else(|| damaged("a step of a saga has an unknown phase"))?;
        Ok(StepView {
            name: names.shared(self.name),
            phase,
            attempts: self.attempts,
            parts: self.parts,
            progress: self.progress.map(Into::into),
            error: self.error.map(Into::into),
            requested_at: Timestamp(self.requested_at),
            since: Timestamp(self.since),
            due: Timestamp(self.due),
        })
    }
}

fn damaged(what: &'static str) -> Error {
    Error::Decode(what.into())
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Encode(error.into()))
}

/// These sagas, each with how many events there were of it, and none of these.
pub(super) async fn load(
    transaction: &mut PgConnection,
    ids: &[Uuid],
    names: &mut Names,
) -> Result<Vec<(SagaView, u64)>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = query(concat!("select ", columns!(), " from sagas where id = any($1)")).bind(ids);
    rows.fetch_all(transaction).await?.iter().map(|row| view(row, names)).collect()
}

/// The saga in a row, with how many events there were of it, and none of these.
pub(super) fn view(row: &PgRow, names: &mut Names) -> Result<(SagaView, u64), Error> {
    let text = |name: &str| row.try_get::<Option<&str>, _>(name).map(|text| text.map(Into::into));
    let at = |name: &str| row.try_get::<At, _>(name).map(Timestamp::from);
    let status = SagaStatus::named(row.try_get("status")?).ok_or_else(|| damaged("a saga has an unknown status"))?;
    let key: Key = row.try_get::<&str, _>("key")?.parse().map_err(|error| Error::Decode(Box::new(error)))?;
    let not_ours = |error: serde_json::Error| Error::Decode(error.into());
    let plan: Vec<String> = serde_json::from_str(row.try_get("plan")?).map_err(not_ours)?;
    let taken: Vec<serde_json::Value> = serde_json::from_str(row.try_get("taken")?).map_err(not_ours)?;
    let steps = taken.iter().map(|step| Taken::deserialize(step).map_err(not_ours)?.step(names));
    let steps = steps.collect::<Result<_, _>>()?;
    let view = SagaView {
        id: SagaId(row.try_get("id")?),
        process: names.shared(row.try_get("type")?),
        key,
        actor: row.try_get::<Option<Uuid>, _>("actor_id")?.map(UserId),
        status,
        reason: text("reason")?,
        failure: text("failure")?,
        started_at: at("created_at")?,
        updated_at: at("updated_at")?,
        progressed_at: at("progressed_at")?,
        ended_at: row.try_get::<Option<At>, _>("ended_at")?.map(Timestamp::from),
        plan: names.plan(plan.iter().map(String::as_str)),
        steps,
        history: History::default(),
    };
    Ok((view, row.try_get::<i64, _>("events_count")?.unsigned_abs()))
}

/// Sagas as they are now, with all that is said of them in other tables, and what has happened to them.
pub(super) async fn write(transaction: &mut PgConnection, all: &[&Course]) -> Result<(), Error> {
    let begun = all.iter().filter(|it| it.begins).map(|it| it.view.id.0).collect::<Vec<_>>();
    if !begun.is_empty() {
        query("delete from sagas where id = any($1)").bind(begun).execute(&mut *transaction).await?;
    }
    write_sagas(transaction, all).await?;
    write_events(transaction, all).await?;
    write_outbox(transaction, all).await?;
    write_logs(transaction, all).await
}

async fn write_sagas(transaction: &mut PgConnection, all: &[&Course]) -> Result<(), Error> {
    let views = || all.iter().map(|it| &it.view);
    let rows = views().map(saga).collect::<Vec<_>>();
    let taken = |view: &SagaView| json(&view.steps.iter().map(Taken::of).collect::<Vec<_>>());
    let owner = |view: &SagaView| match view.key {
        Key::User(user) => Some(user.0),
        Key::Post(_) | Key::Email(_) | Key::Username(_) => None,
    };
    query(
        "insert into sagas (id, type, status, steps, key, owner_id, actor_id, reason, failure, created_at, updated_at, \
             progressed_at, ended_at, plan, taken, events_count) \
         select id, type, status, steps::jsonb, key, owner_id, actor_id, reason, failure, created_at, updated_at, \
             progressed_at, ended_at, plan::jsonb, taken::jsonb, events_count \
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::uuid[], $8::text[], \
             $9::text[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::text[], \
             $15::text[], $16::bigint[]) \
             as s (id, type, status, steps, key, owner_id, actor_id, reason, failure, created_at, updated_at, \
                 progressed_at, ended_at, plan, taken, events_count) \
         on conflict (id) do update set status = excluded.status, steps = excluded.steps, reason = excluded.reason, \
             failure = excluded.failure, updated_at = excluded.updated_at, progressed_at = excluded.progressed_at, \
             ended_at = excluded.ended_at, taken = excluded.taken, events_count = excluded.events_count",
    )
    .bind(rows.iter().map(|row| row.id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| &*row.process).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.status.name()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.steps.to_string()).collect::<Vec<_>>())
    .bind(views().map(|view| view.key.to_string()).collect::<Vec<_>>())
    .bind(views().map(owner).collect::<Vec<_>>())
    .bind(views().map(|view| view.actor.map(|actor| actor.0)).collect::<Vec<_>>())
    .bind(views().map(|view| view.reason.as_deref()).collect::<Vec<_>>())
    .bind(views().map(|view| view.failure.as_deref()).collect::<Vec<_>>())
    .bind(views().map(|view| time(view.started_at)).collect::<Vec<_>>())
    .bind(views().map(|view| time(view.updated_at)).collect::<Vec<_>>())
    .bind(views().map(|view| time(view.progressed_at)).collect::<Vec<_>>())
    .bind(views().map(|view| view.ended_at.map(time)).collect::<Vec<_>>())
    .bind(
        views()
            .map(|view| json(&view.plan.iter().map(|step| &**step).collect::<Vec<_>>()))
            .collect::<Result<Vec<_>, _>>()?,
    )
    .bind(views().map(taken).collect::<Result<Vec<_>, _>>()?)
    .bind(all.iter().map(|it| number(it.events_count())).collect::<Vec<_>>())
    .execute(transaction)
    .await
    .map(drop)
}

/// Adds what has happened, and leaves out the middle of what is long.
async fn write_events(transaction: &mut PgConnection, all: &[&Course]) -> Result<(), Error> {
    let events = || {
        all.iter().flat_map(|it| {
            let numbered = (it.events_before + 1..).zip(&it.events);
            numbered.map(|(n, event)| (it.view.id.0, n, event))
        })
    };
    query(
        "insert into saga_events (saga_id, number, created_at, partition, position, event_type, step, compensation, detail, \
             ordered_by) \
         select * from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::text[], \
             $7::text[], $8::bool[], $9::text[], $10::uuid[])",
    )
    .bind(events().map(|(saga, ..)| saga).collect::<Vec<_>>())
    .bind(events().map(|(_, n, _)| number(n)).collect::<Vec<_>>())
    .bind(events().map(|(.., it)| time(it.at)).collect::<Vec<_>>())
    .bind(events().map(|(.., it)| i64::from(it.position.partition.0)).collect::<Vec<_>>())
    .bind(events().map(|(.., it)| number(it.position.offset)).collect::<Vec<_>>())
    .bind(events().map(|(.., it)| &*it.event).collect::<Vec<_>>())
    .bind(events().map(|(.., it)| it.step.as_deref()).collect::<Vec<_>>())
    .bind(events().map(|(.., it)| it.compensation).collect::<Vec<_>>())
    .bind(events().map(|(.., it)| it.detail.as_deref()).collect::<Vec<_>>())
    .bind(events().map(|(.., it)| it.by.map(|by| by.0)).collect::<Vec<_>>())
    .execute(&mut *transaction)
    .await?;
    let long = all.iter().filter(|it| it.events_count() > HISTORY_MAX as u64).collect::<Vec<_>>();
    if long.is_empty() {
        return Ok(());
    }
    query(
        "delete from saga_events using unnest($1::uuid[], $2::bigint[]) as s (saga, events) \
         where saga_id = saga and number > $3 and number <= events - $3",
    )
    .bind(long.iter().map(|it| it.view.id.0).collect::<Vec<_>>())
    .bind(long.iter().map(|it| number(it.events_count())).collect::<Vec<_>>())
    .bind(number(HISTORY_MAX as u64 / 2))
    .execute(transaction)
    .await
    .map(drop)
}

async fn write_outbox(transaction: &mut PgConnection, all: &[&Course]) -> Result<(), Error> {
    let stored = all.iter().filter(|it| it.events_before > 0).map(|it| it.view.id.0).collect::<Vec<_>>();
    if !stored.is_empty() {
        query("delete from event_outbox where saga_id = any($1)").bind(stored).execute(&mut *transaction).await?;
    }
    let rows = all.iter().flat_map(|it| event_outbox(&it.view)).collect::<Vec<_>>();
    if rows.is_empty() {
        return Ok(());
    }
    query(
        "insert into event_outbox (id, saga_id, event_type, payload, retry_count) \
         select id, saga_id, event_type, payload::jsonb, retry_count \
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[]) \
             as o (id, saga_id, event_type, payload, retry_count)",
    )
    .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.saga_id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| &*row.event_type).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.payload.to_string()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| i64::from(row.retry_count)).collect::<Vec<_>>())
    .execute(transaction)
    .await
    .map(drop)
}

async fn write_logs(transaction: &mut PgConnection, all: &[&Course]) -> Result<(), Error> {
    let of_users = all.iter().filter_map(|it| user_saga_log(&it.view)).collect::<Vec<_>>();
    if !of_users.is_empty() {
        query(
            "insert into user_saga_log (saga_id, user_id, compensation_status) \
             select * from unnest($1::uuid[], $2::uuid[], $3::text[]) \
             on conflict (saga_id) do update set compensation_status = excluded.compensation_status",
        )
        .bind(of_users.iter().map(|row| row.saga_id.0).collect::<Vec<_>>())
        .bind(of_users.iter().map(|row| row.user_id.0).collect::<Vec<_>>())
        .bind(of_users.iter().map(|row| row.compensation_status).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await?;
    }
    let of_posts = all.iter().filter_map(|it| post_saga_log(&it.view)).collect::<Vec<_>>();
    if of_posts.is_empty() {
        return Ok(());
    }
    query(
        "insert into post_saga_log (saga_id, post_id, current_step, compensation_data) \
         select saga_id, post_id, current_step, compensation_data::jsonb \
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) \
             as l (saga_id, post_id, current_step, compensation_data) \
         on conflict (saga_id) do update set current_step = excluded.current_step, \
             compensation_data = excluded.compensation_data",
    )
    .bind(of_posts.iter().map(|row| row.saga_id.0).collect::<Vec<_>>())
    .bind(of_posts.iter().map(|row| row.post_id.0).collect::<Vec<_>>())
    .bind(of_posts.iter().map(|row| row.current_step).collect::<Vec<_>>())
    .bind(of_posts.iter().map(|row| row.compensation_data.as_ref().map(ToString::to_string)).collect::<Vec<_>>())
    .execute(transaction)
    .await
    .map(drop)
}

/// Notes ends, and forgets whatever has ended that is kept no longer: because newer ones are, or for whom it concerned.
pub(super) async fn end(transaction: &mut PgConnection, ends: &[End]) -> Result<(), Error> {
    query(
        "insert into saga_ends (partition, type, ended_at, saga_id) \
         select * from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::uuid[]) on conflict do nothing",
    )
    .bind(ends.iter().map(|end| i64::from(end.partition.0)).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| &*end.process).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| time(end.at)).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| end.saga.0).collect::<Vec<_>>())
    .execute(&mut *transaction)
    .await?;
    let orders = ends.iter().map(|end| (i64::from(end.partition.0), &*end.process)).collect::<BTreeSet<_>>();
    let (partitions, processes): (Vec<_>, Vec<_>) = orders.into_iter().unzip();
    query(
        "with forgotten as ( \
             delete from saga_ends using ( \
                 select ctid, row_number() over (partition by partition, type order by ended_at desc, saga_id desc) as place \
                 from saga_ends where (partition, type) in (select * from unnest($1::bigint[], $2::text[])) \
             ) as placed where saga_ends.ctid = placed.ctid and place > $3 returning saga_ends.saga_id, saga_ends.ended_at) \
         delete from sagas using forgotten where id = saga_id and sagas.ended_at = forgotten.ended_at",
    )
    .bind(partitions)
    .bind(processes)
    .bind(number(ENDED_MAX as u64))
    .execute(&mut *transaction)
    .await?;
    query(
        "delete from sagas where id = any($1) and ended_at is not null and type <> $2 \
             and exists (select from saga_gone where user_id in (owner_id, actor_id))",
    )
    .bind(ends.iter().map(|end| end.saga.0).collect::<Vec<_>>())
    .bind(USER_DELETION)
    .execute(transaction)
    .await
    .map(drop)
}

/// Of those who are gone no saga is kept that has ended, but their deletion.
pub(super) async fn forget_past_of(transaction: &mut PgConnection, users: &[Uuid]) -> Result<(), Error> {
    query("delete from sagas where ended_at is not null and type <> $2 and (owner_id = any($1) or actor_id = any($1))")
        .bind(users)
        .bind(USER_DELETION)
        .execute(transaction)
        .await
        .map(drop)
}
