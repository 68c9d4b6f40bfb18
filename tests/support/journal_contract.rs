//! What every log, every keyring and every ownership must do, whoever implements it.
//!
//! The suite knows the ports and the chain rule only. An implementation says how a log of its kind is made, and how to
//! do to it what happens in the world: a crash, a lost tail, a flipped bit. What cannot be done to it, it says so, and
//! the test prints that. `journal_contract!`, `keyring_contract!` and `ownership_contract!` are the lists of tests.

#![expect(clippy::unwrap_used, reason = "what fails here is a test")]

pub mod damage;
pub mod keyring;
pub mod log;
pub mod ownership;
pub mod scribe;

use async_trait::async_trait;
use journal::{Journal, JournalError};
use std::sync::Arc;

/// What came of a thing that some implementations cannot do.
#[derive(Debug)]
pub enum Possible<T> {
    /// It was done.
    Done(T),
    /// It cannot happen here, and why.
    NotHere(&'static str),
}

impl<T> Possible<T> {
    /// The outcome; `None`, and a line of output, if it cannot happen here.
    #[expect(clippy::print_stdout, reason = "a test that had nothing to test must be seen to say so")]
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(outcome) => Some(outcome),
            Self::NotHere(why) => {
                println!("not possible here: {why}");
                None
            }
        }
    }
}

/// What runs under a contract.
pub trait UnderTest {
    /// Whether there is what it needs. If not it says so, and the test was not run.
    fn is_available() -> bool {
        true
    }
}

/// A log that belongs to one test.
#[async_trait]
pub trait LogUnderTest: UnderTest + Sized + Send + Sync + 'static {
    /// A new, empty log.
    async fn create(partitions: u32) -> Self;

    /// The same, to crash it or to put back what it held: what it stands on belongs to the test alone.
    async fn create_alone(partitions: u32) -> Self {
        Self::create(partitions).await
    }

    /// The log.
    fn journal(&self) -> Arc<dyn Journal>;

    /// The log as another process has it, as far as there can be one.
    fn other(&self) -> Arc<dyn Journal>;

    /// The log's name, if there are others that must have another one.
    fn name_among_others(&self) -> Possible<String> {
        Possible::Done(self.journal().log().to_owned())
    }

    /// Closes the log as a process does that ends in order, and opens it again.
    async fn reopen(self) -> Result<Self, JournalError>;

    /// Ends everything that uses the log as a crash does, and opens it again.
    async fn crash(self) -> Possible<Result<Self, JournalError>>;

    /// Keeps what the log holds now, for `rewind`.
    async fn remember(&mut self);

    /// Puts back what the log held when it was told to remember, and nothing else, and opens it again.
    async fn rewind(self) -> Possible<Result<Self, JournalError>>;

    /// A copy of the log as a crash leaves it or as it is when closed in order, with one bit of what is stored flipped,
    /// chosen by `random`, or none; opened.
    async fn flipped(&self, clean: bool, random: Option<u64>) -> Possible<Result<Self, JournalError>>;
}

/// All tests of a log, for an implementation.
#[macro_export]
macro_rules! journal_contract {
    ($implementation:ident: $log:ty) => {
        $crate::journal_contract!(@tests $implementation $log:
            log: what_is_appended_is_read_back_byte_for_byte_in_order;
            log: receipts_count_up_without_gaps;
            log: the_end_counts_every_receipt;
            log: what_was_acknowledged_survives_a_reopen;
            log: what_was_acknowledged_survives_a_crash;
            log: a_reader_that_waits_is_woken_by_every_record;
            log: a_read_at_the_end_is_empty_and_one_past_it_is_divergence;
            log: a_read_returns_as_many_records_as_asked_for_at_most;
            log: partitions_are_independent;
            log: no_two_logs_have_the_same_name;
            log: of_two_appenders_racing_for_one_head_exactly_one_wins;
            log: a_claim_voids_what_a_zombie_has_in_flight;
            log: a_zombie_that_comes_first_voids_the_claim;
            log: a_lost_batch_leaves_no_hole;
            log: what_a_dropped_appender_had_in_flight_is_a_prefix;
            log: an_unexpected_offset_leads_to_the_own_record_in_the_gap;
            log: many_writers_at_once_each_keep_their_order;
            log: a_checkpoint_goes_on_where_it_was_taken;
            log: a_checkpoint_of_another_log_diverges;
            log: verification_counts_what_is_there;
            damage: a_log_that_lost_its_tail_is_refused;
            damage: a_bit_flipped_after_a_crash_is_noticed_or_harmless;
            damage: a_bit_flipped_after_a_clean_close_is_noticed_or_harmless;
            damage: a_bit_flipped_in_a_large_log_is_noticed_or_harmless;
        );
    };
    (@tests $implementation:ident $log:ty: $($file:ident: $test:ident;)*) => {
        mod $implementation {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                if <$log as $crate::journal_contract::UnderTest>::is_available() {
                    $crate::journal_contract::$file::$test::<$log>().await;
                }
            })*
        }
    };
}

/// All tests of a keyring, for an implementation.
#[macro_export]
macro_rules! keyring_contract {
    ($implementation:ident: $keyring:ty) => {
        $crate::journal_contract!(@tests $implementation $keyring:
            keyring: to_create_a_key_twice_gives_the_same_key;
            keyring: racing_creations_give_the_same_key;
            keyring: keys_survive_a_reopen;
            keyring: a_destroyed_key_stays_destroyed;
            keyring: a_key_that_never_was_is_unknown_not_destroyed;
            keyring: two_keys_are_different;
            keyring: secrets_are_stable;
            keyring: a_new_signing_key_survives_a_reopen_and_the_former_stays;
            keyring: racing_rotations_each_add_a_signing_key;
        );
    };
}

/// All tests of an ownership that has one node, for an implementation.
#[macro_export]
macro_rules! ownership_contract {
    ($implementation:ident: $ownership:ty) => {
        $crate::journal_contract!(@tests $implementation $ownership:
            ownership: a_lone_node_is_assigned_every_partition;
            ownership: what_is_assigned_is_confirmed_and_what_is_not_there_is_not;
        );
    };
}
