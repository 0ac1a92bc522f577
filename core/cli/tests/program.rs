//! The program from outside: its command line, its output, its exit codes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use forethought_tests::{Desk, SHOP, err, out, workspace};
use serde_json::{Value, json};

fn desk() -> Desk {
    Desk::new(env!("CARGO_BIN_EXE_forethought"))
}

fn shop() -> Desk {
    let desk = desk();
    desk.write("forethought.toml", SHOP);
    desk
}

/// The JSON that a successful command prints.
fn json(desk: &Desk, line: &str) -> Value {
    let assert = desk.forethought(line).arg("--json").assert().success();
    serde_json::from_str(&out(&assert)).unwrap_or_else(|error| panic!("{line}: {error}: {}", out(&assert)))
}

/// Runs a command that must end with `code`, and checks its messages.
fn refused(desk: &Desk, line: &str, code: i32, says: &[&str]) {
    let assert = desk.forethought(line).assert().code(code);
    for text in says {
        assert!(err(&assert).contains(text), "{line}: {:?} is not in\n{}", text, err(&assert));
    }
}

#[test]
fn help_names_every_command() {
    let desk = desk();
    let help = out(&desk.forethought("--help").assert().success());
    for command in [
        "quickstart",
        "run",
        "eval",
        "sweep",
        "collect",
        "export",
        "play",
        "worker",
        "tournament",
        "import",
        "train",
        "critic",
        "report",
        "compare",
        "estimate",
        "hub",
        "improve",
        "view",
        "runs",
        "replay",
        "verify",
        "list",
        "describe",
        "schema",
        "config",
        "plugin",
        "doctor",
        "completions",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not in {help}");
        assert!(out(&desk.forethought(command).arg("--help").assert().success()).contains("Usage:"));
    }
    for command in ["new", "check", "inspect", "add", "list"] {
        let help = out(&desk.forethought(&format!("plugin {command} --help")).assert().success());
        assert!(help.contains("Example") && help.contains("--plugin <PATH>"), "{help}");
    }
    refused(&desk, "evall", 2, &["similar subcommand", "eval"]);
}

#[test]
fn components_are_listed_and_described() {
    let desk = desk();
    let planners = json(&desk, "list planner");
    let kinds: Vec<_> =
        planners.as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"pnlc") && kinds.contains(&"react"), "{kinds:?}");
    let package = |kind: &str| kinds.iter().position(|one| *one == kind).map(|at| &planners[at]["package"]);
    assert_eq!(package("pnlc"), Some(&json!("forethought-planners")));
    assert_eq!(package("person"), Some(&json!("forethought")));
    let pnlc = json(&desk, "describe planner.pnlc");
    assert_eq!(pnlc["schema"]["properties"]["rounds"]["default"], 2);
    assert!(out(&desk.forethought("describe planner.pnlc").assert()).contains("rounds"));
    refused(&desk, "describe planner.pnlx", 2, &["there is no planner.pnlx; the nearest is `pnlc`"]);
    refused(&desk, "list planers", 2, &["the nearest is `planner`"]);
    // The words of release 0.1.0 are understood.
    for (before, now) in [("value.goal-q", "critic.goal-q"), ("skill.avalon", "behaviour.avalon")] {
        let described = desk.forethought(&format!("describe {before}")).assert().success();
        assert!(out(&described).starts_with(now), "{}", out(&described));
        assert!(err(&described).contains("note: "), "{}", err(&described));
    }
    assert_eq!(json(&desk, "list value"), json(&desk, "list critic"));
}

