//! The rows of accounts, in bulk.

use super::super::Claims;
use super::super::change::Account;
use super::people::{Here, Tombstone};
use crate::postgres::{At, number, time};
use crate::text::Text;
use events::{Claimed, Digest, PasswordHash, Timestamp, UserId};
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, Row, query};
use std::collections::HashMap;
use uuid::Uuid;

/// What is stored of somebody.
pub(super) enum Stored {
    Here(UserId, Box<Here>),
    Gone(UserId, Tombstone),
}

/// Of the same name or address: who has the newer claim on it.
type Newest<'a> = HashMap<&'a str, (u64, UserId)>;

/// The rows of these people, held until the end of this transaction.
pub(super) async fn load(transaction: &mut PgConnection, people: &[Uuid]) -> Result<Vec<Stored>, Error> {
    if people.is_empty() {
        return Ok(Vec::new());
    }
    let here = query(
        "select id, coalesce(lost_email, email) as email, coalesce(lost_username, username) as username, bio, role, \
             created_at, email_claim, email_version, username_claim, username_version, password, version \
         from users join credentials on user_id = id where id = any($1) order by id for update of users",
    );
    let here = here.bind(people).fetch_all(&mut *transaction).await?;
    let gone = query(
        "select user_id, disabled, email_claim, email_version, username_claim, username_version from tombstones \
         where user_id = any($1)",
    );
    let gone = gone.bind(people).fetch_all(transaction).await?;
    let here = here.iter().map(|row| Ok(Stored::Here(UserId(row.try_get("id")?), Box::new(self::here(row)?))));
    let gone = gone.iter().map(|row| Ok(Stored::Gone(UserId(row.try_get("user_id")?), tombstone(row)?)));
    here.chain(gone).collect()
}

fn here(row: &PgRow) -> Result<Here, Error> {
    let role: &str = row.try_get("role")?;
    let account = Account {
        email: row.try_get::<&str, _>("email")?.into(),
        username: row.try_get::<&str, _>("username")?.into(),
        bio: row.try_get::<Option<&str>, _>("bio")?.map(Text::from),
        password: PasswordHash::new(row.try_get("password")?),
        password_version: row.try_get::<i64, _>("version")?.unsigned_abs(),
        role: role.parse().map_err(|error| Error::Decode(Box::new(error)))?,
        created_at: Timestamp::from(row.try_get::<At, _>("created_at")?),
    };
    let claims = Claims { email: claimed(row, "email")?, username: claimed(row, "username")? };
    Ok(Here { account, claims })
}

fn tombstone(row: &PgRow) -> Result<Tombstone, Error> {
    let claims = match row.try_get::<Option<Vec<u8>>, _>("email_claim")? {
        Some(_) => Some(Claims { email: claimed(row, "email")?, username: claimed(row, "username")? }),
        None => None,
    };
    Ok(Tombstone { disabled: row.try_get("disabled")?, claims })
}

/// What an account claims: an address or a name.
pub(super) fn claimed(row: &PgRow, of: &str) -> Result<Claimed, Error> {
    let claim: Vec<u8> = row.try_get(format!("{of}_claim").as_str())?;
    let claim = claim.try_into().map_err(|_| Error::Decode("a claim is no digest of 32 bytes".into()))?;
    let version: i64 = row.try_get(format!("{of}_version").as_str())?;
    Ok(Claimed { claim: Digest(claim), version: version.unsigned_abs() })
}

/// With their credentials.
pub(super) async fn delete(transaction: &mut PgConnection, people: &[Uuid]) -> Result<(), Error> {
    if people.is_empty() {
        return Ok(());
    }
    query("delete from users where id = any($1)").bind(people).execute(transaction).await.map(drop)
}

