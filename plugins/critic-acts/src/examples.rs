//! Examples: what was said, in which dialogue, and which act the annotators called it.

use std::collections::BTreeMap;

use forethought_sdk::prelude::*;

use crate::config::{Input, TrainerConfig};

/// An annotated utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Example {
    /// Index of its trajectory.
    pub(crate) trajectory: usize,
    /// What is read.
    pub(crate) reading: Reading,
    /// Its act: index into the names.
    pub(crate) act: usize,
}

/// The two texts that an act is predicted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The utterance itself or, for a policy, the last that the other side said.
    pub(crate) focus: String,
    /// What was said before it.
    pub(crate) context: String,
}

impl Reading {
    /// Of the dialogue so far, one utterance per line, and what is said next.
    pub(crate) fn new(dialogue: &str, utterance: &str, input: Input, window: usize) -> Self {
        let mut lines: Vec<&str> =
            dialogue.lines().map(bare).filter(|line| !line.is_empty() && !line.starts_with('[')).collect();
        let focus = match input {
            Input::Utterance => utterance,
            Input::State => lines.pop().unwrap_or_default(),
        };
        let context = lines[lines.len().saturating_sub(window)..].join("\n");
        Self { focus: focus.to_owned(), context }
    }
}

/// An utterance without the name of who says it.
fn bare(line: &str) -> &str {
    let line = line.trim();
    match line.split_once(": ") {
        Some((name, said)) if name.chars().all(char::is_alphanumeric) => said.trim(),
        _ => line,
    }
}

/// The act at the start of a thought that was derived from an annotation: `Derived: [emotion appeal] ...`.
pub(crate) fn act(thought: &str) -> Option<&str> {
    let (act, _) = thought.strip_prefix("Derived: [")?.split_once(']')?;
    Some(act.trim()).filter(|act| !act.is_empty())
}

/// Every annotated utterance of the configured seat, and the names of the acts in order.
///
/// # Errors
/// If fewer than two different acts are annotated.
pub(crate) fn of(trajectories: &[Trajectory], config: &TrainerConfig) -> Result<(Vec<Example>, Vec<String>)> {
    let mut found: Vec<(usize, Reading, String)> = Vec::new();
    for (index, trajectory) in trajectories.iter().enumerate().filter(|(_, one)| one.seat == config.seat) {
        let mut dialogue = String::new();
        for step in &trajectory.steps {
            dialogue += &format!("{}\n", step.observation);
            if let Some(act) = act(&step.thought) {
                let reading = Reading::new(&dialogue, &step.action, config.input, config.window);
                found.push((index, reading, act.to_owned()));
            }
            dialogue += &format!("{}\n", step.action.replace('\n', " "));
        }
    }
    let mut names: BTreeMap<String, usize> = found.iter().map(|(.., act)| (act.clone(), 0)).collect();
    names.values_mut().enumerate().for_each(|(index, place)| *place = index);
    if names.len() < 2 {
        return Err(Error::input(format!(
            "{} acts are annotated for seat {}: at least two are needed, as thoughts that begin with \
             \"Derived: [name of the act]\"; importers of annotated dialogues write such thoughts",
            names.len(),
            config.seat
        )));
    }
    let example = |(trajectory, reading, act): (usize, Reading, String)| Example {
        trajectory,
        reading,
        act: names[&act],
    };
    let examples = found.into_iter().map(example).collect();
    Ok((examples, names.into_keys().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_read_only_at_the_start_of_a_derived_thought() {
        assert_eq!(act("Derived: [emotion appeal] Appeal to the heart."), Some("emotion appeal"));
        for thought in ["", "[greeting] Hi.", "Derived: Buy it.", "Derived: [] Hm."] {
            assert_eq!(act(thought), None, "{thought}");
        }
    }

    #[test]
    fn a_reading_has_the_last_lines_without_names_and_brackets() {
        let dialogue = "Donor: Hello.\nWhat is it?\n[Turn 2 of 10]\nDonor: Who are you: a friend?";
        let reading = |input, window| Reading::new(dialogue, "A friend.", input, window);
        let expected = |focus: &str, context: &str| Reading { focus: focus.into(), context: context.into() };
        assert_eq!(
            reading(Input::Utterance, 2),
            expected("A friend.", "What is it?\nWho are you: a friend?")
        );
        assert_eq!(reading(Input::State, 9), expected("Who are you: a friend?", "Hello.\nWhat is it?"));
        assert_eq!(Reading::new("", "", Input::State, 3), expected("", ""));
    }
}