#[test]
fn every_component_is_listed_under_the_feature_that_links_it() {
    let linked = json(&desk(), "list");
    for one in linked.as_array().unwrap().iter().filter(|one| one["package"] != "forethought") {
        let name = format!("{}.{}", one["word"].as_str().unwrap(), one["kind"].as_str().unwrap());
        let feature = one["package"].as_str().unwrap().strip_prefix("forethought-");
        let listed = forethought::builtin::FEATURES.iter().find(|(.., names)| names.contains(&name.as_str()));
        assert_eq!(listed.map(|(name, ..)| *name), feature, "{name}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
    let desk = desk();
    desk.write("mine.toml", "[environment]\nkind = \"webshop\"\n\n[run]\nepisode = 3\n");
    refused(
        &desk,
        "run mine.toml",
        2,
        &["mine.toml:5: `run.episode`: unknown key; the nearest is `episodes`"],
    );
    refused(&desk, "run nowhere.toml", 2, &["there is neither a file", "nor a preset `nowhere.toml`"]);
    desk.write("mine.toml", "[run]\nepisodes = \"many\"\n");
    refused(&desk, "config check mine.toml", 2, &["mine.toml:2: `run.episodes`: expected a whole number"]);
    desk.write("mine.toml", "[run\n");
    refused(&desk, "config show mine.toml", 2, &["mine.toml:1:", "not TOML"]);
}

#[test]
fn every_value_shows_where_it_comes_from() {
    let desk = shop();
    desk.write("home/.config/forethought/config.toml", "[run]\nconcurrency = 2\n");
    let assert = desk
        .forethought("config show --origin --json --set planner.pnlc.rounds=3")
        .env("FORETHOUGHT__LLM__ACTOR__SLIPS", "0.5")
        .assert()
        .success();
    let entries: Vec<Value> = serde_json::from_str(&out(&assert)).unwrap();
    let origin = |key: &str| {
        let entry = entries.iter().find(|entry| entry["key"] == key).unwrap_or_else(|| panic!("no {key}"));
        let origin = entry["origin"].as_str().unwrap().replace(&format!("{}/", desk.path().display()), "");
        (entry["value"].clone(), origin)
    };
    assert_eq!(origin("seed"), (json!(5), "forethought.toml:2".into()));
    assert_eq!(origin("run.concurrency"), (json!(2), "home/.config/forethought/config.toml:2".into()));
    assert_eq!(origin("llm.actor.slips"), (json!(0.5), "$FORETHOUGHT__LLM__ACTOR__SLIPS".into()));
    assert_eq!(origin("planner.pnlc.rounds"), (json!(3), "--set planner.pnlc.rounds=3".into()));
    assert_eq!(origin("planner.pnlc.outcomes"), (json!(4), "default".into()));
    let shown = out(&desk.forethought("config show").assert().success());
    assert!(shown.contains("[planner.pnlc]"), "{shown}");
}

#[test]
fn flags_win_over_set() {
    let planned = json(&shop(), "run --dry-run --episodes 2 --set run.episodes=9");
    assert_eq!(planned[0]["episodes"], 2);
    refused(&shop(), "run --concurrency 0", 2, &["the command line: `run.concurrency`: "]);
}

#[test]
fn a_configuration_is_checked_down_to_what_its_planners_need() {
    let desk = shop();
    assert_eq!(json(&desk, "config check")["seats"], json!(["react"]));
    refused(
        &desk,
        "config check --set planner.react.llm=actr",
        2,
        &["there is no [llm.actr]; the nearest is `actor`"],
    );
    refused(
        &desk,
        "config check --set seats.agent=pnlc",
        2,
        &["`critic.critic.kind`", "there is no model folder"],
    );
    refused(&desk, "config check --set seats.agnt=react", 2, &["has no such seat; the nearest is `agent`"]);
}

#[test]
fn old_names_are_read_with_one_note() {
    let desk = desk();
    let old = SHOP.replace("[critic.", "[value.").replace("critic = ", "value = ");
    desk.write("forethought.toml", &old);
    let assert = desk.forethought("run --episodes 1 --planner react").assert().success();
    let note = "[value.critic] is the old name of [critic.critic]; rename it";
    assert_eq!(err(&assert).matches(note).count(), 1, "{}", err(&assert));
    let shown = out(&desk.forethought("config show").assert().success());
    assert!(shown.contains("[critic.critic]") && shown.contains("\ncritic = \"critic\""), "{shown}");
    assert!(!shown.contains("value"), "{shown}");
}

#[test]
fn shipped_configurations_meet_the_schema() {
    let schema = json(&desk(), "schema");
    let configs = workspace().join("configs");
    let kept = std::fs::read_to_string(configs.join("schema.json")).expect("configs/schema.json");
    assert!(
        serde_json::from_str::<Value>(&kept).unwrap() == schema,
        "configs/schema.json is old; renew it by: cargo run -- schema > configs/schema.json"
    );
    let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
    assert!(!validator.is_valid(&json!({ "run": { "episode": 3 } })));
    let mut seen = 0;
    let presets = workspace().join("core/runtime/presets");
    for (folder, schema) in [
        (presets, "../../../configs/schema.json"),
        (configs.join("paper"), "../schema.json"),
        (configs.join("compositions"), "../schema.json"),
        (configs, "./schema.json"),
    ] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(
                    text.starts_with(&format!("#:schema {schema}\n")),
                    "{} names no schema",
                    path.display()
                );
                let document = serde_json::to_value(toml::from_str::<toml::Table>(&text).unwrap()).unwrap();
                let errors: Vec<_> =
                    validator.iter_errors(&document).map(|error| error.to_string()).collect();
                assert!(errors.is_empty(), "{}: {errors:?}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 0);
}

#[test]
fn presets_are_played_in_any_folder() {
    let desk = desk();
    let mut names = Vec::new();
    for preset in forethought_runtime::config::PRESETS {
        let run = json(&desk, &format!("run {} --episodes 2", preset.name));
        assert_eq!((&run["status"], run["episodes"].as_array().unwrap().len()), (&json!("finished"), 2));
        names.push(preset.name);
    }
    assert_eq!(names, ["quickstart", "avalon", "persuasion", "negotiation"]);
    refused(&desk, "run avlon", 2, &["nor a preset `avlon`; of the presets, the nearest is `avalon`"]);
}

#[test]
fn a_run_is_reported_and_compared() {
    let desk = shop();
    let run = json(&desk, "run");
    assert_eq!((&run["status"], run["episodes"].as_array().unwrap().len()), (&json!("finished"), 4));
    let folder = run["run"].as_str().unwrap();
    assert!(folder.starts_with(&*desk.path().join("runs/webshop--react").to_string_lossy()), "{folder}");
    let resolved = std::fs::read_to_string(format!("{folder}/config.resolved.toml")).unwrap();
    assert!(resolved.contains("agent = \"react\""), "{resolved}");

    let report = json(&desk, "report runs/webshop--react");
    assert_eq!(report["planners"], run["planners"]);
    let again = json(&desk, "run --set llm.actor.slips=0.5");
    assert_ne!(again["run"], run["run"]);
    let compare = format!("compare {folder} {}", again["run"].as_str().unwrap());
    let compared = json(&desk, &compare);
    let difference = &compared["differences"][0];
    assert_eq!(
        (&difference["episodes"], &difference["name"], &difference["to"]),
        (&json!(4), &json!("react#2"), &json!("react"))
    );
    assert!(difference["p_score"]["holm"].as_f64().is_some_and(|p| p > 0.05), "{difference}");
    // React asks once; a second time if its answer cannot be read.
    let path = compared["planners"][0]["critical_calls_per_decision"].as_f64().unwrap();
    assert_eq!(path, compared["planners"][0]["calls_per_decision"].as_f64().unwrap());
    let shown = out(&desk.forethought(&format!("{compare} --svg score.svg")).assert().success());
    for words in ["calls/decision", "critical ms", "front", "less react", "p (Holm)"] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    assert!(std::fs::read_to_string(desk.path().join("score.svg")).unwrap().contains(">react#2</text>"));
    refused(&desk, "report home", 2, &["home"]);
}

#[test]
fn runs_are_found_again_by_name_and_their_episodes_by_task() {
    let desk = shop();
    let told = json(&desk, "eval --planner react --episodes 3 --name sweep --set seed=5");
    assert_eq!((&told["seed"], &told["overrides"]["run.name"]), (&json!(5), &json!("sweep")));
    let runs = json(&desk, "runs list");
    let (run, folder) = (&runs[0], &told["runs"][0]);
    assert_eq!((&run["name"], &run["seed"], &run["done"]), (&json!("sweep"), &json!(5), &json!(3)));
    assert!(folder.as_str().unwrap().ends_with(run["run"].as_str().unwrap()), "{folder} {run}");
    assert!(out(&desk.forethought("runs list").assert().success()).contains("sweep"));

    let folder = run["run"].as_str().unwrap();
    let one = out(&desk.forethought(&format!("view {folder} --task 1")).assert().success());
    assert!(one.contains("task 1, seed") && one.contains("step 0"), "{one}");
    let sorted = json(&desk, &format!("view {folder} --sort score"));
    let scores: Vec<_> =
        sorted.as_array().unwrap().iter().map(|one| one["score"].as_f64().unwrap()).collect();
    assert!(scores.len() == 3 && scores.is_sorted(), "{scores:?}");
    refused(&desk, &format!("view {folder} --task 77"), 2, &["there is no episode of task 77"]);
    refused(&desk, "runs list nowhere", 2, &["there is no folder nowhere"]);

    let seen = json(&desk, &format!("view {folder} --task 1"));
    let packed = json(&desk, &format!("runs pack {folder}"));
    let size = |key: &str| packed[0][key].as_u64().unwrap();
    assert!(size("after") < size("before"), "{packed}");
    assert_eq!(json(&desk, &format!("view {folder} --task 1")), seen);
    let episode = sorted[0]["episode"].as_str().unwrap();
    assert!(
        out(&desk.forethought(&format!("replay {folder} {episode}")).assert().success())
            .contains("identical")
    );
    refused(&desk, "runs pack nowhere", 2, &["nowhere"]);
    refused(&desk, "eval --planner react,react", 2, &["`react` is named twice"]);
}

#[test]
fn eval_prints_one_line_a_planner_on_the_same_episodes() {
    let desk = shop();
    let line = "eval --planner react,second --episodes 3 --set planner.second={kind=\"react\",llm=\"actor\"}";
    let report = json(&desk, line);
    let planners = report["planners"].as_array().unwrap();
    assert_eq!(
        planners.iter().map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["react", "second"]
    );
    // The same planner under two names, with the same seeds: the same score.
    assert_eq!(planners[0]["score"], planners[1]["score"]);
    assert_eq!(planners[0]["episodes"], 3);
    for key in ["success", "calls_per_decision", "tokens_per_decision", "ms_per_decision"] {
        assert!(planners[0].get(key).is_some(), "{key}");
    }
    // Before anything is paid for.
    std::fs::create_dir(desk.path().join("folder.svg")).unwrap();
    refused(&desk, "eval --set seed=5 --svg folder.svg", 2, &["--svg folder.svg: cannot be written"]);
    refused(&desk, "sweep llm.actor.slips=0,1 --csv plot.svg", 2, &["--csv plot.svg", "end it in .csv"]);
    refused(&desk, "eval --planner react,pnlk", 2, &["there is no [planner.pnlk]; the nearest is `pnlc`"]);
    assert_eq!(json(&desk, &format!("{line} --dry-run"))[1]["planner"], "second");
}

#[test]
fn a_sweep_runs_a_grid_and_writes_its_table_and_its_plot() {
    let desk = shop();
    let line = "sweep planner.react.history_chars=400,16000 llm.actor.slips=0,0.5 --episodes 2";
    let planned = json(&desk, &format!("{line} --dry-run"));
    assert_eq!(planned[1]["point"], "history_chars=400 slips=0.5");
    let swept = json(&desk, line);
    let planners = swept["planners"].as_array().unwrap();
    assert_eq!((planners.len(), &planners[3]["name"]), (4, &json!("history_chars=16000 slips=0.5")));
    assert_eq!(swept["points"][1][1], json!(["llm.actor.slips", "0.5"]));
    let (csv, svg) = (swept["csv"].as_str().unwrap(), swept["svg"].as_str().unwrap());
    let csv = std::fs::read_to_string(desk.path().join(csv)).unwrap();
    assert!(csv.starts_with("planner.react.history_chars,llm.actor.slips,episodes,score,"), "{csv}");
    assert_eq!((csv.lines().count(), csv.lines().nth(4).unwrap().starts_with("16000,0.5,2,")), (5, true));
    assert_eq!(std::fs::read_to_string(desk.path().join(svg)).unwrap().matches("<circle").count(), 4);
    // The same command continues, and shows what is there.
    assert_eq!(json(&desk, line)["runs"], swept["runs"]);
    refused(&desk, "sweep", 2, &["nothing to vary"]);
    refused(&desk, "sweep planner.react.histroy=1,2", 2, &["planner.react.histroy"]);
}

#[test]
fn every_planner_gets_the_same_budget_per_decision() {
    let desk = shop();
    let line = "eval --planner react,vote --set planner.vote={kind=\"react-vote\",llm=\"actor\",votes=9} --episodes 2";
    let report = json(&desk, &format!("{line} --budget calls=3"));
    let calls = |planner: usize| report["planners"][planner]["calls_per_decision"].as_f64().unwrap();
    assert!((1.0..1.5).contains(&calls(0)) && (2.5..=3.0).contains(&calls(1)), "{report}");
    // Votes are asked at once, after the first.
    let critical = report["planners"][1]["critical_calls_per_decision"].as_f64().unwrap();
    assert!((2.0..3.0).contains(&critical), "{report}");
    let none = desk.forethought("run --episodes 1 --budget calls=0").assert();
    assert!(err(&none.code(1)).contains("planner `react` failed at step 0: it needs more than the budget"));
    refused(&desk, "run --budget calls=many", 2, &["`calls` must be a whole number"]);
}

#[test]
fn what_is_collected_can_be_trained_on_and_judged() {
    let desk = shop();
    let collected = json(&desk, "collect --episodes 40 --out data");
    assert_eq!(collected["trajectories"], 40);
    assert!(desk.path().join("data/trajectories.parquet").is_file());
    let trained = json(&desk, "train --data data --out critic");
    let count = |key: &str| trained[key].as_u64().unwrap();
    assert_eq!(count("train_trajectories") + count("validation_trajectories"), 40);
    assert!(desk.path().join("critic/model.safetensors").is_file());

    // On episodes that the critic has not seen, together with those that it learned from.
    json(&desk, "collect --episodes 60 --out more");
    let judged = json(&desk, "critic eval --model critic --data more");
    let left_out = ["left_out_train", "left_out_validation"].map(|key| judged[key].as_u64().unwrap());
    assert_eq!(judged["evaluated"], 60 - left_out[0] - left_out[1]);
    assert!(left_out[0] > 0, "{judged}");
    let names: Vec<_> = judged["predictors"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["critic", "base rate", "logistic regression"]);
    // Next to critics of other kinds, and of less data.
    let kinds = "--set critic.same.kind=constant --set critic.both.kind=ensemble";
    let members = r#"--set critic.both.members=["critic","same"]"#;
    let compared = json(
        &desk,
        &format!("critic eval --critic both --against same --sizes 0.5 --data more {kinds} {members}"),
    );
    let rows = compared["predictors"].as_array().unwrap();
    let name = |row: usize| rows[row]["name"].as_str().unwrap();
    assert_eq!((rows.len(), name(3)), (5, "same"));
    assert!(name(4).starts_with("50 % of the data ("), "{}", name(4));
    assert_eq!(compared["evaluated"], judged["evaluated"], "an ensemble has seen what its members have");
    assert!(compared["classes"].as_array().is_some_and(|all| !all.is_empty()), "{compared}");
    assert_eq!(compared["uses"].as_array().map(Vec::len), Some(7));
    refused(&desk, "critic eval --critic nobody --data more", 2, &["nobody"]);
    refused(&desk, "critic eval --model critic --data more --sizes 2", 2, &["between 0 and 1"]);
    // Questions of anybody, answered in their order.
    let (ask, question) =
        ("critic ask --in asked.jsonl", r#"{ "state": "A list.", "thought": "Buy.", "outcome": "#);
    desk.write("asked.jsonl", &format!("{question}\"It fits.\" }}\n\n{question}\"It is late.\" }}\n"));
    let answers = json(&desk, ask);
    let outcomes: Vec<_> = answers.as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["It fits.", "It is late."]);
    assert!((0.0..=1.0).contains(&answers[0]["probability"].as_f64().unwrap()), "{answers}");
    let shown = out(&desk.forethought(ask).assert().success());
    assert!(shown.lines().all(|line| line.starts_with("0.") && line.contains("It ")), "{shown}");
    let shown = out(&desk.forethought(&format!("{ask} --why")).assert().success());
    assert!(shown.contains("this critic does not say what its answers rest on"), "{shown}");
    refused(&desk, &format!("{ask} --critic judge"), 2, &["judge"]);
    desk.write("asked.jsonl", &format!("{question}\"It fits.\" }}\n{question}2 }}"));
    refused(&desk, ask, 2, &["asked.jsonl:2: `outcome` is not a text"]);
    // On tasks that the critic knows, and on others.
    for (tasks, warned) in [("--episodes 3", true), ("--episodes 3 --first-task 50", false)] {
        let assert = desk.forethought(&format!("run --planner pnlc {tasks}")).assert().success();
        assert_eq!(err(&assert).contains("the critic `critic` was trained on"), warned, "{}", err(&assert));
    }
    // A file names its neighbours, wherever the program is called from.
    desk.write("deep/mine.toml", "[critic.critic]\nmodel = \"../critic\"\n");
    assert_eq!(json(&desk, "config check deep/mine.toml --set seats.agent=pnlc")["ok"], true);

    refused(&desk, "train --data nothing --out critic", 2, &["nothing"]);
    refused(&desk, "critic eval --model data --data data", 2, &["data has no config.json"]);
    refused(&desk, "run --planner pnlc --set encoder.hash.dimension=64", 2, &["was trained with encoder"]);
}

/// Some editors write a byte order mark. What comes after it is read, here up to the file's first mistake.
#[test]
fn every_text_file_may_begin_with_a_byte_order_mark() {
    let desk = shop();
    for other in ["critic/model.safetensors", "local/model.safetensors", "p4g/a_info.csv"] {
        desk.write(other, "");
    }
    let of = |kind: &str, key: &str| format!("run --set llm.actor.kind={kind} --set llm.actor.{key}");
    let of_games = "run --set environment.kind=avalon --set environment.presets=games.json".to_string();
    let import = |what: &str| format!("import {what} --out imported");
    for (file, text, line, says) in [
        ("games.json", "[]", of_games.as_str(), "no games"),
        ("pro/game_records.json", "[{}]", import("avalon-pro pro").as_str(), "missing field `_id`"),
        ("nlu/a.json", "{}", import("avalon-nlu nlu").as_str(), "missing field `users`"),
        ("rounds.jsonl", "{}", import("avalon-multi-round rounds.jsonl").as_str(), "missing field `file`"),
        ("p4g/a_dialog.csv", "B2,Unit\nd1,x\n", import("p4g p4g").as_str(), "missing field `B4`"),
        ("react.jsonl", "{}", import("react-webshop react.jsonl").as_str(), "missing field `id`"),
        ("data.jsonl", "{}", "view data.jsonl", "the key `episode` is missing"),
        ("run/run.json", "{}", "report run", "missing field `schema`"),
        ("critic/config.json", "{}", "run --planner pnlc", "no key `format`"),
        ("local/config.json", "{}", of("local", "model=local").as_str(), "no `model_type`"),
        ("tape.jsonl", "{}\n", of("replay", "cassette=tape.jsonl").as_str(), "missing field `cassette`"),
        ("answers.jsonl", "\"a\"\n3\n", of("script", "answers=answers.jsonl").as_str(), "answers.jsonl:2"),
    ] {
        desk.write(file, &format!("\u{feff}{text}"));
        refused(&desk, line, 2, &[says]);
    }

    let first = json(&desk, "run");
    let run = std::path::PathBuf::from(first["run"].as_str().unwrap());
    for name in ["run.json", "episodes.jsonl", "config.resolved.toml", "../../../forethought.toml"] {
        let text = std::fs::read_to_string(run.join(name)).unwrap();
        std::fs::write(run.join(name), format!("\u{feff}{text}")).unwrap();
    }
    assert_eq!(json(&desk, "run"), first);
}

#[test]
fn quickstart_goes_round_the_loop_and_goes_on_where_it_was() {
    const LINE: &str = "quickstart --collect 1 --episodes 4 --set environment.products=24 \
                        --set trainer.critic.hidden=[8,8] --set trainer.critic.steps=20 --set trainer.critic.evaluate_every=10";
    let desk = desk();
    let first = json(&desk, LINE);
    let planners: Vec<_> = first["planners"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    let expected =
        ["react", "react-vote", "pnlc", "pnlc-compare", "pnlc-shuffled", "pnlc-random", "pnlc-judge"];
    assert_eq!(planners, expected);
    assert!(first["planners"].as_array().unwrap().iter().all(|one| one["episodes"] == 4), "{first}");
    assert_eq!(first["collected"], 20);

    // As if it had been killed just before the end: all is found again, and nothing is asked twice.
    let folder = std::path::PathBuf::from(first["folder"].as_str().unwrap());
    std::fs::remove_file(folder.join("report.json")).unwrap();
    let again = json(&desk, LINE);
    assert_eq!(again["folder"], first["folder"]);
    assert_eq!(again["training"], first["training"]);
    let success = |report: &Value, index: usize| report["planners"][index]["success"].clone();
    assert!((0..7).all(|index| success(&first, index) == success(&again, index)));
    let runs = |planner: &str| std::fs::read_dir(folder.join("runs").join(planner)).unwrap().count();
    assert_eq!((runs("webshop--pnlc"), runs("webshop--react")), (1, 2));

    // Finished: a new one begins.
    assert_ne!(json(&desk, LINE)["folder"], first["folder"]);
    refused(&desk, "quickstart --episodes 1000", 2, &["--episodes 1000", "leave some of the"]);
}

#[test]
fn a_budget_ends_with_3_and_a_higher_one_continues() {
    let desk = shop();
    let assert = desk.forethought("run --json --set run.max_calls=5").assert().code(3);
    let stopped: Value = serde_json::from_str(&out(&assert)).unwrap();
    assert_eq!(stopped["status"], "budget");
    let finished = json(&desk, "run --set run.max_calls=5000");
    assert_eq!((&finished["status"], &finished["run"]), (&json!("finished"), &stopped["run"]));
}

#[test]
fn what_a_model_writes_in_no_form_is_counted_and_shown_with_what_to_try() {
    let desk = desk();
    desk.write(
        "forethought.toml",
        r#"
[environment]
kind = "webshop"
products = 20
max_steps = 4

[llm.actor]
kind = "script"
answers = [
    "Thought: buy it\nAction: click[Buy Now]",
    "no idea", "still no idea",
    "{", "}",
    "I give up.", "",
]

[planner.react]
kind = "react"
llm = "actor"
"#,
    );
    let eval = "eval --planner react --episodes 1";
    let assert = desk.forethought(eval).assert().success();
    let shown = "unreadable answers and illegal actions: react 3 of 4 decisions (1 empty, 4 illegal, 3 repeated, 5 \
                 unreadable)";
    assert!(out(&assert).contains(shown), "{}", out(&assert));
    let warned = err(&assert);
    assert!(
        warned.contains("react could not read the answers of its models in 3 of 4 decisions"),
        "{warned}"
    );
    for example in ["acted on \"still no idea\"", "step 2: ", "step 3: ", "try a larger `max_tokens`"] {
        assert!(warned.contains(example), "{example}: {warned}");
    }
    let counts = json!({ "empty": 1, "illegal": 4, "repeated": 3, "unread": 3, "unreadable": 5 });
    assert_eq!(json(&desk, eval)["planners"][0]["faults"]["counts"], counts);
    let report = desk.forethought("report runs/webshop--react").assert().success();
    assert!(out(&report).contains(shown), "{}", out(&report));
}

#[test]
fn an_interrupted_run_ends_with_130_and_is_continued() {
    const LONG: &str = "run --episodes 5000 --concurrency 1 --set environment.products=5000";
    let desk = shop();
    let mut child = desk.spawn(LONG).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().is_ok_and(|line| line.starts_with("react: ")))
        .expect("progress")
        .unwrap();
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    // Read on, or the program would wait for its reader.
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("the same command continues this run")), "{rest:?}");
    let run = json(&desk, "report runs/webshop--react");
    assert_eq!(run["info"]["status"], "interrupted");

    let stopped = desk.forethought(LONG).args(["--set", "run.max_calls=1"]).assert().code(3);
    assert!(err(&stopped).contains("continuing"), "{}", err(&stopped));
}

#[test]
fn a_broken_file_stops_only_what_reads_it() {
    let desk = desk();
    desk.write("forethought.toml", "[run\n");
    desk.forethought("list").assert().success();
    desk.forethought("schema").assert().success();
    refused(&desk, "import react-webshop nowhere --out data", 2, &["nowhere"]);
    refused(&desk, "import react-webshp nowhere --out data", 2, &["the nearest is `react-webshop`"]);
    refused(&desk, "verify webshop nowhere", 2, &["nowhere"]);
    let findings = desk.forethought("doctor --json").assert().code(1);
    assert!(out(&findings).contains("not TOML"), "{}", out(&findings));
    assert!(json(&shop(), "doctor").as_array().unwrap().iter().all(|finding| finding["state"] != "fix"));
}

#[test]
fn completions_are_printed_for_common_shells() {
    let desk = desk();
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            out(&desk.forethought(&format!("completions {shell}")).assert().success())
                .contains("forethought")
        );
    }
}

