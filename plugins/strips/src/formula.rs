//! Heuristics that a model writes: expressions over counts of facts, in the syntax of PDDL. They read a state and
//! nothing else, always end, and cannot fail.
//!
//! ```text
//! NUMBER                          3, 0.5
//! (+ E ...) (- E E) (* E ...)     arithmetic; (/ E E) is 0 where the divisor is 0
//! (min E ...) (max E ...)
//! (if C E E)                      C is (< E E), (<= E E), (> E E), (>= E E), (= E E)
//! (goals)                         the number of goals that are not met
//! (count L ...)                   in how many ways the ?variables of all L can be objects
//! L:  (p ?x a)  (not (p ?x a))  (goal (p ?x a))  (not (goal (p ?x a)))  (= ?x a)  (not (= ?x ?y))
//! ```

use std::fmt;

use crate::{
    domain::{Atom, Literal, OBJECT, Typed},
    syntax::{Fault, Node, Source},
    task::{Fact, Index, Pattern, Task, Term, TooMuch, What, join},
};

/// The most facts that a count looks at; a count that needs more is as large as the bindings found so far.
const WORK: usize = 20_000;

/// A heuristic.
#[derive(Debug, Clone)]
pub struct Formula {
    text: String,
    expression: Expression,
}

#[derive(Debug, Clone)]
enum Expression {
    Number(f64),
    Of(Operation, Vec<Expression>),
    If(Comparison, Box<[Expression; 4]>),
    Goals,
    Count(Count),
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Least,
    Largest,
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Equal,
}

/// Literals over variables. Predicates of goals are numbered after those of facts.
#[derive(Debug, Clone)]
struct Count {
    variables: usize,
    positive: Vec<Pattern>,
    others: Vec<Pattern>,
}

/// The facts that a task's goal says are so, and their number of predicates.
pub(crate) fn goals(task: &Task) -> Vec<Fact> {
    let fact = |goal: &crate::task::Condition| match &goal.what {
        What::Fact(fact) if goal.positive => Some(fact.clone()),
        _ => None,
    };
    task.goal.iter().filter_map(fact).collect()
}

impl Formula {
    /// Reads a formula over a task's predicates and objects.
    ///
    /// # Errors
    /// The first fault, with its place in the text.
    pub fn parse(text: &str, task: &Task) -> Result<Self, Fault> {
        let source = Source { file: "heuristic" };
        let node = source.only(text)?;
        Ok(Self { text: text.trim().to_owned(), expression: Parser { source, task }.expression(&node)? })
    }

    /// The value in a state: at least 0.
    pub fn value(&self, task: &Task, state: &crate::task::State) -> f64 {
        self.over(task, &goals(task), state)
    }

    fn over<'a>(&self, task: &'a Task, goals: &'a [Fact], facts: impl IntoIterator<Item = &'a Fact>) -> f64 {
        let mut index = task.index(facts);
        let predicates = index.len();
        index.resize(2 * predicates, Vec::new());
        for goal in goals {
            index[predicates + goal.predicate].push(goal);
        }
        let value = self.expression.value(task, &index);
        if value.is_finite() { value.max(0.0) } else { 0.0 }
    }

    /// The value in hundredths, for a search.
    pub(crate) fn rounded<'a>(
        &self,
        task: &'a Task,
        goals: &'a [Fact],
        facts: impl IntoIterator<Item = &'a Fact>,
    ) -> u32 {
        (self.over(task, goals, facts) * 100.0).round().min(1e9) as u32
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Expression {
    fn value(&self, task: &Task, index: &Index<'_>) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Goals => {
                let is = |fact: &Fact| index[fact.predicate].contains(&fact);
                let met = |goal: &&crate::task::Condition| match &goal.what {
                    What::Fact(fact) => is(fact) == goal.positive,
                    What::Equal(one, other) => (one == other) == goal.positive,
                };
                task.goal.iter().filter(|goal| !met(goal)).count() as f64
            }
            Self::Count(count) => count.value(task, index),
            Self::If(comparison, parts) => {
                let [a, b, yes, no] = &**parts;
                let (a, b) = (a.value(task, index), b.value(task, index));
                let is = match comparison {
                    Comparison::Less => a < b,
                    Comparison::LessOrEqual => a <= b,
                    Comparison::More => a > b,
                    Comparison::MoreOrEqual => a >= b,
                    Comparison::Equal => a == b,
                };
                if is { yes.value(task, index) } else { no.value(task, index) }
            }
            Self::Of(operation, parts) => {
                let values = parts.iter().map(|part| part.value(task, index));
                let both = |a: f64, b: f64| match operation {
                    Operation::Add => a + b,
                    Operation::Subtract => a - b,
                    Operation::Multiply => a * b,
                    Operation::Divide if b == 0.0 => 0.0,
                    Operation::Divide => a / b,
                    Operation::Least => a.min(b),
                    Operation::Largest => a.max(b),
                };
                values.reduce(both).unwrap_or(0.0)
            }
        }
    }
}

impl Count {
    fn value(&self, task: &Task, index: &Index<'_>) -> f64 {
        let open: Vec<_> = self.positive.iter().collect();
        let mut binding = vec![None; self.variables];
        let (mut found, mut work) = (0_usize, WORK);
        // The bindings that were found within the limit count.
        let _ = join(&open, index, &mut binding, &|_, _| true, &mut work, &mut |binding, work| {
            self.complete(task, index, binding, work, &mut found)
        });
        found as f64
    }

