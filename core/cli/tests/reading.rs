//! Reports, the viewer and tables of real runs; the viewer in a real browser.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, LazyLock};

use forethought_testkit::Suite;
use forethought_tests::{Desk, err, out, workspace};
use serde_json::{Value, json};

const SHOP: &str = r#"
seed = 5
[environment]
kind = "webshop"
products = 60
max_steps = 6
[llm.actor]
kind = "simulated"
[critic.judge]
kind = "judge"
llm = "actor"
[planner.pnlc]
kind = "pnlc"
llm = "actor"
critic = "judge"
rounds = 1
outcomes = 2
[planner.lats]
kind = "lats"
llm = "actor"
iterations = 3
[run]
episodes = 5
"#;

fn main() -> ExitCode {
    let browser = workspace().join("target/browser");
    let no_browser = (!browser.join(".complete").exists())
        .then(|| "a browser is missing; `bash .ci/browser` installs it".to_owned());
    let python = workspace().join("target/agents/bin/python");
    let no_pandas = (!python_has(&python, "pandas, pyarrow"))
        .then(|| "pandas and pyarrow are missing; `bash .ci/agents` installs them".to_owned());
    // Played once, for all of them.
    let desk = Arc::new(LazyLock::new(played as fn() -> Desk));
    let with = |test: fn(&Desk)| {
        let desk = desk.clone();
        move || test(&desk)
    };
    let (reads, shows) = (desk.clone(), desk.clone());
    Suite::default()
        .test("a_report_is_one_page_that_needs_nothing_else", with(a_report_is_one_page))
        .test("lists_in_the_terminal_are_filtered_and_sorted", with(lists_are_filtered))
        .unless(no_pandas, "pandas_reads_the_tables_of_decisions", move || {
            pandas_reads_tables(&reads, &python)
        })
        .unless(no_browser, "the_viewer_works_in_a_browser", move || {
            the_viewer_works_in_a_browser(&shows, &browser)
        })
        .run()
}

fn python_has(python: &Path, packages: &str) -> bool {
    python.exists()
        && Command::new(python)
            .args(["-c", &format!("import {packages}")])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

/// A desk with the runs of two planners on the same tasks. That of `pnlc` has an episode that failed, and a hostile
/// one.
fn played() -> Desk {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    desk.write("shop.toml", SHOP);
    desk.forethought("eval shop.toml --planner pnlc,lats").assert().success();
    let run = newest(&desk, "pnlc");
    append(&run, failure("<b>no & answer</b>"));
    hostile(&run);
    desk
}

fn newest(desk: &Desk, planner: &str) -> PathBuf {
    let folder = desk.path().join("runs").join(format!("webshop--{planner}"));
    std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).max().unwrap()
}

