//! `regression`: a logistic regression on embeddings of state, thought and outcome, and on the products of the outcome
//! with the other two, number by number, without which it could not tell which outcome goes with which thought.
//!
//! It learns how soon each step's own future reached an outcome (`gamma` to the power of the steps until then), from
//! outcomes of that future and from outcomes of other episodes, as `goal-q` does. A critic that does not beat it has
//! learned nothing that embeddings do not say directly.

use std::collections::BTreeMap;

use forethought_sdk::api::metrics::evenly;
use forethought_sdk::calibration::{Platt, sigmoid};
use forethought_sdk::checkpoint::{Split, encoder, files, replaceable};
use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, RngExt, SliceRandom};
use forethought_sdk::serde_json::json;

use crate::checkpoint::card_of;
use crate::config::{CriticConfig, RegressionConfig};
use crate::data::{self, Corpus, Parts, Question, TextId, Texts, questions, sources};
use crate::linear::{self, dot};
use crate::trainer::{measures, share};

const FORMAT: &str = "forethought-regression/1";
/// Most rows that a training looks at.
const ROWS: usize = 5_000_000;
/// Rows between two reports of progress.
const PIECE: usize = 20_000;
/// Held-out steps that are asked about.
const ASKED: usize = 2000;

/// `config.json`, without the manifest.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Checkpoint {
    /// The encoder whose vectors are read.
    encoder: EncoderSpec,
    /// How it was trained.
    config: RegressionConfig,
    /// From values to probabilities.
    calibration: Platt,
    /// Seed of the split.
    seed: u64,
    /// Whether this is the control of shuffled outcomes.
    shuffled_outcomes: bool,
    /// Trajectories by environment.
    environments: BTreeMap<String, usize>,
    /// Measures on the test part.
    metrics: BTreeMap<String, f64>,
}

/// The inputs of a row: five vectors side by side, and a one.
fn inputs([state, thought, outcome]: [&[f32]; 3], row: &mut Vec<f32>) {
    // Entries of unit vectors are of the order of 1 / sqrt(dimension), so are their products after scaling.
    let scale = (outcome.len() as f32).sqrt();
    row.clear();
    row.extend([state, thought, outcome].into_iter().flatten());
    for other in [state, thought] {
        row.extend(other.iter().zip(outcome).map(|(a, b)| scale * a * b));
    }
    row.push(1.0);
}

/// Of the inputs.
fn columns(dimension: usize) -> usize {
    5 * dimension + 1
}

struct RegressionTrainer {
    config: RegressionConfig,
    encoder: Arc<dyn TextEncoder>,
}

register! {
    interface: dyn CriticTrainer,
    kind: "regression",
    summary: "trains a logistic regression on embeddings of state, thought and outcome",
    config: RegressionConfig,
    new: |config: RegressionConfig, host: Arc<dyn Host>| async move {
        config.check()?;
        let encoder = host.encoder(config.encoder.clone()).await?;
        Ok(Arc::new(RegressionTrainer { config, encoder }) as _)
    },
}

/// Steps to learn from, and where a training is.
struct Fitting {
    corpus: Corpus,
    vectors: Vec<f32>,
    dimension: usize,
    marginal: Vec<TextId>,
    config: RegressionConfig,
    order: Vec<u32>,
    rng: ChaCha8Rng,
    now: Vec<f32>,
    /// The mean of the weights over the second half of the training: they wander around the optimum.
    mean: Vec<f32>,
    averaged: f32,
    done: usize,
    rows: usize,
}

impl Fitting {
    fn row(&self, text: TextId) -> &[f32] {
        data::row(&self.vectors, self.dimension, text)
    }

