//! A vote: self-consistency (Wang et al., 2023, arXiv 2203.11171) over the actions of any planners. Over several ReActs
//! it is the control that spends as many calls as a planner with a critic, and has none.

use std::{iter::repeat_n, num::NonZeroUsize};

use forethought_sdk::prelude::*;

use crate::{
    allowance::samples,
    ask::AskConfig,
    inner::{Inner, drawn},
    react::{React, ReactConfig, ReactPrompts},
};

/// Settings of a vote.
#[config]
#[derive(Debug, Clone)]
pub struct VoteConfig {
    /// The planners that vote. One that is named twice has two votes.
    #[schemars(length(min = 1))]
    pub of: Vec<PlannerName>,
    /// Votes of each of them, each drawn from its own seed.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub votes: NonZeroUsize,
}

/// Settings of a vote of several ReActs.
#[config]
#[derive(Debug, Clone)]
pub struct ReactVoteConfig {
    /// ReActs that are asked at once, each with its own seed.
    #[serde(default = "five")]
    pub votes: NonZeroUsize,
    /// How each of them is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: ReactPrompts,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn five() -> NonZeroUsize {
    NonZeroUsize::new(5).expect("not zero")
}

/// The vote: all planners are asked at once, each with its own seed; where the decision has a budget, as many as it pays.
/// The most frequent action wins, of equals the one said first.
pub struct Vote(Vec<Inner>);

impl Vote {
    /// A vote of these planners.
    ///
    /// # Errors
    /// If `voters` is empty.
    pub fn over(voters: Vec<Inner>) -> Result<Self> {
        if voters.is_empty() {
            return Err(Error::config("a vote needs at least one planner"));
        }
        Ok(Self(voters))
    }

    /// A vote of ReActs.
    ///
    /// # Errors
    /// A template that cannot be used.
    pub fn of_reacts(config: ReactVoteConfig) -> Result<Self> {
        let react = React::new(ReactConfig { ask: config.ask, prompts: config.prompts })?;
        Self::over(vec![Inner::part(Arc::new(react)); config.votes.get()])
    }
}

#[async_trait]
impl Planner for Vote {
    async fn requires(&self) -> Result<Requirements> {
        Inner::requires(&self.0.iter().collect::<Vec<_>>()).await
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let vote = |index: usize| self.0[index].decide(drawn(&context, &format!("vote {index}")), &models);
        // All of them, even if one fails: what happens must not depend on which answer arrives first.
        let (voters, said): (Vec<_>, Vec<_>) =
            samples(&models, self.0.len(), (0, 0), vote).await?.into_iter().unzip();
        let votes = |decision: &Decision| {
            said.iter().filter(|other| other.action.text == decision.action.text).count()
        };
        // The earlier of equals: `max_by_key` would return the last.
        let winner =
            (0..said.len()).rev().max_by_key(|&index| votes(&said[index])).expect("one vote or more");
        let elected = said[winner].clone();
        let mut trace = Trace::default();
        for (index, (voter, decision)) in voters.into_iter().zip(said).enumerate() {
            self.0[voter].note(&mut trace, Ok(decision), index == winner);
        }
        Ok(Decision { trace, ..elected })
    }
}

register! {
    interface: dyn Planner, kind: "vote", summary: "the action that most of several planners choose",
    config: VoteConfig,
    new: |config: VoteConfig, host| async move {
        let voters = Inner::all("of", config.of, &host).await?;
        Ok(Arc::new(Vote::over(repeat_n(voters, config.votes.get()).flatten().collect())?) as _)
    },
}

register! {
    interface: dyn Planner, kind: "react-vote", summary: "a vote of several ReActs: as many calls as a critic costs, and no critic",
    config: ReactVoteConfig,
    new: |config, _host| async move { Ok(Arc::new(Vote::of_reacts(config)?) as _) },
}
