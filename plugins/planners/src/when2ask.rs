//! When2Ask (Hu et al., 2023, arXiv 2306.03604): a small model carries out a strategy, and the large one is asked for
//! another only when a mediator finds that it is needed.
//!
//! ```text
//! option <- large LLM: a strategy                       at the first decision
//! at each further decision:
//!     if mediator(observation, option) says "ask":
//!         option <- large LLM: a strategy
//!     action <- small LLM: carry out the option
//! ```
//!
//! The paper learns the mediator. Here it is a rule (how much of what is seen is new), the small model itself, or a
//! critic that doubts the option.

use std::collections::HashSet;

use forethought_sdk::{answers::Unread, prelude::*, serde_json::json};

use crate::{
    allowance::affordable,
    ask::{AskConfig, Asker, Label, Said},
    plan::{Plan, Step, act, brief, improvise, line, yes},
    prompts::{Prompts, prompt_files},
    score::{Scorer, Scoring},
};

/// Settings of When2Ask.
#[config]
#[derive(Debug, Clone)]
pub struct When2AskConfig {
    /// How the large language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Name of the small language model under `[llm]`, which acts.
    #[schemars(with = "LlmName")]
    pub actor_llm: String,
    /// What decides whether the large model is asked.
    #[serde(default)]
    pub mediator: Mediator,
    /// With `mediator = "novelty"`: the share of new words in an observation from which the large model is asked.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub novelty: f64,
    /// With `mediator = "model"`: name of the language model under `[llm]` that decides; by default the small one.
    #[serde(default)]
    #[schemars(with = "Option<LlmName>")]
    pub mediator_llm: Option<String>,
    /// With `mediator = "critic"`: the critic, and how it scores the strategy (its model is by default the small one).
    #[serde(default)]
    pub scoring: Option<Scoring>,
    /// With `mediator = "critic"`: the score below which the large model is asked; so it is where there is no score.
    #[serde(default)]
    pub below: f64,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: When2AskPrompts,
}

/// What decides whether the large model is asked.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Mediator {
    /// The share of words in the observation that were not in the one for which the strategy was made, nor since.
    #[default]
    Novelty,
    /// A language model: one call.
    Model,
    /// A critic: the calls of scoring a thought.
    Critic,
}

prompt_files! {
    /// Files that replace When2Ask's prompt templates.
    When2AskPrompts: agent, history, thought, mediator, action, react
}

fn half() -> f64 {
    0.5
}

/// The When2Ask planner: one call of the small model per decision, what the mediator costs, and one call of the large
/// model where it is asked.
pub struct When2Ask {
    config: When2AskConfig,
    actor: AskConfig,
    judge: AskConfig,
    scorer: Option<Scorer>,
    prompts: Prompts,
}

