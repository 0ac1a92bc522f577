//! Critics: how likely is an outcome, if a thought is followed from a state; and how critics are made.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Result, interface,
    planner::{Models, Requirements},
    trajectory::Trajectory,
};

/// `Q(s, thought, g)`: the likelihood of reaching outcome `g` after following `thought` in `s` (arXiv 2505.18098).
#[interface("forethought.value/1")]
pub trait Critic: Send + Sync {
    /// One estimate a query, in order. An estimate does not depend on the rest of the batch.
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>>;
    /// What this critic asks of others: most ask nothing.
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    /// As [`Critic::estimate`], for critics that [require](Critic::requires) language models: within an
    /// episode they are asked through `models`, where their calls are recorded and counted.
    async fn estimate_with(
        &self,
        queries: Vec<CriticQuery>,
        models: Arc<dyn Models>,
    ) -> Result<Vec<Estimate>> {
        let _ = models;
        self.estimate(queries).await
    }
}

/// One question to a critic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CriticQuery {
    /// Summary of the history.
    pub state: String,
    /// The strategy under judgement.
    pub thought: String,
    /// The outcome, in words.
    pub outcome: String,
}

/// One answer of a critic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Estimate {
    /// Calibrated probability, within [0, 1].
    pub probability: f64,
    /// The raw value before calibration.
    pub raw: f64,
    /// Half the distance between twin estimates, or 0 where there is but one.
    pub uncertainty: f64,
}

/// Something that makes critics out of recorded episodes.
#[interface("forethought.value_trainer/1")]
pub trait CriticTrainer: Send + Sync {
    /// Trains on `trajectories` and writes a checkpoint folder (`model.safetensors`, `config.json`, `README.md`) at
    /// `out`. Same data and seed, same weights.
    async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport>;
}

/// What to train on and where to put it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingRequest {
    /// The data.
    pub trajectories: Vec<Trajectory>,
    /// The checkpoint's folder; made if missing, replaced if it holds an older checkpoint.
    pub out: PathBuf,
    /// Seed of initial weights, batches and splits.
    pub seed: u64,
    /// Train on outcomes shuffled between trajectories: the control, which must not help.
    pub shuffle_outcomes: bool,
}

/// What training came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TrainingReport {
    /// Gradient steps taken.
    pub steps: u64,
    /// The step whose weights were kept (early stopping).
    pub best_step: u64,
    /// Trajectories trained on, and held out for validation and calibration.
    pub train_trajectories: usize,
    /// Trajectories held out.
    pub validation_trajectories: usize,
    /// Measures on held-out (state, thought, outcome) triples, by name: `auc`, `brier`, `ece`, `base_rate`, ...
    pub metrics: std::collections::BTreeMap<String, f64>,
    /// Anything else worth keeping.
    pub details: Value,
}

/// Where long work reports to.
#[interface("forethought.progress/1")]
pub trait Progress: Send + Sync {
    /// `done` of `total` units of `stage`; `note` is a short text such as the current loss.
    async fn report(&self, stage: String, done: u64, total: u64, note: String) -> Result<()>;
}

/// A progress that nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

#[async_trait]
impl Progress for NoProgress {
    async fn report(&self, _: String, _: u64, _: u64, _: String) -> Result<()> {
        Ok(())
    }
}
