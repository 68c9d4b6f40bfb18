//! The questions, each of one statement.

use super::PostgresSagas;
use super::rows::{self, columns};
use crate::listing::{Listing, Page};
use crate::postgres::{At, FIRST, column, count, number, read, time, unavailable};
use crate::read_model::Unavailable;
use crate::sagas::history::{Happened, History};
use crate::sagas::names::Names;
use crate::sagas::{SagaFilter, SagaStatus, SagaSummary, SagaView, Sagas, Tally};
use async_trait::async_trait;
use events::{SagaId, Timestamp, UserId};
use journal::{Partition, Position};
use sqlx::postgres::PgRow;
use sqlx::{Row, query, query_scalar};
use uuid::Uuid;

#[async_trait]
impl Sagas for PostgresSagas {
    async fn saga(&self, saga: SagaId) -> Result<Option<SagaView>, Unavailable> {
        let found = query(concat!(
            "select ",
            columns!(),
            ", saga_events.created_at as happened_at, partition, position, event_type, step, compensation, detail, ordered_by \
             from sagas left join saga_events on saga_id = id where id = $1 order by number"
        ));
        let found = read(found.bind(saga.0).fetch_all(self.batches.database.reads().await?)).await?;
        let Some(first) = found.first() else { return Ok(None) };
        let mut names = Names::default();
        let (mut view, events) = rows::view(first, &mut names).map_err(unavailable)?;
        let kept = found.iter().map(|row| happened(row, &mut names)).collect::<Result<Vec<_>, _>>();
        let kept = kept.map_err(unavailable)?;
        let left_out = events - (kept.len() as u64).min(events);
        view.history = History::kept(kept, left_out);
        Ok(Some(view))
    }

    async fn list(&self, filter: &SagaFilter, page: Page) -> Result<Listing<SagaSummary>, Unavailable> {
        let (at, id) = page.after.unwrap_or(FIRST);
        let found = query(concat!(
            "select ",
            columns!(),
            " from sagas where (created_at, id) > ($1, $2) and ($4::text is null or status = $4) \
             and ($5::text is null or type = $5) and ($6::bool is null or (ended_at is null) = $6) \
             and ($7::timestamptz is null or created_at < $7) order by created_at, id limit $3"
        ))
        .bind(time(at))
        .bind(id)
        .bind(number(page.limit.max(1) as u64 + 1))
        .bind(filter.status.map(SagaStatus::name))
        .bind(&filter.process)
        .bind(filter.open)
        .bind(filter.older_than.map(time));
        let found = summaries(&read(found.fetch_all(self.batches.database.reads().await?)).await?)?;
        Ok(Listing::of_items(page, found.into_iter().map(|saga| ((saga.started_at, saga.id.0), saga))))
    }

    async fn stuck(&self, since: Timestamp, limit: usize) -> Result<(Vec<SagaSummary>, usize), Unavailable> {
        let found = query(concat!(
            "select ",
            columns!(),
            ", count(*) over () as stuck from sagas where ended_at is null \
             and (status = 'COMPENSATION_FAILED' or progressed_at < $1) order by created_at, id limit $2"
        ));
        let found = found.bind(time(since)).bind(number(limit.max(1) as u64));
        let found = read(found.fetch_all(self.batches.database.reads().await?)).await?;
        let stuck = found.first().map_or(Ok(0), |row| count(row, "stuck"))?;
        let mut shown = summaries(&found)?;
        shown.truncate(limit);
        Ok((shown, stuck))
    }

    async fn tallies(&self) -> Result<Vec<Tally>, Unavailable> {
        let found = query(
            "select type, status, count(*) as sagas, min(created_at) as oldest from sagas where ended_at is null \
             group by type, status",
        );
        let found = read(found.fetch_all(self.batches.database.reads().await?)).await?;
        let mut tallies = found.iter().map(tally).collect::<Result<Vec<_>, _>>()?;
        tallies.sort_by(|a, b| (&a.process, a.status).cmp(&(&b.process, b.status)));
        Ok(tallies)
    }

    async fn concerning(&self, user: UserId) -> Result<Vec<SagaId>, Unavailable> {
        let found = query_scalar::<_, Uuid>(
            "select id from sagas where ended_at is null and (owner_id = $1 or actor_id = $1) order by id",
        );
        let found = read(found.bind(user.0).fetch_all(self.batches.database.reads().await?)).await?;
        Ok(found.into_iter().map(SagaId).collect())
    }
}

fn summaries(found: &[PgRow]) -> Result<Vec<SagaSummary>, Unavailable> {
    let mut names = Names::default();
    let mut summary = |row| rows::view(row, &mut names).map(|(view, _)| SagaSummary::of(&view));
    found.iter().map(&mut summary).collect::<Result<_, _>>().map_err(unavailable)
}

fn tally(row: &PgRow) -> Result<Tally, Unavailable> {
    let status: &str = column(row, "status")?;
    let status = SagaStatus::named(status).ok_or_else(|| Unavailable(format!("PostgreSQL: no saga is {status}")))?;
    let oldest = column::<At>(row, "oldest").map(Timestamp::from)?;
    let process: &str = column(row, "type")?;
    Ok(Tally { process: process.into(), status, count: count(row, "sagas")?, oldest: Some(oldest) })
}

fn happened(row: &PgRow, names: &mut Names) -> Result<Happened, sqlx::Error> {
    let partition: i64 = row.try_get("partition")?;
    let partition =
        Partition(partition.try_into().map_err(|_| sqlx::Error::Decode("there is no such partition".into()))?);
    let offset = row.try_get::<i64, _>("position")?.unsigned_abs();
    Ok(Happened {
        at: Timestamp::from(row.try_get::<At, _>("happened_at")?),
        position: Position { partition, offset },
        event: names.shared(row.try_get("event_type")?),
        step: row.try_get::<Option<&str>, _>("step")?.map(|step| names.shared(step)),
        compensation: row.try_get("compensation")?,
        detail: row.try_get::<Option<&str>, _>("detail")?.map(Into::into),
        by: row.try_get::<Option<Uuid>, _>("ordered_by")?.map(UserId),
    })
}
