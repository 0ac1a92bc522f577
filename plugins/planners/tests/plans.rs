//! Planners that write a plan and follow it over several decisions, against scripted models in a vault with a trap.

use std::{collections::VecDeque, sync::Mutex};

use forethought_planners::{
    cpl::Cpl, octo::Octo, replan::Replan, spine::Spine, tree_planner::TreePlanner, when2ask::When2Ask,
};
use forethought_sdk::{
    prelude::*,
    serde_json::{Value, from_value, json},
};
use worlds::{ACTIONS, Model, Played, STEPS, Vault, any, play, play_within, text};

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

const PLAN: &str = "Step: find the key\nStep: open the door\nStep: take the gold";

#[test]
fn replan_follows_its_plan_and_makes_a_new_one_where_it_fails() {
    let planner = Replan::new(settings(json!({ "length": 2 }))).unwrap();
    let (played, purposes) = listed(
        &planner,
        &[
            // The chest is out of reach: the world refuses, and nobody has to say so.
            "Step: push the wall\nStep: take what is behind\nStep: too long a plan",
            "Action: push wall",
            PLAN,
            "Action: take key",
            "Status: done\nAction: open door",
            // The last step is done, and more is to do.
            "Status: done",
            "Step: take the gold",
            "Action: take gold",
        ],
    );
    assert!(played.solved);
    use Purpose::*;
    assert_eq!(purposes, [Thought, Action, Thought, Action, Action, Action, Thought, Action]);
    let thoughts: Vec<_> = played.decisions.iter().map(|decision| &*decision.thought).collect();
    assert_eq!(
        thoughts,
        [
            "Plan:\n1. push the wall\n2. take what is behind\nStep 1 of 2: push the wall",
            "Plan:\n1. find the key\n2. open the door\nStep 1 of 2: find the key",
            "Step 2 of 2: open the door",
            "Plan:\n1. take the gold\nStep 1 of 1: take the gold",
        ]
    );
    let details = &played.decisions[1].trace.details;
    assert_eq!(details["why"], "the last action was refused or changed nothing");

    // The model may find by itself that the plan fails; what cannot be read changes nothing.
    let (played, purposes) = listed(
        &planner,
        &[
            PLAN,
            "Action: take key",
            "Status: failed",
            "Step: rush on",
            "Action: open door",
            "Hm.",
            "Hm.",
            "Action: take gold",
        ],
    );
    assert_eq!(played.actions(), STEPS);
    assert_eq!(purposes, [Thought, Action, Action, Thought, Action, Action, Action, Action]);
    assert_eq!(played.decisions[2].thought, "Step 1 of 1: rush on");
    assert!(Replan::new(settings(json!({ "length": 0 }))).is_err());
}

#[test]
fn a_planner_without_a_readable_plan_acts_step_by_step() {
    let answers = ["Hm.", "Hm.", "Thought: a chest!\nAction: open chest"];
    let replan = Replan::new(settings(json!({}))).unwrap();
    let spine = Spine::new(settings(json!({}))).unwrap();
    for planner in [&replan as &dyn Planner, &spine] {
        let (played, purposes) = listed(planner, &answers);
        assert_eq!((&*played.decisions[0].thought, purposes.len()), ("a chest!", 3));
        assert_eq!(played.decisions[0].trace.faults["unread"], 1);
    }
}

#[test]
fn spine_validates_each_step_before_it_begins() {
    let planner = Spine::new(settings(json!({ "replans": 1 }))).unwrap();
    let (played, purposes) = listed(
        &planner,
        &[
            "Step: open the door\nNeeds: the key\nStep: take the gold\nNeeds: nothing",
            "Holds: no, there is none",
            "Step: find the key\nNeeds: nothing\nStep: open the door\nNeeds: the key",
            "Action: take key",
            "Plan: done",
            "Holds: yes",
            "Action: open door",
            // More steps are needed. What none of them needs is so, and one of them is carried out all the same.
            "Plan: done",
            "Step: take the gold\nNeeds: gloves",
            "Holds: no",
            "Step: take the gold\nNeeds: tongs",
            "Holds: no",
            "Action: take gold",
        ],
    );
    assert!(played.solved);
    use Purpose::*;
    assert_eq!(
        purposes,
        [
            vec![Thought, Judge, Thought, Action],
            vec![Action, Judge, Action],
            vec![Action, Thought, Judge, Thought, Judge, Action]
        ]
        .concat()
    );
    let [first, second, third] = &played.decisions[..] else { panic!("{:?}", played.actions()) };
    assert_eq!(first.trace.details["why"], "what it needs is not so (the key)");
    assert_eq!(second.thought, "Step 2 of 2: open the door");
    assert!(third.trace.recoveries[0].contains("tongs"), "{:?}", third.trace.recoveries);
}

