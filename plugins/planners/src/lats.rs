//! LATS, language agent tree search (Zhou et al., 2024, arXiv 2310.04406): Monte-Carlo tree search in copies of the world,
//! with the model as proposer and judge, which reflects on failed attempts.
//!
//! ```text
//! repeat n times, or until an attempt is worth 1:
//!     select     walk down by Q/N + w sqrt(2 ln N_parent / N)
//!     expand     k sampled actions, taken in copies of the world
//!     evaluate   value <- lambda * judgement of the state, from 1 to 10 + (1 - lambda) * share of the samples
//!     simulate   from the best child, by the same sampling and judging, to the end or the depth limit
//!     back up    the true reward of the end, or the last value
//!     reflect    if it failed: what to do differently, shown in all later prompts
//! do the first action of the attempt that was worth 1, or else the one visited most
//! ```
//!
//! Calls per iteration: 2 k, and as many for each step of a roll-out.

use forethought_sdk::prelude::*;

use crate::{
    ask::AskConfig,
    search::{
        Copying, Estimate, Mixing, RollOut, Searcher, Searching,
        defaults::{fifteen, five, one, single, thirty},
        sized,
        tree::Node,
        weight,
    },
};

/// Settings of LATS.
#[config]
#[derive(Debug, Clone)]
pub struct LatsConfig {
    /// How the language model that proposes and judges is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Who proposes, and who makes estimates.
    #[serde(flatten)]
    pub searching: Searching,
    /// How copies of the world are used.
    #[serde(flatten)]
    pub copying: Copying,
    /// Iterations per decision (n).
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub iterations: usize,
    /// Actions sampled per expansion (k).
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub breadth: usize,
    /// Weight of exploration (w).
    #[serde(default = "one")]
    pub exploration: f64,
    /// Weight of the judgement against self-consistency, the share of the samples that say the same (lambda).
    #[serde(default = "most")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub lambda: f64,
    /// Actions sampled per step of a roll-out, of which the best is followed; 0 for values without roll-outs.
    #[serde(default = "five")]
    #[schemars(range(max = 1000))]
    pub rollout: usize,
    /// Most steps from the current state on.
    #[serde(default = "fifteen")]
    #[schemars(range(min = 1, max = 100_000))]
    pub depth: usize,
    /// Most reflections on failed attempts, which all later prompts of the decision show.
    #[serde(default = "three")]
    #[schemars(range(max = 1000))]
    pub reflections: usize,
    /// Leaves that are walked to at once, with virtual loss. The paper's search has one.
    #[serde(default = "single")]
    #[schemars(range(min = 1, max = 1000))]
    pub parallel: usize,
}

fn most() -> f64 {
    0.8
}

fn three() -> usize {
    3
}

/// The LATS planner.
pub struct Lats {
    config: LatsConfig,
    searcher: Searcher,
}

impl Lats {
    /// A planner with these settings. `host` gives the planners that they name.
    ///
    /// # Errors
    /// A number out of range, a template that cannot be used, or a planner that does not exist.
    pub async fn new(config: LatsConfig, host: &Arc<dyn Host>) -> Result<Self> {
        let LatsConfig { iterations, breadth, depth, parallel, lambda, .. } = config;
        sized([iterations, breadth, depth, parallel])?;
        weight("exploration", config.exploration)?;
        let (searching, copying) = ((&config.ask, &config.searching), Some(&config.copying));
        let estimate = (Estimate::States, Mixing::Sum { lambda });
        let searcher = Searcher::new("lats", searching, copying, estimate, host).await?;
        Ok(Self { config, searcher })
    }

    /// `Q/N + w sqrt(2 ln N_parent / N)`. A node's first visit is its evaluation.
    fn uct(&self, parent: &Node, child: &Node) -> f64 {
        let n = child.n() + 1.0;
        (child.total() + child.value) / n
            + self.config.exploration * (2.0 * parent.n().max(1.0).ln() / n).sqrt()
    }
}

#[async_trait]
impl Planner for Lats {
    async fn requires(&self) -> Result<Requirements> {
        self.searcher.requires().await
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let LatsConfig { iterations, breadth, depth, rollout, reflections, parallel, .. } = self.config;
        let Copying { rewards, solved, .. } = self.config.copying;
        if let Some(decision) = self.searcher.go_on(&context, &models, solved).await? {
            return Ok(decision);
        }
        let mut search = self.searcher.start(&context, &models).await?;
        let mut done = 0;
        while done < iterations && !search.solved() {
            let leaves =
                search.tree.wave(parallel.min(iterations - done), |parent, child| self.uct(parent, child));
            done += leaves.len();
            let on = RollOut { samples: rollout, depth };
            let Some(walks) = search.advance(&leaves, breadth, on).await? else { break };
            for walk in walks {
                search.tree.back_up(walk.node, walk.value(rewards));
                // Coming to a known end again teaches nothing.
                let failed =
                    rewards > 0.0 && walk.ended && !walk.success && search.tree.at(walk.node).visits == 1;
                if failed && search.reflections.len() < reflections {
                    search.reflect(&walk).await?;
                }
            }
        }
        let chosen = search.most_visited(Node::q);
        Ok(search.decision(chosen, Some(done)))
    }
}

register! {
    interface: dyn Planner, kind: "lats",
    summary: "tree search in copies of the world, judged by the model or a critic (LATS)",
    config: LatsConfig,
    new: |config, host| async move { Ok(Arc::new(Lats::new(config, &host).await?) as _) },
}
