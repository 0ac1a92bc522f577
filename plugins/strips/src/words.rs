//! Facts in words, by a template for each predicate, and read back from them.

use std::collections::BTreeMap;

use crate::{
    domain::{Atom, Domain, Literal, OBJECT, Predicate, Schema},
    generate::Known,
    task::Task,
};

/// Templates of facts, such as `{0} is on {1}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(BTreeMap<String, Vec<Piece>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Term(usize),
}

impl Words {
    /// The templates of a domain: those of a domain that [is known](Known), and a plain one for any other predicate.
    pub fn of(domain: &Domain) -> Self {
        let known = Known::ALL.into_iter().find(|known| known.name() == domain.name);
        let mut words = Self::default();
        for predicate in &domain.predicates {
            let template = known.and_then(|known| {
                known.words().iter().find(|(name, _)| *name == predicate.name).map(|(_, words)| *words)
            });
            let read = template.and_then(|template| parse(predicate, template).ok());
            let plain = || parse(predicate, &plain(predicate)).expect("a plain template is one");
            words.0.insert(predicate.name.clone(), read.unwrap_or_else(plain));
        }
        words
    }

    /// Replaces a template. A term is written by its number, `{0}`, or its parameter's name, `{x}`.
    ///
    /// # Errors
    /// A predicate that does not exist, or a template that does not name each of its terms once, as a clause.
    pub fn set(&mut self, domain: &Domain, predicate: &str, template: &str) -> Result<(), String> {
        let known = domain.predicate(predicate).ok_or_else(|| {
            let all: Vec<_> = domain.predicates.iter().map(|one| one.name.as_str()).collect();
            format!("there is no predicate `{predicate}`; the domain has {}", all.join(", "))
        })?;
        self.0.insert(predicate.to_owned(), parse(known, template)?);
        Ok(())
    }

    /// A fact in words.
    pub fn say(&self, atom: &Atom) -> String {
        match (self.0.get(&atom.predicate), &atom.terms[..]) {
            (None, [one, other]) if atom.predicate == "=" => format!("{one} is the same as {other}"),
            (None, _) => atom.to_string(),
            (Some(pieces), terms) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Term(index) => terms.get(*index).map_or("?", String::as_str),
                })
                .collect(),
        }
    }

    /// A literal in words.
    pub fn literal(&self, literal: &Literal) -> String {
        match literal.positive {
            true => self.say(&literal.atom),
            false => format!("not: {}", self.say(&literal.atom)),
        }
    }

    /// The facts that a sentence may say.
    pub fn read(&self, sentence: &str) -> Vec<Atom> {
        let sentence = sentence.trim().trim_end_matches('.');
        let all = self.0.iter().filter_map(|(predicate, pieces)| {
            let count = pieces.iter().filter(|piece| matches!(piece, Piece::Term(_))).count();
            let mut terms = vec![String::new(); count];
            let mut rest = sentence;
            for (at, piece) in pieces.iter().enumerate() {
                match piece {
                    Piece::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                    Piece::Term(index) => {
                        // A name is a word, which may be followed by a text without a space.
                        let word = rest.find(' ').unwrap_or(rest.len());
                        let end = match pieces.get(at + 1) {
                            Some(Piece::Text(text)) if !text.starts_with(' ') => {
                                rest.find(text.as_str())?.min(word)
                            }
                            _ => word,
                        };
                        terms[*index] = rest.get(..end).filter(|name| !name.is_empty())?.to_owned();
                        rest = &rest[end..];
                    }
                }
            }
            rest.is_empty().then(|| Atom { predicate: predicate.clone(), terms })
        });
        all.collect()
    }

    /// The only fact of a task that a sentence says.
    pub fn fact(
        &self,
        sentence: &str,
        domain: &Domain,
        kind: impl Fn(&str) -> Option<String>,
    ) -> Option<Atom> {
        let fits = |atom: &Atom| {
            let predicate = domain.predicate(&atom.predicate)?;
            let mut terms = atom.terms.iter().zip(&predicate.parameters);
            terms
                .all(|(term, one)| kind(term).is_some_and(|kind| domain.is_a(&kind, &one.kind)))
                .then_some(())
        };
        let mut all = self.read(sentence).into_iter().filter(|atom| fits(atom).is_some());
        let first = all.next()?;
        all.next().is_none().then_some(first)
    }

    /// An action in words: what it needs and what it does.
    pub fn action(&self, schema: &Schema) -> String {
        let typed = schema.parameters.iter().filter(|one| one.kind != OBJECT);
        let types: Vec<_> = typed.map(|one| format!("{} is a {}", one.name, one.kind)).collect();
        let types = if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
        let all = |literals: &mut dyn Iterator<Item = &Literal>| -> Vec<String> {
            literals.map(|literal| self.say(&literal.atom)).collect()
        };
        let of = |literals: &[Literal], positive: bool| {
            all(&mut literals.iter().filter(|literal| literal.positive == positive))
        };
        let mut sentences = Vec::new();
        for (literals, positive, lead) in [
            (&schema.precondition, true, "Needs"),
            (&schema.precondition, false, "Needs that this is not so"),
            (&schema.effect, true, "Afterwards"),
            (&schema.effect, false, "No longer"),
        ] {
            let said = of(literals, positive);
            if !said.is_empty() {
                sentences.push(format!("{lead}: {}.", said.join("; ")));
            }
        }
        let names: String = schema.parameters.iter().map(|one| format!(" {}", one.name)).collect();
        format!("{}{names}{types}. {}", schema.name, sentences.join(" "))
    }

    /// Why an action is not possible: its first unmet precondition.
    pub fn refusal(&self, task: &Task, call: &crate::task::Call, unmet: &[crate::task::Condition]) -> String {
        let Some(first) = unmet.first() else { return String::new() };
        let literal = task.literal(first);
        let said = self.say(&literal.atom);
        match literal.positive {
            true => format!("`{}` needs this, which is not so: {said}.", call.words()),
            false => format!("`{}` needs that this is not so, and it is: {said}.", call.words()),
        }
    }
}

/// A template for a predicate without one of its own.
fn plain(predicate: &Predicate) -> String {
    let name = predicate.name.replace(['-', '_'], " ");
    match predicate.parameters.len() {
        0 => name,
        1 => format!("{{0}} is {name}"),
        2 => format!("{{0}} {name} {{1}}"),
        more => {
            let terms: Vec<_> = (0..more).map(|index| format!("{{{index}}}")).collect();
            format!("{name} of {}", terms.join(" and "))
        }
    }
}

fn parse(predicate: &Predicate, template: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut rest) = (Vec::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) =
            after.split_once('}').ok_or_else(|| format!("{template:?} has a brace that is not closed"))?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let named = predicate.parameters.iter().position(|one| one.name[1..] == *name);
        let index = name.parse().ok().or(named).filter(|index| *index < predicate.parameters.len());
        let index = index.ok_or_else(|| {
            format!(
                "{template:?}: `{}` has no term {name}; it has {} terms",
                predicate.name,
                predicate.parameters.len()
            )
        })?;
        pieces.push(Piece::Term(index));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    for index in 0..predicate.parameters.len() {
        let count = pieces.iter().filter(|piece| **piece == Piece::Term(index)).count();
        if count != 1 {
            return Err(format!("{template:?} must name {{{index}}} of `{}` once", predicate.name));
        }
    }
    if template.trim().is_empty() || template.contains('\n') {
        return Err(format!("the words of `{}` must be one line", predicate.name));
    }
    Ok(pieces)
}
