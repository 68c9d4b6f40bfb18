//! The rules of the read side: without one of them some seed must fail.

use super::is_needed;
use journal::Rule;

#[test]
fn a_store_that_compares_no_checkpoints_is_caught() {
    is_needed(Rule::CompareCheckpoints);
}

#[test]
fn parked_keys_that_are_forgotten_at_a_restart_are_caught() {
    is_needed(Rule::LoadParkedKeys);
}
