//! What a critic thinks of whole thoughts: one number for each, for planners that choose between decisions.

use forethought_sdk::{
    answers::Unread,
    futures::future::join_all,
    prelude::*,
    serde_json::{Value, json},
};

use crate::{
    ask::{Answers, AskConfig, Said, default_history_chars},
    deliberate::{OUTCOMES, Outside, Weighing, good_and_bad},
    inner::Inner,
    prompts::{Prompts, prompt_files},
    summarise::{state_only, summarise},
    weigh::{Scales, hope},
};

/// How thoughts are scored.
#[config]
#[derive(Debug, Clone)]
pub struct Scoring {
    /// Name of the critic under `[critic]`.
    #[schemars(with = "CriticName")]
    pub critic: String,
    /// The outcome whose probability is a thought's score. By default outcomes of each thought are imagined, and the
    /// score is the mean probability of the good ones less that of the bad ones.
    #[serde(default)]
    pub goal: Option<String>,
    /// Imagined outcomes per thought: half good, half bad.
    #[serde(default = "four")]
    #[schemars(range(min = 2, max = 1000))]
    pub outcomes: usize,
    /// Name of the language model under `[llm]` that summarises the history and imagines outcomes; by default the one
    /// that the inner planner asks, if that is only one.
    #[serde(default)]
    #[schemars(with = "Option<LlmName>")]
    pub llm: Option<String>,
    /// Its sampling temperature.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// The form in which it answers.
    #[serde(default)]
    pub answers: Answers,
    /// Files that replace its prompt templates.
    #[serde(default)]
    pub prompts: ScorePrompts,
}

/// What a thought is scored by, in planners that ask one model for everything.
#[config]
#[derive(Debug, Clone)]
pub struct Measure {
    /// Name of the critic under `[critic]`.
    #[schemars(with = "CriticName")]
    pub critic: String,
    /// The outcome whose probability is the value. By default outcomes are imagined, and the value is the mean
    /// probability of the good ones less that of the bad ones.
    #[serde(default)]
    pub goal: Option<String>,
    /// Imagined outcomes: half good, half bad.
    #[serde(default = "four")]
    #[schemars(range(min = 2, max = 1000))]
    pub outcomes: usize,
}

prompt_files! {
    /// Files that replace the prompt templates for scoring.
    ScorePrompts: agent, history, summarise, outcomes
}

fn four() -> usize {
    4
}

/// Scores thoughts.
pub(crate) struct Scorer {
    ask: AskConfig,
    weighing: Weighing,
    prompts: Prompts,
    goal: Option<String>,
    outcomes: usize,
    /// The name of its draws.
    draw: String,
}

/// What was made of some thoughts.
pub(crate) struct Scored {
    /// The outcomes of each thought and their values.
    pub(crate) rounds: Vec<Round>,
    /// The score of each; none where there are no readable outcomes, or the critic has no data on them.
    pub(crate) scores: Vec<Option<f64>>,
    /// The summary that the critic was shown, if it is one that a collector may use.
    pub(crate) summary: Option<Summary>,
    pub(crate) unread: Unread,
}

impl Scorer {
    /// A scorer of the thoughts of these planners.
    ///
    /// # Errors
    /// Fewer than two outcomes, a template that cannot be used, or several models to choose from.
    pub(crate) async fn new(config: Scoring, inner: &[&Inner]) -> Result<Self> {
        let Scoring { critic, goal, outcomes, llm, temperature, answers, prompts } = config;
        let llm = match llm {
            Some(llm) => llm,
            None => match &*Inner::requires(inner).await?.llms {
                [only] => only.clone(),
                several => {
                    let several = if several.is_empty() { "none".into() } else { several.join(", ") };
                    return Err(Error::config(format!(
                        "`llm` is missing: the model that summarises and imagines outcomes; it has a default only where \
                         the inner planner asks one model (here: {several})"
                    )));
                }
            },
        };
        let (history_chars, history_blocks) = (default_history_chars(), false);
        let ask = AskConfig { llm, temperature, answers, history_chars, history_blocks };
        let prompts = ask.prompts(&prompts)?;
        Self::of(ask, prompts, Measure { critic, goal, outcomes }, "imagine".into())
    }

    /// A scorer that asks in this way; `draw` names its draws.
    ///
    /// # Errors
    /// Fewer than two outcomes.
    pub(crate) fn of(ask: AskConfig, prompts: Prompts, measure: Measure, draw: String) -> Result<Self> {
        let Measure { critic, goal, outcomes } = measure;
        if outcomes < 2 {
            return Err(Error::config(format!(
                "outcomes = {outcomes}: must be at least 2, good and bad ones"
            )));
        }
        let weighing = Weighing {
            critic,
            style: true,
            yardstick: false,
            abstain: true,
            confident: None,
            furthest: None,
            outside: Outside::NoData,
        };
        Ok(Self { prompts, ask, weighing, goal, outcomes, draw })
    }

    /// Whether it scores by a given outcome, so that scores are probabilities.
    pub(crate) fn has_goal(&self) -> bool {
        self.goal.is_some()
    }

    pub(crate) fn requires(&self) -> Requirements {
        let critics = vec![self.weighing.critic.clone()];
        self.ask.requires().and(Requirements { critics, ..Requirements::default() })
    }

