//! Critics that learned nothing.
//!
//! [`judge`] asks a language model for its own probabilities ("self-plan"), [`random`] answers with numbers that have
//! nothing to do with the question, and [`constant`] with one number: the controls of every comparison of critics.
//! [`reader`] has a language model say unknown sentences in the words of another critic. May depend on
//! `forethought-sdk` and a template engine.

pub mod constant;
pub mod judge;
pub mod random;
pub mod reader;
