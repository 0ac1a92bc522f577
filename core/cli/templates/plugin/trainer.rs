//! How often each outcome was reached: a trainer to start from, next to the critic that it makes.
//!
//! The critic looks only at the outcome, whatever the state and the thought: the frequency that
//! any critic must beat.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use forethought_sdk::checkpoint::{self, Manifest, Split, WEIGHTS};
use forethought_sdk::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// Name and version of what `config.json` states; raise the number when it changes.
const FORMAT: &str = "{{name}}/1";

/// The keys under `[trainer.<name>]`. The comment on a key becomes its help text.
#[config]
#[serde(default)]
struct TrainerConfig {
    /// Imagined steps added for each outcome, half of which reach it.
    prior: f32,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self { prior: 2.0 }
    }
}

/// `config.json`, without the manifest.
#[data]
#[derive(Serialize)]
struct Frequency {
    /// In the order of the weights.
    outcomes: Vec<String>,
}

struct Counter {
    prior: f32,
}

#[async_trait]
impl CriticTrainer for Counter {
    // `fit.shuffle_outcomes`, the control, changes nothing here: frequencies do not see the states.
    // Nor does `fit.seed`: nothing is drawn.
    async fn fit(
        &self,
        fit: TrainingRequest,
        progress: Arc<dyn Progress>,
    ) -> Result<TrainingReport> {
        checkpoint::replaceable(&fit.out)?;
        let mut reached: BTreeMap<&str, f32> = BTreeMap::new();
        let mut steps = 0.0;
        let total = fit.trajectories.len() as u64;
        for (done, trajectory) in (1..).zip(&fit.trajectories) {
            for step in &trajectory.steps {
                steps += 1.0;
                for outcome in BTreeSet::from_iter(&step.outcomes) {
                    *reached.entry(outcome).or_default() += 1.0;
                }
            }
            progress.report("counting".into(), done, total, String::new()).await?;
        }
        let weight = |count: &f32| (count + self.prior / 2.0) / (steps + self.prior);
        let weights: Vec<u8> = reached.values().flat_map(|n| weight(n).to_le_bytes()).collect();
        let tensor = TensorView::new(Dtype::F32, vec![reached.len()], &weights)?;
        let weights = safetensors::serialize([("frequency", tensor)], None)?;
        // These tell an evaluation which episodes and tasks the critic has seen.
        let train = fit.trajectories.iter().map(|one| one.episode.clone()).collect();
        let split = Split { train, ..Split::default() };
        let trained_on = fit.trained_on(&split);
        let manifest = Manifest { format: FORMAT.into(), split, trained_on };
        let outcomes = reached.keys().map(|outcome| outcome.to_string()).collect();
        let card = "How often each outcome was reached.\n";
        checkpoint::write(&fit.out, &manifest, &Frequency { outcomes }, &weights, card)?;
        Ok(TrainingReport {
            steps: 1,
            best_step: 1,
            train_trajectories: fit.trajectories.len(),
            ..Default::default()
        })
    }
}

register! {
    interface: dyn CriticTrainer, kind: "{{name}}", summary: "counts how often each outcome was reached",
    config: TrainerConfig,
    new: |config: TrainerConfig, _host| async move {
        if config.prior.is_nan() || config.prior <= 0.0 {
            return Err(Error::config(format!("prior = {}: it must be above 0", config.prior)));
        }
        Ok(Arc::new(Counter { prior: config.prior }) as _)
    },
}

/// The keys under `[critic.<name>]`.
#[config]
#[derive(Default)]
#[serde(default)]
struct CriticConfig {
    /// A folder that the trainer wrote, or `hf:owner/name@revision`; without it, nothing is known.
    model: Option<ConfigPath>,
}

/// Frequencies by outcome.
struct Frequencies(BTreeMap<String, f64>);

impl Frequencies {
    async fn load(config: CriticConfig, host: Arc<dyn Host>) -> Result<Self> {
        let Some(model) = config.model else { return Ok(Self(BTreeMap::new())) };
        // The host knows folders and the hub, and the files' contents are part of a run's identity.
        let folder = host.model_files(checkpoint::files(&model)).await?;
        let Frequency { outcomes } = checkpoint::read(&folder, FORMAT)?;
        let weights = fs::read(folder.join(WEIGHTS))?;
        let weights = SafeTensors::deserialize(&weights)?;
        let (numbers, _) = weights.tensor("frequency")?.data().as_chunks::<4>();
        let numbers = numbers.iter().map(|number| f64::from(f32::from_le_bytes(*number)));
        Ok(Self(outcomes.into_iter().zip(numbers).collect()))
    }
}

#[async_trait]
impl Critic for Frequencies {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let estimate = |query: &CriticQuery| {
            let probability = self.0.get(&query.outcome).copied().unwrap_or(0.5);
            Estimate::of(probability)
        };
        Ok(queries.iter().map(estimate).collect())
    }
}

register! {
    interface: dyn Critic, kind: "{{name}}", summary: "how often the outcome was reached",
    config: CriticConfig,
    new: |config, host| async move { Ok(Arc::new(Frequencies::load(config, host).await?) as _) },
}
