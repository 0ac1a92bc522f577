//! Components in Python, end to end. These tests need only `python3`: the kit that they use has no dependencies.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use forethought_python as _;
use forethought_sdk::{
    api::registry::{Pluggable, linked},
    prelude::*,
    serde_json::{Value, json},
};
use forethought_testkit::StubHost;

async fn python<I: Pluggable + ?Sized>(more: Value) -> Result<Arc<I>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/counting.py");
    let mut config = json!({ "module": file, "python": "python3" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let kind = linked().find(|one| one.interface == I::NAME && one.kind == "python").unwrap();
    Ok(I::unwrap((kind.create)(config, Arc::new(StubHost::default())).await?).unwrap())
}

async fn counting(more: Value) -> Arc<dyn Environment> {
    let mut config = json!({ "component": "counting" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    python(config).await.unwrap()
}

/// The count after an action, and the process that counted.
async fn act(world: &Arc<dyn Environment>, action: &str) -> Result<(String, u64)> {
    let transition = world.step(Action::new(action)).await?;
    Ok((transition.turn.observation.text, transition.info["process"].as_u64().unwrap()))
}

async fn begin(environment: &Arc<dyn Environment>, task: u64) -> Arc<dyn Environment> {
    let world = environment.spawn().await.unwrap();
    world.reset(Reset { task, seed: 7 }).await.unwrap();
    world
}

fn kill(process: u64) {
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_costs_its_worlds_a_step_and_no_episode() {
    let environment = counting(json!({ "workers": 2 })).await;
    let mut worlds = Vec::new();
    for task in 0..4 {
        worlds.push(begin(&environment, task).await);
    }
    let mut processes = Vec::new();
    for (task, world) in worlds.iter().enumerate() {
        let (count, process) = act(world, "abc").await.unwrap();
        assert_eq!(count, (100 * task + 3).to_string());
        processes.push(process);
    }
    assert_eq!(processes.iter().collect::<HashSet<_>>().len(), 2, "two processes share four worlds");
    let copy = worlds[0].fork().await.unwrap().unwrap();
    assert_eq!(act(&copy, "z").await.unwrap().0, "4");

    kill(processes[0]);
    for (task, world) in worlds.iter().enumerate() {
        let (count, process) = act(world, "de").await.unwrap();
        assert_eq!(count, (100 * task + 5).to_string(), "the world goes on where it was");
        assert_ne!(process, processes[0]);
        assert!(
            processes[task] == processes[0] || process == processes[task],
            "the other worker is the same"
        );
    }
    assert_eq!(act(&copy, "z").await.unwrap().0, "5", "a copy, too");
    // A world that is reset after its process ended does not notice either.
    kill(act(&worlds[1], "x").await.unwrap().1);
    worlds[1].reset(Reset { task: 5, seed: 7 }).await.unwrap();
    assert_eq!(act(&worlds[1], "x").await.unwrap().0, "501");
    // The component is a world, too.
    environment.reset(Reset { task: 6, seed: 7 }).await.unwrap();
    assert_eq!(act(&environment, "x").await.unwrap().0, "601");
}

#[tokio::test]
async fn what_cannot_be_repeated_is_not() {
    let drifting = counting(json!({ "drifts": true })).await;
    let world = begin(&drifting, 0).await;
    kill(act(&world, "a").await.unwrap().1);
    let said = act(&world, "a").await.unwrap_err().message;
    assert!(said.contains("led elsewhere") && said.contains("recovery = \"restart\""), "{said}");

    let once = counting(json!({ "recovery": "restart" })).await;
    let world = begin(&once, 0).await;
    kill(act(&world, "a").await.unwrap().1);
    // The run plays the episode again.
    assert_eq!(act(&world, "a").await.unwrap_err().code, Code::Shutdown);
    assert_eq!(act(&begin(&once, 0).await, "a").await.unwrap().0, "1");
}

#[tokio::test]
async fn an_exception_comes_with_its_traceback_and_a_hang_with_its_limit() {
    let environment = counting(json!({ "deadline_s": 2.0 })).await;
    let world = begin(&environment, 0).await;
    let error = act(&world, "fail").await.unwrap_err();
    assert_eq!(error.code, Code::Panic);
    let said = error.to_string();
    assert!(said.contains("KeyError: 'no such thing'") && said.contains("counting.py\", line"), "{said}");
    let hung = begin(&environment, 1).await;
    let error = act(&hung, "hang").await.unwrap_err();
    assert_eq!((error.code, error.to_string().contains("deadline_s")), (Code::Deadline, true), "{error}");
    assert_eq!(act(&begin(&environment, 2).await, "a").await.unwrap().0, "201", "others go on");
}

#[tokio::test]
async fn critics_and_encoders_are_found_by_their_interface() {
    let critic: Arc<dyn Critic> = python(json!({})).await.unwrap();
    let query = CriticQuery { thought: "buy red".into(), outcome: "red".into(), ..Default::default() };
    assert_eq!(critic.estimate(vec![query]).await.unwrap()[0].probability, 0.9);
    assert_eq!(critic.style_card().await.unwrap(), Default::default(), "the default body");
    let encoder: Arc<dyn TextEncoder> = python(json!({ "component": "letters" })).await.unwrap();
    let rows = encoder.encode(vec!["short".into(), "a longer text".into()]).await.unwrap();
    assert_eq!(rows.data(), [1.0, 0.0, 0.6, 0.8], "rows have unit length");
}

#[tokio::test]
async fn a_wrong_section_is_explained() {
    async fn said(more: Value) -> String {
        python::<dyn Environment>(more).await.err().unwrap().message
    }
    let several = said(json!({})).await;
    assert!(several.contains("`counting`, `other`") && several.contains("component = "), "{several}");
    let unknown = said(json!({ "component": "couting" })).await;
    assert!(unknown.contains("no `couting`"), "{unknown}");
    let key = said(json!({ "component": "counting", "drift": true })).await;
    assert_eq!(key, "unknown key `drift`; did you mean `drifts`?");
    let kind = said(json!({ "component": "counting", "drifts": 3 })).await;
    assert_eq!(kind, "`drifts`: expected boolean, found 3");
    let none = python::<dyn Planner>(json!({})).await.err().unwrap().message;
    assert!(none.contains("serves no forethought.planner/1; it serves `counting`"), "{none}");
}
