//! Connections to PostgreSQL that go from hand to hand: what is given up on one, and what has fallen silent.

use futures::future::join_all;
use pool::{IDLE_UNTESTED_MAX, Limits, Pool, PoolUse};
use sqlx::postgres::PgConnectOptions;
use sqlx::{query_scalar, raw_sql};
use std::str::FromStr;
use std::time::Duration;
use tidings_tests::proxy::Proxy;
use tidings_tests::services::Services;
use tidings_tests::steps::in_steps;
use tokio::time::{sleep, timeout};

/// As a node has them.
const LIMITS: Limits = Limits { connections: 8, connect: Duration::from_secs(2), answer: Some(Duration::from_secs(5)) };
/// At so many points at most a question is given up.
const POINTS_MAX: usize = 1_000;
/// How long one waits who soon gives up.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long what was given up may keep its place.
const DONE_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(1);

fn to(url: &str) -> Pool {
    Pool::new(PgConnectOptions::from_str(url).unwrap(), LIMITS)
}

/// What the server says to a number, after a moment: the number.
async fn ask(pool: &Pool, number: i64) -> i64 {
    query_scalar("select $1 from pg_sleep(0.002)").bind(number).fetch_one(pool).await.unwrap()
}

/// Which session of the server it is whose turn is next.
async fn session(pool: &Pool) -> i32 {
    query_scalar("select pg_backend_pid()").fetch_one(pool).await.unwrap()
}

/// Waits until the server is done with what was given up, so that this holds.
async fn until(pool: &Pool, holds: impl Fn(PoolUse) -> bool) {
    let looks = async {
        while !holds(pool.in_use()) {
            sleep(LOOK).await;
        }
    };
    timeout(DONE_MAX, looks).await.unwrap_or_else(|_| panic!("still {pool:?}"));
}

/// Has as many connections open as there may be.
async fn open_all(pool: &Pool) {
    let all = join_all((0..LIMITS.connections).map(|_| pool.get())).await;
    all.into_iter().for_each(|connection| connection.unwrap().give_back());
    assert_eq!(pool.in_use().open, LIMITS.connections);
}

#[tokio::test]
async fn nobody_hears_what_somebody_has_asked_who_gave_up() {
    let Some(services) = Services::from_env() else { return };
    let pool = to(&services.fresh_keyring());
    let mut given_up = 0;
    for n in 0..20 {
        for steps in 1..=POINTS_MAX {
            let before = session(&pool).await;
            if let Some(answer) = in_steps(steps, ask(&pool, n)).await {
                assert_eq!(answer, n);
                break;
            }
            assert_eq!(ask(&pool, -n).await, -n, "after {n} was given up in {steps} steps");
            assert_ne!(session(&pool).await, before, "nobody hears of it any more");
            given_up += 1;
        }
    }
    assert!(given_up >= 20, "only {given_up} were given up");
}

#[tokio::test]
async fn who_gives_up_costs_nobody_else_a_connection() {
    let Some(services) = Services::from_env() else { return };
    let pool = to(&services.fresh_keyring());
    let mut given_up = 0;
    for steps in 1..=POINTS_MAX {
        open_all(&pool).await;
        if in_steps(steps, ask(&pool, 1)).await.is_some() {
            break;
        }
        until(&pool, |all| all.idle == all.open).await;
        assert!(pool.in_use().open >= LIMITS.connections - 1, "{pool:?} after {steps} steps");
        given_up += 1;
    }
    assert!(given_up > 0, "nobody gave up");
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_taken_back_at_once() {
    let Some(services) = Services::from_env() else { return };
    let pool = to(&services.fresh_database_url());
    let name = format!("dropped_{}", uuid::Uuid::new_v4().simple());
    let make = |what: &str| sqlx::AssertSqlSafe(format!("create table public.{name} ({what} int)"));
    let mut transaction = pool.begin("").await.unwrap();
    raw_sql(make("a")).execute(&mut *transaction).await.unwrap();
    drop(transaction);
    // This waits for whoever makes the same, and is refused if that one goes through.
    let mut transaction = pool.begin("").await.unwrap();
    raw_sql(make("b")).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
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
    let silent = join_all((0..LIMITS.connections).map(|_| timeout(PATIENCE, ask(&pool, 1)))).await;
    assert!(silent.iter().all(Result::is_err), "{silent:?}");
    assert_eq!(ask(&pool, 2).await, 2);

    // What falls silent while nobody uses it is noticed before anybody does.
    open_all(&pool).await;
    link.forget();
    sleep(IDLE_UNTESTED_MAX).await;
    assert_eq!(ask(&pool, 3).await, 3);
}

#[tokio::test]
async fn of_sessions_that_the_server_has_ended_only_one_is_met() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_keyring();
    let (pool, other) = (to(&url), to(&url));
    let all = join_all((0..LIMITS.connections).map(|_| pool.get())).await;
    let mut sessions = Vec::new();
    for connection in all {
        let mut connection = connection.unwrap();
        sessions.push(query_scalar::<_, i32>("select pg_backend_pid()").fetch_one(&mut *connection).await.unwrap());
        connection.give_back();
    }
    let ended =
        query_scalar("select count(*) filter (where pg_terminate_backend(it, 5000)) from unnest($1::int4[]) as it");
    let ended: i64 = ended.bind(&sessions).fetch_one(&other).await.unwrap();
    assert_eq!(ended, i64::from(LIMITS.connections));

    let mut met = 0;
    for _ in &sessions {
        if query_scalar::<_, i32>("select 1").fetch_one(&pool).await.is_err() {
            met += 1;
            until(&pool, |all| all.open < LIMITS.connections).await;
        }
    }
    assert!(met <= 1, "{met} of {sessions:?} were met");
}

#[tokio::test]
async fn a_session_is_durable_and_holds_nothing_for_long_whatever_it_was_told() {
    let Some(services) = Services::from_env() else { return };
    let lax = ["synchronous_commit", "statement_timeout", "client_connection_check_interval"].map(|it| (it, "0"));
    let told = PgConnectOptions::from_str(&services.fresh_keyring()).unwrap().options(lax);
    let pool = Pool::new(told, LIMITS);
    for (setting, wanted) in [
        ("synchronous_commit", "on"),
        ("statement_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("client_connection_check_interval", "1s"),
        ("application_name", "tidings"),
    ] {
        let is: String = query_scalar("select current_setting($1)").bind(setting).fetch_one(&pool).await.unwrap();
        assert_eq!(is, wanted, "{setting}");
    }
}