#[test]
fn a_reader_that_has_gone_or_a_full_disk_does_not_stop_the_work() {
    let desk = shop();
    for (number, sink) in ["/dev/full", "gone"].into_iter().enumerate() {
        let mut run = desk.spawn(&format!("run --planner react --episodes 2 --set seed={number}"));
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        run.stdout(Stdio::null()).stderr(if sink == "gone" { Stdio::piped() } else { full.into() });
        let mut child = run.spawn().unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{sink}");
    }
    let mut wrong = desk.spawn("run nosuch");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(wrong.stderr(full).status().unwrap().code(), Some(2));
}

#[test]
fn text_from_files_cannot_steer_the_terminal_and_logs_have_no_colours() {
    let desk = shop();
    let step = json!({ "observation": "o", "state": "s", "thought": "t", "action": "a", "next_state": "n", "outcomes": [],
        "reward": 1.0, "terminated": true, "truncated": false });
    let foreign = json!({ "episode": "\u{1b}[2Jevil\u{202e}", "environment": "\u{9b}x", "task": 1, "seed": 1, "seat": 0,
        "source": "\u{7}bell", "steps": [step] });
    desk.write("data.jsonl", &foreign.to_string());
    for line in [
        "view data.jsonl",
        "view data.jsonl --json",
        "view data.jsonl \u{1b}[31mno",
        "run --planner \u{1b}[31mred",
    ] {
        let assert = desk.forethought(line).env("RUST_LOG", "trace").assert();
        let shown = out(&assert) + &err(&assert);
        assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}']), "{line}: {shown:?}");
    }
}

