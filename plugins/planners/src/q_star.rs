//! Q* (Wang et al., 2024, arXiv 2406.14283): best-first search, as A*, with a critic's values as the heuristic.
//!
//! ```text
//! repeat n times, or until the state with the highest f is a success:
//!     s      <- the open state with the highest f(s) = g(s) + lambda max_a Q(s, a)
//!     do argmax_a Q(s, a) in a copy of the world
//!     in the new state: K sampled actions, and the critic's Q of each
//! do the first action on the way to the success, or to the highest f
//! ```
//!
//! g is the reward so far, which is 0 in worlds that pay at the end. An action is done only when it is its turn, so the
//! open "states" are pairs (s, a) with `g(s) + lambda Q(s, a)`. Calls per iteration: K, and the critic's.

use forethought_sdk::prelude::*;

use crate::{
    ask::AskConfig,
    search::{
        Copying, Estimate, Mixing, RollOut, Searcher, Searching,
        defaults::{fifteen, five, one, single, thirty},
        sized,
        tree::{ROOT, Tree, best},
        weight,
    },
};

/// Settings of Q*.
#[config]
#[derive(Debug, Clone)]
pub struct QStarConfig {
    /// How the language model that proposes and judges is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Who proposes, and who makes estimates: by a critic in the paper, by the model if none is named.
    #[serde(flatten)]
    pub searching: Searching,
    /// How copies of the world are used.
    #[serde(flatten)]
    pub copying: Copying,
    /// States that are expanded per decision (n).
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub iterations: usize,
    /// Actions sampled per state (K).
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub breadth: usize,
    /// Weight of the critic's values against the rewards so far (lambda).
    #[serde(default = "one")]
    pub lambda: f64,
    /// Most steps from the current state on.
    #[serde(default = "fifteen")]
    #[schemars(range(min = 1, max = 100_000))]
    pub depth: usize,
    /// States that are expanded at once. The paper's search has one.
    #[serde(default = "single")]
    #[schemars(range(min = 1, max = 1000))]
    pub parallel: usize,
}

/// The Q* planner.
pub struct QStar {
    config: QStarConfig,
    searcher: Searcher,
}

impl QStar {
    /// A planner with these settings. `host` gives the planners that they name.
    ///
    /// # Errors
    /// A number out of range, a template that cannot be used, or a planner that does not exist.
    pub async fn new(config: QStarConfig, host: &Arc<dyn Host>) -> Result<Self> {
        let QStarConfig { iterations, breadth, depth, parallel, .. } = config;
        sized([iterations, breadth, depth, parallel])?;
        weight("lambda", config.lambda)?;
        let (searching, copying) = ((&config.ask, &config.searching), Some(&config.copying));
        let estimate = (Estimate::States, Mixing::Sum { lambda: 1.0 });
        let searcher = Searcher::new("q-star", searching, copying, estimate, host).await?;
        Ok(Self { config, searcher })
    }

    /// `g + lambda Q` of an action that was not done yet; the reward of an end.
    fn f(&self, tree: &Tree, node: u32) -> f64 {
        let rewards = self.config.copying.rewards;
        let so_far = |node: u32| tree.at(node).state.as_ref().map_or(0.0, |state| state.reward);
        let ended = tree.at(node).state.as_ref().is_some_and(|state| state.ended);
        let heuristic = match ended {
            true => (1.0 - rewards) * tree.at(node).value,
            false => self.config.lambda * tree.at(node).value,
        };
        rewards * so_far(if ended { node } else { tree.at(node).parent }) + heuristic
    }
}

#[async_trait]
impl Planner for QStar {
    async fn requires(&self) -> Result<Requirements> {
        self.searcher.requires().await
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let QStarConfig { iterations, breadth, depth, parallel, .. } = self.config;
        if let Some(decision) = self.searcher.go_on(&context, &models, self.config.copying.solved).await? {
            return Ok(decision);
        }
        let mut search = self.searcher.start(&context, &models).await?;
        let mut done = 0;
        let mut open = vec![ROOT];
        while done < iterations && !open.is_empty() && !search.solved() {
            open.sort_by(|a, b| self.f(&search.tree, *b).total_cmp(&self.f(&search.tree, *a)));
            let next: Vec<u32> = open.drain(..parallel.min(iterations - done).min(open.len())).collect();
            done += next.len();
            let on = RollOut { samples: 0, depth };
            if search.advance(&next, breadth, on).await?.is_none() {
                break;
            }
            for node in next {
                search.tree.back_up(node, self.f(&search.tree, node));
                open.extend(search.tree.children(node));
            }
        }
        let leaves = (0..search.tree.len() as u32).filter(|node| search.tree.children(*node).is_empty());
        let highest = best(leaves, |node| self.f(&search.tree, node));
        let first = highest.and_then(|node| search.tree.path(node).first().copied());
        Ok(search.decision(first, Some(done)))
    }
}

register! {
    interface: dyn Planner, kind: "q-star",
    summary: "best-first search in copies of the world with a critic's values as the heuristic (Q*)",
    config: QStarConfig,
    new: |config, host| async move { Ok(Arc::new(QStar::new(config, &host).await?) as _) },
}
