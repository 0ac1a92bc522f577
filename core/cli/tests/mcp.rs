//! The tools of MCP servers as a world, and the program as an MCP server: against servers and the client of the
//! official Python SDK. Their sources are in tests/agents; `bash .ci/agents` installs the SDK.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};

use forethought_testkit::Suite;
use forethought_tests::{Desk, err, out, workspace};
use serde_json::{Value, json};

fn desk() -> Desk {
    Desk::new(env!("CARGO_BIN_EXE_forethought"))
}

fn python() -> String {
    workspace().join("target/agents/bin/python").to_string_lossy().into_owned()
}

/// The command of a script in tests/agents, as a value of `--set`.
fn script(name: &str) -> String {
    json!([python(), workspace().canonicalize().unwrap().join("tests/agents").join(name)]).to_string()
}

/// Plays the tasks of the shipped example with these settings. Gives the run.
fn play(desk: &Desk, settings: &[String], token: &str) -> Value {
    let config = workspace().canonicalize().unwrap().join("configs/mcp.toml");
    let mut command = desk.forethought("run --json");
    command.arg(config).env("ORDERS_TOKEN", token);
    for setting in settings {
        command.args(["--set", setting]);
    }
    serde_json::from_str(&out(&command.assert().success())).unwrap()
}

fn solved(run: &Value) -> Vec<(u64, bool)> {
    let episodes = run["episodes"].as_array().unwrap().iter();
    episodes
        .map(|episode| (episode["steps"].as_u64().unwrap(), episode["success"].as_bool().unwrap()))
        .collect()
}

fn the_shipped_example_runs_as_it_is() {
    let desk = desk();
    let run = play(&desk, &[], "");
    assert_eq!(solved(&run), [(4, true), (3, true)]);
    // It can be replayed, continued and shown like any other.
    let (folder, episode) = (run["run"].as_str().unwrap(), run["episodes"][0]["episode"].as_str().unwrap());
    assert!(
        out(&desk.forethought(&format!("replay {folder} {episode}")).assert().success())
            .contains("identical")
    );
    let shown = out(&desk.forethought(&format!("view {folder} {episode}")).assert().success());
    assert!(shown.contains("find_customer(name: Ada Ito)"), "{shown}");
    let again = play(&desk, &[], "");
    assert_eq!(again["run"], run["run"]);
}

fn the_kind_keeps_the_rules_of_environments() {
    let configs = workspace().canonicalize().unwrap().join("configs/mcp");
    let desk = desk();
    // One server for all episodes, whose tools change nothing: each start of a server takes a while.
    let mut check = desk.forethought("plugin check environment.mcp --steps 0 --json --set shared=true");
    check.args(["--set", "tools=[\"find_customer\", \"orders\"]", "--set", "max_steps=4", "--set"]);
    check.arg(format!("command={}", json!(["python3", configs.join("orders.py")])));
    check.args(["--set", &format!("tasks={:?}", configs.join("tasks.jsonl"))]);
    let checked = check.assert();
    let report: Value = serde_json::from_str(&out(&checked)).unwrap_or_else(|_| panic!("{}", err(&checked)));
    assert_eq!(report[0]["findings"], json!([]), "{report}");
}

fn the_sdks_server_is_played_by_react() {
    // Its start takes a second, so a single episode.
    let settings = [format!("environment.command={}", script("mcp_orders.py")), "run.episodes=1".into()];
    assert_eq!(solved(&play(&desk(), &settings, "")), [(4, true)]);
}