#[test]
fn octo_lets_a_cheap_model_carry_out_the_steps_of_a_plan() {
    let config = json!({ "planner_llm": "large", "actor_llm": "small", "answers": "text" });
    let planner = Octo::new(from_value(config).unwrap()).unwrap();
    let needs = futures::executor::block_on(planner.requires()).unwrap();
    assert_eq!(needs.llms, ["large", "small"]);
    let (played, purposes) = listed(
        &planner,
        &[
            "Step: find the key\nStep: open the door",
            "Action: look around",
            "Plan: unfinished\nAction: take key",
            "Plan: done",
            "Action: open door",
            "Plan: done",
            "Step: take the gold",
            "Action: take gold",
        ],
    );
    assert!(played.solved);
    use Purpose::*;
    assert_eq!(purposes, [Thought, Action, Action, Action, Action, Action, Thought, Action]);
    let thoughts: Vec<_> = played.decisions.iter().map(|decision| &*decision.thought).collect();
    assert_eq!(thoughts[1..3], ["Step 1 of 2: find the key", "Step 2 of 2: open the door"]);
    assert!(
        Octo::new(from_value(json!({ "planner_llm": "l", "actor_llm": "s", "length": 0 })).unwrap()).is_err()
    );
}

#[test]
fn cpl_searches_for_a_plan_by_the_value_of_its_steps() {
    let planner = Cpl::new(settings(json!({ "simulations": 2, "breadth": 2 }))).unwrap();
    let (played, purposes) = listed(
        &planner,
        &[
            // Two samples of one request, and what they are worth; then from the better one on.
            "Next: open chest",
            "Next: take key",
            "Grade: 2",
            "Grade: 9",
            "Next: open door",
            "Next: \"Complete.\"",
            "Grade: 8",
            "Grade: 4",
            "Action: take key",
            "Plan: done",
            "Action: open door",
            "Plan: done",
            // Equal steps are judged once.
            "Next: take gold",
            "Next: take gold",
            "Grade: 9",
            "Next: complete",
            "Hm.",
            "Grade: excellent",
            "Grade: as good as done",
            "Action: take gold",
        ],
    );
    assert!(played.solved);
    use Purpose::*;
    let search = vec![Thought, Judge, Judge, Thought, Judge, Judge, Action];
    assert_eq!(purposes[..7], search);
    assert_eq!(purposes[7..], [Action, Action, Action, Thought, Judge, Thought, Judge, Judge, Action]);
    let first = &played.decisions[0];
    assert_eq!(first.thought, "Plan:\n1. take key\n2. open door\nStep 1 of 2: take key");
    let ways = &first.trace.details["search"]["ways"];
    assert_eq!((&ways[0]["step"], &ways[1]["visits"]), (&json!("open chest"), &json!(1)));
    assert_eq!(played.decisions[2].trace.faults["unread"], 1);
    for (key, value) in
        [("simulations", json!(0)), ("breadth", json!(0)), ("length", json!(0)), ("exploration", json!(-1.0))]
    {
        let error = Cpl::new(settings(json!({ key: value }))).err().unwrap();
        assert!(error.code == Code::Config && error.message.starts_with(key), "{error}");
    }
}

#[test]
fn when2ask_asks_the_large_model_only_when_the_mediator_is_unsure() {
    let planner = |config: Value| {
        let mut settings = json!({ "actor_llm": "small" });
        settings.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        futures::executor::block_on(When2Ask::new(self::settings(settings)))
    };
    use Purpose::*;
    // A rule: "Gold!" has new words only, the door has few.
    let (played, purposes) = listed(
        &planner(json!({})).unwrap(),
        &[
            "Thought: find a way in",
            "Action: take key",
            "Action: open door",
            "Thought: be quick",
            "Action: take gold",
        ],
    );
    assert!(played.solved);
    assert_eq!(purposes, [Thought, Action, Action, Thought, Action]);
    let thoughts: Vec<_> = played.decisions.iter().map(|decision| &*decision.thought).collect();
    assert_eq!(
        thoughts,
        [
            "Plan:\n1. find a way in\nStep 1 of 1: find a way in",
            "Step 1 of 1: find a way in",
            "Plan:\n1. be quick\nStep 1 of 1: be quick"
        ]
    );
    // A model, for which no answer is a doubt, too.
    let by_model = planner(json!({ "mediator": "model", "mediator_llm": "tiny" })).unwrap();
    let needs = futures::executor::block_on(by_model.requires()).unwrap();
    assert_eq!(needs.llms, ["actor", "small", "tiny"]);
    let first = ["Thought: find a way in", "Action: take key"];
    let rest = ["Ask: no", "Action: open door", "Hm.", "Hm.", "Thought: be quick", "Action: take gold"];
    let (played, purposes) = listed(&by_model, &[&first[..], &rest].concat());
    assert!(played.solved);
    assert_eq!(purposes, [Thought, Action, Judge, Action, Judge, Judge, Thought, Action]);
    // A critic, which is asked about the strategy.
    let scoring = json!({ "critic": "critic", "goal": "the gold is mine" });
    let by_critic = planner(json!({ "mediator": "critic", "scoring": scoring, "below": 0.5 })).unwrap();
    let state = "State: in the vault\nOutcome: the vault is found";
    let first = ["Thought: try the key, in doubt", "Action: take key", state];
    let rest = ["Thought: open it", "Action: open door", state, "Action: take gold"];
    let (played, purposes) = listed(&by_critic, &[&first[..], &rest].concat());
    assert!(played.solved);
    assert_eq!(purposes, [Thought, Action, Summarise, Thought, Action, Summarise, Action]);

    for (config, why) in [
        (json!({ "novelty": 2.0 }), "novelty = 2"),
        (json!({ "mediator": "critic" }), "`scoring` is missing"),
    ] {
        let error = planner(config).err().unwrap();
        assert!(error.code == Code::Config && error.message.starts_with(why), "{error}");
    }
}

