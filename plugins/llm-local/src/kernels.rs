//! Products of rows with weights on the CPU.
//!
//! Weights stay as compact as they were published and are widened in registers, because writing an answer is limited by
//! memory bandwidth. They lie in panels of [`WIDTH`] outputs, input by input, so that one pass over a panel is a plain
//! sum for each output. A row's result never depends on how many rows are computed together: its sums are always taken
//! in the same order. That is what lets answers be batched, and prefixes be kept, without changing a bit.

use candle_core::DType;
use rayon::prelude::*;

/// Outputs of a panel.
pub(crate) const WIDTH: usize = 32;

/// Inputs that are summed before they are scaled and added to the rest; quantised weights share a scale.
const BLOCK: usize = 32;

/// From this many rows on, a panel is widened once for all of them.
const MANY: usize = 16;

/// A matrix of (outputs, inputs).
pub(crate) struct Matrix {
    pub(crate) outputs: usize,
    inputs: usize,
    numbers: Numbers,
    /// Of 8-bit numbers: one for each block of each output, in the order of the panels.
    scales: Vec<f32>,
}

enum Numbers {
    F32(Vec<f32>),
    F16(Vec<F16>),
    Bf16(Vec<Bf16>),
    Q8(Vec<i8>),
}

/// How a matrix is stored. All but 8 bits are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    F32,
    F16,
    Bf16,
    Q8,
}

impl Form {
    pub(crate) fn of(dtype: DType) -> Self {
        match dtype {
            DType::F16 => Self::F16,
            DType::BF16 => Self::Bf16,
            _ => Self::F32,
        }
    }

    /// What can store both.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Q8, other) | (other, Self::Q8) => other,
            _ => Self::F32,
        }
    }
}

#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct F16(u16);

#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Bf16(u16);

impl Matrix {
    /// From values row by row, one row for each output.
    pub(crate) fn new(outputs: usize, inputs: usize, values: &[f32], form: Form) -> Self {
        // Blocks must be whole.
        let form = if inputs.is_multiple_of(BLOCK) { form } else { form.and(Form::F32) };
        let panels = outputs.div_ceil(WIDTH);
        let at = |panel: usize, input: usize, lane: usize| match panel * WIDTH + lane {
            output if output < outputs => values[output * inputs + input],
            _ => 0.0,
        };
        let all = || {
            (0..panels).flat_map(move |panel| {
                (0..inputs).flat_map(move |input| (0..WIDTH).map(move |lane| (panel, input, lane)))
            })
        };
        let plain = || all().map(|(panel, input, lane)| at(panel, input, lane));
        let mut scales = Vec::new();
        let numbers = match form {
            Form::F32 => Numbers::F32(plain().collect()),
            Form::F16 => {
                Numbers::F16(plain().map(|value| F16(half::f16::from_f32(value).to_bits())).collect())
            }
            Form::Bf16 => {
                Numbers::Bf16(plain().map(|value| Bf16(half::bf16::from_f32(value).to_bits())).collect())
            }
            Form::Q8 => {
                let blocks = inputs / BLOCK;
                for panel in 0..panels {
                    for block in 0..blocks {
                        for lane in 0..WIDTH {
                            let inputs = block * BLOCK..(block + 1) * BLOCK;
                            let most = inputs.map(|input| at(panel, input, lane).abs()).fold(0.0, f32::max);
                            scales.push(most / 127.0);
                        }
                    }
                }
                let quantised = all().map(|(panel, input, lane)| {
                    match scales[(panel * blocks + input / BLOCK) * WIDTH + lane] {
                        0.0 => 0,
                        scale => (at(panel, input, lane) / scale).round() as i8,
                    }
                });
                Numbers::Q8(quantised.collect())
            }
        };
        Self { outputs, inputs, numbers, scales }
    }

