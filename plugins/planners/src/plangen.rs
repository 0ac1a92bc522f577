//! PlanGEN (Parmar et al., 2025, arXiv 2502.16111): a constraint agent, a verification agent, and a selection agent that
//! chooses by an upper confidence bound which method plans next. The methods are other planners; the paper's are
//! Best-of-N, Tree of Thoughts and REBASE.
//!
//! ```text
//! C     <- constraint agent: what must be taken into account
//! P(a)  <- selection agent: how suitable is each method a
//! for t = 1..T, until a score reaches the threshold:
//!     a        <- argmax R(a)/N(a) + c sqrt(2 ln(t + 1) / (N(a) + 1)) + lambda P(a) / t + d / (N(a) + 1)
//!     proposal <- method a, given C and the feedback so far
//!     score    <- verification agent, -100..100;   R(a) += (score + 100) / 200
//! act on the proposal with the highest score
//! ```
//!
//! The paper's bound also has a bonus for methods that recovered from failures in earlier tasks, which a planner without
//! a memory does not know.

use forethought_sdk::{
    answers::{Answer, Complaint, Unread},
    prelude::*,
    serde_json::{Value, json},
};

use crate::{
    allowance::{Rounds, affordable},
    ask::{AskConfig, Asker, Label, Said},
    inner::{Inner, drawn},
    prompts::{Prompts, prompt_files},
};

/// Settings of PlanGEN.
#[config]
#[derive(Debug, Clone)]
pub struct PlanGenConfig {
    /// How the three agents are asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// The planners among which the selection agent chooses.
    #[schemars(length(min = 1))]
    pub of: Vec<PlannerName>,
    /// Most proposals per decision (T).
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub rounds: usize,
    /// The score at which a proposal is taken at once.
    #[serde(default = "ninety_five")]
    #[schemars(range(min = -100.0, max = 100.0))]
    pub threshold: f64,
    /// Weight of exploration (c).
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub exploration: f64,
    /// Weight of the model's own idea of which planner suits (lambda); 0 saves its call.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub prior: f64,
    /// Weight of planners that were used little (d).
    #[serde(default = "tenth")]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub diversity: f64,
    /// Tell the planners the constraints, and what was wrong with earlier proposals: it is added to the instructions of
    /// their seat.
    #[serde(default = "yes")]
    pub feedback: bool,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: PlanGenPrompts,
}

prompt_files! {
    /// Files that replace PlanGEN's prompt templates.
    PlanGenPrompts: agent, history, constraints, suitability, verify
}

fn five() -> usize {
    5
}

fn ninety_five() -> f64 {
    95.0
}

fn one() -> f64 {
    1.0
}

fn tenth() -> f64 {
    0.1
}

fn yes() -> bool {
    true
}

/// The PlanGEN planner: two calls, and per round one more than the planner that is chosen.
pub struct PlanGen {
    config: PlanGenConfig,
    planners: Vec<Inner>,
    prompts: Prompts,
}

/// A proposal, and what the verification agent says of it.
struct Proposal {
    by: usize,
    decision: Decision,
    verdict: Option<(f64, String)>,
}

