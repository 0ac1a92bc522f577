//! Products of rows with weights.
//!
//! Weights lie in panels of some outputs, input by input, so that one pass over a panel is a plain sum for each output.
//! That sum is taken in the order of the inputs, regardless of how many rows there are and of how wide the processor's
//! registers are: a row's result never depends on other rows. In f32 the bits are the same on every processor that
//! multiplies and adds in one step.

use forethought_candle::cpu::bf16::{self, Left, Right};
use forethought_candle::wide;

use super::functions::activate;
use crate::files::Activation;

/// Outputs of a panel in f32, and the numbers of one register of AVX-512.
pub(super) const WIDTH: usize = 32;
const LANES: usize = 16;

/// Outputs of a panel in bfloat16.
const WIDE: usize = 64;

/// Rows that go through a panel and are finished before the next ones, while they are in the nearest cache.
const BLOCK: usize = 48;

/// What numbers are rounded to before they are multiplied. Sums are in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    F32,
    Bf16,
}

/// `x W + b`.
pub(super) struct Linear {
    weights: Weights,
    bias: Vec<f32>,
    inputs: usize,
}

enum Weights {
    F32(Vec<f32>),
    /// Pairs of inputs, as [`bf16::pairs`] writes them.
    Bf16(Vec<u32>),
}

/// What becomes of a product.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then {
    Store,
    /// It is added to what is there.
    Add,
    Activate(Activation),
}

impl Linear {
    /// From weights row by row, one row for each output.
    pub(super) fn new(weights: &[f32], bias: Vec<f32>, form: Form) -> Self {
        let (outputs, inputs) = (bias.len(), weights.len() / bias.len());
        let weights = match form {
            Form::F32 => {
                let mut packed = vec![0.0; outputs.div_ceil(WIDTH) * WIDTH * inputs];
                for (panel, rows) in
                    packed.chunks_exact_mut(WIDTH * inputs).zip(weights.chunks(WIDTH * inputs))
                {
                    pack_rows(panel, rows, inputs, inputs);
                }
                Weights::F32(packed)
            }
            Form::Bf16 => {
                let mut all = Vec::new();
                let (mut panel, mut words) = (Vec::new(), Vec::new());
                for rows in weights.chunks(WIDE * inputs) {
                    let columns = rows.len() / inputs;
                    panel.clear();
                    panel.extend(
                        (0..inputs).flat_map(|input| (0..columns).map(move |row| rows[row * inputs + input])),
                    );
                    words.clear();
                    bf16::pairs(&panel, columns, &mut words);
                    all.append(&mut words);
                }
                Weights::Bf16(all)
            }
        };
        Self { weights, bias, inputs }
    }

    pub(super) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// The product of each row of `x`; `to` is row-major. `words` is room to work in.
    pub(super) fn forward(&self, x: &[f32], words: &mut Vec<u32>, to: &mut [f32], then: Then) {
        let (inputs, outputs) = (self.inputs, self.bias.len());
        let rows = x.len() / inputs;
        assert!(x.len() == rows * inputs && to.len() == rows * outputs, "sizes of a matrix product");
        let adds = matches!(then, Then::Add);
        let (width, pairs) =
            (if matches!(self.weights, Weights::F32(_)) { WIDTH } else { WIDE }, inputs.div_ceil(2));
        if matches!(self.weights, Weights::Bf16(_)) {
            bf16::halves(x, inputs, words);
        }
        for (panel, bias) in self.bias.chunks(width).enumerate() {
            let first = panel * width;
            for start in (0..rows).step_by(BLOCK) {
                let count = BLOCK.min(rows - start);
                let to = &mut to[start * outputs + first..][..(count - 1) * outputs + bias.len()];
                match &self.weights {
                    Weights::F32(all) => {
                        let left = Rows { numbers: &x[start * inputs..], stride: inputs, count };
                        let panel = &all[first * inputs..][..width * inputs];
                        product(to, outputs, bias.len(), left, panel, adds);
                    }
                    Weights::Bf16(all) => {
                        let left = Left::of_rows(words, inputs).from(start, count);
                        let panel = &all[first * pairs..][..bias.len() * pairs];
                        bf16::product_within(to, outputs, left, Right::new(panel, bias.len()), adds);
                    }
                }
                finish(to, outputs, bias, then);
            }
        }
    }
}