    /// The weights of one output.
    pub(crate) fn row(&self, output: usize) -> Vec<f32> {
        let (panel, lane) = (output / WIDTH, output % WIDTH);
        let at = |input: usize| (panel * self.inputs + input) * WIDTH + lane;
        let scale =
            |input: usize| self.scales[(panel * (self.inputs / BLOCK) + input / BLOCK) * WIDTH + lane];
        let value = |input: usize| match &self.numbers {
            Numbers::F32(all) => all[at(input)],
            Numbers::F16(all) => all[at(input)].value(),
            Numbers::Bf16(all) => all[at(input)].value(),
            Numbers::Q8(all) => all[at(input)].value() * scale(input),
        };
        (0..self.inputs).map(value).collect()
    }

    /// Each row of `x` times every output's weights, row by row.
    pub(crate) fn product(&self, x: &[f32]) -> Vec<f32> {
        let rows = x.len() / self.inputs;
        let mut panels = vec![0.0; self.outputs.div_ceil(WIDTH) * rows * WIDTH];
        panels.par_chunks_mut(rows * WIDTH).enumerate().for_each_init(Vec::new, |wide, (index, out)| {
            match &self.numbers {
                Numbers::F32(all) => self.panel(all, index, x, out),
                Numbers::F16(all) => self.widened(all, index, x, wide, out),
                Numbers::Bf16(all) => self.widened(all, index, x, wide, out),
                Numbers::Q8(all) => self.widened(all, index, x, wide, out),
            }
        });
        if rows == 1 {
            panels.truncate(self.outputs);
            return panels;
        }
        let mut out = vec![0.0; rows * self.outputs];
        out.par_chunks_mut(self.outputs).enumerate().for_each(|(row, out)| {
            for (index, out) in out.chunks_mut(WIDTH).enumerate() {
                let start = (index * rows + row) * WIDTH;
                out.copy_from_slice(&panels[start..start + out.len()]);
            }
        });
        out
    }

    fn panel<E: Element>(&self, all: &[E], index: usize, x: &[f32], out: &mut [f32]) {
        let size = self.inputs * WIDTH;
        products(self.rows(&all[index * size..(index + 1) * size], index, x), out);
    }

    fn widened<E: Element>(&self, all: &[E], index: usize, x: &[f32], wide: &mut Vec<f32>, out: &mut [f32]) {
        if out.len() < MANY * WIDTH {
            return self.panel(all, index, x, out);
        }
        let size = self.inputs * WIDTH;
        wide.resize(size, 0.0);
        widen(&all[index * size..(index + 1) * size], wide);
        products(self.rows(&wide[..], index, x), out);
    }

    /// Rows that follow one another without gaps, and the panel `index`.
    fn rows<'a, E>(&'a self, panel: &'a [E], index: usize, x: &'a [f32]) -> Rows<'a, E> {
        Rows { panel, scales: self.scales_of(index), x, stride: self.inputs, inputs: self.inputs }
    }

    fn scales_of(&self, index: usize) -> &[f32] {
        let size = self.inputs / BLOCK * WIDTH;
        if self.scales.is_empty() { &[] } else { &self.scales[index * size..(index + 1) * size] }
    }
}

/// Rows of `x`, each `inputs` long and beginning `stride` after the one before, and a panel to multiply them with.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, E> {
    pub(crate) panel: &'a [E],
    /// Of 8-bit numbers: [`WIDTH`] for each block of inputs.
    pub(crate) scales: &'a [f32],
    pub(crate) x: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) inputs: usize,
}

/// The rows times their panel: `out` is rows of [`WIDTH`].
pub(crate) fn products<E: Element>(rows: Rows<E>, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        let fma = is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        if fma && is_x86_feature_detected!("avx512f") {
            // SAFETY: the CPU has what the function needs.
            return unsafe { x86::avx512(rows, out) };
        }
        if fma && is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { x86::avx2(rows, out) };
        }
    }
    scalar(rows, out);
}

