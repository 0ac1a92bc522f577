//! The classifier at work: a checkpoint served as a value estimator.

use std::collections::HashMap;

use forethought_sdk::prelude::*;

use crate::{
    checkpoint::{self, Checkpoint},
    examples::Reading,
    regression::{scores, softmax},
    trainer::{columns, features},
};

/// Serves a classifier that `trainer.acts` made. A query's outcome names an act, and the estimate is how likely that act
/// is: for `thought`, said after the dialogue `state`; or, where it was trained so, as the next one after `state`.
#[config]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EstimatorConfig {
    /// The checkpoint: a folder, or `hf:owner/name@revision`.
    pub model: ConfigPath,
    /// Name of the text encoder it was trained with, as in `[encoder.<name>]`.
    pub encoder: String,
}

struct Acts {
    checkpoint: Checkpoint,
    weights: Vec<f32>,
    encoder: Arc<dyn TextEncoder>,
}

register! {
    interface: dyn Critic,
    kind: "acts",
    summary: "how likely a dialogue act is, of an utterance or as the next one; trained by trainer.acts",
    config: EstimatorConfig,
    new: |config: EstimatorConfig, host: Arc<dyn Host>| async move {
        let folder = host
            .model_files(ModelFiles {
                source: config.model.to_string_lossy().into_owned(),
                required: vec![checkpoint::CONFIG.into(), checkpoint::WEIGHTS.into()],
                optional: vec![checkpoint::CARD.into()],
            })
            .await?;
        let (checkpoint, weights) = checkpoint::read(&folder)?;
        let encoder = host.encoder(config.encoder.clone()).await?;
        let (spec, trained) = (encoder.spec().await?, &checkpoint.encoder);
        if (&spec.id, spec.dimension) != (&trained.id, trained.dimension) {
            return Err(Error::config(format!(
                "the acts in {:?} were learned with encoder {:?} (dimension {}), but [encoder.{}] is {:?} (dimension \
                 {}): configure the encoder they were learned with, or train with this one",
                config.model.0, trained.id, trained.dimension, config.encoder, spec.id, spec.dimension
            )));
        }
        Ok(Arc::new(Acts { checkpoint, weights, encoder }) as _)
    },
}

#[async_trait]
impl Critic for Acts {
    /// `raw` is the act's score before the softmax. An act that was not learned has probability 0.
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let Checkpoint { acts, encoder, config, .. } = &self.checkpoint;
        // A policy is asked about every act of one state: it is read once.
        let mut readings: Vec<Reading> = Vec::new();
        let mut places = HashMap::new();
        let rows: Vec<usize> = queries
            .iter()
            .map(|CriticQuery { state, thought, .. }| {
                *places.entry((state, thought)).or_insert_with(|| {
                    readings.push(Reading::new(state, thought, config.input, config.window));
                    readings.len() - 1
                })
            })
            .collect();
        let inputs = features(&*self.encoder, encoder, &readings, config.context).await?;
        let inputs: Vec<&[f32]> = inputs.chunks_exact(columns(encoder.dimension)).collect();
        let scores: Vec<Vec<f64>> =
            inputs.iter().map(|input| scores(&self.weights, acts.len(), input)).collect();
        let estimate =
            |(query, row): (&CriticQuery, usize)| match acts.iter().position(|act| *act == query.outcome) {
                Some(act) => {
                    let probability = softmax(&scores[row])[act];
                    Estimate { probability, raw: scores[row][act], uncertainty: 0.0 }
                }
                None => Estimate::default(),
            };
        Ok(queries.iter().zip(rows).map(estimate).collect())
    }
}
