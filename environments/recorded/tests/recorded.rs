//! Recorded episodes once more: what was seen, what was done, and rewards from each source.

use std::collections::VecDeque;
use std::sync::Mutex;

use forethought_recorded::{Recorded, RecordedConfig, Repeat};
use forethought_sdk::{
    prelude::*,
    serde_json::{self, Value, json},
};

/// Two trajectories: the first has tools, a state and further columns, the second nothing but what it must have.
fn lines() -> String {
    let step = |observation: &str, action: &str, more: Value| {
        let mut step = json!({ "observation": observation, "action": action });
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        step
    };
    let first = json!({
        "episode": "a", "environment": "desk", "task": 7, "seed": 8, "seat": 1, "source": "agent",
        "instructions": "Tidy up.", "tools": [{ "name": "look" }], "grade": { "solved": true, "points": [0.25] },
        "info": { "after": "All is tidy." },
        "steps": [
            step("a mess", "look()", json!({ "thought": "First look.", "state": "untidy", "outcomes": ["It is seen."] })),
            step("a drawer", "open()", json!({ "state": "at the drawer", "reward": 2.0, "terminated": true })),
        ],
    });
    let second = json!({ "episode": "b", "steps": [step("dark", "wait", json!({ "reward": -1.0 }))] });
    format!("{first}\n\n{second}\n")
}

async fn world(settings: Value, host: Arc<dyn Host>) -> Result<Recorded> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("b.jsonl"), lines())?;
    let mut config = json!({ "data": folder.path() });
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let config: RecordedConfig = serde_json::from_value(config)?;
    Recorded::new(config, host).await
}

struct NoModels;
impl Models for NoModels {}

/// Repeats an episode; its decisions and last transition.
async fn repeat(world: &Recorded, task: u64) -> Result<(Vec<Decision>, Transition)> {
    let (mut decisions, mut turn) = (Vec::new(), world.reset(Reset { task, seed: 1 }).await?);
    loop {
        let context = DecisionContext { turn, ..DecisionContext::default() };
        let decision = Repeat.decide(context, Arc::new(NoModels)).await?;
        let transition = world.step(decision.action.clone()).await?;
        decisions.push(decision);
        if transition.terminated || transition.truncated {
            return Ok((decisions, transition));
        }
        turn = transition.turn;
    }
}

/// A host whose only model says these lines, one after the other.
struct Judge(Mutex<VecDeque<&'static str>>);

#[async_trait]
impl Host for Judge {
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        assert_eq!(name, "grader");
        Ok(Arc::new(Self(Mutex::new(["Well done!", "Score: 0.8", "Score: 7", "No."].into()))))
    }
}

#[async_trait]
impl LlmBackend for Judge {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        assert!(request.messages[0].content.contains("Rubric:\nIs it tidy?"));
        let text = self.0.lock().unwrap().pop_front().expect("asked at most twice").into();
        Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], ..Completion::default() })
    }
}

fn nobody() -> Arc<dyn Host> {
    struct Nobody;
    impl Host for Nobody {}
    Arc::new(Nobody)
}

#[tokio::test]
async fn an_episode_is_seen_thought_and_done_as_it_was() -> Result<()> {
    let world = world(json!({}), nobody()).await?;
    let spec = world.spec().await?;
    assert_eq!((spec.tasks, spec.recovery, spec.instructions.as_str()), (Some(2), Recovery::Replay, ""));
    let (decisions, end) = repeat(&world, 0).await?;
    let done: Vec<_> = decisions.iter().map(|one| (one.thought.as_str(), one.action.text.as_str())).collect();
    assert_eq!(done, [("First look.", "look()"), ("", "open()")]);
    // What was summarised is not summarised again: the outcome of a step is in the summary after it.
    let summary = |state: &str, outcome: &str| Some(Summary { state: state.into(), outcome: outcome.into() });
    let summaries: Vec<_> = decisions.into_iter().map(|one| one.summary).collect();
    assert_eq!(summaries, [summary("untidy", ""), summary("at the drawer", "It is seen.")]);
    assert_eq!(
        (end.turn.observation.text.as_str(), end.rewards, end.terminated),
        ("All is tidy.", vec![2.0], true)
    );
    let origin = &end.info["trajectory"]["recorded"];
    assert_eq!((&origin["episode"], &origin["task"], &origin["seat"]), (&json!("a"), &json!(7), &json!(1)));

    let (decisions, end) = repeat(&world, 1).await?;
    assert_eq!((decisions[0].summary.clone(), end.rewards, end.truncated), (None, vec![-1.0], true));
    // Nothing else can be done, and nobody else can do it.
    world.reset(Reset { task: 0, seed: 0 }).await?;
    let error = world.step(Action::new("jump()")).await.unwrap_err();
    assert!(error.message.contains("b.jsonl:1: `look()` was done here"), "{error}");
    let elsewhere = Repeat.decide(DecisionContext::default(), Arc::new(NoModels)).await.unwrap_err();
    assert!(elsewhere.message.contains("acts in `recorded` alone"), "{elsewhere}");
    Ok(())
}

