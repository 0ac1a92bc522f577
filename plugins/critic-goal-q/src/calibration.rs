//! From raw values to probabilities, fitted on held-out trajectories.

use forethought_sdk::calibration::{Platt, base_rate};
use forethought_sdk::prelude::*;

use crate::config::CalibrationKind;

/// A non-decreasing map from raw values to probabilities.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Calibration {
    /// The raw value itself.
    None,
    /// Linear between the points (raw, probability), constant beyond them. Both columns ascend.
    Isotonic { raw: Vec<f64>, probability: Vec<f64> },
    /// `1 / (1 + exp(-(slope * logit(raw) + intercept)))`.
    Platt { slope: f64, intercept: f64 },
}

impl Calibration {
    /// Fits the map to pairs of raw value and whether the outcome was reached.
    pub(crate) fn fit(kind: CalibrationKind, pairs: &[(f64, bool)]) -> Self {
        match kind {
            CalibrationKind::Isotonic if !pairs.is_empty() => isotonic(pairs),
            CalibrationKind::Platt if !pairs.is_empty() => {
                let Platt { slope, intercept } = Platt::fit(pairs);
                Calibration::Platt { slope, intercept }
            }
            _ => Calibration::None,
        }
    }

    /// The probability that belongs to a raw value; always within [0, 1].
    pub(crate) fn probability(&self, raw: f64) -> f64 {
        let probability = match *self {
            Calibration::None => raw,
            Calibration::Platt { slope, intercept } => Platt { slope, intercept }.probability(raw),
            Calibration::Isotonic { raw: ref points, ref probability } => {
                let after = points.partition_point(|point| *point <= raw);
                if after == 0 {
                    probability[0]
                } else if after == points.len() {
                    probability[after - 1]
                } else {
                    let share = (raw - points[after - 1]) / (points[after] - points[after - 1]);
                    probability[after - 1] + share * (probability[after] - probability[after - 1])
                }
            }
        };
        probability.clamp(0.0, 1.0)
    }

    /// Refuses what no fit writes: columns of unequal length, disorder, or numbers that are not finite.
    pub(crate) fn check(&self) -> std::result::Result<(), &'static str> {
        let ascends = |column: &[f64], strictly: bool| {
            column.iter().all(|number| number.is_finite())
                && column.windows(2).all(|pair| pair[0] < pair[1] || !strictly && pair[0] == pair[1])
        };
        match self {
            Calibration::Isotonic { raw, probability }
                if raw.is_empty() || raw.len() != probability.len() =>
            {
                Err("its columns raw and probability differ in length or are empty")
            }
            Calibration::Isotonic { raw, probability }
                if !ascends(raw, true) || !ascends(probability, false) =>
            {
                Err("its columns raw and probability do not ascend")
            }
            &Calibration::Platt { slope, intercept } if !(Platt { slope, intercept }).is_finite() => {
                Err("slope and intercept must be numbers")
            }
            _ => Ok(()),
        }
    }
}

/// Neighbouring samples that the fit treats alike.
#[derive(Clone, Copy)]
struct Block {
    count: f64,
    raw: f64,
    reached: f64,
}

impl Block {
    fn rate(&self) -> f64 {
        self.reached / self.count
    }
    fn join(self, other: Self) -> Self {
        let count = self.count + other.count;
        let raw = (self.raw * self.count + other.raw * other.count) / count;
        Self { count, raw, reached: self.reached + other.reached }
    }
}

