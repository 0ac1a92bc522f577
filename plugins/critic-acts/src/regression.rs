//! Softmax regression with a ridge: `min mean(-log p(act)) + l2 / 2 |W|^2`, by accelerated gradient descent (Nesterov,
//! 1983). Convex, and the step follows from the data: there is no learning rate, and no seed.

use candle_core::{D, Device, Result, Tensor};

/// A regression being fitted.
pub(crate) struct Fitting {
    /// (examples, columns)
    inputs: Tensor,
    /// (examples, acts): one where the act is.
    labels: Tensor,
    /// (columns, acts)
    weights: Tensor,
    /// Where the next gradient is taken.
    ahead: Tensor,
    l2: f64,
    rate: f64,
    steps: u64,
}

impl Fitting {
    /// Over rows of `columns` numbers and as many acts.
    pub(crate) fn new(
        inputs: Vec<f32>,
        columns: usize,
        labels: &[usize],
        acts: usize,
        l2: f64,
    ) -> Result<Self> {
        let rows = labels.len();
        let mut hot = vec![0f32; rows * acts];
        labels.iter().enumerate().for_each(|(row, act)| hot[row * acts + act] = 1.0);
        let largest = inputs
            .chunks_exact(columns)
            .map(|row| row.iter().map(|number| f64::from(number * number)).sum::<f64>())
            .fold(0.0, f64::max);
        // The curvature of softmax is at most 1/2 a unit of squared length.
        let rate = 1.0 / (0.5 * largest + l2);
        let weights = Tensor::zeros((columns, acts), candle_core::DType::F32, &Device::Cpu)?;
        Ok(Self {
            inputs: Tensor::from_vec(inputs, (rows, columns), &Device::Cpu)?,
            labels: Tensor::from_vec(hot, (rows, acts), &Device::Cpu)?,
            ahead: weights.clone(),
            weights,
            l2,
            rate,
            steps: 0,
        })
    }

    /// Takes `count` steps.
    pub(crate) fn run(mut self, count: u64) -> Result<Self> {
        let rows = self.inputs.dim(0)? as f64;
        let transposed = self.inputs.t()?;
        for _ in 0..count {
            let probabilities = candle_softmax(&self.inputs.matmul(&self.ahead)?)?;
            let slope = transposed.matmul(&(probabilities - &self.labels)?)?;
            let slope = ((slope / rows)? + (&self.ahead * self.l2)?)?;
            let next = (&self.ahead - (slope * self.rate)?)?;
            let momentum = self.steps as f64 / (self.steps as f64 + 3.0);
            self.ahead = (&next + ((&next - &self.weights)? * momentum)?)?;
            self.weights = next;
            self.steps += 1;
        }
        Ok(self)
    }

    /// The weights, column by column of the inputs.
    pub(crate) fn weights(&self) -> Result<Vec<f32>> {
        self.weights.flatten_all()?.to_vec1()
    }
}

fn candle_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?.exp()?;
    shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)
}

/// Scores of the acts for one row of inputs: in f64 and one row at a time, so that no batch can change a bit of them.
pub(crate) fn scores(weights: &[f32], acts: usize, inputs: &[f32]) -> Vec<f64> {
    let mut scores = vec![0.0; acts];
    for (input, weights) in inputs.iter().zip(weights.chunks_exact(acts)).filter(|(input, _)| **input != 0.0)
    {
        for (score, weight) in scores.iter_mut().zip(weights) {
            *score += f64::from(*input) * f64::from(*weight);
        }
    }
    scores
}

/// Probabilities from scores.
pub(crate) fn softmax(scores: &[f64]) -> Vec<f64> {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let parts: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
    let sum: f64 = parts.iter().sum();
    parts.iter().map(|part| part / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reaches_the_frequencies_where_nothing_tells_acts_apart() {
        // One column that is always 1: the optimum without a ridge is the share of each act.
        let fitted = Fitting::new(vec![1.0; 10], 1, &[0, 0, 0, 0, 0, 0, 1, 1, 1, 2], 3, 0.0).unwrap();
        let weights = fitted.run(300).unwrap().weights().unwrap();
        for (found, share) in softmax(&scores(&weights, 3, &[1.0])).into_iter().zip([0.6, 0.3, 0.1]) {
            assert!((found - share).abs() < 1e-3, "{found} {share}");
        }
    }
}
