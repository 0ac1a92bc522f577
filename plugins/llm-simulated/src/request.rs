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
    /// Requested number of thoughts.
    pub thoughts: usize,
    /// Evaluated thoughts, the current one last; those to choose from in order.
    pub evaluations: Vec<Evaluation>,
    /// The outcomes whose probabilities are requested, or the ways to choose from, in order.
    pub asked_outcomes: Vec<String>,
    /// Sentences to speak in.
    pub style: Style,
    /// Sentences to compare by meaning, with their numbers: the known ones, then the new ones.
    pub sentences: Vec<(usize, String)>,
    /// How many of `sentences` are known.
    pub known: usize,
    /// How many proposals are to be ranked, or chosen from.
    pub proposals: usize,
    /// The kinds of modules to choose from, and how many there are of each.
    pub modules: Vec<(String, usize)>,
}

/// Sentences that a prompt lists for the speaker to use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Style {
    /// Summaries of states.
    pub states: Vec<String>,
    /// Thoughts.
    pub thoughts: Vec<String>,
    /// Outcomes.
    pub outcomes: Vec<String>,
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
    /// `State:`
    State,
    /// `Thought:` lines, then `Good:` and `Bad:` lines
    Candidates,
    /// `Choice:` and `Action:`
    Choose,
    /// `Plan:` and `Action:`
    Resume,
    /// Numbers of new sentences, each with that of an earlier one
    Same,
    /// `Reflection:`
    Reflection,
    /// `Grade:`, from 1 to 10
    Grade,
    /// `Ranking:` of numbered proposals
    Ranking,
    /// `Result:` of an action
    Result,
    /// `Vote:` for one of the numbered proposals
    Vote,
    /// `Action:` lines
    WholePlan,
    /// `Branch:`
    Branch,
    /// `Step:` lines
    Plan,
    /// `Step:` lines, each with a `Needs:` line
    PlanWithNeeds,
    /// `Status:` and `Action:`
    Status,
    /// `Holds:`
    Holds,
    /// `Ask:`
    Ask,
    /// `Next:`
    Next,
    /// `Constraint:` lines
    Constraints,
    /// `Feedback:` and `Score:`, from -100 to 100
    Verdict,
    /// A line with a number for each kind of module
    Modules,
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

impl Evaluation {
    /// Notes a probability. Anything else, such as "no data", is not one.
    fn note(&mut self, cell: &str, good: bool) {
        // The critic's uncertainty may follow the number.
        let cell = cell.split_once(" ±").map_or(cell, |(number, _)| number).trim();
        if let (true, Ok(probability)) = (cell.starts_with(['0', '1']), cell.parse::<f64>()) {
            if good { self.good.push(probability) } else { self.bad.push(probability) }
        }
    }
}

impl Style {
    /// The list under this heading.
    fn of(&mut self, heading: &str) -> &mut Vec<String> {
        match heading {
            heading if heading.contains("states") => &mut self.states,
            heading if heading.contains("outcomes") => &mut self.outcomes,
            _ => &mut self.thoughts,
        }
    }
}

