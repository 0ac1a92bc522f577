//! Publishing a critic: to a hub on loopback, and from there to programs that never saw it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use forethought_testkit::Suite;
use forethought_tests::{Desk, SHOP, err, out, workspace};
use serde_json::{Value, json};

const TOKEN: &str = "hf_writer";

/// An encoder of another dimension than the critic's.
const OTHER: &str = "[encoder.other]\nkind = \"hash\"\ndimension = 128\n";

fn main() -> ExitCode {
    let unable = (!workspace().join("target/agents/.complete").exists())
        .then(|| "the hub's own client is missing; `bash .ci/agents` installs it".to_owned());
    Suite::default()
        .unless(unable, "a_critic_is_published_and_is_the_same_elsewhere", publishes)
        .test("a_card_says_what_the_hub_shows", card)
        .run()
}

/// The imitated hub; it ends with this.
struct Server(Child, String);

impl Server {
    fn start() -> Self {
        let mut child = python(&["serve"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self(child, format!("http://127.0.0.1:{}", port.trim()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn python(arguments: &[&str]) -> Command {
    let mut command = Command::new(workspace().join("target/agents/bin/python"));
    command.arg(workspace().join("tests/agents/hub.py")).args(arguments);
    command
}

/// What the hub's own client prints.
fn client(arguments: &[&str], home: &Path) -> String {
    let output = python(arguments).env("HF_HOME", home).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A desk with a critic in the folder `critic`, and questions for it.
fn trained() -> Desk {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    desk.write("forethought.toml", &format!("{SHOP}{OTHER}"));
    desk.forethought("collect --planner react --episodes 40 --out data").assert().success();
    desk.forethought("train --data data --out critic").assert().success();
    let line = std::fs::read_to_string(desk.path().join("data/trajectories.jsonl")).unwrap();
    let steps = line
        .lines()
        .flat_map(|line| serde_json::from_str::<Value>(line).unwrap()["steps"].as_array().unwrap().clone());
    let questions = steps.filter(|step| step["outcomes"][0].is_string()).take(20).map(|step| {
        json!({ "state": step["state"], "thought": step["thought"], "outcome": step["outcomes"][0] })
            .to_string()
            + "\n"
    });
    desk.write("questions.jsonl", &questions.collect::<String>());
    desk
}

fn publishes() {
    let desk = trained();
    let server = Server::start();
    let run = |line: &str, token: Option<&str>, home: &str| {
        let mut command = desk.forethought(line);
        command.env("HF_ENDPOINT", &server.1).env("HF_HOME", desk.path().join(home)).env_remove("HF_TOKEN");
        token.map(|token| command.env("HF_TOKEN", token));
        command.assert()
    };
    let push = "hub push critic me/critic --license mit --dataset me/episodes --json";

    let error = err(&run(push, None, "home").code(2));
    assert!(error.contains("set HF_TOKEN"), "{error}");
    let error = err(&run(push, Some("hf_reader"), "home").code(4));
    assert!(error.contains("refused with status 401") && !error.contains("hf_reader"), "{error}");
    let dry: Value =
        serde_json::from_str(&out(&run(&format!("{push} --dry-run"), None, "home").success())).unwrap();
    assert_eq!(dry["commit"], Value::Null);

    let pushed: Value = serde_json::from_str(&out(&run(push, Some(TOKEN), "home").success())).unwrap();
    assert!(pushed["files"].as_array().unwrap().iter().all(|file| file["sent"] == true), "{pushed}");
    let again: Value = serde_json::from_str(&out(&run(push, Some(TOKEN), "home").success())).unwrap();
    assert_eq!(again["commit"], pushed["commit"], "nothing has changed");
    assert!(again["files"].as_array().unwrap().iter().all(|file| file["sent"] == false), "{again}");

    // Nothing goes to a public repository that was to be private.
    let error = err(&run(&format!("{push} --private"), Some(TOKEN), "home").code(2));
    assert!(error.contains("is not private on the hub, so nothing was sent"), "{error}");
    run(&push.replace("me/critic", "me/secret --private"), Some(TOKEN), "home").success();

    // Elsewhere: another home, no token, no checkpoint.
    let ask =
        |set: &str, home: &str| run(&format!("critic ask --in questions.jsonl --json{set}"), None, home);
    let here = out(&ask("", "home").success());
    let commit = pushed["commit"].as_str().unwrap();
    for (home, revision) in [("clean", String::new()), ("pinned", format!("@{commit}"))] {
        let there = ask(&format!(" --set critic.critic.model=hf:me/critic{revision}"), home).success();
        assert_eq!(out(&there), here, "estimates of {revision:?}");
    }
    run("hub pull me/critic --out pulled", None, "clean").success();
    for file in ["model.safetensors", "config.json"] {
        let read = |folder: &str| std::fs::read(desk.path().join(folder).join(file)).unwrap();
        assert_eq!(read("pulled"), read("critic"), "{file}");
    }
    let error = err(&run("hub pull me/critic --out pulled", None, "clean").code(2));
    assert!(error.contains("not an empty folder"), "{error}");
    for (set, says) in [
        (" --set critic.critic.model=hf:me/critic@v9", "has no such revision"),
        (" --set critic.critic.model=hf:me/critic --set critic.critic.encoder=other", "128"),
    ] {
        let error = err(&ask(set, "clean").failure());
        assert!(error.contains(says), "{set}: {error}");
    }

    // The hub's own client reads what we wrote, and writes the same.
    let home = desk.path().join("python");
    let folder = desk.path().join("read");
    let card: Value =
        serde_json::from_str(&client(&["read", &server.1, "me/critic", folder.to_str().unwrap()], &home))
            .unwrap();
    let data = json!({ "license": "mit", "library_name": "forethought", "datasets": ["me/episodes"], "base_model": null });
    assert_eq!(card["data"], data);
    let measures: Vec<_> =
        card["results"].as_array().unwrap().iter().map(|one| one[0].as_str().unwrap()).collect();
    assert_eq!(measures, ["auc", "brier", "ece"]);
    client(&["write", &server.1, "me/other", desk.path().join("pulled").to_str().unwrap()], &home);
    let there = ask(" --set critic.critic.model=hf:me/other", "other").success();
    assert_eq!(out(&there), here);
}

fn card() {
    let desk = trained();
    let card =
        out(&desk.forethought("hub card critic --license mit --encoder me/encoder").assert().success());
    let (front, body) = card.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    for line in ["license: \"mit\"", "base_model: \"me/encoder\"", "- type: auc", "      name: \"webshop\""] {
        assert!(front.contains(line), "{line}: {front}");
    }
    for text in ["kind = \"goal-q\"", "Trained on episodes of the configuration", "Encoder: `hash/v1"] {
        assert!(body.contains(text), "{text}: {body}");
    }
    // A critic that was pulled has the published card; its keys are not written twice.
    desk.write("critic/README.md", &card);
    let again =
        out(&desk.forethought("hub card critic --license mit --encoder me/encoder").assert().success());
    assert_eq!(again, card);
    desk.write("not/config.json", "{}");
    let error = err(&desk.forethought("hub card not").assert().failure());
    assert!(error.contains("it has no key `format`"), "{error}");
}
