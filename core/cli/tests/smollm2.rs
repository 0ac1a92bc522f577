//! A real model of 135 million parameters plays WebShop inside the program.

use std::process::ExitCode;

use forethought_testkit::Suite;
use forethought_tests::{Desk, workspace};
use serde_json::Value;

const SHOP: &str = r#"
seed = 3
[llm.actor]
kind = "local"
model = "MODEL"
temperature = 0.2
top_p = 0.9
max_tokens = 48
[planner.react]
kind = "react"
llm = "actor"
[planner.pnlc]
kind = "pnlc"
llm = "actor"
critic = "judge"
rounds = 1
[critic.judge]
kind = "judge"
llm = "actor"
[environment]
kind = "webshop"
catalogue = "synthetic"
products = 60
max_steps = 2
[seats]
agent = "react"
[run]
episodes = 1
"#;

fn main() -> ExitCode {
    let model = workspace().join("target/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    let unable = (!model.exists())
        .then(|| "SmolLM2-135M-Instruct is missing; `bash .ci/smollm2` fetches it".to_owned());
    let test = move || smollm2_plays_webshop(&SHOP.replace("MODEL", &model.to_string_lossy()));
    Suite::default().unless(unable, "smollm2_plays_webshop", test).run()
}

fn smollm2_plays_webshop(config: &str) {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    desk.write("shop.toml", config);
    let assert = desk.forethought("eval shop.toml --planner react,pnlc --json").assert().success();
    let result: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    let (planners, runs) = (result["planners"].as_array().unwrap(), result["runs"].as_array().unwrap());
    assert_eq!((planners.len(), runs.len()), (2, 2), "{result}");
    for (planner, run) in planners.iter().zip(runs) {
        assert_eq!(planner["episodes"], 1, "{result}");
        assert!(planner["calls_per_decision"].as_f64() >= Some(1.0), "{result}");
        // Every answer is in the journal.
        let run = run.as_str().unwrap();
        let episode = std::fs::read_to_string(format!("{run}/episodes.jsonl")).unwrap();
        let episode: Value = serde_json::from_str(&episode).unwrap();
        let replay = desk.forethought("replay").args([run, episode["episode"].as_str().unwrap()]).assert();
        let shown = String::from_utf8_lossy(&replay.success().get_output().stdout).into_owned();
        assert!(shown.contains("identical"), "{shown}");
    }
}
