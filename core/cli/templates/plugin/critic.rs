//! How much of an outcome is said already: a critic to start from.
//!
//! A trained critic looks the same: `new` fetches its checkpoint with the host's `model_files`,
//! and its encoder with `encoder`.

use std::collections::HashSet;

use forethought_sdk::prelude::*;

/// The keys under `[critic.<name>]`. The comment on a key becomes its help text.
#[config]
#[serde(default)]
struct Config {
    /// Imagined words added to an outcome, half of them seen: makes estimates for short ones cautious.
    prior: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { prior: 2.0 }
    }
}

struct Overlap {
    prior: f64,
}

impl Overlap {
    /// Share of the outcome's words that are in the state or the thought.
    fn estimate(&self, query: &CriticQuery) -> Estimate {
        let known: HashSet<String> = words(&query.state).chain(words(&query.thought)).collect();
        let asked: HashSet<String> = words(&query.outcome).collect();
        let seen = asked.intersection(&known).count() as f64;
        let probability = (seen + self.prior / 2.0) / (asked.len() as f64 + self.prior);
        Estimate::of(probability)
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[async_trait]
impl Critic for Overlap {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        // Each by itself: an estimate does not depend on the rest of the batch.
        Ok(queries.iter().map(|query| self.estimate(query)).collect())
    }
}

register! {
    interface: dyn Critic, kind: "{{name}}", summary: "how much of an outcome is said already",
    config: Config,
    new: |config: Config, _host| async move {
        if config.prior.is_nan() || config.prior <= 0.0 {
            return Err(Error::config(format!("prior = {}: must be above 0", config.prior)));
        }
        Ok(Arc::new(Overlap { prior: config.prior }) as _)
    },
}
