//! Whether planners differ: paired differences on the same episodes, and how likely chance alone gives as large ones.
//!
//! The test is a sign-flip permutation test: if two planners are equally good, each paired difference is as likely to
//! have the other sign. It assumes no distribution, which scores with many ties and ends at 0 and 1 do not have; for
//! success it is McNemar's exact test. With several comparisons, the smallest p-value is small by chance more often, so
//! they are corrected after Holm (1979), which holds however the comparisons depend on each other.

use serde::{Deserialize, Serialize};

use crate::evaluate::draw::Draw;
use crate::evaluate::stats::{PairedDifference, PlannerStats, pairs};
use crate::run::summary::EpisodeSummary;

/// Differences of which all signs are tried; of more, [`DRAWS`] are drawn.
const FEW: usize = 14;
const DRAWS: u32 = 10_000;

/// How much better one planner is than another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// The planner.
    pub name: String,
    /// The one that it is compared with.
    pub to: String,
    /// How much better it is.
    #[serde(flatten)]
    pub difference: PairedDifference,
    /// Of the score.
    pub p_score: PValue,
    /// Of the success rate.
    pub p_success: PValue,
}

/// The probability of a difference at least as large, in either direction, between equally good planners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PValue {
    /// Of this comparison alone.
    pub alone: f64,
    /// Corrected for all comparisons of the table, after Holm.
    pub holm: f64,
}

/// The differences of all planners to the first one, over the episodes that both have done. One that has none in common
/// with it is left out.
pub fn contrasts(planners: &[(String, &[EpisodeSummary])]) -> Vec<Contrast> {
    let Some(((first, theirs), others)) = planners.split_first() else { return Vec::new() };
    let contrast = |(name, mine): &(String, &[EpisodeSummary])| {
        let (scores, successes) = pairs(mine, theirs);
        let difference = PairedDifference::of(&scores, &successes)?;
        let p = |differences: &[f64]| PValue { alone: sign_flip(differences), holm: 0.0 };
        let (p_score, p_success) = (p(&scores), p(&successes));
        Some(Contrast { name: name.clone(), to: first.clone(), difference, p_score, p_success })
    };
    let mut all: Vec<_> = others.iter().filter_map(contrast).collect();
    for of in [(|one| &mut one.p_score) as fn(&mut Contrast) -> &mut PValue, |one| &mut one.p_success] {
        let alone: Vec<_> = all.iter_mut().map(|one| of(one).alone).collect();
        for (one, corrected) in all.iter_mut().zip(holm(&alone)) {
            of(one).holm = corrected;
        }
    }
    all
}

/// The two-sided p-value of the sum of paired differences. The signs that are drawn are the same at every call.
pub fn sign_flip(differences: &[f64]) -> f64 {
    let sizes: Vec<f64> = differences.iter().map(|one| one.abs()).filter(|one| *one > 0.0).collect();
    let Some(first) = sizes.first() else { return 1.0 };
    if sizes.iter().all(|one| one == first) {
        return binomial(differences.iter().filter(|one| **one > 0.0).count(), sizes.len());
    }
    let total: f64 = sizes.iter().sum();
    // Sums of the same numbers in another order differ by rounding.
    let observed = differences.iter().sum::<f64>().abs() - 1e-12 * total;
    let as_large = |signs: &[u64]| {
        let positive = |index: usize| signs[index / 64] >> (index % 64) & 1 == 1;
        let sum = sizes.iter().enumerate().map(|(index, size)| if positive(index) { *size } else { -size });
        sum.sum::<f64>().abs() >= observed
    };
    if sizes.len() <= FEW {
        let all = 1_u64 << sizes.len();
        return (0..all).filter(|signs| as_large(&[*signs])).count() as f64 / all as f64;
    }
    let mut draw = Draw::new(0, "sign flips");
    let mut signs = vec![0; sizes.len().div_ceil(64)];
    let as_large = (0..DRAWS).filter(|_| {
        signs.fill_with(|| draw.bits());
        as_large(&signs)
    });
    // The observed signs are one of the possible draws, so no p-value is 0.
    (as_large.count() as f64 + 1.0) / (f64::from(DRAWS) + 1.0)
}

