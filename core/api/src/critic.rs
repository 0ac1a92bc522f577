//! Critics: how likely an outcome is if a thought is followed from a state, and how critics are trained.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, Result,
    checkpoint::{Split, TrainedOn},
    error::Code,
    interface,
    planner::{Models, Requirements},
    trajectory::Trajectory,
};

/// `Q(s, thought, g)`: the likelihood of reaching outcome `g` after following `thought` in `s` (arXiv 2505.18098).
///
/// ```
/// use forethought_api::{Result, critic::*};
///
/// /// Trusts thoughts that mention the outcome.
/// struct Literal;
///
/// #[async_trait::async_trait]
/// impl Critic for Literal {
///     async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
///         let estimate = |query: &CriticQuery| {
///             Estimate::of(if query.thought.contains(&query.outcome) { 0.9 } else { 0.1 })
///         };
///         Ok(queries.iter().map(estimate).collect())
///     }
/// }
///
/// # futures::executor::block_on(async {
/// let query = CriticQuery { thought: "buy a red shirt".into(), outcome: "red shirt".into(), ..Default::default() };
/// assert_eq!(Literal.estimate(vec![query]).await?[0].probability, 0.9);
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
#[interface("forethought.value/1")]
pub trait Critic: Send + Sync {
    /// One estimate per query, in order. An estimate does not depend on the rest of the batch.
    ///
    /// # Errors
    /// [`Code::Malformed`] if the critic asks a model and cannot read its answer: the
    /// planner then decides without it, and its trace says so.
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>>;
    /// How the data that it was trained on speak, for the prompts of a planner. It stays the same during a run; by
    /// default nothing is known.
    async fn style_card(&self) -> Result<StyleCard> {
        Ok(StyleCard::default())
    }
    /// What this critic needs from others; most need nothing.
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    /// Like [`Critic::estimate`], for critics that [require](Critic::requires) language models: within an episode they
    /// use `models`, where their calls are recorded and counted.
    async fn estimate_with(
        &self,
        queries: Vec<CriticQuery>,
        models: Arc<dyn Models>,
    ) -> Result<Vec<Estimate>> {
        let _ = models;
        self.estimate(queries).await
    }
    /// What the estimate of a query rests on, in words and recorded steps; by default the critic cannot say.
    async fn explain(&self, query: CriticQuery) -> Result<Explanation> {
        let _ = query;
        Ok(Explanation::default())
    }
}

/// A question to a critic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CriticQuery {
    /// Summary of the history.
    pub state: String,
    /// The strategy being judged.
    pub thought: String,
    /// The outcome, in words.
    pub outcome: String,
}

/// A critic's answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Estimate {
    /// Calibrated probability, within [0, 1].
    pub probability: f64,
    /// The raw value, before calibration.
    pub raw: f64,
    /// Standard deviation of the probability, as far as the critic knows it: of twins, half the distance between their
    /// estimates. 0 if it does not know.
    pub uncertainty: f64,
    /// How far the query is from the data that the critic was trained on: the share of held-out questions that are
    /// nearer to them, within [0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<f64>,
    /// The outcome of the critic's [`StyleCard`] that this outcome was read as, by its index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<u32>,
    /// Whether the query is outside the data that the critic was trained on: the numbers then mean nothing, and nobody
    /// should be shown them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
}

impl Estimate {
    /// This probability, by a critic that calibrates nothing and has no twin.
    pub fn of(probability: f64) -> Self {
        Self { probability, raw: probability, ..Self::default() }
    }
}

/// What an estimate rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Explanation {
    /// In a sentence; empty if the critic does not explain itself.
    pub text: String,
    /// Recorded steps, the weightiest first.
    pub evidence: Vec<Evidence>,
}

/// A recorded step that an estimate rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Evidence {
    /// Its share in the estimate.
    pub weight: f64,
    /// How far its future reached the outcome, from 0 to 1.
    pub reached: f64,
    /// Its episode.
    pub episode: String,
    /// Its place in the episode, counted from 0.
    pub step: u32,
    /// The state in which it was taken.
    pub state: String,
    /// The thought that was followed.
    pub thought: String,
    /// What came next.
    pub outcome: String,
}

/// How the data of a critic's training speak. A planner shows it to the model, which then speaks likewise: a critic
/// judges best what is said as in its data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StyleCard {
    /// The outcomes that the critic tells apart, the most frequent first.
    pub outcomes: Vec<KnownOutcome>,
    /// Typical summaries of states.
    pub states: Vec<String>,
    /// Typical thoughts, the most frequent first.
    pub thoughts: Vec<String>,
}

/// An outcome that a critic tells apart from others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KnownOutcome {
    /// One sentence for it.
    pub text: String,
    /// The yardstick of its values: the mean calibrated probability over the states and thoughts of the data.
    pub usual: f64,
    /// Mean score of the recorded episodes that reached it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_return: Option<f64>,
}

/// Sentences grouped by what they mean: a model says one outcome or thought in many ways. `forethought label` writes it
/// as JSON, people edit it, and `trainer.goal-q` reads it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Vocabulary {
    /// The meanings of outcome sentences. A sentence with several meanings is listed under each.
    pub outcomes: Vec<Meaning>,
    /// The meanings of thoughts.
    pub thoughts: Vec<Meaning>,
    /// The meanings of the sentences that summaries of states consist of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<Meaning>,
}

