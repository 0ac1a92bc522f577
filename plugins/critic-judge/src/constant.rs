//! One number for every question.

use forethought_sdk::prelude::*;

/// Settings of the constant critic.
#[config]
#[derive(Debug, Clone)]
#[serde(default)]
pub struct ConstantConfig {
    /// The probability of every outcome.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: f64,
}

impl Default for ConstantConfig {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

/// A critic that gives every outcome the same probability, such as the base rate of its data: what is left of a
/// planner's gain with it is not owed to a critic.
pub struct Constant(f64);

impl Constant {
    /// One with this probability.
    ///
    /// # Errors
    /// If it is not within [0, 1].
    pub fn new(ConstantConfig { probability }: ConstantConfig) -> Result<Self> {
        match (0.0..=1.0).contains(&probability) {
            true => Ok(Self(probability)),
            false => Err(Error::config(format!(
                "critic constant: probability = {probability}: must lie between 0 and 1"
            ))),
        }
    }
}

#[async_trait]
impl Critic for Constant {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        Ok(vec![Estimate::of(self.0); queries.len()])
    }
}

register! {
    interface: dyn Critic, kind: "constant", summary: "one probability for every outcome: a control",
    config: ConstantConfig,
    new: |config, _host| async move { Ok(Arc::new(Constant::new(config)?) as _) },
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn every_question_gets_the_same_answer() {
        let critic = Constant::new(ConstantConfig { probability: 0.25 }).unwrap();
        let asked = vec![CriticQuery::default(), CriticQuery { thought: "go".into(), ..Default::default() }];
        assert_eq!(block_on(critic.estimate(asked)).unwrap(), vec![Estimate::of(0.25); 2]);
        let error = Constant::new(ConstantConfig { probability: 2.0 }).err().unwrap();
        assert!(error.to_string().contains("between 0 and 1"), "{error}");
    }
}
