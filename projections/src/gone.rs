//! Who is gone: their account is disabled, or their key destroyed, and neither is ever taken back.
//!
//! Both stand on the user's own key, and what somebody did under posts of others on those posts' keys, so a read model may
//! hear of either first. Whichever it is, it ends with showing nothing of theirs.

use events::{UserEvent, UserId};

/// Whoever is gone from this event on.
pub(crate) fn gone(event: &UserEvent) -> Option<UserId> {
    match event {
        UserEvent::Disabled(e) => Some(e.user),
        UserEvent::KeyDestroyed(e) => Some(e.user),
        UserEvent::Created(_)
        | UserEvent::BioChanged(_)
        | UserEvent::EmailChanged(_)
        | UserEvent::UsernameChanged(_)
        | UserEvent::PasswordChanged(_)
        | UserEvent::RoleChanged(_) => None,
    }
}
