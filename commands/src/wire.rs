//! Requests and answers on their way between two nodes.
//!
//! A batch is a line that says which version it is of, and a line of JSON for each request; each answer is one line, with
//! the number of its request in the batch. Deadlines travel as the time that is left, since no two clocks agree. A node
//! of another version takes nothing: the asker is told so and asks again, until the upgrade is through.
//!
//! It is no format that is ever stored: what stands in the log is decided at the owner's.

use crate::answer::Answer;
use crate::command::Command;
use crate::request::Request;
use crate::router::REQUEST_DEADLINE_MAX;
use bytes::Bytes;
use events::{CommandId, Fingerprint, Key, Retention, Timestamp, UserId};
use journal::Partition;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Changed with every change of shape that an older node would misread.
const VERSION: u32 = 2;
/// The requests of a batch.
pub const BATCH_REQUESTS_MAX: usize = 256;
/// The bytes of a batch. One request fits in any case: its commit is smaller than this.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// Why a batch or an answer cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The other node is older or newer.
    #[error("the other node speaks version {0} of the protocol between nodes, this one {VERSION}")]
    Version(u32),
    /// More than [`BATCH_REQUESTS_MAX`] requests or [`BATCH_BYTES_MAX`] bytes.
    #[error("a batch of more than {BATCH_REQUESTS_MAX} requests or {BATCH_BYTES_MAX} bytes")]
    TooLarge,
    /// No batch or answer of ours.
    #[error("malformed: {0}")]
    Malformed(String),
}

#[derive(Serialize, Deserialize)]
struct Header {
    tidings: u32,
}

/// A request without its clock times.
#[derive(Serialize, Deserialize)]
struct Letter {
    partition: Partition,
    id: CommandId,
    key: String,
    command: Command,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<UserId>,
    correlation: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation: Option<Uuid>,
    retention: Retention,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<Fingerprint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undoes: Option<CommandId>,
    time: Timestamp,
    left_us: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    until_saga_ends: bool,
}

/// What came of a request at the other node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The owner's answer.
    Answer(Answer),
    /// The partition is not owned there; nothing was done.
    NotHere,
}

#[derive(Serialize, Deserialize)]
struct Frame {
    n: usize,
    reply: Reply,
}

/// A batch in the making.
#[derive(Default)]
pub(crate) struct BatchWriter {
    bytes: Vec<u8>,
    requests: usize,
}

impl BatchWriter {
    /// Takes the request, or leaves it for the next batch if it does not fit any more.
    pub(crate) fn push(&mut self, partition: Partition, request: &Request) -> bool {
        if self.requests == BATCH_REQUESTS_MAX {
            return false;
        }
        let before = self.bytes.len();
        if self.requests == 0 {
            write_line(&mut self.bytes, &Header { tidings: VERSION });
        }
        write_line(&mut self.bytes, &Letter::of(partition, request));
        if self.bytes.len() > BATCH_BYTES_MAX && self.requests > 0 {
            self.bytes.truncate(before);
            return false;
        }
        self.requests += 1;
        true
    }

    pub(crate) fn finish(self) -> Bytes {
        self.bytes.into()
    }
}

/// A batch of these requests. [`WireError::TooLarge`] if they are too many or too long for one.
pub fn write_batch<'a>(requests: impl IntoIterator<Item = (Partition, &'a Request)>) -> Result<Bytes, WireError> {
    let mut batch = BatchWriter::default();
    for (partition, request) in requests {
        if !batch.push(partition, request) {
            return Err(WireError::TooLarge);
        }
    }
    Ok(batch.finish())
}

fn write_line(bytes: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *bytes, line).expect("a request is plain data");
    bytes.push(b'\n');
}

/// The requests of a batch, in order, each with its partition.
pub fn read_batch(bytes: &[u8]) -> Result<Vec<(Partition, Request)>, WireError> {
    if bytes.len() > BATCH_BYTES_MAX {
        return Err(WireError::TooLarge);
    }
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let header: Header = parse(lines.next().unwrap_or_default())?;
    if header.tidings != VERSION {
        return Err(WireError::Version(header.tidings));
    }
    let mut requests = Vec::new();
    for line in lines {
        if requests.len() == BATCH_REQUESTS_MAX {
            return Err(WireError::TooLarge);
        }
        requests.push(parse::<Letter>(line)?.open()?);
    }
    Ok(requests)
}

/// The line of the answer to the n-th request of a batch, without its end.
pub fn write_reply(n: usize, reply: Reply) -> Bytes {
    serde_json::to_vec(&Frame { n, reply }).expect("an answer is plain data").into()
}

/// The number of a request in its batch, and what came of it.
pub fn read_reply(line: &[u8]) -> Result<(usize, Reply), WireError> {
    parse::<Frame>(line).map(|frame| (frame.n, frame.reply))
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, WireError> {
    serde_json::from_slice(line).map_err(|error| WireError::Malformed(error.to_string()))
}

impl Letter {
    fn of(partition: Partition, request: &Request) -> Self {
        // Without a rest, so that a new field of a request cannot be left behind.
        let Request {
            id,
            key,
            command,
            actor,
            correlation,
            causation,
            retention,
            fingerprint,
            undoes,
            time,
            deadline,
            until_saga_ends,
        } = request;
        let left = deadline.saturating_duration_since(Instant::now());
        Self {
            partition,
            id: *id,
            key: key.to_string(),
            command: command.clone(),
            actor: *actor,
            correlation: *correlation,
            causation: *causation,
            retention: *retention,
            fingerprint: *fingerprint,
            undoes: *undoes,
            time: *time,
            left_us: u64::try_from(left.as_micros()).unwrap_or(u64::MAX),
            until_saga_ends: *until_saga_ends,
        }
    }

    fn open(self) -> Result<(Partition, Request), WireError> {
        let key: Key = self.key.parse().map_err(|error| WireError::Malformed(format!("{error}")))?;
        let left = Duration::from_micros(self.left_us).min(REQUEST_DEADLINE_MAX);
        let request = Request {
            id: self.id,
            key,
            command: self.command,
            actor: self.actor,
            correlation: self.correlation,
            causation: self.causation,
            retention: self.retention,
            fingerprint: self.fingerprint,
            undoes: self.undoes,
            time: self.time,
            deadline: Instant::now() + left,
            until_saga_ends: self.until_saga_ends,
        };
        Ok((self.partition, request))
    }
}
