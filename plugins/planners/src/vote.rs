//! A vote of several ReActs: self-consistency (Wang et al., 2023, arXiv 2203.11171) over actions. The control that
//! spends as many calls as a planner with a critic, and has none.

use std::num::NonZeroUsize;

use forethought_sdk::{futures::future::try_join_all, prelude::*};

use crate::{
    ask::AskConfig,
    react::{React, ReactConfig, ReactPrompts},
};

/// Settings of the vote.
#[config]
#[derive(Debug, Clone)]
pub struct VoteConfig {
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

fn five() -> NonZeroUsize {
    NonZeroUsize::new(5).expect("not zero")
}

/// The vote: `votes` calls per decision. The most frequent action wins, of equals the one said first.
pub struct Vote {
    votes: NonZeroUsize,
    react: React,
}

impl Vote {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A template that cannot be used.
    pub fn new(config: VoteConfig) -> Result<Self> {
        let react = React::new(ReactConfig { ask: config.ask, prompts: config.prompts })?;
        Ok(Self { votes: config.votes, react })
    }
}

#[async_trait]
impl Planner for Vote {
    async fn requires(&self) -> Result<Requirements> {
        self.react.requires().await
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let decision = |vote: usize| {
            let seed = seed::derive(context.seed, &format!("vote {vote}"));
            self.react.decide(DecisionContext { seed, ..context.clone() }, models.clone())
        };
        let said = try_join_all((0..self.votes.get()).map(decision)).await?;
        let votes = |decision: &Decision| said.iter().filter(|other| other.action == decision.action).count();
        // The earlier of equals: `max_by_key` would return the last.
        let winner =
            (0..said.len()).rev().max_by_key(|&index| votes(&said[index])).expect("one vote or more");
        let mut trace = Trace::default();
        for decision in &said {
            trace.recoveries.extend(decision.trace.recoveries.iter().cloned());
            for (fault, count) in &decision.trace.faults {
                *trace.faults.entry(fault.clone()).or_default() += count;
            }
        }
        Ok(Decision { trace, ..said[winner].clone() })
    }
}

register! {
    interface: dyn Planner, kind: "react-vote", summary: "a vote of several ReActs: as many calls as a critic costs, and no critic",
    config: VoteConfig,
    new: |config, _host| async move { Ok(Arc::new(Vote::new(config)?) as _) },
}
