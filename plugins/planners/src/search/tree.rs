//! A search tree: all nodes in one vector, named by their index. The children of a node are next to each other, since
//! they are added at once.

use std::ops::Range;

use forethought_sdk::{
    prelude::*,
    serde_json::{Value, json},
};

use super::world::State;

/// The root.
pub(crate) const ROOT: u32 = 0;

/// What is known of an action in a state.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) parent: u32,
    children: (u32, u32),
    /// Walks that were backed up through here.
    pub(crate) visits: u32,
    /// Walks in flight: each counts as a visit that brought nothing (virtual loss), so that the walks of a wave differ.
    waiting: u32,
    /// Sum of the values of the visits.
    total: f64,
    /// Highest value of a visit.
    top: f64,
    /// The estimate with which it was added.
    pub(crate) value: f64,
    pub(crate) thought: Box<str>,
    pub(crate) action: Box<str>,
    /// The state after the action, once it was taken in a copy of the world.
    pub(crate) state: Option<Arc<State>>,
}

impl Node {
    pub(crate) fn of(thought: &str, action: &str) -> Self {
        Self { thought: thought.into(), action: action.into(), ..Self::default() }
    }

    /// N: visits, those in flight included.
    pub(crate) fn n(&self) -> f64 {
        f64::from(self.visits + self.waiting)
    }

    /// Sum of the values of all visits.
    pub(crate) fn total(&self) -> f64 {
        self.total
    }

    /// Highest value of a visit; 0 before the first.
    pub(crate) fn top(&self) -> f64 {
        self.top
    }

    /// Q: mean value of the visits; 0 before the first.
    pub(crate) fn q(&self) -> f64 {
        self.total / self.n().max(1.0)
    }

    /// As a trace has it.
    pub(crate) fn shown(&self) -> Value {
        json!({ "action": self.action, "visits": self.visits, "value": self.q(), "estimate": self.value })
    }
}

/// The tree.
pub(crate) struct Tree(Vec<Node>);

impl Tree {
    /// A tree whose nodes are no states of the world.
    pub(crate) fn bare() -> Self {
        Self(vec![Node::default()])
    }

