//! The keyring in PostgreSQL under the contract, and what only one that several nodes share can get wrong.

use async_trait::async_trait;
use events::{ACCESS_TOKEN_LIFE, KeyId, Keyring, KeyringError, STALENESS_MAX, Timestamp};
use journal::postgres::{LogBinding, PostgresKeyring};
use journal::{Anchor, Head, Partition};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tidings_tests::journal_contract::keyring::KeyringUnderTest;
use tidings_tests::journal_contract::{Possible, UnderTest};
use tidings_tests::services::Services;
use tokio::time::sleep;
use uuid::Uuid;

/// A keyring in a database of its own.
pub(crate) struct PostgresUnderTest {
    url: String,
    keyring: Arc<PostgresKeyring>,
}

impl UnderTest for PostgresUnderTest {
    fn is_available() -> bool {
        Services::from_env().is_some()
    }
}

#[async_trait]
impl KeyringUnderTest for PostgresUnderTest {
    async fn create() -> Self {
        let url = Services::from_env().unwrap().fresh_keyring();
        let keyring = Arc::new(PostgresKeyring::open(&url).await.unwrap());
        Self { url, keyring }
    }

    fn keyring(&self) -> Arc<dyn Keyring> {
        Arc::clone(&self.keyring) as _
    }

    async fn reopen(self) -> Possible<Self> {
        drop(self.keyring);
        let keyring = Arc::new(PostgresKeyring::open(&self.url).await.unwrap());
        Possible::Done(Self { url: self.url, keyring })
    }
}

fn id(n: u128) -> KeyId {
    KeyId(Uuid::from_u128(n))
}

/// Two nodes, opened at the same moment over an empty database.
async fn two_nodes() -> Option<[PostgresKeyring; 2]> {
    let url = Services::from_env()?.fresh_keyring();
    let (one, two) = tokio::join!(PostgresKeyring::open(&url), PostgresKeyring::open(&url));
    Some([one.unwrap(), two.unwrap()])
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_open_it_at_once_have_the_same_secrets_and_the_same_log() {
    let Some([one, two]) = two_nodes().await else { return };
    assert_eq!(one.secrets().claim("email", "a@b"), two.secrets().claim("email", "a@b"));
    assert_eq!(one.secrets().signing_seed(0), two.secrets().signing_seed(0));
    assert_eq!(one.log(), two.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_will_never_do_is_refused_by_name_not_waited_for() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_keyring();
    let (user, rest) = url.split_once('@').unwrap();
    let scheme = user.rsplit_once(':').unwrap().0;
    for (url, named) in [
        (format!("{scheme}:wrong-secret@{rest}"), "password"),
        (format!("{}/no_such_database", url.rsplit_once('/').unwrap().0), "no_such_database"),
        (format!("{url}&options[no_such_setting]=1"), "no_such_setting"),
        ("mysql://localhost/keyring".to_owned(), "postgres://"),
        ("nonsense".to_owned(), "postgres://"),
    ] {
        let error = PostgresKeyring::open(&url).await.err().unwrap();
        let text = error.to_string();
        assert!(matches!(error, KeyringError::Unusable(_)) && text.contains(named), "{named}: {text}");
        assert!(!text.contains("wrong-secret"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_race_for_a_key_get_the_same_one() {
    let Some(nodes) = two_nodes().await else { return };
    for n in 0..50 {
        let (one, two) = tokio::join!(nodes[0].create(id(n)), nodes[1].create(id(n)));
        assert_eq!(one.unwrap().mac(&[b"mark"]), two.unwrap().mac(&[b"mark"]), "key {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_destroyed_on_one_node_opens_nothing_on_the_other_after_a_moment() {
    let Some([one, two]) = two_nodes().await else { return };
    one.create(id(1)).await.unwrap();
    assert!(two.find(id(1)).await.unwrap().is_some());
    one.destroy(id(1)).await.unwrap();
    assert!(one.find(id(1)).await.unwrap().is_none(), "at once where it was destroyed");
    sleep(STALENESS_MAX).await;
    assert!(two.find(id(1)).await.unwrap().is_none());
    assert!(matches!(two.create(id(1)).await, Err(KeyringError::Destroyed(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_signing_key_is_known_to_every_node_before_it_signs() {
    let Some([one, two]) = two_nodes().await else { return };
    let rotated = one.rotate_signing_key().await.unwrap();
    while two.signing_keys().unwrap() != rotated {
        assert_eq!(rotated.signing_at(Timestamp::now()).generation, 0, "the other node has not heard of it");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(rotated.is_good(1, Timestamp::now(), ACCESS_TOKEN_LIFE), "it verifies at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_belongs_to_one_log_on_one_cluster() {
    let Some([one, two]) = two_nodes().await else { return };
    let bound = LogBinding { cluster: "c".to_owned(), topic: "t".to_owned(), partitions: 8 };
    assert_eq!(one.binding().await.unwrap(), None);
    one.bind(&bound).await.unwrap();
    two.bind(&bound).await.unwrap();
    assert_eq!(two.binding().await.unwrap(), Some(bound.clone()));
    for other in [
        LogBinding { cluster: "other".to_owned(), ..bound.clone() },
        LogBinding { topic: "other".to_owned(), ..bound.clone() },
        LogBinding { partitions: 16, ..bound },
    ] {
        let error = two.bind(&other).await.unwrap_err().to_string();
        assert!(error.contains("belongs to the log"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_only_moves_forward_unless_a_loss_is_accepted() {
    let Some([one, two]) = two_nodes().await else { return };
    let anchor = |count| (Partition(3), Anchor { count, head: Head([u8::try_from(count).unwrap(); 32]) });
    one.note_anchors(&[anchor(5), (Partition(0), anchor(1).1)]).await.unwrap();
    two.note_anchors(&[anchor(4)]).await.unwrap();
    let mut noted = two.anchors().await.unwrap();
    noted.sort_by_key(|(partition, _)| *partition);
    assert_eq!(noted, [(Partition(0), anchor(1).1), anchor(5)]);
    one.replace_anchors(&[anchor(2)]).await.unwrap();
    assert_eq!(two.anchors().await.unwrap(), [anchor(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_keyring_is_gone_and_another_one_can_be_made() {
    let Some(services) = Services::from_env() else { return };
    let (url, other) = (services.fresh_keyring(), services.fresh_keyring());
    let (keyring, kept) = (PostgresKeyring::open(&url).await.unwrap(), PostgresKeyring::open(&other).await.unwrap());
    let (log, kept) = (keyring.log(), kept.log());
    keyring.delete().await.unwrap();
    assert_ne!(PostgresKeyring::open(&url).await.unwrap().log(), log);
    assert_eq!(PostgresKeyring::open(&other).await.unwrap().log(), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_something_else_is_refused_and_left_as_it_was() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_keyring();
    let schema = url.rsplit_once('=').unwrap().1;
    let sql = |text: String| {
        let output = Command::new("psql").args([url.split('?').next().unwrap(), "-qtAc", &text]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    sql(format!("create schema {schema}; create table {schema}.keys (of_a_house text)"));
    let error = PostgresKeyring::open(&url).await.err().unwrap();
    assert!(matches!(&error, KeyringError::Damaged(text) if text.contains("of its own")), "{error}");
    let tables = sql(format!("select count(*) from information_schema.tables where table_schema = '{schema}'"));
    assert_eq!(tables.trim(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_is_unavailable_not_empty() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = PostgresKeyring::open(&format!("postgres://nobody@{gone}/nothing")).await.err().unwrap();
    assert!(matches!(error, KeyringError::Unavailable(_)), "{error}");
}