/// The same in plain numbers.
fn scalar<E: Element>(rows: Rows<E>, out: &mut [f32]) {
    // SAFETY: `Plain` needs nothing of the CPU.
    unsafe { tiles::<Plain, E, WIDTH, 1>(rows, out) }
}

fn widen<E: Element>(from: &[E], to: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("f16c") && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    {
        // SAFETY: the CPU has what the function needs.
        return unsafe { x86::widen(from, to) };
    }
    from.iter().zip(to).for_each(|(from, to)| *to = from.value());
}

/// [`products`], `M` rows at a time, a panel being `L` vectors wide.
///
/// # Safety
/// The CPU must have what `S` needs.
#[inline(always)]
unsafe fn tiles<S: Simd, E: Element, const L: usize, const M: usize>(mut rows: Rows<E>, mut out: &mut [f32]) {
    while out.len() >= M * WIDTH {
        let (now, rest) = out.split_at_mut(M * WIDTH);
        // SAFETY: passed on.
        unsafe { tile::<S, E, L, M>(rows, now) };
        out = rest;
        rows.x = &rows.x[(M * rows.stride).min(rows.x.len())..];
    }
    while !out.is_empty() {
        let (now, rest) = out.split_at_mut(WIDTH);
        // SAFETY: passed on.
        unsafe { tile::<S, E, L, 1>(rows, now) };
        out = rest;
        rows.x = &rows.x[rows.stride.min(rows.x.len())..];
    }
}

/// # Safety
/// The CPU must have what `S` needs.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "constant bounds, which the compiler unrolls into registers")]
unsafe fn tile<S: Simd, E: Element, const L: usize, const M: usize>(rows: Rows<E>, out: &mut [f32]) {
    let Rows { panel, scales, x, stride, inputs } = rows;
    let lanes = WIDTH / L;
    assert!(panel.len() >= inputs * WIDTH && x.len() >= (M - 1) * stride + inputs && out.len() == M * WIDTH);
    assert!(scales.is_empty() || scales.len() >= inputs.div_ceil(BLOCK) * WIDTH);
    // SAFETY: all that is read and written lies within the lengths just checked.
    unsafe {
        let (panel, scales, x) =
            (panel.as_ptr(), (!scales.is_empty()).then_some(scales.as_ptr()), x.as_ptr());
        let mut sums = [[S::splat(0.0); L]; M];
        for (block, start) in (0..inputs).step_by(BLOCK).enumerate() {
            let mut parts = [[S::splat(0.0); L]; M];
            for input in start..(start + BLOCK).min(inputs) {
                let mut weights = [S::splat(0.0); L];
                for l in 0..L {
                    weights[l] = E::load::<S>(panel.add(input * WIDTH + l * lanes));
                }
                for m in 0..M {
                    let value = S::splat(*x.add(m * stride + input));
                    for l in 0..L {
                        parts[m][l] = S::multiply_add(weights[l], value, parts[m][l]);
                    }
                }
            }
            for l in 0..L {
                let scale = match scales {
                    Some(scales) => S::load(scales.add(block * WIDTH + l * lanes)),
                    None => S::splat(1.0),
                };
                for m in 0..M {
                    sums[m][l] = S::multiply_add(parts[m][l], scale, sums[m][l]);
                }
            }
        }
        for m in 0..M {
            for l in 0..L {
                S::store(sums[m][l], out.as_mut_ptr().add(m * WIDTH + l * lanes));
            }
        }
    }
}

/// A number as it is stored.
pub(crate) trait Element: Copy + Send + Sync {
    fn value(self) -> f32;

    /// # Safety
    /// The CPU has what `S` needs, and a vector's worth of numbers lies at `at`.
    unsafe fn load<S: Simd>(at: *const Self) -> S::Vector;
}

