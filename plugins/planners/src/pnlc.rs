//! PNLC, Planning with a Natural Language Critic (arXiv 2505.18098): imagine outcomes of a thought, let the critic say
//! how likely they are, and refine the thought before acting. No search, no change to the language model.
//!
//! ```text
//! s       <- summarise(history)
//! thought <- LLM: propose
//! repeat at most m times:
//!     G       <- LLM: n imagined outcomes of the thought, half good, half bad
//!     p_g     <- Q(s, thought, g) for every g in G            one batch
//!     thought <- LLM: given the values in words, keep the thought or write a better one
//!     stop when it was kept
//! action  <- LLM: act on the final thought
//! ```

use forethought_sdk::{
    answers::{Complaint, keeps},
    prelude::*,
    serde_json::json,
};

use crate::{
    ask::{AskConfig, Asker, Label, Said},
    prompts::{Prompts, prompt_files},
    summarise::summarise,
};

/// Settings of PNLC.
#[config]
#[derive(Debug, Clone)]
pub struct PnlcConfig {
    /// How the acting and the summarising language model are asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Name of the language model under `[llm]` that summarises; by default the acting one.
    #[serde(default)]
    pub summariser: Option<String>,
    /// Name of the critic under `[critic]`.
    pub critic: String,
    /// Imagined outcomes per round (n): half good, half bad.
    #[serde(default = "four")]
    #[schemars(range(min = 2, max = 1000))]
    pub outcomes: usize,
    /// Maximum number of refinement rounds (m).
    #[serde(default = "two")]
    #[schemars(range(max = 1000))]
    pub rounds: usize,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: PnlcPrompts,
}

prompt_files! {
    /// Files that replace PNLC's prompt templates.
    PnlcPrompts: agent, history, summarise, thought, outcomes, refine, action
}

fn four() -> usize {
    4
}

fn two() -> usize {
    2
}

const OUTCOMES: [Label; 2] = [Label::Many("Good"), Label::Many("Bad")];
const REFINED: [Label; 2] = [Label::One("Decision"), Label::One("Thought")];

/// The PNLC planner.
pub struct Pnlc {
    config: PnlcConfig,
    prompts: Prompts,
}

impl Pnlc {
    /// A planner with these settings.
    ///
    /// # Errors
    /// Fewer than two outcomes, or a template that cannot be used.
    pub fn new(config: PnlcConfig) -> Result<Self> {
        if config.outcomes < 2 {
            return Err(Error::config(format!(
                "outcomes = {}: must be at least 2, because PNLC weighs good outcomes against bad ones",
                config.outcomes
            )));
        }
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, config })
    }

    fn summariser(&self) -> &String {
        self.config.summariser.as_ref().unwrap_or(&self.config.ask.llm)
    }

    /// Imagined outcomes of `thought` with the critic's values; `None` if no outcomes could be read, or if the critic
    /// asks a model whose answer could not be read.
    async fn evaluate(
        &self,
        asker: &mut Asker,
        critic: &Arc<dyn Critic>,
        context: &DecisionContext,
        state: &str,
        thought: &str,
    ) -> Result<Option<Round>> {
        let n = self.config.outcomes;
        let step = json!({ "state": state, "thought": thought, "outcomes": n });
        let messages = self.prompts.messages("outcomes", context, step)?;
        let read = |said: &Said<'_>| {
            let mut outcomes: Vec<_> =
                said.texts(&["Good", "Bad"])?.into_iter().map(|(label, text)| (label == 0, text)).collect();
            outcomes.truncate(n);
            let good = outcomes.iter().filter(|(good, _)| *good).count();
            if good == 0 || good == outcomes.len() {
                return Err(said.complaint(format!(
                    "{n} lines that start with \"Good:\" or \"Bad:\" are wanted, some of each"
                )));
            }
            Ok(outcomes)
        };
        let Ok(outcomes) = asker.ask_for(&OUTCOMES, Purpose::Outcomes, messages, read).await? else {
            return Ok(None);
        };
        let query = |(_, outcome): &(bool, String)| CriticQuery {
            state: state.to_owned(),
            thought: thought.to_owned(),
            outcome: outcome.clone(),
        };
        let estimates = match critic.estimate(outcomes.iter().map(query).collect()).await {
            Err(error) if error.code == Code::Malformed => {
                asker.unread.without(format!("the critic {:?} gave no values ({error})", self.config.critic));
                return Ok(None);
            }
            estimates => estimates?,
        };
        if estimates.len() != outcomes.len() {
            let (given, wanted) = (estimates.len(), outcomes.len());
            let what = format!("the critic {:?} answered {given} of {wanted} queries", self.config.critic);
            return Err(Error::new(Code::Plugin, what));
        }
        let outcomes = outcomes.into_iter().zip(estimates).map(|((good, text), estimate)| ValuedOutcome {
            text,
            good,
            probability: estimate.probability,
            raw: estimate.raw,
            uncertainty: estimate.uncertainty,
            ..ValuedOutcome::default()
        });
        Ok(Some(Round { thought: thought.to_owned(), outcomes: outcomes.collect(), kept: false }))
    }
}

