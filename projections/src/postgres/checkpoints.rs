//! Checkpoints beside the data: read, and moved on under the condition that nobody else has moved them.

use super::{column, count, number, read, unavailable};
use crate::checkpoint::Checkpoint;
use crate::parked;
use crate::read_model::{Advance, ApplyError, Unavailable};
use events::Incarnation;
use journal::{Head, Offset, Partition};
use pool::Pool;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Executor, PgConnection, Postgres, query::Query};

/// Those of one build of one read model.
#[derive(Clone, Copy)]
pub(crate) struct Checkpoints {
    pub(crate) model: &'static str,
    pub(crate) generation: u64,
}

impl Checkpoints {
    pub(crate) async fn load(&self, pool: &Pool, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        read(self.stored(partition, pool)).await?.as_ref().map(checkpoint).transpose()
    }

    /// Compare-and-set, and the first statement of the transaction: whoever else has it under way is waited for.
    pub(crate) async fn advance(
        &self,
        transaction: &mut PgConnection,
        advance: &Advance<'_>,
    ) -> Result<(), ApplyError> {
        let Advance { partition, expected, new, .. } = advance;
        let is_first = expected.revision == 0 && expected.at.next == 0;
        if expected.generation != self.generation {
            return Err(ApplyError::Fenced);
        }
        let statement = if is_first {
            "insert into checkpoints (model, partition, generation, revision, next, head, head_offset, incarnation, parked) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing"
        } else {
            "update checkpoints set revision = $4, next = $5, head = $6, head_offset = $7, incarnation = $8, parked = $9 \
             where model = $1 and partition = $2 and generation = $3 and revision = $10 and next = $11 and head = $12"
        };
        let mut query = self.bind(sqlx::query(statement), *partition, new);
        if !is_first {
            let at = &expected.at;
            query = query.bind(number(expected.revision)).bind(number(at.next)).bind(at.head.0.to_vec());
        }
        let written = query.execute(transaction).await.map_err(unavailable)?.rows_affected();
        if written == 0 { Err(ApplyError::Fenced) } else { Ok(()) }
    }

    /// That nobody else has moved it.
    pub(crate) async fn expect(&self, transaction: &mut PgConnection, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let Advance { partition, expected, .. } = advance;
        let is_expected = match self.stored(*partition, transaction).await.map_err(unavailable)? {
            Some(row) => checkpoint(&row)?.is_same(expected),
            None => expected.generation == self.generation && expected.revision == 0 && expected.at.next == 0,
        };
        if is_expected { Ok(()) } else { Err(ApplyError::Fenced) }
    }

    async fn stored<'e>(
        &self,
        partition: Partition,
        database: impl Executor<'e, Database = Postgres>,
    ) -> Result<Option<PgRow>, sqlx::Error> {
        let row = sqlx::query(
            "select generation, revision, next, head, head_offset, incarnation, parked from checkpoints \
             where model = $1 and partition = $2",
        );
        row.bind(self.model).bind(i64::from(partition.0)).fetch_optional(database).await
    }

    fn bind<'q>(
        &self,
        query: Query<'q, Postgres, PgArguments>,
        partition: Partition,
        new: &Checkpoint,
    ) -> Query<'q, Postgres, PgArguments> {
        query
            .bind(self.model)
            .bind(i64::from(partition.0))
            .bind(number(new.generation))
            .bind(number(new.revision))
            .bind(number(new.at.next))
            .bind(new.at.head.0.to_vec())
            .bind(new.at.head_offset.map(number))
            .bind(new.at.incarnation.map(|incarnation| incarnation.0))
            .bind(parked::encode(&new.parked))
    }
}

fn checkpoint(row: &PgRow) -> Result<Checkpoint, Unavailable> {
    let damaged = |what: &str| Unavailable(format!("PostgreSQL: a checkpoint has {what}"));
    let head: Vec<u8> = column(row, "head")?;
    let incarnation: Option<uuid::Uuid> = column(row, "incarnation")?;
    let head_offset: Option<i64> = column(row, "head_offset")?;
    Ok(Checkpoint {
        generation: count(row, "generation")?,
        revision: count(row, "revision")?,
        at: journal::Checkpoint {
            next: count(row, "next")?,
            head: Head(head.try_into().map_err(|_| damaged("a head of another length"))?),
            head_offset: head_offset
                .map(|offset| Offset::try_from(offset).map_err(|_| damaged("a negative offset")))
                .transpose()?,
            incarnation: incarnation.map(Incarnation),
        },
        parked: parked::decode(column(row, "parked")?, "PostgreSQL")?,
    })
}
