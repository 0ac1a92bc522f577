//! Planners that write a plan and follow it over several decisions, against scripted models in a vault with a trap.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use forethought_planners::tree_planner::TreePlanner;
use forethought_sdk::{
    prelude::*,
    serde_json::{Value, from_value, json},
};
use worlds::{ACTIONS, Model, Played, STEPS, Vault, any, play, text};

mod worlds;

/// A planner's settings: these, and the model.
fn settings<T: forethought_sdk::serde::de::DeserializeOwned>(more: Value) -> T {
    let mut settings = json!({ "llm": "actor" });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    from_value(settings).unwrap()
}

/// Plays in the vault with listed answers: the episode, and the purposes of the requests.
fn listed(planner: &dyn Planner, answers: &[&str]) -> (Played, Vec<Purpose>) {
    let answers: VecDeque<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let answers = Mutex::new(answers);
    let next = move |request: &ChatRequest| {
        let next = answers.lock().unwrap().pop_front();
        next.unwrap_or_else(|| panic!("one more answer, to {}", text(request)))
    };
    let model = Model::new(next);
    let played = play(planner, model.clone(), &Vault::world(8), 1).unwrap();
    (played, model.take_asked())
}

/// Of 30 episodes, those that a planner solves with a model.
fn wins<F: Fn(&ChatRequest) -> String + Send + Sync + 'static>(planner: &dyn Planner, model: F) -> usize {
    let model = Model::new(model);
    (0..30).filter(|seed| play(planner, model.clone(), &Vault::world(8), *seed).unwrap().solved).count()
}

/// The episodes of 30 that random actions solve.
fn random_wins() -> usize {
    wins(&forethought_planners::random::Random, |_| unreachable!("it asks no model"))
}

/// An action that the model finds by looking, where it is asked about what it sees.
fn seen(prompt: &str) -> &'static str {
    let now = prompt.rsplit("Observation:\n").next().unwrap();
    match () {
        () if now.starts_with("A key") => STEPS[0],
        () if now.starts_with("A chest") => STEPS[1],
        () => STEPS[2],
    }
}

#[test]
fn tree_planner_chooses_where_plans_part_and_backtracks_on_an_error() {
    let planner = TreePlanner::new(settings(json!({ "plans": 3 }))).unwrap();
    let plans = [
        "Action: take key\nAction: open door\nAction: take gold",
        "Action: open door\nAction: take gold",
        "Action: take key\nAction: open chest",
    ];
    let (played, purposes) = listed(&planner, &[&plans[..], &["Branch: 2", "Branch: 1"]].concat());
    // The second way is an error; the first is then the only one, and so is the gold.
    assert_eq!(played.actions(), ["open door", "take key", "open door", "take gold"]);
    assert!(played.solved);
    assert_eq!(purposes, [Purpose::Thought, Purpose::Judge, Purpose::Judge]);
    let thoughts: Vec<_> = played.decisions.iter().map(|decision| &*decision.thought).collect();
    assert_eq!(
        thoughts[0],
        "Next: open door, then take gold.\n\nAction tree:\n- take key\n  - open door\n    - take gold\n  - open chest\n\
         - open door\n  - take gold"
    );
    assert_eq!(thoughts[1..], ["Next: take key.", "Next: open door, then take gold.", "Next: take gold."]);
    let details = |decision: &Decision| decision.trace.details.clone();
    assert_eq!(
        details(&played.decisions[2]),
        json!({ "nodes": 6, "invalid": 1, "ways": ["open door", "open chest"] })
    );

    // Where all plans fail, plans are sampled again; where none can be read, a step is made without.
    let one = TreePlanner::new(settings(json!({ "plans": 1 }))).unwrap();
    let answers = [
        "Action: take gold",
        "Hm.",
        "Hm.",
        "Thought: so?\nAction: take key",
        "Action: open door\nAction: take gold",
    ];
    let (played, _) = listed(&one, &answers);
    assert_eq!(played.actions(), ["take gold", "take key", "open door", "take gold"]);
    assert_eq!(played.decisions[1].trace.faults["unread"], 1);
    for key in ["plans", "length"] {
        let error = TreePlanner::new(settings(json!({ key: 0 }))).err().unwrap();
        assert!(error.code == Code::Config && error.message.starts_with(key), "{error}");
    }
}

#[test]
fn tree_planner_wins_where_random_actions_do_not() {
    let planner = TreePlanner::new(settings(json!({ "plans": 50, "length": 3 }))).unwrap();
    // It plans blindly, and sees the trap only where it has to choose.
    let won = wins(&planner, |request| match request.purpose {
        Purpose::Judge => {
            let prompt = text(request);
            let ways: Vec<_> = prompt.lines().filter_map(|line| line.split_once(": ")).collect();
            let way = ways.iter().find(|(_, action)| *action == seen(&prompt));
            let safe = || ways.iter().find(|(_, action)| STEPS.contains(action));
            format!("Branch: {}", way.or_else(safe).map_or("1", |(number, _)| number))
        }
        _ => {
            let blind = |step: u64| {
                let seed = request.seed.map(|seed| seed::derive(seed, &step.to_string()));
                format!("Action: {}", any(&ACTIONS, &ChatRequest { seed, ..request.clone() }))
            };
            (0..3).map(blind).collect::<Vec<_>>().join("\n")
        }
    });
    let random = random_wins();
    assert!(won > 2 * random + 5, "{won} against {random} of 30");
}
