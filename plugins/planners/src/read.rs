//! ReAd, reinforced advantage feedback (Zhang et al., 2024, arXiv 2405.14314): the model is shown the advantages of what
//! it has proposed, and proposes again until one is good enough.
//!
//! ```text
//! s       <- summarise(history)
//! thought <- LLM: propose
//! A       <- Q(s, thought, g) - V(s, g)                       how much better than waiting
//! while A < epsilon and rounds are left:
//!     thought <- LLM: given the proposals and their advantages, propose a better one
//! action  <- LLM: act on the last proposal if A >= epsilon, or else on the best one
//! ```
//!
//! The paper's critic is trained on rewards, and `V(s) = Q(s, wait) / gamma`, since waiting changes nothing. Ours are
//! goal-conditioned: `Q` and `V` are means over outcomes g, the good ones less the bad ones.

use forethought_sdk::{
    answers::Unread,
    prelude::*,
    serde_json::{Value, json},
};

use crate::{
    allowance::Rounds,
    ask::{AskConfig, Asker, Label::One, Said},
    prompts::{Prompts, prompt_files},
    score::{Measure, Scorer},
};

/// Settings of ReAd.
#[config]
#[derive(Debug, Clone)]
pub struct ReadConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// What a proposal is judged by.
    #[serde(flatten)]
    pub measure: Measure,
    /// The advantage from which on a proposal is good enough (epsilon).
    #[serde(default)]
    pub threshold: f64,
    /// Most proposals per decision.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 1000))]
    pub rounds: usize,
    /// What V is taken from.
    #[serde(default)]
    pub baseline: Baseline,
    /// The thought that means waiting, with `baseline = "wait"`, in the words of the critic's data.
    #[serde(default = "wait")]
    pub wait: String,
    /// Discount factor of the critic, with `baseline = "wait"`: `V = Q(wait) / gamma`.
    #[serde(default = "gamma")]
    #[schemars(range(min = 0.01, max = 1.0))]
    pub gamma: f64,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: ReadPrompts,
}

/// What V is taken from.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The critic's value of waiting in this state.
    #[default]
    Wait,
    /// What is usual for an outcome in the critic's data, where its style card says so.
    Usual,
}

prompt_files! {
    /// Files that replace ReAd's prompt templates.
    ReadPrompts: agent, history, summarise, thought, outcomes, propose, action
}

fn four() -> usize {
    4
}

fn wait() -> String {
    "Wait and do nothing for now.".into()
}

fn gamma() -> f64 {
    0.99
}

/// The ReAd planner: a call for the summary, two per proposal (one with `goal`), and one to act.
pub struct Read {
    config: ReadConfig,
    scorer: Scorer,
    prompts: Prompts,
}

impl Read {
    /// A planner with these settings.
    ///
    /// # Errors
    /// No round, fewer than two outcomes, a discount factor outside (0, 1], a threshold that is not a number, or a
    /// template that cannot be used.
    pub fn new(config: ReadConfig) -> Result<Self> {
        let ReadConfig { ask, measure, threshold, rounds, gamma, prompts, .. } = &config;
        if *rounds == 0 {
            return Err(Error::config("rounds = 0: must be at least 1"));
        }
        if !(*gamma > 0.0 && *gamma <= 1.0) {
            return Err(Error::config(format!("gamma = {gamma}: must be above 0 and at most 1")));
        }
        if threshold.is_nan() {
            return Err(Error::config("threshold = nan: must be a number"));
        }
        let scorer = Scorer::of(ask.clone(), ask.prompts(prompts)?, measure.clone(), "imagine".into())?;
        Ok(Self { prompts: ask.prompts(prompts)?, scorer, config })
    }

    /// Q - V of the first round's thought, where the second round is about waiting.
    fn advantage(&self, proposal: &Round, waiting: &Round) -> Option<f64> {
        let difference = |(one, wait): (&ValuedOutcome, &ValuedOutcome)| {
            let value = match self.config.baseline {
                Baseline::Wait => (!wait.outside).then_some(wait.probability / self.config.gamma),
                Baseline::Usual => one.usual,
            };
            let advantage = one.probability - value.filter(|_| !one.outside)?;
            advantage.is_finite().then_some((one.good, advantage))
        };
        let known: Vec<_> = proposal.outcomes.iter().zip(&waiting.outcomes).filter_map(difference).collect();
        let mean = |side: bool| {
            let side: Vec<_> = known.iter().filter(|(good, _)| *good == side).map(|(_, one)| one).collect();
            (!side.is_empty()).then(|| side.iter().copied().sum::<f64>() / side.len() as f64)
        };
        match proposal.outcomes.iter().all(|one| one.good) {
            true => mean(true),
            false => Some(mean(true)? - mean(false)?),
        }
    }

