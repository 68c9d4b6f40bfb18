//! The names under which events travel, their versions, and how an older version becomes the present one.
//!
//! On the wire an event is `{"type": "post.published", "version": 2, "data": {...}}`. Both lists below are the only
//! places that know names and versions. A reader that meets a type or a version that it does not know stops: readers are
//! deployed before writers.

use crate::{
    BioChanged, BlockEnded, BlockEvent, BlockStarted, ClaimConfirmed, ClaimEvent, ClaimReleased, ClaimReserved,
    CommentAdded, CommentDeleted, CommentEvent, EmailChanged, FeedSlotCommitted, FeedSlotEvent, FeedSlotReleased,
    FeedSlotReserved, FollowEnded, FollowEvent, FollowStarted, KeyId, LikeAdded, LikeEvent, LikeRemoved, MuteEnded,
    MuteEvent, MuteStarted, PasswordChanged, PostDeleted, PostDraftDropped, PostDraftPublished, PostDrafted,
    PostEdited, PostEvent, PostPublished, RoleChanged, SagaCompensated, SagaCompensating, SagaCompensationFailed,
    SagaCompensationOrdered, SagaCompleted, SagaEvent, SagaRetryOrdered, SagaStarted, SessionClosed, SessionEvent,
    SessionOpened, SessionRefreshed, StepAdvanced, StepCompleted, StepRefused, StepRequested, StepRetried, StepUndone,
    UserCreated, UserDisabled, UserEvent, UserKeyDestroyed, UsernameChanged,
};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Why a record's value could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The event is of a type or version that this program does not know: it is older than the writer.
    #[error("unknown event {name} version {version}: this program is older than the one that wrote it")]
    UnknownEvent {
        /// The event's wire name.
        name: String,
        /// Its version.
        version: u32,
    },
    /// The value is not a commit of ours.
    #[error("not a commit: {0}")]
    Malformed(String),
}

/// Every event type: wire name, current version, and where it belongs. A new event is one line here.
macro_rules! event_types {
    ($($name:literal $version:literal => $group:ident $family:ident $variant:ident $data:ident;)*) => {
        impl Event {
            /// All wire names with their current versions.
            pub const TYPES: &'static [(&'static str, u32)] = &[$(($name, $version)),*];

            /// The wire name and the version that is written.
            pub fn wire_name(&self) -> (&'static str, u32) {
                match self { $(Self::$group($family::$variant(_)) => ($name, $version),)* }
            }
        }

        impl Serialize for Event {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let (name, version) = self.wire_name();
                let mut fields = serializer.serialize_struct("Event", 3)?;
                fields.serialize_field("type", name)?;
                fields.serialize_field("version", &version)?;
                match self { $(Self::$group($family::$variant(data)) => fields.serialize_field("data", data)?,)* }
                fields.end()
            }
        }

        /// The event of a current version.
        fn decode<'de, D: Deserializer<'de>>(name: &str, version: u32, data: D) -> Result<Event, D::Error> {
            match (name, version) {
                $(($name, $version) => <$data>::deserialize(data).map(Event::from),)*
                _ => Err(D::Error::custom(unknown(name, version))),
            }
        }

        $(impl From<$data> for Event {
            fn from(data: $data) -> Self {
                Self::$group($family::$variant(data))
            }
        }

        impl From<$data> for $family {
            fn from(data: $data) -> Self {
                Self::$variant(data)
            }
        })*
    };
}

