//! The viewer over HTTP: whom it answers, what it shows of a damaged or growing run.

use std::io::Write as _;
use std::path::Path;

use forethought_reading::web::{Served, Viewer};
use serde_json::json;

/// A run of one planner, as far as the viewer reads it.
fn run(parent: &Path, planner: &str, episodes: u64) -> std::path::PathBuf {
    let folder = parent.join(format!("shop--{planner}")).join("01A");
    std::fs::create_dir_all(folder.join("events")).unwrap();
    let info = json!({ "schema": 1, "program": "0.1.0", "environment": "shop", "planner": planner, "config_hash": "x",
        "episodes": 10, "status": "running", "started": "2026-11-30T00:00:00Z", "finished": null });
    std::fs::write(folder.join("run.json"), info.to_string()).unwrap();
    std::fs::write(folder.join("episodes.jsonl"), "").unwrap();
    (0..episodes).for_each(|task| add(&folder, task));
    folder
}

fn add(folder: &Path, task: u64) {
    let id = format!("{task:032x}");
    let line = json!({ "episode": id, "task": task, "seed": 1, "status": "done", "score": task as f64 / 10.0,
        "scores": [0.0], "seats": ["a"], "success": task.is_multiple_of(2), "steps": 1, "decisions": 1, "llm_calls": 1,
        "tokens": 1, "calls": {}, "other_calls": {}, "value_queries": 0, "ms_per_decision": null });
    let mut file = std::fs::File::options().append(true).open(folder.join("episodes.jsonl")).unwrap();
    writeln!(file, "{line}").unwrap();
    let events = [
        json!({ "event": "episode", "schema": 1, "episode": id, "environment": "shop", "version": "1", "task": task,
            "seed": 1, "seats": ["a"] }),
        json!({ "event": "turn", "step": 0, "seat": 0, "observation": { "text": "a door <b>", "data": null } }),
        json!({ "event": "decision", "step": 0, "seat": 0, "thought": "try it", "action": format!("open {task}"), "trace": {} }),
        json!({ "event": "end", "status": "done", "scores": [0.5] }),
    ];
    let log: String = events.iter().map(|event| format!("{event}\n")).collect();
    let packed = zstd::bulk::compress(log.as_bytes(), 3).unwrap();
    std::fs::write(folder.join("events").join(format!("{id}.jsonl.zst")), packed).unwrap();
}

/// Status and body of an answer.
async fn get(served: &Served, path: &str, headers: &[(&'static str, &'static str)]) -> (u16, String) {
    let (url, headers) = (format!("{}{path}", served.url()), headers.to_vec());
    let ask = move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request =
            headers.into_iter().fold(agent.get(url), |request, (name, value)| request.header(name, value));
        let mut answer = request.call().unwrap();
        let policy = answer.headers().get("content-security-policy").is_some();
        assert!(policy, "every answer has its policy");
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_this_machine_is_answered() {
    let desk = tempfile::tempdir().unwrap();
    let served = Viewer::open(&run(desk.path(), "a", 1), &[]).unwrap().serve(0).await.unwrap();
    assert!(served.url().starts_with("http://127.0.0.1:"));
    assert_eq!(get(&served, "", &[]).await.0, 200);
    for header in [
        ("host", "evil.example"),
        ("host", "127.0.0.1"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
    ] {
        let (status, said) = get(&served, "", &[header]).await;
        assert_eq!(status, 403, "{header:?}: {said}");
    }
    for path in
        ["9", "0/e/../../etc/passwd", "0/e/%2e%2e%2frun", "0/e/00000000000000000000000000000000/text/x"]
    {
        assert_eq!(get(&served, path, &[]).await.0, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_what_is_appended_is_shown() {
    let desk = tempfile::tempdir().unwrap();
    let folder = run(desk.path(), "a", 4);
    run(desk.path(), "b", 2);
    let served = Viewer::open(&folder, &[]).unwrap().serve(0).await.unwrap();
    let count = async |query: &str| get(&served, query, &[]).await.1.matches("class=\"open mono\"").count();
    assert_eq!(count("").await, 4);
    assert_eq!(count("?show=lost&sort=best").await, 2);
    assert_eq!(count("?low=0.1&high=0.2").await, 2);
    assert_eq!(count("?q=OPEN+3").await, 1, "what was done is found");
    add(&folder, 4);
    assert_eq!(count("").await, 5);

    let (_, page) = get(&served, &format!("0/e/{:032x}", 1), &[]).await;
    assert!(
        page.contains("a door &lt;b&gt;") && page.contains("open 1") && page.contains("beside b"),
        "{page}"
    );
    assert!(!page.contains("style="), "the policy forbids it");
    let (status, page) = get(&served, &format!("0/e/{:032x}/beside/1", 1), &[]).await;
    assert_eq!((status, page.matches("class=\"side\"").count()), (200, 2), "{page}");
    let (_, page) = get(&served, &format!("0/e/{:032x}/calls/0/0", 1), &[]).await;
    assert!(page.contains("the file is missing, so what was asked is not known"), "{page}");

    let (_, page) = get(&served, "", &[]).await;
    assert!(page.contains("stopped"), "nobody has its lock: {page}");
    let info = std::fs::read_to_string(folder.join("run.json")).unwrap();
    std::fs::write(folder.join("run.json"), info.replace("running", "finished")).unwrap();
    let (_, said) = get(&served, "0/live", &[]).await;
    let said = said.split_once("data: ").unwrap().1.trim();
    let said: serde_json::Value = serde_json::from_str(said).unwrap();
    assert_eq!((&said["total"], &said["planned"], &said["running"]), (&json!(5), &json!(10), &json!(false)));
    assert_eq!(said["results"]["success"], "60.0 %");

    std::fs::write(folder.join("events").join(format!("{:032x}.jsonl.zst", 2)), "torn").unwrap();
    let (status, page) = get(&served, &format!("0/e/{:032x}", 2), &[]).await;
    assert!(status == 200 && page.contains("could not be read"), "{page}");
}
