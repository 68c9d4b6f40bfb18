//! The structure suite.
