//! Products of rows with weights on the CPU.
//!
//! Weights stay as compact as they were published and are widened in registers, because writing an answer is limited by
//! memory bandwidth. They lie in panels of [`WIDTH`] outputs, input by input, so that one pass over a panel is a plain
//! sum for each output. A row's result never depends on how many rows are computed together: its sums are always taken
//! in the same order. That is what lets answers be batched, and prefixes be kept, without changing a bit.
//!
//! With weights in 8 bits, rows are rounded to 16 bits, with a scale for each block, and multiplied in whole numbers:
//! sums of a block are exact, and a CPU computes twice as many of them at a time. The error is 1/65,534 of the largest
//! number of a block at most. The weights themselves are as published where a block of 32 has a scale and an offset.

use candle_core::DType;
use rayon::prelude::*;

/// Outputs of a panel.
pub(crate) const WIDTH: usize = 32;

/// Inputs that are summed before they are scaled and added to the rest; quantised weights share a scale. Even.
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
    /// What is added to the scaled numbers, in the same order. Empty if it is always 0.
    offsets: Vec<f32>,
}

enum Numbers {
    F32(Vec<f32>),
    F16(Vec<F16>),
    Bf16(Vec<Bf16>),
    /// Inputs in pairs: two of the first output, two of the next.
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
        let (mut scales, mut offsets) = (Vec::new(), Vec::new());
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
                let mut numbers = vec![0; panels * inputs * WIDTH];
                scales = vec![0.0; panels * blocks * WIDTH];
                offsets = scales.clone();
                let scales = scales.par_chunks_mut(blocks * WIDTH);
                let panels = numbers.par_chunks_mut(inputs * WIDTH).zip(scales);
                let panels = panels.zip(offsets.par_chunks_mut(blocks * WIDTH));
                let rows = values.par_chunks(inputs * WIDTH);
                panels.zip(rows).for_each(|(((numbers, scales), offsets), rows)| {
                    for (lane, row) in rows.chunks(inputs).enumerate() {
                        for (block, row) in row.chunks(BLOCK).enumerate() {
                            let (scale, offset) = grid(row);
                            scales[block * WIDTH + lane] = scale;
                            offsets[block * WIDTH + lane] = offset;
                            let inverse = inverse(scale);
                            for (at, value) in row.iter().enumerate() {
                                let number = ((value - offset) * inverse + ROUNDER).to_bits() as i8;
                                numbers[paired(block * BLOCK + at, lane)] = number;
                            }
                        }
                    }
                });
                if offsets.iter().all(|offset| *offset == 0.0) {
                    offsets = Vec::new();
                }
                Numbers::Q8(numbers)
            }
        };
        Self { outputs, inputs, numbers, scales, offsets }
    }

    /// The weights of one output.
    pub(crate) fn row(&self, output: usize) -> Vec<f32> {
        let (panel, lane) = (output / WIDTH, output % WIDTH);
        let at = |input: usize| (panel * self.inputs + input) * WIDTH + lane;
        let block = |input: usize| (panel * (self.inputs / BLOCK) + input / BLOCK) * WIDTH + lane;
        let value = |input: usize| match &self.numbers {
            Numbers::F32(all) => all[at(input)],
            Numbers::F16(all) => all[at(input)].value(),
            Numbers::Bf16(all) => all[at(input)].value(),
            Numbers::Q8(all) => {
                let number = f32::from(all[panel * self.inputs * WIDTH + paired(input, lane)]);
                let offset = self.offsets.get(block(input)).copied().unwrap_or_default();
                number * self.scales[block(input)] + offset
            }
        };
        (0..self.inputs).map(value).collect()
    }

    /// Each row of `x` times every output's weights, row by row.
    pub(crate) fn product(&self, x: &[f32]) -> Vec<f32> {
        let rows = x.len() / self.inputs;
        let mut panels = vec![0.0; self.outputs.div_ceil(WIDTH) * rows * WIDTH];
        let each = panels.par_chunks_mut(rows * WIDTH).enumerate();
        match &self.numbers {
            Numbers::F32(all) => each.for_each(|(index, out)| self.panel(all, index, x, out)),
            Numbers::F16(all) => {
                each.for_each_init(Vec::new, |wide, (index, out)| self.widened(all, index, x, wide, out));
            }
            Numbers::Bf16(all) => {
                each.for_each_init(Vec::new, |wide, (index, out)| self.widened(all, index, x, wide, out));
            }
            Numbers::Q8(all) => {
                let x = Rounded::new(x);
                each.for_each_init(Vec::new, |wide, (index, out)| self.whole(all, index, &x, wide, out));
            }
        }
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
        products(self.rows(&all[index * size..(index + 1) * size], x), out);
    }

    fn widened<E: Element>(&self, all: &[E], index: usize, x: &[f32], wide: &mut Vec<f32>, out: &mut [f32]) {
        if out.len() < MANY * WIDTH {
            return self.panel(all, index, x, out);
        }
        let size = self.inputs * WIDTH;
        wide.resize(size, 0.0);
        widen(&all[index * size..(index + 1) * size], wide);
        products(self.rows(&wide[..], x), out);
    }

    /// Rows that follow one another without gaps, and a panel.
    fn rows<'a, E>(&self, panel: &'a [E], x: &'a [f32]) -> Rows<'a, E> {
        Rows { panel, x, stride: self.inputs, inputs: self.inputs }
    }

    fn whole(&self, all: &[i8], index: usize, x: &Rounded, wide: &mut Vec<i16>, out: &mut [f32]) {
        let (size, blocks) = (self.inputs * WIDTH, self.inputs / BLOCK * WIDTH);
        let panel = &all[index * size..(index + 1) * size];
        let scales = &self.scales[index * blocks..(index + 1) * blocks];
        let offsets = self.offsets.get(index * blocks..(index + 1) * blocks).unwrap_or_default();
        let rows = WholeRows { panel, scales, offsets, x: x.all(), inputs: self.inputs };
        if out.len() < MANY * WIDTH {
            return whole_products(rows, out);
        }
        wide.clear();
        wide.extend(panel.iter().map(|number| i16::from(*number)));
        whole_products(rows.with(&wide[..]), out);
    }
}

