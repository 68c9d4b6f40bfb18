//! A place of its own on a server for each measurement.

use super::Servers;
use anyhow::{Context, Result};
use events::Keyring;
use journal::Journal;
use projections::{
    MongoNotifications, PostgresPosts, PostgresSagas, PostgresUsers, ReadModel, RedisFeed, RedisSagaKeys,
    RedisSessions, mongodb, postgres, redis,
};
use std::sync::Arc;

/// What read models are fed, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    Users,
    Posts,
    /// Users, posts and sagas.
    Postgres,
    /// Notifications.
    MongoDb,
    Feeds,
    /// Sessions, feeds and the keys of sagas.
    Redis,
}

impl Which {
    /// What a server keeps.
    pub(super) const SERVERS: [Self; 3] = [Self::Postgres, Self::MongoDb, Self::Redis];

    pub(super) fn server(self) -> &'static str {
        match self {
            Self::Users | Self::Posts | Self::Postgres => "PostgreSQL",
            Self::MongoDb => "MongoDB",
            Self::Feeds | Self::Redis => "Redis",
        }
    }

    /// Where a server that is started looks for its URL.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Users | Self::Posts | Self::Postgres => "DATABASE_URL",
            Self::MongoDb => "MONGODB_URL",
            Self::Feeds | Self::Redis => "REDIS_URL",
        }
    }

    fn url(self, servers: &Servers) -> &str {
        match self {
            Self::Users | Self::Posts | Self::Postgres => &servers.database,
            Self::MongoDb => &servers.mongodb,
            Self::Feeds | Self::Redis => &servers.redis,
        }
    }
}

/// Nothing is in it, until it is deleted.
pub(super) struct Place {
    which: Which,
    url: String,
}

impl Place {
    pub(super) async fn new(servers: &Servers, which: Which) -> Result<Self> {
        let url = gateway::apart(which.url(servers), "bench")?;
        gateway::migrate(&url).await?;
        Ok(Self { which, url })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The read models in it, of this log.
    pub(super) async fn models(
        &self,
        journal: &dyn Journal,
        keyring: &Arc<dyn Keyring>,
    ) -> Result<Vec<Arc<dyn ReadModel>>> {
        Ok(match self.which {
            Which::MongoDb => {
                let database = mongodb::Database::open(&self.url).await?;
                database.bind(journal.log()).await?;
                vec![Arc::new(MongoNotifications::new(database, Arc::clone(keyring)))]
            }
            Which::Feeds | Which::Redis => {
                let keys = redis::Keyspace::open(&self.url).await?;
                keys.bind(journal.log(), journal.partitions()).await?;
                match self.which {
                    Which::Feeds => vec![Arc::new(RedisFeed::new(keys))],
                    _ => vec![
                        Arc::new(RedisSessions::new(keys.clone())),
                        Arc::new(RedisFeed::new(keys.clone())),
                        Arc::new(RedisSagaKeys::new(keys)),
                    ],
                }
            }
            Which::Users | Which::Posts | Which::Postgres => {
                let database = postgres::Database::open(&self.url).await?;
                database.bind(journal.log()).await?;
                let users = || Arc::new(PostgresUsers::new(database.clone()));
                let posts = || Arc::new(PostgresPosts::new(database.clone()));
                match self.which {
                    Which::Users => vec![users()],
                    Which::Posts => vec![posts()],
                    _ => vec![users(), posts(), Arc::new(PostgresSagas::new(database.clone()))],
                }
            }
        })
    }

    pub(super) async fn delete(self) -> Result<()> {
        gateway::delete_read_models(&self.url)
            .await
            .with_context(|| format!("deleting what was put in {}", self.which.server()))
    }
}
