//! A problem with numbers in place of names: its states, its actions, and what an action needs and does.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::domain::{Atom, Domain, Literal, Problem, Typed, twice};

/// A fact: a predicate and objects, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fact {
    /// Index into [`Domain::predicates`].
    pub predicate: usize,
    /// Indices into [`Task::objects`].
    pub objects: Box<[usize]>,
}

/// What is so; anything else is not.
pub type State = BTreeSet<Fact>;

/// An action with its objects, by names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    /// The action's name.
    pub name: String,
    /// The names of its objects.
    pub arguments: Vec<String>,
}

impl fmt::Display for Call {
    /// As plans are written: `(stack a b)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({})", self.words())
    }
}

impl Call {
    /// Without parentheses: `stack a b`.
    pub fn words(&self) -> String {
        [std::slice::from_ref(&self.name), &self.arguments[..]].concat().join(" ")
    }

    /// Reads `(stack a b)`, `stack a b`, or `stack(a, b)`; `None` if there is no name.
    ///
    /// ```
    /// # use forethought_strips::Call;
    /// for text in ["(stack a b)", " Stack  a b", "stack(a, b)"] {
    ///     assert_eq!(Call::read(text).unwrap().to_string(), "(stack a b)");
    /// }
    /// assert_eq!(Call::read("()"), None);
    /// ```
    pub fn read(text: &str) -> Option<Self> {
        let text = text.replace(['(', ')', ','], " ").to_lowercase();
        let mut words = text.split_whitespace().map(str::to_owned);
        Some(Self { name: words.next()?, arguments: words.collect() })
    }
}

/// An action with its objects, by numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bound {
    /// Index into [`Domain::actions`].
    pub action: usize,
    /// Indices into [`Task::objects`].
    pub objects: Box<[usize]>,
}

/// A condition on objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Whether it must be so.
    pub positive: bool,
    /// What must be, or not.
    pub what: What,
}

/// What a condition is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// A fact.
    Fact(Fact),
    /// That two objects are the same.
    Equal(usize, usize),
}

impl Condition {
    /// Whether it is met.
    pub fn met(&self, state: &State) -> bool {
        let is = match &self.what {
            What::Fact(fact) => state.contains(fact),
            What::Equal(one, other) => one == other,
        };
        is == self.positive
    }
}

/// A term of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term {
    Parameter(usize),
    Object(usize),
}

impl Term {
    fn of(self, binding: &[Option<usize>]) -> Option<usize> {
        match self {
            Self::Parameter(index) => binding[index],
            Self::Object(object) => Some(object),
        }
    }
}

/// A literal over parameters. Without a predicate it says that two terms are equal.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) positive: bool,
    pub(crate) predicate: Option<usize>,
    pub(crate) terms: Vec<Term>,
}

impl Pattern {
    fn bound(&self, objects: &[usize]) -> Condition {
        let of = |term: &Term| match *term {
            Term::Parameter(index) => objects[index],
            Term::Object(object) => object,
        };
        let objects: Box<[usize]> = self.terms.iter().map(of).collect();
        let what = match self.predicate {
            Some(predicate) => What::Fact(Fact { predicate, objects }),
            None => What::Equal(objects[0], objects[1]),
        };
        Condition { positive: self.positive, what }
    }
}

/// An action's patterns.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    /// The objects that each parameter may be.
    candidates: Vec<Vec<usize>>,
    pub(crate) precondition: Vec<Pattern>,
    pub(crate) effect: Vec<Pattern>,
}

/// A problem of a domain, ready to be played and solved.
#[derive(Debug, Clone)]
pub struct Task {
    /// The domain.
    pub domain: Arc<Domain>,
    /// The problem.
    pub problem: Arc<Problem>,
    /// The domain's constants and the problem's objects.
    pub objects: Vec<Typed>,
    /// What is so at the beginning.
    pub init: State,
    /// What must be so in the end.
    pub goal: Vec<Condition>,
    pub(crate) actions: Vec<Compiled>,
    /// Whether an action changes facts of each predicate.
    pub(crate) fluent: Vec<bool>,
    by_name: HashMap<String, usize>,
}

