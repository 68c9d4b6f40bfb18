//! One decision is one record: the commit, with all events of the decision, so a decision is atomic by construction.

use crate::{CommandId, Event, Fingerprint, Incarnation, Timestamp, UserId, WireError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long a partition remembers that it has carried out a command, by commit time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// Ids that a client chose or that a saga derives: 7 days.
    Long,
    /// Ids that the gateway generated for one request: 2 minutes, which is longer than any request is sent again.
    Short,
}

/// A decision, as it stands in the value of a record.
///
/// At most [`Commit::ENCODED_MAX`] bytes when encoded; the owner refuses what would be longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The command that was carried out.
    pub command: CommandId,
    /// Counts the commits of the partition, from 0, in the order in which they were decided.
    pub ordinal: u64,
    /// The tenure in which it was decided; the same as the record's.
    pub incarnation: Incarnation,
    /// When; never before the commit that precedes it in the partition.
    pub time: Timestamp,
    /// On whose behalf; `None` for the system itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<UserId>,
    /// The request that all this belongs to, through all sagas that it began: the id of its trace.
    pub correlation: Uuid,
    /// What led to this command: the saga's id for a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<Uuid>,
    /// How long the command's id is remembered.
    pub retention: Retention,
    /// The MAC of the request, if a client chose the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// The command that this one undoes and that is refused from here on, should it come later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<CommandId>,
    /// What happened: at least one event.
    pub events: Vec<Event>,
}

impl Commit {
    /// The longest encoded commit, in bytes.
    pub const ENCODED_MAX: usize = 512 * 1024;

    /// The record's value.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a commit is plain data")
    }

    /// Reads a record's value. [`WireError::UnknownEvent`] says that the writer is newer than this reader.
    pub fn decode(value: &[u8]) -> Result<Self, WireError> {
        // Checked as UTF-8 once: a parser of bytes would check each string by itself, which is a tenth of a replay.
        let text = std::str::from_utf8(value).map_err(|error| WireError::Malformed(error.to_string()))?;
        serde_json::from_str(text).map_err(|error| WireError::of(value, &error))
    }
}
