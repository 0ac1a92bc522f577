//! How good a critic, a planner or a set of planners is.

pub mod critic;
pub mod stats;
pub mod tournament;