event_types! {
    "user.created" 1 => User UserEvent Created UserCreated;
    "user.bio_changed" 1 => User UserEvent BioChanged BioChanged;
    "user.email_changed" 1 => User UserEvent EmailChanged EmailChanged;
    "user.username_changed" 1 => User UserEvent UsernameChanged UsernameChanged;
    "user.password_changed" 1 => User UserEvent PasswordChanged PasswordChanged;
    "user.role_changed" 1 => User UserEvent RoleChanged RoleChanged;
    "user.disabled" 1 => User UserEvent Disabled UserDisabled;
    "user.key_destroyed" 1 => User UserEvent KeyDestroyed UserKeyDestroyed;
    "session.opened" 2 => Session SessionEvent Opened SessionOpened;
    "session.refreshed" 1 => Session SessionEvent Refreshed SessionRefreshed;
    "session.closed" 1 => Session SessionEvent Closed SessionClosed;
    "follow.started" 1 => Follow FollowEvent Started FollowStarted;
    "follow.ended" 1 => Follow FollowEvent Ended FollowEnded;
    "block.started" 1 => Block BlockEvent Started BlockStarted;
    "block.ended" 1 => Block BlockEvent Ended BlockEnded;
    "mute.started" 1 => Mute MuteEvent Started MuteStarted;
    "mute.ended" 1 => Mute MuteEvent Ended MuteEnded;
    "post.published" 2 => Post PostEvent Published PostPublished;
    "post.drafted" 1 => Post PostEvent Drafted PostDrafted;
    "post.draft_published" 1 => Post PostEvent DraftPublished PostDraftPublished;
    "post.draft_dropped" 1 => Post PostEvent DraftDropped PostDraftDropped;
    "post.edited" 1 => Post PostEvent Edited PostEdited;
    "post.deleted" 1 => Post PostEvent Deleted PostDeleted;
    "comment.added" 1 => Comment CommentEvent Added CommentAdded;
    "comment.deleted" 1 => Comment CommentEvent Deleted CommentDeleted;
    "like.added" 1 => Like LikeEvent Added LikeAdded;
    "like.removed" 1 => Like LikeEvent Removed LikeRemoved;
    "feed_slot.reserved" 1 => FeedSlot FeedSlotEvent Reserved FeedSlotReserved;
    "feed_slot.committed" 1 => FeedSlot FeedSlotEvent Committed FeedSlotCommitted;
    "feed_slot.released" 1 => FeedSlot FeedSlotEvent Released FeedSlotReleased;
    "claim.reserved" 1 => Claim ClaimEvent Reserved ClaimReserved;
    "claim.confirmed" 1 => Claim ClaimEvent Confirmed ClaimConfirmed;
    "claim.released" 1 => Claim ClaimEvent Released ClaimReleased;
    "saga.started" 1 => Saga SagaEvent Started SagaStarted;
    "saga.step_requested" 1 => Saga SagaEvent StepRequested StepRequested;
    "saga.step_retried" 1 => Saga SagaEvent StepRetried StepRetried;
    "saga.step_advanced" 1 => Saga SagaEvent StepAdvanced StepAdvanced;
    "saga.step_completed" 1 => Saga SagaEvent StepCompleted StepCompleted;
    "saga.step_refused" 1 => Saga SagaEvent StepRefused StepRefused;
    "saga.step_undone" 1 => Saga SagaEvent StepUndone StepUndone;
    "saga.compensating" 1 => Saga SagaEvent Compensating SagaCompensating;
    "saga.completed" 1 => Saga SagaEvent Completed SagaCompleted;
    "saga.compensated" 1 => Saga SagaEvent Compensated SagaCompensated;
    "saga.compensation_failed" 1 => Saga SagaEvent CompensationFailed SagaCompensationFailed;
    "saga.retry_ordered" 1 => Saga SagaEvent RetryOrdered SagaRetryOrdered;
    "saga.compensation_ordered" 1 => Saga SagaEvent CompensationOrdered SagaCompensationOrdered;
}

macro_rules! groups {
    ($($group:ident $family:ident;)*) => {
        $(impl From<$family> for Event {
            fn from(event: $family) -> Self {
                Self::$group(event)
            }
        })*
    };
}

groups! {
    User UserEvent;
    Session SessionEvent;
    Follow FollowEvent;
    Block BlockEvent;
    Mute MuteEvent;
    Post PostEvent;
    Comment CommentEvent;
    Like LikeEvent;
    FeedSlot FeedSlotEvent;
    Claim ClaimEvent;
    Saga SagaEvent;
}

/// One step up: from a released version of an event to the next.
type Upcast = fn(Value) -> Value;

/// Every older version that stands in somebody's log.
const UPCASTS: &[(&str, u32, Upcast)] = &[
    ("post.published", 1, |data| with_nulls(data, &["mentions"])),
    ("session.opened", 1, |data| with_nulls(data, &["device", "refresh_until"])),
];

fn with_nulls(mut data: Value, fields: &[&str]) -> Value {
    fields.iter().for_each(|field| data[field] = Value::Null);
    data
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// To an account.
    User(UserEvent),
    /// To a session.
    Session(SessionEvent),
    /// To a follow.
    Follow(FollowEvent),
    /// To a block.
    Block(BlockEvent),
    /// To a mute.
    Mute(MuteEvent),
    /// To a post.
    Post(PostEvent),
    /// To a comment.
    Comment(CommentEvent),
    /// To a like.
    Like(LikeEvent),
    /// To a place in a person's feed.
    FeedSlot(FeedSlotEvent),
    /// To the claim of an address or name.
    Claim(ClaimEvent),
    /// To a saga.
    Saga(SagaEvent),
}

