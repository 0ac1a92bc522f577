//! The critic at work: a checkpoint, served.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use forethought_sdk::checkpoint::{encode, encoder, files};
use forethought_sdk::prelude::*;

use crate::architecture::Input;
use crate::calibration::Calibration;
use crate::checkpoint;
use crate::config::CriticConfig;
use crate::network::Network;

/// Rows in every forward pass; shorter batches are padded with zeros.
///
/// Which kernel a matrix product uses, and so its last bit, depends on its shape. With one shape for all, an estimate
/// cannot depend on the other queries.
const ROWS: usize = 32;

struct GoalQ {
    twins: [Network; 2],
    calibration: Calibration,
    encoder: Arc<dyn TextEncoder>,
    spec: EncoderSpec,
}

register! {
    interface: dyn Critic,
    kind: "goal-q",
    summary: "a goal-conditioned critic, trained on recorded episodes by trainer.goal-q",
    config: CriticConfig,
    new: |config: CriticConfig, host: Arc<dyn Host>| async move {
        let folder = host.model_files(files(&config.model)).await?;
        let trained = checkpoint::read_config(&folder)?;
        let encoder = encoder(&*host, &config.encoder, &trained.encoder, &config.model).await?;
        let twins = checkpoint::read_twins(&folder, &trained)?;
        Ok(Arc::new(GoalQ { twins, calibration: trained.calibration, encoder, spec: trained.encoder }) as _)
    },
}

#[async_trait]
impl Critic for GoalQ {
    /// `raw` is the mean of the twins, `uncertainty` half the distance between their calibrated values: it is on the
    /// scale of the probability.
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let mut texts: Vec<String> = Vec::new();
        let mut places = HashMap::new();
        let mut place = |text: String| {
            *places.entry(text).or_insert_with_key(|text| {
                texts.push(text.clone());
                texts.len() - 1
            })
        };
        let rows: Vec<[usize; 3]> = queries
            .into_iter()
            .map(|query| [place(query.state), place(query.thought), place(query.outcome)])
            .collect();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let embeddings = encode(&*self.encoder, &self.spec, texts).await?;
        let mut estimates = Vec::with_capacity(rows.len());
        for piece in rows.chunks(ROWS) {
            let [q1, q2] = self.forward(piece, &embeddings).context("the critic's forward pass failed")?;
            estimates.extend(q1.into_iter().zip(q2).take(piece.len()).map(|(q1, q2)| self.judge(q1, q2)));
        }
        Ok(estimates)
    }
}

impl GoalQ {
    /// Both twins' values for at most [`ROWS`] rows.
    fn forward(&self, rows: &[[usize; 3]], embeddings: &Matrix) -> candle_core::Result<[Vec<f32>; 2]> {
        let column = |text: usize| {
            let mut numbers = Vec::with_capacity(ROWS * self.spec.dimension);
            for row in rows {
                numbers.extend_from_slice(embeddings.row(row[text]));
            }
            numbers.resize(ROWS * self.spec.dimension, 0.0);
            Input::rows(Tensor::from_vec(numbers, (ROWS, self.spec.dimension), &Device::Cpu)?)
        };
        let inputs = [column(0)?, column(1)?, column(2)?];
        let [q1, q2] =
            self.twins.each_ref().map(|network| network.forward(&inputs.each_ref())?.to_vec1::<f32>());
        Ok([q1?, q2?])
    }

    fn judge(&self, q1: f32, q2: f32) -> Estimate {
        let (q1, q2) = (f64::from(q1), f64::from(q2));
        let raw = (q1 + q2) / 2.0;
        let apart = self.calibration.probability(q1) - self.calibration.probability(q2);
        Estimate {
            probability: self.calibration.probability(raw),
            raw,
            uncertainty: apart.abs() / 2.0,
            ..Estimate::default()
        }
    }
}