/// One meaning of a [`Vocabulary`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Meaning {
    /// Its canonical sentence, which is shown to models.
    pub text: String,
    /// Recorded sentences that say it; the canonical one counts whether it is among them or not.
    pub sentences: Vec<String>,
    /// Canonical sentences of the meanings that hold wherever this one does: the team of a quest that failed had been
    /// approved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub implies: Vec<String>,
    /// Canonical sentences of the meanings that it competes with: a team is approved or rejected. Of an outcome with
    /// rivals, a critic says how likely it is to come before them; without them, how likely it is to come at all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<String>,
}

/// Trains critics on recorded episodes.
///
/// ```
/// use forethought_api::{Result, critic::*, trajectory::Trajectory};
/// # use std::sync::Arc;
///
/// /// Learns how often episodes end well.
/// struct BaseRate;
///
/// #[async_trait::async_trait]
/// impl CriticTrainer for BaseRate {
///     async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
///         let all = fit.trajectories.len();
///         let good = fit.trajectories.iter().filter(|trajectory| trajectory.score() > 0.0).count();
///         let rate = good as f64 / all.max(1) as f64;
///         std::fs::create_dir_all(&fit.out)?;
///         std::fs::write(fit.out.join("config.json"), format!("{{ \"base_rate\": {rate} }}"))?;
///         progress.report("fit".into(), 1, 1, String::new()).await?;
///         let metrics = [("base_rate".into(), rate)].into();
///         Ok(TrainingReport { steps: 1, train_trajectories: all, metrics, ..Default::default() })
///     }
/// }
///
/// # futures::executor::block_on(async {
/// # let out = std::env::temp_dir().join(format!("forethought-base-rate-{}", std::process::id()));
/// let fit = TrainingRequest { trajectories: vec![Trajectory::default()], out, ..Default::default() };
/// # let out = fit.out.clone();
/// let report = BaseRate.fit(fit, Arc::new(NoProgress)).await?;
/// assert_eq!(report.metrics["base_rate"], 0.0);
/// # std::fs::remove_dir_all(out)?;
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
#[interface("forethought.value_trainer/1")]
pub trait CriticTrainer: Send + Sync {
    /// Trains on `trajectories` and writes a checkpoint folder (`model.safetensors`, `config.json`, `README.md`) at
    /// `out`. Same data and seed, same weights.
    async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport>;
    /// Groups the recorded sentences by what they mean, and writes the groups to `request.out` as JSON while it works.
    /// Sentences that the file at `request.out` already holds are not asked about again.
    ///
    /// # Errors
    /// [`Code::Unimplemented`] by default.
    async fn label(&self, request: LabelRequest, progress: Arc<dyn Progress>) -> Result<Vocabulary> {
        let _ = (request, progress);
        Err(Error::new(Code::Unimplemented, "this trainer cannot group sentences by what they mean"))
    }
}

/// What to label and where to write the result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LabelRequest {
    /// The data.
    pub trajectories: Vec<Trajectory>,
    /// What the episodes are about: the instructions of their environment.
    pub about: String,
    /// The vocabulary's file.
    pub out: PathBuf,
}

/// What to train on and where to write the result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingRequest {
    /// The data.
    pub trajectories: Vec<Trajectory>,
    /// The checkpoint's folder: created if missing, replaced if it holds an older checkpoint.
    pub out: PathBuf,
    /// Seed of initial weights, batches and splits.
    pub seed: u64,
    /// Train on outcomes shuffled between trajectories: the control, which must not help.
    pub shuffle_outcomes: bool,
    /// Start over, even if an interrupted training left something to continue from.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// Hash of the environment's configuration, if there is an environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
}

impl TrainingRequest {
    /// The tasks that a training with this `split` learns from, for the checkpoint's
    /// [`Manifest`](crate::checkpoint::Manifest). Those that are only measured on do not count.
    pub fn trained_on(&self, split: &Split) -> Option<TrainedOn> {
        let mut trained = TrainedOn { configuration: self.configuration.clone()?, ..TrainedOn::default() };
        let learned = |one: &&Trajectory| !one.steps.is_empty() && !split.test.contains(&one.episode);
        for one in self.trajectories.iter().filter(learned) {
            trained.tasks.entry(one.environment.clone()).or_default().insert(one.task);
        }
        Some(trained)
    }
}

/// The result of training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TrainingReport {
    /// Gradient steps taken.
    pub steps: u64,
    /// The step whose weights were kept (early stopping).
    pub best_step: u64,
    /// Trajectories trained on.
    pub train_trajectories: usize,
    /// Trajectories held out for validation and calibration.
    pub validation_trajectories: usize,
    /// Measures on held-out (state, thought, outcome) triples, by name: `auc`, `brier`, `ece`, `base_rate`, ...
    pub metrics: std::collections::BTreeMap<String, f64>,
    /// Anything else worth recording. `train` shows `warnings`, a list of texts.
    pub details: Value,
}

/// Receives reports about long work.
#[interface("forethought.progress/1")]
pub trait Progress: Send + Sync {
    /// `done` of `total` units of `stage`; `note` is a short text such as the current loss.
    async fn report(&self, stage: String, done: u64, total: u64, note: String) -> Result<()>;
}

/// Ignores all reports.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

#[async_trait]
impl Progress for NoProgress {
    async fn report(&self, _: String, _: u64, _: u64, _: String) -> Result<()> {
        Ok(())
    }
}