pub(super) async fn write_tombstones(transaction: &mut PgConnection, all: &[(UserId, Tombstone)]) -> Result<(), Error> {
    if all.is_empty() {
        return Ok(());
    }
    let claims = |of: fn(&Claims) -> Claimed| {
        let of = move |it: &Tombstone| it.claims.as_ref().map(of);
        let digests = all.iter().map(|(_, it)| of(it).map(|claimed| claimed.claim.0.to_vec()));
        let versions = all.iter().map(|(_, it)| of(it).map(|claimed| number(claimed.version)));
        (digests.collect::<Vec<_>>(), versions.collect::<Vec<_>>())
    };
    let ((emails, email_versions), (usernames, username_versions)) =
        (claims(|claims| claims.email), claims(|claims| claims.username));
    query(
        "insert into tombstones (user_id, disabled, email_claim, email_version, username_claim, username_version) \
         select * from unnest($1::uuid[], $2::bool[], $3::bytea[], $4::bigint[], $5::bytea[], $6::bigint[]) \
         on conflict (user_id) do update set disabled = excluded.disabled, \
             email_claim = excluded.email_claim, email_version = excluded.email_version, \
             username_claim = excluded.username_claim, username_version = excluded.username_version",
    )
    .bind(all.iter().map(|(user, _)| user.0).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, it)| it.disabled).collect::<Vec<_>>())
    .bind(emails)
    .bind(email_versions)
    .bind(usernames)
    .bind(username_versions)
    .execute(transaction)
    .await
    .map(drop)
}

/// Frees what these accounts have had, and what they have now from those who have it by an older claim. What others have by
/// a newer one they keep.
pub(super) async fn take_names(transaction: &mut PgConnection, all: &[(UserId, &Here)]) -> Result<(), Error> {
    if all.is_empty() {
        return Ok(());
    }
    let users = all.iter().map(|(user, _)| user.0).collect::<Vec<_>>();
    query("update users set email = 'released:' || id, username = 'released:' || id where id = any($1)")
        .bind(&users)
        .execute(&mut *transaction)
        .await?;
    query(
        "update users set lost_email = email, email = 'released:' || id \
         from unnest($1::uuid[], $2::text[], $3::bigint[]) as w (winner, written, version) \
         where email = written and (email_version, id) < (version, winner)",
    )
    .bind(&users)
    .bind(all.iter().map(|(_, it)| &*it.account.email).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, it)| number(it.claims.email.version)).collect::<Vec<_>>())
    .execute(&mut *transaction)
    .await?;
    query(
        "update users set lost_username = username, username = 'released:' || id \
         from unnest($1::uuid[], $2::text[], $3::bigint[]) as w (winner, written, version) \
         where username = written and (username_version, id) < (version, winner)",
    )
    .bind(&users)
    .bind(all.iter().map(|(_, it)| &*it.account.username).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, it)| number(it.claims.username.version)).collect::<Vec<_>>())
    .execute(transaction)
    .await
    .map(drop)
}

/// Accounts as they are to be stored, from arrays. Who has no email or no username here has lost it to a newer claim.
macro_rules! accounts {
    ($statement:literal, $then:literal) => {
        concat!(
            $statement,
            " from (select *, \
                contested_email or exists (select from users where email = written_email and id <> account) as no_email, \
                contested_name or exists (select from users where username = written_name and id <> account) as no_name \
            from unnest($1::uuid[], $2::text[], $3::text[], $4::bool[], $5::bool[], $6::bytea[], $7::bigint[], \
                $8::bytea[], $9::bigint[], $10::text[], $11::text[], $12::timestamptz[]) \
                as a (account, written_email, written_name, contested_email, contested_name, of_email, at_email, \
                    of_name, at_name, says, may, made)) as accounts",
            $then
        )
    };
}

const INSERT: &str = accounts!(
    "insert into users (id, email, lost_email, username, lost_username, email_claim, email_version, username_claim, \
         username_version, bio, role, created_at) \
     select account, case when no_email then 'released:' || account else written_email end, \
         case when no_email then written_email end, \
         case when no_name then 'released:' || account else written_name end, \
         case when no_name then written_name end, of_email, at_email, of_name, at_name, says, may, made",
    ""
);

