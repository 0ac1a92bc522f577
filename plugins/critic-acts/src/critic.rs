//! The classifier at work: a checkpoint served as a critic.

use std::collections::HashMap;

use forethought_sdk::{
    checkpoint::{encoder, files},
    prelude::*,
};

use crate::{
    checkpoint::{self, Checkpoint},
    config::CriticConfig,
    examples::Reading,
    features::{columns, features},
    regression::{scores, softmax},
};

struct Acts {
    checkpoint: Checkpoint,
    weights: Vec<f32>,
    encoder: Arc<dyn TextEncoder>,
}

register! {
    interface: dyn Critic,
    kind: "acts",
    summary: "the probability of a dialogue act, of an utterance or as the next; trained by trainer.acts",
    config: CriticConfig,
    new: |config: CriticConfig, host: Arc<dyn Host>| async move {
        let folder = host.model_files(files(&config.model)).await?;
        let (checkpoint, weights) = checkpoint::read(&folder)?;
        let encoder = encoder(&*host, &config.encoder, &checkpoint.encoder, &config.model).await?;
        Ok(Arc::new(Acts { checkpoint, weights, encoder }) as _)
    },
}

#[async_trait]
impl Critic for Acts {
    /// `raw` is the act's score before the softmax. An act that was not learned has probability 0.
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let Checkpoint { acts, encoder, config, .. } = &self.checkpoint;
        // A policy is asked about every act in one state, which is read once.
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
                    Estimate { probability, raw: scores[row][act], ..Estimate::default() }
                }
                None => Estimate::default(),
            };
        Ok(queries.iter().zip(rows).map(estimate).collect())
    }
}
