//! One reader for everything that a language model writes: labelled sections, JSON, numbers, a decision.
//!
//! Models write the same answer in many ways. This reader takes off reasoning, end-of-turn tokens, code fences and
//! emphasis, and never acts on syntax or on text that a token limit cut. What cannot be read becomes a [`Complaint`]: a
//! sentence that a model can act on, and a [`Fault`] that a run can count.
//!
//! ```
//! use forethought_sdk::{answers::Answer, api::llm::FinishReason};
//!
//! let text = "<think>Buy now?</think>\n**Thought:** compare first\nAction: `search[wool scarf]`";
//! let answer = Answer::new(text, &FinishReason::Stop);
//! let sections = answer.sections(&["Thought", "Action"]);
//! assert_eq!(sections.text("Thought").unwrap(), "compare first");
//! assert_eq!(sections.action(&[]).unwrap(), "search[wool scarf]");
//! ```
//!
//! # Reading order
//! `reasoning` (what is not part of the answer), `labels` (whose text is whose), `dress` (what surrounds a value), `object`
//! (JSON and tool calls left in the text), `numbers` (probabilities by number), `again` (the second request, and what a
//! trace says of it).

mod again;
mod dress;
mod labels;
mod numbers;
mod object;
mod reasoning;

use std::fmt;

use forethought_api::llm::{Choice, FinishReason};

use self::reasoning::Stripped;
pub use self::{
    again::{Unread, ask_again},
    dress::undressed,
    labels::{Sections, written},
    object::Fields,
};

/// What a model wrote, without its reasoning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    text: String,
    /// Whether the token limit cut the text.
    cut: bool,
    /// Whether the text ended within its reasoning.
    unfinished: bool,
    /// Whether the model reasoned, in the text or apart from it.
    reasoned: bool,
    /// Whether the model or its provider refused.
    refused: bool,
}

/// Why an answer, or a part of it, could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// What was requested is not there, or not in a readable form.
    Unreadable,
    /// The token limit cut the answer.
    Cut,
    /// Several different actions.
    Several,
    /// The model refused, or a filter stopped its answer.
    Refused,
    /// There is no text.
    Empty,
}

impl Fault {
    /// Its key where faults are counted: [`Trace::faults`](forethought_api::planner::Trace::faults).
    pub fn key(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Cut => "cut",
            Self::Several => "several",
            Self::Refused => "refused",
            Self::Empty => "empty",
        }
    }
}

/// Why an answer could not be read, for the model that is asked again, and for those who count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The kind.
    pub fault: Fault,
    /// One clause without a full stop, such as `there is no line that starts with "Action:"`.
    pub text: String,
}

