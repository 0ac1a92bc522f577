//! How good a critic, a planner or a set of planners is.

pub mod closer;
pub mod contrast;
pub mod critic;
mod draw;
mod logistic;
mod meaning;
pub mod refinement;
pub mod stats;
pub mod tournament;
