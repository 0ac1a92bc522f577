//! A summariser without a model: what was seen is the state, and rules say what was reached.

use forethought_sdk::prelude::*;

/// Settings of the summariser without a model.
#[config]
#[derive(Debug, Clone)]
#[serde(default)]
pub struct ObservationConfig {
    /// The most characters of what was seen that a state has, from its beginning.
    #[schemars(range(min = 1))]
    pub chars: usize,
    /// Whether a state begins with what was done last.
    pub action: bool,
    /// Sentences about what was reached; the first that fits is the outcome. Where none fits, it is the first line of what
    /// was seen.
    pub outcomes: Vec<OutcomeRule>,
}

/// A sentence about what was reached.
#[config]
#[derive(Debug, Clone)]
pub struct OutcomeRule {
    /// Words that what was seen has, in this order; capitals do not matter.
    pub seen: Vec<String>,
    /// The sentence.
    pub says: String,
}

impl Default for ObservationConfig {
    fn default() -> Self {
        Self { chars: 500, action: true, outcomes: Vec::new() }
    }
}

/// The summariser without a model.
pub struct Observe(ObservationConfig);

impl Observe {
    /// A summariser with these settings.
    ///
    /// # Errors
    /// A rule without words or without a sentence.
    pub fn new(config: ObservationConfig) -> Result<Self> {
        for (index, OutcomeRule { seen, says }) in config.outcomes.iter().enumerate() {
            if seen.iter().all(|words| words.trim().is_empty()) || says.trim().is_empty() {
                return Err(Error::config(format!("outcomes[{index}]: `seen` and `says` must have words")));
            }
        }
        Ok(Self(config))
    }

    fn outcome(&self, seen: &str) -> String {
        let lower = seen.to_lowercase();
        let fits = |rule: &&OutcomeRule| {
            let mut words = rule.seen.iter().map(|words| words.to_lowercase());
            words.try_fold(&*lower, |rest, words| Some(&rest[rest.find(&words)? + words.len()..])).is_some()
        };
        match self.0.outcomes.iter().find(fits) {
            Some(rule) => rule.says.clone(),
            None => cut(seen.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default(), 200),
        }
    }
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[async_trait]
impl Summariser for Observe {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }

    async fn summarise(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Summary> {
        let seen = context.turn.observation.text.trim();
        let shown = cut(seen, self.0.chars);
        let state = match context.history.last().filter(|_| self.0.action) {
            Some(last) => format!("After {}: {shown}", cut(last.action.trim(), 200)),
            None => shown,
        };
        Ok(Summary { state, outcome: self.outcome(seen) })
    }
}

register! {
    interface: dyn Summariser, kind: "observation", summary: "what was seen, and rules; no model is asked",
    config: ObservationConfig,
    new: |config, _host| async move { Ok(Arc::new(Observe::new(config)?) as _) },
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    struct NoModels;
    impl Models for NoModels {}

    #[test]
    fn what_was_seen_is_the_state_and_the_first_rule_that_fits_says_what_was_reached() {
        let rule = |seen: &[&str], says: &str| OutcomeRule {
            seen: seen.iter().map(|words| String::from(*words)).collect(),
            says: says.into(),
        };
        let outcomes = vec![rule(&["passed", "0 failed"], "The tests pass."), rule(&["error"], "It fails.")];
        let observe = Observe::new(ObservationConfig { chars: 12, action: true, outcomes }).unwrap();
        let context = |text: &str, acted: bool| DecisionContext {
            turn: Turn { observation: Observation::text(text), ..Turn::default() },
            history: vec![Exchange { action: "run()".into(), ..Exchange::default() }; usize::from(acted)],
            ..DecisionContext::default()
        };
        for (text, acted, state, outcome) in [
            ("7 Passed, 0 failed, no error", true, "After run(): 7 Passed, 0 ", "The tests pass."),
            ("0 failed: an ERROR before they passed", false, "0 failed: an", "It fails."),
            ("\n Größe 大\nmore", false, "Größe 大\nmor", "Größe 大"),
        ] {
            let summary = block_on(observe.summarise(context(text, acted), Arc::new(NoModels))).unwrap();
            assert_eq!((summary.state.as_str(), summary.outcome.as_str()), (state, outcome));
        }
        let error = Observe::new(ObservationConfig {
            outcomes: vec![rule(&[], "x")],
            ..ObservationConfig::default()
        });
        assert!(error.err().unwrap().message.contains("outcomes[0]"));
    }
}
