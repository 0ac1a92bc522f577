//! Dialogue acts: a softmax regression on a frozen encoder's embeddings, and its trainer.
//!
//! One model, two uses. With `input = "utterance"` it says which act an utterance is; with `input = "state"` it reads the
//! dialogue so far and says which act a person would choose next: the small policy of PPDPP (Deng et al., 2024).
//! May depend on the sdk, and on candle for its matrix products and files.
//!
//! # Reading order
//! `examples` (what is learned from), `regression` (the method), `measures`, `trainer` (the order of things),
//! `checkpoint` (what is written), `estimator` (what is served).
//!
//! # Configuration
//! ```toml
//! [trainer.policy]
//! kind = "acts"
//! encoder = "hash"
//! input = "state"
//!
//! [critic.policy]
//! kind = "acts"
//! model = "runs/policy"
//! encoder = "hash"
//! ```

mod checkpoint;
mod estimator;
mod examples;
mod measures;
mod regression;
mod trainer;

pub use estimator::EstimatorConfig;
pub use trainer::{Input, TrainerConfig};