/// The two-sided p-value of `heads` of `n` fair coins.
fn binomial(heads: usize, n: usize) -> f64 {
    let fewer = heads.min(n - heads);
    let mut log = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = log.exp();
    for k in 1..=fewer {
        log += ((n - k + 1) as f64 / k as f64).ln();
        tail += log.exp();
    }
    (2.0 * tail).min(1.0)
}

/// P-values corrected after Holm, in the same order.
pub fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<_> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let (mut corrected, mut least) = (vec![0.0; values.len()], 0.0_f64);
    for (rank, index) in order.into_iter().enumerate() {
        least = least.max((values[index] * (values.len() - rank) as f64).min(1.0));
        corrected[index] = least;
    }
    corrected
}

/// Whether each planner is on the Pareto front: no other has a score as high for fewer tokens per decision, or a higher
/// one for as few. One without finished episodes is not.
pub fn pareto(planners: &[PlannerStats]) -> Vec<bool> {
    let point = |one: &PlannerStats| (one.tokens_per_decision, one.score.mean);
    let beaten =
        |one: &PlannerStats| {
            let (tokens, score) = point(one);
            planners.iter().filter(|other| other.episodes > 0).map(point).any(|(fewer, better)| {
                fewer <= tokens && better >= score && (fewer, better) != (tokens, score)
            })
        };
    planners.iter().map(|one| one.episodes > 0 && !beaten(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::stats::{Mean, planner_stats};

    fn close(value: f64, expected: f64, by: f64) {
        assert!((value - expected).abs() < by, "{value} should be {expected}");
    }

    #[test]
    fn equal_planners_are_not_found_different() {
        assert_eq!(sign_flip(&[]), 1.0);
        assert_eq!(sign_flip(&[0.0; 30]), 1.0);
        assert_eq!(sign_flip(&[0.25, -0.25, 1.0, -1.0]), 1.0);
    }

    #[test]
    fn all_signs_of_few_differences_are_tried() {
        // Of 2^5 ways to set the signs, two give as large a sum.
        close(sign_flip(&[0.1, 0.2, 0.3, 0.4, 0.5]), 2.0 / 32.0, 1e-12);
        // Ties between sums count, whatever the rounding: -0.1 may also stand with 0.2 + 0.3 against it.
        close(sign_flip(&[-0.1, 0.2, 0.3]), 4.0 / 8.0, 1e-12);
    }

    #[test]
    fn drawn_signs_agree_with_the_exact_test() {
        // Success is McNemar's test: 15 of 20 discordant pairs, P = 0.0414.
        let mut discordant = vec![1.0; 15];
        discordant.extend([-1.0; 5]);
        discordant.extend([0.0; 80]);
        let exact = sign_flip(&discordant);
        close(exact, 0.041_389, 1e-6);
        // One that is not like the others, and almost nothing: then signs are drawn.
        discordant.push(-1e-9);
        let drawn = sign_flip(&discordant);
        close(drawn, exact, 0.01);
        assert_eq!(drawn, sign_flip(&discordant));
    }

    #[test]
    fn the_correction_is_holms() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (value, expected) in corrected.into_iter().zip([0.03, 0.06, 0.06, 0.02]) {
            close(value, expected, 1e-12);
        }
        assert_eq!(holm(&[0.7, 0.6]), [1.0, 1.0]);
    }

    #[test]
    fn the_front_is_what_no_other_planner_beats() {
        let planner = |tokens, score| {
            let mut stats = planner_stats("", &[]);
            (stats.episodes, stats.tokens_per_decision) = (1, tokens);
            stats.score = Mean { mean: score, ..Mean::default() };
            stats
        };
        let mut all = vec![
            planner(1000.0, 0.6),
            planner(5000.0, 0.6),
            planner(7000.0, 0.8),
            planner(900.0, 0.1),
            planner(7000.0, 0.8),
        ];
        assert_eq!(pareto(&all), [true, false, true, true, true]);
        all[0].episodes = 0;
        assert_eq!(pareto(&all), [false, true, true, true, true]);
    }
}
