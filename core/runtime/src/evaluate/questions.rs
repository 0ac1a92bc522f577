//! Questions about recorded steps with their true answers, and what measures of them share.

use std::collections::{BTreeSet, HashMap};

use forethought_api::encoder::{Matrix, TextEncoder};
use forethought_api::metrics::Scored;
use forethought_api::trajectory::Step;
use forethought_api::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A figure with its 95 % bootstrap interval over trajectories.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Interval {
    /// The figure.
    pub value: f64,
    /// Its 2.5th percentile.
    pub low: f64,
    /// Its 97.5th percentile.
    pub high: f64,
}

/// One question with its true answer.
#[derive(Clone, Copy)]
pub(crate) struct Triple<'a> {
    /// Index among the trajectories it was drawn from.
    pub(crate) trajectory: usize,
    pub(crate) step: &'a Step,
    /// The outcome in the words of the data.
    pub(crate) said: &'a str,
    /// Thought and outcome in canonical words, as far as they have some.
    pub(crate) thought: &'a str,
    pub(crate) outcome: &'a str,
    /// Whether it was reached; unknown if nobody can say what the outcome means.
    pub(crate) reached: Option<bool>,
    /// After how many further steps.
    pub(crate) after: Option<usize>,
}

impl Triple<'_> {
    pub(crate) fn reached(&self) -> bool {
        self.reached.unwrap_or_default()
    }
}

pub(crate) fn scored(answers: &[f64], questions: &[Triple]) -> Vec<Scored> {
    answers.iter().zip(questions).map(|(&answer, one)| Scored::new(answer, one.reached())).collect()
}

/// The percentile interval.
pub(crate) fn interval(value: f64, mut resampled: Vec<f64>) -> Interval {
    resampled.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = resampled.len().saturating_sub(1) as f64;
        resampled.get((share * last).round() as usize).copied().unwrap_or(value)
    };
    Interval { value, low: at(0.025), high: at(0.975) }
}

/// Embeddings of texts, and what the regression makes of a triple: the three vectors side by side, and the products of
/// outcome with state and with thought, number by number, without which it could not tell which outcome goes with which
/// thought.
pub(crate) struct Embedded<'a> {
    rows: HashMap<&'a str, usize>,
    embeddings: Matrix,
}

impl<'a> Embedded<'a> {
    pub(crate) async fn new(encoder: &dyn TextEncoder, texts: impl Iterator<Item = &'a str>) -> Result<Self> {
        let texts: BTreeSet<&str> = texts.collect();
        let embeddings = encoder.encode(texts.iter().map(|text| (*text).to_owned()).collect()).await?;
        if embeddings.rows() != texts.len() {
            return Err(Error::other(format!(
                "the encoder gave {} vectors for {} texts",
                embeddings.rows(),
                texts.len()
            )));
        }
        let rows = texts.into_iter().enumerate().map(|(row, text)| (text, row)).collect();
        Ok(Self { rows, embeddings })
    }
    pub(crate) fn row(&self, text: &str) -> &[f32] {
        self.embeddings.row(self.rows[text])
    }
    /// Numbers in what the regression reads.
    pub(crate) fn size(&self) -> usize {
        5 * self.embeddings.columns()
    }
    pub(crate) fn of(&self, triple: &Triple) -> Vec<f32> {
        let [state, thought, outcome] =
            [&*triple.step.state, triple.thought, triple.outcome].map(|text| self.row(text));
        // Entries of unit vectors are of the order of 1 / sqrt(dimension), so are their products after scaling.
        let scale = (self.embeddings.columns() as f32).sqrt();
        let products =
            |other: &[f32]| -> Vec<f32> { other.iter().zip(outcome).map(|(a, b)| scale * a * b).collect() };
        [state, thought, outcome, &products(state), &products(thought)].concat()
    }
}
