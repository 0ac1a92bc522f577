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
use crate::understanding::Understanding;

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
    style: StyleCard,
    /// Indices of the style card's outcomes, by their text.
    known: HashMap<String, u32>,
    understanding: Option<Understanding>,
    abstain: bool,
}

/// A query as the networks see it: embeddings of state, thought and outcome, and how they were read.
struct Row<'a> {
    inputs: [&'a [f32]; 3],
    known: Option<u32>,
    outside: bool,
}

/// How a text was read: as which meaning, and whether it is unlike all in the data. By place of the text, and which of
/// the three inputs it is.
type Readings = HashMap<(usize, usize), (Option<usize>, bool)>;

register! {
    interface: dyn Critic,
    kind: "goal-q",
    summary: "a goal-conditioned critic, trained on recorded episodes by trainer.goal-q",
    config: CriticConfig,
    new: |config: CriticConfig, host: Arc<dyn Host>| async move {
        let folder = host.model_files(files(&config.model)).await?;
        let trained = checkpoint::read_config(&folder)?;
        let encoder = encoder(&*host, &config.encoder, &trained.encoder, &config.model).await?;
        let (twins, understanding) = checkpoint::read_weights(&folder, &trained)?;
        if config.abstain == Some(true) && understanding.is_none() {
            return Err(Error::config(format!(
                "critic goal-q: abstain: {} was trained without a vocabulary, so it does not know what is outside its \
                 data: train it with the key `vocabulary`, or leave `abstain` out",
                config.model.display()
            )));
        }
        let texts = trained.style.outcomes.iter().map(|outcome| outcome.text.clone());
        Ok(Arc::new(GoalQ {
            twins,
            calibration: trained.calibration,
            encoder,
            spec: trained.encoder,
            known: texts.zip(0..).collect(),
            style: trained.style,
            abstain: config.abstain.unwrap_or(understanding.is_some()),
            understanding,
        }) as _)
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
        let said = |state| match &self.understanding {
            Some(understanding) => understanding.said.read(state),
            None => state,
        };
        let places: Vec<[usize; 3]> = queries
            .into_iter()
            .map(|query| [place(said(query.state)), place(query.thought), place(query.outcome)])
            .collect();
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let embeddings = encode(&*self.encoder, &self.spec, texts.clone()).await?;
        let mut read = HashMap::new();
        let rows: Vec<Row> =
            places.into_iter().map(|places| self.row(places, &texts, &embeddings, &mut read)).collect();
        let mut estimates = Vec::with_capacity(rows.len());
        for piece in rows.chunks(ROWS) {
            let [q1, q2] = self.forward(piece).context("the critic's forward pass failed")?;
            let values = q1.into_iter().zip(q2);
            estimates.extend(values.zip(piece).map(|((q1, q2), row)| Estimate {
                known: row.known,
                outside: row.outside,
                ..self.judge(q1, q2)
            }));
        }
        Ok(estimates)
    }
    async fn style_card(&self) -> Result<StyleCard> {
        Ok(self.style.clone())
    }
}

impl GoalQ {
    /// Puts canonical sentences in place of what can be read. Each text is read only once.
    fn row<'a>(
        &'a self,
        places: [usize; 3],
        texts: &[String],
        embeddings: &'a Matrix,
        readings: &mut Readings,
    ) -> Row<'a> {
        let mut inputs = places.map(|place| embeddings.row(place));
        let literal = self.known.get(texts[places[2]].trim()).copied();
        let Some(understanding) = &self.understanding else {
            return Row { inputs, known: literal, outside: false };
        };
        let Understanding { vocabulary, outcomes, thoughts, states, others, .. } = understanding;
        let mut read = |input: usize| {
            *readings.entry((input, places[input])).or_insert_with(|| {
                let (text, embedding) = (texts[places[input]].as_str(), embeddings.row(places[input]));
                match input {
                    0 => (None, states.outside(embedding)),
                    1 => match thoughts.reader.read(text, embedding)[..] {
                        [meaning] => (Some(meaning), false),
                        _ => (None, others.outside(embedding)),
                    },
                    _ => {
                        // Several hold at once at most as often as the rarest of them.
                        let index = |meaning: &usize| self.known.get(&vocabulary.outcomes[*meaning].text);
                        (outcomes.reader.read(text, embedding).into_iter().max_by_key(index), false)
                    }
                }
            })
        };
        let [(_, strange_state), (thought, strange_thought), (outcome, _)] = [read(0), read(1), read(2)];
        if let Some(meaning) = thought {
            inputs[1] = thoughts.canonical(meaning, self.spec.dimension);
        }
        if let Some(meaning) = outcome {
            inputs[2] = outcomes.canonical(meaning, self.spec.dimension);
        }
        let known = match outcome {
            Some(meaning) => self.known.get(&vocabulary.outcomes[meaning].text).copied(),
            None => literal,
        };
        let unread = known.is_none() && !vocabulary.outcomes.is_empty();
        Row { inputs, known, outside: self.abstain && (unread || strange_state || strange_thought) }
    }

    /// Both twins' values for at most [`ROWS`] rows.
    fn forward(&self, rows: &[Row]) -> candle_core::Result<[Vec<f32>; 2]> {
        let column = |text: usize| {
            let mut numbers = Vec::with_capacity(ROWS * self.spec.dimension);
            for row in rows {
                numbers.extend_from_slice(row.inputs[text]);
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
