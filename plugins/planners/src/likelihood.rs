//! What a model would do, and how likely it holds each action: for planners that weigh its actions.

use forethought_sdk::{answers::Unread, prelude::*};

use crate::{
    allowance::samples,
    ask::{AskConfig, Label::One},
};

/// How a model's likelihood of an action is found.
#[config]
#[derive(Debug, Clone)]
pub struct Sampling {
    /// Actions that are sampled, each drawn from its own seed.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub samples: usize,
    /// What the likelihood of an action is.
    #[serde(default)]
    pub likelihood: Likelihood,
}

/// What the likelihood of an action is.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// Its share of the samples, which every model can give.
    #[default]
    Samples,
    /// The probability of its answer's tokens, relative to that of the other actions sampled. The model must offer
    /// log-probabilities.
    Logprobs,
}

fn ten() -> usize {
    10
}

/// An action and its likelihood.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) action: Action,
    pub(crate) likelihood: f64,
}

impl Sampling {
    /// # Errors
    /// Too few samples to tell a likelihood.
    pub(crate) fn check(&self) -> Result<()> {
        match (self.samples, self.likelihood) {
            (0, _) => Err(Error::config("samples = 0: must be at least 1")),
            (1, Likelihood::Samples) => Err(Error::config(
                "samples = 1: the share of a single sample says nothing; take more samples, or set `likelihood = \
                 \"logprobs\"` with a model that offers log-probabilities",
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn requires(&self) -> Requirements {
        Requirements { logprobs: self.likelihood == Likelihood::Logprobs, ..Requirements::default() }
    }

    /// The different actions that a model gives to these messages, in the order in which they were sampled first. Those
    /// that are not legal are left out, unless all are: some worlds do not list actions in free words. The likelihoods
    /// sum to 1. `calls` is what follows for each sample and for all of them, which a budget must pay as well.
    pub(crate) async fn candidates(
        &self,
        ask: &AskConfig,
        models: &Arc<dyn Models>,
        calls: (u64, u64),
        messages: &[Message],
        context: &DecisionContext,
    ) -> Result<(Vec<Candidate>, Unread)> {
        let llm = models.llm(ask.llm.clone()).await?;
        let sample = |index| {
            let mut asker =
                ask.asker(llm.clone(), seed::derive(context.seed, &format!("action sample {index}")));
            asker.logprobs = self.likelihood == Likelihood::Logprobs;
            let messages = messages.to_vec();
            async move {
                let (_, action) = asker.ask_for_action(&[One("Action")], messages, context).await?;
                Ok((action, asker.likelihood, asker.unread))
            }
        };
        let said = samples(models, self.samples, calls, sample).await?;
        let mut unread = Unread::default();
        let mut actions: Vec<(Action, Vec<Option<f64>>)> = Vec::new();
        for (_, (action, logprob, theirs)) in said {
            unread.append(theirs);
            match actions.iter_mut().find(|(other, _)| other.text == action.text) {
                Some((_, all)) => all.push(logprob),
                None if action.text.is_empty() => {}
                None => actions.push((action, vec![logprob])),
            }
        }
        let legal = &context.turn.legal_actions;
        if actions.iter().any(|(action, _)| legal.contains(&action.text)) {
            actions.retain(|(action, _)| legal.contains(&action.text));
        }
        // Equal actions may be said in different tokens: the likeliest way counts.
        let likeliest = |all: &[Option<f64>]| all.iter().flatten().copied().reduce(f64::max);
        let known: Option<Vec<f64>> = actions.iter().map(|(_, all)| likeliest(all)).collect();
        let weights = match known {
            Some(logprobs) if self.likelihood == Likelihood::Logprobs => {
                let most = logprobs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                logprobs.iter().map(|logprob| (logprob - most).exp()).collect()
            }
            known => {
                if known.is_none() && self.likelihood == Likelihood::Logprobs {
                    unread.without("the model gave no log-probabilities for an action");
                }
                actions.iter().map(|(_, all)| all.len() as f64).collect::<Vec<_>>()
            }
        };
        let sum: f64 = weights.iter().sum();
        let candidate = |((action, _), weight)| Candidate { action, likelihood: weight / sum };
        Ok((actions.into_iter().zip(weights).map(candidate).collect(), unread))
    }
}
