//! The texts of the world read back, as anyone could read them who knows the four domains that ship and their words. No
//! other knowledge of an episode reaches those who act by it.

use std::sync::Arc;

use forethought_sdk::seed::{ChaCha8Rng, IndexedRandom};
use forethought_strips::{
    Call, Problem, State, Task,
    domain::{Atom, Literal, Typed},
    generate::Known,
    search::{Heuristic, Limits, Order, solve},
    words::Words,
};

use crate::text::{ALWAYS, DONE, GOAL, NOW, OBJECTS, OPENING, REACHED, REFUSED};

/// How far a reader thinks ahead.
const LIMITS: Limits = Limits { nodes: 3000, operators: 50_000 };

/// What a prompt shows.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The problem that begins now, if all of it can be read.
    pub(crate) task: Option<Task>,
    /// Goals that are missing, at each time that was seen.
    pub(crate) missing: Vec<usize>,
    /// Whether the last action was refused; `None` before the first.
    pub(crate) refused: Option<bool>,
    pub(crate) reached: bool,
    pub(crate) steps: usize,
}

/// Whether a prompt is about a problem of a domain that ships.
pub(crate) fn recognises(text: &str) -> bool {
    text.contains(OPENING) && domain(text).is_some()
}

fn domain(text: &str) -> Option<Known> {
    let name = text.lines().find_map(|line| line.strip_prefix("Domain: ")?.strip_suffix('.'))?;
    Known::ALL.into_iter().find(|known| known.name() == name)
}

/// The lists under a title, each as its lines without their dashes.
fn lists<'a>(text: &'a str, title: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
    let lines: Vec<_> = text.lines().collect();
    let starts: Vec<_> = (0..lines.len()).filter(|at| lines[*at].trim_end() == title).collect();
    starts.into_iter().map(move |at| {
        let after = lines[at + 1..].iter().map_while(|line| line.strip_prefix("- "));
        after.filter(|line| *line != "nothing").collect()
    })
}

impl View {
    pub(crate) fn read(text: &str) -> Self {
        let known = domain(text);
        let mut view = Self::default();
        let news = text.lines().filter_map(|line| {
            let refused = line.starts_with(REFUSED);
            (refused || line.starts_with(DONE)).then_some(refused)
        });
        let news: Vec<bool> = news.collect();
        (view.steps, view.refused) = (news.len(), news.last().copied());
        view.reached = text.lines().rev().take_while(|line| *line != NOW).any(|line| line == REACHED);
        let Some(first) = known.and_then(|known| whole(text, known)) else { return view };
        let words = Words::of(&first.domain);
        let always: Vec<_> = first
            .init
            .iter()
            .filter(|fact| !first.domain.changes(&first.domain.predicates[fact.predicate].name))
            .cloned()
            .collect();
        let mut last = None;
        for list in lists(text, NOW) {
            let facts = list.iter().filter_map(|line| fact(&words, &first, line));
            let mut state: State = facts.collect();
            state.extend(always.iter().cloned());
            view.missing.push(first.missing(&state).len());
            last = Some(state);
        }
        view.task = last.map(|state| first.from(&state));
        view
    }

    /// The next step of a plan that is good, not always the shortest.
    pub(crate) fn forward(&self) -> Option<Call> {
        self.plan()?.into_iter().next()
    }

    pub(crate) fn plan(&self) -> Option<Vec<Call>> {
        let found = solve(self.task.as_ref()?, Order::Greedy, Heuristic::Ff, LIMITS).ok()?;
        Some(found.plan)
    }

    /// Something that is possible.
    pub(crate) fn possible(&self, rng: &mut ChaCha8Rng) -> Option<Call> {
        let task = self.task.as_ref()?;
        Some(task.call(task.possible(&task.init, 1000)?.choose(rng)?))
    }