impl PlanGen {
    /// A planner over `planners` with these settings.
    ///
    /// # Errors
    /// No planner, no round, a number outside its range, or a template that cannot be used.
    pub fn over(planners: Vec<Inner>, config: PlanGenConfig) -> Result<Self> {
        let PlanGenConfig { rounds, threshold, exploration, prior, diversity, .. } = &config;
        if planners.is_empty() || *rounds == 0 {
            let key = if *rounds == 0 { "rounds = 0" } else { "of = []" };
            return Err(Error::config(format!("{key}: must be at least one")));
        }
        for (key, weight) in [("exploration", exploration), ("prior", prior), ("diversity", diversity)] {
            if !(*weight >= 0.0 && weight.is_finite()) {
                return Err(Error::config(format!("{key} = {weight}: must be at least 0")));
            }
        }
        if !(-100.0..=100.0).contains(threshold) {
            return Err(Error::config(format!("threshold = {threshold}: must be within [-100, 100]")));
        }
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, planners, config })
    }

    /// The constraint agent.
    async fn constraints(&self, asker: &mut Asker, context: &DecisionContext) -> Result<Vec<String>> {
        let messages = self.prompts.messages("constraints", context, json!({}))?;
        let read = |said: &Said<'_>| {
            let texts: Vec<_> = said.texts(&["Constraint"])?.into_iter().map(|(_, text)| text).collect();
            let none = || said.complaint("there is no line that starts with \"Constraint:\"".into());
            if texts.is_empty() { Err(none()) } else { Ok(texts) }
        };
        let labels = [Label::Many("Constraint")];
        Ok(asker.ask_for(&labels, Purpose::Thought, messages, read).await?.unwrap_or_default())
    }

    /// The selection agent's prior: how suitable it thinks each planner.
    async fn suitability(
        &self,
        asker: &mut Asker,
        context: &DecisionContext,
        constraints: &[String],
    ) -> Result<Vec<f64>> {
        let count = self.planners.len();
        if count == 1 || self.config.prior == 0.0 {
            return Ok(vec![0.0; count]);
        }
        let names: Vec<_> = self.planners.iter().map(|planner| &planner.name).collect();
        let given = json!({ "planners": names, "constraints": constraints });
        let messages = self.prompts.messages("suitability", context, given)?;
        let read = |answer: &Answer| answer.probabilities(count);
        Ok(asker.ask(Purpose::Judge, messages, read).await?.unwrap_or_else(|_| vec![0.0; count]))
    }

    /// The selection agent: the planner with the highest bound.
    fn select(&self, proposals: &[Proposal], suitability: &[f64]) -> usize {
        let PlanGenConfig { exploration, prior, diversity, .. } = self.config;
        let time = proposals.len() as f64 + 1.0;
        let bound = |planner: &usize| {
            let used = proposals.iter().filter(|proposal| proposal.by == *planner);
            let rewards = used.clone().filter_map(|proposal| proposal.verdict.as_ref());
            let rewards: f64 = rewards.map(|(score, _)| (score + 100.0) / 200.0).sum();
            let used = used.count() as f64;
            rewards / used.max(1.0)
                + exploration * (2.0 * (time + 1.0).ln() / (used + 1.0)).sqrt()
                + prior * suitability[*planner] / time
                + diversity / (used + 1.0)
        };
        let all = (0..self.planners.len()).rev();
        // Of equals, the first: `max_by` returns the last.
        all.max_by(|one, other| bound(one).total_cmp(&bound(other))).expect("one planner or more")
    }

    /// The verification agent: a score from -100 to 100, and why.
    async fn verify(
        &self,
        asker: &mut Asker,
        context: &DecisionContext,
        constraints: &[String],
        decision: &Decision,
    ) -> Result<Option<(f64, String)>> {
        let (thought, action) = (&decision.thought, &decision.action.text);
        let given = json!({ "thought": thought, "action": action, "constraints": constraints });
        let messages = self.prompts.messages("verify", context, given)?;
        let read =
            |said: &Said<'_>| Ok((score(&said.text("Score")?)?, said.text("Feedback").unwrap_or_default()));
        let labels = [Label::One("Feedback"), Label::One("Score")];
        Ok(asker.ask_for(&labels, Purpose::Judge, messages, read).await?.ok())
    }

    /// What a planner is told in round `round`.
    fn told(
        &self,
        context: &DecisionContext,
        constraints: &[String],
        so_far: &[Proposal],
    ) -> DecisionContext {
        let mut told = drawn(context, &format!("plangen {}", so_far.len()));
        let mut lines: Vec<_> = constraints.iter().map(|one| format!("Constraint: {one}")).collect();
        for Proposal { decision, verdict, .. } in so_far {
            if let Some((score, feedback)) = verdict {
                let action = &decision.action.text;
                lines.push(format!("Rejected with a score of {score:.0}: {action} ({feedback})"));
            }
        }
        if self.config.feedback && !lines.is_empty() {
            let seat = told.environment.seats.get_mut(context.seat).map(|seat| &mut seat.instructions);
            let instructions = seat.unwrap_or(&mut told.environment.instructions);
            if !instructions.is_empty() {
                instructions.push('\n');
            }
            *instructions += &lines.join("\n");
        }
        told
    }
}

