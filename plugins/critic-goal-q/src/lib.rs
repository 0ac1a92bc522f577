//! The goal-conditioned critic `Q(state, thought, outcome)`: trained by implicit Q-learning on recorded episodes,
//! served as calibrated probabilities (*Planning without Search*, arXiv 2505.18098).
//!
//! It may depend on the sdk, candle and what is beneath candle; on no other plugin and not on the runtime.
//!
//! # Reading order
//! `config` (every number), `goals` (what is learned from), `network` and `iql` (the method), `calibration`,
//! `trainer` (the order of things), `checkpoint` (what is written), `estimator` (what is served). `kernel` is the
//! arithmetic under it all.
//!
//! # Configuration
//! ```toml
//! [trainer]
//! kind = "goal-q"
//! encoder = "hash"
//!
//! [critic.critic]
//! kind = "goal-q"
//! model = "runs/critic"        # or "hf:owner/name@revision"
//! encoder = "hash"             # the encoder it was trained with; another is refused
//! ```

mod calibration;
mod checkpoint;
mod config;
mod estimator;
mod goals;
mod iql;
mod kernel;
#[doc(hidden)]
pub mod measure;
mod network;
mod optimiser;
mod trainer;

pub use config::{CalibrationKind, FutureSteps, GoalConfig, TrainerConfig};
pub use estimator::EstimatorConfig;