    /// Something that would make a missing part of the goal so, whether or not it is possible.
    pub(crate) fn hasty(&self, rng: &mut ChaCha8Rng) -> Option<Call> {
        let task = self.task.as_ref()?;
        let missing = task.missing(&task.init);
        let literal = task.literal(missing.choose(rng)?);
        let mut all = Vec::new();
        for action in &task.domain.actions {
            for effect in action.effect.iter().filter(|effect| effect.positive) {
                if effect.atom.predicate == literal.atom.predicate {
                    all.push(named(task, action, effect, &literal, rng)?);
                }
            }
        }
        all.choose(rng).cloned()
    }

    /// Any action with any objects that fit.
    pub(crate) fn any(&self, rng: &mut ChaCha8Rng) -> Option<Call> {
        any(self.task.as_ref()?, rng)
    }
}

/// Any action of a task with any objects that fit.
pub(crate) fn any(task: &Task, rng: &mut ChaCha8Rng) -> Option<Call> {
    let action = task.domain.actions.choose(rng)?;
    let arguments =
        action.parameters.iter().map(|one| of_kind(task, &one.kind, rng)).collect::<Option<_>>()?;
    Some(Call { name: action.name.clone(), arguments })
}

fn of_kind(task: &Task, kind: &str, rng: &mut ChaCha8Rng) -> Option<String> {
    let fits: Vec<_> = task.objects.iter().filter(|one| task.domain.is_a(&one.kind, kind)).collect();
    Some(fits.choose(rng)?.name.clone())
}

/// An action whose effect is a literal; its other objects are drawn.
fn named(
    task: &Task,
    action: &forethought_strips::domain::Schema,
    effect: &Literal,
    literal: &Literal,
    rng: &mut ChaCha8Rng,
) -> Option<Call> {
    let argument = |one: &Typed, rng: &mut ChaCha8Rng| {
        let at = effect.atom.terms.iter().position(|term| *term == one.name);
        at.map_or_else(|| of_kind(task, &one.kind, rng), |at| Some(literal.atom.terms[at].clone()))
    };
    let arguments = action.parameters.iter().map(|one| argument(one, rng)).collect::<Option<_>>()?;
    Some(Call { name: action.name.clone(), arguments })
}

fn fact(words: &Words, task: &Task, line: &str) -> Option<forethought_strips::Fact> {
    let atom = said(words, task, line)?;
    let predicate = task.domain.predicates.iter().position(|one| one.name == atom.predicate)?;
    let objects = atom.terms.iter().map(|name| task.object(name)).collect::<Option<_>>()?;
    Some(forethought_strips::Fact { predicate, objects })
}

fn said(words: &Words, task: &Task, line: &str) -> Option<Atom> {
    words.fact(line, &task.domain, |name| task.object(name).map(|object| task.objects[object].kind.clone()))
}

/// The problem as the text shows it at first.
fn whole(text: &str, known: Known) -> Option<Task> {
    let domain = known.domain();
    let objects = lists(text, OBJECTS).last()?.into_iter().flat_map(|line| {
        let (kind, names) = line.split_once(": ").unwrap_or_default();
        names.split(", ").map(|name| Typed { name: name.into(), kind: kind.into() }).collect::<Vec<_>>()
    });
    let empty = Problem {
        name: "problem".into(),
        domain: domain.name.clone(),
        objects: objects.collect(),
        ..Problem::default()
    };
    let bare = Task::new(domain.clone(), Arc::new(empty.clone())).ok()?;
    let words = Words::of(&domain);
    let facts =
        |lists: Vec<&str>| lists.into_iter().filter_map(|line| said(&words, &bare, line)).collect::<Vec<_>>();
    let mut init = lists(text, ALWAYS).last().map(facts).unwrap_or_default();
    init.extend(facts(lists(text, NOW).next()?));
    let goal = lists(text, GOAL).last()?.into_iter().map(|line| {
        let (positive, line) = line.strip_prefix("not: ").map_or((true, line), |line| (false, line));
        said(&words, &bare, line).map(|atom| Literal { positive, atom })
    });
    let goal = goal.collect::<Option<_>>()?;
    Task::new(domain, Arc::new(Problem { init, goal, ..empty })).ok()
}