/// A hub that refuses everybody, and a program that logs as much as it can.
#[test]
fn the_token_of_the_hub_is_in_no_log() {
    const TOKEN: &str = "hf_xylophoneQuartzJukebox";
    let hub = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", hub.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _) = hub.accept().unwrap();
        let request: Vec<_> = BufReader::new(&stream)
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        stream
            .write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        request.join("\n")
    });
    let desk = shop();
    let mut command = desk.forethought("-vvv run --planner pnlc --set critic.critic.model=hf:owner/name");
    let assert =
        command.env("HF_ENDPOINT", address).env("HF_TOKEN", TOKEN).env("RUST_LOG", "trace").assert().code(4);
    assert!(served.join().unwrap().contains(TOKEN), "it was sent");
    let said: String = err(&assert).chars().filter(|c| !c.is_whitespace()).collect();
    assert!(said.contains("thetokeninusecannotreadit"), "{said}");
    // Nor a part of it, nor in hexadecimal.
    for part in TOKEN.as_bytes().windows(8) {
        let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        for form in [std::str::from_utf8(part).unwrap(), &hex] {
            assert!(!said.contains(form), "{form}");
        }
    }
}

#[test]
fn data_go_to_one_side_and_words_for_people_to_the_other() {
    let desk = shop();
    let assert = desk.forethought("run --json").assert().success();
    assert!(err(&assert).contains("react: 4/4"), "{}", err(&assert));
    serde_json::from_str::<Value>(&out(&assert)).expect("nothing but JSON");
    let quiet = desk.forethought("run --quiet --fresh").assert().success();
    assert_eq!(err(&quiet), "");
}

