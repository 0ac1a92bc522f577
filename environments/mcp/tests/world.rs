//! Episodes in the tools of a small server, and what is said of servers that hang, die or flood.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use forethought_mcp::{Mcp, McpConfig};
use forethought_sdk::{
    api::llm::ToolCall,
    prelude::*,
    serde_json::{self, Value, json},
};
use tokio::task::JoinSet;

/// A world of this server, with tasks as lines of JSON, and settings that are merged in.
async fn world(mode: &str, tasks: &[Value], settings: Value) -> Result<(Arc<Mcp>, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = tasks.iter().map(|task| format!("{task}\n")).collect();
    let file = folder.path().join("tasks.jsonl");
    std::fs::write(&file, lines).unwrap();
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server.py");
    let mut config = json!({ "command": ["python3", server, mode], "tasks": file });
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let config: McpConfig = serde_json::from_value(config).unwrap();
    Ok((Arc::new(Mcp::new(config, Arc::new(Judges::default())).await?), folder))
}

/// A host whose only model says these lines, one after the other.
#[derive(Default)]
struct Judges(std::sync::Mutex<VecDeque<&'static str>>);

#[async_trait]
impl Host for Judges {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(Arc::new(Self(std::sync::Mutex::new(["Well done!", "Score: 0.8"].into()))))
    }
}

#[async_trait]
impl LlmBackend for Judges {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let asked = &request.messages[0].content;
        for part in ["Rubric:\nIs it neat?", "> write(", "Final answer:\ndone", "Write down a word"] {
            assert!(asked.contains(part), "{asked}");
        }
        let text = self.0.lock().unwrap().pop_front().expect("asked at most twice").into();
        Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], ..Completion::default() })
    }
}

fn call(name: &str, arguments: Value) -> Action {
    Action::of_calls(vec![ToolCall { name: name.into(), arguments, ..ToolCall::default() }])
}

fn task(scorer: Value) -> Value {
    json!({ "prompt": "Write down a word.", "scorer": scorer })
}

/// Resets the world, takes these actions, and gives the last transition.
async fn play(world: &Mcp, actions: &[Action]) -> Result<Transition> {
    world.reset(Reset { task: 0, seed: 0 }).await?;
    let mut last = Transition::default();
    for action in actions {
        last = world.step(action.clone()).await?;
    }
    Ok(last)
}

#[tokio::test]
async fn tools_are_played_and_words_are_the_answer() {
    let (world, _folder) = world("good", &[task(json!({ "exact": "ink" }))], json!({})).await.unwrap();
    let spec = world.spec().await.unwrap();
    assert!(
        spec.instructions.starts_with("A notebook.\n\nYou act by calling tools."),
        "{}",
        spec.instructions
    );
    assert_eq!((spec.tasks, spec.fork, spec.recovery), (Some(1), false, Recovery::Restart));

    let first = world.reset(Reset::default()).await.unwrap();
    assert_eq!(first.observation.text, "Write down a word.");
    assert_eq!(
        (first.tools[1].name.as_str(), &first.tools[1].parameters["required"]),
        ("read", &json!(["key"]))
    );
    let write = call("write", json!({ "key": "a", "text": "ink" }));
    assert_eq!(world.step(write).await.unwrap().turn.observation.text, "written");
    // As a planner writes it that knows nothing of tools; two calls at once.
    let both = world.step(Action::new("read[a]\npicture()")).await.unwrap();
    let seen = "read: ink\n\npicture: [image: image/png, 6 bytes, not shown]";
    assert_eq!((both.turn.observation.text.as_str(), both.illegal), (seen, false));
    for (wrong, why) in [
        (Action::new("read()"), "Error: `read` needs the argument `key`"),
        (call("fly", json!({})), "Error: there is no tool `fly`"),
        (call("read", json!({ "key": "b" })), "Error: there is no 'b'"),
        (Action::new(" "), "Error: an action is a call of a tool, or words"),
    ] {
        let answer = world.step(wrong).await.unwrap();
        assert!(answer.turn.observation.text.starts_with(why), "{}", answer.turn.observation.text);
        assert!(answer.illegal && !answer.terminated);
    }
    let end = world.step(Action::new("ink")).await.unwrap();
    assert_eq!((end.terminated, end.rewards, end.success), (true, vec![1.0], Some(true)));
    assert_eq!(end.info["metrics"], json!({ "tool_calls": 4, "failed_tool_calls": 1 }));
}

