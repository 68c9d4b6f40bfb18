//! The properties suite.
