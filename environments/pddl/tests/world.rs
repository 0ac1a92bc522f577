//! Problems played from outside: what is seen, what is refused and why, copies, files, tools, translations; and the
//! simulated solver.

use forethought_conformance::assert_conforms;
use forethought_pddl::{Pddl, PddlConfig};
use forethought_sdk::{
    api::{behaviour::BehaviourPrompt, llm::ToolCall},
    prelude::*,
    serde_json::{Value, from_value, json},
};
use forethought_testkit::block_on;

fn world(config: Value) -> Pddl {
    Pddl::new(from_value(config).unwrap()).unwrap()
}

fn fault(config: Value) -> String {
    Pddl::new(from_value::<PddlConfig>(config).unwrap()).err().expect("a fault").to_string()
}

fn reset(world: &dyn Environment, task: u64) -> Turn {
    block_on(world.reset(Reset { task, seed: 1 })).unwrap()
}

fn act(world: &dyn Environment, action: &str) -> Transition {
    block_on(world.step(Action::new(action))).unwrap()
}

/// Two blocks to be exchanged, and a third.
const SWAP: &str = "(define (problem swap) (:domain blocksworld) (:objects a b c)
  (:init (handempty) (ontable b) (on a b) (clear a) (ontable c) (clear c)) (:goal (and (on b a) (ontable c))))";

/// A folder with the domain and this problem.
fn folder(problem: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let domain = forethought_strips::generate::Known::Blocksworld.text();
    std::fs::write(folder.path().join("domain.pddl"), domain).unwrap();
    std::fs::write(folder.path().join("swap.pddl"), problem).unwrap();
    folder
}

fn of_files(folder: &tempfile::TempDir, more: Value) -> Value {
    let mut config = json!({ "domain": folder.path().join("domain.pddl"), "problems": [folder.path()] });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

#[test]
fn an_episode_is_said_in_words_and_a_refusal_names_what_is_missing() {
    let folder = folder(SWAP);
    let world = world(of_files(
        &folder,
        json!({ "max_steps": 9, "optimum": 1000, "words": { "on": "{0} sits on {1}" } }),
    ));
    let spec = block_on(world.spec()).unwrap();
    assert!(
        spec.instructions.contains("- unstack ?x ?y. Needs: ?x sits on ?y; ?x is clear; the hand is empty.")
    );
    assert!(spec.instructions.contains("`pick-up ?x`") && spec.instructions.contains("You have 9 actions."));
    assert_eq!((spec.tasks, spec.max_steps, spec.fork), (Some(1), Some(9), true));
    let first = reset(&world, 0);
    assert_eq!(
        first.observation.text,
        "Objects:\n- object: a, b, c\nNow:\n- a sits on b\n- b is on the table\n- c is on the table\n- a is clear\n\
         - c is clear\n- the hand is empty\nAnything else is not so.\nThe goal:\n- b sits on a\n- c is on the table"
    );
    assert_eq!(first.legal_actions, ["pick-up c", "unstack a b"]);
    for (action, why) in [
        ("pick-up b", "Not possible: `pick-up b` needs this, which is not so: b is clear.\nNow:"),
        ("stack a b", "`stack a b` needs this, which is not so: the hand holds a."),
        ("fly a", "There is no action `fly`; the actions are pick-up, put-down, stack, unstack."),
        ("", "This is not an action."),
    ] {
        let refused = act(&world, action);
        assert!(
            refused.illegal && refused.turn.observation.text.contains(why),
            "{}",
            refused.turn.observation.text
        );
        assert!(refused.turn.observation.data["refused"].is_string());
    }
    let copy = block_on(world.fork()).unwrap().unwrap();
    assert!(act(&world, "(UNSTACK a b)").turn.observation.text.starts_with("Done: unstack a b.\nNow:"));
    act(&world, "put-down(a)");
    act(&world, "pick-up b.");
    let last = act(&world, "stack b a");
    assert_eq!((last.terminated, last.success, &last.rewards[..]), (true, Some(true), &[1.0][..]));
    assert!(last.turn.observation.text.ends_with("The goal is reached."));
    assert_eq!(last.info["metrics"], json!({ "goals": 1.0, "refused": 4, "optimum": 4, "extra": 4.0 }));
    // The copy goes on from where it was made, with the turns that are left.
    for _ in 0..4 {
        assert!(!act(&*copy, "pick-up b").truncated);
    }
    let last = act(&*copy, "pick-up b");
    assert_eq!(
        (last.truncated, last.success, last.info["metrics"]["goals"].as_f64()),
        (true, Some(false), Some(0.5))
    );
}

#[test]
fn actions_are_tools_and_states_are_problems_if_wished() {
    let folder = folder(SWAP);
    let world = world(of_files(
        &folder,
        json!({ "actions": "tools", "state": "pddl", "rules": "pddl", "reward": "share", "max_steps": 2 }),
    ));
    let spec = block_on(world.spec()).unwrap();
    assert!(spec.instructions.contains("(:action unstack") && !spec.instructions.contains("- unstack"));
    let turn = reset(&world, 0);
    assert!(turn.observation.text.starts_with("(define (problem swap)"));
    assert_eq!(turn.tools[2].name, "stack");
    assert_eq!(turn.tools[2].parameters["required"], json!(["x", "y"]));
    assert_eq!(turn.legal_actions, ["pick-up({\"x\":\"c\"})", "unstack({\"x\":\"a\",\"y\":\"b\"})"]);
    let call =
        ToolCall { name: "unstack".into(), arguments: json!({ "x": "A", "y": "b" }), ..ToolCall::default() };
    let done = block_on(world.step(Action::of_calls(vec![call]))).unwrap();
    assert!(done.turn.observation.text.contains("(holding a)") && !done.illegal);
    let last = act(&world, "stack({\"x\": \"a\"})");
    assert!(last.turn.observation.text.contains("`stack` needs the argument `y`."), "{last:?}");
    assert_eq!((last.truncated, &last.rewards[..]), (true, &[0.5][..]));
}

#[test]
fn a_translation_is_scored_by_whether_it_is_the_same_problem() {
    let folder = folder(SWAP);
    let world = world(of_files(&folder, json!({ "task": "translate" })));
    assert!(block_on(world.spec()).unwrap().instructions.contains("(:action unstack"));
    for (text, reward, metrics) in [
        (
            SWAP.replace(" a", " x"),
            1.0,
            json!({ "parseable": 1.0, "solvable": 1.0, "equivalent": 1.0, "same_names": 0.0 }),
        ),
        (
            SWAP.replace("(on b a)", "(on a b)"),
            0.0,
            json!({ "parseable": 1.0, "solvable": 1.0, "equivalent": 0.0, "same_names": 0.0 }),
        ),
        (
            "(on b a)".into(),
            0.0,
            json!({ "parseable": 0.0, "solvable": 0.0, "equivalent": 0.0, "same_names": 0.0 }),
        ),
    ] {
        reset(&world, 0);
        let scored = act(&world, &text);
        assert_eq!((scored.terminated, &scored.rewards[..]), (true, &[reward][..]));
        assert_eq!(scored.info["metrics"], metrics);
    }
}

#[test]
fn a_place_without_a_way_out_ends_the_episode() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let domain = "(define (domain ice) (:predicates (at ?x) (slide ?x ?y)) (:action go :parameters (?x ?y)
        :precondition (and (at ?x) (slide ?x ?y)) :effect (and (not (at ?x)) (at ?y))))";
    let problem = "(define (problem p) (:domain ice) (:objects a b c) (:init (at a) (slide a b) (slide a c)) (:goal (at c)))";
    let world = world(json!({ "domain": file("ice.pddl", domain), "problems": [file("p.pddl", problem)] }));
    let first = reset(&world, 0).observation.text;
    assert!(first.contains("What never changes:\n- a slide b\n- a slide c\nNow:\n- a is at\n"), "{first}");
    let last = act(&world, "go a b");
    assert_eq!((last.terminated, last.success, &last.rewards[..]), (true, Some(false), &[0.0][..]));
}