#[test]
fn what_was_played_is_used_again_and_nothing_is_replaced_unasked() {
    let desk = shop();
    // An output that cannot be written is found before the first call.
    let file = desk.write("data", "a file");
    refused(&desk, "collect --out data", 2, &["--out data: trajectories cannot be written there"]);
    assert!(!desk.path().join("runs").exists());
    std::fs::remove_file(file).unwrap();

    let collected = json(&desk, "collect --out data");
    std::fs::remove_dir_all(desk.path().join("data")).unwrap();
    assert_eq!(json(&desk, "collect --out data"), collected, "the same run, and the same files again");
    let again = desk.forethought("collect --out data").assert().success();
    assert!(err(&again).contains("is finished, and these are its results; --fresh plays again"));
    let run = collected["run"].as_str().unwrap();
    assert_eq!(json(&desk, &format!("export {run} --out copy"))["steps"], collected["steps"]);
    for name in ["trajectories.jsonl", "trajectories.parquet"] {
        let [first, second] =
            ["data", "copy"].map(|folder| std::fs::read(desk.path().join(folder).join(name)));
        assert_eq!(first.unwrap(), second.unwrap());
    }
    assert_ne!(json(&desk, "collect --out data --fresh")["run"], run);

    // More of the same is written over it, and others only if that is requested; nothing never is.
    json(&desk, "collect --out data --episodes 5");
    refused(&desk, "collect --first-task 9 --out data", 2, &["--replace"]);
    desk.forethought("collect --episodes 5 --out data --fresh --set run.max_calls=0").assert().code(3);
    assert_eq!(json(&desk, "view data").as_array().map(Vec::len), Some(5));
    json(&desk, "collect --first-task 9 --out data --replace");
}

