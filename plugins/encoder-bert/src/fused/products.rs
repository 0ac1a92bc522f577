//! Products of rows with weights.
//!
//! Weights lie in panels of some outputs, input by input, so that one pass over a panel is a plain sum for each output.
//! That sum is taken in the order of the inputs, regardless of how many rows there are and of how wide the processor's
//! registers are: a row's result never depends on other rows. In f32 the bits are the same on every processor that
//! multiplies and adds in one step.

use forethought_candle::cpu::bf16::{self, Left, Right};
use forethought_candle::wide;

use super::functions::activate;
use crate::architecture::Activation;

/// Outputs of a panel in f32.
pub(super) const WIDTH: usize = 32;

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

// The sums of a tile stay in registers: 24 of 16 numbers, 10 of 8, or 24 of 4.

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(job: Job<'_>) {
    // SAFETY: this function has such registers.
    unsafe { job.run::<x86::__m512, 12, 2>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(job: Job<'_>) {
    // SAFETY: this function has such registers.
    unsafe { job.run::<x86::__m256, 5, 2>() }
}

fn other(job: Job<'_>) {
    // SAFETY: these registers are plain numbers.
    unsafe { job.run::<[f32; 4], 6, 4>() }
}

/// Some numbers that are computed at once.
///
/// # Safety
/// For all functions: the processor must have such registers, and pointers must lead to [`Register::LANES`] numbers.
trait Register: Copy {
    const LANES: usize;
    unsafe fn zero() -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// `self + number * weights`, rounded once.
    unsafe fn add_product(self, number: f32, weights: Self) -> Self;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    pub(super) use std::arch::x86_64::{__m256, __m512};

    use super::Register;

    macro_rules! register {
        ($kind:ty, $lanes:literal, $zero:ident, $load:ident, $store:ident, $splat:ident, $add:ident) => {
            impl Register for $kind {
                const LANES: usize = $lanes;
                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: passed on, here and below.
                    unsafe { $zero() }
                }
                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                unsafe fn add_product(self, number: f32, weights: Self) -> Self {
                    unsafe { $add($splat(number), weights, self) }
                }
            }
        };
    }
    register!(
        __m512,
        16,
        _mm512_setzero_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_set1_ps,
        _mm512_fmadd_ps
    );
    register!(
        __m256,
        8,
        _mm256_setzero_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_set1_ps,
        _mm256_fmadd_ps
    );
}

impl Register for [f32; 4] {
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: passed on.
        unsafe { from.cast::<Self>().read() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: passed on.
        unsafe { to.cast::<Self>().write(self) }
    }
    #[inline(always)]
    unsafe fn add_product(self, number: f32, weights: Self) -> Self {
        std::array::from_fn(|lane| match cfg!(target_arch = "aarch64") {
            true => number.mul_add(weights[lane], self[lane]),
            // On old x86_64 multiplying and adding in one step is a slow call of a function.
            false => self[lane] + number * weights[lane],
        })
    }
}

impl Job<'_> {
    /// `M` rows and `N` registers of columns at a time.
    ///
    /// # Safety
    /// The processor must have such registers.
    #[inline(always)]
    unsafe fn run<R: Register, const M: usize, const N: usize>(mut self) {
        while self.rows.count > 0 {
            // SAFETY: passed on.
            let done = unsafe {
                match self.rows.count {
                    count if count >= M => self.tile::<R, M, N>(),
                    4.. => self.tile::<R, 4, N>(),
                    _ => self.tile::<R, 1, N>(),
                }
            };
            self.rows.count -= done;
            let (numbers, to) = (self.rows.numbers, std::mem::take(&mut self.to));
            self.rows.numbers = &numbers[(done * self.rows.stride).min(numbers.len())..];
            let done = (done * self.stride).min(to.len());
            self.to = &mut to[done..];
        }
    }

    /// The first `M` rows.
    ///
    /// # Safety
    /// The processor must have such registers.
    #[inline(always)]
    unsafe fn tile<R: Register, const M: usize, const N: usize>(&mut self) -> usize {
        let (inputs, distance) = (self.panel.len() / WIDTH, self.rows.stride);
        let numbers = self.rows.numbers;
        assert!(numbers.len() >= (M - 1) * distance + inputs, "rows of a matrix product");
        for first in (0..WIDTH.min(self.columns)).step_by(N * R::LANES) {
            const { assert!(WIDTH.is_multiple_of(N * R::LANES)) };
            // SAFETY: a line has `WIDTH` numbers, and there are `M` rows of `inputs`.
            let sums = unsafe {
                let numbers = numbers.as_ptr();
                // Wrapping, because a check for overflow in the innermost loop takes longer than the products.
                let at = |row: usize, input: usize| row.wrapping_mul(distance).wrapping_add(input);
                let mut sums = [[R::zero(); N]; M];
                for (input, line) in self.panel.chunks_exact(WIDTH).take(inputs).enumerate() {
                    let line = line.as_ptr().add(first);
                    let weights: [R; N] =
                        std::array::from_fn(|at| R::load(line.add(at.wrapping_mul(R::LANES))));
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let number = *numbers.add(at(row, input));
                        for (sum, weights) in sums.iter_mut().zip(weights) {
                            *sum = sum.add_product(number, weights);
                        }
                    }
                }
                sums
            };
            let width = (self.columns - first).min(N * R::LANES);
            for (row, sums) in sums.into_iter().enumerate() {
                let mut numbers = [0.0; WIDTH];
                for (sum, to) in sums.into_iter().zip(numbers.chunks_exact_mut(R::LANES)) {
                    // SAFETY: a chunk has as many numbers.
                    unsafe { sum.store(to.as_mut_ptr()) }
                }
                let to = &mut self.to[row * self.stride + first..][..width];
                if self.adds {
                    to.iter_mut().zip(numbers).for_each(|(to, number)| *to += number);
                } else {
                    to.copy_from_slice(&numbers[..width]);
                }
            }
        }
        M
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
