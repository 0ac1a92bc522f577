//! Softmax regression with a ridge: `min mean(-log p(act)) + l2 / 2 |W|^2`, by accelerated gradient descent (Nesterov,
//! 1983). Convex, and the step follows from the data: there is no learning rate, and no seed.

/// A regression being fitted.
pub(crate) struct Fitting {
    /// Of shape (examples, columns).
    inputs: Vec<f32>,
    columns: usize,
    /// The act of each example.
    labels: Vec<usize>,
    acts: usize,
    /// Of shape (columns, acts).
    weights: Vec<f32>,
    /// Where the next gradient is taken.
    ahead: Vec<f32>,
    l2: f32,
    rate: f32,
    steps: u64,
}

impl Fitting {
    /// Over rows of `columns` numbers and as many acts.
    pub(crate) fn new(inputs: Vec<f32>, columns: usize, labels: Vec<usize>, acts: usize, l2: f64) -> Self {
        let largest = inputs
            .chunks_exact(columns)
            .map(|row| row.iter().map(|number| f64::from(number * number)).sum::<f64>())
            .fold(0.0, f64::max);
        // The curvature of softmax is at most 1/2 per unit of squared length.
        let rate = (1.0 / (0.5 * largest + l2)) as f32;
        let weights = vec![0.0; columns * acts];
        let ahead = weights.clone();
        Self { inputs, columns, labels, acts, weights, ahead, l2: l2 as f32, rate, steps: 0 }
    }

    /// Takes `count` steps.
    pub(crate) fn run(mut self, count: u64) -> Self {
        let share = (1.0 / self.labels.len() as f64) as f32;
        for _ in 0..count {
            let slope = self.slope();
            let momentum = (self.steps as f64 / (self.steps as f64 + 3.0)) as f32;
            for ((ahead, weight), slope) in self.ahead.iter_mut().zip(&mut self.weights).zip(slope) {
                let next = *ahead - self.rate * (share * slope + self.l2 * *ahead);
                *ahead = next + momentum * (next - *weight);
                *weight = next;
            }
            self.steps += 1;
        }
        self
    }

    /// What the next steps depend on.
    pub(crate) fn state(&self) -> Vec<u8> {
        let numbers = self.weights.iter().chain(&self.ahead).flat_map(|number| number.to_le_bytes());
        self.steps.to_le_bytes().into_iter().chain(numbers).collect()
    }

    /// Continues from a [`state`](Self::state) of the same data. Returns the steps taken before.
    pub(crate) fn restore(&mut self, state: &[u8]) -> u64 {
        let Some((steps, numbers)) = state.split_first_chunk() else { return 0 };
        let (numbers, _) = numbers.as_chunks();
        let all = self.weights.iter_mut().chain(&mut self.ahead);
        for (number, bytes) in all.zip(numbers) {
            *number = f32::from_le_bytes(*bytes);
        }
        self.steps = u64::from_le_bytes(*steps);
        self.steps
    }

    /// The gradient of the summed losses at `ahead`, without the ridge.
    fn slope(&self) -> Vec<f32> {
        let Self { columns, acts, .. } = *self;
        let (wide, high) = (block(columns), block(self.labels.len()));
        let mut slope = vec![0.0; self.weights.len()];
        for (rows, labels) in self.inputs.chunks(columns * high).zip(self.labels.chunks(high)) {
            let mut part = vec![0.0; slope.len()];
            for (row, &act) in rows.chunks_exact(columns).zip(labels) {
                let mut errors = vec![0.0; acts];
                for (row, ahead) in row.chunks(wide).zip(self.ahead.chunks(wide * acts)) {
                    let mut scores = vec![0.0; acts];
                    for (&input, weights) in row.iter().zip(ahead.chunks_exact(acts)) {
                        add(&mut scores, input, weights);
                    }
                    add(&mut errors, 1.0, &scores);
                }
                let highest = errors.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                errors.iter_mut().for_each(|score| *score = (*score - highest).exp());
                let sum: f32 = errors.iter().sum();
                errors.iter_mut().for_each(|part| *part /= sum);
                errors[act] -= 1.0;
                for (&input, part) in row.iter().zip(part.chunks_exact_mut(acts)) {
                    add(part, input, &errors);
                }
            }
            add(&mut slope, 1.0, &part);
        }
        slope
    }

    /// The weights, of shape (columns, acts).
    pub(crate) fn into_weights(self) -> Vec<f32> {
        self.weights
    }
}

/// Long sums are sums of blocks: at most 512 numbers, all of about the same length, against rounding errors. Matrix
/// products of `gemm`, which trained the checkpoints of release 0.1, sum in the same order.
fn block(length: usize) -> usize {
    length.div_ceil(length.div_ceil(512).max(1)).max(1)
}

/// `target += factor * addend`, rounded once: the product of two `f32` is exact in `f64`. The same bits on every CPU.
fn add(target: &mut [f32], factor: f32, addend: &[f32]) {
    if factor != 0.0 {
        for (target, addend) in target.iter_mut().zip(addend) {
            *target = (f64::from(factor) * f64::from(*addend) + f64::from(*target)) as f32;
        }
    }
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
        let fitted = Fitting::new(vec![1.0; 10], 1, vec![0, 0, 0, 0, 0, 0, 1, 1, 1, 2], 3, 0.0);
        let weights = fitted.run(300).into_weights();
        for (found, share) in softmax(&scores(&weights, 3, &[1.0])).into_iter().zip([0.6, 0.3, 0.1]) {
            assert!((found - share).abs() < 1e-3, "{found} {share}");
        }
    }
}