#[test]
fn the_planners_of_an_evaluation_share_its_limits_and_are_not_played_twice() {
    let desk = shop();
    desk.write("two.toml", "[planner.terse]\nkind = \"react\"\nllm = \"actor\"\ntemperature = 0.5\n");
    let calls = |folder: &str| -> u64 {
        let runs = std::fs::read_dir(desk.path().join("runs").join(folder)).unwrap();
        let runs: Vec<_> = runs.map(|run| run.unwrap().path()).collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        let lines = std::fs::read_to_string(runs[0].join("episodes.jsonl")).unwrap_or_default();
        let last: std::collections::BTreeMap<String, u64> = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|line| (line["episode"].to_string(), line["llm_calls"].as_u64().unwrap()))
            .collect();
        last.values().sum()
    };
    let eval = "eval two.toml --planner react,terse --set run.concurrency=1 --set run.max_calls=";
    let mut most = 0;
    for limit in [30, 40] {
        desk.forethought(&format!("{eval}{limit}")).assert().code(3);
        let used = calls("webshop--react") + calls("webshop--terse");
        assert!(most < used && used <= limit, "{used} calls of {limit}");
        most = used;
    }
    let whole = json(&desk, &format!("{eval}4000"));
    let used = calls("webshop--react") + calls("webshop--terse");
    assert_eq!(json(&desk, &format!("{eval}4000")), whole);
    assert_eq!(calls("webshop--react") + calls("webshop--terse"), used);
}

