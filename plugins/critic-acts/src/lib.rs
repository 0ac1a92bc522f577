//! Dialogue acts: a softmax regression on a frozen encoder's embeddings, and its trainer.
//!
//! One model, two uses. With `input = "utterance"` it predicts which act an utterance is; with `input = "state"` it reads
//! the dialogue so far and predicts which act a person would choose next: the small policy of PPDPP (Deng et al., 2024).
//! It may depend on the sdk, and on `safetensors` for the file of its weights.
//!
//! # Reading order
//! `config` (every setting), `examples` (what is learned from), `features` (as numbers), `regression` (the method),
//! `measures`, `trainer` (the order of things), `checkpoint` (what is written), `critic` (what is served).
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
mod config;
mod critic;
mod examples;
mod features;
mod measures;
mod regression;
mod trainer;

pub use config::{CriticConfig, Input, TrainerConfig};
