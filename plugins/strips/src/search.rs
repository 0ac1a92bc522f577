//! Plans found: A* and greedy search forward through the states, within limits that are counted and not timed, so that
//! the same task gives the same answer everywhere.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;

use crate::{
    formula::Formula,
    ground::{Bits, Ground, NoGround, has},
    heuristics::{Of, Relaxed},
    task::{Call, Task},
};

/// What a state's distance to the goal is taken to be.
#[derive(Debug, Clone, Copy)]
pub enum Heuristic<'a> {
    /// 0.
    Blind,
    /// h_max: admissible.
    Max,
    /// h_add.
    Add,
    /// h_FF.
    Ff,
    /// LM-cut: admissible.
    LmCut,
    /// A formula over the facts of a state.
    Formula(&'a Formula),
}

/// Which state is looked at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// A*: steps so far and distance. Plans are shortest with an admissible heuristic.
    Astar,
    /// Greedy: distance alone.
    Greedy,
}

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// States whose successors are looked at.
    pub nodes: usize,
    /// Instances of actions.
    pub operators: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nodes: 100_000, operators: 100_000 }
    }
}

/// A plan, and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The steps.
    pub plan: Vec<Call>,
    /// States whose successors were looked at.
    pub expanded: usize,
}

/// Why there is no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsolved {
    /// The problem has no plan.
    Unsolvable,
    /// None was found within this number of states.
    Nodes(usize),
    /// The task has more than this number of instances of actions.
    Operators(usize),
}

impl fmt::Display for Unsolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsolvable => f.write_str("the goal cannot be reached"),
            Self::Nodes(nodes) => write!(f, "no plan was found within {nodes} states"),
            Self::Operators(most) => write!(f, "the task has more than {most} instances of actions"),
        }
    }
}

struct Node {
    state: Bits,
    /// The node before, and the operator that leads here.
    from: Option<(usize, usize)>,
    steps: u32,
    distance: u32,
}

/// Searches for a plan.
///
/// # Errors
/// If the problem has no plan, or no plan was found within the limits.
pub fn solve(task: &Task, order: Order, heuristic: Heuristic<'_>, limits: Limits) -> Result<Found, Unsolved> {
    let ground = Ground::new(task, limits.operators).map_err(|why| match why {
        NoGround::Unsolvable => Unsolved::Unsolvable,
        NoGround::TooLarge => Unsolved::Operators(limits.operators),
    })?;
    let mut relaxed = Relaxed::new(&ground);
    let goals = crate::formula::goals(task);
    let mut value = |state: &[u64]| match heuristic {
        Heuristic::Blind => Some(0),
        Heuristic::Max => relaxed.value(state, Of::Maximum),
        Heuristic::Add => relaxed.value(state, Of::Sum),
        Heuristic::Ff => relaxed.ff(state),
        Heuristic::LmCut => relaxed.lm_cut(state),
        Heuristic::Formula(formula) => Some(formula.rounded(task, &goals, ground.facts(state))),
    };
    let key = |node: &Node| match order {
        Order::Astar => node.steps.saturating_add(node.distance),
        Order::Greedy => node.distance,
    };
    let mut nodes: Vec<Node> = Vec::new();
    let mut known: HashMap<Bits, usize> = HashMap::new();
    // By key, then distance, then age.
    let mut open = BinaryHeap::new();
    if let Some(distance) = value(&ground.init) {
        let node = Node { state: ground.init.clone(), from: None, steps: 0, distance };
        open.push(Reverse((key(&node), distance, 0_usize, 0_u32)));
        known.insert(ground.init.clone(), 0);
        nodes.push(node);
    }
    let mut expanded = 0;
    while let Some(Reverse((_, _, at, steps))) = open.pop() {
        if steps > nodes[at].steps {
            continue; // It was reached in fewer steps since.
        }
        if ground.goal.iter().all(|bit| has(&nodes[at].state, *bit)) {
            let mut plan = Vec::new();
            let mut last = at;
            while let Some((before, operator)) = nodes[last].from {
                plan.push(task.call(&ground.operators[operator].bound));
                last = before;
            }
            plan.reverse();
            return Ok(Found { plan, expanded });
        }
        if expanded == limits.nodes {
            return Err(Unsolved::Nodes(limits.nodes));
        }
        expanded += 1;
        for (index, operator) in ground.operators.iter().enumerate() {
            if !operator.needs.iter().all(|bit| has(&nodes[at].state, *bit)) {
                continue;
            }
            let state = ground.after(&nodes[at].state, operator);
            let steps = nodes[at].steps + 1;
            let node = match known.get(&state) {
                Some(other) if order == Order::Greedy || nodes[*other].steps <= steps => continue,
                Some(other) => {
                    (nodes[*other].steps, nodes[*other].from) = (steps, Some((at, index)));
                    *other
                }
                None => {
                    let Some(distance) = value(&state) else { continue };
                    known.insert(state.clone(), nodes.len());
                    nodes.push(Node { state, from: Some((at, index)), steps, distance });
                    nodes.len() - 1
                }
            };
            open.push(Reverse((key(&nodes[node]), nodes[node].distance, node, steps)));
        }
    }
    Err(Unsolved::Unsolvable)
}