/// Vectors of a CPU.
///
/// # Safety
/// The CPU has them; pointers point to a vector's worth of numbers.
pub(crate) trait Simd {
    type Vector: Copy;
    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    unsafe fn store(vector: Self::Vector, at: *mut f32);
    unsafe fn load(at: *const f32) -> Self::Vector;
    unsafe fn load_f16(at: *const u16) -> Self::Vector;
    unsafe fn load_bf16(at: *const u16) -> Self::Vector;
    unsafe fn load_i8(at: *const i8) -> Self::Vector;
}

macro_rules! element {
    ($type:ty, $number:ty, $load:ident, |$own:ident| $value:expr) => {
        impl Element for $type {
            #[inline(always)]
            fn value(self) -> f32 {
                let $own = self;
                $value
            }

            #[inline(always)]
            unsafe fn load<S: Simd>(at: *const Self) -> S::Vector {
                // SAFETY: passed on; the type is as its number in memory.
                unsafe { S::$load(at.cast::<$number>()) }
            }
        }
    };
}

element!(f32, f32, load, |own| own);
element!(F16, u16, load_f16, |own| half::f16::from_bits(own.0).to_f32());
element!(Bf16, u16, load_bf16, |own| f32::from_bits(u32::from(own.0) << 16));
element!(i8, i8, load_i8, |own| f32::from(own));

/// No vectors at all.
struct Plain;

impl Simd for Plain {
    type Vector = f32;
    #[inline(always)]
    unsafe fn splat(value: f32) -> f32 {
        value
    }
    #[inline(always)]
    unsafe fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
    #[inline(always)]
    unsafe fn store(vector: f32, at: *mut f32) {
        // SAFETY: the caller's.
        unsafe { *at = vector }
    }
    #[inline(always)]
    unsafe fn load(at: *const f32) -> f32 {
        // SAFETY: the caller's.
        unsafe { *at }
    }
    #[inline(always)]
    unsafe fn load_f16(at: *const u16) -> f32 {
        // SAFETY: the caller's.
        F16(unsafe { *at }).value()
    }
    #[inline(always)]
    unsafe fn load_bf16(at: *const u16) -> f32 {
        // SAFETY: the caller's.
        Bf16(unsafe { *at }).value()
    }
    #[inline(always)]
    unsafe fn load_i8(at: *const i8) -> f32 {
        // SAFETY: the caller's.
        f32::from(unsafe { *at })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Element, Rows, Simd, tiles};

    macro_rules! simd {
        ($name:ident, $vector:ty, $splat:ident, $fma:ident, $store:ident, $load:ident,
         |$at:ident| $f16:expr, $bf16:expr, $i8:expr) => {
            pub(super) struct $name;

            // SAFETY, of all: only called where the CPU has the instructions, with pointers that the caller checked.
            impl Simd for $name {
                type Vector = $vector;
                #[inline(always)]
                unsafe fn splat(value: f32) -> $vector {
                    unsafe { $splat(value) }
                }
                #[inline(always)]
                unsafe fn multiply_add(a: $vector, b: $vector, c: $vector) -> $vector {
                    unsafe { $fma(a, b, c) }
                }
                #[inline(always)]
                unsafe fn store(vector: $vector, at: *mut f32) {
                    unsafe { $store(at, vector) }
                }
                #[inline(always)]
                unsafe fn load(at: *const f32) -> $vector {
                    unsafe { $load(at) }
                }
                #[inline(always)]
                unsafe fn load_f16($at: *const u16) -> $vector {
                    unsafe { $f16 }
                }
                #[inline(always)]
                unsafe fn load_bf16($at: *const u16) -> $vector {
                    unsafe { $bf16 }
                }
                #[inline(always)]
                unsafe fn load_i8($at: *const i8) -> $vector {
                    unsafe { $i8 }
                }
            }
        };
    }

