//! Document lengths in one byte: Lucene's `SmallFloat`, exact up to 40 and with a three-bit mantissa above.

/// Lengths below this are stored exactly.
const EXACT: u32 = 24;

/// The byte for `length`.
pub(super) fn encode(length: u32) -> u8 {
    let Some(above) = length.checked_sub(EXACT) else { return length as u8 };
    let bits = u32::BITS - above.leading_zeros();
    let float = match bits.checked_sub(4) {
        None => above,
        Some(shift) => (above >> shift) & 7 | (shift + 1) << 3,
    };
    (EXACT + float) as u8
}

/// The length of the byte `norm`.
pub(super) fn decode(norm: u8) -> u32 {
    let Some(float) = u32::from(norm).checked_sub(EXACT) else { return norm.into() };
    match (float >> 3).checked_sub(1) {
        None => EXACT + float,
        Some(shift) => EXACT + ((float & 7 | 8) << shift),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lengths_are_exact_and_long_ones_rounded_down() {
        for length in 0..=40 {
            assert_eq!(decode(encode(length)), length);
        }
        for length in 41..100_000 {
            let kept = decode(encode(length));
            assert!(kept <= length && kept * 9 > length * 8 - 9 * EXACT, "{length} became {kept}");
            assert_eq!(encode(kept), encode(length));
        }
        assert_eq!(decode(u8::MAX), 2_013_265_944);
    }
}
