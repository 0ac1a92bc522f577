//! The regression that a critic must beat.

use crate::evaluate::draw::Draw;

/// Logistic regression with a ridge, by stochastic gradient descent with averaged weights.
pub(crate) struct Logistic {
    weights: Vec<f32>,
    bias: f32,
}

impl Logistic {
    /// Learns from `count` lessons, each of `size` inputs and whether the answer is yes; `draw` gives their order.
    pub(crate) fn fit(
        size: usize,
        count: usize,
        lesson: impl Fn(usize) -> (Vec<f32>, bool),
        draw: &mut Draw,
    ) -> Self {
        const EPOCHS: usize = 20;
        const RIDGE: f32 = 1e-4;
        let (mut now, mut mean) =
            (Self { weights: vec![0.0; size], bias: 0.0 }, Self { weights: vec![0.0; size], bias: 0.0 });
        let mut order: Vec<usize> = (0..count).collect();
        for epoch in 0..EPOCHS {
            for last in (1..order.len()).rev() {
                order.swap(last, draw.below(last + 1));
            }
            let rate = 1.0 / (1.0 + epoch as f32);
            for &index in &order {
                let (inputs, yes) = lesson(index);
                let label = if yes { 1.0 } else { 0.0 };
                let error = now.probability(&inputs) as f32 - label;
                for (weight, input) in now.weights.iter_mut().zip(&inputs) {
                    *weight -= rate * (error * input + RIDGE * *weight);
                }
                now.bias -= rate * error;
            }
            // The second half of the epochs is averaged: it wanders around the optimum.
            if epoch >= EPOCHS / 2 {
                let share = 1.0 / (EPOCHS - EPOCHS / 2) as f32;
                mean.weights.iter_mut().zip(&now.weights).for_each(|(mean, now)| *mean += share * now);
                mean.bias += share * now.bias;
            }
        }
        mean
    }
    /// The probability of a yes.
    pub(crate) fn probability(&self, inputs: &[f32]) -> f64 {
        let sum: f32 = self.weights.iter().zip(inputs).map(|(weight, input)| weight * input).sum();
        1.0 / (1.0 + f64::from(-(sum + self.bias)).exp())
    }
}