fn a_report_is_one_page(desk: &Desk) {
    let (pnlc, lats) = (newest(desk, "pnlc"), newest(desk, "lats"));
    desk.forethought("report --html both.html").args([&lats, &pnlc]).assert().success();
    let page = std::fs::read_to_string(desk.path().join("both.html")).unwrap();
    for part in [
        "Differences on the same episodes",
        "&lt;b&gt;no &amp; answer&lt;&#x2f;b&gt;",
        "planner.pnlc.outcomes",
        "shop.toml:",
        "forethought replay",
        "Hopes and success",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert!(!page.contains("<script") && !page.contains("<b>no"));
    let loads = ["src=\"", "url(", "@import", "href=\"http"];
    assert!(loads.iter().all(|load| !page.contains(load)), "the page loads something");
    assert!(page.len() < 400_000, "{} bytes", page.len());

    let several = desk.forethought("report").args([&lats, &pnlc]).assert().failure();
    assert!(err(&several).contains("--html"), "{}", err(&several));
}

fn lists_are_filtered(desk: &Desk) {
    let run = newest(desk, "pnlc");
    let list = |flags: &str| -> Vec<Value> {
        let shown = desk.forethought(&format!("view {} --json {flags}", run.display())).assert().success();
        serde_json::from_str(&out(&shown)).unwrap()
    };
    assert_eq!(list("").len(), 7);
    let failed = list("--failed --max-score 0");
    assert!(failed.iter().any(|one| one["error"] == "<b>no & answer</b>"), "{failed:?}");
    let steps: Vec<_> =
        list("--sort tokens --reverse").iter().map(|one| one["tokens"].as_u64().unwrap()).collect();
    assert!(steps.is_sorted_by(|a, b| a >= b), "{steps:?}");
    assert!(list("--solved").iter().all(|one| one["success"] == true));
    assert_eq!(list("--text SEARCH[").len(), 5, "every shopper searches; the others have no such log");
    assert_eq!(list("--text unheard-of-words").len(), 0);
}

fn pandas_reads_tables(desk: &Desk, python: &Path) {
    let tables = desk.path().join("tables");
    let run = newest(desk, "pnlc");
    desk.forethought("export --format decisions --json --out").arg(&tables).arg(&run).assert().success();
    let script = "
import sys, pandas
d, r, o = (pandas.read_parquet(f'{sys.argv[1]}/{name}.parquet') for name in ('decisions', 'rounds', 'outcomes'))
assert len(d) and len(r) >= len(d) and len(o) == r.outcomes.sum() == d.outcomes.sum(), (len(d), len(r), len(o))
assert d.step.dtype == 'uint64' and d.hoped.dtype == 'float64' and d.reported.all() and (d.planner == 'pnlc').all()
assert set(d.episode_id) == set(r.episode_id) and d.observation.str.contains('WebShop').any()
last = r.sort_values('round').groupby(['episode_id', 'step'], as_index=False).last()
both = d.merge(last, on=['episode_id', 'step'], suffixes=('', '_r'))
assert (both.hoped.fillna(-1) == both.hoped_r.fillna(-1)).all()
assert o.probability.between(0, 1).all() and o.good.isin([True, False]).all()
";
    let read = Command::new(python).args(["-c", script]).arg(&tables).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}

fn the_viewer_works_in_a_browser(desk: &Desk, browser: &Path) {
    let run = newest(desk, "pnlc");
    let report = desk.path().join("report.html");
    desk.forethought("report --html").arg(&report).arg(&run).arg(newest(desk, "lats")).assert().success();

    let mut viewer = desk.spawn("view --web --quiet").arg(&run).stdout(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(viewer.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reading/viewer.mjs");
    let seen =
        Command::new("node").arg(script).arg(browser).arg(url.trim()).arg(&report).arg(HOSTILE).output();
    viewer.kill().unwrap();
    viewer.wait().unwrap();
    let seen = seen.unwrap();
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
}

const HOSTILE: &str = "0123456789abcdef0123456789abcdef";

/// Adds a line to the list of a run's episodes.
fn append(run: &Path, line: Value) {
    let mut file = std::fs::File::options().append(true).open(run.join("episodes.jsonl")).unwrap();
    writeln!(file, "{line}").unwrap();
}

fn episode(id: &str, task: u64) -> Value {
    json!({ "episode": id, "task": task, "seed": 1, "status": "done", "score": 0.0, "scores": [0.0], "seats": ["pnlc"],
        "success": false, "steps": 1, "decisions": 1, "llm_calls": 0, "tokens": 0, "calls": {}, "other_calls": {},
        "value_queries": 0, "ms_per_decision": null })
}

fn failure(error: &str) -> Value {
    let mut line = episode("fedcba9876543210fedcba9876543210", 100);
    (line["status"], line["error"]) = ("failed".into(), error.into());
    line
}

/// Adds an episode whose texts try to be more than texts.
fn hostile(run: &Path) {
    let evil =
        "<script>alert(1)</script><img src=x onerror=alert(2)>\u{1b}[2J\u{202e}{{ 7 * 7 }} hostile-needle";
    let observation = json!({ "text": format!("{evil}\n{}", "x".repeat(1 << 20)), "data": null });
    let round = json!({ "thought": evil, "kept": true,
        "outcomes": [{ "text": evil, "good": true, "probability": 0.75, "raw": 0.0, "uncertainty": 0.0, "known_as": evil }] });
    let inner = json!({ "planner": evil, "thought": evil, "action": evil, "error": evil, "trace": {} });
    let trace = json!({ "rounds": [round], "recoveries": [evil], "faults": { evil: 1 }, "decisions": [inner],
        "details": { "moves": [{ "action": evil, "visits": 3, "value": 0.5 }], "path": [evil], "x": evil,
            "tree": [{ "node": 2, "parent": 1, "action": evil }, { "node": 1, "parent": 1, "action": evil }] } });
    let lines = [
        json!({ "event": "episode", "schema": 1, "episode": HOSTILE, "environment": evil, "version": evil, "task": 101,
            "seed": 1, "seats": ["pnlc"], "seat_names": [evil] }),
        json!({ "event": "turn", "step": 0, "seat": 0, "observation": observation, "legal_actions": [evil] }),
        json!({ "event": "decision", "step": 0, "seat": 0, "thought": evil, "action": evil, "trace": trace,
            "summary": { "state": evil, "outcome": evil } }),
        json!({ "event": "transition", "step": 0, "rewards": [1.0], "terminated": true, "truncated": false,
            "success": false, "info": { "metrics": { evil: 1.0 }, "end": evil } }),
        json!({ "event": "end", "status": "done", "error": evil, "scores": [1.0] }),
    ];
    let log: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let packed = zstd::bulk::compress(log.as_bytes(), 3).unwrap();
    std::fs::write(run.join("events").join(format!("{HOSTILE}.jsonl.zst")), packed).unwrap();
    append(run, episode(HOSTILE, 101));
}
