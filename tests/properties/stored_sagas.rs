//! Sagas in PostgreSQL under real runners: what stands in the tables that people query, and what goes from all of them.

use crate::feeding::Feeding;
use crate::history::{post, saga, user};
use crate::log::MemoryLog;
use events::{
    Event, Key, SagaCompleted, SagaData, SagaEvent, SagaStarted, Step, StepCompleted, StepRequested, StepRetried,
    Timestamp, UserKeyDestroyed,
};
use journal::Position;
use projections::postgres::Database;
use projections::{PostgresSagas, Sagas};
use sqlx::{Connection, PgConnection, Row, query};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidings_tests::services::Services;

const RESERVE: Step = Step::named("RESERVE_FEED_SLOT");
const COMMIT: Step = Step::named("COMMIT_FEED_SLOT");
const TABLES: [&str; 5] = ["sagas", "saga_events", "event_outbox", "user_saga_log", "post_saga_log"];

/// A node that feeds sagas.
struct Node {
    feeding: Feeding,
    url: String,
    sagas: PostgresSagas,
}

impl Node {
    async fn start(services: &Services) -> Self {
        let url = services.fresh_database_url();
        Database::migrate(&url).await.unwrap();
        let database = Database::open(&url).await.unwrap();
        let plan = |_: &SagaData| vec![RESERVE, COMMIT];
        let fed = PostgresSagas::planned(database.clone(), Arc::new(plan));
        let feeding = Feeding::over(MemoryLog::new(1), Arc::new(fed));
        Self { feeding, url, sagas: PostgresSagas::new(database) }
    }

    fn tell(&self, key: Key, events: Vec<SagaEvent>) -> Position {
        self.feeding.log.append(key, Timestamp(7), Some(user(1)), events.into_iter().map(Event::Saga).collect())
    }

    /// The only row that a query finds, as text.
    async fn row(&self, sql: &'static str) -> Option<String> {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let rows = query(sql).fetch_all(&mut connection).await.unwrap();
        assert!(rows.len() < 2, "{sql}");
        rows.first().map(|row| row.try_get(0).unwrap())
    }

    async fn is_empty(&self, table: &str) -> bool {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let sql = sqlx::AssertSqlSafe(format!("select from {table}"));
        query(sql).fetch_all(&mut connection).await.unwrap().is_empty()
    }
}

#[tokio::test]
async fn the_tables_say_where_a_post_in_creation_stands_and_are_empty_when_its_author_is_gone() {
    let Some(services) = Services::from_env() else { return };
    let node = Node::start(&services).await;
    let (key, saga) = (Key::Post(post(1)), saga(1));
    let data = SagaData::new("POST_CREATION", &BTreeMap::<String, String>::new());
    let requested = |step, due| StepRequested { saga, step, compensation: false, due: Timestamp(due) };
    let begun = vec![SagaStarted { saga, data: data.clone() }.into(), requested(RESERVE, 8).into()];
    node.feeding.pass(node.tell(key, begun)).await.unwrap();
    let steps = "select steps::text from sagas where type = 'POST_CREATION' and status = 'RUNNING'";
    assert_eq!(node.row(steps).await.as_deref(), Some(r#"{"FEED_UPDATED": false, "POST_CREATED": false}"#));
    let waiting = "select event_type || ' ' || retry_count from event_outbox";
    assert_eq!(node.row(waiting).await.as_deref(), Some("RESERVE_FEED_SLOT 0"));
    let reached = "select current_step from post_saga_log where compensation_data is not null";
    assert_eq!(node.row(reached).await.as_deref(), Some("POST_RESERVED"));

    let (due, error) = (Timestamp(9), "no answer".to_owned());
    let retried = StepRetried { saga, step: RESERVE, compensation: false, attempts: 2, due, error };
    node.feeding.pass(node.tell(key, vec![retried.into()])).await.unwrap();
    assert_eq!(node.row(waiting).await.as_deref(), Some("RESERVE_FEED_SLOT 2"));

    let done = StepCompleted { saga, step: RESERVE, version: None };
    node.feeding.pass(node.tell(key, vec![done.into(), requested(COMMIT, 9).into()])).await.unwrap();
    assert_eq!(node.row(steps).await.as_deref(), Some(r#"{"FEED_UPDATED": false, "POST_CREATED": true}"#));
    assert_eq!(node.row(waiting).await.as_deref(), Some("COMMIT_FEED_SLOT 0"));
    assert_eq!(node.row(reached).await.as_deref(), Some("FEED_RESERVED"));

    let done = StepCompleted { saga, step: COMMIT, version: None };
    node.feeding.pass(node.tell(key, vec![done.into(), SagaCompleted { saga }.into()])).await.unwrap();
    assert!(node.is_empty("event_outbox").await);
    let ended = "select current_step from post_saga_log where compensation_data is null";
    assert_eq!(node.row(ended).await.as_deref(), Some("FEED_UPDATED"));

    let own = SagaStarted {
        saga: crate::history::saga(2),
        data: SagaData::new("ERRAND", &BTreeMap::<String, String>::new()),
    };
    let ended = SagaCompleted { saga: crate::history::saga(2) };
    node.feeding.pass(node.tell(Key::User(user(1)), vec![own.into(), ended.into()])).await.unwrap();
    let log = "select compensation_status from user_saga_log";
    assert_eq!(node.row(log).await.as_deref(), Some("COMPLETED"));

    let gone = Event::from(UserKeyDestroyed { user: user(1) });
    let gone = node.feeding.log.append(Key::User(user(1)), Timestamp(8), Some(user(1)), vec![gone]);
    node.feeding.pass(gone).await.unwrap();
    for table in TABLES {
        assert!(node.is_empty(table).await, "{table}");
    }
    assert_eq!(node.sagas.saga(saga).await.unwrap(), None);
}
