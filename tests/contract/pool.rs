//! Connections to PostgreSQL that go from hand to hand: what is given up on one, and what has fallen silent.

use pool::{IDLE_UNTESTED_MAX, Pool};
use sqlx::postgres::PgConnectOptions;
use sqlx::{query_scalar, raw_sql};
use std::str::FromStr;
use std::time::Duration;
use tidings_tests::proxy::Proxy;
use tidings_tests::services::Services;
use tidings_tests::steps::in_steps;
use tokio::time::{sleep, timeout};

const CONNECTIONS_MAX: u32 = 2;
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// At so many points at most a question is given up.
const POINTS_MAX: usize = 1_000;
/// How long one waits who soon gives up.
const PATIENCE: Duration = Duration::from_millis(50);

fn to(url: &str) -> Pool {
    Pool::new(PgConnectOptions::from_str(url).unwrap(), CONNECTIONS_MAX, CONNECT_MAX)
}

/// What the server says to a number, after a moment: the number.
async fn ask(pool: &Pool, number: i64) -> i64 {
    query_scalar("select $1 from pg_sleep(0.002)").bind(number).fetch_one(pool).await.unwrap()
}

/// Has as many connections open as there may be.
async fn open_all(pool: &Pool) {
    let (one, other) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    one.give_back();
    other.give_back();
    assert_eq!(pool.in_use().open, CONNECTIONS_MAX);
}

#[tokio::test]
async fn nobody_hears_what_somebody_has_asked_who_gave_up() {
    let Some(services) = Services::from_env() else { return };
    let pool = to(&services.fresh_keyring());
    let mut given_up = 0;
    for n in 0..20 {
        for steps in 1..=POINTS_MAX {
            ask(&pool, 0).await;
            if let Some(answer) = in_steps(steps, ask(&pool, n)).await {
                assert_eq!(answer, n);
                break;
            }
            assert_eq!(ask(&pool, -n).await, -n, "after {n} was given up in {steps} steps");
            given_up += 1;
        }
    }
    assert!(given_up >= 20, "only {given_up} were given up");
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_taken_back_at_once() {
    let Some(services) = Services::from_env() else { return };
    let pool = to(&services.fresh_database_url());
    let name = format!("dropped_{}", uuid::Uuid::new_v4().simple());
    let make = |what: &str| sqlx::AssertSqlSafe(format!("create table public.{name} ({what} int)"));
    let mut transaction = pool.begin("begin").await.unwrap();
    raw_sql(make("a")).execute(&mut *transaction).await.unwrap();
    drop(transaction);
    // This waits for whoever makes the same, and is refused if that one goes through.
    let mut transaction = pool.begin("begin").await.unwrap();
    raw_sql(make("b")).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(pool.in_use().open, 1, "the other one is closed");
    let drop = sqlx::AssertSqlSafe(format!("drop table public.{name}"));
    raw_sql(drop).execute(&pool).await.unwrap();
}

#[tokio::test]
async fn connections_that_have_fallen_silent_are_replaced() {
    let Some(services) = Services::from_env() else { return };
    let (link, url) = Proxy::before(&services.fresh_keyring()).await.unwrap();
    let pool = to(&url);
    open_all(&pool).await;
    link.forget();
    for n in 0..CONNECTIONS_MAX {
        assert!(timeout(PATIENCE, ask(&pool, 1)).await.is_err(), "connection {n} is silent");
    }
    assert_eq!(ask(&pool, 2).await, 2);

    // What falls silent while nobody uses it is noticed before anybody does.
    open_all(&pool).await;
    link.forget();
    sleep(IDLE_UNTESTED_MAX).await;
    assert_eq!(ask(&pool, 3).await, 3);
}
