//! Products of matrices in bfloat16, summed up in 32 bits: AVX-512 BF16 multiplies and adds two pairs per lane at once.
//!
//! So numbers are kept in pairs along the inner dimension: the lower half of each word is the first of its pair, and a
//! pair that is not full has a 0.

use crate::wide;

/// Whether this processor multiplies so.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// The left side of a product.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    words: &'a [u32],
    rows: usize,
    pairs: usize,
    /// The distance between rows and between pairs.
    strides: (usize, usize),
}

impl<'a> Left<'a> {
    /// Of what [`halves`] wrote of rows with so many columns.
    pub fn of_rows(words: &'a [u32], columns: usize) -> Self {
        let pairs = columns.div_ceil(2);
        Self { words, rows: words.len() / pairs, pairs, strides: (pairs, 1) }
    }
    /// The transpose of what [`pairs`] wrote of rows with so many columns.
    pub fn of_columns(words: &'a [u32], columns: usize) -> Self {
        Self { words, rows: columns, pairs: words.len() / columns, strides: (1, columns) }
    }
    /// Some of its rows.
    pub fn from(self, start: usize, count: usize) -> Self {
        assert!(start + count <= self.rows, "rows of a matrix");
        Self { words: &self.words[start * self.strides.0..], rows: count, ..self }
    }
}

/// The right side of a product: what [`pairs`] wrote of rows with so many columns.
#[derive(Clone, Copy)]
pub struct Right<'a> {
    words: &'a [u32],
    columns: usize,
}

impl<'a> Right<'a> {
    /// Of what [`pairs`] wrote of rows with so many columns.
    pub fn new(words: &'a [u32], columns: usize) -> Self {
        Self { words, columns }
    }
}

/// To the nearest, to even in between.
#[inline(always)]
fn round(number: f32) -> u32 {
    let bits = number.to_bits();
    bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16
}

wide! {
    fn pair_rows(to: &mut [u32], low: &[f32], high: &[f32]) {
        for ((to, low), high) in to.iter_mut().zip(low).zip(high) {
            *to = round(*low) | round(*high) << 16;
        }
    }
}

wide! {
    fn low_row(to: &mut [u32], low: &[f32]) {
        for (to, low) in to.iter_mut().zip(low) {
            *to = round(*low);
        }
    }
}

wide! {
    fn pair_columns(to: &mut [u32], from: &[f32]) {
        for (to, [low, high]) in to.iter_mut().zip(from.as_chunks().0) {
            *to = round(*low) | round(*high) << 16;
        }
    }
}

/// Pairs of rows: what is on the right of a product, or transposed on its left.
pub fn pairs(from: &[f32], columns: usize, to: &mut Vec<u32>) {
    to.resize((from.len() / columns).div_ceil(2) * columns, 0);
    for (to, from) in to.chunks_exact_mut(columns).zip(from.chunks(2 * columns)) {
        let (low, high) = from.split_at(columns);
        if high.is_empty() { low_row(to, low) } else { pair_rows(to, low, high) }
    }
}

/// Pairs of columns: what is on the left of a product.
pub fn halves(from: &[f32], columns: usize, to: &mut Vec<u32>) {
    let width = columns.div_ceil(2);
    to.resize(from.len() / columns * width, 0);
    if columns.is_multiple_of(2) {
        return pair_columns(to, from);
    }
    for (to, from) in to.chunks_exact_mut(width).zip(from.chunks_exact(columns)) {
        pair_columns(to, from);
        to[width - 1] = round(from[columns - 1]);
    }
}

/// Rows and columns of words exchanged; pairs of columns become those of the right side.
pub fn transpose(from: &[u32], rows: usize, to: &mut Vec<u32>) {
    to.resize(from.len(), 0);
    let columns = from.len() / rows;
    for (row, from) in from.chunks_exact(columns).enumerate() {
        for (column, word) in from.iter().enumerate() {
            to[column * rows + row] = *word;
        }
    }
}

/// `to = left · right`, or `to += left · right` if it `adds`; `to` is row-major.
pub fn product(to: &mut [f32], left: Left<'_>, right: Right<'_>, adds: bool) {
    assert_eq!(to.len(), left.rows * right.columns, "size of a matrix product");
    product_within(to, right.columns, left, right, adds);
}