/// Forms by the placeholder lines that ask for them; more specific forms come first.
const FORMS: &[(&[&str], Form)] = &[
    (&["<number of a new sentence>: <"], Form::Same),
    (&["Reflection: <"], Form::Reflection),
    (&["Grade: <"], Form::Grade),
    (&["Ranking: <"], Form::Ranking),
    (&["Result: <"], Form::Result),
    (&["Vote: <"], Form::Vote),
    (&["Action: <each action"], Form::WholePlan),
    (&["Branch: <"], Form::Branch),
    (&["Step: <", "Needs: <"], Form::PlanWithNeeds),
    (&["Step: <"], Form::Plan),
    (&["Status: <", "Action: <"], Form::Status),
    (&["Holds: <"], Form::Holds),
    (&["Ask: <"], Form::Ask),
    (&["Next: <"], Form::Next),
    (&["Constraint: <"], Form::Constraints),
    (&["Feedback: <", "Score: <a number from -100"], Form::Verdict),
    (&["Solution: <the number of a module"], Form::Modules),
    (&["Decision: <", "Thought: <"], Form::Refine),
    (&["Choice: <", "Action: <"], Form::Choose),
    (&["Plan: <", "Action: <"], Form::Resume),
    (&["Thought: <", "Good: <", "Bad: <"], Form::Candidates),
    (&["Good: <", "Bad: <"], Form::Outcomes),
    (&["State: <", "Outcome: <"], Form::Summary),
    (&["State: <"], Form::State),
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
            thoughts: 0,
            evaluations: Vec::new(),
            asked_outcomes: Vec::new(),
            style: Style::default(),
            sentences: Vec::new(),
            known: 0,
            proposals: 0,
            modules: Vec::new(),
        };
        let mut good = true;
        let (mut list, mut listed) = (None, false);
        for line in text.lines() {
            let line = line.trim();
            let number = |rest: &str| rest.split_whitespace().next().and_then(|word| word.parse().ok());
            if let Some(rest) = line.strip_prefix("Imagine ") {
                ask.count = number(rest).unwrap_or(ask.count);
            } else if let Some(rest) = line.strip_prefix("Consider ") {
                ask.thoughts = number(rest).unwrap_or(ask.thoughts);
            } else if line.starts_with("Words of earlier episodes") {
                list = Some(line);
            } else if let (Some(heading), Some(sentence)) = (list, line.strip_prefix("- ")) {
                ask.style.of(heading).push(sentence.to_owned());
            } else {
                list = None;
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
                // Numbers before the lists are not theirs.
                "Known:" => {
                    ask.sentences.clear();
                    listed = true;
                }
                "New:" => {
                    if !listed {
                        ask.sentences.clear();
                    }
                    ask.known = ask.sentences.len();
                }
                _ => ask.note(line, good),
            }
        }
        Ok(ask)
    }

    fn note(&mut self, line: &str, good: bool) {
        if let (Form::Choose, Some(row)) = (self.form, line.strip_prefix("| ")) {
            for (evaluation, cell) in self.evaluations.iter_mut().zip(row.split('|')) {
                evaluation.note(cell, good);
            }
        }
        if let (Form::Modules, Some(kind)) = (self.form, line.strip_suffix(" modules:")) {
            self.modules.push((kind.to_owned(), 0));
        }
        let Some((head, text)) = line.split_once(": ") else { return };
        match self.form {
            // Of a score alone it has only an impression: at least a half seems good.
            Form::Refine if head.starts_with("The score that a critic") => {
                if let (Some(evaluation), Ok(score)) = (self.evaluations.last_mut(), text.parse::<f64>()) {
                    evaluation.good.push(score);
                    evaluation.bad.push(1.0 - score);
                }
            }
            Form::Modules => {
                let number = head.parse().ok();
                if let (Some(number), Some((_, count))) = (number, self.modules.last_mut()) {
                    *count = number;
                }
            }
            Form::Refine => {
                let Some(evaluation) = self.evaluations.last_mut() else { return };
                // What is usual may follow the number.
                evaluation.note(head.split_once(" (usual").map_or(head, |(number, _)| number), good);
            }
            Form::Choose
                if head.strip_prefix("Thought ").is_some_and(|number| number.parse::<usize>().is_ok()) =>
            {
                let thought = text.trim().to_owned();
                self.evaluations.push(Evaluation { thought, ..Evaluation::default() });
            }
            Form::Ranking | Form::Vote => {
                // The last list: an earlier one is no part of the question.
                let number = head.strip_prefix("Proposal ").and_then(|number| number.parse().ok());
                self.proposals = number.unwrap_or(self.proposals);
            }
            Form::Same => {
                self.sentences.extend(head.parse().ok().map(|number| (number, text.trim().to_owned())));
            }
            Form::Branch if !text.starts_with('<') => {
                let Ok(number) = head.parse::<usize>() else { return };
                // The last list: an earlier one is no part of the question.
                self.asked_outcomes.truncate(number.saturating_sub(1));
                self.asked_outcomes.push(text.to_owned());
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
            ("State: <s>", Form::State),
            ("Thought: <t>\nGood: <g>\nBad: <b>", Form::Candidates),
            ("Choice: <n>\nAction: <a>", Form::Choose),
            ("Plan: <p>\nAction: <a>", Form::Resume),
            ("Reflection: <r>", Form::Reflection),
            ("Grade: <g>", Form::Grade),
            ("Proposal 1: a\nRanking: <r>", Form::Ranking),
            ("Current thought: a\nResult: <r>", Form::Result),
            ("Proposal 1: a\nVote: <v>", Form::Vote),
            ("Action: <each action, in order>", Form::WholePlan),
            ("1: go left\nBranch: <n>", Form::Branch),
            ("Step: <s>", Form::Plan),
            ("Step: <s>\nNeeds: <n>", Form::PlanWithNeeds),
            ("Status: <s>\nAction: <a>", Form::Status),
            ("Holds: <yes or no>", Form::Holds),
            ("Ask: <yes or no>", Form::Ask),
            ("Next: <step>", Form::Next),
            ("<number of a new sentence>: <number of the earlier sentence, or new>", Form::Same),
            ("Constraint: <c>", Form::Constraints),
            ("Feedback: <f>\nScore: <a number from -100 to 100>", Form::Verdict),
            ("Solution: <the number of a module>", Form::Modules),
        ] {
            assert_eq!(Ask::read(text).unwrap().form, form, "{text}");
        }
        let ask = Ask::read("1: all is well\n2: it lacks a part\n1: <probability>").unwrap();
        assert_eq!(ask.asked_outcomes.iter().map(|one| sounds_bad(one)).collect::<Vec<_>>(), [false, true]);
        assert!(Ask::read("hello").unwrap_err().message.contains("form of answer"));
    }

    #[test]
    fn a_table_is_read_by_column_and_yardsticks_are_no_probabilities() {
        let text = "Thought 1: a\nThought 2: b\n\nGood outcomes:\n| 0.10 | no data | x (usual here 0.31) |\n\
                    Bad outcomes:\n| 0.90 | 0.20 | y: z |\nChoice: <>\nAction: <>";
        let ask = Ask::read(text).unwrap();
        let evaluation = |thought: &str, good: &[f64], bad: f64| Evaluation {
            thought: thought.into(),
            good: good.to_vec(),
            bad: vec![bad],
        };
        assert_eq!(ask.evaluations, [evaluation("a", &[0.1], 0.9), evaluation("b", &[], 0.2)]);
        let text = "Current thought: a\nGood outcomes:\n0.10 (usual here 0.31, episodes that reached it scored 0.74 on \
                    average): x\nno data: w\nBad outcomes:\n0.90: y\nDecision: <>\nThought: <>";
        assert_eq!(Ask::read(text).unwrap().evaluations, [evaluation("a", &[0.1], 0.9)]);
        let text = "Current thought: a\nGood outcomes:\n0.10 ± 0.05: x\nBad outcomes:\n0.90 ± 0.02 (usual here 0.31): y\n\
                    Decision: <>\nThought: <>";
        assert_eq!(Ask::read(text).unwrap().evaluations, [evaluation("a", &[0.1], 0.9)]);
        let text = "Current thought: a\nThe score that a critic that has seen many episodes expects from here: 0.25\n\
                    Decision: <>\nThought: <>";
        assert_eq!(Ask::read(text).unwrap().evaluations, [evaluation("a", &[0.25], 0.75)]);
    }

    #[test]
    fn modules_are_counted_by_their_kind() {
        let text = "1: of the task\n\nAnalysis modules:\n1: a - b\n2: c - d\n\nSolution modules:\n1: e - f\n\n\
                    Analysis: <the number of a module, or none>\nSolution: <the number of a module>";
        assert_eq!(Ask::read(text).unwrap().modules, [("Analysis".into(), 2), ("Solution".into(), 1)]);
    }

    #[test]
    fn sentences_to_compare_are_known_or_new() {
        let form = "<number of a new sentence>: <number of the earlier sentence that says the same, or new>";
        let ask =
            Ask::read(&format!("Rule\n1: be kind\n\nKnown:\n1: a\n2: b: c\nNew:\n3: d\n\n{form}")).unwrap();
        let sentence = |number, text: &str| (number, text.to_owned());
        assert_eq!(ask.sentences, [sentence(1, "a"), sentence(2, "b: c"), sentence(3, "d")]);
        assert_eq!((ask.form, ask.known), (Form::Same, 2));
        let ask = Ask::read(&format!("1: be kind\nNew:\n1: d\n{form}")).unwrap();
        assert_eq!((ask.sentences.len(), ask.known), (1, 0));
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
