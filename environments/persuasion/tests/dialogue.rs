//! Dialogues from outside: golden ones, what each seat can know, how each preset ends, copies, and conformance.

use std::fmt::Write as _;
use std::path::Path;

use forethought_persuasion::environment::Persuasion;
use forethought_persuasion::script::ScriptConfig;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Value, from_value, json};
use forethought_testkit::block_on;

fn world(config: Value) -> Persuasion {
    Persuasion::new(from_value::<ScriptConfig>(config).expect("a valid configuration").0)
}

fn reset(world: &dyn Environment, seed: u64) -> Turn {
    block_on(world.reset(Reset { task: 0, seed })).expect("a first turn")
}

fn say(world: &dyn Environment, words: &str) -> Transition {
    block_on(world.step(Action::new(words))).expect("an answer")
}

/// Says the same until it is over; returns the last transition and the number of steps.
fn until_the_end(world: &dyn Environment, words: &str) -> (Transition, u32) {
    for steps in 1..1000 {
        let transition = say(world, words);
        if transition.terminated {
            return (transition, steps);
        }
    }
    panic!("the dialogue does not end");
}

/// Plays what a golden file says after `>`, and writes down what every seat saw on the way.
fn played(name: &str) -> (String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let config = golden.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a configuration");
    let world = world(forethought_sdk::serde_json::from_str(config).expect("JSON"));
    let mut turn = reset(&world, 7);
    let mut text = format!("# {config}\n{}\n", turn.observation.text);
    for words in golden.lines().filter_map(|line| line.strip_prefix("> ")) {
        let answer = say(&world, words);
        turn = answer.turn;
        let _ = write!(text, "> {words}\n\n{}\n", turn.observation.text);
        if answer.terminated {
            let metrics = &answer.info["metrics"];
            let _ = writeln!(text, "The first seat:\n{}", answer.info["ends"][0].as_str().expect("a text"));
            let _ = writeln!(
                text,
                "rewards {:?}, success {:?}, metrics {metrics}",
                answer.rewards, answer.success
            );
        }
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &text).expect("the golden file can be written");
        return (text.clone(), text);
    }
    (text, golden)
}

/// After an intended change: `UPDATE_EXPECT=1 cargo test`, and read the difference.
#[test]
fn dialogues_are_as_they_are_written_down() {
    for name in ["agreement.txt", "closing.txt", "gdp-zero.txt", "negotiation.txt", "own.txt"] {
        let (text, golden) = played(name);
        assert_eq!(text, golden, "{name}");
    }
}

#[test]
fn the_donation_is_asked_for_after_the_last_turn_and_once_more_if_it_cannot_be_read() {
    let play = |answer: &str| {
        let world = world(json!({ "turns": 2 }));
        reset(&world, 0);
        for _ in 0..3 {
            say(&world, "hello");
        }
        let asked = say(&world, "I'd give $2");
        assert!(!asked.terminated, "free words bind only in answer to the closing question");
        assert!(asked.turn.seat == 1 && asked.turn.observation.text.contains("[Closing question]"));
        until_the_end(&world, answer)
    };
    let check = |answer: &str, donation: f64, success: bool, steps: u32| {
        let (end, taken) = play(answer);
        assert_eq!(
            end.info["metrics"],
            json!({ "turns": 2, "donation": donation, "donated": f64::from(success) })
        );
        assert_eq!(
            (end.rewards, end.success, taken),
            (vec![donation / 2.0, 0.0], Some(success), steps),
            "{answer}"
        );
    };
    check("fifty cents", 0.5, true, 1);
    check("I'd give $5", 2.0, true, 1);
    check("No, sorry.", 0.0, false, 1);
    check("We shall see.", 0.0, false, 2);
}

