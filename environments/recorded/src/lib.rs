//! `environment.recorded` and `planner.recorded`: recorded episodes once more, so that everything that reads a run works
//! on imported data. Summaries, rewards, journal, budgets and progress are those of `forethought collect`.
//!
//! It may depend on the sdk. A task is a trajectory of a file of JSON Lines. The world shows what was seen, the planner
//! thinks and does what was thought and done, and nothing else can be done. `docs/labelling.md` is the guide.
//!
//! # Reading order
//! `config` (what a user writes), `data` (the file), `world` (episodes), `score` (rewards), `repeat` (the planner).

mod config;
mod data;
mod repeat;
mod score;
mod world;

pub use config::{RecordedConfig, RepeatConfig, RewardConfig};
pub use repeat::Repeat;
pub use world::Recorded;
