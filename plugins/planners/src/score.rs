//! What a critic thinks of whole thoughts: one number for each, for planners that choose between decisions.

use forethought_sdk::{
    answers::Unread,
    futures::future::join_all,
    prelude::*,
    serde_json::{Value, json},
};

use crate::{
    ask::{Answers, AskConfig, Asker, Said, default_history_chars},
    deliberate::{OUTCOMES, Weighing, good_and_bad},
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
        if outcomes < 2 {
            return Err(Error::config(format!(
                "outcomes = {outcomes}: must be at least 2, good and bad ones"
            )));
        }
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
        let weighing = Weighing { critic, style: true, yardstick: false, abstain: true, confident: None };
        Ok(Self { prompts: ask.prompts(&prompts)?, ask, weighing, goal, outcomes })
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
        let scales = Scales::of(&self.weighing, models).await?;
        let llm = models.llm(self.ask.llm.clone()).await?;
        let style = scales.style();
        // The same seed as the summariser's, so that a collector's summary of this history is identical.
        let mut asker = self.ask.asker(llm.clone(), seed::derive(context.seed, "summarise"));
        let known = decisions.iter().find_map(|decision| decision.summary.clone());
        let (state, summary) = match known {
            Some(summary) => (summary.state.clone(), Some(summary)),
            None if style.is_null() => {
                let summary = summarise(&self.prompts, &mut asker, context).await?;
                (summary.state.clone(), Some(summary))
            }
            None => (state_only(&self.prompts, &mut asker, context, &style).await?, None),
        };
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
        let judged = different.iter().enumerate().map(|(index, thought)| {
            let asker = self.ask.asker(llm.clone(), seed::derive(context.seed, &format!("imagine {index}")));
            let given =
                json!({ "state": state, "style": style, "thought": thought, "outcomes": self.outcomes });
            self.judge(&scales, asker, context, given)
        });
        let mut unread = asker.unread;
        let mut rounds = Vec::new();
        // In the order of the thoughts, whichever is judged first.
        for judged in join_all(judged).await {
            let (round, theirs) = judged?;
            rounds.push(round);
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

    /// One thought with its outcomes and their values; without outcomes if they could not be read.
    async fn judge(
        &self,
        scales: &Scales<'_>,
        mut asker: Asker,
        context: &DecisionContext,
        given: Value,
    ) -> Result<(Round, Unread)> {
        let text = |key: &str| given[key].as_str().unwrap_or_default().to_owned();
        let (state, thought) = (text("state"), text("thought"));
        let outcomes = match &self.goal {
            Some(goal) => vec![(true, goal.clone())],
            None => {
                let messages = self.prompts.messages("outcomes", context, given)?;
                let read = |said: &Said<'_>| good_and_bad(said, self.outcomes);
                let outcomes = asker.ask_for(&OUTCOMES, Purpose::Outcomes, messages, read).await?;
                outcomes.unwrap_or_default()
            }
        };
        let mut unread = asker.unread;
        let without = Round { thought: thought.clone(), ..Round::default() };
        if outcomes.is_empty() {
            return Ok((without, unread));
        }
        let round = match scales.weigh(&state, &[thought], &outcomes).await? {
            Ok(mut rounds) => rounds.pop(),
            Err(why) => {
                unread.without(why);
                None
            }
        };
        Ok((round.unwrap_or(without), unread))
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