#[test]
fn gdp_zero_ends_by_its_rules_in_their_order() {
    let game = |replies: &[&str]| {
        let world = world(json!({ "preset": "gdp-zero" }));
        reset(&world, 0);
        let mut last = None;
        for reply in replies {
            say(&world, "[donate] Please give.");
            let answer = say(&world, &format!("{reply} Well."));
            assert_eq!(answer.rewards[1], 0.0);
            let over = answer.terminated;
            last = Some(answer);
            if over {
                break;
            }
        }
        let last = last.expect("a reply");
        (last.terminated, last.rewards[0], last.success, last.info["metrics"]["turns"].clone())
    };
    let (yes, no, open) = ("[donate]", "[no donation]", "[positive reaction]");
    assert_eq!(game(&[open, yes]), (true, 1.0, Some(true), json!(2)));
    assert_eq!(game(&[open, no]), (true, -1.0, Some(false), json!(2)));
    assert_eq!(game(&["[Donate]"]), (true, 1.0, Some(true), json!(1)));
    assert_eq!(game(&["I donate. [neutral]"]), (false, 0.0, None, Value::Null));
    assert_eq!(game(&["[delighted] [donate]"]), (false, 0.0, None, Value::Null), "the first brackets count");
    assert!(!game(&[open; 14]).0);
    assert_eq!(game(&[open; 15]), (true, -1.0, Some(false), json!(15)));
    // The limit comes first: a donation in the fifteenth turn is too late.
    let mut late = [open; 15];
    late[14] = yes;
    assert_eq!(game(&late), (true, -1.0, Some(false), json!(15)));
    let first = reset(&world(json!({ "preset": "gdp-zero" })), 0).observation.data["dialogue"].clone();
    assert_eq!(first["first_acts"], json!(["greeting"]));
    let values: Vec<_> =
        first["replies"].as_array().expect("replies").iter().map(|it| it["value"].clone()).collect();
    assert_eq!(values, [-1.0, -0.5, 0.0, 0.5, 1.0].map(Value::from));
    assert_eq!(first["acts"].as_array().map(Vec::len), Some(7));
}

#[test]
fn a_deal_needs_an_offer_of_the_other_side() {
    let world = world(json!({ "preset": "negotiation" }));
    let buyer = reset(&world, 3).observation.data["deal"].clone();
    assert!(!say(&world, "[ACCEPT]").terminated, "there is nothing yet to accept");
    let price = buyer["limit"].as_f64().expect("a limit") - 1.0;
    let seller = say(&world, &format!("[OFFER ${price}]")).turn.observation.data["deal"].clone();
    assert_eq!(seller["item"], buyer["item"]);
    let least = {
        let copy = block_on(world.fork()).expect("a fork").expect("a copy");
        say(&*copy, "Fine.").turn.observation.data["deal"]["limit"].as_f64().expect("a limit")
    };
    let end = say(&world, "Then [ACCEPT]");
    let share = (buyer["limit"].as_f64().expect("a limit") - price)
        / (buyer["limit"].as_f64().expect("a limit") - least);
    assert!(end.terminated && end.success == Some(true));
    assert!(
        (end.rewards[0] - share).abs() < 1e-9 && (end.rewards[0] + end.rewards[1] - 1.0).abs() < 1e-9,
        "{end:?}"
    );

    let walked = {
        reset(&world, 3);
        say(&world, "[WALK AWAY]")
    };
    assert_eq!((walked.terminated, walked.rewards), (true, vec![0.0, 0.0]));
    reset(&world, 3);
    let (end, steps) = until_the_end(&world, "No.");
    assert_eq!((end.rewards, steps, end.info["end"].clone()), (vec![0.0, 0.0], 20, json!("length")));
}

#[test]
fn the_first_seat_sees_nothing_of_who_the_second_is() {
    let seen = |seed: u64, preset: &str| {
        let world = world(json!({ "preset": preset }));
        let mut turns = vec![reset(&world, seed)];
        for words in ["Hello.", "Hi.", "Would you give?", "[neutral] Perhaps."] {
            turns.push(say(&world, words).turn);
        }
        turns.into_iter().partition::<Vec<_>, _>(|turn| turn.seat == 0)
    };
    for preset in ["persuasion", "gdp-zero"] {
        let (persuader, donor) = seen(1, preset);
        let (other_persuader, other_donor) = seen(2, preset);
        assert_eq!(persuader, other_persuader, "what differs between episodes is hidden");
        assert_ne!(donor, other_donor, "and it does differ");
        assert!(persuader.iter().all(|turn| turn.observation.data["token"].is_null()));
        let tokens: Vec<_> = donor.iter().map(|turn| &turn.observation.data["token"]).collect();
        assert!(
            tokens[0].is_u64() && tokens.iter().all(|token| *token == tokens[0]),
            "one person throughout"
        );
    }
}

