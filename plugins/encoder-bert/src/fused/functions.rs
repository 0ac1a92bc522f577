//! Functions of rows. Sums are taken in an order that does not depend on the processor.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LOG2_E};

use forethought_candle::wide;

use crate::architecture::Activation;

const LANES: usize = 16;

/// The sum of `of(number)`, in 16 partial sums.
#[inline(always)]
fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for part in whole {
        for (lane, number) in lanes.iter_mut().zip(part) {
            *lane += of(*number);
        }
    }
    for (lane, number) in lanes.iter_mut().zip(rest) {
        *lane += of(*number);
    }
    folded(lanes, |a, b| a + b)
}

#[inline(always)]
fn folded(mut lanes: [f32; LANES], both: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = both(lanes[lane], lanes[lane + half]);
        }
    }
    lanes[0]
}

/// Applies `f` to 16 numbers at a time, which the compiler makes one register of where there is one.
#[inline(always)]
fn each(row: &mut [f32], f: impl Fn(f32) -> f32) {
    let (whole, rest) = row.as_chunks_mut::<LANES>();
    for part in whole {
        part.iter_mut().for_each(|number| *number = f(*number));
    }
    rest.iter_mut().for_each(|number| *number = f(*number));
}

#[inline(always)]
pub(super) fn activate(row: &mut [f32], activation: Activation) {
    match activation {
        Activation::Gelu => each(row, gelu),
        Activation::GeluTanh => each(row, gelu_tanh),
        Activation::Relu => each(row, |number| number.max(0.0)),
        Activation::Silu => each(row, |number| number / (1.0 + exp(-number))),
    }
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))
}

/// `gelu` by the hyperbolic tangent: 1/2 (1 + tanh y) is the logistic function of 2 y.
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const FACTOR: f32 = 1.595_769; // 2 sqrt(2 / pi)
    let y = FACTOR * (x + 0.044_715 * x * x * x);
    x / (1.0 + exp(-y))
}

/// The error function, to 3e-7: x P(x²) / Q(x²), of least largest relative error on [0, 3.92]; beyond, f32 knows only 1.
/// P and Q were fitted by weighted least squares for this program.
#[inline(always)]
fn erf(x: f32) -> f32 {
    const P: [f32; 6] =
        [2.050_090_8e-6, 2.848_829_4e-4, 3.765_615_9e-3, 5.274_872e-2, 1.904_064_2e-1, FRAC_2_SQRT_PI];
    const Q: [f32; 6] = [3.809_176_3e-5, 1.162_535_6e-3, 1.496_921_4e-2, 1.141_090_9e-1, 5.020_76e-1, 1.0];
    let x = x.clamp(-3.92, 3.92);
    let square = x * x;
    (x * polynomial(&P, square) / polynomial(&Q, square)).clamp(-1.0, 1.0)
}

/// Highest power first.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// The exponential function, to 2e-7 relatively; numbers below -87 count as -87, above 88 as 88.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// A sum with it has the nearest whole number in its last bits.
    const ROUNDER: f32 = 12_582_912.0;
    // Taylor's series on half of ln 2 to both sides, ln 2 in two parts so that what is subtracted is exact.
    const SERIES: [f32; 8] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * LOG2_E + ROUNDER;
    let whole = rounded - ROUNDER;
    let rest = x - whole * LN_2[0] - whole * LN_2[1];
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    polynomial(&SERIES, rest) * power
}

wide! {
    /// Each row becomes its exponentials, of largest 1; `sums` gets one over their sum. Rows begin `stride` after each
    /// other and have `count` numbers.
    fn exponentials(rows: &mut [f32], stride: usize, count: usize, sums: &mut [f32]) {
        for (row, to) in rows.chunks_mut(stride).zip(sums) {
            let row = &mut row[..count];
            let mut lanes = [f32::MIN; LANES];
            let (whole, rest) = row.as_chunks::<LANES>();
            for part in whole {
                for (lane, number) in lanes.iter_mut().zip(part) {
                    *lane = lane.max(*number);
                }
            }
            for (lane, number) in lanes.iter_mut().zip(rest) {
                *lane = lane.max(*number);
            }
            let most = folded(lanes, f32::max);
            each(row, |number| exp(number - most));
            *to = 1.0 / sum(row, |number| number);
        }
    }
}

wide! {
    /// Each row times its factor. Rows begin `stride` after each other and have `count` numbers.
    fn scale(rows: &mut [f32], stride: usize, count: usize, factors: &[f32]) {
        for (row, factor) in rows.chunks_mut(stride).zip(factors) {
            each(&mut row[..count], |number| number * factor);
        }
    }
}

