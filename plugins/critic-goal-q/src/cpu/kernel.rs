//! The arithmetic of the small networks: matrix products, and updates in place.

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Result};
use forethought_candle::wide;

/// A matrix in memory: its numbers and the distance between rows and between columns.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    strides: (usize, usize),
}

impl<'a> View<'a> {
    /// Row-major numbers as a matrix.
    pub(crate) fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(
            numbers.len() >= rows * columns,
            "a matrix of {rows} x {columns} in {} numbers",
            numbers.len()
        );
        Self { numbers, rows, columns, strides: (columns, 1) }
    }
    /// How many rows it has.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
    /// Some of its columns.
    pub(crate) fn columns(self, start: usize, count: usize) -> Self {
        assert!(start + count <= self.columns && self.strides == (self.columns, 1), "columns of rows");
        Self { numbers: &self.numbers[start..], columns: count, ..self }
    }
    /// The same numbers with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        let Self { numbers, rows, columns, strides } = self;
        Self { numbers, rows: columns, columns: rows, strides: (strides.1, strides.0) }
    }
}

/// `sum += left · right`, `sum` row-major.
pub(crate) fn add_product(sum: &mut [f32], left: View<'_>, right: View<'_>) {
    multiply(sum, left, right, true);
}

/// `to = left · right`, `to` row-major.
pub(crate) fn product(to: &mut [f32], left: View<'_>, right: View<'_>) {
    multiply(to, left, right, false);
}

fn multiply(sum: &mut [f32], left: View<'_>, right: View<'_>, adds: bool) {
    assert_eq!(left.columns, right.rows, "inner sizes of a matrix product");
    assert_eq!(sum.len(), left.rows * right.columns, "size of a matrix product");
    // SAFETY: both views lie within their slices by construction, and `sum` has rows x columns numbers.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            sum.as_mut_ptr(),
            1,
            right.columns as isize,
            adds,
            left.numbers.as_ptr(),
            left.strides.1 as isize,
            left.strides.0 as isize,
            right.numbers.as_ptr(),
            right.strides.1 as isize,
            right.strides.0 as isize,
            if adds { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

wide! {
    /// `target += addend`, number by number.
    fn add(target: &mut [f32], addend: &[f32]) {
        for (target, addend) in target.iter_mut().zip(addend) {
            *target += addend;
        }
    }
}

wide! {
    /// The first layer of a row: its bias and the `count` products of its texts, added in this order and rectified.
    fn rectify_sum(to: &mut [f32], bias: &[f32], products: [&[f32]; 3], count: usize) {
        let [a, b, c] = products;
        let numbers = to.iter_mut().zip(bias).zip(a).zip(b);
        if count == 3 {
            for ((((to, bias), a), b), c) in numbers.zip(c) {
                *to = (bias + a + b + c).max(0.0);
            }
        } else {
            for (((to, bias), a), b) in numbers {
                *to = (bias + a + b).max(0.0);
            }
        }
    }
}

wide! {
    /// Every row becomes the bias.
    fn bias_rows(rows: &mut [f32], bias: &[f32]) {
        rows.chunks_exact_mut(bias.len()).for_each(|row| row.copy_from_slice(bias));
    }
}

wide! {
    /// Negative numbers become 0.
    fn rectify(numbers: &mut [f32]) {
        numbers.iter_mut().for_each(|number| *number = number.max(0.0));
    }
}

wide! {
    /// What was rectified has no gradient.
    fn rectify_like(gradient: &mut [f32], rectified: &[f32]) {
        for (gradient, &rectified) in gradient.iter_mut().zip(rectified) {
            *gradient = if rectified <= 0.0 { 0.0 } else { *gradient };
        }
    }
}

wide! {
    /// `column · row` where `rectified` is above 0, and 0 elsewhere.
    fn outer_masked(to: &mut [f32], column: &[f32], row: &[f32], rectified: &[f32]) {
        let width = row.len();
        let rows = to.chunks_exact_mut(width).zip(rectified.chunks_exact(width));
        for ((to, rectified), factor) in rows.zip(column) {
            for ((to, &rectified), number) in to.iter_mut().zip(rectified).zip(row) {
                *to = if rectified <= 0.0 { 0.0 } else { factor * number };
            }
        }
    }
}

wide! {
    /// `average <- (1 - rate) * average + rate * other`.
    fn average(average: &mut [f32], other: &[f32], rate: f32) {
        for (average, other) in average.iter_mut().zip(other) {
            *average += rate * (other - *average);
        }
    }
}

/// AdamW, at one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adam {
    pub(crate) learning_rate: f32,
    pub(crate) weight_decay: f32,
    /// Counted from 1.
    pub(crate) step: i32,
}

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

impl Adam {
    /// Moves the weights against their gradient.
    pub(crate) fn step(self, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let (correct1, correct2) = (1.0 - BETA1.powi(self.step), 1.0 - BETA2.powi(self.step));
        let keep = 1.0 - self.learning_rate * self.weight_decay;
        adam(weights, gradient, (first, second), [keep, self.learning_rate / correct1, correct2]);
    }
}

wide! {
    /// Weights, their gradient and moments; what is kept of a weight, the rate, and the correction of the second
    /// moment.
    fn adam(weights: &mut [f32], gradient: &[f32], moments: (&mut [f32], &mut [f32]), numbers: [f32; 3]) {
        let ((first, second), [keep, rate, correct2]) = (moments, numbers);
        for (((weight, first), second), gradient) in weights.iter_mut().zip(first).zip(second).zip(gradient) {
            *first = BETA1 * *first + (1.0 - BETA1) * gradient;
            *second = BETA2 * *second + (1.0 - BETA2) * gradient * gradient;
            *weight = keep * *weight - rate * *first / ((*second / correct2).sqrt() + EPSILON);
        }
    }
}

/// One step of AdamW on all weights, and the two moments it keeps.
pub(crate) struct AdamStep<'a> {
    pub(crate) gradient: &'a [f32],
    pub(crate) moments: std::cell::RefCell<(&'a mut [f32], &'a mut [f32])>,
    pub(crate) adam: Adam,
}

