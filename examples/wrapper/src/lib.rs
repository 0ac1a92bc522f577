//! A planner over any other planner, as a third party writes one: it depends on `forethought-sdk` alone.
//!
//! `no-loops` does not let its inner planner do again what it did where it saw the very same before. Loaded from a
//! library, it takes part in compositions like any other, around planners and within them:
//!
//! ```toml
//! plugins.load = ["./libforethought_example_wrapper.so"]
//!
//! [planner.careful]
//! kind = "best-of-n"
//! inner = { kind = "no-loops", inner = "react" }
//! critic = "critic"
//! llm = "actor"
//! ```

use forethought_sdk::prelude::*;

/// The keys under `[planner.NAME]`.
#[config]
#[derive(Debug, Clone)]
pub struct NoLoopsConfig {
    /// The planner that decides.
    pub inner: PlannerName,
    /// How often it is asked again, each time from another seed.
    #[serde(default = "three")]
    #[schemars(range(max = 100))]
    pub again: u32,
}

fn three() -> u32 {
    3
}

/// The planner that leaves loops.
pub struct NoLoops {
    name: String,
    inner: Arc<dyn Planner>,
    again: u32,
}

impl NoLoops {
    /// A planner over `inner`, which is called `name`.
    pub fn over(name: impl Into<String>, inner: Arc<dyn Planner>, again: u32) -> Self {
        Self { name: name.into(), inner, again }
    }
}

#[async_trait]
impl Planner for NoLoops {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::over([(self.name.clone(), self.inner.requires().await?)]))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let seen = |exchange: &&Exchange| exchange.observation == context.turn.observation.text;
        let tried: Vec<_> = context.history.iter().filter(seen).map(|exchange| &exchange.action).collect();
        let mut decisions = vec![self.inner.decide(context.clone(), models.clone()).await?];
        for attempt in 1..=self.again {
            let last = decisions.last().expect("one decision or more");
            if !tried.contains(&&last.action.text) {
                break;
            }
            // Every draw derives from the decision's seed, so that the episode can be repeated.
            let seed = seed::derive(context.seed, &format!("again {attempt}"));
            decisions
                .push(self.inner.decide(DecisionContext { seed, ..context.clone() }, models.clone()).await?);
        }
        let last = decisions.len() - 1;
        let mut trace = Trace::default();
        for (index, decision) in decisions.iter().enumerate() {
            trace.add(&self.name, decision.clone(), index == last);
        }
        Ok(Decision { trace, ..decisions.swap_remove(last) })
    }
}

register! {
    interface: dyn Planner, kind: "no-loops", summary: "a planner that does not repeat itself where nothing has changed",
    config: NoLoopsConfig,
    new: |config: NoLoopsConfig, host| async move {
        let NoLoopsConfig { inner: PlannerName(name), again } = config;
        let inner = host.planner(name.clone()).await?;
        Ok(Arc::new(NoLoops::over(name, inner, again)) as _)
    },
}
