//! The offline default encoder: n-grams of words and characters, hashed into a unit vector.
//!
//! It needs no model, no file and no network, and the same text gives the same bits on every platform: it hashes with
//! fixed arithmetic, and its floating point is only addition, multiplication and square root, which IEEE 754 rounds
//! exactly. It may depend only on `forethought-sdk`.
//!
//! A text becomes three families of features (single words, neighbouring pairs of words, character n-grams of each
//! word), and each family gets a fixed share of the vector, independent of the text's length. A critic reads negations
//! and attributes from pairs ("not chosen", "size large"); characters make "chosen" and "choose" similar.

mod config;
mod features;

use forethought_sdk::prelude::*;

pub use crate::config::HashConfig;
use crate::features::{Features, Stops};

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
            // "v1" is everything fixed in code: the hash, the splitting into words, the list of stop words.
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