impl InplaceOp1 for AdamStep<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }
    fn cpu_fwd(&self, weights: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let CpuStorage::F32(weights) = weights else { candle_core::bail!("weights are f32") };
        let weights = &mut weights[layout.start_offset()..][..layout.shape().elem_count()];
        let mut moments = self.moments.borrow_mut();
        let (first, second) = &mut *moments;
        self.adam.step(weights, self.gradient, first, second);
        Ok(())
    }
}

/// `average <- (1 - rate) * average + rate * other`.
pub(crate) struct Average(pub(crate) f32);

impl InplaceOp2 for Average {
    fn name(&self) -> &'static str {
        "average"
    }
    fn cpu_fwd(
        &self,
        average: &mut CpuStorage,
        layout: &Layout,
        other: &CpuStorage,
        other_layout: &Layout,
    ) -> Result<()> {
        let count = layout.shape().elem_count();
        let CpuStorage::F32(average) = average else { candle_core::bail!("weights are f32") };
        let to = &mut average[layout.start_offset()..][..count];
        self::average(to, &other.as_slice::<f32>()?[other_layout.start_offset()..][..count], self.0);
        Ok(())
    }
}

/// While it lives, this thread's CPU counts denormal numbers as zero.
///
/// Late in training many activations and optimiser moments are denormal, and x86 handles those in microcode, tens of
/// times slower. Elsewhere this does nothing.
pub(crate) struct FlushDenormals {
    #[cfg(target_arch = "x86_64")]
    before: u32,
}

impl FlushDenormals {
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn new() -> Self {
        const FLUSH_TO_ZERO: u32 = 1 << 15;
        const DENORMALS_ARE_ZERO: u32 = 1 << 6;
        let mut before = 0u32;
        // SAFETY: stores and loads the SSE control register of this thread, which every x86_64 CPU has.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &mut before, options(nostack));
            let flushing = before | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO;
            std::arch::asm!("ldmxcsr [{}]", in(reg) &flushing, options(nostack));
        }
        Self { before }
    }
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn new() -> Self {
        Self {}
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for FlushDenormals {
    fn drop(&mut self) {
        // SAFETY: as above; restores the thread's setting.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &self.before, options(nostack)) }
    }
}
