//! What happened in a simulation: how often each kind of fault fired, and, for a failing seed, the order of things.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;

macro_rules! kinds {
    ($(#[$of:meta])* $kinds:ident { $($(#[$doc:meta])* $kind:ident,)* }) => {
        $(#[$of])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $kinds {
            $($(#[$doc])* $kind,)*
        }

        impl $kinds {
            /// Every kind there is.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];
        }
    };
}

kinds! {
    /// The kinds of faults.
    Fault {
        /// An owner was dropped in the middle of everything and another one started.
        OwnerCrash,
        /// An owner stood still while another one took over, and woke up later.
        OwnerPause,
        /// An owner stood still for long, and nobody took over.
        OwnerAway,
        /// A second owner started while the first one went on.
        TwoOwners,
        /// A request never arrived.
        RequestLost,
        /// An answer never arrived.
        AnswerLost,
        /// A request arrived twice.
        RequestDoubled,
        /// A request was delivered to a former owner.
        StaleRoute,
        /// A record never arrived in the log.
        RecordLost,
        /// A record arrived, but its writer was told that it is not known.
        ReceiptLost,
        /// A record took long.
        SlowAppend,
        /// What a dead owner had in flight arrived after its end.
        ZombieRecord,
        /// A projection runner was dropped and another one went on from the checkpoints.
        ProjectionCrash,
        /// A projection runner stood still.
        ProjectionPause,
        /// The read models were built anew, while the workers of the build before stood still.
        Rebuild,
        /// The log lost its end, and went on with something else.
        LogCut,
        /// A read model's store did not answer, and changed nothing.
        StoreUnavailable,
        /// A read model's store changed, but its runner was told that it is not known.
        StoreAnswerLost,
        /// A read model rejected a commit, so that its key parks.
        CommitRejected,
        /// The wall clock jumped, by seconds, hours or days.
        ClockJump,
        /// A client's clock was wrong.
        WrongClock,
        /// A request took long to arrive, and others overtook it.
        RequestDelayed,
        /// An answer took long to arrive.
        AnswerDelayed,
        /// A request arrived once more, long after it was answered.
        DoubledLate,
        /// A mailbox had no room.
        MailboxFull,
        /// An owner was told to stop, finished what it had, and another one started.
        HandOver,
        /// A partition was assigned to another node, and its owner was told.
        Revoked,
        /// A former owner got its partition back.
        HandBack,
        /// The log did not answer for a while.
        LogUnavailable,
        /// The log took no records for a while.
        LogFull,
        /// A look at the log's end took long.
        SlowLook,
        /// A client gave up before it knew what had come of its request.
        GaveUp,
        /// A client lost everything but what it wanted, and began again with the same key.
        LostEverything,
        /// What a saga does outside the log failed, and changed nothing.
        EffectFailed,
        /// It took long.
        EffectSlow,
        /// It was carried out, but its saga was told that it is not known.
        EffectAnswerLost,
        /// Its owner was gone in the middle of it.
        EffectCutShort,
    }
}

kinds! {
    /// What people do and what comes of it, as far as it must not become rare unnoticed.
    Deed {
        /// Somebody registered.
        Registered,
        /// Somebody could not register: what they wanted is taken.
        NotRegistered,
        /// Somebody was told that their post is published.
        Published,
        /// Somebody was told that their post is on its way.
        UnderWay,
        /// A post came to nothing since its author has no account.
        PostOfNobody,
        /// A post came to nothing since its author has left.
        PostOfTheGone,
        /// A post came to nothing since its author had too many drafts.
        TooManyDrafts,
        /// A post came to nothing for another reason.
        NotPublished,
        /// Somebody has another address or name.
        Renamed,
        /// Somebody could not have it: it is taken, or they are no longer who they were.
        NotRenamed,
        /// Somebody blocks somebody from now on.
        Blocked,
        /// Somebody was told that their account is gone.
        Left,
        /// An operator had what a saga waits for tried again.
        Retried,
        /// An operator had a saga undone.
        Undone,
        /// An operator was told that it is too late.
        OrderRefused,
        /// Somebody was not let in: their session has ended with their account.
        TurnedAway,
    }
}

/// The record of one simulation; shared by everybody in it.
#[derive(Clone)]
pub struct Story(Arc<Mutex<Inner>>);

struct Inner {
    begun: Instant,
    lines: Vec<String>,
    faults: BTreeMap<Fault, usize>,
    deeds: BTreeMap<Deed, usize>,
}

impl Default for Story {
    fn default() -> Self {
        let (lines, faults, deeds) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(Inner { begun: Instant::now(), lines, faults, deeds })))
    }
}

impl Story {
    /// Notes that something happened.
    pub fn tell(&self, what: impl fmt::Display) {
        let mut inner = self.0.lock();
        let line = format!("{:>9.3} ms  {what}", inner.begun.elapsed().as_secs_f64() * 1e3);
        inner.lines.push(line);
    }

    /// Notes that a fault fired.
    pub fn fault(&self, fault: Fault, what: impl fmt::Display) {
        *self.0.lock().faults.entry(fault).or_default() += 1;
        self.tell(format_args!("{fault:?}: {what}"));
    }

    /// Notes what somebody did.
    pub fn deed(&self, deed: Deed, what: impl fmt::Display) {
        *self.0.lock().deeds.entry(deed).or_default() += 1;
        self.tell(format_args!("{deed:?}: {what}"));
    }

    /// What people did, and how often.
    pub fn deeds(&self) -> BTreeMap<Deed, usize> {
        self.0.lock().deeds.clone()
    }

    /// How often each fault fired.
    pub fn faults(&self) -> BTreeMap<Fault, usize> {
        self.0.lock().faults.clone()
    }

    /// All that happened, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().lines.clone()
    }
}
