//! From text to hashed, weighted features, and from these to coordinates.

use crate::config::HashConfig;

/// Words that say little alone. No negations, no "now", "yet", "with" or "without": outcomes depend on those.
const STOP_WORDS: &str = "a an and are as at be been by for from had has have i in is it its me my of on or our \
                          so that the their them there these they this those to was we were which you your";

/// The stop words, by hash.
#[derive(Debug, Clone)]
pub(crate) struct Stops(Vec<u64>);

impl Stops {
    pub(crate) fn english() -> Self {
        let mut hashes: Vec<u64> =
            STOP_WORDS.split_whitespace().map(|word| word.chars().fold(WORD, step)).collect();
        hashes.sort_unstable();
        Self(hashes)
    }

    fn contains(&self, word: u64) -> bool {
        self.0.binary_search(&word).is_ok()
    }
}

/// The features of one text. Reused from text to text to save allocations.
#[derive(Debug, Default)]
pub(crate) struct Features {
    words: Family,
    pairs: Family,
    characters: Family,
    /// The current word, in lower case, between two edge marks.
    word: Vec<char>,
}

// One starting state per family, so that a word and a character n-gram of the same letters are different features.
const WORD: u64 = 0xcbf2_9ce4_8422_2325;
const PAIR: u64 = 0x9e37_79b9_7f4a_7c15;
const CHARACTERS: u64 = 0x2545_f491_4f6c_dd1d;

/// Marks both edges of a word in its character n-grams; never part of a word.
const EDGE: char = '\u{0}';

impl Features {
    pub(crate) fn families(&mut self) -> [&mut Family; 3] {
        [&mut self.words, &mut self.pairs, &mut self.characters]
    }

    /// Replaces the features by those of `text`.
    pub(crate) fn read(&mut self, text: &str, config: &HashConfig, stops: &Stops) {
        self.families().into_iter().for_each(|family| family.occurrences.clear());
        self.word.clear();
        let mut previous = None;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if c.is_alphanumeric() {
                if self.word.is_empty() {
                    self.word.push(EDGE);
                }
                match c.is_ascii() {
                    true => self.word.push(c.to_ascii_lowercase()),
                    false => self.word.extend(c.to_lowercase()),
                }
                continue;
            }
            // "don't" and "19.99" are single words.
            let inside = !self.word.is_empty() && rest.peek().is_some_and(|next| next.is_alphanumeric());
            if inside && matches!(c, '\'' | '’' | '.') {
                self.word.push(if c == '’' { '\'' } else { c });
                continue;
            }
            self.finish_word(&mut previous, config, stops);
            if matches!(c, '.' | ';' | '!' | '?' | '\n') {
                previous = None;
            }
        }
        self.finish_word(&mut previous, config, stops);
    }

    fn finish_word(&mut self, previous: &mut Option<(u64, f32)>, config: &HashConfig, stops: &Stops) {
        if self.word.is_empty() {
            return;
        }
        let hash = self.word[1..].iter().copied().fold(WORD, step);
        let weight = if stops.contains(hash) { config.stop_words } else { 1.0 };
        self.words.push(hash, weight);
        if let Some((before, weight_before)) = *previous {
            self.pairs.push(mix(before ^ PAIR).wrapping_add(hash), weight * weight_before);
        }
        *previous = Some((hash, weight));
        self.word.push(EDGE);
        for start in 0..self.word.len() {
            let mut hash = CHARACTERS;
            for (length, &c) in (1..=config.longest).zip(&self.word[start..]) {
                hash = step(hash, c);
                if length >= config.shortest {
                    self.characters.push(hash, weight);
                }
            }
        }
        self.word.clear();
    }
}

/// Features of one kind: a hash and a weight per occurrence.
#[derive(Debug, Default)]
pub(crate) struct Family {
    occurrences: Vec<(u64, f32)>,
}

impl Family {
    fn push(&mut self, hash: u64, weight: f32) {
        if weight > 0.0 {
            self.occurrences.push((mix(hash), weight));
        }
    }

    /// Adds the family to `row`, scaled so that its features have the Euclidean norm `share`.
    ///
    /// A feature's value is the root of its weight over all occurrences: a word said four times counts twice.
    pub(crate) fn add_to(&mut self, row: &mut [f32], share: f32, spread: usize) {
        if share == 0.0 || self.occurrences.is_empty() {
            return;
        }
        // By weight too: sums of floats must not depend on where in the text a word was.
        self.occurrences.sort_unstable_by_key(|&(hash, weight)| (hash, weight.to_bits()));
        let squares: f32 = self.occurrences.iter().map(|&(_, weight)| weight).sum();
        let scale = share / (squares * spread as f32).sqrt();
        for same in self.occurrences.chunk_by(|a, b| a.0 == b.0) {
            let value = same.iter().map(|&(_, weight)| weight).sum::<f32>().sqrt() * scale;
            let mut hash = same[0].0;
            for _ in 0..spread {
                let column = ((hash >> 32) * row.len() as u64) >> 32;
                row[column as usize] += if hash & 1 == 0 { value } else { -value };
                hash = mix(hash);
            }
        }
    }
}

/// One step of FNV-1a, over characters instead of bytes.
fn step(hash: u64, c: char) -> u64 {
    (hash ^ u64::from(c)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
fn mix(hash: u64) -> u64 {
    let hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
