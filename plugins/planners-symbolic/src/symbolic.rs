//! What the planners here share: a plan is made once, followed while the world plays along, and made again when it does
//! not. Where no plan can be made, the model is asked for a single action.

use forethought_sdk::{
    prelude::*,
    serde_json::{Value, json},
};
use forethought_strips::{Call, Domain, Problem, Task};

use crate::{
    ask::Asker,
    follow::{self, NO_PLAN},
    pddl::find,
    prompts::{PromptFiles, Prompts},
};

/// Settings that all planners here have.
#[config]
#[derive(Debug, Clone, Serialize)]
pub struct SymbolicConfig {
    /// Name of the language model, as in `[llm.<name>]`.
    #[schemars(with = "LlmName")]
    pub llm: String,
    /// Sampling temperature; by default the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f64>,
    /// How often an answer is sent back with what is wrong with it.
    #[serde(default = "rounds")]
    #[schemars(range(max = 20))]
    pub rounds: u32,
    /// How many times in an episode no plan may be found, before the model is asked for single actions only.
    #[serde(default = "attempts")]
    #[schemars(range(min = 1, max = 100))]
    pub attempts: u32,
    /// What an observation says, in any case, after an action that was refused. An observation that is exactly as
    /// before is one, too.
    #[serde(default = "refusals")]
    pub refusals: Vec<String>,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: PromptFiles,
}

fn rounds() -> u32 {
    3
}
fn attempts() -> u32 {
    2
}
fn refusals() -> Vec<String> {
    vec!["not possible".into(), "invalid action".into(), "nothing happens".into()]
}

/// A plan that was made, and what a trace shows of it.
pub(crate) struct Made {
    pub(crate) plan: Vec<Call>,
    pub(crate) details: Value,
}

/// Makes plans.
#[async_trait]
pub(crate) trait Maker: Send + Sync {
    /// A plan from what is seen now; or why no plan was found, for people.
    async fn make(&self, at: &mut At<'_>) -> Result<Result<Made, String>>;
}

/// A decision in which a plan is made.
pub(crate) struct At<'a> {
    pub(crate) base: &'a Symbolic,
    pub(crate) context: &'a DecisionContext,
    pub(crate) asker: Asker,
    /// What the world answered to actions that it refused.
    pub(crate) refused: Vec<String>,
}

/// The shared part of a planner.
pub(crate) struct Symbolic {
    pub(crate) config: SymbolicConfig,
    prompts: Prompts,
}

impl Symbolic {
    pub(crate) fn new(config: SymbolicConfig) -> Result<Self> {
        if config.attempts == 0 {
            return Err(Error::config("attempts = 0: a plan is attempted once at least"));
        }
        Ok(Self { prompts: Prompts::new(&config.prompts)?, config })
    }

    pub(crate) fn requires(&self) -> Requirements {
        Requirements { llms: vec![self.config.llm.clone()], ..Requirements::default() }
    }

    pub(crate) async fn decide(
        &self,
        maker: &dyn Maker,
        context: DecisionContext,
        models: Arc<dyn Models>,
    ) -> Result<Decision> {
        let refusals = &self.config.refusals;
        if let Some((plan, at)) = follow::next(&context, refusals) {
            let action = follow::action(&plan[at], &context.turn);
            return Ok(Decision { thought: follow::thought(&plan, at), action, ..Decision::default() });
        }
        let llm = models.llm(self.config.llm.clone()).await?;
        let asker = Asker::new(llm, seed::derive(context.seed, "symbolic"), self.config.temperature);
        let refused = follow::refused(&context, refusals);
        let mut at = At { base: self, context: &context, asker, refused };
        let failed = context.history.iter().filter(|exchange| exchange.thought.starts_with(NO_PLAN)).count();
        let why = match failed < self.config.attempts as usize {
            false => format!("none was found {failed} times"),
            true => match maker.make(&mut at).await? {
                Ok(made) if made.plan.is_empty() => "the goal seems to be reached".into(),
                Ok(Made { plan, details }) => {
                    let action = follow::action(&plan[0], &context.turn);
                    let thought = follow::thought(&plan, 0);
                    let trace = Trace { details, ..at.asker.unread.trace() };
                    return Ok(Decision { thought, action, trace, ..Decision::default() });
                }
                Err(why) => why,
            },
        };
        at.asker.unread.without(format!("a plan could not be made ({why})"));
        let messages = at.messages("act", json!({}))?;
        let (thought, action) = at.asker.act(messages, &context.turn).await?;
        let short: String = why.chars().take(200).collect();
        let thought = format!("{NO_PLAN} ({}): {thought}", short.replace('\n', " "));
        let trace = Trace { details: json!({ "no_plan": why }), ..at.asker.unread.trace() };
        Ok(Decision { thought, action, trace, ..Decision::default() })
    }
}

impl At<'_> {
    pub(crate) fn messages(&self, template: &str, more: Value) -> Result<Vec<Message>> {
        self.base.prompts.messages(template, self.context, &self.refused, more)
    }

    /// The problem as it is now: what the world shows in PDDL, or else the model's translation. Comes with the number
    /// of times that a translation was sent back; or why no plan was found.
    pub(crate) async fn problem(
        &mut self,
        domain: &Arc<Domain>,
        rounds: u32,
    ) -> Result<(Result<Task, String>, u32)> {
        if let Some(text) = find(&self.context.turn.observation.text, "problem") {
            return Ok((parse(domain, text), 0));
        }
        let messages = self.messages("problem", json!({ "domain": domain.to_string().trim_end() }))?;
        let read = |answer: &forethought_sdk::answers::Answer| match find(answer.text(), "problem") {
            Some(text) => parse(domain, text),
            None => Err("there is no `(define (problem ...) ...)`".into()),
        };
        self.asker.improve(Purpose::Other, messages, rounds, read).await
    }
}

fn parse(domain: &Arc<Domain>, text: &str) -> Result<Task, String> {
    let problem = Problem::parse("problem", text, domain).map_err(|fault| fault.to_string())?;
    Task::new(domain.clone(), Arc::new(problem))
}