    async fn propose(
        &self,
        asker: &mut Asker,
        context: &DecisionContext,
        proposals: &[(Round, Option<f64>)],
        given: &Value,
    ) -> Result<String> {
        let shown = |(round, advantage): &(Round, Option<f64>)| {
            let advantage = advantage.map_or("no data".into(), |advantage| format!("{advantage:+.2}"));
            json!({ "thought": round.thought, "advantage": advantage })
        };
        let mut given = given.clone();
        given["proposals"] = proposals.iter().map(shown).collect();
        given["baseline"] = json!(self.config.baseline);
        let template = if proposals.is_empty() { "thought" } else { "propose" };
        let messages = self.prompts.messages(template, context, given)?;
        let read = |said: &Said<'_>| said.text("Thought");
        let thought = asker.ask_for(&[One("Thought")], Purpose::Thought, messages, read).await?;
        Ok(thought.unwrap_or_else(|unreadable| unreadable.last_resort("Thought")))
    }
}

#[async_trait]
impl Planner for Read {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.config.ask.requires().and(self.scorer.requires()))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let scene = self.scorer.scene(&context, None, &models).await?;
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut asker = self.config.ask.asker(llm, seed::derive(context.seed, "read"));
        let given = scene.given();
        let mut proposals: Vec<(Round, Option<f64>)> = Vec::new();
        let mut unread = Unread::default();
        let (outcomes, _) = self.scorer.calls();
        let mut budget = Rounds::of(1 + outcomes);
        while proposals.len() < self.config.rounds && budget.affordable(&models, 1).await? {
            let thought = self.propose(&mut asker, &context, &proposals, &given).await?;
            if thought.is_empty() {
                break;
            }
            let thoughts = vec![thought, self.config.wait.clone()];
            let (mut rounds, theirs) = scene.judge(proposals.len(), thoughts).await?;
            unread.append(theirs);
            let waiting = rounds.pop().unwrap_or_default();
            let proposal = rounds.pop().unwrap_or_default();
            let advantage = self.advantage(&proposal, &waiting);
            proposals.push((proposal, advantage));
            // Without any data, more proposals would be as good as the first.
            if advantage.is_none_or(|advantage| advantage >= self.config.threshold) {
                break;
            }
        }
        // Of equals, the first: `max_by` returns the last.
        let advantage = |index: &usize| proposals[*index].1.unwrap_or(f64::NEG_INFINITY);
        let best =
            (0..proposals.len()).rev().max_by(|one, other| advantage(one).total_cmp(&advantage(other)));
        let thought = best.map(|best| proposals[best].0.thought.clone()).unwrap_or_default();
        if best.is_none_or(|best| proposals[best].1.is_none()) {
            unread.count("unevaluated");
        }
        let messages = self.prompts.messages("action", &context, json!({ "thought": thought }))?;
        let (_, action) = asker.ask_for_action(&[One("Action")], messages, &context).await?;
        let advantages: Vec<_> = proposals.iter().map(|(_, advantage)| *advantage).collect();
        let mut rounds: Vec<_> = proposals.into_iter().map(|(round, _)| round).collect();
        if let Some(best) = best {
            rounds[best].kept = true;
        }
        let (summary, mut all) = (scene.summary, scene.unread);
        all.append(unread);
        all.append(asker.unread);
        let trace = Trace { rounds, details: json!({ "advantages": advantages }), ..all.trace() };
        Ok(Decision { thought, action, summary, trace })
    }
}

register! {
    interface: dyn Planner, kind: "read", summary: "proposes again until a critic's advantage is high enough (ReAd)",
    config: ReadConfig,
    new: |config, _host| async move { Ok(Arc::new(Read::new(config)?) as _) },
}