/// A model that plans blindly at first. Once it knows that a plan failed, or is asked what it sees, it looks.
fn looks(request: &ChatRequest) -> String {
    let prompt = text(request);
    let step =
        prompt.lines().rev().find_map(|line| line.strip_prefix("Current thought: ")).unwrap_or_default();
    let fits = step == seen(&prompt);
    match () {
        () if prompt.contains("\nHolds: <") => format!("Holds: {}", if fits { "yes" } else { "no" }),
        () if prompt.contains("\nAsk: <") => format!("Ask: {}", if fits { "no" } else { "yes" }),
        () if prompt.contains("\nNext: <") => format!("Next: {}", any(&ACTIONS, request)),
        () if prompt.contains("\nGrade: <") => {
            let plan = prompt
                .lines()
                .filter(|line| line.starts_with("Step "))
                .filter_map(|line| line.split_once(": ").filter(|(number, _)| !number.contains(" of ")));
            let goes = STEPS.iter().skip_while(|step| **step != seen(&prompt));
            let good = plan.zip(goes.map(Some).chain(std::iter::repeat(None)));
            let good = { good }.all(|((_, step), right)| right == Some(&step));
            format!("Grade: {}", if good { 9 } else { 2 })
        }
        () if prompt.contains("\nBranch: <") => "Branch: 1".into(),
        () if prompt.contains("\nStatus: <") => {
            format!("Status: {}", if fits { "unfinished" } else { "failed" })
        }
        () if prompt.contains("\nPlan: <") && fits => format!("Plan: unfinished\nAction: {step}"),
        () if prompt.contains("\nPlan: <") => "Plan: done".into(),
        () if prompt.contains("\nStep: <") => {
            let step = if prompt.contains("\nAt step ") { seen(&prompt) } else { any(&ACTIONS, request) };
            let needs = if prompt.contains("\nNeeds: <") { "\nNeeds: luck" } else { "" };
            format!("Step: {step}{needs}\nStep: take gold{needs}")
        }
        () if prompt.contains("\nThought: <") && prompt.contains("\nAction: <") => {
            format!("Thought: look\nAction: {}", seen(&prompt))
        }
        () if prompt.contains("\nThought: <") => format!("Thought: {}", seen(&prompt)),
        () if prompt.contains("\nAction: <each") => {
            format!("Action: {}\nAction: take gold", any(&ACTIONS, request))
        }
        () => format!("Action: {step}"),
    }
}

/// All planners of this file, with their names.
fn all() -> Vec<(&'static str, Box<dyn Planner>)> {
    let octo = json!({ "planner_llm": "large", "actor_llm": "small" });
    let when2ask = settings(json!({ "actor_llm": "small", "novelty": 0.3 }));
    vec![
        ("replan", Box::new(Replan::new(settings(json!({}))).unwrap())),
        ("spine", Box::new(Spine::new(settings(json!({}))).unwrap())),
        ("octo", Box::new(Octo::new(from_value(octo).unwrap()).unwrap())),
        ("when2ask", Box::new(futures::executor::block_on(When2Ask::new(when2ask)).unwrap())),
        ("cpl", Box::new(Cpl::new(settings(json!({ "breadth": 6 }))).unwrap())),
        ("tree-planner", Box::new(TreePlanner::new(settings(json!({}))).unwrap())),
    ]
}

#[test]
fn planners_with_a_plan_win_where_random_actions_do_not() {
    let random = random_wins();
    // What Tree-Planner is good at is tested above.
    for (name, planner) in all().iter().take(5) {
        let won = wins(&**planner, looks);
        assert!(won > 2 * random + 5, "{name}: {won} against {random} of 30");
    }
}

#[test]
fn planners_with_a_plan_act_within_any_budget() {
    for (name, planner) in all() {
        for calls in 1..6 {
            let vault = Vault::world(8);
            let played = play_within(Some(calls), &*planner, Model::new(looks), &vault, 3);
            let played = played.unwrap_or_else(|error| panic!("{name} with {calls} calls: {error}"));
            assert!(played.actions().iter().all(|action| ACTIONS.contains(action)), "{:?}", played.actions());
        }
    }
}
