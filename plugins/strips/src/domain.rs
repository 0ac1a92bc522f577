//! Domains and problems: what is read, what is printed, and what is refused.

use std::collections::HashSet;
use std::fmt;

use crate::syntax::{Fault, Node, Place, Source};

/// What every object is.
pub const OBJECT: &str = "object";
/// What is read, as an error says it.
const READ: &str = "what is read is STRIPS with types, constants, equality and negative preconditions";

/// A name and what kind of thing it is: a type and its parent, an object, a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The name; of a parameter with its question mark.
    pub name: String,
    /// The name of a type.
    pub kind: String,
}

/// A predicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate {
    /// The name.
    pub name: String,
    /// The parameters.
    pub parameters: Vec<Typed>,
}

/// A predicate of terms: names of objects, or parameters with their question marks. `=` is a predicate of two.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Atom {
    /// The predicate's name.
    pub predicate: String,
    /// The terms.
    pub terms: Vec<String>,
}

/// An atom, or that it is not so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Literal {
    /// Whether it is so.
    pub positive: bool,
    /// What is.
    pub atom: Atom,
}

/// An action with parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The name.
    pub name: String,
    /// The parameters.
    pub parameters: Vec<Typed>,
    /// All of these must be so.
    pub precondition: Vec<Literal>,
    /// All of these are so afterwards; what is both deleted and added is so.
    pub effect: Vec<Literal>,
}

/// A domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domain {
    /// The name.
    pub name: String,
    /// The requirements, with their colons. What one of them allows beyond [the language](crate) is refused where it is
    /// used.
    pub requirements: Vec<String>,
    /// The types, each with its parent.
    pub types: Vec<Typed>,
    /// Objects of every problem.
    pub constants: Vec<Typed>,
    /// The predicates.
    pub predicates: Vec<Predicate>,
    /// The actions.
    pub actions: Vec<Schema>,
}

/// A problem in a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problem {
    /// The name.
    pub name: String,
    /// The domain's name.
    pub domain: String,
    /// The objects, without the domain's constants.
    pub objects: Vec<Typed>,
    /// What is so at the beginning; anything else is not.
    pub init: Vec<Atom>,
    /// All of these must be so in the end.
    pub goal: Vec<Literal>,
}

