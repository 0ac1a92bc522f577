//! Configuration of the encoder.

use forethought_sdk::prelude::*;

/// `[encoder.<name>]` with `kind = "hash"`.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct HashConfig {
    /// Length of a vector, 16 to 65536.
    #[schemars(range(max = 65_536))]
    pub dimension: usize,
    /// Coordinates that one feature changes, 1 to 8. With 1, two words that collide cannot be distinguished.
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
    pub(crate) fn check(&self) -> Result<()> {
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
                return Err(Error::config(format!("`{key}` is {share}; a share must be 0 or more")));
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
