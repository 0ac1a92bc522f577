//! Values as probabilities: a logistic curve of two parameters (Platt, 1999), fitted on held-out episodes.

use serde::{Deserialize, Serialize};

/// `probability = sigmoid(slope * logit(value) + intercept)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    /// Above 1 where values are too near to one half.
    pub slope: f64,
    /// Above 0 where values are too low.
    pub intercept: f64,
}

impl Platt {
    /// Fits it to pairs of value and whether the outcome was reached, by Newton's method with Platt's smoothed targets.
    pub fn fit(pairs: &[(f64, bool)]) -> Self {
        let positives = pairs.iter().filter(|(_, reached)| *reached).count() as f64;
        let negatives = pairs.len() as f64 - positives;
        let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
        let (mut slope, mut intercept) = (1.0, 0.0);
        for _ in 0..100 {
            // Keeps the Hessian regular if all values are equal.
            let ridge = 1e-3;
            let (mut gradient, mut hessian) =
                ([ridge * (slope - 1.0), ridge * intercept], [ridge, 0.0, ridge]);
            for &(value, reached) in pairs {
                let x = logit(value);
                let p = sigmoid(slope * x + intercept);
                let error = p - if reached { high } else { low };
                let weight = p * (1.0 - p);
                gradient = [gradient[0] + error * x, gradient[1] + error];
                hessian = [hessian[0] + weight * x * x, hessian[1] + weight * x, hessian[2] + weight];
            }
            let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
            let step = [
                (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant,
                (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant,
            ];
            // A step can overshoot where the curve is flat; both parameters are of the order of 1.
            slope -= step[0].clamp(-1.0, 1.0);
            intercept -= step[1].clamp(-1.0, 1.0);
            if step.iter().all(|step| step.abs() < 1e-9) {
                break;
            }
        }
        if slope <= 0.0 {
            // What ranks backwards on held-out data knows nothing: the base rate.
            return Self { slope: 0.0, intercept: logit(base_rate(pairs)) };
        }
        Self { slope, intercept }
    }

    /// The probability that belongs to a value, within [0, 1].
    pub fn probability(self, value: f64) -> f64 {
        sigmoid(self.slope * logit(value) + self.intercept).clamp(0.0, 1.0)
    }

    /// Whether both parameters are numbers.
    pub fn is_finite(self) -> bool {
        self.slope.is_finite() && self.intercept.is_finite()
    }
}

/// The share that was reached, by Laplace's rule: never 0 or 1.
pub fn base_rate(pairs: &[(f64, bool)]) -> f64 {
    (pairs.iter().filter(|(_, reached)| *reached).count() as f64 + 1.0) / (pairs.len() as f64 + 2.0)
}

/// The logistic function.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-6, 1.0 - 1e-6);
    (p / (1.0 - p)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_the_observed_frequencies() {
        let samples = |value: f64, reached: usize| (0..500).map(move |index| (value, index < reached));
        let map = Platt::fit(&samples(0.25, 50).chain(samples(0.96, 450)).collect::<Vec<_>>());
        assert!((map.probability(0.25) - 0.1).abs() < 0.01, "{map:?}");
        assert!((map.probability(0.96) - 0.9).abs() < 0.01, "{map:?}");
        let backwards = Platt::fit(&samples(0.2, 400).chain(samples(0.8, 100)).collect::<Vec<_>>());
        assert!((backwards.probability(0.2) - 0.5).abs() < 0.01, "{backwards:?}");
    }
}