    /// An outcome to ask a step about: one of its own future, or of all of the data.
    fn goal(&mut self, step: usize) -> TextId {
        if self.rng.random::<f64>() < self.config.future {
            let future = self.corpus.future(step);
            let (left, gamma) = (future.len(), self.config.gamma);
            let ahead = if gamma < 1.0 {
                let mass = 1.0 - gamma.powi(left as i32);
                ((1.0 - self.rng.random::<f64>() * mass).ln() / gamma.ln()) as usize
            } else {
                self.rng.random_range(0..left)
            };
            let outcomes = &future[ahead.min(left - 1)].outcomes;
            if !outcomes.is_empty() {
                return outcomes[self.rng.random_range(0..outcomes.len())];
            }
        }
        self.marginal[self.rng.random_range(0..self.marginal.len())]
    }

    /// Learns from the next rows.
    fn run(mut self) -> Self {
        let mut row = Vec::with_capacity(columns(self.dimension));
        let end = (self.done + PIECE).min(self.rows);
        while self.done < end {
            let place = self.done % self.order.len();
            if place == 0 {
                self.order.shuffle(&mut self.rng);
            }
            let step = self.order[place] as usize;
            let goal = self.goal(step);
            let soon =
                self.corpus.value(step, self.config.gamma, |text| if text == goal { 1.0 } else { 0.0 });
            let recorded = &self.corpus.steps[step];
            inputs([self.row(recorded.state), self.row(recorded.thought), self.row(goal)], &mut row);
            // As `critic eval`'s own regression: a rate that falls with each pass over the data.
            let pass = self.done / self.order.len().max(1);
            let rate = 1.0 / (1.0 + pass as f32 / self.config.goals as f32);
            let error = (sigmoid(dot(&self.now, &row)) - soon) as f32;
            let ridge = self.config.l2 as f32;
            let last = row.len() - 1;
            for (place, (weight, input)) in self.now.iter_mut().zip(&row).enumerate() {
                let penalty = if place == last { 0.0 } else { ridge * *weight };
                *weight -= rate * (error * input + penalty);
            }
            self.done += 1;
            // Not each row's: averaging costs as much as a step.
            if self.done > self.rows / 2 && self.done.is_multiple_of(16) {
                self.averaged += 1.0;
                let share = 1.0 / self.averaged;
                for (mean, now) in self.mean.iter_mut().zip(&self.now) {
                    *mean += share * (*now - *mean);
                }
            }
        }
        self
    }

    fn weights(&self) -> &[f32] {
        if self.averaged > 0.0 { &self.mean } else { &self.now }
    }
}

#[async_trait]
impl CriticTrainer for RegressionTrainer {
    async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
        replaceable(&fit.out)?;
        let config = &self.config;
        let parts = Parts::new(&fit.trajectories, config.validation_fraction, fit.seed)?;
        let [train, validation, test] = parts.corpora("regression", &fit)?;
        let marginal = train.marginal()?;
        let spec = self.encoder.spec().await?;
        let vectors = train.embed(&*self.encoder, &spec, &*progress, "encode").await?;
        let asked = async |corpus: Corpus, stage: &str| {
            let own = corpus.embed(&*self.encoder, &spec, &*progress, stage).await?;
            let steps: Vec<usize> = (0..corpus.steps.len()).collect();
            let steps: Vec<usize> = evenly(&steps, ASKED).collect();
            let mut rng = seed::stream(fit.seed, &format!("regression/{stage}"));
            let all = questions(&corpus, &steps, (&train, &marginal), config.goals, &mut rng);
            Ok::<_, Error>((corpus, own, all))
        };
        let validation = asked(validation, "encode validation").await?;
        let test = asked(test, "encode test").await?;

