//! The answers of a large chat model to this program's own prompts are all read at once.

use std::{collections::BTreeMap, path::Path, process::ExitCode};

use forethought_sdk::{
    answers::{Answer, Complaint, keeps},
    api::llm::FinishReason,
    serde_json::{Value, from_str},
};
use forethought_testkit::Suite;

fn main() -> ExitCode {
    Suite::default()
        .golden("answers_of_a_chat_model_are_read_at_once", &["chat_model_answers"], all_are_read)
        .run()
}

fn all_are_read(data: &Path) {
    let text = std::fs::read_to_string(data.join("chat_model_answers/answers.jsonl")).expect("the answers");
    let (mut read_of, mut unread) = (BTreeMap::<String, usize>::new(), Vec::new());
    for line in text.lines() {
        let row: Value = from_str(line).expect("a row");
        let purpose = row["purpose"].as_str().expect("a purpose");
        let answer = Answer::new(row["answer"].as_str().expect("an answer"), &FinishReason::Stop);
        let prompt = row["messages"].to_string();
        match read(purpose, &prompt, &answer) {
            Ok(()) => *read_of.entry(purpose.to_owned()).or_default() += 1,
            Err(complaint) => unread.push(format!("{} {purpose}: {complaint}", row["id"])),
        }
    }
    assert!(unread.is_empty(), "{} unread:\n{}", unread.len(), unread.join("\n"));
    assert_eq!(read_of.values().sum::<usize>(), 936, "{read_of:?}");
    assert!(read_of.len() >= 6, "every purpose: {read_of:?}");
}

/// Reads an answer as the planner does that asked for it.
fn read(purpose: &str, prompt: &str, answer: &Answer) -> Result<(), Complaint> {
    let sections = |labels: &[&'static str]| answer.sections(labels);
    let action = || {
        let action = sections(&["Thought", "Action"]).action(&[])?;
        let lines = action.lines().count();
        if lines == 1 { Ok(()) } else { Err(Complaint::unreadable(format!("an action of {lines} lines"))) }
    };
    match purpose {
        "react" => sections(&["Thought", "Action"]).text("Thought").and(action()),
        "action" => action(),
        "thought" => sections(&["Thought"]).text("Thought").map(drop),
        "summarise" => {
            let sections = sections(&["State", "Outcome"]);
            sections.text("State").and(sections.text("Outcome")).map(drop)
        }
        "refine" => {
            let sections = sections(&["Decision", "Thought"]);
            let decision = sections.text("Decision")?;
            keeps(&decision).ok_or_else(|| Complaint::unreadable(format!("neither: {decision}")))?;
            sections.text("Thought").map(drop)
        }
        "outcomes" => {
            // Some prompts give a list to pick from instead: "Pick 2 good and 2 bad ones".
            let wanted = prompt.rsplit_once("Imagine ").and_then(|(_, rest)| rest.split_once(' '));
            let wanted: usize = wanted.map_or(4, |(count, _)| count.parse().expect("a number of outcomes"));
            let found = sections(&["Good", "Bad"]).texts(&["Good", "Bad"]).len();
            let few = || Complaint::unreadable(format!("{found} of {wanted} outcomes"));
            if found >= wanted { Ok(()) } else { Err(few()) }
        }
        // Any words.
        "other" if !answer.text().is_empty() => Ok(()),
        other => panic!("the purpose {other} is new, or its answer is empty"),
    }
}
