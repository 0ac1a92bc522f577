//! The goal-conditioned critic `Q(state, thought, outcome)`: trained by implicit Q-learning on recorded episodes,
//! served as calibrated probabilities (*Planning without Search*, arXiv 2505.18098).
//!
//! It may depend on the sdk, `forethought-candle`, candle and what candle itself depends on; not on another plugin or on
//! the runtime.
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
//! `config` (every number), `goals` (what is learned from), `label`, `vocabulary` and `understanding` (how texts are read),
//! `seen` (what is outside the data), `architecture`, `network` and `iql` (the method), `calibration`, `ranking` and
//! `card` (what is measured and shown), `trainer` (the order of things), `checkpoint` (what is written), `critic` (what
//! is served). `cpu` has the arithmetic for CPUs, and `optimiser` chooses between it and candle's.
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
mod goals;
mod iql;
mod label;
#[doc(hidden)]
pub mod measure;
mod network;
mod optimiser;
mod ranking;
mod seen;
mod snapshot;
mod trainer;
mod understanding;
mod vocabulary;

pub use config::{CalibrationKind, CriticConfig, FutureSteps, GoalConfig, TrainerConfig};
pub use label::LabelConfig;
