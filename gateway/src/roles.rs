//! What a node does of all that is to be done.

use crate::config::Config;
use anyhow::{Result, ensure};
use clap::ValueEnum;
use std::fmt;

/// Something that a node can do. Where nothing is said each does everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Role {
    /// Serves the API.
    Gateway,
    /// Decides commands and carries out sagas, for the partitions that it is assigned.
    Owner,
    /// Feeds the read models in servers, from the partitions that it is assigned.
    Projections,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Owner, Self::Projections];
}

/// What one node does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roles {
    pub(crate) gateway: bool,
    pub(crate) owner: bool,
    pub(crate) projections: bool,
}

impl Roles {
    pub(crate) fn of(config: &Config) -> Self {
        let [gateway, owner, projections] = Role::ALL.map(|role| config.roles.contains(&role));
        Self { gateway, owner, projections }
    }

    /// Nodes that do different things meet in the log and in servers, and in nothing else: what only some of them had in
    /// memory nobody else would wait for.
    pub(crate) fn check(config: &Config) -> Result<()> {
        let Self { gateway, owner, projections } = Self::of(config);
        if gateway && owner && projections {
            return Ok(());
        }
        ensure!(
            config.store.is_shared(),
            "--roles names only some of them, but KAFKA_BROKERS is not set: a log in the data directory has one node, \
             which does everything"
        );
        if let Some(missing) = config.read_models.missing() {
            anyhow::bail!(
                "--roles names only some of them, but {missing} is not set: nodes that do different things share all \
                 read models, in PostgreSQL, MongoDB and Redis"
            );
        }
        Ok(())
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(self.gateway, "gateway"), (self.owner, "owner"), (self.projections, "projections")];
        let named = names.into_iter().filter_map(|(is_one, name)| is_one.then_some(name)).collect::<Vec<_>>();
        f.write_str(&named.join(", "))
    }
}
