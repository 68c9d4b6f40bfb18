//! What there is between people: follows, blocks and mutes. Each is on the key of who made it, so it comes in order; who it
//! is made to may be on any other partition.

use super::super::change::{Barrier, Change};
use super::absent::Absent;
use crate::postgres::{At, Fate, time};
use events::{Timestamp, UserId};
use sqlx::{Error, PgConnection, query, query_as};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

type Fates = BTreeMap<(UserId, UserId), Fate<Timestamp>>;

/// What becomes of them in a batch.
#[derive(Default)]
pub(super) struct Edges {
    follows: Fates,
    blocks: Fates,
    mutes: Fates,
}

impl Edges {
    /// The changes of accounts, in their order, and what becomes of edges.
    pub(super) fn split(changes: Vec<Change>) -> (Vec<Change>, Self) {
        let (mut accounts, mut edges) = (Vec::new(), Self::default());
        for change in changes {
            match change {
                Change::Followed { follower, followee, at } => {
                    edges.follows.entry((follower, followee)).or_default().add(at);
                }
                Change::Unfollowed { follower, followee } => {
                    edges.follows.entry((follower, followee)).or_default().remove();
                }
                Change::Raised { barrier, user, target, at } => {
                    edges.barriers(barrier).entry((user, target)).or_default().add(at);
                }
                Change::Lifted { barrier, user, target } => {
                    edges.barriers(barrier).entry((user, target)).or_default().remove();
                }
                account => accounts.push(account),
            }
        }
        (accounts, edges)
    }

    fn barriers(&mut self, barrier: Barrier) -> &mut Fates {
        match barrier {
            Barrier::Block => &mut self.blocks,
            Barrier::Mute => &mut self.mutes,
        }
    }

    /// Writes them all. `absent` says whose accounts have come or gone in the same batch.
    pub(super) async fn write(&self, transaction: &mut PgConnection, mut absent: Absent) -> Result<(), Error> {
        remove(transaction, DELETE_BLOCKS, &self.blocks).await?;
        add(transaction, INSERT_BLOCKS, &self.blocks).await?;
        remove(transaction, DELETE_MUTES, &self.mutes).await?;
        add(transaction, INSERT_MUTES, &self.mutes).await?;
        absent.joined = ends(self.follows.iter().filter(|(_, fate)| fate.added.is_some()));
        absent.parted = ends(self.follows.iter().filter(|(_, fate)| fate.removed));
        let held = absent.hold(transaction).await?;
        let removed = remove(transaction, DELETE_FOLLOWERS, &self.follows).await?;
        let added = add(transaction, INSERT_FOLLOWERS, &self.follows).await?;
        held.settle(transaction).await?;
        count(transaction, &added, &removed).await
    }
}

const DELETE_FOLLOWERS: &str = "delete from followers using unnest($1::uuid[], $2::uuid[]) as r (one, other) \
    where follower_id = one and followee_id = other returning follower_id, followee_id";
const INSERT_FOLLOWERS: &str = "insert into followers (follower_id, followee_id, created_at) \
    select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) on conflict do nothing \
    returning follower_id, followee_id";
const DELETE_BLOCKS: &str = "delete from blocks using unnest($1::uuid[], $2::uuid[]) as r (one, other) \
    where user_id = one and target_id = other returning user_id, target_id";
const INSERT_BLOCKS: &str = "insert into blocks (user_id, target_id, created_at) \
    select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) on conflict do nothing returning user_id, target_id";
const DELETE_MUTES: &str = "delete from mutes using unnest($1::uuid[], $2::uuid[]) as r (one, other) \
    where user_id = one and target_id = other returning user_id, target_id";
const INSERT_MUTES: &str = "insert into mutes (user_id, target_id, created_at) \
    select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) on conflict do nothing returning user_id, target_id";

/// Those that were taken away.
async fn remove(
    transaction: &mut PgConnection,
    sql: &'static str,
    fates: &Fates,
) -> Result<Vec<(UserId, UserId)>, Error> {
    let removed = fates.iter().filter(|(_, fate)| fate.removed).map(|((one, other), _)| (one.0, other.0));
    let (ones, others): (Vec<Uuid>, Vec<Uuid>) = removed.unzip();
    if ones.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Uuid, Uuid)> = query_as(sql).bind(ones).bind(others).fetch_all(transaction).await?;
    Ok(rows.into_iter().map(|(one, other)| (UserId(one), UserId(other))).collect())
}

/// Those that were not there before.
async fn add(transaction: &mut PgConnection, sql: &'static str, fates: &Fates) -> Result<Vec<(UserId, UserId)>, Error> {
    let added = fates.iter().filter_map(|((one, other), fate)| Some((one.0, other.0, time(fate.added?))));
    let added: Vec<(Uuid, Uuid, At)> = added.collect();
    if added.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Uuid, Uuid)> = query_as(sql)
        .bind(added.iter().map(|(one, ..)| *one).collect::<Vec<_>>())
        .bind(added.iter().map(|(_, other, _)| *other).collect::<Vec<_>>())
        .bind(added.iter().map(|(.., at)| *at).collect::<Vec<_>>())
        .fetch_all(transaction)
        .await?;
    Ok(rows.into_iter().map(|(one, other)| (UserId(one), UserId(other))).collect())
}

/// Everybody in these, in order.
fn ends<'a>(edges: impl Iterator<Item = (&'a (UserId, UserId), &'a Fate<Timestamp>)>) -> Vec<Uuid> {
    let ends = edges.flat_map(|((one, other), _)| [one.0, other.0]);
    ends.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Changes how many follows there are of each. The last table that is written: a row may be waited for by all who follow the
/// same person.
async fn count(
    transaction: &mut PgConnection,
    added: &[(UserId, UserId)],
    removed: &[(UserId, UserId)],
) -> Result<(), Error> {
    let mut changes: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
    let edges = added.iter().map(|edge| (edge, 1)).chain(removed.iter().map(|edge| (edge, -1)));
    for ((follower, followee), change) in edges {
        changes.entry(follower.0).or_default().1 += change;
        changes.entry(followee.0).or_default().0 += change;
    }
    changes.retain(|_, change| *change != (0, 0));
    if changes.is_empty() {
        return Ok(());
    }
    let users = changes.keys().copied().collect::<Vec<_>>();
    query(
        "insert into follow_counts as c (user_id, followers, following) \
         select * from unnest($1::uuid[], $2::bigint[], $3::bigint[]) order by 1 \
         on conflict (user_id) do update set followers = c.followers + excluded.followers, \
             following = c.following + excluded.following",
    )
    .bind(&users)
    .bind(changes.values().map(|(followers, _)| *followers).collect::<Vec<_>>())
    .bind(changes.values().map(|(_, following)| *following).collect::<Vec<_>>())
    .execute(&mut *transaction)
    .await?;
    if removed.is_empty() {
        return Ok(());
    }
    query("delete from follow_counts where user_id = any($1) and followers = 0 and following = 0")
        .bind(users)
        .execute(transaction)
        .await
        .map(drop)
}
