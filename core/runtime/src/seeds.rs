//! Seeds of decisions. The same derivation as the sdk's `seed::derive`, which this crate may not depend on; a test
//! holds the two together.

/// The seed called `name` under `seed`.
pub(crate) fn derive(seed: u64, name: &str) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("forethought seed stream v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(name.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_those_of_the_sdk() {
        for (seed, name) in [(0, ""), (7, "decision/0"), (u64::MAX, "a longer name with spaces, ä")] {
            assert_eq!(super::derive(seed, name), forethought_sdk::seed::derive(seed, name));
        }
    }
}
