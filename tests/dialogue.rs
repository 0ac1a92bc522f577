//! Dialogues of two parties from outside: a person speaks on either side, two parties haggle, and the whole loop runs offline.

use assert_cmd::assert::Assert;
use forethought_tests::Desk;
use serde_json::{Value, json};

fn desk() -> Desk {
    Desk::new(env!("CARGO_BIN_EXE_forethought"))
}

fn read(assert: &Assert) -> Value {
    let text = String::from_utf8_lossy(&assert.get_output().stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn json(desk: &Desk, line: &str) -> Value {
    read(&desk.forethought(&format!("{line} --json")).assert().success())
}

// ---- a person ------------------------------------------------------------------------------------------------------

/// Plays a dialogue by typing these lines, and gives the game and what is saved of the seat.
fn played(desk: &Desk, line: &str, typed: &[&str], seat: usize) -> (Value, Value) {
    let game = read(
        &desk
            .forethought(&format!("play persuasion {line} --json"))
            .write_stdin(typed.join("\n"))
            .assert()
            .success(),
    );
    assert_eq!((&game["status"], &game["trajectories"]["trajectories"]), (&json!("finished"), &json!(2)));
    let (run, id) =
        (game["run"].as_str().expect("a folder"), game["episode"]["episode"].as_str().expect("an id"));
    let way = json(desk, &format!("view {run}/trajectories.jsonl {id} --seat {seat}"));
    assert_eq!(way["source"], "person");
    (game, way)
}

fn said(way: &Value) -> Vec<&str> {
    way["steps"].as_array().expect("steps").iter().filter_map(|step| step["action"].as_str()).collect()
}

#[test]
fn a_person_persuades_and_what_was_typed_is_kept() {
    let desk = desk();
    let mut lines = vec![
        "Hello, have you heard of Save the Children?",
        ":thought Small sums next.",
        "say Even a few cents help.",
    ];
    lines.extend(["Would you like to donate some of your payment?"; 8]);
    let (game, way) = played(&desk, "--seed 5", &lines, 0);
    let words = said(&way);
    assert_eq!((words.len(), words[0]), (10, lines[0]));
    assert_eq!(way["steps"][1]["thought"], "Small sums next.");
    assert!(words[1].ends_with("Even a few cents help.") && words[9] == lines[3], "{words:?}");
    // The donor answered each of them, and was asked for a sum in the end.
    let metrics = &game["episode"]["metrics"];
    assert_eq!(metrics["turns"], 10.0);
    let donation = metrics["donation"].as_f64().expect("dollars");
    assert!((0.0..=2.0).contains(&donation));
    assert_eq!(way["steps"][9]["reward"].as_f64(), Some(donation / 2.0));
}

#[test]
fn a_person_is_asked_and_what_is_given_is_read() {
    let desk = desk();
    let lines = ["Hi.", "Who runs it?", "All right, that is convincing. [DONATE $0.75]"];
    let (game, way) = played(&desk, "--seat donor --seed 5", &lines, 1);
    assert_eq!(said(&way), lines);
    assert_eq!(game["episode"]["metrics"], json!({ "turns": 3.0, "donation": 0.75, "donated": 1.0 }));
    assert!(
        way["steps"][0]["observation"].as_str().is_some_and(|text| text.contains("Persuader: ")),
        "{way}"
    );
}

// ---- haggling ------------------------------------------------------------------------------------------------------

#[test]
fn a_buyer_and_a_seller_come_to_deals_and_who_gives_way_late_gets_more() {
    let result = json(&desk(), "eval negotiation --planner patient,hurried --episodes 40");
    let [patient, hurried] = &result["planners"].as_array().expect("planners")[..] else {
        panic!("two planners")
    };
    let mean = |planner: &Value, key: &str| planner["metrics"][key]["mean"].as_f64().expect("a mean");
    for planner in [patient, hurried] {
        assert_eq!(
            (&planner["episodes"], mean(planner, "deal")),
            (&json!(40), 1.0),
            "their limits always overlap"
        );
        assert!(mean(planner, "price") > 0.0 && mean(planner, "turns") <= 10.0, "{planner}");
    }
    assert!(patient["score"]["low"].as_f64() > hurried["score"]["high"].as_f64(), "{result}");
}

#[test]
fn a_buyer_may_walk_away() {
    let typed = "[OFFER $1] It is not worth more.\n[WALK AWAY]";
    let game =
        read(&desk().forethought("play negotiation --seed 5 --json").write_stdin(typed).assert().success());
    let ended = &game["episode"];
    assert_eq!((&ended["metrics"]["deal"], &ended["success"]), (&json!(0.0), &json!(false)), "{ended}");
    assert_eq!(ended["scores"], json!([0.0, 0.0]), "no deal, nothing for anybody");
}

// ---- the loop ------------------------------------------------------------------------------------------------------

#[test]
fn dialogues_are_collected_learned_from_and_planned_by_offline() {
    let desk = desk();
    let collected =
        json(&desk, "collect persuasion --planner react --first-task 500 --episodes 12 --out data");
    assert_eq!(collected["trajectories"], 24, "{collected}: one a seat");
    let small = "--set trainer.critic.hidden=[8] --set trainer.critic.steps=20 --set trainer.critic.evaluate_every=10";
    json(&desk, &format!("train persuasion --trainer critic --data data --seat 0 --out critic {small}"));
    let critic = desk.path().join("critic");
    let result = json(
        &desk,
        &format!(
            "eval persuasion --planner react,pnlc --episodes 4 --set critic.critic.model={}",
            critic.display()
        ),
    );
    for planner in result["planners"].as_array().expect("planners") {
        let donation = planner["metrics"]["donation"]["mean"].as_f64().expect("dollars");
        assert!(planner["episodes"] == 4 && (0.0..=2.0).contains(&donation), "{planner}");
    }
    assert!(
        result["planners"][1]["calls_per_decision"].as_f64()
            > result["planners"][0]["calls_per_decision"].as_f64(),
        "{result}"
    );
}