    simd!(
        Avx512,
        __m512,
        _mm512_set1_ps,
        _mm512_fmadd_ps,
        _mm512_storeu_ps,
        _mm512_loadu_ps,
        |at| _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())),
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast())))),
        _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(at.cast())))
    );
    simd!(
        Avx2,
        __m256,
        _mm256_set1_ps,
        _mm256_fmadd_ps,
        _mm256_storeu_ps,
        _mm256_loadu_ps,
        |at| _mm256_cvtph_ps(_mm_loadu_si128(at.cast())),
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast())))),
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(at.cast())))
    );

    /// # Safety
    /// The CPU has AVX-512F, FMA and F16C.
    #[target_feature(enable = "avx512f,avx2,fma,f16c")]
    pub(super) unsafe fn avx512<E: Element>(rows: Rows<E>, out: &mut [f32]) {
        // SAFETY: the CPU has it.
        unsafe { tiles::<Avx512, E, 2, 6>(rows, out) }
    }

    /// # Safety
    /// The CPU has AVX2, FMA and F16C.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn avx2<E: Element>(rows: Rows<E>, out: &mut [f32]) {
        // SAFETY: the CPU has it.
        unsafe { tiles::<Avx2, E, 4, 2>(rows, out) }
    }

    /// # Safety
    /// The CPU has AVX2, FMA and F16C.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn widen<E: Element>(from: &[E], to: &mut [f32]) {
        for (from, to) in from.chunks_exact(8).zip(to.chunks_exact_mut(8)) {
            // SAFETY: both are 8 numbers, a whole vector; panels are a multiple of it.
            unsafe { Avx2::store(E::load::<Avx2>(from.as_ptr()), to.as_mut_ptr()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn products_are_those_of_plain_arithmetic_and_rows_do_not_depend_on_each_other(
            outputs in 1..70_usize,
            blocks in 1..4_usize,
            rows in 1..20_usize,
            values in prop::collection::vec(-2.0..2.0_f32, 70 * 96 + 20 * 96),
        ) {
            let inputs = blocks * BLOCK;
            let x = &values[70 * 96..][..rows * inputs];
            for form in [Form::F32, Form::F16, Form::Bf16, Form::Q8] {
                let matrix = Matrix::new(outputs, inputs, &values[..outputs * inputs], form);
                let found = matrix.product(x);
                for (row, x) in x.chunks(inputs).enumerate() {
                    let found = &found[row * outputs..(row + 1) * outputs];
                    prop_assert_eq!(&matrix.product(x), found);
                    for (output, &found) in found.iter().enumerate() {
                        let expected: f32 = matrix.row(output).iter().zip(x).map(|(w, x)| w * x).sum();
                        prop_assert!((found - expected).abs() < 1e-3, "{} instead of {}", found, expected);
                    }
                }
            }
        }

        #[test]
        fn vectors_give_what_plain_numbers_give(
            inputs in 1..70_usize,
            panel in prop::collection::vec(any::<i8>(), 70 * WIDTH),
            x in prop::collection::vec(-1.0..1.0_f32, 7 * 70),
        ) {
            let (mut found, mut expected) = ([0.0; 7 * WIDTH], [0.0; 7 * WIDTH]);
            let rows = Rows { panel: &panel, scales: &[], x: &x, stride: inputs, inputs };
            products(rows, &mut found);
            scalar(rows, &mut expected);
            for (found, expected) in found.iter().zip(expected) {
                prop_assert!((found - expected).abs() < 0.05, "{} instead of {}", found, expected);
            }
        }
    }

    #[test]
    fn weights_that_were_8_bits_are_kept_exactly() {
        let values: Vec<f32> = (0..64).map(|at| ((at * 37 % 255) as f32 - 127.0) * 0.03).collect();
        let row = Matrix::new(1, 64, &values, Form::Q8).row(0);
        assert!(row.iter().zip(&values).all(|(a, b)| (a - b).abs() <= 0.02), "{row:?}");
        let whole: Vec<f32> = (0..32).map(|at| (at * 8 - 127) as f32 * 0.25).collect();
        assert_eq!(Matrix::new(1, 32, &whole, Form::Q8).row(0), whole);
    }
}