#[tokio::test]
async fn rewards_come_from_a_column_a_script_or_a_judge() -> Result<()> {
    let reward = |reward: Value| json!({ "reward": reward });
    let (_, end) = repeat(&world(reward(json!({ "column": "grade.solved" })), nobody()).await?, 0).await?;
    assert_eq!((end.rewards, end.success), (vec![1.0], Some(true)));
    let points = world(reward(json!({ "column": "grade.points[0]" })), nobody()).await?;
    assert_eq!(repeat(&points, 0).await?.1.rewards, [0.25]);
    let error = repeat(&points, 1).await.unwrap_err().to_string();
    for part in ["b.jsonl:3: episode `b` has no reward", "there is nothing at `grade.points[0]`"] {
        assert!(error.contains(part), "{error}");
    }

    // It reads the line as it is written.
    let code = "import json, sys; t = json.load(sys.stdin); s = t['grade']['solved'] and len(t['steps']) == 2; \
                print(json.dumps({'reward': 3.5, 'success': s}))";
    let script = json!({ "script": ["python3", "-c", code] });
    let scored = world(reward(script), nobody()).await?;
    assert_eq!(scored.spec().await?.recovery, Recovery::Restart);
    let (_, end) = repeat(&scored, 0).await?;
    assert_eq!((end.rewards, end.success), (vec![3.5], Some(true)));
    let error = repeat(&scored, 1).await.unwrap_err().to_string();
    assert!(error.contains("episode `b`") && error.contains("KeyError"), "{error}");

    let judge = Arc::new(Judge(Mutex::default()));
    let judged = world(reward(json!({ "judge": "grader", "rubric": "Is it tidy?" })), judge).await?;
    let (_, end) = repeat(&judged, 0).await?;
    assert_eq!((end.rewards, end.success), (vec![0.8], Some(true)));
    assert_eq!(end.info["trajectory"]["judged_by"], "grader");
    let error = repeat(&judged, 1).await.unwrap_err().to_string();
    assert!(error.contains("episode `b`") && error.contains("no grade when asked twice"), "{error}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_repeated_is_refused_with_its_place() {
    for (settings, words) in [
        (json!({ "seat": 3 }), "has no trajectories of seat 3"),
        (json!({ "data": "/nowhere.jsonl" }), "/nowhere.jsonl cannot be read"),
        (json!({ "data": "data.parquet" }), "is Parquet, and this world reads JSON Lines"),
        (json!({ "data": "" }), "`data` is missing"),
        (json!({ "reward": { "judge": "grader" } }), "need each other"),
        (
            json!({ "reward": { "rubric": "x", "judge": "grader", "column": "a" } }),
            "one of `script`, `judge` and",
        ),
        (json!({ "reward": { "column": "a[" } }), "not a path into JSON"),
    ] {
        let error = world(settings, nobody()).await.err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    }
    for (line, words) in [
        ("{}", "the key `episode` is missing"),
        ("[]", "must be an object"),
        (r#"{"episode":"a","steps":[]}"#, "it has no steps"),
        (r#"{"episode":"a","steps":[{"observation":"x"}]}"#, "the key `steps[0].action` is missing"),
        (r#"{"episode":3,"steps":[{"observation":"x","action":"y"}]}"#, "invalid type: integer `3`"),
    ] {
        let file = tempfile::Builder::new().suffix(".jsonl").tempfile().unwrap();
        std::fs::write(&file, format!("{}{line}\n", lines())).unwrap();
        let error = world(json!({ "data": file.path() }), nobody()).await.err().unwrap().to_string();
        assert!(error.contains(".jsonl:4: not a trajectory: ") && error.contains(words), "{error}");
    }
}
