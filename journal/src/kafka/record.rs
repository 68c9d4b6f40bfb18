//! A record of ours as Kafka has it: key and value are the record's own, so that any Kafka tool can read them; what the
//! chain needs stands in one header.

use crate::chain::Head;
use crate::error::JournalError;
use crate::partition::{Offset, Partition, Position};
use crate::record::{Draft, Kind, Record};
use bytes::Bytes;
use events::Incarnation;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use uuid::Uuid;

/// The header's name. Its value: a version, the kind, the incarnation, the chain of the record that this one extends,
/// and its own chain.
const HEADER: &str = "tidings";
const VERSION: u8 = 1;
const LENGTH: usize = 1 + 1 + 16 + 32 + 32;

pub(super) fn headers(draft: &Draft) -> OwnedHeaders {
    let mut value = [0; LENGTH];
    value[0] = VERSION;
    value[1] = draft.kind.code();
    value[2..18].copy_from_slice(draft.incarnation.0.as_bytes());
    value[18..50].copy_from_slice(&draft.prev.0);
    value[50..].copy_from_slice(&draft.chain.0);
    OwnedHeaders::new_with_capacity(1).insert(Header { key: HEADER, value: Some(&value[..]) })
}

/// The record in a message. [`JournalError::Damaged`] for what nobody of us can have written there.
pub(super) fn decode(message: &BorrowedMessage<'_>) -> Result<Record, JournalError> {
    let partition = Partition(u32::try_from(message.partition()).unwrap_or_default());
    let offset = Offset::try_from(message.offset()).unwrap_or_default();
    let damaged = |what: &str| JournalError::Damaged {
        position: Position { partition, offset },
        what: format!("{what}: something else than Tidings writes into the topic"),
    };
    let header = message.headers().and_then(|headers| headers.iter().find(|header| header.key == HEADER));
    let header = header.and_then(|header| header.value).ok_or_else(|| damaged("a record without a header of ours"))?;
    let header: &[u8; LENGTH] = header.try_into().map_err(|_| damaged("a header of another length"))?;
    if header[0] != VERSION {
        return Err(damaged(&format!("a header of version {}", header[0])));
    }
    let kind = Kind::of_code(header[1]).ok_or_else(|| damaged("a kind of record that is not known"))?;
    let head = |from: usize| Head(header[from..from + 32].try_into().expect("within the length"));
    let incarnation = Incarnation(Uuid::from_slice(&header[2..18]).expect("16 bytes"));
    let field = |bytes: Option<&[u8]>| Bytes::copy_from_slice(bytes.unwrap_or_default());
    let (key, value) = (field(message.key()), field(message.payload()));
    Ok(Draft { kind, incarnation, key, value, prev: head(18), chain: head(50) }.at(offset))
}