/// The same where the rows of `to` begin `stride` numbers after each other: some columns of a wider matrix.
pub fn product_within(to: &mut [f32], stride: usize, left: Left<'_>, right: Right<'_>, adds: bool) {
    if left.rows == 0 {
        return;
    }
    let end = (left.rows - 1) * stride + right.columns;
    assert!(right.columns <= stride && end <= to.len(), "size of a matrix product");
    if left.pairs == 0 {
        let rows = to[..end].chunks_mut(stride);
        return if !adds {
            rows.for_each(|row| row[..right.columns].fill(0.0))
        };
    }
    assert!(right.words.len() >= left.pairs * right.columns, "inner sizes of a matrix product");
    let last = (left.rows - 1) * left.strides.0 + (left.pairs - 1) * left.strides.1;
    assert!(last < left.words.len(), "inner sizes of a matrix product");
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the processor can; the sizes were just checked.
        return unsafe { tiles::product(to, stride, left, right, adds) };
    }
    plain(&mut to[..end], stride, left, right, adds);
}

fn plain(to: &mut [f32], stride: usize, left: Left<'_>, right: Right<'_>, adds: bool) {
    let halves = |word: u32| [f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000)];
    for (row, to) in to.chunks_mut(stride).enumerate() {
        let to = &mut to[..right.columns];
        if !adds {
            to.fill(0.0);
        }
        for pair in 0..left.pairs {
            let [a, b] = halves(left.words[row * left.strides.0 + pair * left.strides.1]);
            for (to, word) in to.iter_mut().zip(&right.words[pair * right.columns..]) {
                let [c, d] = halves(*word);
                *to += a * c + b * d;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod tiles {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    use super::{Left, Right};

    /// Numbers in a register, and the rows and registers of a tile: its 24 sums stay in registers.
    const LANES: usize = 16;
    const ROWS: usize = 6;
    const ACROSS: usize = 4;

    /// # Safety
    /// All sizes must fit, and the processor must have AVX-512 BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn product(
        to: &mut [f32],
        stride: usize,
        left: Left<'_>,
        right: Right<'_>,
        adds: bool,
    ) {
        let columns = right.columns;
        for column in (0..columns).step_by(LANES * ACROSS) {
            let rest = (columns - column).min(LANES * ACROSS);
            let across = rest.div_ceil(LANES);
            let mask = u16::MAX >> (across * LANES - rest);
            for row in (0..left.rows).step_by(ROWS) {
                let rows = (left.rows - row).min(ROWS);
                // SAFETY: the tile lies within all three matrices.
                unsafe {
                    let tile = Tile {
                        pairs: left.pairs,
                        left: left.words.as_ptr().add(row * left.strides.0),
                        strides: left.strides,
                        right: right.words.as_ptr().add(column),
                        to: to.as_mut_ptr().add(row * stride + column),
                        stride,
                        columns,
                        mask,
                        adds,
                    };
                    match across {
                        1 => tile.rows::<1>(rows),
                        2 => tile.rows::<2>(rows),
                        3 => tile.rows::<3>(rows),
                        _ => tile.rows::<ACROSS>(rows),
                    }
                }
            }
        }
    }

    #[derive(Clone, Copy)]
    struct Tile {
        pairs: usize,
        left: *const u32,
        strides: (usize, usize),
        right: *const u32,
        to: *mut f32,
        stride: usize,
        columns: usize,
        /// Which lanes of the last register count.
        mask: __mmask16,
        adds: bool,
    }

    impl Tile {
        #[target_feature(enable = "avx512f,avx512bf16")]
        unsafe fn rows<const N: usize>(self, rows: usize) {
            // SAFETY: as the caller's.
            unsafe {
                match rows {
                    1 => self.multiply::<1, N>(),
                    2 => self.multiply::<2, N>(),
                    3 => self.multiply::<3, N>(),
                    4 => self.multiply::<4, N>(),
                    5 => self.multiply::<5, N>(),
                    _ => self.multiply::<ROWS, N>(),
                }
            }
        }

        #[target_feature(enable = "avx512f,avx512bf16")]
        unsafe fn multiply<const M: usize, const N: usize>(self) {
            let mut sums = [[_mm512_setzero_ps(); N]; M];
            // SAFETY: all lies within the matrices; the lanes beyond the last column are masked.
            unsafe {
                let (mut left, mut right) = (self.left, self.right);
                for _ in 0..self.pairs {
                    let words: [__m512i; N] = std::array::from_fn(|at| {
                        let from = right.add(at.wrapping_mul(LANES)).cast();
                        let mask = if at + 1 == N { self.mask } else { u16::MAX };
                        _mm512_maskz_loadu_epi32(mask, from)
                    });
                    for (row, sums) in sums.iter_mut().enumerate() {
                        // Wrapping: a check for overflow here would take longer than the products.
                        let word = *left.add(row.wrapping_mul(self.strides.0));
                        let word = _mm512_set1_epi32(word as i32);
                        for (sum, other) in sums.iter_mut().zip(words) {
                            *sum = _mm512_dpbf16_ps(
                                *sum,
                                transmute::<__m512i, __m512bh>(word),
                                transmute::<__m512i, __m512bh>(other),
                            );
                        }
                    }
                    left = left.wrapping_add(self.strides.1);
                    right = right.wrapping_add(self.columns);
                }
                for (row, sums) in sums.iter().enumerate() {
                    for (at, &sum) in sums.iter().enumerate() {
                        let to = self.to.add(row * self.stride + at * LANES);
                        let mask = if at + 1 == N { self.mask } else { u16::MAX };
                        let sum = match self.adds {
                            true => _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, to)),
                            false => sum,
                        };
                        _mm512_mask_storeu_ps(to, mask, sum);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forethought_sdk::seed::{self, RngExt};

    #[test]
    fn products_are_those_of_the_rounded_numbers() {
        let mut rng = seed::stream(1, "bf16");
        for (rows, inner, columns) in [(1, 1, 1), (7, 5, 17), (13, 64, 64), (6, 33, 100)] {
            let mut matrix = |count| -> Vec<f32> {
                (0..count).map(|_| f32::from_bits(round(rng.random_range(-1f32..1.0)) << 16)).collect()
            };
            let (left, right) = (matrix(rows * inner), matrix(inner * columns));
            let transposed: Vec<f32> =
                (0..inner * rows).map(|at| left[at % rows * inner + at / rows]).collect();
            let [mut by_rows, mut by_columns, mut words] = [const { Vec::new() }; 3];
            halves(&left, inner, &mut by_rows);
            pairs(&transposed, rows, &mut by_columns);
            pairs(&right, columns, &mut words);
            let right_side = Right::new(&words, columns);
            let mut product_of_rows = vec![0.0; rows * columns];
            product(&mut product_of_rows, Left::of_rows(&by_rows, inner), right_side, false);
            for one in [Left::of_rows(&by_rows, inner), Left::of_columns(&by_columns, rows)] {
                let mut sums = vec![1.0; rows * columns];
                product(&mut sums, one, right_side, true);
                for (at, sum) in sums.iter().enumerate() {
                    let terms = (0..inner)
                        .map(|k| left[at / columns * inner + k] * right[k * columns + at % columns]);
                    let exact = 1.0 + terms.sum::<f32>();
                    assert!((sum - exact).abs() < 1e-4, "{sum} {exact}");
                }
                let before = sums.clone();
                product(&mut sums, one, right_side, false);
                assert!(sums.iter().zip(before).all(|(now, before)| (now + 1.0 - before).abs() < 1e-4));
            }
            let mut within = vec![7.0; rows * (columns + 3)];
            product_within(&mut within, columns + 3, Left::of_rows(&by_rows, inner), right_side, false);
            for (within, row) in within.chunks(columns + 3).zip(product_of_rows.chunks(columns)) {
                assert_eq!((&within[..columns], &within[columns..]), (row, &[7.0; 3][..]));
            }
            let mut turned = Vec::new();
            transpose(&by_rows, rows, &mut turned);
            assert_eq!((turned.len(), turned[turned.len() - 1]), (by_rows.len(), by_rows[by_rows.len() - 1]));
        }
    }
}
