//! Measures of what a planner needs: whether the critic tells the thoughts of one state apart.
//!
//! A critic can rank outcomes well and still say the same of every thought: what mostly happens does not depend on the
//! thought. So each held-out (state, thought, outcome) is compared with other thoughts of the data in the same state.

use std::collections::HashSet;

use candle_core::Tensor;
use forethought_sdk::api::metrics::{self, Scored};
use forethought_sdk::prelude::*;

use crate::calibration::Calibration;
use crate::goals::{Corpus, TextId, Triple};
use crate::seen::spread;

/// Other thoughts that a thought is compared with: those of the most similar states.
const OTHERS: usize = 16;
/// Held-out steps that are measured on, and training steps that thoughts are taken from.
const STEPS: usize = 250;
const POOL: usize = 2000;

/// How a critic ranks the thoughts of a state.
pub(crate) struct Ranking {
    /// Mean standard deviation of calibrated values over the thoughts, within a state and outcome.
    pub(crate) spread: f64,
    /// AUC of a thought's advantage, its value less the mean of the others, against whether the outcome was reached.
    pub(crate) auc: Option<f64>,
}

/// Measures on `triples`, of which `per_step` in a row are of one step; `values` gives raw values. `None` if the data
/// have no other thoughts.
pub(crate) fn ranking(
    corpus: &Corpus,
    table: &Tensor,
    train: &[usize],
    (triples, per_step): (&[Triple], usize),
    calibration: &Calibration,
    values: impl Fn(&[Triple]) -> Result<Vec<f64>>,
) -> Result<Option<Ranking>> {
    let steps: Vec<&[Triple]> = spread(&triples.chunks(per_step).collect::<Vec<_>>(), STEPS).collect();
    let pool: Vec<usize> = train.iter().flat_map(|&one| corpus.steps(one)).collect();
    let pool: Vec<usize> = spread(&pool, POOL).collect();
    let embed = |ids: Vec<TextId>| table.index_select(&Tensor::new(ids, table.device())?, 0);
    let asked = embed(steps.iter().map(|step| step[0].state).collect())?;
    let states = embed(pool.iter().map(|&index| corpus.all()[index].state).collect())?;
    let norms = states.sqr()?.sum(1)?.to_vec1::<f32>()?;
    let products = asked.matmul(&states.t()?.contiguous()?)?.to_vec2::<f32>()?;

    let (mut spreads, mut advantages) = (Vec::new(), Vec::new());
    for (step, products) in steps.into_iter().zip(products) {
        let mut nearest: Vec<usize> = (0..pool.len()).collect();
        let distance = |index: usize| norms[index] - 2.0 * products[index];
        nearest.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        let mut taken = HashSet::from([step[0].thought]);
        let thoughts = nearest.into_iter().map(|index| corpus.all()[pool[index]].thought);
        let others: Vec<TextId> = thoughts.filter(|id| taken.insert(*id)).take(OTHERS).collect();
        if others.is_empty() {
            continue;
        }
        let compared: Vec<Triple> = step
            .iter()
            .flat_map(|own| {
                let other = |&thought: &TextId| Triple { thought, ..*own };
                std::iter::once(*own).chain(others.iter().map(other))
            })
            .collect();
        for (own, values) in step.iter().zip(values(&compared)?.chunks(others.len() + 1)) {
            let shown: Vec<f64> = values.iter().map(|&raw| calibration.probability(raw)).collect();
            let mean = shown.iter().sum::<f64>() / shown.len() as f64;
            let variance = shown.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / shown.len() as f64;
            spreads.push(variance.sqrt());
            let advantage = values[0] - values[1..].iter().sum::<f64>() / others.len() as f64;
            advantages.push(Scored::new((advantage + 1.0) / 2.0, own.reached));
        }
    }
    if spreads.is_empty() {
        return Ok(None);
    }
    let spread = spreads.iter().sum::<f64>() / spreads.len() as f64;
    Ok(Some(Ranking { spread, auc: metrics::auc(&advantages) }))
}