impl Complaint {
    /// A complaint about something missing or malformed.
    pub fn unreadable(text: impl Into<String>) -> Self {
        Self { fault: Fault::Unreadable, text: text.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Answer {
    /// The answer in one of a completion's choices.
    pub fn of(choice: &Choice) -> Self {
        let answer = Self::new(&choice.text, &choice.finish);
        Self { reasoned: answer.reasoned || !choice.reasoning.trim().is_empty(), ..answer }
    }

    /// The answer in `text`, which ended for the reason `finish`.
    pub fn new(text: &str, finish: &FinishReason) -> Self {
        let Stripped { text, reasoned, unfinished } = reasoning::strip(text);
        Self {
            text,
            cut: *finish == FinishReason::Length,
            unfinished,
            reasoned,
            refused: *finish == FinishReason::ContentFilter,
        }
    }

    /// The text without reasoning and end-of-turn tokens.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The labelled sections: each label owns the text up to the next of `labels`. An invented `Observation:` ends the
    /// answer, because everything after it is fiction.
    pub fn sections<'a>(&'a self, labels: &[&'a str]) -> Sections<'a> {
        Sections::read(self, labels)
    }

    /// The JSON object that holds `keys`, wherever it is in the text: in a fence, after words, or as the arguments of a
    /// tool call that was written instead of made.
    ///
    /// # Errors
    /// If there is no such object.
    pub fn object(&self, keys: &[&str]) -> Result<Fields, Complaint> {
        object::read(self.given(), keys)
            .ok_or_else(|| self.complaint("this is not a JSON object with the requested keys"))
    }

    /// Probabilities of the statements 1 to `count`, in order: `1: 0.8`, `2) 80 %`, rows of a table.
    ///
    /// # Errors
    /// If a number is missing or is not a probability; the complaint names the statement.
    pub fn probabilities(&self, count: usize) -> Result<Vec<f64>, Complaint> {
        let read: Result<_, _> = self.numbers(count).into_iter().collect();
        read.map_err(|why: String| self.complaint(why))
    }

    /// As [`Answer::probabilities`], with `None` where a number is missing or is not a probability.
    pub fn probability_of_each(&self, count: usize) -> Vec<Option<f64>> {
        self.numbers(count).into_iter().map(Result::ok).collect()
    }

    fn numbers(&self, count: usize) -> Vec<Result<f64, String>> {
        numbers::probabilities(self.whole_lines(), count)
    }

    /// Lines that begin with a number, in any dress: the number, and what is said of it.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.whole_lines().lines().filter_map(numbers::numbered)
    }

    /// The lines that the limit did not cut.
    fn whole_lines(&self) -> &str {
        match self.cut {
            true => self.given().rsplit_once('\n').map_or("", |(lines, _)| lines),
            false => self.given(),
        }
    }

    /// What is said: the first text labelled `Action`, or the whole text if it has no label. It ends where a line starts
    /// with the name of one of `speakers`, because the rest is what another speaker is imagined to say. A speaker's name
    /// in front of the words is left out.
    ///
    /// # Errors
    /// If nothing is said, the token limit cut it, or the model refused.
    pub fn utterance(&self, speakers: &[&str]) -> Result<String, Complaint> {
        let known: Vec<&str> = ["Action", "Thought"].iter().chain(speakers).copied().collect();
        let labelled = !self.sections(&known[..2]).is_empty();
        let bare = Self { text: format!("Action: {}", self.text), ..self.clone() };
        let sections = if labelled { self } else { &bare }.sections(&known);
        let said = sections.first("Action").map_err(|why| match why.fault {
            Fault::Unreadable => self.complaint(why.text),
            _ => why,
        })?;
        let name = speakers.iter().find_map(|name| {
            let head = said.get(..name.len()).filter(|head| head.eq_ignore_ascii_case(name))?;
            said[head.len()..].strip_prefix([':', '：'])
        });
        let said = dress::undress(name.unwrap_or(&said));
        if dress::says_something(&said) { Ok(said) } else { Err(self.complaint("nothing is said")) }
    }

    /// What to act on when nothing could be read twice: the last line that says something. `None` where every line is
    /// syntax, the text was cut, or the model refused.
    pub fn last_resort(&self) -> Option<String> {
        if self.cut || self.refused || self.unfinished {
            return None;
        }
        self.text.lines().rev().find(|line| dress::says_something(line)).map(dress::undress)
    }

    /// Whether the model or its provider refused; nothing in such an answer is read.
    pub fn refused(&self) -> bool {
        self.refused
    }

    /// The same, as if the token limit had not cut it: for what is looked at and not acted on.
    #[must_use]
    pub fn uncut(&self) -> Self {
        Self { cut: false, ..self.clone() }
    }

    /// What may be read.
    fn given(&self) -> &str {
        if self.refused { "" } else { &self.text }
    }

    /// A complaint about something missing, which names the limit, a refusal or silence if that is the reason.
    pub fn complaint(&self, why: impl Into<String>) -> Complaint {
        let (fault, text) = if self.unfinished {
            (Fault::Cut, "the answer ended within its reasoning; think less, then answer".into())
        } else if self.refused {
            (Fault::Refused, "the answer was refused or filtered".into())
        } else if self.text.trim().is_empty() {
            let (fault, text) = match (self.cut, self.reasoned) {
                (true, true) => (Fault::Cut, "reasoning used up the token limit; think less, then answer"),
                (true, false) => {
                    (Fault::Cut, "the answer is empty; the token limit was used up, so answer more briefly")
                }
                (false, true) => (Fault::Empty, "there is reasoning, but no answer after it"),
                (false, false) => (Fault::Empty, "the answer is empty"),
            };
            (fault, text.into())
        } else if self.cut {
            (Fault::Cut, format!("{}; the token limit cut the answer, so answer more briefly", why.into()))
        } else {
            (Fault::Unreadable, why.into())
        };
        Complaint { fault, text }
    }
}

/// Whether a decision such as "I would keep it" keeps. `None` where it says neither or both.
///
/// ```
/// use forethought_sdk::answers::keeps;
/// assert_eq!(keeps("**Keep**, since it works"), Some(true));
/// assert_eq!(keeps("It should not be kept: revise"), Some(false));
/// ```
pub fn keeps(decision: &str) -> Option<bool> {
    let lower = decision.to_lowercase();
    let mut negated = false;
    for word in lower.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty()) {
        match word {
            "keep" | "keeps" | "kept" | "keeping" | "retain" | "unchanged" => return Some(!negated),
            "revise" | "revised" | "revising" | "rewrite" | "replace" | "change" | "improve" => {
                return Some(negated);
            }
            "not" | "don't" | "cannot" | "never" | "shouldn't" | "won't" => negated = true,
            "be" | "to" | "the" | "it" | "need" | "should" => {}
            _ => negated = false,
        }
    }
    None
}

#[cfg(test)]
mod tests;
