//! What a request asks for, read from its text as a language model would: by the requested form of answer.

use forethought_sdk::prelude::*;

/// A request as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The requested form of answer.
    pub form: Form,
    /// The thought under discussion; empty if there is none.
    pub thought: String,
    /// Requested number of outcomes.
    pub count: usize,
    /// Evaluated thoughts, the current one last.
    pub evaluations: Vec<Evaluation>,
    /// The outcomes whose probabilities are requested, in order.
    pub asked_outcomes: Vec<String>,
}

/// Forms of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `Thought:`
    Thought,
    /// `Thought:` and `Action:`
    ThoughtAndAction,
    /// `Action:`
    Action,
    /// `Good:` and `Bad:` lines
    Outcomes,
    /// `Decision:` and `Thought:`
    Refine,
    /// `State:` and `Outcome:`
    Summary,
    /// Numbered probabilities
    Probabilities,
}

/// A thought and what the text says of its outcomes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    /// The thought.
    pub thought: String,
    /// Probabilities of its good outcomes.
    pub good: Vec<f64>,
    /// Probabilities of its bad outcomes.
    pub bad: Vec<f64>,
}

/// Forms by the placeholder lines that ask for them; more specific forms come first.
const FORMS: &[(&[&str], Form)] = &[
    (&["Decision: <", "Thought: <"], Form::Refine),
    (&["Good: <", "Bad: <"], Form::Outcomes),
    (&["State: <", "Outcome: <"], Form::Summary),
    (&["1: <"], Form::Probabilities),
    (&["Thought: <", "Action: <"], Form::ThoughtAndAction),
    (&["Thought: <"], Form::Thought),
    (&["Action: <"], Form::Action),
];

impl Ask {
    /// Reads the text of a request.
    ///
    /// # Errors
    /// If no known form of answer is asked for.
    pub fn read(text: &str) -> Result<Self> {
        let asks_for = |label: &&str| text.lines().any(|line| line.trim_start().starts_with(*label));
        let form = FORMS.iter().find(|(labels, _)| labels.iter().all(asks_for)).map(|(_, form)| *form).ok_or_else(
            || {
                Error::config(
                    "the simulated LLM finds no form of answer in the request: a prompt for it ends with lines such \
                     as \"Thought: <...>\" or \"Action: <...>\"",
                )
            },
        )?;
        let mut ask = Self {
            form,
            thought: String::new(),
            count: 0,
            evaluations: Vec::new(),
            asked_outcomes: Vec::new(),
        };
        let mut good = true;
        for line in text.lines() {
            let line = line.trim();
            if let Some(rest) = line.strip_prefix("Imagine ") {
                ask.count =
                    rest.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(ask.count);
            }
            let current = line.strip_prefix("Current thought:");
            if let Some(thought) = current.or_else(|| line.strip_prefix("Earlier thought:")) {
                let thought = thought.trim().to_owned();
                if current.is_some() {
                    ask.thought.clone_from(&thought);
                }
                ask.evaluations.push(Evaluation { thought, ..Evaluation::default() });
            }
            match line {
                "Good outcomes:" => good = true,
                "Bad outcomes:" => good = false,
                _ => ask.note(line, good),
            }
        }
        Ok(ask)
    }

    fn note(&mut self, line: &str, good: bool) {
        let Some((head, text)) = line.split_once(": ") else { return };
        match self.form {
            Form::Refine => {
                let Some(evaluation) = self.evaluations.last_mut() else { return };
                if let (true, Ok(probability)) = (head.starts_with(['0', '1']), head.parse::<f64>()) {
                    if good { evaluation.good.push(probability) } else { evaluation.bad.push(probability) }
                }
            }
            Form::Probabilities if head.parse::<usize>().is_ok() && !text.starts_with('<') => {
                self.asked_outcomes.push(text.to_owned());
            }
            _ => {}
        }
    }
}

/// Whether an outcome sounds like a bad one: a reader's first impression, by its words.
pub fn sounds_bad(outcome: &str) -> bool {
    const WORDS: &[&str] = &[
        "without",
        "wrong",
        "lack",
        "never",
        "only",
        "low",
        "runs out",
        "missing",
        "misses",
        "not ",
        "fail",
        "lose",
        "lost",
        "killed",
        "refuse",
        "unconvinced",
        "angry",
        "nothing",
    ];
    let outcome = outcome.to_lowercase();
    WORDS.iter().any(|word| outcome.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_read_from_the_text() {
        for (text, form) in [
            ("x\nThought: <a>\nAction: <b>", Form::ThoughtAndAction),
            ("Thought: earlier\nAction: did\nThought: <a>", Form::Thought),
            ("Decision: <keep or revise>\nThought: <t>", Form::Refine),
            ("Good: <g>\nBad: <b>", Form::Outcomes),
            ("State: <s>\nOutcome: <o>", Form::Summary),
            ("1: <probability>", Form::Probabilities),
        ] {
            assert_eq!(Ask::read(text).unwrap().form, form, "{text}");
        }
        let ask = Ask::read("1: all is well\n2: it lacks a part\n1: <probability>").unwrap();
        assert_eq!(ask.asked_outcomes.iter().map(|one| sounds_bad(one)).collect::<Vec<_>>(), [false, true]);
        assert!(Ask::read("hello").unwrap_err().message.contains("form of answer"));
    }

    #[test]
    fn evaluations_are_read_in_order() {
        let text = "Earlier thought: a\nGood outcomes:\n0.10: x\nBad outcomes:\n0.90: y\n\n\
                    Current thought: b\nGood outcomes:\n0.60: x\nBad outcomes:\n0.20: y\nDecision: <>\nThought: <>";
        let ask = Ask::read(text).unwrap();
        assert_eq!(ask.thought, "b");
        let pair = |thought: &str, good, bad| Evaluation {
            thought: thought.into(),
            good: vec![good],
            bad: vec![bad],
        };
        assert_eq!(ask.evaluations, [pair("a", 0.1, 0.9), pair("b", 0.6, 0.2)]);
    }
}