impl Domain {
    /// Reads a domain. `file` names the text in faults.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Fault> {
        let source = Source { file };
        let node = source.only(text)?;
        let (name, sections) = define(&source, &node, "domain")?;
        let mut domain = Self { name, ..Self::default() };
        // Sections may be in any order; what others need is read first.
        let order = [":requirements", ":types", ":constants", ":predicates", ":action"];
        for section in sections {
            let head = section.head().unwrap_or_default();
            if !order.contains(&head) {
                return source.fault(section.place(), format!("`{head}` is not supported: {READ}"));
            }
        }
        for part in order {
            for section in sections.iter().filter(|section| section.head() == Some(part)) {
                domain.section(&source, part, section)?;
            }
        }
        Ok(domain)
    }

    fn section(&mut self, source: &Source<'_>, part: &str, section: &Node) -> Result<(), Fault> {
        let nodes = &section.list().unwrap_or_default()[1..];
        match part {
            ":requirements" => {
                for node in nodes {
                    match node.word().filter(|word| word.starts_with(':')) {
                        Some(word) => self.requirements.push(word.to_owned()),
                        None => return source.fault(node.place(), "a requirement is a word like `:typing`"),
                    }
                }
            }
            ":types" => {
                let typed = typed(source, nodes, Names::Plain)?;
                self.types.extend(typed.iter().map(|(one, _)| one.clone()));
                // A parent without a declaration of its own is a type, too.
                let parents: Vec<_> = self.types.iter().map(|one| one.kind.clone()).collect();
                for parent in parents {
                    if parent != OBJECT && !self.types.iter().any(|one| one.name == parent) {
                        self.types.push(Typed { name: parent, kind: OBJECT.into() });
                    }
                }
                self.types.retain(|one| one.name != OBJECT);
                for (one, place) in &typed {
                    if self.types.iter().filter(|other| other.name == one.name).count() > 1 {
                        return source.fault(*place, format!("the type `{}` is declared twice", one.name));
                    }
                    if self.ancestors(&one.name).count() > self.types.len() + 1 {
                        return source.fault(*place, format!("the type `{}` is its own ancestor", one.name));
                    }
                }
            }
            ":constants" => self.constants = self.declared(source, nodes, Names::Plain, &[])?,
            ":predicates" => {
                for node in nodes {
                    let Some([Node::Word(name, place), parameters @ ..]) = node.list() else {
                        return source.fault(node.place(), "a predicate is a list like `(on ?x ?y)`");
                    };
                    if name == "=" || self.predicates.iter().any(|one| one.name == *name) {
                        return source.fault(*place, format!("the predicate `{name}` is declared twice"));
                    }
                    let parameters = self.declared(source, parameters, Names::Variables, &[])?;
                    self.predicates.push(Predicate { name: name.clone(), parameters });
                }
            }
            _ => {
                let schema = self.action(source, section)?;
                self.actions.push(schema);
            }
        }
        Ok(())
    }

    fn action(&self, source: &Source<'_>, section: &Node) -> Result<Schema, Fault> {
        let nodes = section.list().unwrap_or_default();
        let Some(Node::Word(name, place)) = nodes.get(1) else {
            return source.fault(section.place(), "an action has a name after `:action`");
        };
        if self.actions.iter().any(|one| one.name == *name) {
            return source.fault(*place, format!("the action `{name}` is declared twice"));
        }
        let mut schema = Schema {
            name: name.clone(),
            parameters: Vec::new(),
            precondition: Vec::new(),
            effect: Vec::new(),
        };
        let parts = &nodes[2..];
        let part = |wanted: &str| parts.chunks(2).find(|pair| pair[0].word() == Some(wanted));
        for pair in parts.chunks(2) {
            let known = [":parameters", ":precondition", ":effect"];
            match pair {
                [Node::Word(word, place), ..] if !known.contains(&word.as_str()) => {
                    return source.fault(*place, format!("`{word}` is not supported: {READ}"));
                }
                [Node::Word(..), Node::List(..)] => {}
                _ => {
                    let message = format!(
                        "the action `{name}` has `:parameters (...)`, `:precondition (...)` and \
                                           `:effect (...)`"
                    );
                    return source.fault(pair[0].place(), message);
                }
            }
        }
        if let Some([_, parameters]) = part(":parameters") {
            let parameters = parameters.list().unwrap_or_default();
            schema.parameters = self.declared(source, parameters, Names::Variables, &[])?;
        }
        let known = |term: &str| {
            let all = schema.parameters.iter().chain(&self.constants);
            all.clone().find(|one| one.name == term).map(|one| one.kind.clone())
        };
        let reader = Reader { source, domain: self, known: &known, exact: false };
        let mut read = [Vec::new(), Vec::new()];
        for (word, literals) in [":precondition", ":effect"].into_iter().zip(&mut read) {
            if let Some([_, node]) = part(word) {
                reader.conjunction(node, word == ":precondition", literals)?;
            }
        }
        [schema.precondition, schema.effect] = read;
        Ok(schema)
    }

    /// Names with their types, which are known, and each name once, also among `others`.
    fn declared(
        &self,
        source: &Source<'_>,
        nodes: &[Node],
        names: Names,
        others: &[Typed],
    ) -> Result<Vec<Typed>, Fault> {
        let mut all: Vec<Typed> = Vec::new();
        for (one, place) in typed(source, nodes, names)? {
            if one.kind != OBJECT && !self.types.iter().any(|known| known.name == one.kind) {
                let known: Vec<_> = self.types.iter().map(|one| one.name.as_str()).collect();
                let message = match known.is_empty() {
                    true => format!("there is no type `{}`: the domain has no types", one.kind),
                    false => format!("there is no type `{}`; the types are {}", one.kind, known.join(", ")),
                };
                return source.fault(place, message);
            }
            if all.iter().chain(others).any(|other| other.name == one.name) {
                return source.fault(place, format!("`{}` is declared twice", one.name));
            }
            all.push(one);
        }
        Ok(all)
    }

    /// The predicate of this name.
    pub fn predicate(&self, name: &str) -> Option<&Predicate> {
        self.predicates.iter().find(|one| one.name == name)
    }

    /// The action of this name.
    pub fn action_named(&self, name: &str) -> Option<&Schema> {
        self.actions.iter().find(|one| one.name == name)
    }

    /// A type, its parent, and so on, up to [`OBJECT`].
    fn ancestors<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        let parent = |kind: &&str| self.types.iter().find(|one| one.name == **kind).map(|one| &*one.kind);
        // One more than there can be: a circle is seen by it.
        std::iter::successors(Some(kind), parent).take(self.types.len() + 2)
    }

    /// Whether a thing of type `kind` is also one of type `wanted`.
    pub fn is_a(&self, kind: &str, wanted: &str) -> bool {
        wanted == OBJECT || self.ancestors(kind).any(|one| one == wanted)
    }

    /// Whether an action changes facts of this predicate.
    pub fn changes(&self, predicate: &str) -> bool {
        self.actions.iter().flat_map(|action| &action.effect).any(|one| one.atom.predicate == predicate)
    }
}