/// Where a panel in pairs has the weight of an output for an input.
fn paired(input: usize, lane: usize) -> usize {
    (input / 2 * WIDTH + lane) * 2 + input % 2
}

/// A sum with it has the nearest whole number in its last bits.
const ROUNDER: f32 = 12_582_912.0;

fn inverse(scale: f32) -> f32 {
    if scale.is_normal() { 1.0 / scale } else { 0.0 }
}

/// The scale and the offset that make whole numbers of a block's values: exactly, if they are those of a block in 8 bits
/// with a scale, or in up to 5 bits with a scale and an offset; else the nearest ones in 8 bits.
fn grid(values: &[f32]) -> (f32, f32) {
    let whole = |scale: f32, offset: f32| {
        let inverse = inverse(scale);
        values.iter().all(|value| {
            let number = (value - offset) * inverse;
            (number - ((number + ROUNDER) - ROUNDER)).abs() < 1e-3
        })
    };
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let even = high.max(-low) / 127.0;
    if whole(even, 0.0) {
        return (even, 0.0);
    }
    let exact = |levels: u8| {
        let scale = (high - low) / f32::from(levels);
        whole(scale, low).then(|| (scale, low + scale * f32::from(levels.div_ceil(2))))
    };
    (1..32).find_map(exact).unwrap_or((even, 0.0))
}

/// Rows in 16 bits, with a scale for each block.
struct Rounded {
    numbers: Vec<i16>,
    scales: Vec<f32>,
    /// The scaled sum of each block.
    sums: Vec<f32>,
}

