//! What the simulated LLM knows of Avalon: all of it from the text, at every seat and in every phase.

mod common;

use std::collections::BTreeSet;

use forethought_avalon::behaviour::{
    Player,
    moves::Plan,
    view::View,
    words::{self, Outcome},
};
use forethought_avalon::grammar::{self, Ask};
use forethought_avalon::role::Role;
use forethought_sdk::prelude::*;
use forethought_sdk::seed;
use forethought_sdk::serde_json::json;
use forethought_sdk::simulated::{Outcome as _, Worded};

use common::{act, avalon, block_on, reset};

const OPENING: &str = "You are playing Avalon.\n5 players, Player 0 to Player 4, have secret roles.\n";

/// Merlin is asked for a vote on a team with one evil player, after a quest that failed.
const VOTE: &str = "Observation:\n\
    [You] Player 0, Merlin, on the side of Good. Evil are Player 2 and Player 4.\n\
    [Quests] Quest 1 failed with 1 fail (team 1, 2). Now quest 2: team of 3, 1 fail fails it; proposal 2 of 5; Player 3 leads.\n\
    [Discussion] Player 1: I trust Player 3.\n\
    [Discussion] Player 0: I suspect Player 4.\n\
    [Team result] The team 0, 1, 2 is rejected. Player 0 voted reject. Player 1 voted reject. Player 2 voted approve. \
    Player 3 voted reject. Player 4 voted approve.\n\
    [Selection] Player 3 proposes the team 1, 3, 4.\n\
    [Turn] Vote on the team 1, 3, 4: \"vote approve\" or \"vote reject\".\n";

fn prompt(text: &str, thought: &str, seed: u64) -> BehaviourPrompt {
    BehaviourPrompt { text: format!("{OPENING}{text}"), thought: thought.into(), count: 4, seed }
}

#[test]
fn the_text_is_read_as_any_reader_would() {
    let view = View::read(&format!("{OPENING}{VOTE}"));
    assert_eq!((view.me, view.role, view.players, view.ask), (0, Role::Merlin, 5, Some(Ask::Vote)));
    let seats = |seats: &[usize]| seats.iter().copied().collect();
    assert_eq!((view.evil, view.team), (seats(&[2, 4]), seats(&[1, 3, 4])));
    assert_eq!((view.succeeded(), view.failed(), view.proposal, view.size), (0, 1, 2, 3));
    assert_eq!((view.right_words(0, view.evil), view.right_votes(0, view.evil)), (1, 1));
    assert_eq!(
        words::state(&view),
        "I am Merlin. Quests: none succeeded, one failed. To vote on a team. One evil player is on it that I know. I am \
         not on it. My words show a little of what I know. My votes show a little of it. Somebody else good looks as well \
         informed as me."
    );
    assert_eq!(Outcome::reached(&view), Outcome::Rejected);
}

#[test]
fn endings_are_told_apart() {
    for (end, outcome) in [
        ("Good wins: three quests succeeded, and the Assassin missed Merlin.", Outcome::GoodWins),
        ("Evil wins: the Assassin found Merlin.", Outcome::MerlinFound),
        ("Evil wins: three quests failed.", Outcome::MissionsLost),
        ("Evil wins: five teams in a row were rejected.", Outcome::Deadlock),
    ] {
        let view = View::read(&format!(
            "{VOTE}\n[You] Player 0, Merlin, on the side of Good.\n[End] {end} Player 0 was Merlin."
        ));
        assert_eq!(Outcome::reached(&view), outcome, "{end}");
    }
}

#[test]
fn a_thought_is_carried_out_and_another_task_s_is_not() {
    let action = |thought| block_on(Player::default().action(prompt(VOTE, thought, 1))).unwrap();
    for wording in Plan::Against.wordings() {
        assert_eq!(action(wording), "vote reject");
    }
    assert_eq!(action(Plan::Trust.wordings()[0]), "vote approve");
    // It does not answer what is asked, so a move is drawn: some vote.
    assert!(action(Plan::Accuse.wordings()[0]).starts_with("vote "));
    assert!(block_on(Player::default().recognises(format!("{OPENING}{VOTE}"))).unwrap());
    assert!(!block_on(Player::default().recognises("You are shopping.".into())).unwrap());
}

#[test]
fn imagined_outcomes_are_half_good_and_half_bad_for_either_side() {
    let evil = VOTE.replace(
        "Merlin, on the side of Good. Evil are Player 2",
        "Minion, on the side of Evil. Evil with you is Player 2",
    );
    let said = |outcomes: &[String], outcome: Outcome| {
        outcomes.iter().any(|text| outcome.wordings().contains(&text.as_str()))
    };
    let good = block_on(Player::default().outcomes(prompt(VOTE, "x", 5))).unwrap();
    let bad = block_on(Player::default().outcomes(prompt(&evil, "x", 5))).unwrap();
    assert_eq!((good.len(), bad.len()), (4, 4));
    assert!(said(&good[..2], Outcome::GoodWins) && !said(&good[2..], Outcome::GoodWins), "{good:?}");
    assert!(said(&bad[2..], Outcome::GoodWins) && !said(&bad[..2], Outcome::GoodWins), "{bad:?}");
}

/// Five simulated players, at tables with and without special roles and talk: all their answers are read and legal.
#[test]
fn every_seat_knows_what_to_do_in_every_phase() {
    let tables = [
        json!({ "discussion": true }),
        json!({ "players": 7, "special_roles": ["percival", "morgana", "oberon"], "discussion": true }),
        json!({ "players": 10, "special_roles": ["percival", "mordred"], "fifth_rejection": "evil_wins" }),
    ];
    let (mut asked, mut roles) = (BTreeSet::new(), BTreeSet::new());
    for (table, keys) in tables.into_iter().enumerate() {
        let world = avalon(keys);
        let spec = block_on(world.spec()).unwrap();
        for game in 0..8 {
            let mut turn = reset(&world, game, 11);
            let mut seen = vec![spec.instructions.clone(); spec.seats.len()];
            loop {
                let history = &mut seen[turn.seat];
                *history += &format!("\nObservation:\n{}\n", turn.observation.text);
                let ask = BehaviourPrompt {
                    text: history.clone(),
                    count: 4,
                    seed: seed::derive(game, history),
                    ..BehaviourPrompt::default()
                };
                let thought = block_on(Player::default().thought(ask.clone())).unwrap();
                let view = View::read(history);
                let wanted = view.ask.expect("a request");
                assert_eq!(Plan::read(&thought).map(Plan::answers), Some(wanted), "{thought}");
                let action = block_on(Player::default().action(BehaviourPrompt { thought, ..ask })).unwrap();
                let made = grammar::read(&action, wanted, spec.seats.len()).expect("an action");
                assert_eq!(made.to_string(), action);
                assert!(wanted == Ask::Say || turn.legal_actions.contains(&action), "{action}");
                asked.insert(format!("{wanted:?}"));
                roles.insert((table, view.role.word()));
                let transition = act(&world, &action);
                turn = transition.turn;
                if transition.terminated {
                    let end = View::read(&turn.observation.text).outcome;
                    assert!(end.is_some(), "{}", turn.observation.text);
                    break;
                }
            }
        }
    }
    assert_eq!(asked.len(), 5);
    assert_eq!(roles.len(), 4 + 6 + 6, "{roles:?}");
}
