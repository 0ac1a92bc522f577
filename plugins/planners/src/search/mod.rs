//! What the searches share: proposals, values, copies of the world, and a tree of all of them.
//!
//! A `Searcher` is what a configuration makes; a `Search` is one decision of it. Each search planner is a loop over
//! the primitives here, in its paper's own order: [`lats`](crate::lats), [`agent_q`](crate::agent_q),
//! [`rap`](crate::rap), [`q_star`](crate::q_star), [`rafa`](crate::rafa).
//!
//! The branches of a wave run at once, each with its own draws, and their results are used in the order of the
//! branches.

mod config;
mod grow;
mod solution;
pub(crate) mod tree;
mod value;
mod walk;
mod world;

use forethought_sdk::{answers::Unread, prelude::*, serde_json::json};

pub use self::config::{Copying, Searching};
pub(crate) use self::{
    config::{Estimate, Mixing, counted, defaults, share, sized, weight},
    value::grade,
    walk::RollOut,
};
use self::{
    grow::Proposer,
    solution::{Step, written},
    tree::{Node, ROOT, Tree, best},
    world::{Dynamics, State},
};
use crate::{
    allowance::Rounds,
    ask::{AskConfig, Asker},
    inner::Inner,
    prompts::Prompts,
    reflexion::instructed,
    score::Scorer,
    toolbox,
};

/// Nodes of a tree that a trace has, the oldest first: a log stays readable.
const SHOWN: usize = 1000;

/// How a planner searches.
pub(crate) struct Searcher {
    /// The planner's kind, for errors.
    kind: &'static str,
    ask: AskConfig,
    prompts: Prompts,
    proposer: Proposer,
    dynamics: Dynamics,
    estimate: Estimate,
    /// In place of the model's own estimate.
    critic: Option<Scorer>,
    mixing: Mixing,
    /// Weight of true rewards.
    rewards: f64,
    /// The reward of a success.
    solved: f64,
    /// Whether a success is done to its end.
    follow: bool,
}

impl Searcher {
    pub(crate) async fn requires(&self) -> Result<Requirements> {
        let mut asked: Vec<&Inner> = self.proposer.named().into_iter().collect();
        let mut fork = false;
        if let Dynamics::Copies { others, .. } = &self.dynamics {
            asked.extend(others);
            fork = true;
        }
        let own = Requirements { fork, ..self.ask.requires() };
        let critic = self.critic.as_ref().map(Scorer::requires).unwrap_or_default();
        Ok(Inner::requires(&asked).await?.and(own).and(critic))
    }

    /// A decision's search, from its state.
    ///
    /// # Errors
    /// A world that cannot be copied, where copies are searched in.
    pub(crate) async fn start<'a>(
        &'a self,
        context: &'a DecisionContext,
        models: &'a Arc<dyn Models>,
    ) -> Result<Search<'a>> {
        let root = self.dynamics.root(context, models, self.kind).await?;
        let llm = models.llm(self.ask.llm.clone()).await?;
        let (reflections, unread, rounds, summary, proposed, solution) = Default::default();
        let tree = Tree::new(root);
        Ok(Search {
            with: self,
            context,
            models,
            llm,
            tree,
            reflections,
            unread,
            rounds,
            summary,
            proposed,
            solution,
            waves: Rounds::of(1),
        })
    }
}

/// A state, and all that led to it as the deciding seat saw it.
struct Place {
    /// Names what is drawn here; unique within a decision.
    name: String,
    context: DecisionContext,
    state: Arc<State>,
}

impl Place {
    /// Where an action that was taken leads.
    fn after(&self, child: &Node, name: String) -> Option<Self> {
        let state = child.state.clone()?;
        let mut context = self.context.clone();
        context.history.push(Exchange {
            observation: std::mem::take(&mut context.turn.observation.text),
            thought: child.thought.to_string(),
            action: child.action.to_string(),
        });
        context.turn = state.turn.clone();
        context.step += 1;
        context.ended = state.ended;
        Some(Self { name, context, state })
    }
}

