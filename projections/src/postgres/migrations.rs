//! The schema in steps, each of which is applied once. A step only adds to what the program before knows (expand), or
//! takes away what it no longer needs (contract): so nodes of two versions work on one schema while they are exchanged.

use super::{OpenError, column, unavailable};
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{PgConnection, SqlSafeStr};
use std::collections::BTreeSet;

/// Number, what it is about, and what it does. Never change one that was released.
const STEPS: &[(i64, &str, &str)] = &[
    (1, "checkpoints", include_str!("../../../migrations/0001_checkpoints.sql")),
    (2, "posts", include_str!("../../../migrations/0002_posts.sql")),
    (3, "users", include_str!("../../../migrations/0003_users.sql")),
    (4, "sagas", include_str!("../../../migrations/0004_sagas.sql")),
    (5, "room", include_str!("../../../migrations/0005_room.sql")),
];
/// Where it is noted which steps were taken.
const TABLE: &str = "_sqlx_migrations";

fn migrator() -> Migrator {
    let step = |(version, about, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, (*about).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    Migrator::with_migrations(STEPS.iter().map(step).collect())
}

/// Takes the steps that are left. Returns how many these were.
pub(super) async fn run(connection: &mut PgConnection) -> Result<usize, OpenError> {
    let before = taken(connection).await?.len();
    let mut migrator = migrator();
    if let Some(schema) = missing_schema(connection).await? {
        migrator.create_schema(schema);
    }
    migrator.run(connection).await.map_err(failed)?;
    Ok(STEPS.len() - before.min(STEPS.len()))
}

/// The schema that the URL names, if there is none of that name.
async fn missing_schema(connection: &mut PgConnection) -> Result<Option<String>, OpenError> {
    let named = sqlx::query("select current_setting('search_path') as named where current_schema() is null");
    let named = named.fetch_optional(connection).await.map_err(unavailable)?;
    Ok(named.map(|row| column(&row, "named")).transpose()?)
}

/// That exactly the steps were taken that this program knows.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), OpenError> {
    let taken = taken(connection).await?;
    let known = STEPS.iter().map(|(version, ..)| *version).collect::<BTreeSet<_>>();
    if let Some(newer) = taken.difference(&known).next() {
        return Err(newer_than_known(*newer));
    }
    if let Some(missing) = known.difference(&taken).next() {
        let what = "the schema is not this program's yet";
        return Err(OpenError::Unusable(format!("{what}: step {missing} is missing. Run `tidings migrate`")));
    }
    Ok(())
}

async fn taken(connection: &mut PgConnection) -> Result<BTreeSet<i64>, OpenError> {
    let exists = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null");
    let exists: bool = exists.fetch_one(&mut *connection).await.map_err(unavailable)?;
    if !exists {
        return Ok(BTreeSet::new());
    }
    let applied = connection.list_applied_migrations(TABLE).await.map_err(failed)?;
    Ok(applied.into_iter().map(|step| step.version).collect())
}

fn newer_than_known(step: i64) -> OpenError {
    OpenError::Unusable(format!("the schema was made by a newer program: this one does not know its step {step}"))
}

fn failed(error: MigrateError) -> OpenError {
    match error {
        MigrateError::Execute(error) => unavailable(error).into(),
        MigrateError::VersionMissing(step) => newer_than_known(step),
        MigrateError::VersionMismatch(step) => {
            OpenError::Unusable(format!("step {step} of the schema is not the one that this program knows"))
        }
        error => OpenError::Unusable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn each_file_is_a_step_and_they_are_numbered_without_a_gap() {
        let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations")).unwrap();
        let mut files = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
        files.sort();
        let steps = (1..).zip(STEPS).map(|(n, (version, about, _))| {
            assert_eq!(*version, n);
            format!("{version:04}_{about}.sql")
        });
        assert_eq!(files, steps.collect::<Vec<_>>());
    }
}
