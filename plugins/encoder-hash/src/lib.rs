//! The offline default encoder: n-grams of words and characters, hashed into a unit vector.
//!
//! It needs no model, no file and no network, and the same text gives the same bits on every platform: it hashes with
//! fixed arithmetic, and its floating point is addition, multiplication and square root alone, which IEEE 754 rounds
//! exactly. It may depend on `forethought-sdk` alone.
//!
//! A text becomes three families of features (single words, neighbouring pairs of words, character n-grams of each
//! word), and each family is given a fixed share of the vector whatever the text's length. A critic reads negations
//! and attributes from pairs ("not chosen", "size large"); characters let "chosen" and "choose" resemble each other.

mod features;

use forethought_sdk::prelude::*;

use crate::features::{Features, Stops};

/// `[encoder.<name>]` with `kind = "hash"`.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct HashConfig {
    /// Length of a vector, 16 to 65536.
    pub dimension: usize,
    /// Coordinates that one feature touches, 1 to 8. With one, two words that fall together cannot be told apart.
    pub spread: usize,
    /// Share of single words in the vector.
    pub words: f32,
    /// Share of neighbouring pairs of words, within a clause.
    pub pairs: f32,
    /// Share of character n-grams within words.
    pub characters: f32,
    /// Shortest character n-gram; a word's two edges count as characters.
    pub shortest: usize,
    /// Longest character n-gram.
    pub longest: usize,
    /// How much an occurrence of an English stop word counts, between 0 and 1. Negations are not stop words.
    pub stop_words: f32,
}

impl Default for HashConfig {
    fn default() -> Self {
        Self {
            dimension: 256,
            spread: 4,
            words: 1.0,
            pairs: 1.0,
            characters: 0.5,
            shortest: 3,
            longest: 5,
            stop_words: 0.5,
        }
    }
}

impl HashConfig {
    fn check(&self) -> Result<()> {
        let within = |key, value: usize, low, high| match (low..=high).contains(&value) {
            true => Ok(()),
            false => Err(Error::config(format!("`{key}` is {value}; it must be from {low} to {high}"))),
        };
        within("dimension", self.dimension, 16, 65536)?;
        within("spread", self.spread, 1, 8)?;
        within("shortest", self.shortest, 1, 16)?;
        within("longest", self.longest, self.shortest, 16)?;
        let shares = [("words", self.words), ("pairs", self.pairs), ("characters", self.characters)];
        for (key, share) in shares {
            if !(share.is_finite() && share >= 0.0) {
                return Err(Error::config(format!("`{key}` is {share}; a share must be a number from 0 up")));
            }
        }
        if self.words == 0.0 && self.characters == 0.0 {
            // Pairs alone would leave every text of one word without features.
            return Err(Error::config(
                "`words` and `characters` are both 0; give at least one of them a share",
            ));
        }
        if !(0.0..=1.0).contains(&self.stop_words) {
            return Err(Error::config(format!(
                "`stop_words` is {}; it must be between 0 and 1",
                self.stop_words
            )));
        }
        Ok(())
    }
}

/// Encodes by hashing; see the crate's documentation.
#[derive(Debug, Clone)]
pub struct HashEncoder {
    config: HashConfig,
    stops: Stops,
}

impl HashEncoder {
    /// An encoder of these settings.
    ///
    /// # Errors
    /// A setting out of range, naming it.
    pub fn new(config: HashConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config, stops: Stops::english() })
    }

    /// Writes the unit vector of `text` over `row`.
    fn encode_row(&self, text: &str, features: &mut Features, row: &mut [f32]) {
        features.read(text, &self.config, &self.stops);
        row.fill(0.0);
        let HashConfig { words, pairs, characters, spread, .. } = self.config;
        for (family, share) in features.families().into_iter().zip([words, pairs, characters]) {
            family.add_to(row, share, spread);
        }
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        if norm > 0.0 {
            row.iter_mut().for_each(|x| *x /= norm);
        } else {
            // No words at all: one fixed direction, so that every row is a unit vector.
            row[0] = 1.0;
        }
    }
}

#[async_trait]
impl TextEncoder for HashEncoder {
    async fn spec(&self) -> Result<EncoderSpec> {
        let HashConfig { dimension, spread, words, pairs, characters, shortest, longest, stop_words } =
            &self.config;
        Ok(EncoderSpec {
            // "v1" stands for everything fixed in code: the hash, the splitting into words, the list of stop words.
            id: format!(
                "hash/v1?dimension={dimension}&spread={spread}&words={words}&pairs={pairs}\
                 &characters={characters}&shortest={shortest}&longest={longest}&stop_words={stop_words}"
            ),
            revision: None,
            dimension: *dimension,
        })
    }

    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let columns = self.config.dimension;
        let mut data = vec![0.0; texts.len() * columns];
        let mut features = Features::default();
        for (text, row) in texts.iter().zip(data.chunks_exact_mut(columns)) {
            self.encode_row(text, &mut features, row);
        }
        Matrix::new(texts.len(), columns, data)
    }
}

register! {
    interface: dyn TextEncoder,
    kind: "hash",
    summary: "hashed words, word pairs and character n-grams: offline, instant, the same bits everywhere",
    config: HashConfig,
    new: |config: HashConfig, _host| async move { Ok(Arc::new(HashEncoder::new(config)?) as _) },
}