/// The same at an address, for those who know its token.
fn the_sdks_server_is_played_over_http() {
    let server = Command::new(python())
        .arg(workspace().join("tests/agents/mcp_orders.py"))
        .arg("http")
        .env("ORDERS_TOKEN", "open-sesame")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Ended(server);
    let mut port = String::new();
    BufReader::new(server.0.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
    let url = format!("environment.url=\"http://127.0.0.1:{}/mcp\"", port.trim());
    let settings =
        [url.clone(), "environment.command=[]".into(), "environment.token_env=\"ORDERS_TOKEN\"".into()];
    let desk = desk();
    let run = play(&desk, &settings, "open-sesame");
    assert_eq!(solved(&run), [(4, true), (3, true)]);
    let mut refused = desk.forethought("run --fresh");
    refused
        .arg(workspace().canonicalize().unwrap().join("configs/mcp.toml"))
        .env("ORDERS_TOKEN", "let-me-in!");
    for setting in &settings {
        refused.args(["--set", setting]);
    }
    let refused = refused.assert().code(4);
    let said = err(&refused);
    assert!(said.contains("the MCP server `http://127.0.0.1:") && said.contains("401"), "{said}");
    assert!(!said.contains("let-me-in"), "{said}");
}

/// A process that ends with the test, also with one that fails.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A planner with a critic, whose answers and values are given: it drops what the critic thinks little of.
fn the_sdks_server_is_played_by_pnlc() {
    let answers = json!([
        "State: A customer wants to cancel an order.\nOutcome: Nothing is done yet.",
        "Thought: Refuse politely.",
        "Good: The order is cancelled.\nBad: The customer is angry.",
        "Decision: rewrite\nThought: Look the customer up and cancel the open order.",
        "Good: The order is cancelled.\nBad: The customer is angry.",
        "Decision: keep",
        "Action: cancel({\"order\": 1002})",
        "State: The order is cancelled.\nOutcome: The order is cancelled.",
        "Thought: Say so.",
        "Good: The customer is glad.\nBad: The customer is angry.",
        "Decision: keep",
        "Action: It is cancelled.",
    ]);
    let desk = desk();
    let settings = [
        format!("environment.command={}", script("mcp_orders.py")),
        format!("llm.actor.answers={answers}"),
        "llm.values.kind=\"script\"".into(),
        "llm.values.answers=[\"1: 0.1\\n2: 0.9\", \"1: 0.8\\n2: 0.1\", \"1: 0.9\\n2: 0.1\"]".into(),
        "critic.scripted.kind=\"judge\"".into(),
        "critic.scripted.llm=\"values\"".into(),
        "summariser.kind=\"llm\"".into(),
        "summariser.llm=\"actor\"".into(),
        "planner.pnlc.kind=\"pnlc\"".into(),
        "planner.pnlc.llm=\"actor\"".into(),
        "planner.pnlc.critic=\"scripted\"".into(),
        "seats.agent=\"pnlc\"".into(),
        "run.episodes=1".into(),
    ];
    let run = play(&desk, &settings, "");
    assert_eq!(solved(&run), [(2, true)]);
    let (folder, episode) = (run["run"].as_str().unwrap(), run["episodes"][0]["episode"].as_str().unwrap());
    let shown = out(&desk.forethought(&format!("view {folder} {episode}")).assert().success());
    assert!(shown.contains("Look the customer up and cancel the open order."), "{shown}");
}

fn the_sdks_client_asks_critic_and_planner() {
    let desk = desk();
    desk.write(
        "forethought.toml",
        r#"
[llm.values]
kind = "script"
answers = ["1: 0.8\n2: 0.2"]
[llm.actor]
kind = "script"
answers = ["Thought: See what is open.\nAction: orders({\"customer\": 7})"]
[critic.scripted]
kind = "judge"
llm = "values"
[planner.react]
kind = "react"
llm = "actor"
"#,
    );
    let mut asked = desk.of(python().into(), "");
    asked.arg(workspace().canonicalize().unwrap().join("tests/agents/mcp_client.py"));
    asked.arg(env!("CARGO_BIN_EXE_forethought")).args(["serve", "forethought.toml", "--mcp"]);
    let said: Value = serde_json::from_str(&out(&asked.assert().success())).unwrap();
    assert_eq!(said["tools"], json!(["evaluate_thought", "plan"]));
    assert_eq!(said["values"]["text"], "0.800    It is cancelled.\n0.200    She is angry.");
    assert_eq!(said["plan"]["data"]["calls"], json!([{ "name": "orders", "arguments": { "customer": 7 } }]));
    assert_eq!(said["plan"]["data"]["thought"], "See what is open.");
    assert!(
        said["wrong"]["failed"] == true
            && said["wrong"]["text"].as_str().unwrap().contains("give either `state`")
    );
}

fn main() -> ExitCode {
    let missing = (!std::path::Path::new(&python()).is_file())
        .then(|| "the SDK is missing; `bash .ci/agents` installs it".to_owned());
    Suite::default()
        .unless(None, "the_shipped_example_runs_as_it_is", the_shipped_example_runs_as_it_is)
        .unless(None, "the_kind_keeps_the_rules_of_environments", the_kind_keeps_the_rules_of_environments)
        .unless(missing.clone(), "the_sdks_server_is_played_by_react", the_sdks_server_is_played_by_react)
        .unless(missing.clone(), "the_sdks_server_is_played_over_http", the_sdks_server_is_played_over_http)
        .unless(missing.clone(), "the_sdks_server_is_played_by_pnlc", the_sdks_server_is_played_by_pnlc)
        .unless(missing, "the_sdks_client_asks_critic_and_planner", the_sdks_client_asks_critic_and_planner)
        .run()
}