impl Problem {
    /// Reads a problem of a domain. `file` names the text in faults.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub fn parse(file: &str, text: &str, domain: &Domain) -> Result<Self, Fault> {
        let source = Source { file };
        let node = source.only(text)?;
        let (name, sections) = define(&source, &node, "problem")?;
        let mut problem = Self { name, ..Self::default() };
        for part in [":domain", ":requirements", ":objects", ":init", ":goal"] {
            let mut of_part = sections.iter().filter(|section| section.head() == Some(part));
            let Some(section) = of_part.next() else {
                match part {
                    ":domain" | ":init" | ":goal" => {
                        return source.fault(node.place(), format!("the problem has no `({part} ...)`"));
                    }
                    _ => continue,
                }
            };
            if let Some(again) = of_part.next() {
                return source.fault(again.place(), format!("`{part}` is there twice"));
            }
            let nodes = &section.list().unwrap_or_default()[1..];
            let objects = problem.objects.clone();
            let known = |term: &str| {
                let mut all = objects.iter().chain(&domain.constants);
                all.find(|one| one.name == term).map(|one| one.kind.clone())
            };
            let reader = Reader { source: &source, domain, known: &known, exact: true };
            match part {
                ":domain" => match nodes {
                    [Node::Word(name, place)] if *name != domain.name => {
                        let message =
                            format!("the problem is one of `{name}`, and the domain is `{}`", domain.name);
                        return source.fault(*place, message);
                    }
                    [Node::Word(name, _)] => problem.domain.clone_from(name),
                    _ => return source.fault(section.place(), "`:domain` has one name"),
                },
                ":objects" => {
                    problem.objects = domain.declared(&source, nodes, Names::Plain, &domain.constants)?;
                }
                ":init" => {
                    for node in nodes {
                        let Literal { positive, atom } = reader.literal(node)?;
                        if !positive || atom.predicate == "=" {
                            let message = "`:init` lists what is so; anything else is not";
                            return source.fault(node.place(), message);
                        }
                        if !problem.init.contains(&atom) {
                            problem.init.push(atom);
                        }
                    }
                }
                ":goal" => match nodes {
                    [goal] => reader.conjunction(goal, true, &mut problem.goal)?,
                    _ => {
                        return source
                            .fault(section.place(), "`:goal` has one condition, such as `(and ...)`");
                    }
                },
                _ => {}
            }
        }
        for section in sections {
            let head = section.head().unwrap_or_default();
            if ![":domain", ":requirements", ":objects", ":init", ":goal"].contains(&head) {
                return source.fault(section.place(), format!("`{head}` is not supported: {READ}"));
            }
        }
        Ok(problem)
    }
}

