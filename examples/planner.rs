//! A planner: let another planner decide several times, and take the decision that a critic likes best.
//!
//! `cargo run -p forethought-examples --bin planner -- eval examples/planner.toml --planner react,best-of-3`
//!
//! The program is `forethought` with this component linked in. As a plugin, the same code is its own crate:
//! `forethought plugin new my-planner --planner`.

use forethought_sdk::prelude::*;
// A crate registers its components when it is linked, and it is linked only if it is named.
use {
    forethought_critic_judge as _, forethought_encoder_hash as _, forethought_llm_simulated as _,
    forethought_planners as _, forethought_webshop as _,
};

/// The keys under `[planner.NAME]`. The doc comment of a key is its help text.
#[config]
struct Config {
    /// The planner that proposes the decisions.
    planner: PlannerName,
    /// Critic under `[critic]` that compares them.
    critic: String,
    /// The outcome to reach, in words.
    outcome: String,
    /// Decisions to choose from.
    #[schemars(range(min = 1))]
    candidates: u64,
}

struct BestOf {
    config: Config,
    inner: Arc<dyn Planner>,
}

#[async_trait]
impl Planner for BestOf {
    async fn requires(&self) -> Result<Requirements> {
        let own = Requirements { critics: vec![self.config.critic.clone()], ..Default::default() };
        let inner = (self.config.planner.0.clone(), self.inner.requires().await?);
        Ok(Requirements::over([inner]).and(own))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let mut decisions = Vec::new();
        for candidate in 0..self.config.candidates {
            // Every draw derives from the decision's seed, so that the episode can be repeated.
            let seed = seed::derive(context.seed, &format!("candidate {candidate}"));
            let context = DecisionContext { seed, ..context.clone() };
            decisions.push(self.inner.decide(context, models.clone()).await?);
        }
        let query = |decision: &Decision| CriticQuery {
            state: context.turn.observation.text.clone(),
            thought: decision.thought.clone(),
            outcome: self.config.outcome.clone(),
        };
        let critic = models.critic(self.config.critic.clone()).await?;
        let estimates = critic.estimate_with(decisions.iter().map(query).collect(), models).await?;
        let best = (0..estimates.len().min(decisions.len()))
            .max_by(|&a, &b| estimates[a].probability.total_cmp(&estimates[b].probability))
            .ok_or_else(|| Error::malformed("the critic gave no estimate"))?;
        // `view` shows them all.
        let mut trace = Trace::default();
        for (index, decision) in decisions.iter().enumerate() {
            trace.add(&self.config.planner.0, decision.clone(), index == best);
        }
        Ok(Decision { trace, ..decisions.swap_remove(best) })
    }
}

register! {
    interface: dyn Planner, kind: "example-best-of", summary: "takes the best of several decisions by a critic",
    config: Config,
    new: |config: Config, host| async move {
        let inner = host.planner(config.planner.0.clone()).await?;
        Ok(Arc::new(BestOf { config, inner }) as _)
    },
}

fn main() -> std::process::ExitCode {
    forethought::main()
}