impl Rounded {
    fn new(x: &[f32]) -> Self {
        let blocks = x.len() / BLOCK;
        let (mut numbers, mut scales, mut sums) = (vec![0; x.len()], vec![0.0; blocks], vec![0.0; blocks]);
        let blocks = numbers.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK));
        let blocks = blocks.zip(scales.par_iter_mut()).zip(sums.par_iter_mut());
        blocks.with_min_len(128).for_each(|(((numbers, x), scale), sum)| {
            let most = x.iter().map(|x| x.to_bits() & !(1 << 31)).fold(0, u32::max);
            *scale = f32::from_bits(most) / 32767.0;
            let inverse = inverse(*scale);
            for (number, x) in numbers.iter_mut().zip(x) {
                *number = (x * inverse + ROUNDER).to_bits() as i16;
            }
            *sum = numbers.iter().map(|number| i32::from(*number)).sum::<i32>() as f32 * *scale;
        });
        Self { numbers, scales, sums }
    }

    fn all(&self) -> Numbered<'_> {
        Numbered { numbers: &self.numbers, scales: &self.scales, sums: &self.sums }
    }
}

/// A part of [`Rounded`].
#[derive(Clone, Copy)]
struct Numbered<'a> {
    numbers: &'a [i16],
    scales: &'a [f32],
    sums: &'a [f32],
}

/// Rows that follow one another without gaps, and a panel in pairs to multiply them with.
#[derive(Clone, Copy)]
struct WholeRows<'a, W> {
    panel: &'a [W],
    /// [`WIDTH`] for each block of inputs, as are the offsets, if there are any.
    scales: &'a [f32],
    offsets: &'a [f32],
    x: Numbered<'a>,
    inputs: usize,
}