/// A limit of a search was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuch;

/// Facts by their predicates.
pub(crate) type Index<'a> = Vec<Vec<&'a Fact>>;

impl Task {
    /// A problem of this domain.
    ///
    /// # Errors
    /// A name that the domain or the problem does not have; never for a problem that was read with this domain.
    pub fn new(domain: Arc<Domain>, problem: Arc<Problem>) -> Result<Self, String> {
        let objects: Vec<_> = domain.constants.iter().chain(&problem.objects).cloned().collect();
        if let Some(name) = twice(objects.iter().map(|one| &*one.name)) {
            return Err(format!("`{name}` is declared twice"));
        }
        let by_name = objects.iter().enumerate().map(|(index, one)| (one.name.clone(), index)).collect();
        let (actions, fluent) = (Vec::new(), Vec::new());
        let (init, goal) = (State::new(), Vec::new());
        let mut task = Self {
            domain: domain.clone(),
            problem: problem.clone(),
            objects,
            init,
            goal,
            actions,
            fluent,
            by_name,
        };
        let fluent = domain.predicates.iter().map(|predicate| domain.changes(&predicate.name));
        task.fluent = fluent.collect();
        for atom in &problem.init {
            let literal = Literal { positive: true, atom: atom.clone() };
            if let What::Fact(fact) = task.pattern(&literal, &[])?.bound(&[]).what {
                task.init.insert(fact);
            }
        }
        task.goal = task.conditions(&problem.goal)?;
        for schema in &domain.actions {
            let patterns = |literals: &[Literal]| {
                literals
                    .iter()
                    .map(|literal| task.pattern(literal, &schema.parameters))
                    .collect::<Result<_, _>>()
            };
            let candidates =
                schema.parameters.iter().map(|parameter| task.of_kind(&parameter.kind)).collect();
            let (precondition, effect) = (patterns(&schema.precondition)?, patterns(&schema.effect)?);
            let compiled = Compiled { candidates, precondition, effect };
            task.actions.push(compiled);
        }
        Ok(task)
    }

    fn of_kind(&self, kind: &str) -> Vec<usize> {
        (0..self.objects.len()).filter(|index| self.domain.is_a(&self.objects[*index].kind, kind)).collect()
    }

    pub(crate) fn predicate(&self, name: &str) -> Option<usize> {
        self.domain.predicates.iter().position(|one| one.name == name)
    }

    pub(crate) fn pattern(&self, literal: &Literal, parameters: &[Typed]) -> Result<Pattern, String> {
        let Literal { positive, atom: Atom { predicate: name, terms } } = literal;
        let predicate = match name.as_str() {
            "=" => None,
            name => Some(self.predicate(name).ok_or_else(|| format!("there is no predicate `{name}`"))?),
        };
        let arity = predicate.map_or(2, |index| self.domain.predicates[index].parameters.len());
        if terms.len() != arity {
            return Err(format!("`{name}` has {arity} terms, and {} are given", terms.len()));
        }
        let term = |name: &String| {
            let parameter = parameters.iter().position(|one| one.name == *name).map(Term::Parameter);
            let object = || self.object(name).map(Term::Object);
            parameter.or_else(object).ok_or_else(|| format!("there is no object `{name}`"))
        };
        let terms = terms.iter().map(term).collect::<Result<_, _>>()?;
        Ok(Pattern { positive: *positive, predicate, terms })
    }

    fn conditions(&self, literals: &[Literal]) -> Result<Vec<Condition>, String> {
        literals.iter().map(|literal| Ok(self.pattern(literal, &[])?.bound(&[]))).collect()
    }

