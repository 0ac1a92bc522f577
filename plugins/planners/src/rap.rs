//! RAP, reasoning via planning (Hao et al., 2023, arXiv 2305.14992): Monte-Carlo tree search in which the model is also the
//! world model. It predicts what is observed after an action, so it needs no copies of the world.
//!
//! ```text
//! repeat n times:
//!     select     walk down by Q(s, a) + w sqrt(ln N(s) / N(c(s, a)))
//!     expand     d sampled actions; the model predicts the next state of each
//!     reward     r <- likelihood of the action ^ alpha * self-evaluation of where it leads ^ (1 - alpha)
//!     simulate   by the action with the highest reward, to the depth limit
//!     back up    Q(s, a) <- the highest mean reward of the steps from (s, a) on
//! do the first action of the path with the highest Q
//! ```
//!
//! The likelihood of an action is its share among the samples, so that no log-probabilities are needed. Calls per
//! iteration and step of simulation: 3 d.

use forethought_sdk::prelude::*;

use crate::{
    ask::AskConfig,
    search::{
        Estimate, Mixing, RollOut, Searcher, Searching,
        defaults::{four, half, one, single},
        sized,
        tree::Node,
        weight,
    },
};

/// Settings of RAP.
#[config]
#[derive(Debug, Clone)]
pub struct RapConfig {
    /// How the language model that proposes and judges is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Who proposes, and who makes estimates.
    #[serde(flatten)]
    pub searching: Searching,
    /// Iterations per decision (n).
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub iterations: usize,
    /// Actions sampled per state (d).
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 1000))]
    pub breadth: usize,
    /// Weight of exploration (w).
    #[serde(default = "one")]
    pub exploration: f64,
    /// Exponent of the likelihood in the reward (alpha); the rest belongs to the evaluation.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: f64,
    /// Most steps that are predicted.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 1000))]
    pub depth: usize,
    /// Leaves that are walked to at once, with virtual loss. The paper's search has one.
    #[serde(default = "single")]
    #[schemars(range(min = 1, max = 1000))]
    pub parallel: usize,
}

fn ten() -> usize {
    10
}

/// The RAP planner.
pub struct Rap {
    config: RapConfig,
    searcher: Searcher,
}

impl Rap {
    /// A planner with these settings. `host` gives the planners that they name.
    ///
    /// # Errors
    /// A number out of range, a template that cannot be used, or a planner that does not exist.
    pub async fn new(config: RapConfig, host: &Arc<dyn Host>) -> Result<Self> {
        let RapConfig { iterations, breadth, depth, parallel, alpha, exploration, .. } = config;
        sized([iterations, breadth, depth, parallel])?;
        weight("exploration", exploration)?;
        let mixing = Mixing::Product { alpha };
        let searcher =
            Searcher::new("rap", (&config.ask, &config.searching), None, (Estimate::States, mixing), host)
                .await?;
        Ok(Self { config, searcher })
    }

    /// `Q(s, a) + w sqrt(ln N(s) / N(c(s, a)))`; before the first visit Q is the reward, and N is 1.
    fn uct(&self, parent: &Node, child: &Node) -> f64 {
        let q = if child.visits == 0 { child.value } else { child.top() };
        q + self.config.exploration * (parent.n().max(1.0).ln() / child.n().max(1.0)).sqrt()
    }
}

#[async_trait]
impl Planner for Rap {
    async fn requires(&self) -> Result<Requirements> {
        self.searcher.requires().await
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let RapConfig { iterations, breadth, depth, parallel, .. } = self.config;
        let mut search = self.searcher.start(&context, &models).await?;
        let mut done = 0;
        while done < iterations {
            let leaves =
                search.tree.wave(parallel.min(iterations - done), |parent, child| self.uct(parent, child));
            done += leaves.len();
            let on = RollOut { samples: breadth, depth };
            let Some(walks) = search.advance(&leaves, breadth, on).await? else { break };
            for walk in walks {
                let above = search.tree.path(walk.node);
                let above = above.iter().rev().skip(1).map(|node| search.tree.at(*node).value);
                // From the last step to the first.
                let rewards: Vec<f64> = walk.estimates.iter().rev().copied().chain(above).collect();
                let ahead = walk.estimates.len();
                let mean = |below: usize| {
                    let steps = (ahead + below).min(rewards.len());
                    rewards[..steps].iter().sum::<f64>() / steps.max(1) as f64
                };
                search.tree.back_up_each(walk.node, mean);
            }
        }
        let chosen = search.highest(Node::top);
        Ok(search.decision(chosen, Some(done)))
    }
}

register! {
    interface: dyn Planner, kind: "rap",
    summary: "tree search over states that the model predicts, for worlds without copies (RAP)",
    config: RapConfig,
    new: |config, host| async move { Ok(Arc::new(Rap::new(config, &host).await?) as _) },
}