/// Isotonic regression by pool-adjacent-violators, adapted to few samples: raw values are first grouped so that no block
/// rests on a handful of samples, and each block is shrunk towards the base rate by two imagined samples, so that
/// nothing becomes certain because it happened three times out of three. Between the blocks' mean raw values the map
/// is linear, so that unequal raw values stay distinct.
fn isotonic(pairs: &[(f64, bool)]) -> Calibration {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let smallest = (sorted.len() as f64 / 50.0).clamp(1.0, 20.0);
    let mut groups: Vec<Block> = Vec::new();
    for tie in sorted.chunk_by(|a, b| a.0 == b.0) {
        let reached = tie.iter().filter(|(_, reached)| *reached).count() as f64;
        let block = Block { count: tie.len() as f64, raw: tie[0].0, reached };
        match groups.last_mut() {
            Some(last) if last.count < smallest => *last = last.join(block),
            _ => groups.push(block),
        }
    }
    if let [.., _, last] = groups.as_slice()
        && last.count < smallest
    {
        let last = groups.pop().expect("there are two");
        let before = groups.pop().expect("there are two");
        groups.push(before.join(last));
    }
    let base = base_rate(pairs);
    let shrunk: Vec<Block> = pool(groups)
        .into_iter()
        .map(|block| Block { count: block.count + 2.0, reached: block.reached + 2.0 * base, ..block })
        .collect();
    // Small blocks shrink more than large ones, which can undo the order.
    let blocks = pool(shrunk);
    Calibration::Isotonic {
        raw: blocks.iter().map(|block| block.raw).collect(),
        probability: blocks.iter().map(Block::rate).collect(),
    }
}

/// Joins neighbours until rates ascend.
fn pool(blocks: Vec<Block>) -> Vec<Block> {
    let mut pooled: Vec<Block> = Vec::new();
    for mut block in blocks {
        while let Some(last) = pooled.last()
            && last.rate() >= block.rate()
        {
            block = last.join(block);
            pooled.pop();
        }
        pooled.push(block);
    }
    pooled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` samples at `raw`, of which `reached` were reached.
    fn samples(raw: f64, count: usize, reached: usize) -> impl Iterator<Item = (f64, bool)> {
        (0..count).map(move |index| (raw, index < reached))
    }

    #[test]
    fn both_maps_learn_the_observed_frequencies() {
        let pairs: Vec<_> = samples(0.25, 500, 50).chain(samples(0.96, 500, 450)).collect();
        for kind in [CalibrationKind::Isotonic, CalibrationKind::Platt] {
            let map = Calibration::fit(kind, &pairs);
            assert!((map.probability(0.25) - 0.1).abs() < 0.01, "{map:?}");
            assert!((map.probability(0.96) - 0.9).abs() < 0.01, "{map:?}");
            assert!(map.check().is_ok());
        }
    }

    #[test]
    fn isotonic_never_descends_and_keeps_raw_values_distinct_between_blocks() {
        let pairs: Vec<_> = (0..400).map(|i| (i as f64 / 400.0, i * 7919 % 400 < i)).collect();
        let map = Calibration::fit(CalibrationKind::Isotonic, &pairs);
        let curve: Vec<f64> = (0..=100).map(|i| map.probability(i as f64 / 100.0)).collect();
        assert!(curve.windows(2).all(|pair| pair[0] <= pair[1]), "{curve:?}");
        assert!(curve[10] < 0.3 && curve[50] > 0.3 && curve[50] < 0.7 && curve[90] > 0.7, "{curve:?}");
    }

    #[test]
    fn few_samples_make_no_certainty() {
        let pairs: Vec<_> = samples(0.1, 3, 0).chain(samples(0.9, 3, 3)).collect();
        for kind in [CalibrationKind::Isotonic, CalibrationKind::Platt] {
            let map = Calibration::fit(kind, &pairs);
            assert!(map.probability(0.9) < 0.95 && map.probability(0.1) > 0.05, "{map:?}");
        }
        let never = Calibration::fit(CalibrationKind::Isotonic, &samples(0.5, 30, 0).collect::<Vec<_>>());
        assert!(never.probability(0.5) > 0.0 && never.probability(0.5) < 0.05);
    }

    #[test]
    fn a_critic_that_ranks_backwards_is_shown_as_the_base_rate() {
        let pairs: Vec<_> = samples(0.2, 100, 80).chain(samples(0.8, 100, 20)).collect();
        for kind in [CalibrationKind::Isotonic, CalibrationKind::Platt] {
            let map = Calibration::fit(kind, &pairs);
            assert!((map.probability(0.2) - 0.5).abs() < 0.01, "{map:?}");
            assert!((map.probability(0.8) - 0.5).abs() < 0.01, "{map:?}");
        }
    }
}