    /// The index of the object of this name.
    pub fn object(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The names of objects.
    pub fn names(&self, objects: &[usize]) -> Vec<String> {
        objects.iter().map(|object| self.objects[*object].name.clone()).collect()
    }

    /// A fact by names.
    pub fn atom(&self, fact: &Fact) -> Atom {
        let predicate = self.domain.predicates[fact.predicate].name.clone();
        Atom { predicate, terms: self.names(&fact.objects) }
    }

    /// A condition by names.
    pub fn literal(&self, condition: &Condition) -> Literal {
        let atom = match &condition.what {
            What::Fact(fact) => self.atom(fact),
            What::Equal(one, other) => Atom { predicate: "=".into(), terms: self.names(&[*one, *other]) },
        };
        Literal { positive: condition.positive, atom }
    }

    /// An action by names.
    pub fn call(&self, bound: &Bound) -> Call {
        let name = self.domain.actions[bound.action].name.clone();
        Call { name, arguments: self.names(&bound.objects) }
    }

    /// An action by numbers.
    ///
    /// # Errors
    /// An action or object that does not exist, or one of the wrong type, as a sentence.
    pub fn bind(&self, call: &Call) -> Result<Bound, String> {
        let Some(action) = self.domain.actions.iter().position(|one| one.name == call.name) else {
            let known: Vec<_> = self.domain.actions.iter().map(|one| one.name.as_str()).collect();
            return Err(format!("There is no action `{}`; the actions are {}.", call.name, known.join(", ")));
        };
        let parameters = &self.domain.actions[action].parameters;
        if parameters.len() != call.arguments.len() {
            let (needs, given) = (parameters.len(), call.arguments.len());
            return Err(format!("`{}` needs {needs} objects, and {given} are given.", call.name));
        }
        let object = |(name, parameter): (&String, &Typed)| {
            let object = self.object(name).ok_or_else(|| format!("There is no object `{name}`."))?;
            let kind = &self.objects[object].kind;
            match self.domain.is_a(kind, &parameter.kind) {
                true => Ok(object),
                false => Err(format!(
                    "`{name}` is a {kind}, and `{}` needs a {} there.",
                    call.name, parameter.kind
                )),
            }
        };
        let objects = call.arguments.iter().zip(parameters).map(object).collect::<Result<_, _>>()?;
        Ok(Bound { action, objects })
    }

    /// The preconditions.
    pub fn conditions_of(&self, bound: &Bound) -> Vec<Condition> {
        self.actions[bound.action].precondition.iter().map(|pattern| pattern.bound(&bound.objects)).collect()
    }

    /// The preconditions that are not met.
    pub fn unmet(&self, state: &State, bound: &Bound) -> Vec<Condition> {
        let all = self.conditions_of(bound).into_iter();
        all.filter(|condition| !condition.met(state)).collect()
    }

    /// The facts that an action deletes and adds; what is in both is added.
    pub fn effects(&self, bound: &Bound) -> [Vec<Fact>; 2] {
        let mut effects = [Vec::new(), Vec::new()];
        for pattern in &self.actions[bound.action].effect {
            if let Condition { positive, what: What::Fact(fact) } = pattern.bound(&bound.objects) {
                effects[usize::from(positive)].push(fact);
            }
        }
        effects
    }

    /// Takes an action, whatever it needs.
    pub fn apply(&self, state: &mut State, bound: &Bound) {
        let [deleted, added] = self.effects(bound);
        for fact in &deleted {
            state.remove(fact);
        }
        state.extend(added);
    }

    /// The goals that are not met.
    pub fn missing(&self, state: &State) -> Vec<Condition> {
        self.goal.iter().filter(|goal| !goal.met(state)).cloned().collect()
    }

    /// The problem that begins in another state.
    pub fn problem_from(&self, state: &State) -> Problem {
        let init = state.iter().map(|fact| self.atom(fact)).collect();
        Problem { init, ..(*self.problem).clone() }
    }

    /// The same task, beginning in another state.
    #[must_use]
    pub fn from(&self, state: &State) -> Self {
        let problem = Arc::new(self.problem_from(state));
        Self { problem, init: state.clone(), ..self.clone() }
    }

    /// Every action that is possible, in the order of the domain's actions and the objects; `None` if there are more
    /// than `most`, or finding them takes too long.
    pub fn possible(&self, state: &State, most: usize) -> Option<Vec<Bound>> {
        let index = self.index(state);
        let mut all = Vec::new();
        let mut work = 200 * most;
        for action in 0..self.actions.len() {
            let mut each = |bound: Bound| {
                if self.unmet(state, &bound).is_empty() {
                    all.push(bound);
                }
                if all.len() > most { Err(TooMuch) } else { Ok(()) }
            };
            self.instances(action, &index, &mut work, &mut each).ok()?;
        }
        all.sort();
        Some(all)
    }

    pub(crate) fn index<'a>(&self, facts: impl IntoIterator<Item = &'a Fact>) -> Index<'a> {
        let mut index = vec![Vec::new(); self.domain.predicates.len()];
        for fact in facts {
            index[fact.predicate].push(fact);
        }
        index
    }

    /// Every instance of an action whose positive preconditions are among `index`. Each counts against `work`, as does
    /// every fact that is looked at.
    pub(crate) fn instances(
        &self,
        action: usize,
        index: &Index<'_>,
        work: &mut usize,
        each: &mut dyn FnMut(Bound) -> Result<(), TooMuch>,
    ) -> Result<(), TooMuch> {
        let Compiled { candidates, precondition, .. } = &self.actions[action];
        let open: Vec<_> =
            precondition.iter().filter(|one| one.positive && one.predicate.is_some()).collect();
        let mut binding = vec![None; candidates.len()];
        let fits = |parameter: usize, object: usize| candidates[parameter].binary_search(&object).is_ok();
        join(&open, index, &mut binding, &fits, work, &mut |binding, work| {
            self.complete(action, binding, 0, work, each)
        })
    }

    /// Gives the parameters that no positive precondition names every object that they may be.
    fn complete(
        &self,
        action: usize,
        binding: &mut [Option<usize>],
        from: usize,
        work: &mut usize,
        each: &mut dyn FnMut(Bound) -> Result<(), TooMuch>,
    ) -> Result<(), TooMuch> {
        *work = work.checked_sub(1).ok_or(TooMuch)?;
        let Some(open) = (from..binding.len()).find(|index| binding[*index].is_none()) else {
            let objects: Box<[usize]> =
                binding.iter().map(|object| object.expect("no parameter is open")).collect();
            return each(Bound { action, objects });
        };
        for candidate in 0..self.actions[action].candidates[open].len() {
            binding[open] = Some(self.actions[action].candidates[open][candidate]);
            self.complete(action, binding, open + 1, work, each)?;
        }
        binding[open] = None;
        Ok(())
    }
}

