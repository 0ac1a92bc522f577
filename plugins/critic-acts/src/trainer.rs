//! The course of a training: split by dialogue, encode, fit, measure on dialogues held out, write.

use std::collections::{BTreeMap, BTreeSet};

use forethought_sdk::{prelude::*, seed::SliceRandom, serde_json::json};

use crate::{
    checkpoint::{self, Checkpoint, Split},
    examples::{self, Example, Reading},
    measures::{accuracy, f1, macro_f1},
    regression::{Fitting, scores},
};

/// Trains a classifier of dialogue acts on annotated dialogues.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct TrainerConfig {
    /// Name of the text encoder, as in `[encoder.<name>]`.
    pub encoder: String,
    /// What an act is told by.
    pub input: Input,
    /// The seat whose acts are learned.
    pub seat: usize,
    /// Utterances before the one in focus that are read as its context.
    pub window: usize,
    /// Weight of the context beside the utterance in focus; 0 leaves it out.
    pub context: f32,
    /// Ridge on the weights.
    pub l2: f64,
    /// Steps of accelerated gradient descent.
    pub steps: u64,
    /// Share of the dialogues that is held out to be measured on.
    pub held_out: f64,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            encoder: "default".into(),
            input: Input::Utterance,
            seat: 0,
            window: 3,
            context: 0.5,
            l2: 1e-3,
            steps: 400,
            held_out: 0.2,
        }
    }
}

/// What an act is told by.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The utterance: which act it is.
    #[default]
    Utterance,
    /// The dialogue so far: which act comes next.
    State,
}

impl TrainerConfig {
    fn check(&self) -> Result<()> {
        let weight = |value: f64| value.is_finite() && value >= 0.0;
        let rules = [
            (weight(f64::from(self.context)), "context: must be 0 or more"),
            (weight(self.l2), "l2: must be 0 or more"),
            (self.steps > 0, "steps: must be above 0"),
            (self.held_out > 0.0 && self.held_out < 1.0, "held_out: must lie between 0 and 1"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(Error::config(format!("trainer acts: {rule}"))),
            None => Ok(()),
        }
    }
}

struct ActsTrainer {
    config: TrainerConfig,
    encoder: Arc<dyn TextEncoder>,
}

register! {
    interface: dyn CriticTrainer,
    kind: "acts",
    summary: "trains a small classifier of dialogue acts on annotated dialogues",
    config: TrainerConfig,
    new: |config: TrainerConfig, host: Arc<dyn Host>| async move {
        config.check()?;
        let encoder = host.encoder(config.encoder.clone()).await?;
        Ok(Arc::new(ActsTrainer { config, encoder }) as _)
    },
}

/// Steps between two words of progress.
const PIECE: u64 = 20;

#[async_trait]
impl CriticTrainer for ActsTrainer {
    async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
        checkpoint::replaceable(&fit.out)?;
        let config = &self.config;
        let (examples, acts) = examples::of(&fit.trajectories, config)?;
        let episode = |example: &Example| fit.trajectories[example.trajectory].episode.as_str();
        let split = split(examples.iter().map(episode).collect(), config.held_out, fit.seed)?;
        let (held, train): (Vec<_>, Vec<_>) =
            examples.iter().partition(|one| split.test.iter().any(|held| held == episode(one)));

        let encoder = self.encoder.spec().await?;
        let rows = |part: &[&Example]| part.iter().map(|one| one.reading.clone()).collect::<Vec<_>>();
        let inputs = features(&*self.encoder, &encoder, &rows(&train), config.context).await?;
        let unseen = features(&*self.encoder, &encoder, &rows(&held), config.context).await?;
        let mut labels: Vec<usize> = train.iter().map(|one| one.act).collect();
        if fit.shuffle_outcomes {
            labels.shuffle(&mut seed::stream(fit.seed, "acts/shuffle"));
        }
        let columns = columns(encoder.dimension);
        let mut fitting = Fitting::new(inputs, columns, &labels, acts.len(), config.l2)?;
        for done in (0..config.steps).step_by(PIECE as usize) {
            let count = PIECE.min(config.steps - done);
            fitting = tokio::task::spawn_blocking(move || fitting.run(count))
                .await
                .context("the training thread died")??;
            progress.report("train".into(), done + count, config.steps, String::new()).await?;
        }
        let weights = fitting.weights()?;

