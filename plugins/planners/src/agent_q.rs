//! Agent Q (Putta et al., 2024, arXiv 2408.07199), its inference: Monte-Carlo tree search in copies of the world, guided by
//! the model's own ranking of its proposals.
//!
//! ```text
//! repeat n times, or until a roll-out is worth 1:
//!     select     walk down by argmax Q(h, a) + c sqrt(ln N(h) / (1 + N(h')))
//!     expand     K sampled actions, ranked by the same model: Q_rank
//!     roll out   from the best of them, by single samples, to the end or the depth limit
//!     back up    the true reward of the end: Q_tree is the mean
//!     Q(h, a) = alpha Q_tree(h, a) + (1 - alpha) Q_rank(h, a)
//! do the first action of the roll-out that was worth 1, or else the one with the highest Q among the most visited
//! ```
//!
//! Calls per iteration: K + 1, and one for each step of a roll-out.

use forethought_sdk::prelude::*;

use crate::{
    ask::AskConfig,
    search::{
        Copying, Estimate, Mixing, RollOut, Searcher, Searching,
        defaults::{fifteen, five, half, one, single, thirty},
        share, sized,
        tree::Node,
        weight,
    },
};

/// Settings of Agent Q.
#[config]
#[derive(Debug, Clone)]
pub struct AgentQConfig {
    /// How the language model that proposes and judges is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Who proposes, and who makes estimates. A critic takes the place of the ranking.
    #[serde(flatten)]
    pub searching: Searching,
    /// How copies of the world are used.
    #[serde(flatten)]
    pub copying: Copying,
    /// Iterations per decision (n).
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub iterations: usize,
    /// Actions sampled and ranked per expansion (K).
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub breadth: usize,
    /// Weight of exploration (c).
    #[serde(default = "one")]
    pub exploration: f64,
    /// Weight of the roll-outs' mean against the ranking (alpha).
    #[serde(default = "half")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: f64,
    /// Most steps from the current state on. A roll-out that is not over by then is worth what it got so far.
    #[serde(default = "fifteen")]
    #[schemars(range(min = 1, max = 100_000))]
    pub depth: usize,
    /// Leaves that are walked to at once, with virtual loss. The paper's search has one.
    #[serde(default = "single")]
    #[schemars(range(min = 1, max = 1000))]
    pub parallel: usize,
}

/// The Agent Q planner.
pub struct AgentQ {
    config: AgentQConfig,
    searcher: Searcher,
}

impl AgentQ {
    /// A planner with these settings. `host` gives the planners that they name.
    ///
    /// # Errors
    /// A number out of range, a template that cannot be used, or a planner that does not exist.
    pub async fn new(config: AgentQConfig, host: &Arc<dyn Host>) -> Result<Self> {
        let AgentQConfig { iterations, breadth, depth, parallel, alpha, exploration, .. } = config;
        sized([iterations, breadth, depth, parallel])?;
        weight("exploration", exploration)?;
        share(("alpha", alpha))?;
        let (searching, copying) = ((&config.ask, &config.searching), Some(&config.copying));
        let estimate = (Estimate::Ranks, Mixing::Sum { lambda: 1.0 });
        let searcher = Searcher::new("agent-q", searching, copying, estimate, host).await?;
        Ok(Self { config, searcher })
    }

    /// `alpha Q_tree + (1 - alpha) Q_rank`
    fn mixed(&self, child: &Node) -> f64 {
        self.config.alpha * child.q() + (1.0 - self.config.alpha) * child.value
    }

    /// `Q(h, a) + c sqrt(ln N(h) / (1 + N(h')))`
    fn score(&self, parent: &Node, child: &Node) -> f64 {
        let exploration = (parent.n().max(1.0).ln() / (1.0 + child.n())).sqrt();
        self.mixed(child) + self.config.exploration * exploration
    }
}

#[async_trait]
impl Planner for AgentQ {
    async fn requires(&self) -> Result<Requirements> {
        self.searcher.requires().await
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let AgentQConfig { iterations, breadth, depth, parallel, .. } = self.config;
        let Copying { rewards, solved, .. } = self.config.copying;
        if let Some(decision) = self.searcher.go_on(&context, &models, solved).await? {
            return Ok(decision);
        }
        let mut search = self.searcher.start(&context, &models).await?;
        let mut done = 0;
        while done < iterations && !search.solved() {
            let leaves =
                search.tree.wave(parallel.min(iterations - done), |parent, child| self.score(parent, child));
            done += leaves.len();
            let on = RollOut { samples: 1, depth };
            let Some(walks) = search.advance(&leaves, breadth, on).await? else { break };
            for walk in walks {
                // A rank says nothing of the worth of an end.
                search.tree.back_up(walk.node, rewards * walk.reward);
            }
        }
        let chosen = search.most_visited(|node| self.mixed(node));
        Ok(search.decision(chosen, Some(done)))
    }
}

register! {
    interface: dyn Planner, kind: "agent-q",
    summary: "tree search in copies of the world, guided by the model's ranking of its proposals (Agent Q)",
    config: AgentQConfig,
    new: |config, host| async move { Ok(Arc::new(AgentQ::new(config, &host).await?) as _) },
}
