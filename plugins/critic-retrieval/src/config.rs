//! Configuration of the trainers and of the critics that they make.

use forethought_sdk::config::obey;
use forethought_sdk::prelude::*;

/// Trains a critic that looks up the nearest recorded steps.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct RetrievalConfig {
    /// Name of the text encoder, as in `[encoder.<name>]`.
    #[schemars(with = "EncoderName")]
    pub encoder: String,
    /// Recorded steps that an estimate rests on.
    #[schemars(range(min = 1, max = 10_000))]
    pub neighbours: usize,
    /// Discount per step until an outcome is reached: what a thought causes mostly happens soon after it.
    pub gamma: f64,
    /// Share of the trajectories that is held out. Half of it chooses the distances and fits the calibration, the other
    /// half is only measured on.
    pub validation_fraction: f64,
    /// Outcomes drawn from all of the data for each held-out step.
    #[schemars(range(min = 1, max = 4096))]
    pub validation_goals: usize,
}

impl Default for RetrievalConfig {
    fn default() -> Self {
        Self {
            encoder: "default".into(),
            neighbours: 64,
            gamma: 0.85,
            validation_fraction: 0.2,
            validation_goals: 8,
        }
    }
}

impl RetrievalConfig {
    pub(crate) fn check(&self) -> Result<()> {
        let rules = [
            (self.neighbours > 0, "neighbours: must be above 0"),
            (self.gamma > 0.0 && self.gamma <= 1.0, "gamma: must be above 0 and at most 1"),
            (
                self.validation_fraction > 0.0 && self.validation_fraction < 1.0,
                "validation_fraction: must lie between 0 and 1",
            ),
            (self.validation_goals > 0, "validation_goals: must be above 0"),
        ];
        obey("trainer retrieval", &rules)
    }
}

/// Trains a logistic regression on the embeddings of state, thought and outcome: the simplest critic that depends on
/// all three.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct RegressionConfig {
    /// Name of the text encoder, as in `[encoder.<name>]`.
    #[schemars(with = "EncoderName")]
    pub encoder: String,
    /// Discount per step until an outcome is reached.
    pub gamma: f64,
    /// Share of the outcomes that are drawn from a step's own future; the others are from all of the data.
    pub future: f64,
    /// Outcomes drawn for each step, in training and of held-out steps.
    #[schemars(range(min = 1, max = 4096))]
    pub goals: usize,
    /// Passes over the data; at most five million rows are looked at.
    #[schemars(range(min = 1, max = 1000))]
    pub epochs: usize,
    /// Strength of the ridge penalty.
    pub l2: f64,
    /// Share of the trajectories that is held out, as with `retrieval`.
    pub validation_fraction: f64,
}

impl Default for RegressionConfig {
    fn default() -> Self {
        Self {
            encoder: "default".into(),
            gamma: 0.85,
            future: 0.3,
            goals: 8,
            epochs: 20,
            l2: 1e-4,
            validation_fraction: 0.2,
        }
    }
}

impl RegressionConfig {
    pub(crate) fn check(&self) -> Result<()> {
        let rules = [
            (self.gamma > 0.0 && self.gamma <= 1.0, "gamma: must be above 0 and at most 1"),
            ((0.0..=1.0).contains(&self.future), "future: must be a share from 0 to 1"),
            (self.goals > 0, "goals: must be above 0"),
            (self.epochs > 0, "epochs: must be above 0"),
            (self.l2.is_finite() && self.l2 >= 0.0, "l2: must be 0 or more"),
            (
                self.validation_fraction > 0.0 && self.validation_fraction < 1.0,
                "validation_fraction: must lie between 0 and 1",
            ),
        ];
        obey("trainer regression", &rules)
    }
}

/// Trains a reward model of whole trajectories, on pairs of a better and a worse one.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct RewardConfig {
    /// Name of the text encoder, as in `[encoder.<name>]`.
    #[schemars(with = "EncoderName")]
    pub encoder: String,
    /// Passes over the trajectories, each of which is compared with eight others per pass.
    #[schemars(range(min = 1, max = 10_000))]
    pub epochs: usize,
    /// Learning rate of the first pass.
    pub learning_rate: f32,
    /// Strength of the ridge penalty.
    pub l2: f64,
    /// Share of the trajectories that is held out, as with `retrieval`.
    pub validation_fraction: f64,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self { encoder: "default".into(), epochs: 20, learning_rate: 1.0, l2: 1e-4, validation_fraction: 0.2 }
    }
}

impl RewardConfig {
    pub(crate) fn check(&self) -> Result<()> {
        let rules = [
            (self.epochs > 0, "epochs: must be above 0"),
            (self.learning_rate.is_finite() && self.learning_rate > 0.0, "learning_rate: must be above 0"),
            (self.l2.is_finite() && self.l2 >= 0.0, "l2: must be 0 or more"),
            (
                self.validation_fraction > 0.0 && self.validation_fraction < 1.0,
                "validation_fraction: must lie between 0 and 1",
            ),
        ];
        obey("trainer reward-model", &rules)
    }
}

/// Serves what the trainer of the same kind made.
#[config]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CriticConfig {
    /// The checkpoint: a folder, or `hf:owner/name@revision`.
    pub model: ConfigPath,
    /// Name of the text encoder it was trained with, as in `[encoder.<name>]`.
    #[schemars(with = "EncoderName")]
    pub encoder: String,
}
