//! Files of other programs, written and opened by their own packages.

use std::path::Path;
use std::process::{Command, ExitCode};

use forethought_testkit::Suite;
use forethought_tests::{Desk, SHOP, err, out, workspace};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let python = workspace().join("target/agents/bin/python");
    let unable = (!workspace().join("target/agents/.complete").exists())
        .then(|| "the packages of other agents are missing; `bash .ci/agents` installs them".to_owned());
    let (made, opened) = (python.clone(), python);
    Suite::default()
        .unless(unable.clone(), "what_other_programs_wrote_is_imported", move || imports(&made))
        .unless(unable, "what_is_exported_is_opened_by_other_programs", move || exports(&opened))
        .test("an_import_says_what_it_dropped_and_what_is_wrong", says)
        .run()
}

fn desk() -> Desk {
    Desk::new(env!("CARGO_BIN_EXE_forethought"))
}

/// Runs the script that plays the other programs.
fn records(python: &Path, action: &str, folder: &Path) -> String {
    let script = workspace().join("tests/agents/records.py");
    // No colours, and nothing of the user's settings.
    let done =
        Command::new(python).arg(script).arg(action).arg(folder).env("NO_COLOR", "1").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn imports(python: &Path) {
    let desk = desk();
    records(python, "make", &desk.path().join("made"));
    let import = |line: &str, data: &str| -> (Value, Vec<Value>) {
        let line = format!("import {line} --out {data} --json");
        let report = serde_json::from_str(&out(&desk.forethought(&line).assert().success())).unwrap();
        let lines = std::fs::read_to_string(desk.path().join(data).join("trajectories.jsonl")).unwrap();
        (report, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    };
    let search = "search({\"query\":\"red lamp\"})";
    let found = "[B01] Blue lamp\n[B02] Red lamp";
    // What each format says of the same episode.
    let check = |one: &Value, thought: &str, reward: f64| {
        let [look, answer] = &one["steps"].as_array().unwrap()[..] else { panic!("{one}") };
        assert_eq!(
            (&one["instructions"], &look["observation"]),
            (&json!("You shop."), &json!("Find a red lamp"))
        );
        assert_eq!((&look["action"], &look["thought"]), (&json!(search), &json!(thought)));
        assert_eq!((&answer["observation"], &answer["action"]), (&json!(found), &json!("B02")));
        assert_eq!((&answer["reward"], &answer["terminated"]), (&json!(reward), &json!(true)), "{one}");
        assert_eq!(one["tools"][0]["name"], "search");
    };

    let (report, chats) = import("openai-chat made/chat.jsonl", "openai");
    check(&chats[0], "I look first.", 1.0);
    check(&chats[1], "I look first.", 0.5);
    assert_eq!((chats.len(), &report["dropped"]), (2, &json!({})), "{report}");

    let (report, agents) = import("atif made/trajectory.json", "atif");
    let [shopper, looker] = &agents[..] else { panic!("{agents:?}") };
    // The file defines no tools.
    let mut shopper = shopper.clone();
    shopper["tools"] = json!([{ "name": "search" }]);
    check(&shopper, "A lamp.\n\nI look first.", 1.0);
    assert_eq!((&looker["seat"], &looker["steps"][0]["action"]), (&json!(1), &json!("Red.")));
    assert_eq!(report["dropped"], json!({ "lists of log probabilities": 1 }));

    let (report, samples) = import("inspect made/log.eval", "eval");
    let [lamp, looker, wait, _] = &samples[..] else { panic!("{samples:?}") };
    check(lamp, "A lamp.\n\nI look first.", 1.0);
    assert_eq!((&looker["seat"], &looker["steps"][0]["action"]), (&json!(1), &json!("Red.")), "a sub-agent");
    assert_eq!((&wait["task"], &wait["steps"][0]["reward"]), (&json!(1), &json!(0.0)));
    assert_eq!(lamp["info"]["scores"]["includes"]["value"], "C");
    assert_eq!(lamp["steps"][0]["info"]["input_tokens"], 10);
    let (document, again) = import("inspect made/log.json --set reward=includes", "json");
    assert_eq!((&document["steps"], again.len()), (&report["steps"], samples.len()));
    check(&again[0], "A lamp.\n\nI look first.", 1.0);

    let (_, spans) = import("otel-genai made/spans.jsonl", "otel");
    let [shopper, looker] = &spans[..] else { panic!("{spans:?}") };
    check(shopper, "A lamp.", 0.5);
    assert_eq!((&looker["seat"], &looker["steps"][0]["action"]), (&json!(1), &json!("Red.")));
}

fn exports(python: &Path) {
    let desk = desk();
    desk.write("shop.toml", SHOP);
    desk.forethought("run shop.toml --planner react --episodes 2").assert().success();
    // The text form of a shop has no tools, so a file with calls is next to it.
    desk.write("chat.jsonl", include_str!("../../../plugins/records/tests/fixtures/chat.jsonl"));
    desk.forethought("import openai-chat chat.jsonl --out chat").assert().success();
    for (data, calls) in [("runs/webshop--react", false), ("chat", true)] {
        for format in ["atif", "openai", "inspect", "otel"] {
            desk.forethought(&format!("export {data} --format {format} --out {data}-out")).assert().success();
        }
        let found: Value =
            serde_json::from_str(&records(python, "open", &desk.path().join(format!("{data}-out")))).unwrap();
        let atif = found["atif"].as_array().unwrap();
        assert_eq!(
            (atif.len(), &found["openai"], &found["inspect"], &found["otel"]),
            (2, &found["atif"], &found["atif"], &found["atif"]),
            "{found}"
        );
        assert_eq!(atif.iter().any(|one| one[1] != json!([])), calls, "{found}");
        if calls {
            assert_eq!(atif[0], json!([3, ["search", "open", "open"], 1.0]));
        }
    }
}

fn says() {
    let desk = desk();
    let line = |second: &str| {
        let parts =
            r#"[{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "x"}}]"#;
        format!(
            r#"{{"messages": [{{"role": "user", "content": {parts}}}, {{"role": "assistant", "content": "A lamp."}}]}}
{second}"#
        )
    };
    desk.write("chat.jsonl", &line(""));
    let said = out(&desk.forethought("import openai-chat chat.jsonl --out data").assert().success());
    assert!(said.contains("dropped: content of type image: 1"), "{said}");
    assert!(said.contains("note: 1 trajectories have no reward in the file, and get 0"), "{said}");
    desk.write("chat.jsonl", &line(r#"{"messages": [{"role": "user", "content": 3}]}"#));
    let error =
        err(&desk.forethought("import openai-chat chat.jsonl --out data --replace").assert().failure());
    assert!(error.contains("chat.jsonl, line 2: `messages[0].content` must be text"), "{error}");
    let error =
        err(&desk.forethought("import openai-chat chat.jsonl --out data --set rewards=x").assert().failure());
    assert!(error.contains("rewards"), "{error}");
}
