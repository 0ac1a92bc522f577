//! Configuration of the trainer and its critic: every number of the method, with its default and its meaning.

use forethought_sdk::config::obey;
use forethought_sdk::prelude::*;

use crate::label::LabelConfig;

/// Trains a goal-conditioned critic: by implicit Q-learning (arXiv 2505.18098), or as a classifier of hindsight labels.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct TrainerConfig {
    /// Name of the text encoder, as in `[encoder.<name>]`.
    #[schemars(with = "EncoderName")]
    pub encoder: String,
    /// How it learns: `iql`, by implicit Q-learning, or `hindsight`, as a classifier of what the rest of the recorded
    /// episode reached. The rest is the same, so the two can be compared.
    pub method: Method,
    /// Widths of the hidden layers of Q and V.
    #[schemars(length(max = 32), inner(range(max = 16_384)))]
    pub hidden: Vec<usize>,
    /// Learning rate of AdamW.
    pub learning_rate: f64,
    /// Weight decay of AdamW.
    pub weight_decay: f64,
    /// Expectile tau of V: 0.5 averages over the thoughts in the data, towards 1 it trusts the best of them.
    pub expectile: f64,
    /// Discount per step until an outcome is reached. What a thought causes mostly happens soon after it.
    pub gamma: f64,
    /// Polyak rate: the share of the online weights that enters the averaged ones at each step.
    pub polyak: f64,
    /// (state, thought, goal) rows in a batch.
    #[schemars(range(max = 65_536))]
    pub batch: usize,
    /// Goals drawn for each transition of a batch. They share that transition's part of the first layer, so more
    /// goals make a step cheaper, but leave it fewer transitions.
    #[schemars(range(max = 4096))]
    pub goals_per_transition: usize,
    /// Most gradient steps to take. By default 8000, or one pass over the transitions if that is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// In place of `steps`: how many transitions to draw at most, as a multiple of those that are trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passes: Option<f64>,
    /// Steps between two evaluations on the validation data. By default 250, or a 32nd of the steps if that is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluate_every: Option<u64>,
    /// Evaluations without improvement after which training stops; 0 never stops early. The best
    /// evaluation is the one with the least `brier` less `thought_gain`; its weights are kept.
    pub patience: u32,
    /// Where training goals come from.
    pub goals: GoalConfig,
    /// Share of the trajectories that is held out. Half of it chooses the step and fits the calibration, the other
    /// half is only measured on.
    pub validation_fraction: f64,
    /// Goals drawn from all outcomes for each held-out step, for calibration and metrics.
    #[schemars(range(max = 4096))]
    pub validation_goals: usize,
    /// Most held-out triples (a step and a goal) that an evaluation during training looks at; of more, a sample that
    /// stays the same. Calibration and the report use all.
    #[schemars(range(min = 1))]
    pub validation_triples: usize,
    /// How raw values become probabilities.
    pub calibration: CalibrationKind,
    /// `auto` (a GPU if there is one), `cpu`, or `cuda:<number>`, which needs a build with the feature `cuda`.
    pub device: String,
    /// The arithmetic on a CPU: `fast`, `bf16` (needs AVX-512 BF16; inexact products, see `docs/metrics.md`), or
    /// `readable`, the code that shows the method. `fast` and `readable` give the same critic.
    pub engine: EngineKind,
    /// Threads of `fast` and `bf16`, and of evaluations; 0 is one for each core. The critic is the same for any number.
    #[schemars(range(max = 1024))]
    pub threads: usize,
    /// Embeddings of more than this many MiB are kept in a file next to the checkpoint while it trains.
    pub embeddings_in_memory_mb: u64,
    /// JSON file of which outcome sentences and thoughts mean the same, as `forethought label` writes it:
    /// `{ "outcomes": [{ "text": "...", "sentences": ["..."] }], "thoughts": [...] }`. An outcome in other words then
    /// counts as reached. Without it, only the same words do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<ConfigPath>,
    /// How `forethought label` groups recorded sentences by what they mean.
    #[serde(skip_serializing_if = "is_default")]
    pub label: LabelConfig,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Chosen on the simulated environments together; `docs/metrics.md` says how.
impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            encoder: "default".into(),
            method: Method::default(),
            hidden: vec![128, 128],
            learning_rate: 1e-3,
            weight_decay: 0.1,
            expectile: 0.8,
            gamma: 0.85,
            polyak: 0.005,
            batch: 256,
            goals_per_transition: 4,
            steps: None,
            passes: None,
            evaluate_every: None,
            patience: 12,
            goals: GoalConfig::default(),
            validation_fraction: 0.2,
            validation_goals: 8,
            validation_triples: 65_536,
            calibration: CalibrationKind::Isotonic,
            device: "auto".into(),
            engine: EngineKind::default(),
            threads: 0,
            embeddings_in_memory_mb: 512,
            label: LabelConfig::default(),
            vocabulary: None,
        }
    }
}

/// How a critic learns.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Implicit Q-learning: values of what good thoughts reach, from pieces of different episodes.
    #[default]
    Iql,
    /// Classification: whether the recorded episode reached the goal.
    Hindsight,
}

/// The arithmetic of a training on a CPU.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// All threads, no allocation per step.
    #[default]
    Fast,
    /// As `fast`, with the products of matrices in bfloat16. Weights and sums stay 32-bit numbers.
    Bf16,
    /// candle's operations and automatic differentiation, on one thread.
    Readable,
}

