//! Planners in which a language model writes PDDL and something that cannot be argued with does the rest: a search, or
//! a validator of plans. Each sees what any planner sees: instructions, observations, and its own settings.
//!
//! May depend on `forethought-sdk`, `forethought-strips` and a template engine; knows no environment and no backend.
//!
//! # Reading order
//! [`llm_p`] (the model translates, a planner solves), [`isr_llm`] (the model plans, a validator's errors go back),
//! [`world_model`] (the model writes the rules), [`llm_heuristic`] (the model writes what guides a search).
//!
//! Below them `symbolic` (what they share: how a decision is made), `ask` (asking, with what is wrong sent back),
//! [`pddl`] (PDDL found in texts), [`solver`] (the built-in search, or a program), `follow` (a plan carried out over
//! several decisions), `prompts` (templates).

mod ask;
mod follow;
pub mod isr_llm;
pub mod llm_heuristic;
pub mod llm_p;
pub mod pddl;
mod prompts;
pub mod solver;
mod symbolic;
pub mod world_model;

pub use symbolic::SymbolicConfig;
