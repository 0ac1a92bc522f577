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

/// Held-out triples, each with the same question about other thoughts.
pub(crate) struct Ranking {
    /// What a critic is asked: the triples of each group in turn.
    pub(crate) asked: Vec<Triple>,
    /// How many triples each group has; the first is what was thought and whether the outcome was then reached.
    groups: Vec<usize>,
}

impl Ranking {
    /// Other thoughts for `triples`, of which `per_step` in a row are of one step; from the steps of `train`.
    pub(crate) fn new(
        corpus: &Corpus,
        table: &Tensor,
        train: &[usize],
        (triples, per_step): (&[Triple], usize),
    ) -> Result<Self> {
        let steps: Vec<&[Triple]> = spread(&triples.chunks(per_step).collect::<Vec<_>>(), STEPS).collect();
        let pool: Vec<usize> = train.iter().flat_map(|&one| corpus.steps(one)).collect();
        let pool: Vec<usize> = spread(&pool, POOL).collect();
        let embed = |ids: Vec<TextId>| table.index_select(&Tensor::new(ids, table.device())?, 0);
        let here = embed(steps.iter().map(|step| step[0].state).collect())?;
        let states = embed(pool.iter().map(|&index| corpus.all()[index].state).collect())?;
        let norms = states.sqr()?.sum(1)?.to_vec1::<f32>()?;
        let products = here.matmul(&states.t()?.contiguous()?)?.to_vec2::<f32>()?;

        let (mut asked, mut groups) = (Vec::new(), Vec::new());
        for (step, products) in steps.into_iter().zip(products) {
            let mut nearest: Vec<usize> = (0..pool.len()).collect();
            let distance = |index: usize| norms[index] - 2.0 * products[index];
            nearest.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
            let mut taken = HashSet::from([step[0].thought]);
            let thoughts = nearest.into_iter().map(|index| corpus.all()[pool[index]].thought);
            let others: Vec<TextId> = thoughts.filter(|id| taken.insert(*id)).take(OTHERS).collect();
            for own in step.iter().filter(|_| !others.is_empty()) {
                asked.push(*own);
                asked.extend(others.iter().map(|&thought| Triple { thought, ..*own }));
                groups.push(others.len() + 1);
            }
        }
        Ok(Self { asked, groups })
    }

    /// AUC of a thought's advantage, its raw value less the mean of the others, against whether the outcome was reached.
    /// `None` if all were reached, or none, or if the data have no other thoughts. `values` are those of `asked`.
    pub(crate) fn advantage_auc(&self, values: &[f64]) -> Option<f64> {
        let advantages = self.of(values).map(|(own, values)| {
            let others = values[1..].iter().sum::<f64>() / (values.len() - 1) as f64;
            Scored::new((values[0] - others + 1.0) / 2.0, own.reached)
        });
        metrics::auc(&advantages.collect::<Vec<_>>())
    }

    /// Mean standard deviation of calibrated values over the thoughts, within a state and outcome. `None` if the data
    /// have no other thoughts. `values` are those of `asked`.
    pub(crate) fn thought_spread(&self, values: &[f64], calibration: &Calibration) -> Option<f64> {
        let deviations = self.of(values).map(|(_, values)| {
            let shown: Vec<f64> = values.iter().map(|&raw| calibration.probability(raw)).collect();
            let mean = shown.iter().sum::<f64>() / shown.len() as f64;
            (shown.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / shown.len() as f64).sqrt()
        });
        (!self.groups.is_empty()).then(|| deviations.sum::<f64>() / self.groups.len() as f64)
    }

    /// By how much knowing the thought lowers the Brier score: that of the others' mean, less that of the thought's own
    /// value, both calibrated. `None` if the data have no other thoughts. `values` are those of `asked`.
    ///
    /// 0 for a critic that says the same of all thoughts, and below 0 if it overstates how much they matter.
    pub(crate) fn thought_gain(&self, values: &[f64], calibration: &Calibration) -> Option<f64> {
        let gains = self.of(values).map(|(own, values)| {
            let shown: Vec<f64> = values.iter().map(|&raw| calibration.probability(raw)).collect();
            let others = shown[1..].iter().sum::<f64>() / (shown.len() - 1) as f64;
            let truth = if own.reached { 1.0 } else { 0.0 };
            (truth - others).powi(2) - (truth - shown[0]).powi(2)
        });
        (!self.groups.is_empty()).then(|| gains.sum::<f64>() / self.groups.len() as f64)
    }

    /// Each group's first triple, and the values of the whole group.
    fn of<'a>(&'a self, values: &'a [f64]) -> impl Iterator<Item = (&'a Triple, &'a [f64])> {
        let starts = self.groups.iter().scan(0, |next, count| {
            let start = *next;
            *next += count;
            Some((start, *next))
        });
        starts.map(|(start, end)| (&self.asked[start], &values[start..end]))
    }
}
