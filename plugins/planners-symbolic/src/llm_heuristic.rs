//! The model writes the heuristic of a search (Corrêa, Pereira and Seipp 2025, arXiv 2503.18809).
//!
//! ```text
//! problem      <- what the world shows in PDDL, or else LLM: this state and goal, in PDDL of the given domain
//! h_1 ... h_n  <- LLM: n heuristics for it
//! plan         <- the shortest plan that a greedy search finds with one of them
//! ```
//!
//! The paper's heuristics are Python functions, chosen among 25 on training tasks of the domain; here they are
//! expressions over counts of facts ([`forethought_strips::formula`]), which cannot do anything else, and each is tried
//! on the problem itself.

use forethought_sdk::{answers::Answer, prelude::*, serde_json::json};
use forethought_strips::{
    Task,
    formula::Formula,
    search::{Heuristic, Order, solve},
};

use crate::{
    pddl::{DomainSource, Rules, closed},
    solver::{Solver, SolverConfig},
    symbolic::{At, Made, Maker, Symbolic, SymbolicConfig},
};

/// Settings of the planner with written heuristics.
#[config]
#[derive(Debug, Clone, Serialize)]
pub struct LlmHeuristicConfig {
    /// What all symbolic planners have. `rounds` counts for the translation.
    #[serde(flatten)]
    pub symbolic: SymbolicConfig,
    /// The domain: "world" to read it from the instructions, the name of one that ships, or a file.
    #[serde(default)]
    pub domain: DomainSource,
    /// How many heuristics are requested.
    #[serde(default = "candidates")]
    #[schemars(range(min = 1, max = 50))]
    pub candidates: u32,
    /// The most states that a search with one of them looks at.
    #[serde(default = "nodes")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub nodes: u32,
}

fn candidates() -> u32 {
    3
}
fn nodes() -> u32 {
    5000
}

/// The planner with written heuristics: two calls per plan.
pub struct LlmHeuristic {
    base: Symbolic,
    rules: Rules,
    candidates: u32,
    solver: Solver,
}

impl LlmHeuristic {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A file that cannot be used, or a limit of 0.
    pub fn new(config: LlmHeuristicConfig) -> Result<Self> {
        let LlmHeuristicConfig { symbolic, domain, candidates, nodes } = config;
        if candidates == 0 || nodes == 0 {
            let key = if nodes == 0 { "nodes" } else { "candidates" };
            return Err(Error::config(format!("{key} = 0: must be at least 1")));
        }
        let solver = Solver::new(SolverConfig { nodes, ..SolverConfig::default() })?;
        Ok(Self { base: Symbolic::new(symbolic)?, rules: domain.read()?, candidates, solver })
    }
}

/// The expression in an answer.
fn read(answer: &Answer, task: &Task) -> Result<Formula, String> {
    let text = answer.text();
    let after = text.rsplit_once("Heuristic:").map_or(text, |(_, after)| after);
    let expression =
        after.find('(').map(|at| closed(&after[at..])).ok_or("there is no expression in parentheses")?;
    Formula::parse(expression, task).map_err(|fault| fault.to_string())
}

#[async_trait]
impl Maker for LlmHeuristic {
    async fn make(&self, at: &mut At<'_>) -> Result<Result<Made, String>> {
        let domain = self.rules.domain(at.context)?;
        let task = match at.problem(&domain, self.base.config.rounds).await? {
            (Ok(task), _) => task,
            (Err(why), _) => return Ok(Err(format!("the translation cannot be read: {why}"))),
        };
        let problem = task.problem.to_string();
        let given = json!({ "domain": domain.to_string().trim_end(), "problem": problem.trim_end() });
        let messages = at.messages("heuristic", given)?;
        let request = ChatRequest { samples: self.candidates, ..ChatRequest::new(Purpose::Other, messages) };
        let choices = at.asker.complete(request).await?;
        let mut tried = Vec::new();
        let mut best = None;
        for choice in &choices {
            let formula = match read(&Answer::of(choice), &task) {
                Ok(formula) => formula,
                Err(why) => {
                    at.asker.unread.count("unreadable");
                    tried.push(json!({ "fault": why }));
                    continue;
                }
            };
            let found = solve(&task, Order::Greedy, Heuristic::Formula(&formula), self.solver.limits());
            let result = match &found {
                Ok(found) => json!({ "steps": found.plan.len(), "expanded": found.expanded }),
                Err(why) => why.to_string().into(),
            };
            tried.push(json!({ "heuristic": formula.to_string(), "result": result }));
            let better = |found: &forethought_strips::search::Found| {
                best.as_ref().is_none_or(|best: &forethought_strips::search::Found| {
                    (found.plan.len(), found.expanded) < (best.plan.len(), best.expanded)
                })
            };
            if let Some(found) = found.ok().filter(better) {
                best = Some(found);
            }
        }
        let details = json!({ "problem": problem, "heuristics": tried });
        Ok(match best {
            Some(found) => Ok(Made { plan: found.plan, details }),
            None => Err(format!("no heuristic of {} led to a plan", choices.len())),
        })
    }
}

#[async_trait]
impl Planner for LlmHeuristic {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.base.requires())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        self.base.decide(self, context, models).await
    }
}

register! {
    interface: dyn Planner, kind: "llm-heuristic",
    summary: "the model writes the heuristic of a search (Corrêa et al.)",
    config: LlmHeuristicConfig,
    new: |config, _host| async move { Ok(Arc::new(LlmHeuristic::new(config)?) as _) },
}
