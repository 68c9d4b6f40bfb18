//! The vocabulary of Tidings: what can happen, and the record in which it is told.
//!
//! Everything else in the project either produces these events or is built from them, so this crate does no I/O and
//! depends on nothing but serde, uuid, time and the cipher: another service can use it to read our log.
//!
//! Invariants: a released shape of an event never changes (a new version and an upcast come instead, see [`wire`]);
//! what a person typed or is known by appears only inside [`Sealed`].

mod block;
mod claim;
mod comment;
mod commit;
mod digest;
mod feed_slot;
mod follow;
mod ids;
mod key;
mod keyring;
mod like;
mod mute;
mod parsed;
mod post;
mod saga;
mod sealed;
mod session;
mod signing;
mod text;
mod timestamp;
mod user;
pub mod wire;

pub use block::{BlockEnded, BlockEvent, BlockStarted};
pub use claim::{ClaimConfirmed, ClaimEvent, ClaimReleased, ClaimReserved};
pub use comment::{CommentAdded, CommentDeleted, CommentEvent};
pub use commit::{Commit, Retention};
pub use digest::{Digest, Fingerprint};
pub use feed_slot::{FeedSlotCommitted, FeedSlotEvent, FeedSlotReleased, FeedSlotReserved};
pub use follow::{FollowEnded, FollowEvent, FollowStarted};
pub use ids::{CommandId, CommentId, Incarnation, KeyId, PostId, SagaId, SessionId, UserId};
pub use key::{Key, KeyError};
pub use keyring::{ACCESS_TOKEN_LIFE, Keyring, KeyringError, KeyringFuture, STALENESS_MAX, Secrets};
pub use like::{LikeAdded, LikeEvent, LikeRemoved};
pub use mute::{MuteEnded, MuteEvent, MuteStarted};
pub use post::{PostDeleted, PostDraftDropped, PostDraftPublished, PostDrafted, PostEdited, PostEvent, PostPublished};
pub use saga::{
    SagaCompensated, SagaCompensating, SagaCompensationFailed, SagaCompensationOrdered, SagaCompleted, SagaData,
    SagaEvent, SagaRetryOrdered, SagaStarted, Step, StepAdvanced, StepCompleted, StepRefused, StepRequested,
    StepRetried, StepUndone,
};
pub use sealed::{CipherKey, SealError, Sealable, Sealed};
pub use session::{SessionClosed, SessionEvent, SessionOpened, SessionRefreshed};
pub use signing::{CLOCK_SKEW_MAX, SIGNING_KEYS_MAX, SigningError, SigningKey, SigningKeys};
pub use text::{
    Bio, CommentText, Content, Device, Email, Hashtags, Mentions, PasswordHash, TextError, Username, text_limits,
};
pub use timestamp::Timestamp;
pub use user::{
    BioChanged, Claimed, EmailChanged, PasswordChanged, Role, RoleChanged, RoleError, UserCreated, UserDisabled,
    UserEvent, UserKeyDestroyed, UsernameChanged,
};
pub use wire::{Event, WireError};
