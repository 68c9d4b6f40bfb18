//! A command on its way to the owner of its key.

use crate::command::Command;
use events::{CommandId, Fingerprint, Key, Retention, Secrets, Timestamp, UserId};
use std::sync::Arc;
use tokio::time::Instant;
use uuid::Uuid;

/// The wall clock, injected, so that a simulation can turn it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The ids that follow from a key which a client chose: whoever asks the same under the same key, on any node and after
/// any restart, means the same command and the same thing that it creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyedIds {
    /// Of the command.
    pub command: CommandId,
    /// Of what it creates, if it creates something.
    pub created: Uuid,
}

impl KeyedIds {
    /// The ids of who asks, where, under which key.
    pub fn of(secrets: &Secrets, [who, place, key]: [&[u8]; 3]) -> Self {
        Self {
            command: CommandId(secrets.id(&[b"command", who, place, key])),
            created: secrets.id(&[b"created", who, place, key]),
        }
    }
}

/// A command with all that deciding it needs: time, ids and randomness come in with it, so deciding is deterministic.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command's id; sent again with the same id it takes effect at most once.
    pub id: CommandId,
    /// What it is about; says which partition decides.
    pub key: Key,
    /// What is asked.
    pub command: Command,
    /// On whose behalf; `None` for the system itself.
    pub actor: Option<UserId>,
    /// What it belongs to, as in [`events::Commit`].
    pub correlation: Uuid,
    /// What led to it.
    pub causation: Option<Uuid>,
    /// How long the id is remembered.
    pub retention: Retention,
    /// The MAC of what the client sent, if the client chose the id.
    pub fingerprint: Option<Fingerprint>,
    /// The command that this one undoes.
    pub undoes: Option<CommandId>,
    /// The sender's clock when it was made.
    pub time: Timestamp,
    /// Past it the command is not decided any more. At most [`crate::REQUEST_DEADLINE_MAX`] from now.
    pub deadline: Instant,
    /// Answer when the saga that the command starts has ended, rather than when it has begun.
    pub until_saga_ends: bool,
}

impl Request {
    /// A request of a client or of the system with nothing unusual about it.
    pub fn new(id: CommandId, key: Key, command: impl Into<Command>, time: Timestamp, deadline: Instant) -> Self {
        Self {
            id,
            key,
            command: command.into(),
            actor: None,
            correlation: id.0,
            causation: None,
            retention: Retention::Short,
            fingerprint: None,
            undoes: None,
            time,
            deadline,
            until_saga_ends: false,
        }
    }
}
