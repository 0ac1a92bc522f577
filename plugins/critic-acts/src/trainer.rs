//! The course of a training: split by dialogue, encode, fit, measure on dialogues held out, write.

use std::collections::{BTreeMap, BTreeSet};

use forethought_sdk::{
    checkpoint::{Split, replaceable},
    prelude::*,
    seed::SliceRandom,
    serde_json::json,
    snapshot::Snapshot,
};

use crate::{
    checkpoint::{self, Checkpoint},
    config::TrainerConfig,
    examples::{self, Example},
    features::{columns, features},
    measures::{accuracy, f1, macro_f1},
    regression::{Fitting, scores},
};

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

/// Steps between two reports of progress.
const PIECE: u64 = 20;

#[async_trait]
impl CriticTrainer for ActsTrainer {
    async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
        replaceable(&fit.out)?;
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
        let mut fitting = Fitting::new(inputs, columns, labels, acts.len(), config.l2);
        let mut snapshot = Snapshot::new(&fit, "train", &(checkpoint::FORMAT, config, &encoder))?;
        let before = snapshot.read().map_or(0, |state| fitting.restore(&state));
        for done in (before..config.steps).step_by(PIECE as usize) {
            let count = PIECE.min(config.steps - done);
            fitting = tokio::task::spawn_blocking(move || fitting.run(count))
                .await
                .context("the training thread died")?;
            snapshot.keep(|| Ok(fitting.state()));
            progress.report("train".into(), done + count, config.steps, String::new()).await?;
        }
        let weights = fitting.into_weights();

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
            acts,
            encoder,
            config: config.clone(),
            seed: fit.seed,
            shuffled_labels: fit.shuffle_outcomes,
            metrics,
            details,
        };
        checkpoint::write(&fit, split, &checkpoint, &weights)?;
        Ok(report)
    }
}

/// Dialogues to learn from, and to measure on.
fn split(episodes: BTreeSet<&str>, held_out: f64, seed: u64) -> Result<Split> {
    if episodes.len() < 2 {
        return Err(Error::input(
            "a single annotated dialogue: two are needed, one to learn from and one to measure on",
        ));
    }
    let mut episodes: Vec<String> = episodes.into_iter().map(str::to_owned).collect();
    episodes.shuffle(&mut seed::stream(seed, "acts/split"));
    let held = ((episodes.len() as f64 * held_out).round() as usize).clamp(1, episodes.len() - 1);
    let mut train = episodes.split_off(held);
    train.sort();
    episodes.sort();
    Ok(Split { train, validation: Vec::new(), test: episodes })
}

/// The first of the highest.
fn highest(scores: &[f64]) -> usize {
    (0..scores.len()).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0)
}
