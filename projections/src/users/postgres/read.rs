//! The questions. Each is one statement, and where much is hidden from the reader a few.

use super::super::{Author, Claims, Credentials, Follow, List, Profile, Related, Relation, Users};
use super::PostgresUsers;
use super::rows::claimed;
use crate::hidden::Hidden;
use crate::listing::{Listing, Page};
use crate::postgres::{Of, Rows, at, column, count, number, read, text, unavailable};
use crate::read_model::Unavailable;
use crate::text::Text;
use async_trait::async_trait;
use events::{Digest, PasswordHash, Role, UserId};
use pool::Pool;
use sqlx::postgres::PgRow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// What is shown of the follows of an account is what there is of them, less those of who is absent. Whoever is in neither
/// table any more is in no follow.
const PROFILES: &str = "select id, coalesce(lost_email, email) as email, coalesce(lost_username, username) as username, \
        avatar_url, bio, created_at, \
        coalesce(c.followers, 0) - (select count(*) from absent join followers \
            on follower_id = absent.user_id and followee_id = id) as followers, \
        coalesce(c.following, 0) - (select count(*) from absent join followers \
            on followee_id = absent.user_id and follower_id = id) as following \
    from users left join follow_counts as c on c.user_id = id where id = any($1)";

/// A page of people: `$4` must have an account, and so must whoever is listed.
macro_rules! people {
    ($table:literal, $of:literal, $listed:literal) => {
        concat!(
            "select ",
            $listed,
            " as listed, created_at from ",
            $table,
            " where ",
            $of,
            " = $4 \
                 and (created_at, ",
            $listed,
            ") < ($1, $2) \
                 and exists (select from users where id = ",
            $listed,
            ") and exists (select from users where id = $4) \
             order by created_at desc, ",
            $listed,
            " desc limit $3"
        )
    };
}

const FOLLOWERS: &str = people!("followers", "followee_id", "follower_id");
const FOLLOWING: &str = people!("followers", "follower_id", "followee_id");
const BLOCKS: &str = people!("blocks", "user_id", "target_id");
const MUTES: &str = people!("mutes", "user_id", "target_id");

const RELATED: &str = "(select 1 as kind, follower_id as other from followers where followee_id = $1 limit $2) \
    union all (select 2, followee_id from followers where follower_id = $1 limit $2) \
    union all (select 3, user_id from blocks where target_id = $1 limit $2) \
    union all (select 4, target_id from blocks where user_id = $1 limit $2) \
    union all (select 5, user_id from mutes where target_id = $1 limit $2) \
    union all (select 6, target_id from mutes where user_id = $1 limit $2) \
    order by kind, other limit $2";

impl PostgresUsers {
    async fn pool(&self) -> Result<&Pool, Unavailable> {
        self.batches.database.reads().await
    }
}

#[async_trait]
impl Users for PostgresUsers {
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<Profile>, Unavailable> {
        self.found(PROFILES, users, profile).await
    }

    async fn authors(&self, users: &[UserId]) -> Result<Vec<Author>, Unavailable> {
        let sql = "select id, coalesce(lost_username, username) as username, avatar_url from users where id = any($1)";
        self.found(sql, users, author).await
    }

    async fn are_known(&self, users: &[UserId]) -> Result<bool, Unavailable> {
        if users.is_empty() {
            return Ok(true);
        }
        let known = sqlx::query_scalar(
            "select not exists (select from unnest($1::uuid[]) as asked (id) \
                 where not exists (select from users where users.id = asked.id) \
                     and not exists (select from tombstones where user_id = asked.id and disabled))",
        );
        read(known.bind(ids(users)).fetch_one(self.pool().await?)).await
    }

    async fn is_disabled(&self, user: UserId) -> Result<bool, Unavailable> {
        let disabled = sqlx::query_scalar("select exists (select from tombstones where user_id = $1 and disabled)");
        read(disabled.bind(user.0).fetch_one(self.pool().await?)).await
    }

