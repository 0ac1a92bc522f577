//! `reward-model`: whether an episode with such a step goes better than another, whatever the outcome.
//!
//! A reward model of whole trajectories, as ARMAP (Chen et al., 2025) trains one on pairs of a better and a worse one
//! of the same task, with the loss of Bradley and Terry. Here it is linear on frozen embeddings, so the score of a
//! trajectory is the mean of the scores of its steps:
//!
//! ```text
//! score(s, t) = w . [s, t]      score(trajectory) = mean of its steps' scores
//! P(A is better than B) = sigmoid(score(A) - score(B))
//! ```
//!
//! A query is answered with the probability that its state and thought are of a better trajectory than the mean one.
//! **The outcome of the query is not looked at**: it is for planners that need one number per thought (`scalar` with a
//! `goal`, `best-of-n`), and needs no outcome sentences in the data.

use std::collections::{BTreeMap, HashMap};

use forethought_sdk::api::metrics::{self, Scored};
use forethought_sdk::calibration::{Platt, sigmoid};
use forethought_sdk::checkpoint::{Split, encoder, files, replaceable};
use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, RngExt, SliceRandom};
use forethought_sdk::serde_json::json;

use crate::checkpoint::card_of;
use crate::config::{CriticConfig, RewardConfig};
use crate::data::{self, Interner, Parts, TextId, Texts, embed, sources};
use crate::linear::{self, dot};
use crate::trainer::{scored, share};

const FORMAT: &str = "forethought-reward-model/1";
/// Pairs per pass, for each trajectory.
const PAIRS: usize = 8;
/// Passes between two reports of progress.
const PIECE: usize = 5;

/// `config.json`, without the manifest.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Checkpoint {
    /// The encoder whose vectors are read.
    encoder: EncoderSpec,
    /// How it was trained.
    config: RewardConfig,
    /// The score of the mean trajectory that was learned from.
    usual: f64,
    /// From values to probabilities.
    calibration: Platt,
    /// Seed of the split.
    seed: u64,
    /// Whether this is the control of shuffled scores.
    shuffled_outcomes: bool,
    /// Trajectories by environment.
    environments: BTreeMap<String, usize>,
    /// Measures on the test part.
    metrics: BTreeMap<String, f64>,
}

struct RewardTrainer {
    config: RewardConfig,
    encoder: Arc<dyn TextEncoder>,
}

register! {
    interface: dyn CriticTrainer,
    kind: "reward-model",
    summary: "trains a reward model of whole trajectories on pairs of a better and a worse one",
    config: RewardConfig,
    new: |config: RewardConfig, host: Arc<dyn Host>| async move {
        config.check()?;
        let encoder = host.encoder(config.encoder.clone()).await?;
        Ok(Arc::new(RewardTrainer { config, encoder }) as _)
    },
}

/// A trajectory: the mean embedding of its steps, its task, and its score.
#[derive(Clone)]
struct Whole {
    mean: Vec<f32>,
    task: (String, u64),
    score: f64,
}

impl RewardTrainer {
    async fn wholes(
        &self,
        spec: &EncoderSpec,
        part: &[&Trajectory],
        progress: &dyn Progress,
        stage: &str,
    ) -> Result<Vec<Whole>> {
        let mut texts = Interner::default();
        let steps = part.iter().flat_map(|one| &one.steps);
        let places: Vec<[TextId; 2]> =
            steps.map(|step| [&step.state, &step.thought].map(|text| texts.id(text))).collect();
        let table = embed(&texts.0, &*self.encoder, spec, progress, stage).await?;
        let mut places = places.into_iter();
        let mut whole = |one: &&Trajectory| {
            let mut mean = vec![0.0; 2 * spec.dimension];
            for [state, thought] in places.by_ref().take(one.steps.len()) {
                let [state, thought] = [state, thought].map(|text| data::row(&table, spec.dimension, text));
                let vectors = state.iter().chain(thought);
                mean.iter_mut().zip(vectors).for_each(|(mean, number)| *mean += number);
            }
            mean.iter_mut().for_each(|number| *number /= one.steps.len() as f32);
            Whole { mean, task: (one.environment.clone(), one.task), score: one.score() }
        };
        Ok(part.iter().map(&mut whole).collect())
    }
}

