//! How an evaluation is followed.
//!
//! Hopeful thoughts are kept. A thought whose bad outcomes are the likelier ones makes the model think again, and once
//! two thoughts have been weighed and neither is hopeful, the better of them is settled on. Nothing here looks at what
//! a thought says: with values that do not depend on the thought, the thought acted on is distributed as the first.

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

/// Follows the evaluations, the current thought's last.
pub fn verdict(evaluations: &[Evaluation]) -> Verdict {
    let Some(current) = evaluations.last() else { return Verdict::Keep };
    if hope(current) >= 0.0 {
        return Verdict::Keep;
    }
    if evaluations.len() < 2 {
        return Verdict::DrawAgain;
    }
    let best = evaluations.iter().max_by(|a, b| hope(a).total_cmp(&hope(b))).expect("there are two");
    // Ties go to the later one, which `max_by` returns.
    if best.thought == current.thought { Verdict::Keep } else { Verdict::Return(best.thought.clone()) }
}

/// Mean probability of the good outcomes less that of the bad ones.
fn hope(evaluation: &Evaluation) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    mean(&evaluation.good) - mean(&evaluation.bad)
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
    }
}
