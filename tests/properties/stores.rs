//! One read model in each server, and a log for it.

use crate::answers::Models;
use crate::history::{Decision, append, histories};
use crate::log::{MemoryKeys, MemoryLog};
use crate::read_models::{PARTITIONS, Workers};
use projections::redis::Keyspace;
use projections::{MongoNotifications, PostgresPosts, RedisFeed, RedisSessions, mongodb, postgres};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::sync::Arc;
use tidings_tests::services::Services;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Store {
    Postgres,
    MongoDb,
    RedisSessions,
    RedisFeeds,
}

impl Store {
    pub(crate) const ALL: [Self; 4] = [Self::Postgres, Self::MongoDb, Self::RedisSessions, Self::RedisFeeds];

    /// Which of the models is there.
    pub(crate) fn model(self) -> usize {
        match self {
            Self::Postgres => 1,
            Self::RedisSessions => 2,
            Self::RedisFeeds => 3,
            Self::MongoDb => 5,
        }
    }

    /// A URL under which nothing is yet, made ready.
    pub(crate) async fn fresh(self, services: &Services) -> String {
        match self {
            Self::Postgres => {
                let url = services.fresh_database_url();
                postgres::Database::migrate(&url).await.unwrap();
                url
            }
            Self::MongoDb => {
                let url = services.fresh_mongodb_url();
                mongodb::Database::migrate(&url).await.unwrap();
                url
            }
            Self::RedisSessions | Self::RedisFeeds => services.fresh_redis_url(),
        }
    }

    /// One read model there, all others in memory and empty.
    pub(crate) async fn open(self, url: &str) -> Models {
        let others = Models::default();
        match self {
            Self::Postgres => {
                let posts = Arc::new(PostgresPosts::new(postgres::Database::open(url).await.unwrap()));
                Models { posts, ..others }
            }
            Self::MongoDb => {
                let database = mongodb::Database::open(url).await.unwrap();
                let notifications = Arc::new(MongoNotifications::new(database, Arc::new(MemoryKeys::default())));
                Models { notifications, ..others }
            }
            Self::RedisSessions | Self::RedisFeeds => {
                let keys = Keyspace::open(url).await.unwrap();
                keys.bind("in memory", PARTITIONS).await.unwrap();
                match self {
                    Self::RedisFeeds => Models { feed: Arc::new(RedisFeed::new(keys)), ..others },
                    _ => Models { sessions: Arc::new(RedisSessions::new(keys)), ..others },
                }
            }
        }
    }
}

/// The log of a seed, and workers over it.
pub(crate) fn workers(seed: u64, models: Models) -> Workers {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let history: Vec<Decision> = histories(300).new_tree(&mut runner).unwrap().current();
    let log = MemoryLog::new(PARTITIONS);
    for decision in &history {
        append(&log, decision);
    }
    Workers::new(&log, &MemoryKeys::default(), models, &[])
}