#[tokio::test]
async fn each_scorer_decides() {
    let write = call("write", json!({ "key": "a", "text": "ink" }));
    let check = json!({ "name": "all" });
    let setup = json!([{ "name": "write", "arguments": { "key": "old", "text": "x" } }]);
    let script = "import json, sys; played = json.load(sys.stdin); print(json.dumps({'reward': len(played['steps']) / 4, \
                  'success': played['answer'] == played['data']}))";
    let scripts = json!({ "steps": { "command": ["python3", "-c", script] } });
    for (task, reward, success) in [
        (json!({ "scorer": { "path": "notes.a", "equals": "ink" }, "check": check }), 1.0, Some(true)),
        (
            json!({ "scorer": { "path": "count", "equals": 2.0 }, "check": check, "setup": setup }),
            1.0,
            Some(true),
        ),
        (json!({ "scorer": { "path": "count", "equals": 2 }, "check": check }), 0.0, Some(false)),
        (
            json!({ "scorer": { "exact": { "count": 1, "notes": { "a": "ink" } } }, "check": check }),
            1.0,
            Some(true),
        ),
        (json!({ "scorer": { "script": "steps" }, "data": "done" }), 0.5, Some(true)),
        (json!({ "scorer": { "judge": "Is it neat?" } }), 0.8, Some(true)),
        (json!({}), 0.0, None),
    ] {
        let mut line = json!({ "prompt": "Write down a word." });
        line.as_object_mut().unwrap().extend(task.as_object().unwrap().clone());
        let settings = json!({ "scripts": scripts, "judge": "grader" });
        let (world, _folder) = world("good", std::slice::from_ref(&line), settings).await.unwrap();
        let end = play(&world, &[write.clone(), Action::new("done")]).await.unwrap();
        assert_eq!((end.rewards[0], end.success), (reward, success), "{line}");
    }
}

#[tokio::test]
async fn an_episode_has_its_own_server_unless_it_is_shared() {
    for (shared, left) in [(false, "Error: there is no 'a'"), (true, "ink")] {
        let (world, _folder) =
            world("good", &[task(Value::Null)], json!({ "shared": shared })).await.unwrap();
        play(&world, &[call("write", json!({ "key": "a", "text": "ink" }))]).await.unwrap();
        let other = world.spawn().await.unwrap();
        other.reset(Reset::default()).await.unwrap();
        let read = other.step(call("read", json!({ "key": "a" }))).await.unwrap();
        assert_eq!(read.turn.observation.text, left);
    }
}

#[tokio::test]
async fn what_is_offered_and_what_ends_can_be_chosen() {
    let settings = json!({ "tools": ["read"], "ends_with": ["write"], "words": "continue", "max_steps": 3 });
    let (world, _folder) = world("good", &[task(json!({ "exact": "x" }))], settings).await.unwrap();
    let instructions = world.spec().await.unwrap().instructions;
    assert!(instructions.ends_with("A call of `write` ends the task."), "{instructions}");
    let turn = world.reset(Reset::default()).await.unwrap();
    assert_eq!(turn.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["write", "read"]);
    let words = world.step(Action::new("Let me think.")).await.unwrap();
    assert_eq!((words.terminated, words.turn.observation.text.as_str()), (false, "OK."));
    let write = world.step(call("write", json!({ "key": "a", "text": "x" }))).await.unwrap();
    assert!(write.terminated && write.info["answer"] == "{\"key\":\"a\",\"text\":\"x\"}");
    // Cut off, it is scored without an answer.
    let cut = play(&world, &[Action::new("1"), Action::new("2"), Action::new("3")]).await.unwrap();
    assert_eq!((cut.truncated, cut.terminated, cut.success), (true, false, Some(false)));
    assert!(world.step(Action::new("4")).await.unwrap_err().message.contains("call `reset` first"));
}

