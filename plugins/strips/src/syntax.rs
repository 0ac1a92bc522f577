//! Lists of words in parentheses, with the place of each; comments run from `;` to the end of the line.

use std::fmt;

/// The longest text that is read, in bytes.
const LONGEST: usize = 1 << 20;
/// The deepest nesting.
const DEEPEST: usize = 64;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, or another name of the text.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// One clause without a full stop.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for Fault {}

/// A place in a text: line and column, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) usize, pub(crate) usize);

/// A word, in lower case because PDDL does not tell cases apart, or a list.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Word(String, Place),
    List(Vec<Self>, Place),
}

impl Node {
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Word(_, place) | Self::List(_, place) => *place,
        }
    }

    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word, _) => Some(word),
            Self::List(..) => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(nodes, _) => Some(nodes),
            Self::Word(..) => None,
        }
    }

    /// The word that a list begins with.
    pub(crate) fn head(&self) -> Option<&str> {
        self.list()?.first()?.word()
    }
}

/// Reads nodes, and makes faults that name the text.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
}

impl Source<'_> {
    pub(crate) fn fault<T>(&self, place: Place, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { file: self.file.to_owned(), line: place.0, column: place.1, message: message.into() })
    }

    /// The only list of a text.
    pub(crate) fn only(&self, text: &str) -> Result<Node, Fault> {
        if text.len() > LONGEST {
            return self.fault(Place(1, 1), format!("the text is longer than {LONGEST} bytes"));
        }
        // Lists that are not closed, innermost last.
        let mut open: Vec<(Vec<Node>, Place)> = Vec::new();
        let mut whole: Option<Node> = None;
        let (mut line, mut column) = (1, 0);
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            column += 1;
            let place = Place(line, column);
            let done = match letter {
                '\n' => {
                    (line, column) = (line + 1, 0);
                    continue;
                }
                ';' => {
                    while letters.next_if(|letter| *letter != '\n').is_some() {}
                    continue;
                }
                letter if letter.is_whitespace() || letter == '\u{feff}' => continue,
                '(' if whole.is_some() => return self.fault(place, "the text goes on after its end"),
                '(' if open.len() == DEEPEST => {
                    return self.fault(place, format!("more than {DEEPEST} lists within each other"));
                }
                '(' => {
                    open.push((Vec::new(), place));
                    continue;
                }
                ')' => match open.pop() {
                    Some((nodes, place)) => Node::List(nodes, place),
                    None => return self.fault(place, "this parenthesis closes nothing"),
                },
                letter => {
                    let mut word: String = letter.to_lowercase().collect();
                    while let Some(next) =
                        letters.next_if(|next| !next.is_whitespace() && !"();".contains(*next))
                    {
                        word.extend(next.to_lowercase());
                        column += 1;
                    }
                    Node::Word(word, place)
                }
            };
            match (open.last_mut(), done) {
                (Some((nodes, _)), done) => nodes.push(done),
                (None, done @ Node::List(..)) => whole = Some(done),
                (None, Node::Word(word, place)) => {
                    return self.fault(place, format!("`{word}` is outside of any parentheses"));
                }
            }
        }
        match (open.pop(), whole) {
            (Some((_, place)), _) => self.fault(place, "this parenthesis is not closed"),
            (None, Some(whole)) => Ok(whole),
            (None, None) => self.fault(Place(line, column.max(1)), "there is nothing in parentheses"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_refused_by_its_place() {
        let source = Source { file: "a.pddl" };
        for (text, why) in [
            ("(a (b)\n  c", "a.pddl:1:1: this parenthesis is not closed"),
            ("(a))", "a.pddl:1:4: this parenthesis closes nothing"),
            ("; only words\n  b", "a.pddl:2:3: `b` is outside of any parentheses"),
            ("(a)\n(b)", "a.pddl:2:1: the text goes on after its end"),
            (" ; nothing", "a.pddl:1:2: there is nothing in parentheses"),
            (&"(".repeat(100_000), "a.pddl:1:65: more than 64 lists within each other"),
            (&" ".repeat(2 << 20), "a.pddl:1:1: the text is longer than 1048576 bytes"),
        ] {
            assert_eq!(source.only(text).unwrap_err().to_string(), why);
        }
        let list = source.only("(A ; (comment)\n (ü))").unwrap();
        assert_eq!(list.list().unwrap()[1].list().unwrap()[0].word(), Some("ü"));
        assert_eq!(list.list().unwrap()[1].place(), Place(2, 2));
    }
}
