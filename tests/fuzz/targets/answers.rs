//! The reader of answers: reading is idempotent, and nothing within unclosed reasoning is acted on.
#![no_main]

use forethought_fuzz as _;
use forethought_sdk::{answers::Answer, prelude::FinishReason};
use libfuzzer_sys::fuzz_target;

const LABELS: [&str; 4] = ["Thought", "Action", "Good outcome", "Decision"];

fn read(text: &str, finish: &FinishReason) {
    let answer = Answer::new(text, finish);
    let sections = answer.sections(&LABELS);
    let legal = ["keep".to_owned()];
    let action = sections.action(&legal);
    assert_eq!(action, Answer::new(text, finish).sections(&LABELS).action(&legal));
    if answer.refused() {
        assert!(action.is_err() && answer.object(&["action"]).is_err() && answer.last_resort().is_none());
    }
    for (index, text) in sections.texts(&LABELS) {
        assert!(index < LABELS.len() && !text.is_empty());
    }
    let _ = (sections.text("Thought"), sections.first("Action"), sections.first_action(&legal));
    if let Ok(fields) = answer.object(&["thought", "action"]) {
        let _ = (fields.action("action", &legal), fields.texts("thought"));
    }
    for one in answer.probability_of_each(3).into_iter().flatten() {
        assert!((0.0..=1.0).contains(&one), "{one}");
    }
    if let Ok(said) = answer.utterance(&["Persuader", "Persuadee"]) {
        assert!(said.contains(char::is_alphanumeric), "{said:?}");
    }
    if let Some(line) = answer.last_resort() {
        assert!(line.contains(char::is_alphanumeric), "{line:?}");
    }
}

fuzz_target!(|text: &str| {
    for finish in [FinishReason::Stop, FinishReason::Length, FinishReason::ContentFilter] {
        read(text, &finish);
    }
    // What follows an opening mark that nothing closes is no part of the answer.
    let inner = text.replace(['<', '[', '◁'], " ");
    for open in ["<think>", "[THINK]", "◁think▷"] {
        let unclosed = format!("{open}{inner}\nAction: search[secret]");
        let answer = Answer::new(&unclosed, &FinishReason::Stop);
        assert_eq!(answer.text(), "");
        assert!(answer.sections(&LABELS).action(&[]).is_err() && answer.last_resort().is_none());
        assert!(answer.object(&["action"]).is_err());
    }
});
