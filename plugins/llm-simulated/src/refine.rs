//! How an evaluation is followed.
//!
//! A thought is kept unless its bad outcomes are clearly likelier; then the model thinks again. When several thoughts
//! were evaluated and all look bad, it keeps the best if that one is clearly better, and thinks again if not. Nothing
//! here looks at what a thought says: if the values do not depend on the thought, the final thought has the
//! distribution of the first.

use crate::request::Evaluation;

/// What to do with the current thought.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Follow it.
    Keep,
    /// Go back to an earlier one.
    Return(String),
    /// Draw another from the prior.
    DrawAgain,
}

/// The least difference of probabilities that is clear.
const CLEARLY: f64 = 0.15;

/// Follows the evaluations, the current thought's last.
pub fn verdict(evaluations: &[Evaluation]) -> Verdict {
    let Some(current) = evaluations.last() else { return Verdict::Keep };
    if hope(current) >= -CLEARLY {
        return Verdict::Keep;
    }
    let hopes: Vec<f64> = evaluations.iter().map(hope).collect();
    let best = (0..hopes.len()).rev().max_by(|&a, &b| hopes[a].total_cmp(&hopes[b])).unwrap_or(0);
    let mean_of_others = (hopes.iter().sum::<f64>() - hopes[best]) / (hopes.len() - 1).max(1) as f64;
    if hopes.len() < 2 || hopes[best] - mean_of_others < CLEARLY {
        Verdict::DrawAgain
    } else if best + 1 == hopes.len() {
        Verdict::Keep
    } else {
        Verdict::Return(evaluations[best].thought.clone())
    }
}

/// The index of the thought with the highest hope, of equals the first. Thoughts without numbers are left out; if there
/// are no others, it is the first.
pub fn best(evaluations: &[Evaluation]) -> usize {
    let judged = |&index: &usize| !(evaluations[index].good.is_empty() && evaluations[index].bad.is_empty());
    let difference = |index: usize| mean(&evaluations[index].good) - mean(&evaluations[index].bad);
    // The earlier of equals: `max_by` would return the last.
    let judged = (0..evaluations.len()).rev().filter(judged);
    judged.max_by(|&a, &b| difference(a).total_cmp(&difference(b))).unwrap_or(0)
}

/// Mean probability of the good outcomes minus that of the bad ones; 0 if there is nothing to compare.
fn hope(evaluation: &Evaluation) -> f64 {
    let Evaluation { good, bad, .. } = evaluation;
    if good.is_empty() || bad.is_empty() { 0.0 } else { mean(good) - mean(bad) }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thought(name: &str, good: f64, bad: f64) -> Evaluation {
        Evaluation { thought: name.into(), good: vec![good], bad: vec![bad] }
    }

    #[test]
    fn evaluations_are_followed() {
        let check = |evaluations: &[Evaluation], expected| assert_eq!(verdict(evaluations), expected);
        check(&[thought("a", 0.6, 0.2)], Verdict::Keep);
        check(&[thought("a", 0.2, 0.6)], Verdict::DrawAgain);
        check(&[thought("a", 0.1, 0.9), thought("b", 0.2, 0.6)], Verdict::Keep);
        check(&[thought("a", 0.2, 0.6), thought("b", 0.1, 0.9)], Verdict::Return("a".into()));
        check(&[thought("a", 0.2, 0.6), thought("b", 0.5, 0.1)], Verdict::Keep);
        check(&[thought("a", 0.2, 0.6), thought("b", 0.2, 0.65)], Verdict::DrawAgain);
        // Without numbers there is nothing to follow.
        check(&[Evaluation { bad: vec![0.9], ..thought("a", 0.0, 0.0) }], Verdict::DrawAgain);
        check(&[Evaluation { good: Vec::new(), ..thought("a", 0.0, 0.9) }], Verdict::Keep);
    }

    #[test]
    fn the_best_is_chosen() {
        let silent = |name: &str| Evaluation { thought: name.into(), ..Evaluation::default() };
        assert_eq!(best(&[thought("a", 0.2, 0.6), thought("b", 0.5, 0.1), thought("c", 0.5, 0.1)]), 1);
        assert_eq!(best(&[silent("a"), thought("b", 0.1, 0.6)]), 1);
        assert_eq!(best(&[silent("a"), silent("b")]), 0);
    }
}