/// A score in words: the first number in it.
fn score(said: &str) -> Result<f64, Complaint> {
    let numbers = said.split(|c: char| !(c.is_ascii_digit() || ".-+".contains(c)));
    let number = numbers.filter_map(|number| number.trim_end_matches('.').parse::<f64>().ok()).next();
    number
        .filter(|score| (-100.0..=100.0).contains(score))
        .ok_or_else(|| Complaint::unreadable("the score is not a number from -100 to 100"))
}

#[async_trait]
impl Planner for PlanGen {
    async fn requires(&self) -> Result<Requirements> {
        let planners: Vec<_> = self.planners.iter().collect();
        Ok(Inner::requires(&planners).await?.and(self.config.ask.requires()))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut asker = self.config.ask.asker(llm, seed::derive(context.seed, "plangen"));
        // What a proposal and its verification cost comes first.
        let constraints = match affordable(&models, 3).await? {
            true => self.constraints(&mut asker, &context).await?,
            false => Vec::new(),
        };
        let suitability = match affordable(&models, 3).await? {
            true => self.suitability(&mut asker, &context, &constraints).await?,
            false => vec![0.0; self.planners.len()],
        };
        let mut proposals: Vec<Proposal> = Vec::new();
        let mut budget = Rounds::of(2);
        while proposals.len() < self.config.rounds {
            if !budget.affordable(&models, 0).await? && !proposals.is_empty() {
                break;
            }
            let by = self.select(&proposals, &suitability);
            let told = self.told(&context, &constraints, &proposals);
            let decision = self.planners[by].decide(told, &models).await?;
            let verdict = match affordable(&models, 1).await? {
                true => self.verify(&mut asker, &context, &constraints, &decision).await?,
                false => None,
            };
            let enough = verdict.as_ref().is_some_and(|(score, _)| *score >= self.config.threshold);
            proposals.push(Proposal { by, decision, verdict });
            if enough {
                break;
            }
        }
        let score =
            |index: &usize| proposals[*index].verdict.as_ref().map_or(f64::NEG_INFINITY, |(score, _)| *score);
        // Of equals, the first: `max_by` returns the last.
        let best = (0..proposals.len()).rev().max_by(|one, other| score(one).total_cmp(&score(other)));
        let best = best.expect("one proposal or more");
        let mut unread: Unread = asker.unread;
        if proposals[best].verdict.is_none() {
            unread.count("unevaluated");
        }
        let rows = proposals.iter().map(|Proposal { by, verdict, .. }| {
            let (score, feedback) = verdict.clone().map_or((None, None), |(a, b)| (Some(a), Some(b)));
            json!({ "planner": self.planners[*by].name, "score": score, "feedback": feedback })
        });
        let details = json!({ "constraints": constraints, "suitability": suitability, "proposals": rows.collect::<Value>() });
        let mut trace = Trace { details, ..unread.trace() };
        let chosen = proposals[best].decision.clone();
        for (index, Proposal { by, decision, .. }) in proposals.into_iter().enumerate() {
            self.planners[by].note(&mut trace, Ok(decision), index == best);
        }
        Ok(Decision { trace, ..chosen })
    }
}

register! {
    interface: dyn Planner, kind: "plangen", summary: "chooses among planners by a confidence bound and verifies what they propose (PlanGEN)",
    config: PlanGenConfig,
    new: |config: PlanGenConfig, host: Arc<dyn Host>| async move {
        let planners = Inner::all("of", config.of.clone(), &host).await?;
        Ok(Arc::new(PlanGen::over(planners, config)?) as _)
    },
}