/// What a join does with each binding.
type Each<'a> = dyn FnMut(&mut [Option<usize>], &mut usize) -> Result<(), TooMuch> + 'a;

/// Every binding of parameters with which all of `open`, which are positive, are facts of `index`.
pub(crate) fn join(
    open: &[&Pattern],
    index: &Index<'_>,
    binding: &mut [Option<usize>],
    fits: &dyn Fn(usize, usize) -> bool,
    work: &mut usize,
    each: &mut Each<'_>,
) -> Result<(), TooMuch> {
    let facts = |pattern: &Pattern| &index[pattern.predicate.expect("a fact")];
    // What is known first, then what is connected to what is known, and then where there are fewest facts.
    let order = |at: &usize| {
        let pattern = open[*at];
        let known = pattern.terms.iter().filter(|term| term.of(binding).is_some()).count();
        let rank = if known == pattern.terms.len() { 0 } else { 1 + usize::from(known == 0) };
        (rank, facts(pattern).len())
    };
    let Some(next) = (0..open.len()).min_by_key(order) else { return each(binding, work) };
    let (pattern, mut left) = (open[next], open.to_vec());
    left.swap_remove(next);
    for fact in facts(pattern) {
        *work = work.checked_sub(1).ok_or(TooMuch)?;
        let mut bound = Vec::new();
        let matches = pattern.terms.iter().zip(&fact.objects).all(|(term, object)| match term.of(binding) {
            Some(known) => known == *object,
            None => {
                let Term::Parameter(parameter) = *term else { return false };
                let fits = fits(parameter, *object);
                if fits {
                    binding[parameter] = Some(*object);
                    bound.push(parameter);
                }
                fits
            }
        });
        if matches {
            join(&left, index, binding, fits, work, each)?;
        }
        for parameter in bound {
            binding[parameter] = None;
        }
    }
    Ok(())
}