/// The name and sections of `(define (WHAT NAME) SECTION...)`.
fn define<'a>(source: &Source<'_>, node: &'a Node, what: &str) -> Result<(String, &'a [Node]), Fault> {
    let wrong = || source.fault(node.place(), format!("this does not begin with `(define ({what} NAME)`"));
    let Some([Node::Word(define, _), Node::List(title, _), sections @ ..]) = node.list() else {
        return wrong();
    };
    let [Node::Word(word, _), Node::Word(name, _)] = &title[..] else { return wrong() };
    if define != "define" || word != what {
        return wrong();
    }
    match sections.iter().find(|section| section.head().is_none()) {
        Some(other) => source.fault(other.place(), "a section begins with a word like `:init`"),
        None => Ok((name.clone(), sections)),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Names {
    Plain,
    Variables,
}

/// Names in the form `a b - kind c`, with their places.
fn typed(source: &Source<'_>, nodes: &[Node], names: Names) -> Result<Vec<(Typed, Place)>, Fault> {
    let mut all: Vec<(Typed, Place)> = Vec::new();
    let (mut untyped, mut nodes) = (0, nodes.iter());
    while let Some(node) = nodes.next() {
        let Some(word) = node.word() else {
            return source.fault(node.place(), "this is a list, and a name is expected");
        };
        if word == "-" {
            let kind = match nodes.next() {
                Some(Node::Word(kind, _)) => kind,
                Some(other) => {
                    return source.fault(other.place(), format!("`either` is not supported: {READ}"));
                }
                None => return source.fault(node.place(), "a type is missing after `-`"),
            };
            if untyped == all.len() {
                return source.fault(node.place(), "there are no names before `-`");
            }
            all[untyped..].iter_mut().for_each(|(one, _)| one.kind.clone_from(kind));
            untyped = all.len();
        } else if word.starts_with('?') != (names == Names::Variables) || word == "?" {
            let wanted = match names {
                Names::Plain => "a name here has no question mark",
                Names::Variables => "a parameter begins with a question mark",
            };
            return source.fault(node.place(), format!("`{word}`: {wanted}"));
        } else {
            all.push((Typed { name: word.to_owned(), kind: OBJECT.into() }, node.place()));
        }
    }
    Ok(all)
}

/// Reads conditions and effects.
struct Reader<'a> {
    source: &'a Source<'a>,
    domain: &'a Domain,
    /// The type of a term that may be named here.
    known: &'a dyn Fn(&str) -> Option<String>,
    /// Whether terms are objects, whose types are exactly known.
    exact: bool,
}

impl Reader<'_> {
    fn conjunction(&self, node: &Node, condition: bool, into: &mut Vec<Literal>) -> Result<(), Fault> {
        let nodes = match node {
            Node::List(nodes, _) if nodes.is_empty() => return Ok(()),
            Node::List(nodes, _) if node.head() == Some("and") => &nodes[1..],
            _ => std::slice::from_ref(node),
        };
        for node in nodes {
            if node.head() == Some("and") {
                self.conjunction(node, condition, into)?;
                continue;
            }
            let literal = self.literal(node)?;
            if !condition && literal.atom.predicate == "=" {
                return self.source.fault(node.place(), "an effect cannot be `=`");
            }
            if !into.contains(&literal) {
                into.push(literal);
            }
        }
        Ok(())
    }

    fn literal(&self, node: &Node) -> Result<Literal, Fault> {
        match node.list() {
            Some([Node::Word(not, _), inner]) if not == "not" => {
                Ok(Literal { positive: false, atom: self.atom(inner)? })
            }
            _ => Ok(Literal { positive: true, atom: self.atom(node)? }),
        }
    }

    fn atom(&self, node: &Node) -> Result<Atom, Fault> {
        let fault = |place: Place, message: String| self.source.fault(place, message);
        let Some([Node::Word(name, place), terms @ ..]) = node.list() else {
            return fault(node.place(), "a fact is a list like `(on a b)`".into());
        };
        let words = ["or", "imply", "forall", "exists", "when", "not", "and", "increase", "assign"];
        if words.contains(&name.as_str()) {
            return fault(*place, format!("`{name}` is not supported here: {READ}"));
        }
        let pair = Predicate {
            name: "=".into(),
            parameters: vec![Typed { name: String::new(), kind: OBJECT.into() }; 2],
        };
        let found = if name == "=" { Some(&pair) } else { self.domain.predicate(name) };
        let Some(predicate) = found else {
            let known: Vec<_> = self.domain.predicates.iter().map(|one| one.name.as_str()).collect();
            return fault(*place, format!("there is no predicate `{name}`; there are {}", known.join(", ")));
        };
        if predicate.parameters.len() != terms.len() {
            let (has, given) = (predicate.parameters.len(), terms.len());
            return fault(*place, format!("`{name}` has {has} terms, and {given} are given"));
        }
        let mut read = Vec::new();
        for (term, parameter) in terms.iter().zip(&predicate.parameters) {
            let Some(word) = term.word() else {
                return fault(term.place(), format!("a term of `{name}` is a word, not a list"));
            };
            let Some(kind) = (self.known)(word) else {
                let what = if word.starts_with('?') { "parameter" } else { "object" };
                return fault(term.place(), format!("there is no {what} `{word}` here"));
            };
            let fits = self.domain.is_a(&kind, &parameter.kind)
                || (!self.exact && self.domain.is_a(&parameter.kind, &kind));
            if !fits {
                let wanted = &parameter.kind;
                return fault(term.place(), format!("`{word}` is a {kind}, and `{name}` needs a {wanted}"));
            }
            read.push(word.to_owned());
        }
        Ok(Atom { predicate: name.clone(), terms: read })
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}", self.predicate)?;
        self.terms.iter().try_for_each(|term| write!(f, " {term}"))?;
        f.write_str(")")
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.positive { self.atom.fmt(f) } else { write!(f, "(not {})", self.atom) }
    }
}

