//! Identifiers that look like real ones and can be read back: `B0`, a digit, and seven digits or letters.

/// Number of identifiers.
const SPACE: u64 = 10 * 36u64.pow(7);

/// `SPACE` divided by the golden ratio, so that neighbours are far apart; shares no factor with `SPACE`.
const STRIDE: u64 = 484_310_171_567;

/// `STRIDE` times this is 1 modulo `SPACE`.
const BACK: u64 = inverse(STRIDE, SPACE);

/// The identifier of product `index` in the catalogue that starts at `offset`.
pub(super) fn encode(index: u32, offset: u64) -> String {
    let mut rest = multiply(index.into(), STRIDE, offset % SPACE);
    let mut letters = *b"B000000000";
    for letter in letters[2..].iter_mut().rev() {
        *letter = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest % 36) as usize];
        rest /= 36;
    }
    letters.iter().copied().map(char::from).collect()
}

/// The number of the product with identifier `asin`.
pub(super) fn decode(asin: &str, offset: u64) -> Option<u32> {
    let letters = asin.strip_prefix("B0").filter(|letters| letters.len() == 8)?;
    let number = letters.bytes().try_fold(0, |number, letter| {
        let digit = match letter {
            b'0'..=b'9' => letter - b'0',
            b'A'..=b'Z' => letter - b'A' + 10,
            _ => return None,
        };
        Some(number * 36 + u64::from(digit))
    })?;
    if number >= SPACE {
        return None;
    }
    u32::try_from(multiply(number + SPACE - offset % SPACE, BACK, 0)).ok()
}

fn multiply(a: u64, b: u64, plus: u64) -> u64 {
    ((u128::from(a) * u128::from(b) + u128::from(plus)) % u128::from(SPACE)) as u64
}

/// Euclid's algorithm, extended.
const fn inverse(number: u64, modulus: u64) -> u64 {
    let (mut a, mut b) = (number as i128, modulus as i128);
    let (mut x, mut y) = (1i128, 0i128);
    while b != 0 {
        let quotient = a / b;
        (a, b) = (b, a - quotient * b);
        (x, y) = (y, x - quotient * y);
    }
    assert!(a == 1, "no inverse");
    x.rem_euclid(modulus as i128) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_identifier_leads_back(index in any::<u32>(), offset in any::<u64>()) {
            let asin = encode(index, offset);
            prop_assert!(asin.len() == 10 && asin.as_bytes()[2].is_ascii_digit(), "{}", asin);
            prop_assert_eq!(decode(&asin, offset), Some(index));
        }

        #[test]
        fn other_text_leads_nowhere_or_to_itself(asin in "B0[0-9][0-9A-Z]{7}|.{0,12}", offset in any::<u64>()) {
            if let Some(index) = decode(&asin, offset) {
                prop_assert_eq!(encode(index, offset), asin);
            }
        }
    }

    #[test]
    fn a_million_identifiers_are_distinct() {
        let all: HashSet<String> = (0..1_200_000).step_by(7).map(|index| encode(index, 11)).collect();
        assert_eq!(all.len(), 1_200_000usize.div_ceil(7));
    }
}