    async fn credentials(&self, email_claim: Digest) -> Result<Option<Credentials>, Unavailable> {
        let row = sqlx::query(
            "select user_id, password, version from credentials where user_id = \
                 (select id from users where email_claim = $1 order by email_version desc, id desc limit 1)",
        );
        let row = read(row.bind(email_claim.0.to_vec()).fetch_optional(self.pool().await?)).await?;
        row.as_ref().map(credentials).transpose()
    }

    async fn credentials_of(&self, user: UserId) -> Result<Option<Credentials>, Unavailable> {
        let row = sqlx::query("select user_id, password, version from credentials where user_id = $1");
        let row = read(row.bind(user.0).fetch_optional(self.pool().await?)).await?;
        row.as_ref().map(credentials).transpose()
    }

    async fn by_usernames(&self, username_claims: &[Digest]) -> Result<Vec<Option<UserId>>, Unavailable> {
        let rows = sqlx::query_scalar(
            "select (select id from users where username_claim = claim order by username_version desc, id desc limit 1) \
             from unnest($1::bytea[]) with ordinality as c (claim, n) order by n",
        );
        let claims = username_claims.iter().map(|claim| claim.0.to_vec()).collect::<Vec<_>>();
        let rows: Vec<Option<Uuid>> = read(rows.bind(claims).fetch_all(self.pool().await?)).await?;
        Ok(rows.into_iter().map(|user| user.map(UserId)).collect())
    }

    async fn role(&self, user: UserId) -> Result<Role, Unavailable> {
        let role = sqlx::query_scalar("select role from users where id = $1").bind(user.0);
        let role: Option<String> = read(role.fetch_optional(self.pool().await?)).await?;
        role.map_or(Ok(Role::User), |role| {
            role.parse().map_err(|error| Unavailable(format!("PostgreSQL: the role of {user}: {error}")))
        })
    }

    async fn claims(&self, user: UserId) -> Result<Option<Claims>, Unavailable> {
        let row = sqlx::query(
            "select email_claim, email_version, username_claim, username_version from users where id = $1 \
             union all select email_claim, email_version, username_claim, username_version from tombstones \
             where user_id = $1 and email_claim is not null limit 1",
        );
        let row = read(row.bind(user.0).fetch_optional(self.pool().await?)).await?;
        let claims = |row: &PgRow| Ok(Claims { email: claimed(row, "email")?, username: claimed(row, "username")? });
        row.as_ref().map(claims).transpose().map_err(unavailable)
    }

