//! Whether two problems are the same, whatever their objects are called and in whatever order things are written: how
//! translations into PDDL are scored, after Planetarium (Zuo et al. 2024, arXiv 2407.03321).
//!
//! A translation can be parsed or not, solved or not, and equivalent or not. Two problems are equivalent if objects can
//! be renamed, each to one of the same type, so that both have the same initial facts and the same goals. Planetarium
//! also adds what a goal implies in its three domains before it compares; here goals are compared as they are written,
//! except that a goal which is always so is left out.

use std::collections::{BTreeMap, BTreeSet};

use forethought_sdk::serde_json::{Value, json};

use crate::{
    domain::{Atom, Domain, Literal, Problem},
    search::{Heuristic, Limits, Order, Unsolved, solve},
    task::{Condition, Task, What},
};
use std::sync::Arc;

/// The most objects that are tried in the place of others.
const TRIES: usize = 100_000;

/// How objects may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As in the other problem.
    Kept,
    /// In any way.
    Free,
}

/// The score of a translation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Score {
    /// Why it cannot be parsed.
    pub fault: Option<String>,
    /// Whether it has a solution; `None` if the search ended before that was known.
    pub solvable: Option<bool>,
    /// Whether it is the same problem up to names.
    pub equivalent: bool,
    /// Whether it is the same problem with the same names.
    pub same_names: bool,
}

impl Score {
    /// As metrics of an episode: each 0 or 1.
    pub fn metrics(&self) -> Value {
        let number = |is: bool| if is { 1.0 } else { 0.0 };
        json!({
            "parseable": number(self.fault.is_none()),
            "solvable": number(self.solvable == Some(true)),
            "equivalent": number(self.equivalent),
            "same_names": number(self.same_names),
        })
    }
}

/// The score of a text as a translation of `truth`.
pub fn score(domain: &Arc<Domain>, truth: &Problem, text: &str, limits: Limits) -> Score {
    let problem = match Problem::parse("problem", text, domain) {
        Ok(problem) => problem,
        Err(fault) => return Score { fault: Some(fault.to_string()), ..Score::default() },
    };
    let task = match Task::new(domain.clone(), Arc::new(problem.clone())) {
        Ok(task) => task,
        Err(why) => return Score { fault: Some(why), ..Score::default() },
    };
    let solvable = match solve(&task, Order::Greedy, Heuristic::Ff, limits) {
        Ok(_) => Some(true),
        Err(Unsolved::Unsolvable) => Some(false),
        Err(_) => None,
    };
    let same = |names| same(domain, truth, &problem, names).unwrap_or(false);
    Score { fault: None, solvable, equivalent: same(Names::Free), same_names: same(Names::Kept) }
}

/// Facts of one kind: whether of the beginning, of the goal, or of the goal that they are not so.
type Told = BTreeSet<(u8, usize, Vec<usize>)>;

/// Whether two problems of a domain are the same. `None` if that is not known after many tries, or one of them is no
/// problem of the domain.
pub fn same(domain: &Arc<Domain>, one: &Problem, other: &Problem, names: Names) -> Option<bool> {
    let task = |problem: &Problem| Task::new(domain.clone(), Arc::new(problem.clone())).ok();
    let (one, other) = (task(one)?, task(other)?);
    let (told, told_other) = (told(&one), told(&other));
    let sizes = (one.objects.len(), told.len());
    if sizes != (other.objects.len(), told_other.len()) {
        return Some(false);
    }
    let Some(classes) = classes(domain, [&one, &other], [&told, &told_other], names) else {
        return Some(false);
    };
    // The facts of each object, to be checked when the last of their objects is given.
    let mut order: Vec<usize> = (0..one.objects.len()).collect();
    let candidates = |object: &usize| -> Vec<usize> {
        (0..other.objects.len()).filter(|candidate| classes[1][*candidate] == classes[0][*object]).collect()
    };
    order.sort_by_key(|object| candidates(object).len());
    let place: BTreeMap<usize, usize> = order.iter().enumerate().map(|(at, object)| (*object, at)).collect();
    let mut due: Vec<Vec<&(u8, usize, Vec<usize>)>> = vec![Vec::new(); order.len()];
    for fact in &told {
        match fact.2.iter().map(|object| place[object]).max() {
            Some(last) => due[last].push(fact),
            None if told_other.contains(fact) => {}
            None => return Some(false),
        }
    }
    let choices: Vec<Vec<usize>> = order.iter().map(candidates).collect();
    let mut renamed = vec![usize::MAX; one.objects.len()];
    let mut next = vec![0; order.len()];
    let (mut at, mut tries) = (0, 0);
    while at < order.len() {
        let object = order[at];
        renamed[object] = usize::MAX;
        let Some(candidate) = choices[at].get(next[at]) else {
            if at == 0 {
                return Some(false);
            }
            next[at] = 0;
            at -= 1;
            continue;
        };
        next[at] += 1;
        tries += 1;
        if tries > TRIES {
            return None;
        }
        if renamed.contains(candidate) {
            continue;
        }
        renamed[object] = *candidate;
        let fits = due[at].iter().all(|(kind, predicate, objects)| {
            let objects = objects.iter().map(|object| renamed[*object]).collect();
            told_other.contains(&(*kind, *predicate, objects))
        });
        if fits {
            at += 1;
        }
    }
    Some(true)
}

