//! Seeds: one number, and every random stream derived from it by name.
//!
//! There is no global random state in this project. A stream is ChaCha8 keyed by BLAKE3 of the seed and a name, so
//! streams do not depend on the order in which they are made, and adding one never disturbs another.

pub use rand::{self, Rng, RngExt, SeedableRng, seq::IndexedRandom, seq::SliceRandom};
pub use rand_chacha::ChaCha8Rng;

/// The seed called `name` under `seed`.
pub fn derive(seed: u64, name: &str) -> u64 {
    let hash = digest(seed, name);
    u64::from_le_bytes(hash[..8].try_into().expect("a digest has 32 bytes"))
}

/// The random stream called `name` under `seed`.
pub fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(digest(seed, name))
}

fn digest(seed: u64, name: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("forethought seed stream v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(name.as_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_stable_and_independent() {
        // Pinned: a change here would silently change every recorded episode.
        assert_eq!(derive(7, "webshop"), derive(7, "webshop"));
        assert_ne!(derive(7, "webshop"), derive(7, "webshop/goal"));
        assert_ne!(derive(7, "webshop"), derive(8, "webshop"));
        let draw: Vec<u32> = (0..3).map(|_| stream(7, "a").random()).collect();
        assert!(draw.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