/// Up to [`WIDTH`] rows, `stride` numbers apart, as a panel: their `inputs` numbers become lines of the panel.
pub(super) fn pack_rows(panel: &mut [f32], rows: &[f32], stride: usize, inputs: usize) {
    for (lane, row) in rows.chunks(stride).enumerate() {
        for (line, number) in panel.chunks_exact_mut(WIDTH).zip(&row[..inputs]) {
            line[lane] = *number;
        }
    }
}

wide! {
    fn finish(to: &mut [f32], stride: usize, bias: &[f32], then: Then) {
        for row in to.chunks_mut(stride) {
            let row = &mut row[..bias.len()];
            for (number, bias) in row.iter_mut().zip(bias) {
                *number += bias;
            }
            if let Then::Activate(activation) = then {
                activate(row, activation);
            }
        }
    }
}

/// Rows that begin `stride` numbers after each other.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) stride: usize,
    pub(super) count: usize,
}

/// `to = rows · panel`, or `to += rows · panel` if it `adds`: `columns` numbers of each row of `to`, which begin `stride`
/// after each other. A panel has [`WIDTH`] numbers for each input.
pub(super) fn product(
    to: &mut [f32],
    stride: usize,
    columns: usize,
    rows: Rows<'_>,
    panel: &[f32],
    adds: bool,
) {
    let job = Job { to, stride, columns, rows, panel, adds };
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has these registers.
            return unsafe { avx512(job) };
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            // SAFETY: the processor has these registers.
            return unsafe { avx2(job) };
        }
    }
    other(job);
}

struct Job<'a> {
    to: &'a mut [f32],
    stride: usize,
    columns: usize,
    rows: Rows<'a>,
    panel: &'a [f32],
    adds: bool,
}

// The sums of a tile stay in registers: 24 of 16 numbers, 12 of 8, or 24 of 4.

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(job: Job<'_>) {
    job.run::<12, 2, true>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(job: Job<'_>) {
    job.run::<6, 1, true>();
}

fn other(job: Job<'_>) {
    // Elsewhere, and on old x86_64, multiplying and adding in one step is a slow call of a function.
    job.run::<6, 1, { cfg!(target_arch = "aarch64") }>();
}

impl Job<'_> {
    /// `M` rows and `N` registers' worth of columns at a time.
    #[inline(always)]
    fn run<const M: usize, const N: usize, const FUSED: bool>(self) {
        let Self { to, stride, columns, rows, panel, adds } = self;
        let mut row = 0;
        while row < rows.count {
            let numbers = &rows.numbers[row * rows.stride..];
            let to = &mut to[row * stride..];
            let left = rows.count - row;
            row += if left >= M {
                tile::<M, N, FUSED>(to, stride, columns, numbers, rows.stride, panel, adds);
                M
            } else if left >= 4 {
                tile::<4, N, FUSED>(to, stride, columns, numbers, rows.stride, panel, adds);
                4
            } else {
                tile::<1, N, FUSED>(to, stride, columns, numbers, rows.stride, panel, adds);
                1
            };
        }
    }
}