        let columns = columns(spec.dimension);
        let rows = (train.steps.len() * config.goals * config.epochs).min(ROWS);
        let mut fitting = Fitting {
            order: (0..train.steps.len() as u32).collect(),
            corpus: train,
            vectors,
            dimension: spec.dimension,
            marginal,
            config: config.clone(),
            rng: seed::stream(fit.seed, "regression/rows"),
            now: vec![0.0; columns],
            mean: vec![0.0; columns],
            averaged: 0.0,
            done: 0,
            rows,
        };
        while fitting.done < rows {
            fitting = tokio::task::spawn_blocking(move || fitting.run())
                .await
                .context("the training thread died")?;
            progress.report("train".into(), fitting.done as u64, rows as u64, String::new()).await?;
        }
        let (weights, dimension) = (fitting.weights(), spec.dimension);
        let pairs = |(corpus, own, all): &(Corpus, Vec<f32>, Vec<Question>)| {
            let mut row = Vec::new();
            let mut value = |one: &Question| {
                let step = &corpus.steps[one.step];
                let [state, thought] = [step.state, step.thought].map(|text| data::row(own, dimension, text));
                inputs([state, thought, fitting.row(one.goal)], &mut row);
                (sigmoid(dot(weights, &row)), one.reached)
            };
            all.iter().map(&mut value).collect::<Vec<_>>()
        };
        let on_validation = pairs(&validation);
        let calibration = Platt::fit(&on_validation);
        let metrics = measures(&pairs(&test), calibration, share(&on_validation));
        let mut warnings = Vec::new();
        if !fit.shuffle_outcomes && metrics["brier"] >= metrics["brier_base_rate"] {
            warnings.push("on held-out data this critic is no better than the base rate alone");
        }
        let report = TrainingReport {
            steps: rows as u64,
            best_step: rows as u64,
            train_trajectories: parts.train.len(),
            validation_trajectories: parts.validation.len() + parts.test.len(),
            metrics: metrics.clone(),
            details: json!({ "train_steps": fitting.corpus.steps.len(), "warnings": warnings }),
        };
        let checkpoint = Checkpoint {
            encoder: spec,
            config: config.clone(),
            calibration,
            seed: fit.seed,
            shuffled_outcomes: fit.shuffle_outcomes,
            environments: sources(&fit.trajectories),
            metrics,
        };
        let card = card(&checkpoint, &parts.split);
        linear::write(&fit, FORMAT, parts.split, &checkpoint, weights, &card)?;
        Ok(report)
    }
}

fn card(checkpoint: &Checkpoint, split: &Split) -> String {
    let Checkpoint { encoder, metrics, shuffled_outcomes, .. } = checkpoint;
    let text = format!(
        "On embeddings of state, thought and outcome by `{}`, dimension {}: another is refused. Trained on {} episodes, \
         calibrated on {}, measured on {}.",
        encoder.id,
        encoder.dimension,
        split.train.len(),
        split.validation.len(),
        split.test.len()
    );
    let shuffled = shuffled_outcomes.then_some("outcomes");
    card_of("critic", "A logistic regression as a critic", shuffled, &text, metrics)
}

struct Regression {
    checkpoint: Checkpoint,
    weights: Vec<f32>,
    encoder: Arc<dyn TextEncoder>,
}

register! {
    interface: dyn Critic,
    kind: "regression",
    summary: "a logistic regression on embeddings of state, thought and outcome; trained by trainer.regression",
    config: CriticConfig,
    new: |config: CriticConfig, host: Arc<dyn Host>| async move {
        let folder = host.model_files(files(&config.model)).await?;
        let says = |one: &Checkpoint| (columns(one.encoder.dimension), one.calibration);
        let (checkpoint, weights) = linear::read(&folder, FORMAT, says)?;
        let encoder = encoder(&*host, &config.encoder, &checkpoint.encoder, &config.model).await?;
        Ok(Arc::new(Regression { checkpoint, weights, encoder }) as _)
    },
}

#[async_trait]
impl Critic for Regression {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        let texts = queries.iter().flat_map(|query| [&query.state, &query.thought, &query.outcome]);
        let texts = Texts::new(&*self.encoder, &self.checkpoint.encoder, texts).await?;
        let mut row = Vec::new();
        let estimate = |CriticQuery { state, thought, outcome }: &CriticQuery| {
            inputs([state, thought, outcome].map(|text| texts.row(text)), &mut row);
            let raw = sigmoid(dot(&self.weights, &row));
            let probability = self.checkpoint.calibration.probability(raw);
            Estimate { probability, raw, ..Estimate::default() }
        };
        Ok(queries.iter().map(estimate).collect())
    }
}
