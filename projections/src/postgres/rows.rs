//! Lists page by page: rows are read in order a few at a time, and those that the reader is not shown are passed over.

use super::values::{FIRST, LAST};
use super::{number, read, time};
use crate::listing::{Filling, Listing, Page, Place};
use crate::read_model::Unavailable;
use pool::Pool;
use sqlx::postgres::PgRow;
use uuid::Uuid;

/// Rows of one query, at most. The first one asks for no more than the page needs if nothing is hidden.
const ROWS_MAX: usize = 1_000;

/// A query for a list. It takes a place as `$1` and `$2`, how many rows to read from there on as `$3`, and as `$4` what
/// the list is of.
pub(crate) struct Rows<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) sql: &'static str,
    pub(crate) of: Of<'a>,
    /// Otherwise the newest come first.
    pub(crate) oldest_first: bool,
}

/// What a list is of.
#[derive(Clone, Copy)]
pub(crate) enum Of<'a> {
    All,
    Id(Uuid),
    Text(&'a str),
}

impl Rows<'_> {
    /// The page. `item` says where a row stands, and what it is if it is shown.
    pub(crate) async fn page<T>(
        &self,
        page: Page,
        item: impl Fn(&PgRow) -> Result<(Place, Option<T>), Unavailable>,
    ) -> Result<Listing<T>, Unavailable> {
        let mut filling = Filling::of(page);
        let mut after = page.after.unwrap_or(if self.oldest_first { FIRST } else { LAST });
        let mut rows_max = page.limit.max(1) + 1;
        loop {
            let rows = self.after(after, rows_max).await?;
            for row in &rows {
                let (place, item) = item(row)?;
                if !filling.push(place, item) {
                    return Ok(filling.done());
                }
                after = place;
            }
            if rows.len() < rows_max {
                return Ok(filling.done());
            }
            rows_max = (rows_max * 4).min(ROWS_MAX);
        }
    }

    async fn after(&self, (at, id): Place, rows_max: usize) -> Result<Vec<PgRow>, Unavailable> {
        let query = sqlx::query(self.sql).bind(time(at)).bind(id).bind(number(rows_max as u64));
        let query = match self.of {
            Of::All => query,
            Of::Id(id) => query.bind(id),
            Of::Text(text) => query.bind(text),
        };
        read(query.fetch_all(self.pool)).await
    }
}