/// Where training goals come from. The three shares are weights and need not sum to 1.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct GoalConfig {
    /// Share of goals that describe the current state.
    pub current: f64,
    /// Share of goals from the trajectory's own future: what did happen.
    pub future: f64,
    /// Share of goals from other trajectories: what mostly does not happen. Without them the critic never learns
    /// that an outcome can fail to happen; with most goals from there, rare outcomes get values near their frequency.
    pub other: f64,
    /// How a future step is drawn.
    pub future_steps: FutureSteps,
    /// Use summaries of reached states as goals.
    pub use_states_as_goals: bool,
    /// Use one-sentence descriptions of reached states as goals: the style of imagined outcomes.
    pub use_outcomes_as_goals: bool,
}

impl Default for GoalConfig {
    fn default() -> Self {
        Self {
            current: 0.05,
            future: 0.25,
            other: 0.7,
            future_steps: FutureSteps::Geometric,
            use_states_as_goals: true,
            use_outcomes_as_goals: true,
        }
    }
}

/// How a future step is drawn.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FutureSteps {
    /// With probability proportional to gamma to the power of the distance.
    #[default]
    Geometric,
    /// Each remaining step with the same probability.
    Uniform,
}

/// How raw values become probabilities.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationKind {
    /// The best non-decreasing map: assumes no shape, but needs data.
    #[default]
    Isotonic,
    /// A logistic curve of two parameters; for few trajectories.
    Platt,
    /// The raw value itself.
    None,
}

/// A training that no key limits takes as many steps or one pass, and is evaluated so often.
const STEPS: u64 = 8000;
const EVALUATIONS: u64 = 32;

impl TrainerConfig {
    /// The steps of a pass over so many transitions.
    pub(crate) fn steps_of_pass(&self, transitions: usize) -> f64 {
        transitions as f64 / (self.batch / self.goals_per_transition) as f64
    }

    /// Most gradient steps of a training on so many transitions, and those between two evaluations.
    pub(crate) fn schedule(&self, transitions: usize) -> (u64, u64) {
        let pass = self.steps_of_pass(transitions);
        let steps = match (self.steps, self.passes) {
            (Some(steps), _) => steps,
            (None, Some(passes)) => ((passes * pass).ceil() as u64).max(1),
            (None, None) => (pass.ceil() as u64).max(STEPS),
        };
        let every = self.evaluate_every.unwrap_or((steps / EVALUATIONS).max(STEPS / EVALUATIONS));
        (steps, every)
    }

    /// Refuses numbers that cannot work, by key.
    pub(crate) fn check(&self) -> Result<()> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let goals = &self.goals;
        let shares = [goals.current, goals.future, goals.other];
        let rules = [
            (
                !self.hidden.is_empty() && !self.hidden.contains(&0),
                "hidden: needs at least one width, each above 0",
            ),
            (positive(self.learning_rate), "learning_rate: must be above 0"),
            (self.weight_decay.is_finite() && self.weight_decay >= 0.0, "weight_decay: must be 0 or more"),
            (self.expectile > 0.0 && self.expectile < 1.0, "expectile: must lie between 0 and 1"),
            (self.gamma > 0.0 && self.gamma <= 1.0, "gamma: must be above 0 and at most 1"),
            (self.polyak > 0.0 && self.polyak <= 1.0, "polyak: must be above 0 and at most 1"),
            (self.goals_per_transition > 0, "goals_per_transition: must be above 0"),
            (self.batch >= self.goals_per_transition, "batch: must hold goals_per_transition rows or more"),
            (self.steps != Some(0), "steps: must be above 0"),
            (self.passes.is_none_or(positive), "passes: must be above 0"),
            (self.steps.is_none() || self.passes.is_none(), "steps, passes: give one of the two"),
            (self.evaluate_every != Some(0), "evaluate_every: must be above 0"),
            (self.validation_triples > 0, "validation_triples: must be above 0"),
            (self.validation_goals > 0, "validation_goals: must be above 0"),
            (
                self.validation_fraction > 0.0 && self.validation_fraction < 1.0,
                "validation_fraction: must lie between 0 and 1",
            ),
            (
                shares.iter().all(|share| share.is_finite() && *share >= 0.0)
                    && positive(shares.iter().sum()),
                "goals: current, future and other must be 0 or more, and not all 0",
            ),
            (
                goals.use_states_as_goals || goals.use_outcomes_as_goals,
                "goals: one of use_states_as_goals and use_outcomes_as_goals must be true",
            ),
        ];
        obey("trainer goal-q", &rules)
    }
}

/// Serves a critic that `trainer.goal-q` trained.
#[config]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CriticConfig {
    /// The checkpoint: a folder, or `hf:owner/name@revision`.
    pub model: ConfigPath,
    /// Name of the text encoder it was trained with, as in `[encoder.<name>]`.
    #[schemars(with = "EncoderName")]
    pub encoder: String,
    /// Whether it marks estimates as outside its data, so that no planner shows them: of an outcome that it cannot
    /// read, or of a state or thought that is unlike all in its data. By default it does if it was trained with a
    /// vocabulary; without one it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abstain: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_with_the_data_where_no_key_limits_them() {
        // 64 transitions in a batch.
        let schedule = |config: TrainerConfig, transitions| config.schedule(transitions);
        for (transitions, expected) in
            [(11_753, (8000, 250)), (512_000, (8000, 250)), (6_400_000, (100_000, 3125))]
        {
            assert_eq!(schedule(TrainerConfig::default(), transitions), expected);
        }
        let few = TrainerConfig { steps: Some(500), ..TrainerConfig::default() };
        assert_eq!(schedule(few, 6_400_000), (500, 250));
        let passes = TrainerConfig { passes: Some(0.5), evaluate_every: Some(7), ..TrainerConfig::default() };
        assert_eq!(schedule(passes, 6401), (51, 7));
    }
}