#[test]
fn imported_episodes_get_states_and_outcomes_and_stay_what_they_are() {
    let desk = desk();
    let step = |observation: &str, action: &str, more: Value| {
        let mut step = json!({ "observation": observation, "state": "", "thought": "", "action": action, "next_state": "",
            "outcomes": [], "reward": 0.0, "terminated": false, "truncated": false });
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        step
    };
    let end = json!({ "terminated": true, "reward": 1.0 });
    let one = json!({ "episode": "desk/1", "environment": "desk", "task": 7, "seed": 8, "seat": 1, "source": "agent",
        "info": { "after": "2 tests passed, 0 failed" }, "steps": [
            step("fix the tests", "run()", json!({ "thought": "Look.", "state": "kept" })),
            step("1 test failed", "edit({\"at\": 3})", end.clone())] });
    let other = json!({ "episode": "desk/2", "environment": "desk", "task": 9, "seed": 8, "seat": 0, "source": "agent",
        "steps": [step("hello", "bye", end)] });
    desk.write("imported/trajectories.jsonl", &format!("{one}\n{other}\n"));
    let config = "[run]\nout = \"runs\"\n[summariser]\nkind = \"observation\"\naction = true\nfirst_line = true\n\
                  outcomes = [{ seen = [\"0 failed\"], says = \"The tests pass.\" }]\n";
    desk.write("forethought.toml", config);
    let command = "label --data imported --out labelled";
    let first = json(&desk, command);
    assert_eq!(
        (&first["steps"], &first["derived"], &first["status"]),
        (&json!(3), &json!(2), &json!("finished"))
    );
    let labelled = std::fs::read_to_string(desk.path().join("labelled/trajectories.jsonl")).unwrap();
    let mut lines = labelled.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut found = lines.next().unwrap();
    assert_eq!(found["steps"][0]["outcomes"], json!(["1 test failed"]));
    assert_eq!(found["steps"][0]["next_state"], "After run(): 1 test failed");
    assert_eq!(found["steps"][1]["thought"], "Derived: edit({\"at\": 3})");
    assert_eq!(found["steps"][1]["outcomes"], json!(["The tests pass."]));
    // What was there is as it was.
    for (at, keys) in
        [(0, &["next_state", "outcomes"][..]), (1, &["state", "next_state", "outcomes", "thought"])]
    {
        keys.iter().for_each(|key| found["steps"][at][key] = one["steps"][at][key].clone());
    }
    assert_eq!(found, one);
    assert_eq!(lines.next().unwrap()["episode"], "desk/2");
    // The same command finds that nothing is left to do, and another world gives other rewards.
    assert_eq!(json(&desk, command)["run"], first["run"]);
    assert_eq!(json(&desk, "label --data labelled --out again")["steps"], 0);
    let world = "[environment]\nkind = \"recorded\"\ndata = \"imported\"\nreward = { column = \"task\" }\n";
    desk.write("forethought.toml", &format!("{config}{world}[planner.again]\nkind = \"recorded\"\n"));
    assert_eq!(json(&desk, "label --data imported --out scored")["written"]["mean_score"], 8.0);
    let collected = json(&desk, "collect --planner again --episodes 2 --out collected");
    assert_eq!((&collected["mean_score"], &collected["steps"]), (&json!(8.0), &json!(3)));
    let way_out = "2 of 2 trajectories have steps without a state";
    desk.write(
        "forethought.toml",
        "[encoder.e]\nkind = \"hash\"\n[trainer.t]\nkind = \"goal-q\"\nencoder = \"e\"\n",
    );
    let vocabulary = "label --data imported --out vocabulary.json";
    refused(&desk, vocabulary, 2, &[way_out, "`forethought label --data imported --out DIR` fills them in"]);
}

