//! The mediocre persuader, through prompts as planners write them.

use std::collections::BTreeMap;

use forethought_persuasion::behaviour::{Persuader, moves::Move, words::Outcome};
use forethought_sdk::prelude::*;
use forethought_sdk::simulated::Worded;
use forethought_testkit::block_on;

const OPENING: &str = "You are in a dialogue: persuasion for Save the Children.\nYou are the persuader.\n\n";

fn prompt(dialogue: &str, thought: &str, seed: u64) -> BehaviourPrompt {
    BehaviourPrompt { text: format!("{OPENING}{dialogue}"), thought: thought.into(), count: 4, seed }
}

/// How often each strategy comes to mind in 2,000 draws.
fn thoughts(dialogue: &str) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for seed in 0..2000 {
        let thought = block_on(Persuader::default().thought(prompt(dialogue, "", seed))).unwrap();
        let found = Move::read(&thought).expect("one of its own");
        *counts.entry(found.wordings()[0]).or_default() += 1;
    }
    counts
}

#[test]
fn the_task_is_recognised_by_the_first_line_of_its_instructions() {
    let recognises = |text: &str| block_on(Persuader::default().recognises(text.into())).unwrap();
    assert!(recognises(OPENING));
    assert!(!recognises("You are in a dialogue: negotiation over a price.\n"));
    assert!(!recognises("You are shopping on WebShop."));
}

#[test]
fn it_asks_for_money_too_soon_and_insists_when_refused() {
    let first = thoughts("[Turn 1 of 10]\n[Your turn] Speak.");
    assert!(first[Move::Propose.wordings()[0]] > 300, "a fifth of all openings: {first:?}");
    let press = |dialogue: &str| thoughts(dialogue).get(Move::Press.wordings()[0]).copied().unwrap_or(0);
    let friendly = press("Action: Hello!\n[Turn 2 of 10]\nDonor: That sounds nice.");
    let refused = press("Action: Hello!\n[Turn 2 of 10]\nDonor: No thanks, I'd rather not.");
    assert!(refused > 2 * friendly, "{friendly} {refused}");
}

#[test]
fn what_is_said_carries_out_the_thought_and_is_not_said_twice() {
    let mut said = String::new();
    for turn in 0..3 {
        let dialogue = format!("{said}[Turn {} of 10]\nDonor: I see.", turn + 1);
        let action =
            block_on(Persuader::default().action(prompt(&dialogue, Move::Logic.wordings()[1], 5))).unwrap();
        assert_eq!(Move::of(&action), Move::Logic, "{action}");
        assert!(!said.contains(&action), "{action}");
        said += &format!("Action: {action}\nDonor: I see.\n");
    }
    // Thoughts in other words: an act in brackets.
    let action =
        block_on(Persuader::default().action(prompt("", "[emotion appeal] Move the donor's feelings.", 1)))
            .unwrap();
    assert_eq!(Move::of(&action), Move::Emotion);
}

#[test]
fn states_and_outcomes_are_in_one_style() {
    let summary = |dialogue: &str| block_on(Persuader::default().summary(prompt(dialogue, "", 3))).unwrap();
    let asked = "Action: Hello!\nDonor: Hi.\nAction: Would you like to donate some of your payment to Save the Children?\n\
                 [Turn 3 of 10]\nDonor: How do I know that I can trust them?";
    let (state, outcome) = summary(asked);
    let known = "The donor doubts. Held back by distrust: distrust not answered. Tried: asking.";
    assert_eq!(state, format!("Early in the talk. {known}"));
    assert!(Outcome::Doubts.wordings().contains(&&*outcome), "{outcome}");
    for (end, reached) in [
        ("[End] The donor gives $1.50.", Outcome::Gift),
        ("[End] The donor gives $0.05.", Outcome::Gift),
        ("[End] The donor gives nothing.", Outcome::Nothing),
    ] {
        let (state, outcome) = summary(&format!("{asked}\n{end}"));
        assert!(reached.wordings().contains(&&*outcome), "{end}: {outcome}");
        assert!(state.starts_with("The donor gave $") && state.ends_with(known), "{state}");
    }
    assert_eq!(
        summary(&asked.replace("Hello!", "You can trust them, they have a long record."))
            .0
            .matches("answered once")
            .count(),
        1
    );
    for (answer, reached) in [
        ("They have a long record, you can trust them.", Outcome::Met),
        ("You really have to donate, there is no excuse.", Outcome::Missed),
    ] {
        let (_, outcome) = summary(&format!("{asked}\nAction: {answer}\n[Turn 4 of 10]\nDonor: I see."));
        assert!(reached.wordings().contains(&&*outcome), "{answer}: {outcome}");
    }
    let imagined = block_on(Persuader::default().outcomes(prompt(asked, "", 3))).unwrap();
    let expected = [Outcome::Met, Outcome::Gift, Outcome::Missed, Outcome::Nothing];
    assert_eq!(imagined.len(), expected.len());
    for (text, expected) in imagined.iter().zip(expected) {
        assert!(expected.wordings().contains(&&**text), "{text}");
    }
}

#[test]
fn it_serves_the_prompts_of_searches_over_acts() {
    let act = "Which one should the Persuader choose next? Reply with one line:\nAction: <the name of the act, in brackets>";
    let action = block_on(Persuader::default().action(prompt(act, "", 1))).unwrap();
    assert!(Move::ALL.iter().any(|one| format!("[{}]", one.act()) == action), "{action}");
    let as_donor = "You are in a dialogue: persuasion for Save the Children.\nYou are the donor. A stranger.\n\
                    The dialogue so far:\nPersuader: Would you be willing to make a donation to Save the Children today?\n\
                    [no donation]\n[negative reaction]\n[neutral]\n[positive reaction]\n[donate]\n";
    let prompt = |seed| BehaviourPrompt { text: as_donor.into(), seed, ..BehaviourPrompt::default() };
    let mut replies = BTreeMap::new();
    for seed in 0..300 {
        let answer = block_on(Persuader::default().action(prompt(seed))).unwrap();
        let reply = answer.split(']').next().unwrap().to_owned();
        assert!(as_donor.contains(&format!("{reply}]\n")), "{answer}");
        *replies.entry(reply).or_insert(0) += 1;
    }
    assert!(replies.len() >= 4, "asked too soon, it is of many minds: {replies:?}");
}