#[test]
fn faults_name_the_file_and_key() {
    let wrong = folder(&SWAP.replace("(on a b)", "(under a b)"));
    let said = fault(of_files(&wrong, json!({})));
    assert!(said.contains("swap.pddl:2:35: there is no predicate `under`; there are on, ontable"), "{said}");
    let right = folder(SWAP);
    for (config, why) in [
        (of_files(&right, json!({ "generate": {} })), "`domain` and `generate` are both given"),
        (of_files(&right, json!({ "problems": [] })), "`problems` is missing"),
        (of_files(&right, json!({ "problems": ["no/such.pddl"] })), "no/such.pddl cannot be read"),
        (
            of_files(&right, json!({ "words": { "on": "{x}" } })),
            "words.on: \"{x}\" must name {1} of `on` once",
        ),
        (json!({ "problems": ["a.pddl"] }), "`problems` are given without `domain`"),
        (json!({ "generate": { "sizes": [0] } }), "generate.sizes = [0]: sizes are from 1 to 50"),
    ] {
        let said = fault(config);
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn the_simulated_solver_reads_the_text_and_reaches_goals() {
    use forethought_pddl::behaviour::{Move, Solver};
    forethought_testkit::wordings_are_read_back::<Move>();
    for domain in ["blocksworld", "logistics", "gripper", "sokoban"] {
        let world = world(json!({ "generate": { "domain": domain, "sizes": [3], "seed": 3 } }));
        let instructions = block_on(world.spec()).unwrap().instructions;
        let mut turn = reset(&world, 1);
        let mut text = format!("{instructions}\n\nObservation:\n{}\n", turn.observation.text);
        assert!(block_on(Solver::default().recognises(text.clone())).unwrap());
        let mut solved = false;
        for seed in 0..50 {
            let thought = "Plan ahead and take the first step of the plan.".to_owned();
            let prompt = BehaviourPrompt { text: text.clone(), thought, count: 0, seed };
            let action = block_on(Solver::default().action(prompt.clone())).unwrap();
            let after = act(&world, &action);
            assert!(!after.illegal, "{domain}: {action}: {}", after.turn.observation.text);
            turn = after.turn;
            text += &format!("Action: {action}\n\nObservation:\n{}\n", turn.observation.text);
            if after.terminated {
                solved = after.success == Some(true);
                break;
            }
        }
        assert!(solved, "{domain}:\n{text}");
        let (state, outcome) =
            block_on(Solver::default().summary(BehaviourPrompt { text, ..Default::default() })).unwrap();
        assert!(state.ends_with("The last action was possible. The goal is reached."), "{state}");
        assert!(outcome.contains("goal is reached") || outcome.contains("are true in the end"), "{outcome}");
    }
}

#[test]
fn every_form_conforms() {
    for config in [
        json!({}),
        json!({ "generate": { "domain": "sokoban", "sizes": [1, 2] }, "max_steps": 12 }),
        json!({ "generate": { "domain": "logistics" }, "actions": "tools", "state": "pddl", "reward": "share" }),
        json!({ "task": "translate" }),
    ] {
        assert_conforms("environment", "pddl", config);
    }
}