        let said = |row: &[f32]| highest(&scores(&weights, acts.len(), row));
        let pairs: Vec<(usize, usize)> =
            held.iter().zip(unseen.chunks_exact(columns)).map(|(one, row)| (one.act, said(row))).collect();
        let count = |part: &[&Example], act| part.iter().filter(|one| one.act == act).count();
        let commonest = highest(&(0..acts.len()).map(|act| count(&train, act) as f64).collect::<Vec<_>>());
        let majority: Vec<_> = held.iter().map(|one| (one.act, commonest)).collect();
        let metrics = BTreeMap::from([
            ("accuracy".to_owned(), accuracy(&pairs)),
            ("macro_f1".to_owned(), macro_f1(&pairs, acts.len())),
            ("accuracy_majority".to_owned(), accuracy(&majority)),
            ("macro_f1_majority".to_owned(), macro_f1(&majority, acts.len())),
            ("utterances".to_owned(), pairs.len() as f64),
        ]);
        let by_act = |(act, name): (usize, &String)| {
            let row =
                json!({ "train": count(&train, act), "held_out": count(&held, act), "f1": f1(&pairs, act) });
            (name.clone(), row)
        };
        let details = json!({ "acts": acts.iter().enumerate().map(by_act).collect::<BTreeMap<_, _>>() });
        let report = TrainingReport {
            steps: config.steps,
            best_step: config.steps,
            train_trajectories: split.train.len(),
            validation_trajectories: split.test.len(),
            metrics: metrics.clone(),
            details: details.clone(),
        };
        let checkpoint = Checkpoint {
            format: checkpoint::FORMAT.into(),
            acts,
            encoder,
            config: config.clone(),
            seed: fit.seed,
            shuffled_labels: fit.shuffle_outcomes,
            split,
            metrics,
            details,
        };
        checkpoint::write(&fit.out, &checkpoint, weights)?;
        Ok(report)
    }
}

/// Dialogues to learn from, and to measure on.
fn split(episodes: BTreeSet<&str>, held_out: f64, seed: u64) -> Result<Split> {
    if episodes.len() < 2 {
        return Err(Error::input(
            "a single annotated dialogue: one to learn from and one to measure on are wanted",
        ));
    }
    let mut episodes: Vec<String> = episodes.into_iter().map(str::to_owned).collect();
    episodes.shuffle(&mut seed::stream(seed, "acts/split"));
    let held = ((episodes.len() as f64 * held_out).round() as usize).clamp(1, episodes.len() - 1);
    let mut train = episodes.split_off(held);
    train.sort();
    episodes.sort();
    Ok(Split { train, test: episodes })
}

/// The first of the highest.
fn highest(scores: &[f64]) -> usize {
    (0..scores.len()).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0)
}

/// Numbers in a row: the focus, its context, and a one.
pub(crate) fn columns(dimension: usize) -> usize {
    2 * dimension + 1
}

/// One row a reading: the embedding of the focus, the weighted one of its context, and a one.
pub(crate) async fn features(
    encoder: &dyn TextEncoder,
    spec: &EncoderSpec,
    readings: &[Reading],
    context: f32,
) -> Result<Vec<f32>> {
    let mut rows = Vec::with_capacity(readings.len() * columns(spec.dimension));
    for piece in readings.chunks(256) {
        let texts = piece.iter().flat_map(|one| [one.focus.clone(), one.context.clone()]).collect();
        let embeddings = encoder.encode(texts).await?;
        if (embeddings.rows(), embeddings.columns()) != (2 * piece.len(), spec.dimension) {
            return Err(Error::other(format!(
                "encoder {:?} gave {} x {} numbers for {} texts of dimension {}",
                spec.id,
                embeddings.rows(),
                embeddings.columns(),
                2 * piece.len(),
                spec.dimension
            )));
        }
        for (index, reading) in piece.iter().enumerate() {
            rows.extend_from_slice(embeddings.row(2 * index));
            // Nothing said is nothing, whatever an encoder makes of an empty text.
            let weight = if reading.context.is_empty() { 0.0 } else { context };
            rows.extend(embeddings.row(2 * index + 1).iter().map(|number| weight * number));
            rows.push(1.0);
        }
    }
    Ok(rows)
}
