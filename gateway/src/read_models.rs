//! Where each read model lives: in a server that all nodes share if one is configured for it, else in this node's memory.

mod apart;
#[cfg_attr(not(feature = "servers"), path = "read_models/no_servers.rs")]
mod servers;

use crate::config::ReadModelsConfig;
use crate::rate_limits::SharedWindows;
use anyhow::{Context, Result};
pub use apart::apart;
use events::Keyring;
use journal::Journal;
use projections::sagas::Plan;
use projections::{Feed, Notifications, Posts, ReadModel, Sagas, Sessions, Users};
use servers::{Database, Keyspace, MongoDb};
pub use servers::{delete, migrate};
use std::fmt;
use std::sync::Arc;

/// The read models that are in servers.
#[derive(Default)]
pub(crate) struct SharedModels {
    pub(crate) users: Option<Arc<dyn Users>>,
    pub(crate) posts: Option<Arc<dyn Posts>>,
    /// Once they are [bound](Self::bind).
    pub(crate) sagas: Option<Arc<dyn Sagas>>,
    /// Once they are [bound](Self::bind).
    pub(crate) notifications: Option<Arc<dyn Notifications>>,
    pub(crate) sessions: Option<Arc<dyn Sessions>>,
    pub(crate) feed: Option<Arc<dyn Feed>>,
    /// For others to look at: nothing here asks them.
    saga_keys: Option<Arc<dyn ReadModel>>,
    database: Option<Database>,
    mongodb: Option<MongoDb>,
    keyspace: Option<Keyspace>,
    /// The windows in which all nodes count together what anybody may ask for, beside the sessions.
    pub(crate) windows: Option<Arc<SharedWindows>>,
}

impl SharedModels {
    /// Opens what the configuration names. A server that does not answer is waited for, by whoever needs it; one that will
    /// never do is an error.
    pub(crate) async fn open(config: &ReadModelsConfig) -> Result<Self> {
        let mut shared = Self::default();
        if let Some(url) = config.database_url()? {
            servers::open_database(&mut shared, &url).await?;
        }
        if let Some(url) = config.mongodb_url()? {
            shared.mongodb = Some(servers::open_mongodb(&url).await?);
        }
        if let Some(url) = config.redis_url()? {
            servers::open_keyspace(&mut shared, &url).await?;
        }
        Ok(shared)
    }

    /// Measures the connections to servers as they are now. To Redis there is one, which all share.
    pub(crate) fn measure(&self) {
        let to_databases = self.database.iter().flat_map(servers::pools);
        to_databases.chain(self.mongodb.iter().map(servers::mongodb_pool)).for_each(|pool| pool.show());
    }

    /// Says which log they are built from, which keyring belongs to it, and what sagas are to do. A server that holds those of
    /// another log is an error.
    pub(crate) async fn bind(&mut self, journal: &dyn Journal, keyring: &Arc<dyn Keyring>, plan: Plan) -> Result<()> {
        let log = journal.log();
        if let Some(database) = &self.database {
            database.bind(log).await.context("the read models' PostgreSQL database")?;
            self.sagas = Some(servers::sagas(database, plan));
        }
        if let Some(keyspace) = &self.keyspace {
            keyspace.bind(log, journal.partitions()).await.context("the read models' Redis")?;
        }
        if let Some(database) = &self.mongodb {
            database.bind(log).await.context("the read models' MongoDB database")?;
            self.notifications = Some(servers::notifications(database, keyring));
        }
        Ok(())
    }

    /// All of them, to be fed, by server.
    pub(crate) fn all(&self) -> Vec<Vec<Arc<dyn ReadModel>>> {
        let users = self.users.iter().map(|users| Arc::clone(users) as _);
        let posts = self.posts.iter().map(|posts| Arc::clone(posts) as _);
        let in_postgres = users.chain(posts).chain(self.sagas.iter().map(|sagas| Arc::clone(sagas) as _)).collect();
        let in_mongodb = self.notifications.iter().map(|notifications| Arc::clone(notifications) as _).collect();
        let sessions = self.sessions.iter().map(|sessions| Arc::clone(sessions) as _);
        let feed = self.feed.iter().map(|feed| Arc::clone(feed) as _);
        let in_redis = sessions.chain(feed).chain(self.saga_keys.clone()).collect();
        vec![in_postgres, in_mongodb, in_redis]
    }
}

impl fmt::Display for SharedModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let people = self
            .database
            .as_ref()
            .map(|it| format!("users, posts and sagas in the PostgreSQL database {}", it.place()));
        let notifications =
            self.mongodb.as_ref().map(|it| format!("notifications in the MongoDB database {}", it.place()));
        let sessions =
            self.keyspace.as_ref().map(|it| format!("sessions, feeds and keys of sagas in the Redis {}", it.place()));
        let placed = people.into_iter().chain(notifications).chain(sessions).collect::<Vec<_>>();
        match placed.is_empty() {
            true => f.write_str("all of them in memory"),
            false => write!(f, "{}, all others in memory", placed.join(", ")),
        }
    }
}
