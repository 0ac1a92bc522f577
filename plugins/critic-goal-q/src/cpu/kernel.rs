//! The arithmetic of the small networks: matrix products, and updates in place.

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Result};

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
    /// The same numbers with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        let Self { numbers, rows, columns, strides } = self;
        Self { numbers, rows: columns, columns: rows, strides: (strides.1, strides.0) }
    }
}

/// `sum += left · right`, `sum` row-major.
pub(crate) fn add_product(sum: &mut [f32], left: View<'_>, right: View<'_>) {
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
            true,
            left.numbers.as_ptr(),
            left.strides.1 as isize,
            left.strides.0 as isize,
            right.numbers.as_ptr(),
            right.strides.1 as isize,
            right.strides.0 as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `target += addend`, number by number.
pub(crate) fn add(target: &mut [f32], addend: &[f32]) {
    for (target, addend) in target.iter_mut().zip(addend) {
        *target += addend;
    }
}

/// One step of AdamW on all weights, and the two moments it keeps.
pub(crate) struct AdamStep<'a> {
    pub(crate) gradient: &'a [f32],
    pub(crate) moments: std::cell::RefCell<(&'a mut [f32], &'a mut [f32])>,
    pub(crate) learning_rate: f32,
    pub(crate) weight_decay: f32,
    /// Counted from 1.
    pub(crate) step: i32,
}

impl InplaceOp1 for AdamStep<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }
    fn cpu_fwd(&self, weights: &mut CpuStorage, layout: &Layout) -> Result<()> {
        const BETA1: f32 = 0.9;
        const BETA2: f32 = 0.999;
        const EPSILON: f32 = 1e-8;
        let CpuStorage::F32(weights) = weights else { candle_core::bail!("weights are f32") };
        let weights = &mut weights[layout.start_offset()..][..layout.shape().elem_count()];
        let mut moments = self.moments.borrow_mut();
        let (first, second) = &mut *moments;
        let (correct1, correct2) = (1.0 - BETA1.powi(self.step), 1.0 - BETA2.powi(self.step));
        let keep = 1.0 - self.learning_rate * self.weight_decay;
        let rate = self.learning_rate / correct1;
        for (((weight, first), second), gradient) in
            weights.iter_mut().zip(first.iter_mut()).zip(second.iter_mut()).zip(self.gradient)
        {
            *first = BETA1 * *first + (1.0 - BETA1) * gradient;
            *second = BETA2 * *second + (1.0 - BETA2) * gradient * gradient;
            *weight = keep * *weight - rate * *first / ((*second / correct2).sqrt() + EPSILON);
        }
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
        let average = &mut average[layout.start_offset()..][..count];
        let other = &other.as_slice::<f32>()?[other_layout.start_offset()..][..count];
        for (average, other) in average.iter_mut().zip(other) {
            *average += self.0 * (other - *average);
        }
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
