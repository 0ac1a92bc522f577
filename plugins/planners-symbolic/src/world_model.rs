//! The model writes the rules of the world as a PDDL domain, which is corrected and then planned with (Guan et al.
//! 2023, arXiv 2305.14909).
//!
//! ```text
//! domain  <- LLM: the rules of this world, in PDDL; faults of the parser go back, up to `rounds` times
//! problem <- LLM: this state and goal, in PDDL of that domain; the same
//! plan    <- planner(domain, problem)
//! ```
//!
//! The paper writes one action at a time, and people correct what a parser cannot see. Here the domain is one answer,
//! and the world takes the people's place: when it refuses a step, the rules are written again, and the prompt says
//! what it refused and why. A domain in which the goal cannot be reached goes back, too.

use forethought_sdk::{answers::Answer, prelude::*, serde_json::json};
use forethought_strips::Domain;

use crate::{
    pddl::find,
    solver::{Solver, SolverConfig},
    symbolic::{At, Made, Maker, Symbolic, SymbolicConfig},
};

/// Settings of the planner with a written world model.
#[config]
#[derive(Debug, Clone, Serialize)]
pub struct WorldModelConfig {
    /// What all symbolic planners have. `rounds` counts for the domain and for the translation.
    #[serde(flatten)]
    pub symbolic: SymbolicConfig,
    /// What solves the written problem.
    #[serde(default)]
    pub solver: SolverConfig,
}

/// The planner with a written world model: two calls per plan, and one for each correction.
pub struct WorldModel {
    base: Symbolic,
    solver: Solver,
}

impl WorldModel {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A file that cannot be used, or a limit of 0.
    pub fn new(config: WorldModelConfig) -> Result<Self> {
        Ok(Self { base: Symbolic::new(config.symbolic)?, solver: Solver::new(config.solver)? })
    }
}

#[async_trait]
impl Maker for WorldModel {
    async fn make(&self, at: &mut At<'_>) -> Result<Result<Made, String>> {
        let allowed = self.base.config.rounds;
        let mut unsolved: Option<String> = None;
        let mut rounds = 0;
        // Twice at most: the second time with what was wrong with the first as a whole.
        loop {
            let mut messages = at.messages("domain", json!({}))?;
            if let (Some(why), Some(last)) = (&unsolved, messages.last_mut()) {
                last.content +=
                    &format!("\n\nWith the rules that you wrote before, {why}. Look for what is missing.");
            }
            let read = |answer: &Answer| match find(answer.text(), "domain") {
                None => Err("there is no `(define (domain ...) ...)`".to_owned()),
                Some(text) => {
                    let domain = Domain::parse("domain", text).map_err(|fault| fault.to_string())?;
                    if domain.actions.is_empty() {
                        return Err("the domain has no actions".into());
                    }
                    Ok(Arc::new(domain))
                }
            };
            let (domain, sent_back) = at.asker.improve(Purpose::Other, messages, allowed, read).await?;
            rounds += sent_back;
            let domain = match domain {
                Ok(domain) => domain,
                Err(why) => return Ok(Err(format!("the rules cannot be read: {why}"))),
            };
            let (task, sent_back) = at.problem(&domain, allowed).await?;
            rounds += sent_back;
            let found = match task {
                Ok(task) => self.solver.solve(&task).await?.map(|found| (task, found)),
                Err(why) => return Ok(Err(format!("the translation cannot be read: {why}"))),
            };
            match found {
                Ok((task, found)) => {
                    let details = json!({
                        "domain": domain.to_string(), "problem": task.problem.to_string(), "rounds": rounds,
                        "expanded": found.expanded,
                    });
                    return Ok(Ok(Made { plan: found.plan, details }));
                }
                Err(why) if unsolved.is_some() || allowed == 0 => return Ok(Err(why)),
                Err(why) => unsolved = Some(why),
            }
        }
    }
}

#[async_trait]
impl Planner for WorldModel {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.base.requires())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        self.base.decide(self, context, models).await
    }
}

register! {
    interface: dyn Planner, kind: "pddl-world-model",
    summary: "the model writes the rules in PDDL, corrected by a parser and by the world's refusals (Guan et al.)",
    config: WorldModelConfig,
    new: |config, _host| async move { Ok(Arc::new(WorldModel::new(config)?) as _) },
}
