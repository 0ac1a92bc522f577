//! How good a stated probability is: discrimination (AUC), error (Brier) and calibration (ECE, reliability table); and
//! how far it depends on the thought ([`Ranking`]).
//!
//! Trainers report these measures in their checkpoints and the program in `critic eval`; they are defined here so that
//! both mean the same. Pure functions over weighted predictions; weights make a bootstrap cheap.

use std::collections::HashSet;
use std::hash::Hash;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::critic::Estimate;

/// A prediction and its outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// The stated probability; for [`auc`], any score that ranks.
    pub probability: f64,
    /// Whether the outcome was reached.
    pub reached: bool,
    /// How many times this prediction counts.
    pub weight: f64,
}

impl Scored {
    /// A prediction with weight 1.
    pub fn new(probability: f64, reached: bool) -> Self {
        Self { probability, reached, weight: 1.0 }
    }
    fn label(&self) -> f64 {
        if self.reached { 1.0 } else { 0.0 }
    }
}

/// One row of a reliability table: predictions with about the same probability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReliabilityBin {
    /// Lower edge of the bin.
    pub low: f64,
    /// Upper edge of the bin.
    pub high: f64,
    /// Total weight of the predictions in it.
    pub count: f64,
    /// Their mean stated probability.
    pub predicted: f64,
    /// The share of them whose outcome was reached.
    pub observed: f64,
}

/// Share of predictions whose outcome was reached; 0 without predictions.
pub fn base_rate(scored: &[Scored]) -> f64 {
    mean(scored, Scored::label)
}

/// Brier score: mean squared distance between probability and outcome. 0 is perfect.
pub fn brier(scored: &[Scored]) -> f64 {
    mean(scored, |one| (one.probability - one.label()).powi(2))
}

/// Area under the ROC curve: the probability that a reached outcome is ranked above one that was not, with ties counted
/// as one half. `None` if all outcomes are the same.
pub fn auc(scored: &[Scored]) -> Option<f64> {
    let mut sorted: Vec<&Scored> = scored.iter().collect();
    sorted.sort_by(|a, b| a.probability.total_cmp(&b.probability));
    let (mut below, mut wins, mut reached) = (0.0, 0.0, 0.0);
    for tie in sorted.chunk_by(|a, b| a.probability == b.probability) {
        let weight =
            |hit: bool| tie.iter().filter(|one| one.reached == hit).map(|one| one.weight).sum::<f64>();
        let (hits, misses) = (weight(true), weight(false));
        wins += hits * (below + misses / 2.0);
        below += misses;
        reached += hits;
    }
    (reached > 0.0 && below > 0.0).then(|| wins / (reached * below))
}

/// Expected calibration error over `bins` equal bins: the mean distance between stated and observed frequency.
pub fn ece(scored: &[Scored], bins: usize) -> f64 {
    let table = reliability(scored, bins);
    let total: f64 = table.iter().map(|bin| bin.count).sum();
    let gap: f64 = table.iter().map(|bin| bin.count * (bin.predicted - bin.observed).abs()).sum();
    if total > 0.0 { gap / total } else { 0.0 }
}

/// Stated and observed frequency in `bins` equal bins of [0, 1]. Empty bins are included, with a count of 0.
pub fn reliability(scored: &[Scored], bins: usize) -> Vec<ReliabilityBin> {
    let width = 1.0 / bins as f64;
    let mut table: Vec<ReliabilityBin> = (0..bins)
        .map(|bin| ReliabilityBin {
            low: bin as f64 * width,
            high: (bin + 1) as f64 * width,
            ..ReliabilityBin::default()
        })
        .collect();
    for one in scored {
        let bin = &mut table[((one.probability * bins as f64) as usize).min(bins - 1)];
        bin.count += one.weight;
        bin.predicted += one.weight * one.probability;
        bin.observed += one.weight * one.label();
    }
    for bin in table.iter_mut().filter(|bin| bin.count > 0.0) {
        bin.predicted /= bin.count;
        bin.observed /= bin.count;
    }
    table
}

/// Whether a critic tells the thoughts of a state apart, which is what a planner needs. A critic can rank outcomes well
/// and still say the same of every thought: what mostly happens does not depend on the thought. So each held-out thought
/// is compared with other thoughts of the data, in the same state and about the same outcome.
#[derive(Debug, Clone, Default)]
pub struct Ranking {
    spreads: Vec<f64>,
    gains: Vec<f64>,
    advantages: Vec<Scored>,
}

impl Ranking {
    /// Other thoughts that a thought is compared with: those of the most similar states.
    pub const OTHERS: usize = 16;
    /// Held-out steps that are enough to measure on.
    pub const STEPS: usize = 250;
    /// Steps that are enough to take other thoughts from.
    pub const POOL: usize = 2000;

    /// The thoughts of `pool` that `own` is compared with; `distances` are those of their states to its own.
    pub fn others<T: Copy + Eq + Hash>(own: T, pool: &[T], distances: &[f32]) -> Vec<T> {
        let mut nearest: Vec<usize> = (0..pool.len()).collect();
        nearest.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
        let mut taken = HashSet::from([own]);
        let thoughts = nearest.into_iter().map(|index| pool[index]);
        thoughts.filter(|thought| taken.insert(*thought)).take(Self::OTHERS).collect()
    }

