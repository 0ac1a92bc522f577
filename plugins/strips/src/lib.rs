//! PDDL: domains and problems read, plans searched, checked and compared. What worlds and planners in PDDL share, and
//! no plugin itself.
//!
//! May depend on `forethought-sdk` alone. The language is STRIPS with types, constants, equality and negative
//! preconditions; anything else is refused by file, line and column. It is read by our own parser because that of
//! crates.io (`pddl`) is under a licence that this project cannot take, and has no limits on depth and size.
//!
//! # Reading order
//! `syntax` (lists of words), [`domain`] (domains and problems), [`task`] (a problem's objects, states, actions),
//! [`plan`] (plans and what is wrong with them), `ground` and [`search`] (plans found, with the heuristics of
//! `heuristics`), [`formula`] (heuristics that a model writes), [`equal`] (problems that are the same), [`words`]
//! (facts in words), [`generate`] (problems of four domains).

pub mod domain;
pub mod equal;
pub mod formula;
pub mod generate;
mod ground;
mod heuristics;
pub mod plan;
pub mod search;
mod syntax;
pub mod task;
pub mod words;

pub use domain::{Domain, Problem};
pub use syntax::Fault;
pub use task::{Call, Fact, State, Task};