fn told(task: &Task) -> Told {
    let fact = |kind, fact: &crate::task::Fact| (kind, fact.predicate, fact.objects.to_vec());
    let always = |goal: &Condition| match &goal.what {
        What::Fact(fact) => !task.fluent[fact.predicate] && goal.met(&task.init),
        What::Equal(..) => goal.met(&task.init),
    };
    let goal = |goal: &Condition| match &goal.what {
        What::Fact(one) => fact(if goal.positive { 1 } else { 2 }, one),
        What::Equal(one, other) => (if goal.positive { 3 } else { 4 }, 0, vec![*one, *other]),
    };
    let init = task.init.iter().map(|one| fact(0, one));
    init.chain(task.goal.iter().filter(|one| !always(one)).map(goal)).collect()
}

/// Classes of objects that could be each other, refined by what is known of them until they no longer part; `None` if
/// both problems do not have the same number of each.
fn classes(domain: &Domain, tasks: [&Task; 2], told: [&Told; 2], names: Names) -> Option<[Vec<usize>; 2]> {
    type Seen = Vec<(u8, usize, usize, Vec<usize>)>;
    let constants = domain.constants.len();
    let first = |task: &Task, object: usize| {
        let named = object < constants || names == Names::Kept;
        let name = if named { task.objects[object].name.clone() } else { String::new() };
        (task.objects[object].kind.clone(), name)
    };
    let all: BTreeSet<_> =
        tasks.iter().flat_map(|task| (0..task.objects.len()).map(|object| first(task, object))).collect();
    let number: BTreeMap<_, _> = all.into_iter().zip(0..).collect();
    let mut classes: [Vec<usize>; 2] =
        tasks.map(|task| (0..task.objects.len()).map(|object| number[&first(task, object)]).collect());
    let mut count = number.len();
    loop {
        let sizes = |classes: &[usize]| {
            let mut sorted = classes.to_vec();
            sorted.sort_unstable();
            sorted
        };
        if sizes(&classes[0]) != sizes(&classes[1]) {
            return None;
        }
        let seen = [0, 1].map(|side: usize| {
            let mut seen: Vec<(usize, Seen)> =
                classes[side].iter().map(|class| (*class, Vec::new())).collect();
            for (kind, predicate, objects) in told[side] {
                let around: Vec<_> = objects.iter().map(|object| classes[side][*object]).collect();
                for (position, object) in objects.iter().enumerate() {
                    seen[*object].1.push((*kind, *predicate, position, around.clone()));
                }
            }
            seen.iter_mut().for_each(|(_, seen)| seen.sort());
            seen
        });
        let all: BTreeSet<_> = seen.iter().flatten().cloned().collect();
        let number: BTreeMap<_, usize> = all.into_iter().zip(0..).collect();
        let refined = seen.map(|seen| seen.iter().map(|one| number[one]).collect::<Vec<_>>());
        if number.len() == count {
            return Some(classes);
        }
        (classes, count) = (refined, number.len());
    }
}

/// A problem with its objects called otherwise.
pub fn renamed(problem: &Problem, name: impl Fn(&str) -> String) -> Problem {
    let known = |term: &String| problem.objects.iter().any(|object| object.name == *term);
    let term = |term: &String| if known(term) { name(term) } else { term.clone() };
    let atom = |atom: &Atom| Atom {
        predicate: atom.predicate.clone(),
        terms: atom.terms.iter().map(term).collect(),
    };
    let mut problem_renamed = problem.clone();
    problem_renamed.objects.iter_mut().for_each(|object| object.name = name(&object.name));
    problem_renamed.init = problem.init.iter().map(atom).collect();
    let literal = |one: &Literal| Literal { positive: one.positive, atom: atom(&one.atom) };
    problem_renamed.goal = problem.goal.iter().map(literal).collect();
    problem_renamed
}