    /// Calls for each thought, and for all of them together; those of the critic are not known.
    pub(crate) fn calls(&self) -> (u64, u64) {
        (u64::from(self.goal.is_none()), 1)
    }

    /// Scores what decisions think, equal thoughts alike. A decision without a thought is judged by its action.
    pub(crate) async fn score(
        &self,
        context: &DecisionContext,
        decisions: &[&Decision],
        models: &Arc<dyn Models>,
    ) -> Result<Scored> {
        let known = decisions.iter().find_map(|decision| decision.summary.clone());
        let scene = self.scene(context, known, models).await?;
        let thought = |decision: &&Decision| match decision.thought.is_empty() {
            true => decision.action.text.clone(),
            false => decision.thought.clone(),
        };
        let thoughts: Vec<String> = decisions.iter().map(thought).collect();
        let mut different: Vec<&str> = Vec::new();
        for thought in &thoughts {
            if !different.contains(&thought.as_str()) {
                different.push(thought);
            }
        }
        let judged = different.iter().enumerate();
        let judged = judged.map(|(index, thought)| scene.judge(index, vec![(*thought).to_owned()]));
        let judged = join_all(judged).await;
        let Scene { summary, mut unread, .. } = scene;
        let mut rounds = Vec::new();
        // In the order of the thoughts, whichever is judged first.
        for judged in judged {
            let (round, theirs) = judged?;
            rounds.extend(round);
            unread.append(theirs);
        }
        let of = |thought: &String| {
            let index = different.iter().position(|other| other == thought).unwrap_or_default();
            rounds[index].clone()
        };
        let rounds: Vec<_> = thoughts.iter().map(of).collect();
        let scores = rounds.iter().map(|round| self.number(round)).collect();
        Ok(Scored { rounds, scores, summary, unread })
    }

    /// The history as the critic sees it, for a decision in which more than once is asked.
    pub(crate) async fn scene<'a>(
        &'a self,
        context: &'a DecisionContext,
        known: Option<Summary>,
        models: &Arc<dyn Models>,
    ) -> Result<Scene<'a>> {
        let scales = Scales::of(&self.weighing, models).await?;
        let llm = models.llm(self.ask.llm.clone()).await?;
        let style = scales.style();
        // The same seed as the summariser's, so that a collector's summary of this history is identical.
        let mut asker = self.ask.asker(llm.clone(), seed::derive(context.seed, "summarise"));
        let (state, summary) = match known {
            Some(summary) => (summary.state.clone(), Some(summary)),
            None if style.is_null() => {
                let summary = summarise(&self.prompts, &mut asker, context).await?;
                (summary.state.clone(), Some(summary))
            }
            None => (state_only(&self.prompts, &mut asker, context, &style).await?, None),
        };
        Ok(Scene { scorer: self, context, scales, llm, style, state, summary, unread: asker.unread })
    }

    /// A score, scaled to [0, 1].
    pub(crate) fn share(&self, score: f64) -> f64 {
        if self.goal.is_some() { score } else { (1.0 + score) / 2.0 }
    }

    /// The score of a thought with these outcomes.
    fn number(&self, round: &Round) -> Option<f64> {
        let score = match &self.goal {
            Some(_) => round.outcomes.first().filter(|goal| !goal.outside).map(|goal| goal.probability),
            None => hope(round),
        };
        score.filter(|score| score.is_finite())
    }
}

/// A history as the critic sees it.
pub(crate) struct Scene<'a> {
    scorer: &'a Scorer,
    context: &'a DecisionContext,
    scales: Scales<'a>,
    llm: Arc<dyn LlmBackend>,
    style: Value,
    state: String,
    /// The summary that the critic is shown, if it is one that a collector may use.
    pub(crate) summary: Option<Summary>,
    pub(crate) unread: Unread,
}

impl Scene<'_> {
    /// What prompts show of it: `state` and `style`.
    pub(crate) fn given(&self) -> Value {
        json!({ "state": self.state, "style": self.style })
    }

    /// The first of some thoughts with its outcomes and their values, and the others with the same outcomes: a round
    /// for each. Without outcomes if they could not be read. `index` tells its draws from those of others.
    pub(crate) async fn judge(&self, index: usize, thoughts: Vec<String>) -> Result<(Vec<Round>, Unread)> {
        let Scorer { ask, draw, goal, outcomes: n, prompts, .. } = self.scorer;
        let seed = seed::derive(self.context.seed, &format!("{draw} {index}"));
        let mut asker = ask.asker(self.llm.clone(), seed);
        let outcomes = match goal {
            Some(goal) => vec![(true, goal.clone())],
            None => {
                let mut given = self.given();
                (given["thought"], given["outcomes"]) = (json!(thoughts.first()), json!(n));
                let messages = prompts.messages("outcomes", self.context, given)?;
                let read = |said: &Said<'_>| good_and_bad(said, *n);
                let outcomes = asker.ask_for(&OUTCOMES, Purpose::Outcomes, messages, read).await?;
                outcomes.unwrap_or_default()
            }
        };
        let mut unread = asker.unread;
        if !outcomes.is_empty() {
            match self.scales.weigh(&self.state, &thoughts, &outcomes).await? {
                Ok(rounds) => return Ok((rounds, unread)),
                Err(why) => unread.without(why),
            }
        }
        let without = |thought| Round { thought, ..Round::default() };
        Ok((thoughts.into_iter().map(without).collect(), unread))
    }
}
