//! Random values: the same question gets the same number.

use forethought_sdk::{prelude::*, seed::RngExt};

/// Settings of the random critic.
#[config]
#[derive(Debug, Clone, Default)]
#[serde(default)]
pub struct RandomConfig {
    /// Seed of the numbers.
    pub seed: u64,
}

/// A critic of random numbers, uniform over [0, 1).
pub struct Random(RandomConfig);

impl Random {
    /// Random values with this seed.
    pub fn new(config: RandomConfig) -> Self {
        Self(config)
    }
}

#[async_trait]
impl Critic for Random {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let value = |query: &CriticQuery| {
            // The unit separator keeps ("ab", "c") and ("a", "bc") apart.
            let text = [&*query.state, &*query.thought, &*query.outcome].join("\u{1f}");
            let probability = seed::stream(self.0.seed, &text).random();
            Estimate::of(probability)
        };
        Ok(queries.iter().map(value).collect())
    }
}

register! {
    interface: dyn Critic, kind: "random", summary: "random numbers instead of a critic's: a control",
    config: RandomConfig,
    new: |config, _host| async move { Ok(Arc::new(Random::new(config)) as _) },
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn numbers_are_uniform_and_repeatable() {
        let query = |index| CriticQuery { outcome: format!("outcome {index}"), ..CriticQuery::default() };
        let queries: Vec<_> = (0..2000).map(query).collect();
        let critic = Random::new(RandomConfig { seed: 7 });
        let first = block_on(critic.estimate(queries.clone())).unwrap();
        assert_eq!(first, block_on(critic.estimate(queries)).unwrap());
        let mean = first.iter().map(|estimate| estimate.probability).sum::<f64>() / 2000.0;
        // Standard error 0.0065.
        assert!((mean - 0.5).abs() < 0.03, "mean {mean}");
    }
}
