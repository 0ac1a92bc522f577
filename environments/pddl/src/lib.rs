//! `environment.pddl`: planning problems in PDDL as text worlds, generated or from files; `behaviour.pddl`, what the
//! simulated LLM knows of them; and `llm.pddl-scripted`, a model of stated error rates for planners that write PDDL.
//!
//! May depend on `forethought-sdk` and `forethought-strips`; never on the runtime or a plugin. `docs/pddl.md` is the
//! guide.
//!
//! # Reading order
//! `config` (what a user writes), `tasks` (problems from files and generators), `text` (what a seat reads), `world`
//! (episodes), `reader` (the same texts read back, without anything else), `behaviour` and `scripted` (who acts by
//! them).

pub mod behaviour;
mod config;
mod reader;
mod scripted;
mod tasks;
mod text;
mod world;

pub use config::{ActionForm, Generate, PddlConfig, RewardForm, RulesForm, StateForm, TaskForm};
pub use scripted::{Scripted, ScriptedConfig};
pub use world::Pddl;