    /// Gives every object to variables that occur in negations alone, and counts.
    fn complete(
        &self,
        task: &Task,
        index: &Index<'_>,
        binding: &mut [Option<usize>],
        work: &mut usize,
        found: &mut usize,
    ) -> Result<(), TooMuch> {
        *work = work.checked_sub(1).ok_or(TooMuch)?;
        if let Some(open) = binding.iter().position(Option::is_none) {
            for object in 0..task.objects.len() {
                binding[open] = Some(object);
                self.complete(task, index, binding, work, found)?;
            }
            binding[open] = None;
            return Ok(());
        }
        let met = |pattern: &Pattern| {
            let of = |term: &Term| match *term {
                Term::Parameter(variable) => binding[variable].expect("no variable is open"),
                Term::Object(object) => object,
            };
            let is = match pattern.predicate {
                None => of(&pattern.terms[0]) == of(&pattern.terms[1]),
                Some(predicate) => {
                    let same = |fact: &&Fact| {
                        fact.objects.iter().zip(&pattern.terms).all(|(one, term)| *one == of(term))
                    };
                    index[predicate].iter().any(same)
                }
            };
            is == pattern.positive
        };
        *found += usize::from(self.others.iter().all(met));
        Ok(())
    }
}

struct Parser<'a> {
    source: Source<'a>,
    task: &'a Task,
}

impl Parser<'_> {
    fn expression(&self, node: &Node) -> Result<Expression, Fault> {
        let fault = |message: String| self.source.fault(node.place(), message);
        let parts = match node {
            Node::Word(word, _) => {
                return match word.parse::<f64>() {
                    Ok(number) if number.is_finite() => Ok(Expression::Number(number)),
                    _ => fault(format!("`{word}` is not a number")),
                };
            }
            Node::List(parts, _) => parts,
        };
        let Some(head) = node.head() else { return fault("an operation is missing after `(`".into()) };
        let parts = &parts[1..];
        let all = || parts.iter().map(|part| self.expression(part)).collect::<Result<Vec<_>, _>>();
        let operation = match head {
            "+" => Operation::Add,
            "-" => Operation::Subtract,
            "*" => Operation::Multiply,
            "/" => Operation::Divide,
            "min" => Operation::Least,
            "max" => Operation::Largest,
            "goals" if parts.is_empty() => return Ok(Expression::Goals),
            "count" if !parts.is_empty() => return self.count(parts).map(Expression::Count),
            "if" => return self.condition(node, parts),
            _ => {
                return fault(format!(
                    "`{head}` is not an operation; there are +, -, *, /, min, max, if, (goals), (count (p ?x) ...)"
                ));
            }
        };
        match (operation, parts.len()) {
            (_, 0) => fault(format!("`{head}` has no operands")),
            (Operation::Subtract | Operation::Divide, n) if n != 2 => {
                fault(format!("`{head}` has two operands"))
            }
            _ => Ok(Expression::Of(operation, all()?)),
        }
    }

    fn condition(&self, node: &Node, parts: &[Node]) -> Result<Expression, Fault> {
        let wrong = || self.source.fault(node.place(), "`if` is written `(if (< E E) E E)`");
        let [condition, yes, no] = parts else { return wrong() };
        let Some([Node::Word(word, _), a, b]) = condition.list() else { return wrong() };
        let comparison = match word.as_str() {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::More,
            ">=" => Comparison::MoreOrEqual,
            "=" => Comparison::Equal,
            _ => return wrong(),
        };
        let [a, b, yes, no] = [a, b, yes, no].map(|node| self.expression(node));
        Ok(Expression::If(comparison, Box::new([a?, b?, yes?, no?])))
    }

    fn count(&self, parts: &[Node]) -> Result<Count, Fault> {
        let mut variables: Vec<Typed> = Vec::new();
        let mut patterns = Vec::new();
        for node in parts {
            let inner = |node: &Node, word: &str| match node.list() {
                Some([Node::Word(head, _), inner]) if head == word => Some(inner.clone()),
                _ => None,
            };
            let (positive, node) = inner(node, "not").map_or((true, node.clone()), |inner| (false, inner));
            let (goal, node) = inner(&node, "goal").map_or((false, node.clone()), |inner| (true, inner));
            let place = node.place();
            let words: Option<Vec<_>> = node
                .list()
                .and_then(|words| words.iter().map(|word| word.word().map(str::to_owned)).collect());
            let Some([predicate, terms @ ..]) = words.as_deref() else {
                return self.source.fault(place, "what is counted are facts like `(on ?x ?y)`");
            };
            for term in terms.iter().filter(|term| term.starts_with('?')) {
                if !variables.iter().any(|one| one.name == *term) {
                    variables.push(Typed { name: term.clone(), kind: OBJECT.into() });
                }
            }
            if variables.len() > 4 {
                return self.source.fault(place, "a count has at most four variables");
            }
            let atom = Atom { predicate: predicate.clone(), terms: terms.to_vec() };
            let pattern = self.task.pattern(&Literal { positive, atom }, &variables);
            let mut pattern = pattern.or_else(|why| self.source.fault(place, why))?;
            if goal {
                pattern.predicate = match pattern.predicate {
                    Some(predicate) => Some(predicate + self.task.domain.predicates.len()),
                    None => return self.source.fault(place, "`=` is not a goal"),
                };
            }
            patterns.push(pattern);
        }
        let (positive, others) =
            patterns.into_iter().partition(|one: &Pattern| one.positive && one.predicate.is_some());
        Ok(Count { variables: variables.len(), positive, others })
    }
}
