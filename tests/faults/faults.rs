//! The faults suite.
