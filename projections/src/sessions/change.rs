//! What an event means to the sessions, opened: for whatever holds them, the memory or a server.

use super::OpenSession;
use crate::opener::Opener;
use events::{Event, SealError, SessionEvent, SessionId, Timestamp, UserEvent, UserId};

/// See the module.
pub(super) enum Change {
    Opened {
        user: UserId,
        session: OpenSession,
    },
    Refreshed {
        user: UserId,
        session: SessionId,
        refresh_until: Timestamp,
        at: Timestamp,
    },
    Closed {
        user: UserId,
        session: SessionId,
        at: Timestamp,
    },
    AllClosed {
        user: UserId,
        at: Timestamp,
    },
    /// The user's key is destroyed: nothing that it sealed is shown.
    Unreadable {
        user: UserId,
    },
}

impl Change {
    pub(super) fn of(event: &Event, at: Timestamp, opener: &Opener) -> Result<Option<Self>, SealError> {
        Ok(match event {
            Event::Session(SessionEvent::Opened(e)) => {
                let device = e.device.as_ref().map(|sealed| opener.open(e.user, sealed)).transpose()?.flatten();
                let device = device.map(|device| device.as_str().into());
                let (id, refresh_until) = (e.session, e.refresh_until);
                let session = OpenSession { id, device, created_at: at, refreshed_at: at, refresh_until };
                Some(Self::Opened { user: e.user, session })
            }
            Event::Session(SessionEvent::Refreshed(e)) => {
                Some(Self::Refreshed { user: e.user, session: e.session, refresh_until: e.refresh_until, at })
            }
            Event::Session(SessionEvent::Closed(e)) => Some(Self::Closed { user: e.user, session: e.session, at }),
            Event::User(UserEvent::PasswordChanged(e)) => Some(Self::AllClosed { user: e.user, at }),
            Event::User(UserEvent::Disabled(e)) => Some(Self::AllClosed { user: e.user, at }),
            Event::User(UserEvent::KeyDestroyed(e)) => Some(Self::Unreadable { user: e.user }),
            Event::Block(_)
            | Event::Mute(_)
            | Event::User(_)
            | Event::Follow(_)
            | Event::Post(_)
            | Event::Comment(_)
            | Event::Like(_)
            | Event::FeedSlot(_)
            | Event::Claim(_)
            | Event::Saga(_) => None,
        })
    }
}
