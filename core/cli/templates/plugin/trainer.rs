//! How often each outcome came about: a trainer to start from, beside the critic that it makes.
//!
//! The critic looks at the outcome alone, whatever the state and the thought: the frequency that
//! any critic must beat.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{from_slice, json, to_vec_pretty};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";

/// The keys under `[trainer.<name>]`. What is said of a key becomes its help text.
#[config]
#[serde(default)]
struct TrainerConfig {
    /// Steps counted beforehand for each outcome, half of them with it.
    prior: f32,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self { prior: 2.0 }
    }
}

struct Counter {
    prior: f32,
}

#[async_trait]
impl CriticTrainer for Counter {
    // `fit.shuffle_outcomes`, the control, changes nothing here: frequencies do not see the states.
    // Nor does `fit.seed`: nothing is drawn.
    async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
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
        // `training.split` tells an evaluation which episodes are no longer unseen.
        let seen: Vec<&str> = fit.trajectories.iter().map(|one| &*one.episode).collect();
        let config = json!({
            "outcomes": reached.keys().collect::<Vec<_>>(),
            "training": { "split": { "train": seen, "validation": [] } },
        });
        fs::create_dir_all(&fit.out)?;
        fs::write(fit.out.join(WEIGHTS), weights)?;
        fs::write(fit.out.join(CONFIG), to_vec_pretty(&config)?)?;
        fs::write(fit.out.join("README.md"), "How often each outcome came about.\n")?;
        Ok(TrainingReport {
            steps: 1,
            best_step: 1,
            train_trajectories: fit.trajectories.len(),
            ..Default::default()
        })
    }
}

register! {
    interface: dyn CriticTrainer, kind: "{{name}}", summary: "counts how often each outcome came about",
    config: TrainerConfig,
    new: |config: TrainerConfig, _host| async move {
        if config.prior.is_nan() || config.prior <= 0.0 {
            return Err(Error::config(format!("prior = {}: it lies above 0", config.prior)));
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

/// The part of `config.json` that the critic reads.
#[data]
struct Checkpoint {
    outcomes: Vec<String>,
}

impl Frequencies {
    async fn load(config: CriticConfig, host: Arc<dyn Host>) -> Result<Self> {
        let Some(model) = config.model else { return Ok(Self(BTreeMap::new())) };
        // The host knows folders and the hub, and what the files hold is part of a run's identity.
        let source = model.to_string_lossy().into_owned();
        let required = vec![CONFIG.into(), WEIGHTS.into()];
        let folder =
            host.model_files(ModelFiles { source, required, ..Default::default() }).await?;
        let checkpoint: Checkpoint = from_slice(&fs::read(folder.join(CONFIG))?)?;
        let weights = fs::read(folder.join(WEIGHTS))?;
        let weights = SafeTensors::deserialize(&weights)?;
        let (numbers, _) = weights.tensor("frequency")?.data().as_chunks::<4>();
        let numbers = numbers.iter().map(|number| f64::from(f32::from_le_bytes(*number)));
        Ok(Self(checkpoint.outcomes.into_iter().zip(numbers).collect()))
    }
}

#[async_trait]
impl Critic for Frequencies {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let estimate = |query: &CriticQuery| {
            let probability = self.0.get(&query.outcome).copied().unwrap_or(0.5);
            Estimate { probability, raw: probability, uncertainty: 0.0 }
        };
        Ok(queries.iter().map(estimate).collect())
    }
}

register! {
    interface: dyn Critic, kind: "{{name}}", summary: "how often the outcome came about",
    config: CriticConfig,
    new: |config, host| async move { Ok(Arc::new(Frequencies::load(config, host).await?) as _) },
}
