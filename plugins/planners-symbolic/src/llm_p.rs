//! LLM+P (Liu et al. 2023, arXiv 2304.11477): the model only translates, and a planner solves.
//!
//! ```text
//! problem <- LLM: this state and goal, in PDDL of the given domain
//! plan    <- planner(domain, problem)
//! ```
//!
//! The paper gives the model an example of a translation and asks once; here a translation that cannot be parsed is
//! sent back with its first fault, up to `rounds` times (0 for the paper's way), and one that has no plan is not
//! followed. The plan is carried out without further calls, until the world refuses a step or the plan ends short of
//! the goal; then the state is translated again.

use forethought_sdk::{prelude::*, serde_json::json};

use crate::{
    pddl::{DomainSource, Rules},
    solver::{Solver, SolverConfig},
    symbolic::{At, Made, Maker, Symbolic, SymbolicConfig},
};

/// Settings of LLM+P.
#[config]
#[derive(Debug, Clone, Serialize)]
pub struct LlmPConfig {
    /// What all symbolic planners have.
    #[serde(flatten)]
    pub symbolic: SymbolicConfig,
    /// The domain: "world" to read it from the instructions, the name of one that ships, or a file.
    #[serde(default)]
    pub domain: DomainSource,
    /// What solves the translated problem.
    #[serde(default)]
    pub solver: SolverConfig,
}

/// The planner LLM+P: one call per plan.
pub struct LlmP {
    base: Symbolic,
    rules: Rules,
    solver: Solver,
}

impl LlmP {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A file that cannot be used, or a limit of 0.
    pub fn new(config: LlmPConfig) -> Result<Self> {
        let LlmPConfig { symbolic, domain, solver } = config;
        Ok(Self { base: Symbolic::new(symbolic)?, rules: domain.read()?, solver: Solver::new(solver)? })
    }
}

#[async_trait]
impl Maker for LlmP {
    async fn make(&self, at: &mut At<'_>) -> Result<Result<Made, String>> {
        let domain = self.rules.domain(at.context)?;
        let (task, rounds) = at.problem(&domain, self.base.config.rounds).await?;
        let task = match task {
            Ok(task) => task,
            Err(why) => return Ok(Err(format!("the translation cannot be read: {why}"))),
        };
        let found = self.solver.solve(&task).await?;
        Ok(found.map(|found| {
            let problem = task.problem.to_string();
            let details = json!({ "problem": problem, "rounds": rounds, "expanded": found.expanded });
            Made { plan: found.plan, details }
        }))
    }
}

#[async_trait]
impl Planner for LlmP {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.base.requires())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        self.base.decide(self, context, models).await
    }
}

register! {
    interface: dyn Planner, kind: "llm+p",
    summary: "the model translates into PDDL, a search or Fast Downward solves (LLM+P)",
    config: LlmPConfig,
    new: |config, _host| async move { Ok(Arc::new(LlmP::new(config)?) as _) },
}