    async fn relations(&self, viewer: UserId, others: &[UserId]) -> Result<Vec<Relation>, Unavailable> {
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "select exists (select from users where id = $1) and exists (select from users where id = other) as here, \
                 exists (select from followers where follower_id = $1 and followee_id = other) as following, \
                 exists (select from followers where follower_id = other and followee_id = $1) as followed_by, \
                 exists (select from blocks where user_id = $1 and target_id = other) as blocking, \
                 exists (select from blocks where user_id = other and target_id = $1) as blocked_by, \
                 exists (select from mutes where user_id = $1 and target_id = other) as muting \
             from unnest($2::uuid[]) with ordinality as o (other, n) order by n",
        );
        let rows = rows.bind(viewer.0).bind(ids(others)).fetch_all(self.pool().await?);
        read(rows).await?.iter().map(relation).collect()
    }

    async fn hidden_from(&self, viewer: UserId) -> Result<Hidden, Unavailable> {
        let rows = sqlx::query(
            "select target_id as other, false as muted from blocks where user_id = $1 \
             union all select user_id, false from blocks where target_id = $1 \
             union all select target_id, true from mutes where user_id = $1",
        );
        let rows = read(rows.bind(viewer.0).fetch_all(self.pool().await?)).await?;
        let (mut apart, mut muted) = (HashSet::new(), HashSet::new());
        for row in &rows {
            let set = if column(row, "muted")? { &mut muted } else { &mut apart };
            set.insert(UserId(column(row, "other")?));
        }
        let some = |set: HashSet<_>| (!set.is_empty()).then(|| Arc::new(set));
        Ok(Hidden { apart: some(apart), muted: some(muted) })
    }

    async fn list(
        &self,
        list: List,
        user: UserId,
        page: Page,
        hidden: &Hidden,
    ) -> Result<Listing<Follow>, Unavailable> {
        let sql = match list {
            List::Followers => FOLLOWERS,
            List::Following => FOLLOWING,
            List::Blocks => BLOCKS,
            List::Mutes => MUTES,
        };
        let item = |row: &PgRow| {
            let follow = Follow { user: UserId(column(row, "listed")?), created_at: at(row, "created_at")? };
            Ok(((follow.created_at, follow.user.0), (!hidden.hides(follow.user)).then_some(follow)))
        };
        Rows { pool: self.pool().await?, sql, of: Of::Id(user.0), oldest_first: false }.page(page, item).await
    }

    async fn related(&self, user: UserId, limit: usize) -> Result<Related, Unavailable> {
        let rows = sqlx::query_as(RELATED).bind(user.0).bind(number(limit as u64)).fetch_all(self.pool().await?);
        let rows: Vec<(i32, Uuid)> = read(rows).await?;
        let mut related = Related::default();
        for (kind, other) in rows {
            let people = match kind {
                1 => &mut related.followers,
                2 => &mut related.following,
                3 => &mut related.blocked_by,
                4 => &mut related.blocking,
                5 => &mut related.muted_by,
                _ => &mut related.muting,
            };
            people.push(UserId(other));
        }
        Ok(related)
    }
}

impl PostgresUsers {
    /// Of each of `users` that there is, what a query says of it, in their order.
    async fn found<T: Clone>(
        &self,
        sql: &'static str,
        users: &[UserId],
        found: fn(&PgRow) -> Result<T, Unavailable>,
    ) -> Result<Vec<T>, Unavailable> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let rows = read(sqlx::query(sql).bind(ids(users)).fetch_all(self.pool().await?)).await?;
        let all = rows.iter().map(|row| Ok((UserId(column(row, "id")?), found(row)?)));
        let all = all.collect::<Result<HashMap<_, _>, Unavailable>>()?;
        Ok(users.iter().filter_map(|user| all.get(user).cloned()).collect())
    }
}

fn ids(users: &[UserId]) -> Vec<Uuid> {
    users.iter().map(|user| user.0).collect()
}

fn author(row: &PgRow) -> Result<Author, Unavailable> {
    let avatar_url = column::<Option<&str>>(row, "avatar_url")?.map(Text::from);
    Ok(Author { id: UserId(column(row, "id")?), username: text(row, "username")?, avatar_url })
}

fn profile(row: &PgRow) -> Result<Profile, Unavailable> {
    Ok(Profile {
        id: UserId(column(row, "id")?),
        email: text(row, "email")?,
        username: text(row, "username")?,
        bio: column::<Option<&str>>(row, "bio")?.map(Text::from),
        avatar_url: column::<Option<&str>>(row, "avatar_url")?.map(Text::from),
        created_at: at(row, "created_at")?,
        follower_count: count(row, "followers")?,
        following_count: count(row, "following")?,
    })
}

fn credentials(row: &PgRow) -> Result<Credentials, Unavailable> {
    Ok(Credentials {
        user: UserId(column(row, "user_id")?),
        password: PasswordHash::new(column(row, "password")?),
        version: count(row, "version")?,
    })
}

fn relation(row: &PgRow) -> Result<Relation, Unavailable> {
    let (blocking, blocked_by): (bool, bool) = (column(row, "blocking")?, column(row, "blocked_by")?);
    // Of two of whom one blocks the other neither follows.
    let may_follow = column::<bool>(row, "here")? && !blocking && !blocked_by;
    Ok(Relation {
        following: may_follow && column(row, "following")?,
        followed_by: may_follow && column(row, "followed_by")?,
        blocking,
        blocked_by,
        muting: column(row, "muting")?,
    })
}
