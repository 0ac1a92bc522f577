//! The goal-conditioned critic `Q(state, thought, outcome)`: trained by implicit Q-learning on recorded episodes,
//! served as calibrated probabilities (*Planning without Search*, arXiv 2505.18098).
//!
//! It may depend on the sdk, `forethought-candle`, candle and what candle itself depends on; not on another plugin or on
//! the runtime.
//!
//! # Reading order
//! `config` (every number), `goals` (what is learned from), `architecture`, `network` and `iql` (the method),
//! `calibration`, `label` (which sentences say the same), `trainer` (the order of things), `checkpoint` (what is written), `critic` (what is served). `cpu` has
//! the arithmetic for CPUs, and `optimiser` chooses between it and candle's.
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
mod snapshot;
mod trainer;

pub use config::{CalibrationKind, CriticConfig, FutureSteps, GoalConfig, TrainerConfig};
pub use label::LabelConfig;
