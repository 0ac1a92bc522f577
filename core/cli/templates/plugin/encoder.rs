//! Texts as counts of their letter triples: an encoder to start from.
//!
//! An encoder that runs a network looks the same: `new` loads the weights, which its host fetches
//! with `model_files`, and `encode` computes on a thread of `tokio::task::spawn_blocking`.

use forethought_sdk::prelude::*;

/// The keys under `[encoder.<name>]`. The comment on a key becomes its help text.
#[config]
#[serde(default)]
struct Config {
    /// Length of a vector.
    #[schemars(range(min = 1))]
    dimension: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { dimension: 128 }
    }
}

struct Triples {
    dimension: usize,
}

impl Triples {
    /// A vector of Euclidean norm 1.
    fn row(&self, text: &str) -> Vec<f32> {
        // Blanks at both ends, so that even an empty text has a triple.
        let letters: Vec<char> = format!("  {} ", text.to_lowercase()).chars().collect();
        let mut row = vec![0.0; self.dimension];
        for triple in letters.windows(3) {
            let place = seed::derive(0, &String::from_iter(triple)) % self.dimension as u64;
            row[place as usize] += 1.0;
        }
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
        row
    }
}

#[async_trait]
impl TextEncoder for Triples {
    async fn spec(&self) -> Result<EncoderSpec> {
        // Everything that changes a vector belongs in the id: checkpoints require the same id.
        let id = format!("{{name}}-{}", self.dimension);
        Ok(EncoderSpec { id, dimension: self.dimension, revision: None })
    }

    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let numbers = texts.iter().flat_map(|text| self.row(text)).collect();
        Matrix::new(texts.len(), self.dimension, numbers)
    }
}

register! {
    interface: dyn TextEncoder, kind: "{{name}}", summary: "counts letter triples", config: Config,
    new: |config: Config, _host| async move {
        if config.dimension == 0 {
            return Err(Error::config("dimension = 0: must be at least 1"));
        }
        Ok(Arc::new(Triples { dimension: config.dimension }) as _)
    },
}
