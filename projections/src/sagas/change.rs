//! What events mean to this read model.

use super::Plan;
use crate::read_model::{Batch, Entry};
use events::{Event, Key, SagaEvent, Step, Timestamp, UserEvent, UserId};
use journal::Position;

/// What an event means here.
pub(super) enum Change {
    /// Something happened to a saga; with the whole plan of one that begins, if that is known.
    Happened { context: Context, saga: SagaEvent, event: &'static str, plan: Vec<Step> },
    /// Somebody's key is destroyed.
    Gone { user: UserId },
}

/// Of the commit that an event is in.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) key: Key,
    pub(super) actor: Option<UserId>,
    pub(super) at: Timestamp,
    pub(super) position: Position,
}

impl Change {
    /// What a batch means.
    pub(super) fn all(batch: &Batch<'_>, plan: Option<&Plan>) -> Vec<Self> {
        let entries = batch.entries.iter();
        let events = entries.flat_map(|entry| entry.commit.events.iter().map(move |event| (entry, event)));
        events.filter_map(|(entry, event)| Self::of(Context::of(entry), event, plan)).collect()
    }

    /// Whose key is destroyed.
    #[cfg(feature = "servers")]
    pub(super) fn who_is_gone(&self) -> Option<UserId> {
        match self {
            Self::Gone { user } => Some(*user),
            Self::Happened { .. } => None,
        }
    }

    fn of(context: Context, event: &Event, plan: Option<&Plan>) -> Option<Self> {
        match event {
            Event::Saga(saga) => {
                let plan = match (saga, plan) {
                    (SagaEvent::Started(started), Some(plan)) => plan(&started.data),
                    _ => Vec::new(),
                };
                Some(Self::Happened { context, saga: saga.clone(), event: event.wire_name().0, plan })
            }
            Event::User(UserEvent::KeyDestroyed(e)) => Some(Self::Gone { user: e.user }),
            Event::User(_)
            | Event::Session(_)
            | Event::Follow(_)
            | Event::Block(_)
            | Event::Mute(_)
            | Event::Post(_)
            | Event::Comment(_)
            | Event::Like(_)
            | Event::FeedSlot(_)
            | Event::Claim(_) => None,
        }
    }
}

impl Context {
    fn of(entry: &Entry<'_>) -> Self {
        Self { key: entry.key, actor: entry.commit.actor, at: entry.commit.time, position: entry.position }
    }
}