#[test]
fn what_a_run_will_use_is_estimated_from_an_earlier_one() {
    let desk = shop();
    refused(&desk, "estimate --planner react", 2, &["`react` has no finished episodes", "--episodes 5"]);
    let played = json(&desk, "run --planner react --episodes 4");
    let calls = |episode: &Value| episode["llm_calls"].as_u64().unwrap();
    let all: u64 = played["episodes"].as_array().unwrap().iter().map(calls).sum();
    let estimate =
        |flags: &str| json(&desk, &format!("estimate --episodes 1000 {flags}"))["planners"][0].clone();
    let row = estimate("--price 1,10");
    assert_eq!(row["calls"]["expected"].as_f64().unwrap(), all as f64 * 250.0);
    assert!(row["calls"]["low"].as_f64() <= row["calls"]["expected"].as_f64(), "{row}");
    let tokens = |key: &str| row[key]["expected"].as_f64().unwrap();
    let usd = (tokens("input_tokens") + 10.0 * tokens("output_tokens")) / 1e6;
    assert!((row["usd"]["expected"].as_f64().unwrap() - usd).abs() < 1e-9 * usd, "{row}");
    assert_eq!((&row["known"], &row["ends_after"]), (&json!(4), &Value::Null));
    assert_eq!(
        estimate("--set run.max_calls=100")["ends_after"],
        100_000 / (all * 250),
        "calls of the limit"
    );
    assert_eq!(estimate("")["usd"], Value::Null, "the simulated model has no price");
}