const RENAME: &str = accounts!(
    "update users set email = case when no_email then 'released:' || account else written_email end, \
         lost_email = case when no_email then written_email end, \
         username = case when no_name then 'released:' || account else written_name end, \
         lost_username = case when no_name then written_name end, \
         email_claim = of_email, email_version = at_email, username_claim = of_name, username_version = at_name, \
         bio = says, role = may",
    " where id = account"
);

/// What an account has written down of itself, in the batch that it was made or renamed in.
pub(super) async fn write(
    transaction: &mut PgConnection,
    made: &[(UserId, &Here)],
    renamed: &[(UserId, &Here)],
) -> Result<(), Error> {
    let all = || made.iter().chain(renamed);
    let emails = newest(all().map(|(user, it)| (&*it.account.email, (it.claims.email.version, *user))));
    let names = newest(all().map(|(user, it)| (&*it.account.username, (it.claims.username.version, *user))));
    for (sql, people) in [(RENAME, renamed), (INSERT, made)] {
        if people.is_empty() {
            continue;
        }
        let accounts = || people.iter().map(|(_, it)| &it.account);
        let claims = || people.iter().map(|(_, it)| &it.claims);
        query(sql)
            .bind(people.iter().map(|(user, _)| user.0).collect::<Vec<_>>())
            .bind(accounts().map(|it| &*it.email).collect::<Vec<_>>())
            .bind(accounts().map(|it| &*it.username).collect::<Vec<_>>())
            .bind(people.iter().map(|(user, it)| emails[&*it.account.email].1 != *user).collect::<Vec<_>>())
            .bind(people.iter().map(|(user, it)| names[&*it.account.username].1 != *user).collect::<Vec<_>>())
            .bind(claims().map(|it| it.email.claim.0.to_vec()).collect::<Vec<_>>())
            .bind(claims().map(|it| number(it.email.version)).collect::<Vec<_>>())
            .bind(claims().map(|it| it.username.claim.0.to_vec()).collect::<Vec<_>>())
            .bind(claims().map(|it| number(it.username.version)).collect::<Vec<_>>())
            .bind(accounts().map(|it| it.bio.as_deref()).collect::<Vec<_>>())
            .bind(accounts().map(|it| it.role.to_string()).collect::<Vec<_>>())
            .bind(accounts().map(|it| time(it.created_at)).collect::<Vec<_>>())
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}

fn newest<'a>(claims: impl Iterator<Item = (&'a str, (u64, UserId))>) -> Newest<'a> {
    let mut newest = Newest::new();
    for (text, claim) in claims {
        let best = newest.entry(text).or_insert(claim);
        *best = claim.max(*best);
    }
    newest
}

/// What changes without a name.
pub(super) async fn update(transaction: &mut PgConnection, all: &[(UserId, &Here)]) -> Result<(), Error> {
    if all.is_empty() {
        return Ok(());
    }
    query(
        "update users set bio = says, role = may from unnest($1::uuid[], $2::text[], $3::text[]) as u (account, says, may) \
         where id = account",
    )
    .bind(all.iter().map(|(user, _)| user.0).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, it)| it.account.bio.as_deref()).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, it)| it.account.role.to_string()).collect::<Vec<_>>())
    .execute(transaction)
    .await
    .map(drop)
}

pub(super) async fn write_credentials(transaction: &mut PgConnection, all: &[(UserId, &Here)]) -> Result<(), Error> {
    if all.is_empty() {
        return Ok(());
    }
    query(
        "insert into credentials (user_id, password, version) \
         select * from unnest($1::uuid[], $2::text[], $3::bigint[]) \
         on conflict (user_id) do update set password = excluded.password, version = excluded.version",
    )
    .bind(all.iter().map(|(user, _)| user.0).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, it)| it.account.password.as_str()).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, it)| number(it.account.password_version)).collect::<Vec<_>>())
    .execute(transaction)
    .await
    .map(drop)
}
