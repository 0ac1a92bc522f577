//! The goal-conditioned critic `Q(state, thought, outcome)`: trained by implicit Q-learning on recorded episodes,
//! served as calibrated probabilities (*Planning without Search*, arXiv 2505.18098).
//!
//! It may depend on the sdk, `forethought-candle`, candle and what candle itself depends on; not on another plugin or
//! on the runtime.
//!
//! # Words
//! A model says one outcome in many sentences. A *vocabulary* (`vocabulary = "FILE"`) lists known sentences under a
//! canonical one: a goal is then reached when the state holds its canonical outcome, whatever the words, and literal
//! identity is the special case of sentences that nobody lists. Training says goals and thoughts in words drawn from
//! their meaning; the critic reads a sentence as its canonical one, by a classifier that refuses what it is not sure
//! of, and says of anything else that it is outside the data. An imagined outcome can say several things: its clauses
//! are read one by one, and the least likely counts. Where meanings exclude each other (`excludes`), a goal is missed
//! when a rival comes first, and values of rivals sum to at most 1. Without a vocabulary nothing of this takes part.
//!
//! # Reading order
//! `config` (every number), `goals` (what is learned from), `label`, `vocabulary` and `understanding` (how texts are
//! read), `seen` (what is outside the data), `architecture`, `network` and `learner` (the methods), `calibration`,
//! `ranking` and `card` (what is measured and shown), `trainer` (the order of things), `checkpoint` (what is written),
//! `critic` (what is served) with `together` (its forward passes). `engine` chooses who computes: `cpu` has the arithmetic for CPUs, `learner` and
//! `optimiser` show the methods and run on any device. `table` has the embeddings.
//!
//! # Configuration
//! ```toml
//! [trainer.critic]
//! kind = "goal-q"
//! encoder = "hash"
//!
//! [critic.critic]
//! kind = "goal-q"
//! model = "runs/critic"        # or "hf:owner/name@revision"
//! encoder = "hash"             # the encoder it was trained with; another is refused
//! ```

mod architecture;
mod calibration;
mod card;
mod checkpoint;
mod config;
mod cpu;
mod critic;
mod engine;
mod goals;
mod label;
mod learner;
#[doc(hidden)]
pub mod measure;
mod network;
mod optimiser;
mod ranking;
mod seen;
mod snapshot;
mod table;
mod together;
mod trainer;
mod understanding;
mod vocabulary;

pub use config::{CalibrationKind, CriticConfig, EngineKind, FutureSteps, GoalConfig, Method, TrainerConfig};
pub use label::LabelConfig;
