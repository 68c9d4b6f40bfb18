//! The rules by which owners, readers and runners keep their promises, so that a test can take one away and see what
//! breaks without it.
//!
//! The product keeps them all: without the feature `switchable-rules` a [`Rules`] is empty and every question is
//! answered at compile time. `tests/simulation/rules.rs` goes through [`Rule::ALL`]: a rule that no seed misses has no
//! place here.

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident,)*) => {
        /// One rule. Whoever enforces it asks [`Rules::keep`] at that place.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
        }

        impl Rule {
            /// Every rule there is.
            pub const ALL: &'static [Self] = &[$(Self::$rule,)*];
        }
    };
}

rules! {
    /// An acceptance is answered only once its commit is known to be valid.
    AcknowledgeAfterValidity,
    /// A refusal is answered only after the log's end was found where it was expected.
    FenceRefusals,
    /// Who is not meant to own a partition does not claim it.
    ConfirmBeforeClaiming,
    /// Nothing is written before a claim: a tenure begins in the log.
    ClaimBeforeWriting,
    /// A claim that did not land where it was expected counts only if, in the log, it extends the head.
    LookForTheClaim,
    /// A record that does not extend the last valid one, in the tenure that wrote that one, never happened.
    VoidWhatDoesNotExtend,
    /// A record whose receipt did not come may be in the log: its asker is told "unknown", never "it did not happen".
    DoubtIsUnknown,
    /// A record that landed elsewhere than expected ends the tenure: somebody else has written.
    LeaveWhenOvertaken,
    /// After a lost tenure everything that does not stand in the log is forgotten.
    ForgetWhatIsNotInTheLog,
    /// The id of an accepted command is remembered: sent again, it takes no effect again.
    RememberCommands,
    /// An id is not taken for another request than the one that it came with.
    CompareFingerprints,
    /// A command whose deadline has passed is not decided any more.
    ExpireAtTheDeadline,
    /// "Expired" and "overloaded" are true of one sending only: they are no answer where an earlier one is in doubt.
    DoubtOutlivesRefusals,
    /// The ids of a command and of what it creates follow from the client's key: who lost everything meets them again.
    DeriveIdsFromTheKey,
    /// A commit's time is never before that of the commit before it.
    TimeNeverGoesBack,
    /// A commit's time is the asker's only as far as the owner's own clock agrees.
    ClampToTheOwnersClock,
    /// However far a clock jumps, one commit ages what is remembered by little.
    JumpsDoNotAge,
    /// A saga's step is sent only once its request stands in the log.
    StepsStandInTheLog,
    /// Whoever takes a partition over carries on with the steps that its sagas wait for.
    ResumeOpenSteps,
    /// The command of a step has the same id at every attempt.
    StepIdsNeverChange,
    /// The end of a saga is told only once it is known to be valid.
    TellEndsThatAreValid,
    /// A step without an answer may have taken effect: its compensation undoes it all the same.
    UndoWhatIsInDoubt,
    /// A step that comes after its own compensation is refused.
    CompensationsOvertakeSteps,
    /// A read model is changed only by whoever knows its stored checkpoint.
    CompareCheckpoints,
    /// A worker of an earlier build of a read model changes nothing in a later one.
    CompareGenerations,
    /// A checkpoint is stored together with the data that it stands for.
    CheckpointWithData,
    /// Who goes on from a checkpoint reads the record before it again: a log that holds another one stops it.
    CompareTheHead,
    /// A runner knows which keys are parked before it applies anything.
    LoadParkedKeys,
    /// What comes to a parked key waits behind it, in order.
    ParkedKeysWait,
    /// A read waits until the read model has passed what it must see.
    WaitForPositions,
    /// What waits behind a parked key was not passed, however far the read model is.
    ParkedIsNotPassed,
}

/// Which rules are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    #[cfg(feature = "switchable-rules")]
    without: Option<Rule>,
}

impl Rules {
    /// Whether this one is kept.
    #[must_use]
    pub fn keep(self, rule: Rule) -> bool {
        #[cfg(feature = "switchable-rules")]
        return self.without != Some(rule);
        #[cfg(not(feature = "switchable-rules"))]
        {
            let _ = rule;
            true
        }
    }

    /// All but one.
    #[cfg(feature = "switchable-rules")]
    #[must_use]
    pub fn without(rule: Rule) -> Self {
        Self { without: Some(rule) }
    }
}