    /// Adds what a critic says of a thought and of those that it is compared with; `reached` is whether the thought led
    /// to the outcome.
    pub fn add(&mut self, own: &Estimate, others: &[Estimate], reached: bool) {
        if others.is_empty() {
            return;
        }
        let count = (others.len() + 1) as f64;
        let shown = || std::iter::once(own).chain(others).map(|one| one.probability);
        let mean = shown().sum::<f64>() / count;
        let variance = shown().map(|one| (one - mean).powi(2)).sum::<f64>() / count;
        self.spreads.push(variance.sqrt());
        let of_others = others.iter().map(|one| one.probability).sum::<f64>() / others.len() as f64;
        let truth = if reached { 1.0 } else { 0.0 };
        self.gains.push((truth - of_others).powi(2) - (truth - own.probability).powi(2));
        // Some critics give no raw values.
        let flat = others.iter().all(|one| one.raw == own.raw);
        let value = |one: &Estimate| if flat { one.probability } else { one.raw };
        let advantage = value(own) - others.iter().map(value).sum::<f64>() / others.len() as f64;
        self.advantages.push(Scored::new((advantage + 1.0) / 2.0, reached));
    }

    /// `thought_spread`: the mean standard deviation of the probability over thoughts, within a state and outcome.
    /// `None` if the data have no other thoughts.
    pub fn spread(&self) -> Option<f64> {
        average(&self.spreads)
    }

    /// `thought_gain`: by how much knowing the thought lowers the Brier score, which is that of the others' mean, less that
    /// of the thought's own probability. `None` if the data have no other thoughts.
    ///
    /// 0 for a critic that says the same of all thoughts, and below 0 if it overstates how much they matter.
    pub fn gain(&self) -> Option<f64> {
        average(&self.gains)
    }

    /// `advantage_auc`: the AUC of a thought's advantage, its raw value less the mean of the others, against whether the
    /// outcome was reached. `None` if all outcomes are the same.
    pub fn auc(&self) -> Option<f64> {
        auc(&self.advantages)
    }
}

/// At most `most` of them, evenly spread.
pub fn evenly<T: Copy>(all: &[T], most: usize) -> impl Iterator<Item = T> {
    let count = all.len().min(most);
    (0..count).map(move |index| all[index * all.len() / count])
}

fn average(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

fn mean(scored: &[Scored], value: impl Fn(&Scored) -> f64) -> f64 {
    let total: f64 = scored.iter().map(|one| one.weight).sum();
    if total > 0.0 { scored.iter().map(|one| one.weight * value(one)).sum::<f64>() / total } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(pairs: &[(f64, bool)]) -> Vec<Scored> {
        pairs.iter().map(|&(probability, reached)| Scored::new(probability, reached)).collect()
    }

    #[test]
    fn auc_counts_pairs_in_the_right_order() {
        assert_eq!(auc(&scored(&[(0.1, false), (0.4, true), (0.35, false), (0.8, true)])), Some(1.0));
        // Of the four pairs (.4 > .3, .4 < .6, .2 < .3, .2 < .6) one is in order.
        assert_eq!(auc(&scored(&[(0.4, true), (0.2, true), (0.3, false), (0.6, false)])), Some(0.25));
        assert_eq!(auc(&scored(&[(0.5, true), (0.5, false)])), Some(0.5));
        assert_eq!(auc(&scored(&[(0.5, true)])), None);
    }

    #[test]
    fn a_weight_counts_like_a_repetition() {
        let once = scored(&[(0.3, true), (0.7, false), (0.9, true)]);
        let mut repeated = once.clone();
        repeated.push(once[1]);
        let mut weighted = once;
        weighted[1].weight = 2.0;
        assert_eq!(auc(&weighted), auc(&repeated));
        assert!((brier(&weighted) - brier(&repeated)).abs() < 1e-12);
        assert!((ece(&weighted, 10) - ece(&repeated, 10)).abs() < 1e-12);
    }

    #[test]
    fn thoughts_are_compared_with_those_of_the_most_similar_states() {
        let others =
            Ranking::others("go", &["wait", "go", "run", "wait", "hide"], &[0.3, 0.0, 0.1, 0.2, 0.2]);
        assert_eq!(others, ["run", "wait", "hide"]);
        let mut ranking = Ranking::default();
        assert_eq!((ranking.spread(), ranking.auc()), (None, None));
        let says = [0.8, 0.4, 0.4].map(Estimate::of);
        ranking.add(&says[0], &says[1..], true);
        ranking.add(&says[1], &[says[0]], false);
        ranking.add(&says[1], &[], true); // Nothing to compare it with.
        let spread = ((0.08f64 / 3.0 * 4.0 / 3.0).sqrt() + 0.2) / 2.0;
        assert!((ranking.spread().unwrap() - spread).abs() < 1e-12, "{ranking:?}");
        // (.6^2 - .2^2) of the first, and (.8^2 - .4^2) of the second.
        assert!((ranking.gain().unwrap() - 0.4).abs() < 1e-12, "{ranking:?}");
        assert_eq!(ranking.auc(), Some(1.0));
    }

    #[test]
    fn a_calibrated_forecast_has_no_calibration_error() {
        let forecast: Vec<Scored> = (0..100).map(|i| Scored::new(0.3, i % 10 < 3)).collect();
        assert!(ece(&forecast, 10) < 1e-12);
        assert!((brier(&forecast) - 0.21).abs() < 1e-12);
        assert!((ece(&scored(&[(1.0, false), (1.0, true)]), 10) - 0.5).abs() < 1e-12);
        assert_eq!(reliability(&forecast, 10).iter().map(|bin| bin.count).sum::<f64>(), 100.0);
    }
}