impl<'a, W> WholeRows<'a, W> {
    fn with<V>(self, panel: &'a [V]) -> WholeRows<'a, V> {
        let Self { scales, offsets, x, inputs, .. } = self;
        WholeRows { panel, scales, offsets, x, inputs }
    }

    /// Without the first `count` rows.
    fn skip(self, count: usize) -> Self {
        let Numbered { numbers, scales, sums } = self.x;
        let blocks = count * (self.inputs / BLOCK);
        let numbers = &numbers[count * self.inputs..];
        Self { x: Numbered { numbers, scales: &scales[blocks..], sums: &sums[blocks..] }, ..self }
    }
}

/// Rows of `x`, each `inputs` long and beginning `stride` after the one before, and a panel to multiply them with.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, E> {
    pub(crate) panel: &'a [E],
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

/// The same for rows in 16 bits.
fn whole_products<W: Weight>(rows: WholeRows<W>, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        if fma && wide && is_x86_feature_detected!("avx512vnni") {
            // SAFETY: the CPU has what the function needs.
            return unsafe { x86::whole_avx512(rows, out) };
        }
        if fma {
            // SAFETY: as above.
            return unsafe { x86::whole_avx2(rows, out) };
        }
    }
    // SAFETY: `Plain` needs nothing of the CPU.
    unsafe { whole_tiles::<Plain, W, WIDTH, 1>(rows, out) }
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
    let Rows { panel, x, stride, inputs } = rows;
    let lanes = WIDTH / L;
    assert!(panel.len() >= inputs * WIDTH && x.len() >= (M - 1) * stride + inputs && out.len() == M * WIDTH);
    // SAFETY: all that is read and written lies within the lengths just checked.
    unsafe {
        let (panel, x, one) = (panel.as_ptr(), x.as_ptr(), S::splat(1.0));
        let mut sums = [[S::splat(0.0); L]; M];
        for start in (0..inputs).step_by(BLOCK) {
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
            for m in 0..M {
                for l in 0..L {
                    sums[m][l] = S::multiply_add(parts[m][l], one, sums[m][l]);
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

/// [`whole_products`], `M` rows at a time, a panel being `L` vectors wide.
///
/// # Safety
/// The CPU must have what `S` needs.
#[inline(always)]
unsafe fn whole_tiles<S: WholeSimd, W: Weight, const L: usize, const M: usize>(
    rows: WholeRows<W>,
    out: &mut [f32],
) {
    let most = out.len() / WIDTH / M * M;
    let (many, rest) = out.split_at_mut(most * WIDTH);
    for (tile, out) in many.chunks_exact_mut(M * WIDTH).enumerate() {
        // SAFETY: passed on.
        unsafe { whole_tile::<S, W, L, M>(rows.skip(tile * M), out) };
    }
    for (row, out) in rest.chunks_exact_mut(WIDTH).enumerate() {
        // SAFETY: passed on.
        unsafe { whole_tile::<S, W, L, 1>(rows.skip(most + row), out) };
    }
}

/// # Safety
/// The CPU must have what `S` needs.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "constant bounds, which the compiler unrolls into registers")]
unsafe fn whole_tile<S: WholeSimd, W: Weight, const L: usize, const M: usize>(
    rows: WholeRows<W>,
    out: &mut [f32],
) {
    let WholeRows { panel, scales, offsets, x, inputs } = rows;
    let (lanes, blocks) = (WIDTH / L, inputs / BLOCK);
    assert!(inputs.is_multiple_of(BLOCK) && panel.len() >= inputs * WIDTH && scales.len() >= blocks * WIDTH);
    assert!(offsets.is_empty() || offsets.len() >= blocks * WIDTH);
    assert!(x.numbers.len() >= M * inputs && x.scales.len() >= M * blocks && x.sums.len() >= M * blocks);
    assert!(out.len() == M * WIDTH);
    // SAFETY: all that is read and written lies within the lengths just checked.
    unsafe {
        let (panel, scales, numbers) = (panel.as_ptr(), scales.as_ptr(), x.numbers.as_ptr());
        let offsets = (!offsets.is_empty()).then_some(offsets.as_ptr());
        let mut sums = [[S::splat(0.0); L]; M];
        for block in 0..blocks {
            let mut parts = [[S::zero(); L]; M];
            for input in (block * BLOCK..(block + 1) * BLOCK).step_by(2) {
                let mut weights = [S::zero(); L];
                for l in 0..L {
                    weights[l] = W::load_pairs::<S>(panel.add(input * WIDTH + l * lanes * 2));
                }
                for m in 0..M {
                    let pair = S::pair(numbers.add(m * inputs + input).cast::<i32>().read_unaligned());
                    for l in 0..L {
                        parts[m][l] = S::add_pairs(parts[m][l], weights[l], pair);
                    }
                }
            }
            for l in 0..L {
                let scale = S::load(scales.add(block * WIDTH + l * lanes));
                for m in 0..M {
                    let scale = S::multiply(scale, S::splat(x.scales[m * blocks + block]));
                    sums[m][l] = S::multiply_add(S::float(parts[m][l]), scale, sums[m][l]);
                }
                if let Some(offsets) = offsets {
                    let offset = S::load(offsets.add(block * WIDTH + l * lanes));
                    for m in 0..M {
                        sums[m][l] =
                            S::multiply_add(offset, S::splat(x.sums[m * blocks + block]), sums[m][l]);
                    }
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

/// A weight in 8 bits, or widened.
trait Weight: Copy + Send + Sync {
    /// # Safety
    /// The CPU has what `S` needs, and pairs for a vector of outputs lie at `at`.
    unsafe fn load_pairs<S: WholeSimd>(at: *const Self) -> S::Whole;
}

impl Weight for i8 {
    #[inline(always)]
    unsafe fn load_pairs<S: WholeSimd>(at: *const Self) -> S::Whole {
        // SAFETY: passed on.
        unsafe { S::load_i8(at) }
    }
}

impl Weight for i16 {
    #[inline(always)]
    unsafe fn load_pairs<S: WholeSimd>(at: *const Self) -> S::Whole {
        // SAFETY: passed on.
        unsafe { S::load_i16(at) }
    }
}

/// Vectors of whole numbers: as many in 32 bits as [`Simd::Vector`] has floats, or pairs in 16 bits.
///
/// # Safety
/// The CPU has them; pointers point to a vector's worth of numbers.
trait WholeSimd: Simd {
    type Whole: Copy;
    unsafe fn zero() -> Self::Whole;
    /// The same pair everywhere.
    unsafe fn pair(pair: i32) -> Self::Whole;
    unsafe fn load_i8(at: *const i8) -> Self::Whole;
    unsafe fn load_i16(at: *const i16) -> Self::Whole;
    /// `sum`, and the products of two pairs.
    unsafe fn add_pairs(sum: Self::Whole, a: Self::Whole, b: Self::Whole) -> Self::Whole;
    unsafe fn float(whole: Self::Whole) -> Self::Vector;
    unsafe fn multiply(a: Self::Vector, b: Self::Vector) -> Self::Vector;
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
}

impl WholeSimd for Plain {
    type Whole = i32;
    #[inline(always)]
    unsafe fn zero() -> i32 {
        0
    }
    #[inline(always)]
    unsafe fn pair(pair: i32) -> i32 {
        pair
    }
    #[inline(always)]
    unsafe fn load_i8(at: *const i8) -> i32 {
        // SAFETY: the caller's.
        let pair = unsafe { [i16::from(*at), i16::from(*at.add(1))] };
        // SAFETY: the caller's, for an array on the stack.
        unsafe { Self::load_i16(pair.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn load_i16(at: *const i16) -> i32 {
        // SAFETY: the caller's.
        unsafe { at.cast::<i32>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn add_pairs(sum: i32, a: i32, b: i32) -> i32 {
        sum + i32::from(a as i16) * i32::from(b as i16) + (a >> 16) * (b >> 16)
    }
    #[inline(always)]
    unsafe fn float(whole: i32) -> f32 {
        whole as f32
    }
    #[inline(always)]
    unsafe fn multiply(a: f32, b: f32) -> f32 {
        a * b
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Element, Rows, Simd, Weight, WholeRows, WholeSimd, tiles, whole_tiles};

    macro_rules! simd {
        ($name:ident, $vector:ty, $splat:ident, $fma:ident, $store:ident, $load:ident,
         |$at:ident| $f16:expr, $bf16:expr) => {
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
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()))))
    );
    simd!(
        Avx2,
        __m256,
        _mm256_set1_ps,
        _mm256_fmadd_ps,
        _mm256_storeu_ps,
        _mm256_loadu_ps,
        |at| _mm256_cvtph_ps(_mm_loadu_si128(at.cast())),
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()))))
    );

    macro_rules! whole {
        ($name:ident, $vector:ty, $whole:ty, $zero:ident, $pair:ident, $float:ident, $multiply:ident,
         |$at:ident| $i8:expr, $i16:expr, |$sum:ident, $a:ident, $b:ident| $add:expr) => {
            // SAFETY, of all: only called where the CPU has the instructions, with pointers that the caller checked.
            impl WholeSimd for $name {
                type Whole = $whole;
                #[inline(always)]
                unsafe fn zero() -> $whole {
                    unsafe { $zero() }
                }
                #[inline(always)]
                unsafe fn pair(pair: i32) -> $whole {
                    unsafe { $pair(pair) }
                }
                #[inline(always)]
                unsafe fn load_i8($at: *const i8) -> $whole {
                    unsafe { $i8 }
                }
                #[inline(always)]
                unsafe fn load_i16($at: *const i16) -> $whole {
                    unsafe { $i16 }
                }
                #[inline(always)]
                unsafe fn add_pairs($sum: $whole, $a: $whole, $b: $whole) -> $whole {
                    unsafe { $add }
                }
                #[inline(always)]
                unsafe fn float(whole: $whole) -> $vector {
                    unsafe { $float(whole) }
                }
                #[inline(always)]
                unsafe fn multiply(a: $vector, b: $vector) -> $vector {
                    unsafe { $multiply(a, b) }
                }
            }
        };
    }

    whole!(
        Avx512,
        __m512,
        __m512i,
        _mm512_setzero_si512,
        _mm512_set1_epi32,
        _mm512_cvtepi32_ps,
        _mm512_mul_ps,
        |at| _mm512_cvtepi8_epi16(_mm256_loadu_si256(at.cast())),
        _mm512_loadu_si512(at.cast()),
        |sum, a, b| _mm512_dpwssd_epi32(sum, a, b)
    );
    whole!(
        Avx2,
        __m256,
        __m256i,
        _mm256_setzero_si256,
        _mm256_set1_epi32,
        _mm256_cvtepi32_ps,
        _mm256_mul_ps,
        |at| _mm256_cvtepi8_epi16(_mm_loadu_si128(at.cast())),
        _mm256_loadu_si256(at.cast()),
        |sum, a, b| _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
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
    /// The CPU has AVX-512F, BW and VNNI, AVX2 and FMA.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
    pub(super) unsafe fn whole_avx512<W: Weight>(rows: WholeRows<W>, out: &mut [f32]) {
        // SAFETY: the CPU has it.
        unsafe { whole_tiles::<Avx512, W, 2, 6>(rows, out) }
    }

    /// # Safety
    /// The CPU has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn whole_avx2<W: Weight>(rows: WholeRows<W>, out: &mut [f32]) {
        // SAFETY: the CPU has it.
        unsafe { whole_tiles::<Avx2, W, 4, 2>(rows, out) }
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
                        // Rows are rounded to 16 bits where weights have 8.
                        let most = if form == Form::Q8 { 0.01 } else { 0.001 };
                        prop_assert!((found - expected).abs() < most, "{} instead of {}", found, expected);
                    }
                }
            }
        }

        #[test]
        fn vectors_give_what_plain_numbers_give(
            inputs in 1..70_usize,
            blocks in 1..4_usize,
            panel in prop::collection::vec(any::<i8>(), 3 * BLOCK * WIDTH),
            scales in prop::collection::vec(0.0..0.1_f32, 3 * WIDTH),
            x in prop::collection::vec(-1.0..1.0_f32, 7 * 3 * BLOCK),
        ) {
            let near = |found: &[f32], expected: &[f32]| {
                found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 0.05)
            };
            let (mut found, mut expected) = ([0.0; 7 * WIDTH], [0.0; 7 * WIDTH]);
            let floats: Vec<f32> = panel.iter().map(|number| f32::from(*number)).collect();
            let rows = Rows { panel: &floats, x: &x, stride: inputs, inputs };
            products(rows, &mut found);
            scalar(rows, &mut expected);
            prop_assert!(near(&found, &expected), "{:?} instead of {:?}", found, expected);

            let x = Rounded::new(&x);
            let inputs = blocks * BLOCK;
            let rows =
                WholeRows { panel: &panel[..], scales: &scales, offsets: &scales, x: x.all(), inputs };
            whole_products(rows, &mut found);
            // SAFETY: `Plain` needs nothing of the CPU.
            unsafe { whole_tiles::<Plain, i8, WIDTH, 1>(rows, &mut expected) }
            prop_assert!(near(&found, &expected), "{:?} instead of {:?}", found, expected);
        }
    }

    #[test]
    fn quantised_weights_are_kept_exactly() {
        // With a scale, and with a scale and an offset, as in the forms that begin with Q8, Q4 and Q5.
        for (levels, offset) in [(255, 0.0), (16, 0.0), (16, 0.171), (32, -0.05)] {
            let value = |at: usize| (at * 37 % levels) as f32 - (levels / 2) as f32;
            let mut values: Vec<f32> = (0..64).map(|at| value(at) * 0.03 + offset).collect();
            values[40] = values[0];
            let row = Matrix::new(1, 64, &values, Form::Q8).row(0);
            let off = row.iter().zip(&values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 2e-6, "{levels} levels: off by {off}");
        }
        // Others are rounded.
        let values: Vec<f32> = (0..32_u8).map(|at| f32::from(at).sin()).collect();
        let row = Matrix::new(1, 32, &values, Form::Q8).row(0);
        assert!(row.iter().zip(&values).all(|(a, b)| (a - b).abs() <= 0.5 / 127.0), "{row:?}");
    }
}
