//! Keys and values of the beginnings of earlier prompts, kept for later ones with the same beginning.

use std::collections::HashMap;

use forethought_sdk::prelude::*;

use crate::decoder::{Block, TOKENS};

/// Blocks by all tokens up to their end.
pub(crate) struct Prefixes {
    /// Most blocks that are kept.
    most: usize,
    blocks: HashMap<blake3::Hash, Kept>,
    /// Counts uses.
    now: u64,
}

struct Kept {
    block: Arc<Block>,
    /// When it was last used. Of one prompt's blocks, earlier ones count as used later, and so go last.
    used: u64,
}

/// The names of the full blocks of a text.
fn names(tokens: &[u32]) -> impl Iterator<Item = blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    tokens.chunks_exact(TOKENS).map(move |tokens| {
        tokens.iter().for_each(|token| {
            hasher.update(&token.to_le_bytes());
        });
        hasher.finalize()
    })
}

impl Prefixes {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, blocks: HashMap::new(), now: 0 }
    }

    /// The blocks of the longest kept beginning of `tokens` that leaves at least one token to read.
    pub(crate) fn find(&mut self, tokens: &[u32]) -> Vec<Arc<Block>> {
        if self.blocks.is_empty() {
            return Vec::new();
        }
        let readable = &tokens[..tokens.len().saturating_sub(1)];
        let names = names(readable).take_while(|name| self.blocks.contains_key(name));
        let names: Vec<blake3::Hash> = names.collect();
        self.now += names.len() as u64;
        let used = (0..=self.now).rev();
        let found = names.iter().zip(used).filter_map(|(name, used)| {
            let kept = self.blocks.get_mut(name)?;
            kept.used = used;
            Some(kept.block.clone())
        });
        found.collect()
    }

    /// Keeps the full blocks of `tokens`, which have been read.
    pub(crate) fn keep(&mut self, tokens: &[u32], blocks: &[Arc<Block>]) {
        if self.most == 0 {
            return;
        }
        let names: Vec<blake3::Hash> = names(tokens).collect();
        self.now += names.len() as u64;
        for ((name, block), used) in names.into_iter().zip(blocks).zip((0..=self.now).rev()) {
            let kept = self.blocks.entry(name).or_insert_with(|| Kept { block: block.clone(), used });
            kept.used = used;
        }
        if self.blocks.len() > self.most {
            // A tenth more than must go, so that this is seldom done.
            let mut uses: Vec<u64> = self.blocks.values().map(|kept| kept.used).collect();
            let spare = (self.blocks.len() - self.most + self.most / 10).min(uses.len() - 1);
            let (_, &mut oldest, _) = uses.select_nth_unstable(spare);
            self.blocks.retain(|_, kept| kept.used >= oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_kept_beginning_is_found_and_the_least_recently_used_goes_first() {
        let block = || Arc::new(Block::default());
        let text = |first: u32, blocks: usize| vec![first; blocks * TOKENS];
        let mut prefixes = Prefixes::new(5);
        prefixes.keep(&text(1, 2), &[block(), block()]);
        prefixes.keep(&text(2, 3), &[block(), block(), block()]);
        // All but the last token may be kept ones.
        assert_eq!(prefixes.find(&text(1, 2)).len(), 1);
        assert_eq!(prefixes.find(&[text(1, 2), vec![7]].concat()).len(), 2);
        assert_eq!(prefixes.find(&[text(1, 1), text(2, 2)].concat()).len(), 1);
        assert!(prefixes.find(&text(3, 2)).is_empty());
        prefixes.keep(&text(3, 2), &[block(), block()]);
        let kept = |prefixes: &mut Prefixes, first| prefixes.find(&text(first, 4)).len();
        assert_eq!([1, 2, 3].map(|first| kept(&mut prefixes, first)), [2, 1, 2]);
        let mut none = Prefixes::new(0);
        none.keep(&text(1, 2), &[block(), block()]);
        assert!(none.find(&text(1, 3)).is_empty());
    }
}
