//! A shuffled order that is computed, not stored: a Feistel network over the numbers below a length.

/// A permutation of the numbers below `length`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    length: u64,
    /// Bits of either half.
    half: u32,
    key: u64,
}

impl Order {
    pub(super) fn new(length: u64, key: u64) -> Self {
        let bits = u64::BITS - length.saturating_sub(1).leading_zeros();
        Self { length, half: bits.div_ceil(2).max(1), key }
    }

    /// The number at place `index`.
    pub(super) fn at(&self, index: u64) -> u64 {
        assert!(index < self.length, "place {index} of {}", self.length);
        // The network permutes a power of four; walking on from outside comes back inside.
        let mut number = index;
        loop {
            number = self.permute(number);
            if number < self.length {
                return number;
            }
        }
    }

    fn permute(&self, number: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (number >> self.half, number & mask);
        for round in 1..=6 {
            let mixed = mix(right ^ self.key.wrapping_add(mix(round)));
            (left, right) = (right, left ^ (mixed & mask));
        }
        left << self.half | right
    }
}

/// The finaliser of SplitMix64.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_has_one_place(length in 1..3000u64, key in any::<u64>()) {
            let order = Order::new(length, key);
            let mut all: Vec<u64> = (0..length).map(|index| order.at(index)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..length).collect::<Vec<_>>());
        }
    }

    #[test]
    fn keys_give_different_orders() {
        let first = |key| (0..20).map(|index| Order::new(1000, key).at(index)).collect::<Vec<_>>();
        assert_ne!(first(1), first(2));
        assert_ne!(first(1), (0..20).collect::<Vec<_>>());
    }
}