/// Learns from pairs.
struct Fitting {
    learned: Vec<Whole>,
    /// Places of the trajectories of each task.
    tasks: HashMap<(String, u64), Vec<usize>>,
    weights: Vec<f32>,
    config: RewardConfig,
    rng: ChaCha8Rng,
    passes: usize,
}

impl Fitting {
    /// A trajectory to compare one with: of the same task half the time, if there is another with another score.
    fn other(&mut self, own: usize) -> Option<usize> {
        let score = self.learned[own].score;
        let differs = |other: &usize| (self.learned[*other].score - score).abs() > 1e-9;
        let same: Vec<usize> = self.tasks[&self.learned[own].task].iter().copied().filter(differs).collect();
        if !same.is_empty() && self.rng.random::<bool>() {
            return Some(same[self.rng.random_range(0..same.len())]);
        }
        (0..16)
            .map(|_| self.rng.random_range(0..self.learned.len()))
            .find(|other| (self.learned[*other].score - score).abs() > 1e-9)
    }

    fn run(mut self) -> Self {
        for _ in 0..PIECE.min(self.config.epochs - self.passes) {
            let rate = self.config.learning_rate / (1.0 + self.passes as f32 / 4.0);
            let mut order: Vec<usize> = (0..self.learned.len()).collect();
            order.shuffle(&mut self.rng);
            for own in order.into_iter().flat_map(|own| std::iter::repeat_n(own, PAIRS)) {
                let Some(other) = self.other(own) else { continue };
                let swapped = self.learned[own].score < self.learned[other].score;
                let (better, worse) = if swapped { (other, own) } else { (own, other) };
                let (better, worse) = (&self.learned[better].mean, &self.learned[worse].mean);
                let apart: Vec<f32> = better.iter().zip(worse).map(|(a, b)| a - b).collect();
                let pull = (1.0 - sigmoid(dot(&self.weights, &apart))) as f32;
                for (weight, apart) in self.weights.iter_mut().zip(&apart) {
                    *weight += rate * (pull * apart - self.config.l2 as f32 * *weight);
                }
            }
            self.passes += 1;
        }
        self
    }
}