wide! {
    /// Layer normalisation (arXiv 1607.06450) of each row.
    fn normalise(rows: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
        let count = weight.len() as f32;
        for row in rows.chunks_exact_mut(weight.len()) {
            let mean = sum(row, |number| number) / count;
            let variance = sum(row, |number| (number - mean) * (number - mean)) / count;
            let factor = 1.0 / (variance + epsilon).sqrt();
            for ((number, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
                *number = (*number - mean) * factor * weight + bias;
            }
        }
    }
}

wide! {
    /// The mean of rows.
    fn mean(rows: &[f32], to: &mut [f32]) {
        to.fill(0.0);
        let count = (rows.len() / to.len()) as f32;
        for row in rows.chunks_exact(to.len()) {
            for (to, number) in to.iter_mut().zip(row) {
                *to += number;
            }
        }
        to.iter_mut().for_each(|number| *number /= count);
    }
}

wide! {
    /// A row becomes a unit vector, unless it is 0.
    fn to_unit(row: &mut [f32]) {
        let norm = sum(row, |number| number * number).sqrt().max(f32::MIN_POSITIVE);
        row.iter_mut().for_each(|number| *number /= norm);
    }
}

wide! {
    /// `to = left + right`, number by number.
    fn sum_of(to: &mut [f32], left: &[f32], right: &[f32]) {
        for ((to, left), right) in to.iter_mut().zip(left).zip(right) {
            *to = left + right;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Maclaurin's series, which converges everywhere.
    fn exact_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn functions_are_as_exact_as_they_say() {
        for step in -4000..=4000 {
            let x = step as f32 * 1e-3;
            let error = (f64::from(erf(x)) - exact_erf(f64::from(x))).abs();
            assert!(error < 3e-7, "erf({x}) is off by {error}");
            let exact = 0.5 * f64::from(x) * (1.0 + exact_erf(f64::from(x) / 2f64.sqrt()));
            assert!((f64::from(gelu(x)) - exact).abs() < 1e-6, "gelu({x})");
            let y = 20.0 * x;
            let error = (f64::from(exp(y)) / f64::from(y).exp() - 1.0).abs();
            assert!(error < 3e-7, "exp({y}) is off by {error}");
            let inner =
                (2.0 / std::f64::consts::PI).sqrt() * (f64::from(x) + 0.044715 * f64::from(x).powi(3));
            let exact = 0.5 * f64::from(x) * (1.0 + inner.tanh());
            assert!((f64::from(gelu_tanh(x)) - exact).abs() < 2e-6, "gelu_tanh({x})");
        }
        assert_eq!((erf(9.0), erf(-9.0), gelu(20.0), gelu(-20.0)), (1.0, -1.0, 20.0, 0.0));
        assert!(exp(-1e30) < 1e-37 && exp(0.0) == 1.0);
    }

    #[test]
    fn rows_are_normalised_and_weighted() {
        for count in [1, 5, 16, 40] {
            let row: Vec<f32> = (0..count).map(|at| (at * at % 7) as f32 - 2.0).collect();
            let mut rows = [&row[..], &[0.0; 3]].concat();
            let mut sums = [0.0];
            exponentials(&mut rows, count + 3, count, &mut sums);
            let total: f32 = row.iter().map(|number| number.exp()).sum();
            for (got, number) in rows.iter().zip(&row) {
                assert!((got * sums[0] - number.exp() / total).abs() < 1e-6);
            }
            let mut normal = row.clone();
            normalise(&mut normal, &vec![2.0; count], &vec![1.0; count], 0.01);
            let mean = row.iter().sum::<f32>() / count as f32;
            let variance = row.iter().map(|number| (number - mean).powi(2)).sum::<f32>() / count as f32;
            for (got, number) in normal.iter().zip(&row) {
                let expected = (number - mean) / (variance + 0.01).sqrt() * 2.0 + 1.0;
                assert!((got - expected).abs() < 1e-5);
            }
            let mut unit = vec![0.0; count];
            mean_of_both(&row, &mut unit);
            to_unit(&mut unit);
            assert!((unit.iter().map(|number| number * number).sum::<f32>() - 1.0).abs() < 1e-5);
        }
        let mut zero = [0.0; 3];
        to_unit(&mut zero);
        assert_eq!(zero, [0.0; 3]);
    }

    fn mean_of_both(row: &[f32], to: &mut [f32]) {
        let both = [row, &row.iter().map(|number| number + 2.0).collect::<Vec<_>>()[..]].concat();
        mean(&both, to);
        assert!(to.iter().zip(row).all(|(to, number)| (to - number - 1.0).abs() < 1e-6));
    }
}
