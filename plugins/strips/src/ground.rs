//! Grounding: a task with bits for the facts that can change, and its operators.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::task::{Bound, Condition, Fact, Task, TooMuch, What};

/// A state as bits.
pub(crate) type Bits = Box<[u64]>;

pub(crate) fn has(bits: &[u64], bit: usize) -> bool {
    bits[bit / 64] >> (bit % 64) & 1 == 1
}

/// An action that can be possible, with the bits that it needs, adds and deletes.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) bound: Bound,
    pub(crate) needs: Vec<usize>,
    pub(crate) adds: Vec<usize>,
    pub(crate) deletes: Vec<usize>,
}

/// A grounded task. A fact that must not be so somewhere has a second bit for that it is not.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) operators: Vec<Operator>,
    pub(crate) init: Bits,
    pub(crate) goal: Vec<usize>,
    /// Number of bits.
    pub(crate) bits: usize,
    /// The facts of the first bits.
    pub(crate) facts: Vec<Fact>,
    /// Facts that are always so.
    pub(crate) always: Vec<Fact>,
}

/// Why there is no grounded task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoGround {
    /// The goal cannot be reached, seen without a search.
    Unsolvable,
    /// More than the allowed number of operators.
    TooLarge,
}

impl Ground {
    /// Grounds a task, within `most` operators.
    pub(crate) fn new(task: &Task, most: usize) -> Result<Self, NoGround> {
        let (bounds, reached) = reach(task, most).map_err(|TooMuch| NoGround::TooLarge)?;
        let effects: Vec<_> = bounds.iter().map(|bound| task.effects(bound)).collect();
        let deleted: HashSet<&Fact> = effects.iter().flat_map(|[deleted, _]| deleted).collect();
        let always = |fact: &Fact| task.init.contains(fact) && !deleted.contains(fact);
        let facts: Vec<Fact> = reached.iter().filter(|fact| !always(fact)).cloned().collect();
        let bit: HashMap<&Fact, usize> = facts.iter().enumerate().map(|(bit, fact)| (fact, bit)).collect();
        // Facts that must not be so somewhere.
        let all = bounds.iter().flat_map(|bound| task.conditions_of(bound)).chain(task.goal.iter().cloned());
        let negated: BTreeSet<usize> = all
            .filter(|condition| !condition.positive)
            .filter_map(|condition| match condition.what {
                What::Fact(fact) => bit.get(&fact).copied(),
                What::Equal(..) => None,
            })
            .collect();
        let negation: HashMap<usize, usize> =
            negated.iter().enumerate().map(|(index, bit)| (*bit, facts.len() + index)).collect();
        // The bits of conditions; `None` if they can never be met.
        let bits = |conditions: &[Condition]| {
            let mut all = Vec::new();
            for condition in conditions {
                match (&condition.what, condition.positive) {
                    (What::Equal(one, other), positive) if (one == other) == positive => {}
                    (What::Equal(..), _) => return None,
                    (What::Fact(fact), true) => match bit.get(fact) {
                        Some(bit) => all.push(*bit),
                        None if always(fact) => {}
                        None => return None,
                    },
                    (What::Fact(fact), false) => match bit.get(fact) {
                        Some(bit) => all.push(negation[bit]),
                        None if always(fact) => return None,
                        None => {}
                    },
                }
            }
            all.sort_unstable();
            all.dedup();
            Some(all)
        };
        let goal = bits(&task.goal).ok_or(NoGround::Unsolvable)?;
        let mut operators = Vec::new();
        for (bound, [deletes, adds]) in bounds.iter().zip(&effects) {
            let Some(needs) = bits(&task.conditions_of(bound)) else { continue };
            let known = |facts: &[Fact]| {
                facts.iter().filter_map(|fact| bit.get(fact).copied()).collect::<BTreeSet<_>>()
            };
            let (mut adds, mut deletes) = (known(adds), known(deletes));
            deletes.retain(|bit| !adds.contains(bit));
            let not = |bits: &BTreeSet<usize>| -> Vec<usize> {
                bits.iter().filter_map(|bit| negation.get(bit).copied()).collect()
            };
            let (untrue, true_again) = (not(&deletes), not(&adds));
            adds.extend(untrue);
            deletes.extend(true_again);
            let (adds, deletes) = (adds.into_iter().collect(), deletes.into_iter().collect());
            operators.push(Operator { bound: bound.clone(), needs, adds, deletes });
        }
        let count = facts.len() + negation.len();
        let mut init = vec![0; count.div_ceil(64).max(1)].into_boxed_slice();
        for (at, fact) in facts.iter().enumerate() {
            let set = if task.init.contains(fact) { Some(at) } else { negation.get(&at).copied() };
            if let Some(bit) = set {
                init[bit / 64] |= 1 << (bit % 64);
            }
        }
        drop(bit);
        let always = task.init.iter().filter(|fact| always(fact)).cloned().collect();
        Ok(Self { operators, init, goal, bits: count, facts, always })
    }

    pub(crate) fn after(&self, state: &[u64], operator: &Operator) -> Bits {
        let mut next: Bits = state.into();
        operator.deletes.iter().for_each(|bit| next[bit / 64] &= !(1 << (bit % 64)));
        operator.adds.iter().for_each(|bit| next[bit / 64] |= 1 << (bit % 64));
        next
    }

    /// Every fact that is so.
    pub(crate) fn facts<'a>(&'a self, state: &'a [u64]) -> impl Iterator<Item = &'a Fact> {
        let now = self.facts.iter().enumerate().filter(|(bit, _)| has(state, *bit)).map(|(_, fact)| fact);
        self.always.iter().chain(now)
    }
}

/// What can be done and can be so if nothing that once was so ever ends: actions, and facts.
fn reach(task: &Task, most: usize) -> Result<(Vec<Bound>, BTreeSet<Fact>), TooMuch> {
    let mut reached: BTreeSet<Fact> = task.init.clone();
    let mut bounds: BTreeSet<Bound> = BTreeSet::new();
    let mut work = 300 * most;
    loop {
        let mut new = Vec::new();
        let index = task.index(&reached);
        for action in 0..task.actions.len() {
            task.instances(action, &index, &mut work, &mut |bound| {
                if bounds.contains(&bound) {
                    return Ok(());
                }
                let possible = task.conditions_of(&bound).iter().all(|condition| match &condition.what {
                    What::Equal(one, other) => (one == other) == condition.positive,
                    What::Fact(fact) if !task.fluent[fact.predicate] => condition.met(&task.init),
                    What::Fact(_) => true,
                });
                if possible {
                    new.push(bound.clone());
                }
                if bounds.len() + new.len() > most { Err(TooMuch) } else { Ok(()) }
            })?;
        }
        if new.is_empty() {
            return Ok((bounds.into_iter().collect(), reached));
        }
        for bound in new {
            reached.extend(task.effects(&bound)[1].iter().cloned());
            bounds.insert(bound);
        }
    }
}
