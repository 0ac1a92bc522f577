//! How good a stated probability is: discrimination (AUC), error (Brier) and calibration (ECE, reliability table).
//!
//! Trainers report these measures in their checkpoints and the program in `critic eval`; they are defined here so that
//! both mean the same. Pure functions over weighted predictions; weights make a bootstrap cheap.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    fn a_calibrated_forecast_has_no_calibration_error() {
        let forecast: Vec<Scored> = (0..100).map(|i| Scored::new(0.3, i % 10 < 3)).collect();
        assert!(ece(&forecast, 10) < 1e-12);
        assert!((brier(&forecast) - 0.21).abs() < 1e-12);
        assert!((ece(&scored(&[(1.0, false), (1.0, true)]), 10) - 0.5).abs() < 1e-12);
        assert_eq!(reliability(&forecast, 10).iter().map(|bin| bin.count).sum::<f64>(), 100.0);
    }
}
