//! Grounded decoding (Huang et al., 2023, arXiv 2303.00855) over whole actions: what the model would do, times what
//! grounding functions say of it. The paper multiplies the probabilities of tokens; a chat interface gives those of
//! whole answers only.
//!
//! ```text
//! a_1..a_k, p_LLM <- LLM: sampled actions and their likelihoods
//! p_G(a)          <- critic, for each grounding function G (affordance, safety, preference) and action a
//! act on argmax_a  p_LLM(a | history) * prod_G p_G(a | s)^weight_G
//! ```
//!
//! With one grounding function, whether a skill succeeds, this is [SayCan](crate::saycan).

use forethought_sdk::{
    prelude::*,
    serde_json::{Value, json},
};

use crate::{
    allowance::affordable,
    ask::AskConfig,
    likelihood::{Candidate, Sampling},
    prompts::{Prompts, prompt_files},
    score::{Measure, Scorer},
};

/// Settings of grounded decoding.
#[config]
#[derive(Debug, Clone)]
pub struct GroundedDecodingConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// How likely the model holds an action.
    #[serde(flatten)]
    pub sampling: Sampling,
    /// The grounding functions.
    #[schemars(length(min = 1))]
    pub groundings: Vec<Grounding>,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: GroundedPrompts,
}

/// A grounding function: a critic's probability, to the power of a weight.
#[config]
#[derive(Debug, Clone)]
pub struct Grounding {
    /// What an action is judged by.
    #[serde(flatten)]
    pub measure: Measure,
    /// How much it counts next to the model's likelihood and the other groundings.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub weight: f64,
}

prompt_files! {
    /// Files that replace the prompt templates of SayCan and grounded decoding.
    GroundedPrompts: agent, history, skills, summarise, outcomes
}

fn one() -> f64 {
    1.0
}

/// The planner: a call per sample, one for the summary, and one per action and grounding that has no `goal`.
pub struct GroundedDecoding {
    ask: AskConfig,
    sampling: Sampling,
    groundings: Vec<(Scorer, f64)>,
    prompts: Prompts,
}

impl GroundedDecoding {
    /// A planner with these settings.
    ///
    /// # Errors
    /// No grounding function, too few samples or outcomes, a negative weight, a template that cannot be used.
    pub fn new(config: GroundedDecodingConfig) -> Result<Self> {
        let GroundedDecodingConfig { ask, sampling, groundings, prompts } = config;
        sampling.check()?;
        if groundings.is_empty() {
            return Err(Error::config("groundings = []: must have at least one grounding function"));
        }
        let scorer = |(index, Grounding { measure, weight }): (usize, Grounding)| {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::config(format!(
                    "groundings[{index}].weight = {weight}: must be at least 0"
                )));
            }
            let scorer =
                Scorer::of(ask.clone(), ask.prompts(&prompts)?, measure, format!("grounding {index}"))?;
            Ok((scorer, weight))
        };
        let groundings = groundings.into_iter().enumerate().map(scorer).collect::<Result<_>>()?;
        Ok(Self { prompts: ask.prompts(&prompts)?, ask, sampling, groundings })
    }
}

/// A score as a probability: one of a goal already is one, a difference of two is mapped from [-1, 1].
fn probability(scorer: &Scorer, score: f64) -> f64 {
    let value = if scorer.has_goal() { score } else { f64::midpoint(score, 1.0) };
    value.clamp(0.0, 1.0)
}

#[async_trait]
impl Planner for GroundedDecoding {
    async fn requires(&self) -> Result<Requirements> {
        let own = self.ask.requires().and(self.sampling.requires());
        Ok(self.groundings.iter().fold(own, |all, (scorer, _)| all.and(scorer.requires())))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let skills = json!({ "skills": context.turn.legal_actions });
        let messages = self.prompts.messages("skills", &context, skills)?;
        let calls = self.groundings.iter().map(|(scorer, _)| scorer.calls());
        let calls = calls.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        let (candidates, mut unread) =
            self.sampling.candidates(&self.ask, &models, calls, &messages, &context).await?;
        if candidates.is_empty() {
            return Ok(Decision { trace: unread.trace(), ..Decision::default() });
        }
        let decision = |one: &Candidate| Decision { action: one.action.clone(), ..Decision::default() };
        let mut decisions: Vec<_> = candidates.iter().map(decision).collect();
        let mut rounds = Vec::new();
        let mut groundings: Vec<Vec<Option<f64>>> = Vec::new();
        for (scorer, _) in &self.groundings {
            let (each, once) = scorer.calls();
            if !affordable(&models, each * decisions.len() as u64 + once).await? {
                unread.recoveries.push("the budget pays for no more groundings".into());
                groundings.push(vec![None; decisions.len()]);
                continue;
            }
            let scored = scorer.score(&context, &decisions.iter().collect::<Vec<_>>(), &models).await?;
            // Summarised once.
            if decisions[0].summary.is_none() {
                decisions[0].summary = scored.summary;
            }
            unread.append(scored.unread);
            rounds.extend(scored.rounds);
            let value = |score: &Option<f64>| score.map(|score| probability(scorer, score));
            groundings.push(scored.scores.iter().map(value).collect());
        }
        // A grounding function that knows nothing of any action says nothing; an action that it alone does not know is
        // not taken.
        let known: Vec<_> = groundings.iter().map(|values| values.iter().any(Option::is_some)).collect();
        if known.contains(&false) {
            unread.count("unevaluated");
        }
        let product = |index: usize| {
            let weighed = groundings.iter().zip(&self.groundings).zip(&known).filter(|(_, known)| **known);
            let grounded = |((values, (_, weight)), _): ((&Vec<Option<f64>>, &(Scorer, f64)), _)| {
                values[index].map(|value| value.powf(*weight))
            };
            let grounded: Option<f64> = weighed.map(grounded).product();
            grounded.map(|grounded| candidates[index].likelihood * grounded)
        };
        let products: Vec<_> = (0..candidates.len()).map(product).collect();
        // Of equals, the likelier, then the first: `max_by` returns the last.
        let better = |&a: &usize, &b: &usize| {
            let key = |index: usize| (products[index].unwrap_or(-1.0), candidates[index].likelihood);
            key(a).0.total_cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1))
        };
        let best = (0..candidates.len()).rev().max_by(better).expect("one candidate or more");
        for (index, round) in rounds.iter_mut().enumerate() {
            round.kept = index % candidates.len() == best;
        }
        let row = |(index, candidate): (usize, &Candidate)| {
            let values: Vec<_> = groundings.iter().map(|values| values[index]).collect();
            json!({
                "action": candidate.action.text, "likelihood": candidate.likelihood, "groundings": values,
                "product": products[index],
            })
        };
        let details = json!({ "actions": candidates.iter().enumerate().map(row).collect::<Value>() });
        let summary = decisions[0].summary.take();
        let trace = Trace { rounds, details, ..unread.trace() };
        Ok(Decision { summary, trace, ..decisions.swap_remove(best) })
    }
}

register! {
    interface: dyn Planner, kind: "grounded-decoding",
    summary: "the sampled action that is likely to the model and good to several critics at once",
    config: GroundedDecodingConfig,
    new: |config, _host| async move { Ok(Arc::new(GroundedDecoding::new(config)?) as _) },
}
