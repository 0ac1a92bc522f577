//! Heuristics over a grounded task, where every action costs 1: h_max and h_add (Bonet and Geffner 2001), h_FF
//! (Hoffmann and Nebel 2001), and LM-cut (Helmert and Domshlak 2009). h_max and LM-cut never say more than the
//! distance.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::ground::{Ground, has};

/// The distance of what cannot be reached.
const NEVER: u32 = u32::MAX;

/// What of an operator's preconditions counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Sum,
    Maximum,
}

/// Distances without deletions, with the memory that they need.
pub(crate) struct Relaxed<'a> {
    ground: &'a Ground,
    /// The operators that need each bit.
    needed_by: Vec<Vec<usize>>,
    /// The operators that add each bit.
    added_by: Vec<Vec<usize>>,
    /// The distance of each bit, and the operator that reaches it.
    distance: Vec<u32>,
    reached_by: Vec<Option<usize>>,
    /// The distance of each operator's preconditions, how many are not reached, and the last one that was.
    cost: Vec<u32>,
    unmet: Vec<usize>,
    supporter: Vec<Option<usize>>,
    queue: BinaryHeap<Reverse<(u32, usize)>>,
}

impl<'a> Relaxed<'a> {
    pub(crate) fn new(ground: &'a Ground) -> Self {
        let (mut needed_by, mut added_by) = (vec![Vec::new(); ground.bits], vec![Vec::new(); ground.bits]);
        for (index, operator) in ground.operators.iter().enumerate() {
            operator.needs.iter().for_each(|bit| needed_by[*bit].push(index));
            operator.adds.iter().for_each(|bit| added_by[*bit].push(index));
        }
        let operators = ground.operators.len();
        Self {
            ground,
            needed_by,
            added_by,
            distance: vec![NEVER; ground.bits],
            reached_by: vec![None; ground.bits],
            cost: vec![0; operators],
            unmet: vec![0; operators],
            supporter: vec![None; operators],
            queue: BinaryHeap::new(),
        }
    }

    /// Distances of all bits from a state, with these costs of operators, or 1 each.
    fn explore(&mut self, state: &[u64], of: Of, costs: Option<&[u32]>) {
        self.distance.fill(NEVER);
        self.reached_by.fill(None);
        self.supporter.fill(None);
        self.queue.clear();
        for (index, operator) in self.ground.operators.iter().enumerate() {
            (self.unmet[index], self.cost[index]) = (operator.needs.len(), 0);
        }
        for bit in (0..self.ground.bits).filter(|bit| has(state, *bit)) {
            self.distance[bit] = 0;
            self.queue.push(Reverse((0, bit)));
        }
        for index in 0..self.ground.operators.len() {
            if self.unmet[index] == 0 {
                self.fire(index, costs);
            }
        }
        while let Some(Reverse((distance, bit))) = self.queue.pop() {
            if distance > self.distance[bit] {
                continue;
            }
            for at in 0..self.needed_by[bit].len() {
                let index = self.needed_by[bit][at];
                self.unmet[index] -= 1;
                self.cost[index] = match of {
                    Of::Sum => self.cost[index].saturating_add(distance),
                    // Bits come in the order of their distances, so the last is the farthest.
                    Of::Maximum => distance,
                };
                self.supporter[index] = Some(bit);
                if self.unmet[index] == 0 {
                    self.fire(index, costs);
                }
            }
        }
    }

    fn fire(&mut self, index: usize, costs: Option<&[u32]>) {
        let distance = self.cost[index].saturating_add(costs.map_or(1, |costs| costs[index]));
        for bit in &self.ground.operators[index].adds {
            if distance < self.distance[*bit] {
                self.distance[*bit] = distance;
                self.reached_by[*bit] = Some(index);
                self.queue.push(Reverse((distance, *bit)));
            }
        }
    }

    fn of_goal(&self, of: Of) -> Option<u32> {
        let distances = self.ground.goal.iter().map(|bit| self.distance[*bit]);
        let goal = match of {
            Of::Sum => distances.fold(0, u32::saturating_add),
            Of::Maximum => distances.max().unwrap_or(0),
        };
        (goal != NEVER).then_some(goal)
    }

    /// h_add or h_max; `None` where the goal cannot be reached.
    pub(crate) fn value(&mut self, state: &[u64], of: Of) -> Option<u32> {
        self.explore(state, of, None);
        self.of_goal(of)
    }

    /// h_FF: the number of operators of a plan without deletions, with h_add's supporters.
    pub(crate) fn ff(&mut self, state: &[u64]) -> Option<u32> {
        self.value(state, Of::Sum)?;
        let mut used = vec![false; self.ground.operators.len()];
        let mut seen = vec![false; self.ground.bits];
        let mut open = self.ground.goal.clone();
        while let Some(bit) = open.pop() {
            if std::mem::replace(&mut seen[bit], true) {
                continue;
            }
            if let Some(index) = self.reached_by[bit] {
                used[index] = true;
                open.extend(&self.ground.operators[index].needs);
            }
        }
        Some(used.iter().filter(|used| **used).count() as u32)
    }

    /// LM-cut: costs of disjunctive landmarks, found one after another as cuts between the state and the goal.
    pub(crate) fn lm_cut(&mut self, state: &[u64]) -> Option<u32> {
        let mut costs = vec![1; self.ground.operators.len()];
        let mut total = 0;
        loop {
            self.explore(state, Of::Maximum, Some(&costs));
            if self.of_goal(Of::Maximum)? == 0 {
                return Some(total);
            }
            // Bits from which the goal is reached for nothing; the goal's own supporter is its farthest bit.
            let mut near = vec![false; self.ground.bits];
            let farthest = self.ground.goal.iter().copied().max_by_key(|bit| self.distance[*bit]);
            let mut open: Vec<usize> = farthest.into_iter().collect();
            while let Some(bit) = open.pop() {
                if std::mem::replace(&mut near[bit], true) {
                    continue;
                }
                let free =
                    self.added_by[bit].iter().filter(|index| self.unmet[**index] == 0 && costs[**index] == 0);
                open.extend(free.filter_map(|index| self.supporter[*index]));
            }
            // Bits that are reached from the state without entering those; the operators between are the cut.
            let mut far: Vec<bool> = (0..self.ground.bits).map(|bit| has(state, bit)).collect();
            let mut open: Vec<usize> = (0..self.ground.bits).filter(|bit| far[*bit]).collect();
            let mut cut = Vec::new();
            let mut visit = |index: usize, far: &mut Vec<bool>, open: &mut Vec<usize>| {
                let adds = &self.ground.operators[index].adds;
                if adds.iter().any(|bit| near[*bit]) {
                    cut.push(index);
                    return;
                }
                for bit in adds {
                    if !std::mem::replace(&mut far[*bit], true) {
                        open.push(*bit);
                    }
                }
            };
            for index in 0..self.ground.operators.len() {
                if self.ground.operators[index].needs.is_empty() {
                    visit(index, &mut far, &mut open);
                }
            }
            while let Some(bit) = open.pop() {
                for index in &self.needed_by[bit] {
                    if self.unmet[*index] == 0 && self.supporter[*index] == Some(bit) {
                        visit(*index, &mut far, &mut open);
                    }
                }
            }
            let least = cut.iter().map(|index| costs[*index]).min()?;
            if least == 0 {
                return Some(total);
            }
            total += least;
            cut.iter().for_each(|index| costs[*index] -= least);
        }
    }
}
