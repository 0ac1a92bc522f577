//! RAFA, reason for future, act for now (Liu et al., 2023, arXiv 2309.17382): at every step the model plans a small tree as
//! proposer, world model and critic; the first action of the best leaf is done, and the rest planned again.
//!
//! ```text
//! at every step, with all transitions so far in the history:
//!     repeat U times, for every leaf:
//!         propose   B sampled actions
//!         predict   the model says what is observed after each
//!     value     the model judges the states to which they lead
//!     do the first action on the way to the best leaf
//! ```
//!
//! Calls: 3 (B + B^2 + ... + B^U), all calls of a level at once: the critical path has 3 U.

use forethought_sdk::prelude::*;

use crate::{
    allowance::affordable,
    ask::AskConfig,
    search::{
        Estimate, Mixing, RollOut, Searcher, Searching, counted,
        tree::{ROOT, best},
    },
};

/// Settings of RAFA.
#[config]
#[derive(Debug, Clone)]
pub struct RafaConfig {
    /// How the language model that proposes and judges is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Who proposes, and who makes estimates.
    #[serde(flatten)]
    pub searching: Searching,
    /// Actions sampled per state (B).
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    pub breadth: usize,
    /// Steps that are planned ahead (U).
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 10))]
    pub depth: usize,
}

fn two() -> usize {
    2
}

/// The RAFA planner.
pub struct Rafa {
    config: RafaConfig,
    searcher: Searcher,
}

impl Rafa {
    /// A planner with these settings. `host` gives the planners that they name.
    ///
    /// # Errors
    /// A count of 0, a template that cannot be used, or a planner that does not exist.
    pub async fn new(config: RafaConfig, host: &Arc<dyn Host>) -> Result<Self> {
        counted(&[("breadth", config.breadth), ("depth", config.depth)])?;
        let estimate = (Estimate::States, Mixing::Sum { lambda: 1.0 });
        let searcher = Searcher::new("rafa", (&config.ask, &config.searching), None, estimate, host).await?;
        Ok(Self { config, searcher })
    }
}

#[async_trait]
impl Planner for Rafa {
    async fn requires(&self) -> Result<Requirements> {
        self.searcher.requires().await
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let RafaConfig { breadth, depth, .. } = self.config;
        let mut search = self.searcher.start(&context, &models).await?;
        let mut leaves = vec![ROOT];
        for _ in 0..depth {
            // Three calls for each action, or more with a critic.
            let calls = 3 * (leaves.len() * breadth) as u64;
            let affordable = leaves == [ROOT] || affordable(&models, calls).await?;
            let on = RollOut { samples: 0, depth };
            if !affordable || search.advance(&leaves, breadth, on).await?.is_none() {
                break;
            }
            leaves = leaves.iter().flat_map(|leaf| search.tree.children(*leaf)).collect();
        }
        for &leaf in &leaves {
            search.tree.back_up(leaf, search.tree.at(leaf).value);
        }
        let best = best(leaves.into_iter(), |leaf| search.tree.at(leaf).value);
        let first = best.and_then(|leaf| search.tree.path(leaf).first().copied());
        Ok(search.decision(first, None))
    }
}

register! {
    interface: dyn Planner, kind: "rafa",
    summary: "plans a small tree of predicted states at every step, does its first action and plans again (RAFA)",
    config: RafaConfig,
    new: |config, host| async move { Ok(Arc::new(Rafa::new(config, &host).await?) as _) },
}