/// Typed names, as they are read again.
fn list(typed: &[Typed]) -> String {
    let plain = typed.iter().all(|one| one.kind == OBJECT);
    let group = |group: &[Typed]| {
        let names: Vec<_> = group.iter().map(|one| one.name.as_str()).collect();
        if plain { names.join(" ") } else { format!("{} - {}", names.join(" "), group[0].kind) }
    };
    typed.chunk_by(|a, b| a.kind == b.kind).map(group).collect::<Vec<_>>().join(" ")
}

fn and(literals: &[Literal]) -> String {
    let all: Vec<_> = literals.iter().map(ToString::to_string).collect();
    if all.is_empty() { "()".into() } else { format!("(and {})", all.join(" ")) }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(define (domain {})", self.name)?;
        if !self.requirements.is_empty() {
            write!(f, "\n  (:requirements {})", self.requirements.join(" "))?;
        }
        if !self.types.is_empty() {
            write!(f, "\n  (:types {})", list(&self.types))?;
        }
        if !self.constants.is_empty() {
            write!(f, "\n  (:constants {})", list(&self.constants))?;
        }
        f.write_str("\n  (:predicates")?;
        for Predicate { name, parameters } in &self.predicates {
            let gap = if parameters.is_empty() { "" } else { " " };
            write!(f, " ({name}{gap}{})", list(parameters))?;
        }
        f.write_str(")")?;
        for Schema { name, parameters, precondition, effect } in &self.actions {
            let (needs, does) = (and(precondition), and(effect));
            let parameters = list(parameters);
            write!(f, "\n  (:action {name}\n    :parameters ({parameters})")?;
            write!(f, "\n    :precondition {needs}\n    :effect {does})")?;
        }
        f.write_str(")\n")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(define (problem {})\n  (:domain {})", self.name, self.domain)?;
        if !self.objects.is_empty() {
            write!(f, "\n  (:objects {})", list(&self.objects))?;
        }
        f.write_str("\n  (:init")?;
        self.init.iter().try_for_each(|fact| write!(f, "\n    {fact}"))?;
        write!(f, ")\n  (:goal {}))\n", and(&self.goal))
    }
}

/// Names that are declared more than once, for problems that are made rather than read.
pub(crate) fn twice<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}