/// The time is far more than a server takes to start on a busy machine.
fn limits() -> Value {
    json!({ "timeout_s": 10.0, "max_answer_bytes": 100_000 })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_dies_or_floods_is_named() {
    // At the same time, because it is mostly waiting.
    let mut cases = JoinSet::new();
    for (tool, why) in [
        ("wait", "did not answer the call of `wait` within 10 s (`environment.timeout_s`)"),
        (
            "flood",
            "sent more than 100000 bytes instead of an answer to the call of `flood`; if that is right, raise",
        ),
        ("chatter", "sent more than 100000 bytes instead of an answer to the call of `chatter`"),
        (
            "die",
            "gave no answer to the call of `die`: its process ended: exit status: 3: its last words on standard \
                 error:\n  out of ink",
        ),
    ] {
        cases.spawn(async move {
            let (world, _folder) = world("good", &[task(Value::Null)], limits()).await.unwrap();
            let pid = play(&world, &[call("pid", json!({}))]).await.unwrap().turn.observation.text;
            let error = world.step(call(tool, json!({}))).await.unwrap_err();
            let said = error.to_string();
            assert!(
                said.starts_with("the MCP server `python3 ") && said.contains("server.py good`"),
                "{said}"
            );
            assert!(said.contains(why), "{said}");
            assert_eq!(error.code, Code::Provider);
            ended(&pid);
            // Nothing is asked after it; the next episode gets another server.
            assert_eq!(world.step(call("pid", json!({}))).await.unwrap_err(), error);
            assert_ne!(play(&world, &[call("pid", json!({}))]).await.unwrap().turn.observation.text, pid);
        });
    }
    for (mode, why) in [
        ("silent", "did not answer its `initialize` within 10 s"),
        ("babble", "sent more than 100000 bytes instead of an answer to its `initialize`"),
        ("stillborn", "its process ended: exit status: 1: its last words on standard error:\n  no paper"),
    ] {
        cases.spawn(async move {
            let (world, _folder) = world(mode, &[task(Value::Null)], limits()).await.unwrap();
            let said = world.spec().await.unwrap_err().to_string();
            assert!(said.contains("the MCP server `python3 ") && said.contains(why), "{said}");
        });
    }
    cases.join_all().await;
}

#[tokio::test]
async fn no_server_outlives_its_world() {
    for mode in ["good", "clingy"] {
        let (world, _folder) = world(mode, &[task(Value::Null)], json!({})).await.unwrap();
        let pid = play(&world, &[call("pid", json!({}))]).await.unwrap().turn.observation.text;
        drop(world);
        let end = tokio::task::spawn_blocking(move || ended(&pid));
        end.await.unwrap();
    }
}

/// Waits for the end of a process. A killed one takes a moment to disappear, or remains until it is reaped.
fn ended(pid: &str) {
    let start = Instant::now();
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z")
    };
    while alive() {
        assert!(start.elapsed() < Duration::from_secs(20), "{pid} lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn a_server_gets_only_the_variables_that_are_named() {
    let (world, _folder) =
        world("good", &[task(Value::Null)], json!({ "variables": ["CARGO_PKG_NAME"] })).await.unwrap();
    for (name, value) in [("CARGO_PKG_NAME", "forethought-mcp"), ("CARGO_MANIFEST_DIR", "(not set)")] {
        let seen = play(&world, &[call("variable", json!({ "name": name }))]).await.unwrap();
        assert_eq!(seen.turn.observation.text, value);
    }
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_refused() {
    let refusal = async |settings: Value| match world("good", &[task(Value::Null)], settings).await {
        Err(error) => error.to_string(),
        Ok((world, _folder)) => world.spec().await.unwrap_err().to_string(),
    };
    for (settings, why) in [
        (json!({ "command": [] }), "name the server by `command`"),
        (json!({ "url": "http://localhost:1/mcp" }), "by `command` or by `url`, not by both"),
        (json!({ "token_env": "A" }), "`token_env` belongs to `url`"),
        (json!({ "command": [], "url": "ftp://x" }), "must begin with http:// or https://"),
        (
            json!({ "command": [], "url": "https://me:secret@x" }),
            "name the variable that holds it by `token_env`",
        ),
        (json!({ "command": [], "url": "https://x", "token_env": "NO_SUCH" }), "the variable NO_SUCH"),
        (json!({ "command": [], "url": "http://x", "token_env": "HOME" }), "would be sent unencrypted"),
        (json!({ "command": ["/no/such"] }), "the MCP server `/no/such`: `/no/such` cannot be started"),
        (json!({ "tools": ["raed"] }), "the server has no tool `raed`; it has `write`, `read`"),
        (
            json!({ "command": [], "url": "http://127.0.0.1:9/mcp?key=a-secret" }),
            "the MCP server `http://127.0.0.1:9/mcp` gave no answer",
        ),
        (json!({ "tasks": PathBuf::from("/no/such.jsonl") }), "the tasks /no/such.jsonl cannot be read"),
    ] {
        let said = refusal(settings).await;
        assert!(said.contains(why) && !said.contains("secret"), "{said}");
    }
}