#[async_trait]
impl Planner for Pnlc {
    async fn requires(&self) -> Result<Requirements> {
        let rest = Requirements {
            llms: vec![self.summariser().clone()],
            critics: vec![self.config.critic.clone()],
            ..Requirements::default()
        };
        Ok(self.config.ask.requires().and(rest))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let critic = models.critic(self.config.critic.clone()).await?;
        let cheap = models.llm(self.summariser().clone()).await?;
        // The same seed as the summariser's, so that a collector's summary of this history is identical.
        let mut cheap = self.config.ask.asker(cheap, seed::derive(context.seed, "summarise"));
        let summary = summarise(&self.prompts, &mut cheap, &context).await?;
        let state = summary.state.as_str();

        let actor = models.llm(self.config.ask.llm.clone()).await?;
        let mut actor = self.config.ask.asker(actor, seed::derive(context.seed, "pnlc"));
        let messages = self.prompts.messages("thought", &context, json!({ "state": state }))?;
        let read = |said: &Said<'_>| said.text("Thought");
        let thought = actor.ask_for(&[Label::One("Thought")], Purpose::Thought, messages, read).await?;
        let mut thought = thought.unwrap_or_else(|unreadable| unreadable.last_resort("Thought"));

        let mut rounds: Vec<Round> = Vec::new();
        // Whether a critic weighed the thought that is followed, where one should.
        let mut weighed = self.config.rounds == 0;
        while !thought.is_empty() && rounds.len() < self.config.rounds {
            let Some(round) = self.evaluate(&mut actor, &critic, &context, state, &thought).await? else {
                break;
            };
            rounds.push(round);
            weighed = true;
            let messages =
                self.prompts.messages("refine", &context, json!({ "state": state, "rounds": rounds }))?;
            let read = |said: &Said<'_>| {
                let decision = said.text("Decision")?;
                let neither = || Complaint::unreadable("the decision is neither \"keep\" nor \"revise\"");
                if keeps(&decision).ok_or_else(neither)? { Ok(None) } else { said.text("Thought").map(Some) }
            };
            // An answer that cannot be read keeps the current thought.
            let revised = actor.ask_for(&REFINED, Purpose::Refine, messages, read).await?.unwrap_or(None);
            match revised {
                // Even in the same words. If that counted as keeping, a thought that often comes to mind would be
                // confirmed by coming to mind again, whatever its values.
                Some(revised) => {
                    weighed = false;
                    thought = revised;
                }
                None => {
                    rounds.last_mut().expect("a round was pushed").kept = true;
                    break;
                }
            }
        }

        let messages =
            self.prompts.messages("action", &context, json!({ "state": state, "thought": thought }))?;
        let (_, action) = actor.ask_for_action(&[Label::One("Action")], messages, &context).await?;
        let mut unread = cheap.unread;
        unread.append(actor.unread);
        if !weighed {
            unread.count("unevaluated");
        }
        let trace = Trace { rounds, ..unread.trace() };
        Ok(Decision { thought, action: Action::new(action), summary: Some(summary), trace })
    }
}

register! {
    interface: dyn Planner, kind: "pnlc", summary: "refines each thought using a critic's outcome probabilities (PNLC)",
    config: PnlcConfig,
    new: |config, _host| async move { Ok(Arc::new(Pnlc::new(config)?) as _) },
}
