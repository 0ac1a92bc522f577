//! Python's `random` for the draws that WebShop makes: the same Mersenne Twister, seeding and algorithms as CPython
//! 3.11, so that prices and goals are the same as upstream's.

use rand_mt::Mt;

/// A `random.Random` of CPython.
#[derive(Debug, Clone)]
pub struct PythonRandom(Mt);

impl PythonRandom {
    /// `random.seed(seed)` for a non-negative integer.
    pub fn seed(seed: u64) -> Self {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        Self(if high == 0 { Mt::new_with_key([low]) } else { Mt::new_with_key([low, high]) })
    }

    /// `random.random()`: 53 random bits, within [0, 1).
    pub fn random(&mut self) -> f64 {
        let (high, low) = (self.0.next_u32() >> 5, self.0.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// `random.uniform(low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.random()
    }

    /// `random.getrandbits(bits)`, for 1 to 32 bits.
    pub fn bits(&mut self, bits: u32) -> u32 {
        self.0.next_u32() >> (32 - bits)
    }

    /// A uniform number below `bound` (at least 1): `random._randbelow`.
    pub fn below(&mut self, bound: usize) -> usize {
        let bits = usize::BITS - bound.leading_zeros();
        loop {
            let draw = self.bits(bits) as usize;
            if draw < bound {
                return draw;
            }
        }
    }

    /// `random.shuffle(items)`.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `random.sample(items, count)`, for `count` up to the number of items.
    pub fn sample<T: Clone>(&mut self, items: &[T], count: usize) -> Vec<T> {
        let length = items.len();
        // Python copies a small population, but remembers what it took of a large one; the draws differ.
        let mut pool_limit = 21;
        if count > 5 {
            pool_limit += 4_usize.pow(((count * 3) as f64).log(4.0).ceil() as u32);
        }
        if length <= pool_limit {
            let mut pool = items.to_vec();
            (0..count)
                .map(|taken| {
                    let at = self.below(length - taken);
                    let item = pool[at].clone();
                    pool[at] = pool[length - taken - 1].clone();
                    item
                })
                .collect()
        } else {
            let mut taken = std::collections::HashSet::new();
            (0..count)
                .map(|_| {
                    let mut at = self.below(length);
                    while !taken.insert(at) {
                        at = self.below(length);
                    }
                    items[at].clone()
                })
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every figure was printed by CPython 3.11.
    #[test]
    fn draws_what_cpython_draws() {
        let mut random = PythonRandom::seed(0);
        assert_eq!([random.random(), random.random()], [0.8444218515250481, 0.7579544029403025]);
        assert_eq!(random.uniform(3.0, 7.0), 4.68228632332338);
        let digits: Vec<u32> = (0..10).collect();
        assert_eq!(random.sample(&digits, 2), [4, 8]);
        assert_eq!(random.sample(&[0, 1, 2, 3], 2), [3, 1]);
        assert_eq!([random.bits(1), random.bits(5), random.bits(32)], [1, 25, 3564191072]);
        assert_eq!(PythonRandom::seed((1 << 40) + 5).random(), 0.5043802970418443);
    }

    #[test]
    fn shuffles_and_samples_as_cpython_does() {
        let mut items: Vec<u32> = (0..10).collect();
        PythonRandom::seed(233).shuffle(&mut items);
        assert_eq!(items, [5, 9, 0, 1, 4, 7, 6, 3, 8, 2]);

        let mut random = PythonRandom::seed(1);
        let large: Vec<u32> = (0..1000).collect();
        let sample = random.sample(&large, 50);
        assert_eq!(sample[..6], [137, 582, 867, 821, 782, 64]);
        assert_eq!(sample[47..], [221, 992, 432]);
        let small: Vec<u32> = (0..60).collect();
        assert_eq!(random.sample(&small, 50)[..10], [46, 1, 33, 14, 48, 28, 31, 35, 56, 22]);
        assert_eq!(random.sample(&[1, 2, 3, 4], 2), [4, 2]);
    }
}
