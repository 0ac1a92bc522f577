//! ISR-LLM (Zhou et al. 2023, arXiv 2308.13724): the model plans, and what a validator finds wrong goes back to it.
//!
//! ```text
//! problem <- LLM: this state and goal, in PDDL of the given domain
//! plan    <- LLM: a plan for it
//! repeat up to `rounds` times, while the validator finds a fault in plan:
//!     plan <- LLM: given the fault, another plan
//! ```
//!
//! This is the paper's external validator; its self-validator, where the model is also asked what is wrong, is left out
//! because it finds less. The paper lets the model write the domain as well; `pddl-world-model` does that. Of a plan
//! that is still wrong after the last round, the steps before the first fault are carried out, and then a new one is
//! made.

use forethought_sdk::{answers::Answer, prelude::*, serde_json::json};
use forethought_strips::{Call, plan};

use crate::{
    pddl::{DomainSource, Rules},
    symbolic::{At, Made, Maker, Symbolic, SymbolicConfig},
};

/// Settings of ISR-LLM.
#[config]
#[derive(Debug, Clone, Serialize)]
pub struct IsrLlmConfig {
    /// What all symbolic planners have. `rounds` counts for the translation and for the plan.
    #[serde(flatten)]
    pub symbolic: SymbolicConfig,
    /// The domain: "world" to read it from the instructions, the name of one that ships, or a file.
    #[serde(default)]
    pub domain: DomainSource,
}

/// The planner ISR-LLM: two calls per plan, and one for each correction.
pub struct IsrLlm {
    base: Symbolic,
    rules: Rules,
}

impl IsrLlm {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A file that cannot be used, or a limit of 0.
    pub fn new(config: IsrLlmConfig) -> Result<Self> {
        Ok(Self { base: Symbolic::new(config.symbolic)?, rules: config.domain.read()? })
    }
}

#[async_trait]
impl Maker for IsrLlm {
    async fn make(&self, at: &mut At<'_>) -> Result<Result<Made, String>> {
        let domain = self.rules.domain(at.context)?;
        let rounds = self.base.config.rounds;
        let task = match at.problem(&domain, rounds).await? {
            (Ok(task), _) => task,
            (Err(why), _) => return Ok(Err(format!("the translation cannot be read: {why}"))),
        };
        let problem = task.problem.to_string();
        let given = json!({ "domain": domain.to_string().trim_end(), "problem": problem.trim_end() });
        let messages = at.messages("plan", given)?;
        // The steps before the first fault of the last plan.
        let mut prefix: Vec<Call> = Vec::new();
        let read = |answer: &Answer| {
            let steps = plan::read(&task, answer.text());
            if steps.is_empty() && !task.missing(&task.init).is_empty() {
                return Err("there are no actions, one on each line such as (name a b)".to_owned());
            }
            match plan::validate(&task, &steps) {
                Ok(_) => Ok(steps),
                Err(failure) => {
                    prefix = steps[..failure.step().unwrap_or(steps.len())].to_vec();
                    let why = failure.to_string();
                    Err(why.trim_end_matches('.').to_owned())
                }
            }
        };
        let (steps, corrections) = at.asker.improve(Purpose::Other, messages, rounds, read).await?;
        let mut details = json!({ "problem": problem, "corrections": corrections });
        Ok(match steps {
            Ok(plan) => Ok(Made { plan, details }),
            Err(why) if prefix.is_empty() => Err(why),
            Err(why) => {
                details["fault"] = why.into();
                Ok(Made { plan: prefix, details })
            }
        })
    }
}

#[async_trait]
impl Planner for IsrLlm {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.base.requires())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        self.base.decide(self, context, models).await
    }
}

register! {
    interface: dyn Planner, kind: "isr-llm",
    summary: "the model plans, and a validator's errors go back to it (ISR-LLM)",
    config: IsrLlmConfig,
    new: |config, _host| async move { Ok(Arc::new(IsrLlm::new(config)?) as _) },
}