#[inline(always)]
fn tile<const M: usize, const N: usize, const FUSED: bool>(
    to: &mut [f32],
    stride: usize,
    columns: usize,
    numbers: &[f32],
    distance: usize,
    panel: &[f32],
    adds: bool,
) {
    let inputs = panel.len() / WIDTH;
    let rows: [&[f32]; M] = std::array::from_fn(|row| &numbers[row * distance..][..inputs]);
    for first in (0..WIDTH).step_by(N * LANES) {
        let mut sums = [[[0f32; LANES]; N]; M];
        for (input, line) in panel.chunks_exact(WIDTH).take(inputs).enumerate() {
            let line = &line[first..first + N * LANES];
            for row in 0..M {
                let number = rows[row][input];
                for register in 0..N {
                    for lane in 0..LANES {
                        let sum = &mut sums[row][register][lane];
                        let weight = line[register * LANES + lane];
                        *sum = if FUSED { number.mul_add(weight, *sum) } else { *sum + number * weight };
                    }
                }
            }
        }
        let width = columns.saturating_sub(first).min(N * LANES);
        for (row, sums) in sums.iter().enumerate() {
            if width == 0 {
                continue;
            }
            let to = &mut to[row * stride + first..][..width];
            for (to, sum) in to.iter_mut().zip(sums.as_flattened()) {
                *to = if adds { *to + sum } else { *sum };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forethought_sdk::seed::{self, RngExt};

    fn matrix(count: usize, name: &str) -> Vec<f32> {
        let mut random = seed::stream(3, name);
        (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn products_are_the_sums_in_order_on_every_processor() {
        for (rows, inputs, columns) in [(1, 1, 1), (5, 7, 32), (13, 64, 20), (31, 33, 16), (12, 2, 31)] {
            let left = matrix(rows * (inputs + 3), "left");
            let panel = matrix(inputs * WIDTH, "panel");
            let stride = columns + 2;
            let before = matrix(rows * stride, "to");
            for adds in [false, true] {
                let mut expected = before.clone();
                for (row, to) in expected.chunks_exact_mut(stride).enumerate() {
                    for (column, to) in to[..columns].iter_mut().enumerate() {
                        let mut sum = 0f32;
                        for input in 0..inputs {
                            sum =
                                left[row * (inputs + 3) + input].mul_add(panel[input * WIDTH + column], sum);
                        }
                        *to = if adds { *to + sum } else { sum };
                    }
                }
                let run = |with: &dyn Fn(Job<'_>)| {
                    let mut to = before.clone();
                    let rows = Rows { numbers: &left, stride: inputs + 3, count: rows };
                    with(Job { to: &mut to, stride, columns, rows, panel: &panel, adds });
                    to
                };
                assert_eq!(run(&|job| job.run::<6, 1, true>()), expected);
                #[cfg(target_arch = "x86_64")]
                {
                    if std::arch::is_x86_feature_detected!("avx512f") {
                        // SAFETY: the processor has these registers.
                        assert_eq!(run(&|job| unsafe { avx512(job) }), expected);
                    }
                    if std::arch::is_x86_feature_detected!("avx2")
                        && std::arch::is_x86_feature_detected!("fma")
                    {
                        // SAFETY: the processor has these registers.
                        assert_eq!(run(&|job| unsafe { avx2(job) }), expected);
                    }
                }
                let near = run(&other);
                assert!(near.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4));
            }
        }
    }

    #[test]
    fn a_linear_layer_is_its_formula_in_both_forms() {
        for (rows, inputs, outputs) in [(1, 5, 3), (50, 32, 70), (97, 17, 64)] {
            let (x, weights) = (matrix(rows * inputs, "x"), matrix(outputs * inputs, "weights"));
            let (bias, before) = (matrix(outputs, "bias"), matrix(rows * outputs, "before"));
            for form in [Form::F32, Form::Bf16] {
                let linear = Linear::new(&weights, bias.clone(), form);
                for (then, adds) in
                    [(Then::Store, false), (Then::Add, true), (Then::Activate(Activation::Relu), false)]
                {
                    let mut to = before.clone();
                    linear.forward(&x, &mut Vec::new(), &mut to, then);
                    for (at, got) in to.iter().enumerate() {
                        let (row, output) = (at / outputs, at % outputs);
                        let sum: f32 =
                            (0..inputs).map(|k| x[row * inputs + k] * weights[output * inputs + k]).sum();
                        let mut expected = sum + bias[output] + if adds { before[at] } else { 0.0 };
                        if let Then::Activate(_) = then {
                            expected = expected.max(0.0);
                        }
                        let tolerance = if form == Form::F32 { 1e-5 } else { 0.03 };
                        assert!((got - expected).abs() < tolerance, "{form:?} {then:?}: {got} {expected}");
                    }
                }
            }
        }
    }
}