impl When2Ask {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A mediator whose settings are missing or cannot be used, or a template that cannot be used.
    pub async fn new(mut config: When2AskConfig) -> Result<Self> {
        if !(0.0..=1.0).contains(&config.novelty) {
            return Err(Error::config(format!("novelty = {}: must be within [0, 1]", config.novelty)));
        }
        let scorer = match (config.mediator, config.scoring.take()) {
            (Mediator::Critic, None) => {
                let missing =
                    "`scoring` is missing: `mediator = \"critic\"` needs `scoring = { critic = \"...\" }`";
                return Err(Error::config(missing));
            }
            (Mediator::Critic, Some(mut scoring)) => {
                scoring.llm.get_or_insert_with(|| config.actor_llm.clone());
                Some(Scorer::new(scoring, &[]).await?)
            }
            _ => None,
        };
        let with = |llm: &String| AskConfig { llm: llm.clone(), ..config.ask.clone() };
        let actor = with(&config.actor_llm);
        let judge = with(config.mediator_llm.as_ref().unwrap_or(&config.actor_llm));
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, actor, judge, scorer, config })
    }

    /// Whether another strategy is needed, and what could not be read.
    async fn mediate(
        &self,
        context: &DecisionContext,
        option: &Plan,
        since: usize,
        models: &Arc<dyn Models>,
    ) -> Result<(bool, Unread)> {
        match (self.config.mediator, &self.scorer) {
            (Mediator::Critic, Some(scorer)) => {
                let option = Decision { thought: option.step().text.clone(), ..Decision::default() };
                let scored = scorer.score(context, &[&option], models).await?;
                let sure = scored.scores[0].is_some_and(|score| score >= self.config.below);
                Ok((!sure, scored.unread))
            }
            (Mediator::Model, _) => {
                let llm = models.llm(self.judge.llm.clone()).await?;
                let mut asker = self.judge.asker(llm, seed::derive(context.seed, "when2ask mediator"));
                let messages = self.prompts.messages("mediator", context, option.given())?;
                let read = |said: &Said<'_>| yes(said, "Ask");
                let ask = asker.ask_for(&[Label::One("Ask")], Purpose::Judge, messages, read).await?;
                // Unsure is what the large model is for.
                Ok((ask.unwrap_or(true), asker.unread))
            }
            _ => Ok((novelty(context, since) >= self.config.novelty, Unread::default())),
        }
    }

    /// A strategy of the large model; `None` if it cannot be read.
    async fn option(&self, asker: &mut Asker, context: &DecisionContext) -> Result<Option<Plan>> {
        let messages = self.prompts.messages("thought", context, json!({}))?;
        let read = |said: &Said<'_>| said.text("Thought");
        let said = asker.ask_for(&[Label::One("Thought")], Purpose::Thought, messages, read).await?;
        let step = |text: String| Step { text: line(&text), needs: String::new() };
        Ok(Plan::new(said.ok().map(step).into_iter().collect()))
    }
}

/// The share of the different words of the current observation that were in none since exchange `since`.
fn novelty(context: &DecisionContext, since: usize) -> f64 {
    fn words(text: &str) -> HashSet<&str> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
    }
    let known = context.history.iter().skip(since).flat_map(|exchange| words(&exchange.observation));
    let known: HashSet<_> = known.collect();
    let now = words(&context.turn.observation.text);
    now.difference(&known).count() as f64 / now.len().max(1) as f64
}

#[async_trait]
impl Planner for When2Ask {
    async fn requires(&self) -> Result<Requirements> {
        let mut all = self.config.ask.requires().and(self.actor.requires());
        if self.config.mediator == Mediator::Model {
            all = all.and(self.judge.requires());
        }
        Ok(self.scorer.iter().fold(all, |all, scorer| all.and(scorer.requires())))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let kept = Plan::since(&context);
        let context = brief(&context);
        // The mediator costs a call or more, and so do the large model and the action.
        let (ask, mut unread) = match &kept {
            Some(_) if !affordable(&models, 3).await? => (false, Unread::default()),
            None if !affordable(&models, 2).await? => (false, Unread::default()),
            Some((option, since)) => self.mediate(&context, option, *since, &models).await?,
            None => (true, Unread::default()),
        };
        let mut option = kept.map(|(option, _)| option);
        // How many calls a critic's mediation takes is not known before it is made.
        if ask && affordable(&models, 2).await? {
            let large = models.llm(self.config.ask.llm.clone()).await?;
            let mut large = self.config.ask.asker(large, seed::derive(context.seed, "when2ask"));
            // One that cannot be read leaves the strategy as it was.
            option = self.option(&mut large, &context).await?.or(option);
            unread.append(large.unread);
        }
        let actor = models.llm(self.actor.llm.clone()).await?;
        let mut actor = self.actor.asker(actor, seed::derive(context.seed, "when2ask actor"));
        actor.unread = unread;
        let Some(option) = option else { return improvise(&mut actor, &self.prompts, &context).await };
        let action = act(&mut actor, &self.prompts, &context, &option).await?;
        Ok(option.decision(action, ask.then_some("the large model was asked"), actor.unread))
    }
}

register! {
    interface: dyn Planner, kind: "when2ask", summary: "a small model acts, and a large one is asked only when it is needed (When2Ask)",
    config: When2AskConfig,
    new: |config, _host| async move { Ok(Arc::new(When2Ask::new(config).await?) as _) },
}