impl Event {
    /// The one key under which the event's sealed values are, if it has any: whoever opens a batch fetches these first.
    pub fn sealed_under(&self) -> Option<KeyId> {
        match self {
            Self::User(UserEvent::Created(e)) => Some(e.user.into()),
            Self::User(UserEvent::BioChanged(e)) => e.bio.as_ref().map(|_| e.user.into()),
            Self::User(UserEvent::EmailChanged(e)) => Some(e.user.into()),
            Self::User(UserEvent::UsernameChanged(e)) => Some(e.user.into()),
            Self::User(UserEvent::PasswordChanged(e)) => Some(e.user.into()),
            Self::Session(SessionEvent::Opened(e)) => e.device.as_ref().map(|_| e.user.into()),
            Self::Post(PostEvent::Published(e)) => Some(e.author.into()),
            Self::Post(PostEvent::Drafted(e)) => Some(e.author.into()),
            Self::Post(PostEvent::Edited(e)) => Some(e.author.into()),
            Self::Comment(CommentEvent::Added(e)) => Some(e.author.into()),
            Self::User(UserEvent::RoleChanged(_) | UserEvent::Disabled(_) | UserEvent::KeyDestroyed(_))
            | Self::Session(SessionEvent::Refreshed(_) | SessionEvent::Closed(_))
            | Self::Follow(_)
            | Self::Block(_)
            | Self::Mute(_)
            | Self::Post(PostEvent::DraftPublished(_) | PostEvent::DraftDropped(_) | PostEvent::Deleted(_))
            | Self::Comment(CommentEvent::Deleted(_))
            | Self::Like(_)
            | Self::FeedSlot(_)
            | Self::Claim(_)
            | Self::Saga(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Envelope)
    }
}

/// Reads the three fields. As they are written, name and version come before the data, which is then read in place.
struct Envelope;

impl<'de> Visitor<'de> for Envelope {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event with type, version and data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Event, A::Error> {
        let (mut name, mut version) = (None::<Name<'de>>, None::<u32>);
        let (mut early, mut event) = (None::<&RawValue>, None);
        while let Some(field) = fields.next_key()? {
            match (field, &name, version) {
                (Field::Type, ..) => name = Some(fields.next_value()?),
                (Field::Version, ..) => version = Some(fields.next_value()?),
                (Field::Data, Some(Name(name)), Some(version)) => {
                    event = Some(fields.next_value_seed(Data { name, version })?);
                }
                (Field::Data, ..) => early = Some(fields.next_value()?),
                (Field::Other, ..) => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        if let Some(event) = event {
            return Ok(event);
        }
        let data = early.ok_or_else(|| A::Error::missing_field("data"))?;
        let Name(name) = name.ok_or_else(|| A::Error::missing_field("type"))?;
        let version = version.ok_or_else(|| A::Error::missing_field("version"))?;
        Data { name: &name, version }.deserialize(data).map_err(A::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Type,
    Version,
    Data,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The data of an event of this name and version, which may be an old one.
struct Data<'a> {
    name: &'a str,
    version: u32,
}

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = Event;

    fn deserialize<D: Deserializer<'de>>(self, data: D) -> Result<Event, D::Error> {
        let Self { name, version } = self;
        if !UPCASTS.iter().any(|(n, v, _)| (*n, *v) == (name, version)) {
            return decode(name, version, data);
        }
        let (current, data) = upcast(name, version, Value::deserialize(data)?);
        decode(name, current, data).map_err(D::Error::custom)
    }
}

/// Takes old data up step by step until no further upcast is known.
fn upcast(name: &str, version: u32, mut data: Value) -> (u32, Value) {
    let mut current = version;
    while let Some((.., up)) = UPCASTS.iter().find(|(n, v, _)| *n == name && *v == current) {
        data = up(data);
        current += 1;
    }
    (current, data)
}

const UNKNOWN: &str = "unknown event ";

fn unknown(name: &str, version: u32) -> String {
    format!("{UNKNOWN}{name:?} version {version}")
}

impl WireError {
    /// serde carries errors as text; whether the event is unknown is found out again from the value itself.
    pub(crate) fn of(value: &[u8], error: &serde_json::Error) -> Self {
        if error.to_string().starts_with(UNKNOWN)
            && let Ok(commit) = serde_json::from_slice::<Value>(value)
            && let Some(events) = commit["events"].as_array()
        {
            for event in events {
                let name = event["type"].as_str().unwrap_or_default();
                let version = event["version"].as_u64().and_then(|v| u32::try_from(v).ok()).unwrap_or_default();
                let known = |(n, v): &(&str, u32)| *n == name && *v == version;
                let old = |(n, v, _): &(&str, u32, Upcast)| *n == name && *v == version;
                if !Event::TYPES.iter().any(known) && !UPCASTS.iter().any(old) {
                    return Self::UnknownEvent { name: name.to_owned(), version };
                }
            }
        }
        Self::Malformed(error.to_string())
    }
}

/// Every (name, version) that can be read: the current ones and those that are taken up.
pub fn readable() -> impl Iterator<Item = (&'static str, u32)> {
    Event::TYPES.iter().copied().chain(UPCASTS.iter().map(|(name, version, _)| (*name, *version)))
}
