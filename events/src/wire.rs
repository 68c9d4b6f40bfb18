//! The names under which events travel, their versions, and how an older version becomes the present one.
//!
//! On the wire an event is `{"type": "post.published", "version": 2, "data": {...}}`. Both lists below are the only
//! places that know names and versions. A reader that meets a type or a version that it does not know stops: readers are
//! deployed before writers.

use crate::{
    BioChanged, ClaimConfirmed, ClaimEvent, ClaimReleased, ClaimReserved, CommentAdded, CommentDeleted, CommentEvent,
    FollowEnded, FollowEvent, FollowStarted, KeyId, LikeAdded, LikeEvent, LikeRemoved, PostDeleted, PostEdited,
    PostEvent, PostPublished, SagaCompensated, SagaCompensating, SagaCompensationFailed, SagaCompleted, SagaData,
    SagaEvent, SagaStarted, SessionClosed, SessionEvent, SessionOpened, StepCompleted, StepRefused, StepRequested,
    StepRetried, StepUndone, UserCreated, UserEvent,
};
use serde::de::Error as _;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

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

        /// The event, if name and version are current; `None` if they are not known.
        fn decode(name: &str, version: u32, data: &str) -> Option<serde_json::Result<Event>> {
            match (name, version) {
                $(($name, $version) => Some(
                    serde_json::from_str::<$data>(data).map(|data| Event::$group($family::$variant(data)))
                ),)*
                _ => None,
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
    "session.opened" 1 => Session SessionEvent Opened SessionOpened;
    "session.closed" 1 => Session SessionEvent Closed SessionClosed;
    "follow.started" 1 => Follow FollowEvent Started FollowStarted;
    "follow.ended" 1 => Follow FollowEvent Ended FollowEnded;
    "post.published" 2 => Post PostEvent Published PostPublished;
    "post.edited" 1 => Post PostEvent Edited PostEdited;
    "post.deleted" 1 => Post PostEvent Deleted PostDeleted;
    "comment.added" 1 => Comment CommentEvent Added CommentAdded;
    "comment.deleted" 1 => Comment CommentEvent Deleted CommentDeleted;
    "like.added" 1 => Like LikeEvent Added LikeAdded;
    "like.removed" 1 => Like LikeEvent Removed LikeRemoved;
    "claim.reserved" 1 => Claim ClaimEvent Reserved ClaimReserved;
    "claim.confirmed" 1 => Claim ClaimEvent Confirmed ClaimConfirmed;
    "claim.released" 1 => Claim ClaimEvent Released ClaimReleased;
    "saga.started" 1 => Saga SagaEvent Started SagaStarted;
    "saga.step_requested" 1 => Saga SagaEvent StepRequested StepRequested;
    "saga.step_retried" 1 => Saga SagaEvent StepRetried StepRetried;
    "saga.step_completed" 1 => Saga SagaEvent StepCompleted StepCompleted;
    "saga.step_refused" 1 => Saga SagaEvent StepRefused StepRefused;
    "saga.step_undone" 1 => Saga SagaEvent StepUndone StepUndone;
    "saga.compensating" 1 => Saga SagaEvent Compensating SagaCompensating;
    "saga.completed" 1 => Saga SagaEvent Completed SagaCompleted;
    "saga.compensated" 1 => Saga SagaEvent Compensated SagaCompensated;
    "saga.compensation_failed" 1 => Saga SagaEvent CompensationFailed SagaCompensationFailed;
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
    Post PostEvent;
    Comment CommentEvent;
    Like LikeEvent;
    Claim ClaimEvent;
    Saga SagaEvent;
}

/// One step up: from a released version of an event to the next.
type Upcast = fn(Value) -> Value;

/// Every older version that stands in somebody's log.
const UPCASTS: &[(&str, u32, Upcast)] = &[("post.published", 1, |mut data| {
    data["mentions"] = Value::Null;
    data
})];

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// To an account.
    User(UserEvent),
    /// To a session.
    Session(SessionEvent),
    /// To a follow.
    Follow(FollowEvent),
    /// To a post.
    Post(PostEvent),
    /// To a comment.
    Comment(CommentEvent),
    /// To a like.
    Like(LikeEvent),
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
            Self::Post(PostEvent::Published(e)) => Some(e.author.into()),
            Self::Post(PostEvent::Edited(e)) => Some(e.author.into()),
            Self::Comment(CommentEvent::Added(e)) => Some(e.author.into()),
            Self::Saga(SagaEvent::Started(SagaStarted { data: SagaData::Registration(data), .. })) => {
                Some(data.user.into())
            }
            Self::Session(_)
            | Self::Follow(_)
            | Self::Post(PostEvent::Deleted(_))
            | Self::Comment(CommentEvent::Deleted(_))
            | Self::Like(_)
            | Self::Claim(_)
            | Self::Saga(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(rename = "type", borrow)]
            name: Cow<'a, str>,
            version: u32,
            #[serde(borrow)]
            data: &'a RawValue,
        }
        let Envelope { name, version, data } = Envelope::deserialize(deserializer)?;
        if let Some(event) = decode(&name, version, data.get()) {
            return event.map_err(D::Error::custom);
        }
        let (current, data) = upcast(&name, version, data.get()).map_err(D::Error::custom)?;
        match decode(&name, current, &data) {
            Some(event) => event.map_err(D::Error::custom),
            None => Err(D::Error::custom(unknown(&name, version))),
        }
    }
}

/// Takes old data up step by step until no further upcast is known.
fn upcast(name: &str, version: u32, data: &str) -> serde_json::Result<(u32, String)> {
    let mut data: Value = serde_json::from_str(data)?;
    let mut current = version;
    while let Some((.., up)) = UPCASTS.iter().find(|(n, v, _)| *n == name && *v == current) {
        data = up(data);
        current += 1;
    }
    Ok((current, data.to_string()))
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