    pub(crate) fn new(root: State) -> Self {
        Self(vec![Node { state: Some(Arc::new(root)), ..Node::default() }])
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn at(&self, node: u32) -> &Node {
        &self.0[node as usize]
    }

    pub(crate) fn at_mut(&mut self, node: u32) -> &mut Node {
        &mut self.0[node as usize]
    }

    pub(crate) fn children(&self, node: u32) -> Range<u32> {
        let (first, end) = self.at(node).children;
        first..end
    }

    /// Adds all children of a node.
    pub(crate) fn expand(&mut self, parent: u32, children: impl IntoIterator<Item = Node>) -> Range<u32> {
        let first = self.0.len() as u32;
        self.0.extend(children.into_iter().map(|child| Node { parent, ..child }));
        let end = self.0.len() as u32;
        self.at_mut(parent).children = (first, end);
        first..end
    }

    /// The first `most` nodes below the root's children, each with its number and its parent's. The root is number 0,
    /// its children have the numbers that follow.
    pub(crate) fn deeper(&self, most: usize) -> Vec<Value> {
        let deep = (0..).zip(&self.0).filter(|(number, node)| *number != ROOT && node.parent != ROOT);
        let with_place = |(number, node): (u32, &Node)| {
            let mut shown = node.shown();
            shown["node"] = number.into();
            shown["parent"] = node.parent.into();
            shown
        };
        deep.take(most).map(with_place).collect()
    }

    /// Forgets what only untried actions need, once all of a node's were taken: its copy of the world and its moves.
    pub(crate) fn settle(&mut self, node: u32) {
        let children = self.children(node);
        if children.is_empty() || children.clone().any(|child| self.at(child).state.is_none()) {
            return;
        }
        if let Some(state) = self.at_mut(node).state.as_mut().and_then(Arc::get_mut) {
            state.world = None;
            (state.turn.legal_actions, state.turn.tools) = Default::default();
            state.turn.observation.data = Value::Null;
        }
    }

    /// The nodes from the one below the root down to `node`.
    pub(crate) fn path(&self, mut node: u32) -> Vec<u32> {
        let mut path = Vec::new();
        while node != ROOT {
            path.push(node);
            node = self.at(node).parent;
        }
        path.reverse();
        path
    }

    /// Up to `most` leaves to walk to at once, each by the highest `score(parent, child)`, of equals the first. A wave
    /// ends early where it would come to the same leaf again, of which nothing new is known yet.
    pub(crate) fn wave(&mut self, most: usize, score: impl Fn(&Node, &Node) -> f64) -> Vec<u32> {
        let mut leaves = Vec::new();
        while leaves.len() < most {
            let leaf = self.leaf(&score);
            if leaves.contains(&leaf) {
                break;
            }
            self.along(leaf, |node| node.waiting += 1);
            leaves.push(leaf);
        }
        leaves
    }

    fn leaf(&self, score: impl Fn(&Node, &Node) -> f64) -> u32 {
        let mut node = ROOT;
        while let Some(child) = best(self.children(node), |child| score(self.at(node), self.at(child))) {
            node = child;
        }
        node
    }

    /// Ends the walk of a wave to `leaf`: its value counts there, and in all nodes above.
    pub(crate) fn back_up(&mut self, leaf: u32, value: f64) {
        self.back_up_each(leaf, |_| value);
    }

    /// The same, with a value for each node, by the number of nodes below it on the way.
    pub(crate) fn back_up_each(&mut self, leaf: u32, value: impl Fn(usize) -> f64) {
        let mut below = 0;
        self.along(leaf, |node| {
            let value = value(below);
            node.top = if node.visits == 0 { value } else { node.top.max(value) };
            node.waiting = node.waiting.saturating_sub(1);
            node.visits += 1;
            node.total += value;
            below += 1;
        });
    }

    /// Does something to a node and all nodes above it.
    fn along(&mut self, mut node: u32, mut act: impl FnMut(&mut Node)) {
        loop {
            act(self.at_mut(node));
            if node == ROOT {
                return;
            }
            node = self.at(node).parent;
        }
    }
}

/// The one with the highest score, of equals the first.
pub(crate) fn best<T: Copy>(all: impl DoubleEndedIterator<Item = T>, score: impl Fn(T) -> f64) -> Option<T> {
    // `max_by` returns the last of equals.
    all.rev().max_by(|a, b| score(*a).total_cmp(&score(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(value: f64) -> Node {
        Node { value, ..Node::default() }
    }

    #[test]
    fn the_walks_of_a_wave_part_and_are_backed_up_to_the_root() {
        let mut tree = Tree(vec![Node::default()]);
        let by_mean = |_: &Node, child: &Node| (child.total() + child.value) / (1.0 + child.n());
        assert_eq!(tree.wave(4, by_mean), [ROOT], "there is one leaf");
        tree.back_up(ROOT, 0.0);
        assert_eq!(tree.expand(ROOT, [child(0.9), child(0.5), child(0.1)]), 1..4);
        // 0.9 becomes 0.45 while a walk is in flight.
        assert_eq!(tree.wave(2, by_mean), [1, 2]);
        tree.back_up(1, 0.2);
        let below = tree.expand(2, [child(0.4)]);
        tree.back_up(below.start, 1.0);
        assert_eq!(tree.path(4), [2, 4]);
        assert_eq!(
            [0, 1, 2, 4].map(|node| (tree.at(node).n(), tree.at(node).total())),
            [(3.0, 1.2), (1.0, 0.2), (1.0, 1.0), (1.0, 1.0)]
        );
        assert_eq!(best([1, 2, 3, 4].into_iter(), |node| tree.at(node).q()), Some(2), "of equals the first");
    }
}