#[test]
fn a_copy_is_independent_and_an_imagined_one_has_another_donor() {
    let world = world(json!({}));
    reset(&world, 5);
    let token = say(&world, "Hello.").turn.observation.data["token"].clone();
    let copy = |seat, seed| {
        let copy = world.imagine(Imagine { seat, seed, hidden: Value::Null });
        block_on(copy).expect("an answer").expect("a copy")
    };
    let forked = block_on(world.fork()).expect("an answer").expect("a copy");
    let token_in = |world: &dyn Environment| {
        say(world, "Hm.");
        say(world, "So?").turn.observation.data["token"].clone()
    };
    assert_eq!(token_in(&*forked), token);
    assert_eq!(token_in(&*copy(1, 0)), token, "the donor knows itself");
    let (one, two) = (token_in(&*copy(0, 0)), token_in(&*copy(0, 1)));
    assert!(one != token && two != token && one != two);
    assert_eq!(token_in(&*copy(0, 0)), one, "the same seed, the same copy");
    // Nothing of all this was said in the world itself.
    assert_eq!(
        say(&world, "Hi.").turn.observation.data["dialogue"]["turns"].as_array().map(Vec::len),
        Some(2)
    );
    let refused = block_on(world.imagine(Imagine { hidden: json!({ "mood": 1 }), ..Imagine::default() }));
    assert!(refused.err().is_some_and(|error| error.to_string().contains("hidden")));
}

#[test]
fn the_environment_conforms() {
    for preset in ["persuasion", "gdp-zero", "negotiation"] {
        forethought_conformance::assert_conforms("environment", "persuasion", json!({ "preset": preset }));
    }
}

#[test]
fn a_tag_without_effect_is_explained_to_its_author() {
    let check = |config: Value, words: &[&str], part: &str| {
        let world = world(config);
        reset(&world, 3);
        let mut seen = None;
        for words in words {
            seen = Some(say(&world, words).turn);
        }
        let turn = seen.expect("something was said");
        let refused = turn.observation.data["refused"].as_str();
        match part {
            "" => assert_eq!(refused, None, "{words:?}"),
            part => {
                let refused = refused.expect(part);
                assert!(refused.contains(part), "{refused}");
                assert!(turn.observation.text.contains(&format!("\n[Refused] {refused}\n")));
            }
        }
    };
    let deal = || json!({ "preset": "negotiation" });
    check(deal(), &["[ACCEPT]", "Well."], "has made no offer. Possible are [OFFER $x]");
    check(deal(), &["[OFFER something]", "Well."], "[offer something] had no effect. Possible are");
    check(deal(), &["[OFFER something]"], "");
    check(deal(), &["[OFFER $60]", "Well."], "");
    check(
        json!({ "preset": "gdp-zero" }),
        &["Hello.", "[so so] Hm.", "Please."],
        "reactions, which are [no donation], ",
    );
    check(json!({ "preset": "gdp-zero" }), &["Hello.", "[\"Neutral.\"] Hm.", "Please."], "");
    check(json!({}), &["Hello.", "[DONATE much]", "Please."], "needs a sum, as in [DONATE $1]");
    for (words, illegal) in [
        ("[ACCEPT]", true),
        ("[OFFER something]", true),
        ("[OFFER $60]", false),
        ("", true),
        ("Well.", false),
    ] {
        let world = world(deal());
        reset(&world, 3);
        assert_eq!(say(&world, words).illegal, illegal, "{words}");
    }
}
