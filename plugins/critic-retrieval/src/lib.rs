//! Critics that learn from what recorded episodes led to, without a neural network: `retrieval` looks up the nearest
//! recorded steps, `regression` is a logistic regression on the same embeddings, and `reward-model` scores whole
//! trajectories. All have trainers.
//!
//! They may depend on the sdk, and on `safetensors` for the files of their weights.
//!
//! # Retrieval
//! The value of an outcome `g` after a thought `t` in a state `s` is a weighted mean over the `k` recorded steps whose
//! state and thought are nearest under the encoder, of how soon their own future reached the outcome:
//!
//! ```text
//! d_i   = |s - s_i|^2 + lambda |t - t_i|^2
//! w_i   = exp(-d_i / h)
//! v_i   = max over later steps j of the same episode and their outcomes o of gamma^(j - i) K(g, o)
//! value = (sum of w_i v_i + base) / (sum of w_i + 1)
//! ```
//!
//! `K` is 1 for the same text and 0 otherwise, if two recorded episodes have the outcome. An outcome in other words is
//! compared with the recorded ones by their embeddings. `base` is the mean of `v` over all recorded steps: a question
//! far from the data gets the usual value of its outcome. `lambda` and `h` are chosen on held-out episodes, by the
//! Brier score less what knowing the thought adds to it, and a logistic curve fitted there turns values into
//! probabilities.
//!
//! The search is exact: every distinct state and thought is compared. It takes memory and time in proportion to the
//! data.
//!
//! # Reading order
//! `config` (every number), `data` (what is learned from), `index` (the search), `trainer` (the order of things),
//! `checkpoint` (what is written), `critic` (what is served); `regression` and `reward` (the other critics), and `linear`,
//! what these two share.
//!
//! # Configuration
//! ```toml
//! [trainer.neighbours]
//! kind = "retrieval"
//! encoder = "hash"
//!
//! [critic.neighbours]
//! kind = "retrieval"
//! model = "neighbours"
//! encoder = "hash"
//! ```

mod checkpoint;
mod config;
mod critic;
mod data;
mod index;
mod linear;
mod regression;
mod reward;
mod trainer;

pub use config::{CriticConfig, RegressionConfig, RetrievalConfig, RewardConfig};
