//! Critics that learned nothing: the controls of every comparison of critics.
//!
//! [`judge`] asks a language model for its own probabilities ("self-plan"), [`random`] answers with numbers that have
//! nothing to do with the question. May depend on `forethought-sdk` and a template engine.

pub mod judge;
pub mod random;