/// One decision's search.
pub(crate) struct Search<'a> {
    with: &'a Searcher,
    context: &'a DecisionContext,
    models: &'a Arc<dyn Models>,
    llm: Arc<dyn LlmBackend>,
    pub(crate) tree: Tree,
    /// On failed attempts; every later prompt of this decision shows them.
    pub(crate) reflections: Vec<String>,
    unread: Unread,
    /// How a critic weighed the proposals at the root.
    rounds: Vec<Round>,
    summary: Option<Summary>,
    /// The proposals at the root, if a named planner made them.
    proposed: Vec<Decision>,
    /// The steps of the first attempt that succeeded.
    solution: Vec<Step>,
    /// Whether the decision can pay for another wave.
    waves: Rounds,
}

impl Search<'_> {
    /// A conversation with draws of its own.
    fn asker(&self, draw: &str) -> Asker {
        self.with.ask.asker(self.llm.clone(), seed::derive(self.context.seed, draw))
    }

    /// A node whose state is known, as a place.
    fn place(&self, node: u32) -> Result<Place> {
        let mut place = Place {
            name: "node 0".into(),
            context: instructed(self.context, &self.reflections),
            state: self.tree.at(ROOT).state.clone().ok_or_else(|| Error::other("a root without a state"))?,
        };
        for node in self.tree.path(node) {
            let next = place.after(self.tree.at(node), format!("node {node}"));
            place = next.ok_or_else(|| Error::other("a node without a state"))?;
        }
        // At the root the decision's own: a collector's summary of this history is then identical.
        if node != ROOT {
            place.context.seed = seed::derive(self.context.seed, &place.name);
        }
        Ok(place)
    }

    /// The action at the root with the highest score.
    pub(crate) fn highest(&self, score: impl Fn(&Node) -> f64) -> Option<u32> {
        best(self.tree.children(ROOT), |node| score(self.tree.at(node)))
    }

    /// The action at the root that was visited most; of equals the one with the highest score.
    pub(crate) fn most_visited(&self, score: impl Fn(&Node) -> f64) -> Option<u32> {
        let most = self.tree.children(ROOT).map(|node| self.tree.at(node).visits).max()?;
        let visits = |node: &Node| if node.visits == most { score(node) } else { f64::NEG_INFINITY };
        self.highest(visits)
    }

    /// Whether an attempt succeeded.
    pub(crate) fn solved(&self) -> bool {
        !self.solution.is_empty()
    }

    /// The decision for an action at the root, or for the first step of a success; and a trace of the search, to which
    /// the planner adds what it has `done`.
    pub(crate) fn decision(self, chosen: Option<u32>, done: Option<usize>) -> Decision {
        let Self { with, tree, unread, mut rounds, summary, proposed, reflections, solution, .. } = self;
        let first =
            |node: &u32| solution.first().is_some_and(|(_, action)| **action == *tree.at(*node).action);
        let chosen = tree.children(ROOT).find(first).or(chosen);
        let mut path = Vec::new();
        let mut next = chosen;
        while let Some(node) = next {
            path.push(tree.at(node).action.clone());
            next = best(tree.children(node).filter(|child| tree.at(*child).visits > 0), |child| {
                tree.at(child).q()
            });
        }
        let moves: Vec<_> = tree.children(ROOT).map(|node| tree.at(node).shown()).collect();
        let solved = !solution.is_empty();
        let mut details = json!({ "nodes": tree.len(), "moves": moves, "path": path, "solved": solved });
        let deeper = tree.deeper(SHOWN);
        if !deeper.is_empty() {
            details["tree"] = deeper.into();
        }
        if let Some(done) = done {
            details["iterations"] = done.into();
        }
        if !reflections.is_empty() {
            details["reflections"] = reflections.into();
        }
        let (thought, action) = chosen.map_or_else(Default::default, |node| {
            (tree.at(node).thought.to_string(), toolbox::action(&tree.at(node).action, &self.context.turn))
        });
        let steps = if with.follow { solution.get(1..).unwrap_or_default() } else { &[] };
        if let Some(round) = rounds.iter_mut().find(|round| round.thought == thought) {
            round.kept = true;
        }
        let mut trace = Trace { rounds, details, ..unread.trace() };
        let taken = proposed.iter().position(|decision| decision.action.text == action.text);
        for (index, decision) in proposed.into_iter().enumerate() {
            if let Some(proposer) = with.proposer.named() {
                proposer.note(&mut trace, Ok(decision), taken == Some(index));
            }
        }
        Decision { thought: written(&thought, steps), action, summary, trace }
    }
}
