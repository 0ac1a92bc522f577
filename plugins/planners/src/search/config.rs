//! What the searches have in common in a configuration.

use forethought_sdk::prelude::*;

use super::{Searcher, grow::Proposer, world::Dynamics};
use crate::{
    ask::AskConfig,
    inner::Inner,
    prompts::prompt_files,
    react::{React, ReactConfig, ReactPrompts},
    score::{Measure, Scorer},
};

/// Who proposes, and who makes estimates.
#[config]
#[derive(Debug, Clone)]
pub struct Searching {
    /// The planner whose decisions are the proposals, each drawn from its own seed. By default the model gives a thought
    /// and an action in one answer, as with `react`.
    #[serde(default)]
    pub inner: Option<PlannerName>,
    /// Name of a critic under `[critic]` whose values are the estimates. By default the model makes them itself.
    #[serde(default)]
    #[schemars(with = "Option<CriticName>")]
    pub critic: Option<String>,
    /// The outcome whose probability is the critic's value. By default outcomes of each thought are imagined, and the
    /// value is the mean probability of the good ones less that of the bad ones, scaled to [0, 1].
    #[serde(default)]
    pub goal: Option<String>,
    /// Imagined outcomes per thought that a critic values: half good, half bad.
    #[serde(default = "defaults::four")]
    #[schemars(range(min = 2, max = 1000))]
    pub outcomes: usize,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: SearchPrompts,
}

prompt_files! {
    /// Files that replace the prompt templates of searches. Each search uses those that it needs.
    SearchPrompts: agent, history, react, value, rank, predict, reflexion, summarise, outcomes
}

/// How copies of the world are used.
#[config]
#[derive(Debug, Clone)]
pub struct Copying {
    /// A planner that plays the other seats in copies of the world. By default they draw among their legal actions.
    #[serde(default)]
    pub others: Option<PlannerName>,
    /// What other seats do in copies where no legal actions are listed and `others` is not set, such as
    /// `say I have nothing to add.`
    #[serde(default)]
    pub filler: Option<String>,
    /// Weight of the true reward of a copy that came to its end, against its estimate: 0 for a search that does not see
    /// rewards.
    #[serde(default = "defaults::one")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub rewards: f64,
    /// The reward at which an attempt in a copy counts as a success. In worlds with one seat it ends the search.
    #[serde(default = "defaults::one")]
    pub solved: f64,
    /// Do a successful attempt to its end, without calls, as long as a copy shows that it still succeeds; in worlds with
    /// one seat.
    #[serde(default = "yes")]
    pub follow: bool,
}

/// What the model estimates where there is no critic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Estimate {
    /// The states to which actions lead, each from 1 to 10.
    States,
    /// Actions, by their rank among the proposals.
    Ranks,
}

/// How an estimate is mixed with self-consistency, the share of the samples that say the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mixing {
    /// `lambda * estimate + (1 - lambda) * share`
    Sum { lambda: f64 },
    /// `share ^ alpha * estimate ^ (1 - alpha)`
    Product { alpha: f64 },
}

impl Mixing {
    pub(super) fn of(self, estimate: f64, share: f64) -> f64 {
        match self {
            Self::Sum { lambda } => lambda * estimate + (1.0 - lambda) * share,
            Self::Product { alpha } => share.powf(alpha) * estimate.max(0.0).powf(1.0 - alpha),
        }
    }
}

/// Defaults that several searches share.
pub(crate) mod defaults {
    pub(crate) fn thirty() -> usize {
        30
    }

    pub(crate) fn fifteen() -> usize {
        15
    }

    pub(crate) fn five() -> usize {
        5
    }

    pub(crate) fn four() -> usize {
        4
    }

    pub(crate) fn single() -> usize {
        1
    }

    pub(crate) fn one() -> f64 {
        1.0
    }

    pub(crate) fn half() -> f64 {
        0.5
    }
}

fn yes() -> bool {
    true
}

impl Searcher {
    /// A searcher for the planner `kind`.
    ///
    /// # Errors
    /// A number out of range, a template that cannot be used, or a planner that does not exist.
    pub(crate) async fn new(
        kind: &'static str,
        (ask, searching): (&AskConfig, &Searching),
        copying: Option<&Copying>,
        (estimate, mixing): (Estimate, Mixing),
        host: &Arc<dyn Host>,
    ) -> Result<Self> {
        let Searching { inner, critic, goal, outcomes, prompts: files } = searching.clone();
        let rewards = copying.map_or(1.0, |copying| copying.rewards);
        let follow = copying.is_some_and(|copying| copying.follow && rewards > 0.0);
        let solved = copying.map_or(f64::INFINITY, |copying| copying.solved);
        let mixed = match mixing {
            Mixing::Sum { lambda } => ("lambda", lambda),
            Mixing::Product { alpha } => ("alpha", alpha),
        };
        share(mixed)?;
        share(("rewards", rewards))?;
        let proposer = match inner {
            Some(name) => Proposer::Named(Inner::named(name, host).await?),
            None => {
                let SearchPrompts { agent, history, react, .. } = files.clone();
                let prompts = ReactPrompts { agent, history, react };
                Proposer::Own(Box::new(React::new(ReactConfig { ask: ask.clone(), prompts })?))
            }
        };
        let dynamics = match copying.cloned() {
            None => Dynamics::Predicted,
            Some(Copying { others, filler, .. }) => {
                let others = match others {
                    Some(name) => Some(Inner::named(name, host).await?),
                    None => None,
                };
                Dynamics::Copies { others, filler }
            }
        };
        let critic = match critic {
            None => None,
            Some(critic) => {
                let measure = Measure { critic, goal, outcomes };
                Some(Scorer::of(ask.clone(), ask.prompts(&files)?, measure, "imagine".into())?)
            }
        };
        let prompts = ask.prompts(&files)?;
        let ask = ask.clone();
        Ok(Self { kind, ask, prompts, proposer, dynamics, estimate, critic, mixing, rewards, solved, follow })
    }
}

/// Refuses a search that does nothing.
///
/// # Errors
/// The first key whose count is 0.
pub(crate) fn sized([iterations, breadth, depth, parallel]: [usize; 4]) -> Result<()> {
    counted(&[("iterations", iterations), ("breadth", breadth), ("depth", depth), ("parallel", parallel)])
}

/// Refuses a count of 0.
///
/// # Errors
/// The first key whose count is 0.
pub(crate) fn counted(counts: &[(&str, usize)]) -> Result<()> {
    match counts.iter().find(|(_, count)| *count == 0) {
        Some((key, _)) => Err(Error::config(format!("{key} = 0: must be at least 1"))),
        None => Ok(()),
    }
}

/// Refuses a share outside of [0, 1].
///
/// # Errors
/// The share, by its key.
pub(crate) fn share((key, share): (&str, f64)) -> Result<()> {
    match (0.0..=1.0).contains(&share) {
        true => Ok(()),
        false => Err(Error::config(format!("{key} = {share}: must be within [0, 1]"))),
    }
}

/// Refuses a weight that is negative or not a finite number.
///
/// # Errors
/// The weight, by its key.
pub(crate) fn weight(key: &str, weight: f64) -> Result<()> {
    match weight.is_finite() && weight >= 0.0 {
        true => Ok(()),
        false => Err(Error::config(format!("{key} = {weight}: must be a finite number from 0 up"))),
    }
}
