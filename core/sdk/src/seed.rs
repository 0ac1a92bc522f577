//! Random streams, each named under one seed.
//!
//! There is no global random state in this project. A stream is ChaCha8 keyed by
//! [`digest`](forethought_api::seed::digest) of the seed and a name, so streams do not depend on the order of their
//! creation, and adding one never changes another.

pub use forethought_api::seed::derive;
pub use rand::{self, Rng, RngExt, SeedableRng, seq::IndexedRandom, seq::SliceRandom};
pub use rand_chacha::ChaCha8Rng;

/// The random stream called `name` under `seed`.
pub fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(forethought_api::seed::digest(seed, name))
}

/// The index of one of `weights`, drawn with a probability proportional to its weight; `None` if there are no weights,
/// or if rounding carries the draw past the last of them. Uses one `f64` of the stream.
///
/// Not `rand`'s weighted choice, whose arithmetic may change between versions, and with it every recorded episode.
pub fn weighted(
    weights: impl IntoIterator<Item = f64, IntoIter: Clone>,
    rng: &mut ChaCha8Rng,
) -> Option<usize> {
    let mut weights = weights.into_iter();
    let mut left = rng.random::<f64>() * weights.clone().sum::<f64>();
    weights.position(|weight| {
        left -= weight;
        left < 0.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_pinned_and_independent() {
        let draw = |seed, name| stream(seed, name).random::<u32>();
        // A change here would silently change every recorded episode.
        assert_eq!([draw(7, "a"), draw(7, "b"), draw(8, "a")], [1847324684, 631945540, 2337606081]);
    }

    #[test]
    fn weights_are_probabilities() {
        let mut rng = stream(1, "weights");
        let mut drawn = [0; 3];
        for _ in 0..4000 {
            drawn[weighted([1.0, 0.0, 3.0], &mut rng).expect("a positive sum")] += 1;
        }
        assert_eq!(drawn[1], 0);
        assert!((900..1100).contains(&drawn[0]), "a quarter of the draws: {drawn:?}");
        assert_eq!(weighted([], &mut rng), None);
    }
}