#[async_trait]
impl CriticTrainer for RewardTrainer {
    async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
        replaceable(&fit.out)?;
        let config = &self.config;
        let parts = Parts::new(&fit.trajectories, config.validation_fraction, fit.seed)?;
        let spec = self.encoder.spec().await?;
        let mut learned = self.wholes(&spec, &parts.train, &*progress, "encode").await?;
        let scores: Vec<f64> = learned.iter().map(|one| one.score).collect();
        if scores.iter().all(|score| (score - scores[0]).abs() < 1e-9) {
            return Err(Error::input(format!(
                "all {} trajectories scored {}: a reward model learns from better and worse ones",
                scores.len(),
                scores[0]
            )));
        }
        if fit.shuffle_outcomes {
            let mut shuffled = scores.clone();
            shuffled.shuffle(&mut seed::stream(fit.seed, "reward-model/shuffle"));
            learned.iter_mut().zip(shuffled).for_each(|(one, score)| one.score = score);
        }
        let usual_score = scores.iter().sum::<f64>() / scores.len() as f64;
        let validation = self.wholes(&spec, &parts.validation, &*progress, "encode validation").await?;
        let test = self.wholes(&spec, &parts.test, &*progress, "encode test").await?;
        let mut tasks: HashMap<(String, u64), Vec<usize>> = HashMap::new();
        for (place, one) in learned.iter().enumerate() {
            tasks.entry(one.task.clone()).or_default().push(place);
        }
        let mut fitting = Fitting {
            weights: vec![0.0; 2 * spec.dimension],
            config: config.clone(),
            rng: seed::stream(fit.seed, "reward-model/pairs"),
            passes: 0,
            tasks,
            learned,
        };
        while fitting.passes < config.epochs {
            fitting = tokio::task::spawn_blocking(move || fitting.run())
                .await
                .context("the training thread died")?;
            progress
                .report("train".into(), fitting.passes as u64, config.epochs as u64, String::new())
                .await?;
        }
        let Fitting { learned, weights, .. } = fitting;
        let usual = learned.iter().map(|one| dot(&weights, &one.mean)).sum::<f64>() / learned.len() as f64;
        let pairs = |part: &[Whole]| -> Vec<(f64, bool)> {
            let value = |one: &Whole| sigmoid(dot(&weights, &one.mean) - usual);
            part.iter().map(|one| (value(one), one.score > usual_score)).collect()
        };
        let (on_validation, on_test) = (pairs(&validation), pairs(&test));
        let calibration = Platt::fit(&on_validation);
        let shown = scored(&on_test, calibration);
        let base = share(&on_validation);
        let by_base: Vec<Scored> = on_test.iter().map(|&(_, good)| Scored::new(base, good)).collect();
        let mut measures = BTreeMap::from([
            ("trajectories".to_owned(), shown.len() as f64),
            ("base_rate".to_owned(), metrics::base_rate(&shown)),
            ("brier".to_owned(), metrics::brier(&shown)),
            ("brier_base_rate".to_owned(), metrics::brier(&by_base)),
        ]);
        measures.extend(metrics::auc(&shown).map(|auc| ("auc".to_owned(), auc)));
        let report = TrainingReport {
            steps: config.epochs as u64,
            best_step: config.epochs as u64,
            train_trajectories: parts.train.len(),
            validation_trajectories: parts.validation.len() + parts.test.len(),
            metrics: measures.clone(),
            details: json!({ "better_is_above": usual_score }),
        };
        let checkpoint = Checkpoint {
            encoder: spec,
            config: config.clone(),
            usual,
            calibration,
            seed: fit.seed,
            shuffled_outcomes: fit.shuffle_outcomes,
            environments: sources(&fit.trajectories),
            metrics: measures,
        };
        let card = card(&checkpoint, &parts.split);
        linear::write(&fit, FORMAT, parts.split, &checkpoint, &weights, &card)?;
        Ok(report)
    }
}

fn card(checkpoint: &Checkpoint, split: &Split) -> String {
    let Checkpoint { encoder, metrics, shuffled_outcomes, .. } = checkpoint;
    let text = format!(
        "It says whether an episode with such a state and thought goes better than the mean one; outcomes are not looked \
         at. Linear on embeddings by `{}`, dimension {}: another is refused. Trained on pairs of {} episodes, calibrated \
         on {}, measured on {}.",
        encoder.id,
        encoder.dimension,
        split.train.len(),
        split.validation.len(),
        split.test.len()
    );
    card_of("critic, reward-model", "A reward model", shuffled_outcomes.then_some("scores"), &text, metrics)
}

struct RewardModel {
    checkpoint: Checkpoint,
    weights: Vec<f32>,
    encoder: Arc<dyn TextEncoder>,
}

register! {
    interface: dyn Critic,
    kind: "reward-model",
    summary: "whether an episode with such a step goes better than the mean one; trained by trainer.reward-model",
    config: CriticConfig,
    new: |config: CriticConfig, host: Arc<dyn Host>| async move {
        let folder = host.model_files(files(&config.model)).await?;
        let says = |one: &Checkpoint| (2 * one.encoder.dimension, one.calibration);
        let (checkpoint, weights) = linear::read(&folder, FORMAT, says)?;
        let encoder = encoder(&*host, &config.encoder, &checkpoint.encoder, &config.model).await?;
        Ok(Arc::new(RewardModel { checkpoint, weights, encoder }) as _)
    },
}

#[async_trait]
impl Critic for RewardModel {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        let Checkpoint { encoder, usual, calibration, .. } = &self.checkpoint;
        let texts = queries.iter().flat_map(|query| [&query.state, &query.thought]);
        let texts = Texts::new(&*self.encoder, encoder, texts).await?;
        let estimate = |query: &CriticQuery| {
            let row = [&query.state, &query.thought].map(|text| texts.row(text)).concat();
            let raw = sigmoid(dot(&self.weights, &row) - usual);
            Estimate { probability: calibration.probability(raw), raw, ..Estimate::default() }
        };
        Ok(queries.iter().map(estimate).collect())
    }
}
