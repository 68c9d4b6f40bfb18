//! Who is in `followers` and not in `users`. Exactly these are in `absent`, but for who is being deleted, whatever is written
//! at once: a row of it is held by whoever makes an account or takes it away, and by whoever writes a follow of somebody
//! without one; what is between people is looked at while it is held.
//!
//! All rows are held by one statement, in the order of their ids: two who want the same ones wait for each other once.

use sqlx::{Error, PgConnection, query, query_scalar};
use uuid::Uuid;

/// Whom a transaction has to do with.
#[derive(Default)]
pub(super) struct Absent {
    /// Whose accounts it has made, or found gone for good.
    pub(super) settled: Vec<Uuid>,
    /// Whose accounts it has taken away.
    pub(super) gone: Vec<Uuid>,
    /// Whom it brings together with others.
    pub(super) joined: Vec<Uuid>,
    /// Whom it parts from others.
    pub(super) parted: Vec<Uuid>,
}

/// Rows that nobody else writes until the end of the transaction.
pub(super) struct Held(Vec<Uuid>);

impl Absent {
    /// Holds the rows of those without an account, and of those who have or had one by this transaction.
    pub(super) async fn hold(&self, transaction: &mut PgConnection) -> Result<Held, Error> {
        let Self { settled, gone, joined, parted } = self;
        if settled.is_empty() && gone.is_empty() && joined.is_empty() && parted.is_empty() {
            return Ok(Held(Vec::new()));
        }
        // What is there already is held by changing nothing of it.
        let mut held: Vec<Uuid> = query_scalar(
            "insert into absent \
             select unnest($1::uuid[] || $2::uuid[]) as id \
             union select id from unnest($3::uuid[]) as p (id) where not exists (select from users where users.id = p.id) \
             union select user_id from absent where user_id = any($4) \
             order by id on conflict (user_id) do update set user_id = excluded.user_id returning user_id",
        )
        .bind(settled)
        .bind(gone)
        .bind(joined)
        .bind(parted)
        .fetch_all(transaction)
        .await?;
        // Somebody may be writing a follow of theirs now who still sees the account: they stay until their end.
        held.retain(|user| !gone.contains(user));
        Ok(Held(held))
    }
}

impl Held {
    /// Forgets those of them who have an account, which may have been made while this transaction waited, or have nothing to
    /// do with others.
    pub(super) async fn settle(self, transaction: &mut PgConnection) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        query(
            "delete from absent where user_id = any($1) and (exists (select from users where id = user_id) \
                 or not exists (select from followers where follower_id = user_id) \
                     and not exists (select from followers where followee_id = user_id))",
        )
        .bind(self.0)
        .execute(transaction)
        .await
        .map(drop)
    }
}
