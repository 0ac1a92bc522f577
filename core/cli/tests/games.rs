//! Environments with several seats, through the program: a person plays, planners compete, episodes are read and replayed.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use forethought_tests::{Desk, err, out};
use serde_json::{Value, json};

const AVALON: &str = r#"
seed = 3
[environment]
kind = "avalon"
[planner.naive]
kind = "avalon-naive"
[planner.watchful]
kind = "avalon-naive"
assassin = "observant"
[planner.random]
kind = "random"
[seats]
"*" = "naive"
[run]
episodes = 12
"#;

fn table() -> Desk {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    desk.write("avalon.toml", AVALON);
    desk
}

fn shown(desk: &Desk, line: &str) -> String {
    out(&desk.forethought(line).assert().success())
}

fn json(desk: &Desk, line: &str) -> Value {
    let text = shown(desk, &format!("{line} --json"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
}

// ---- a person -------------------------------------------------------------------------------------------------

/// A person at the program: reads until it asks, and answers.
struct Player {
    child: Child,
    read: String,
}

impl Player {
    fn sit_down(desk: &Desk, line: &str) -> Self {
        let mut command = desk.spawn(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().expect("the program starts"), read: String::new() }
    }

    /// Whether the program asks for something; otherwise its output has ended.
    fn asked(&mut self) -> bool {
        let start = self.read.len();
        let stderr = self.child.stderr.as_mut().expect("piped");
        let mut byte = [0];
        let mut bytes = Vec::new();
        while stderr.read(&mut byte).expect("standard error") == 1 {
            bytes.push(byte[0]);
            // What was typed is not echoed here, so one prompt may follow another.
            if bytes == b"> " || bytes.ends_with(b"\n> ") {
                break;
            }
        }
        self.read += &String::from_utf8_lossy(&bytes);
        self.read[start..].ends_with("> ")
    }

    fn types(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("piped"), "{line}").expect("standard input");
    }

    /// Takes the first action on offer.
    fn obeys(&mut self) {
        let (_, actions) = self.read.rsplit_once("Actions: ").expect("actions on offer");
        let first = actions.split(['|', '\n']).next().expect("an action").trim().to_string();
        self.types(&first);
    }

    /// The end: the exit code, and the data that was printed.
    fn leaves(mut self) -> (Option<i32>, String) {
        drop(self.child.stdin.take());
        while self.asked() {}
        let mut data = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut data).expect("standard output");
        (self.child.wait().expect("an end").code(), data)
    }
}

#[test]
fn a_person_plays_leaves_comes_back_and_finishes() {
    const LINE: &str = "play avalon.toml --seed 11 --json";
    let desk = table();
    let mut player = Player::sit_down(&desk, LINE);
    assert!(player.asked());
    assert!(
        player.read.contains("avalon · player 0") && player.read.contains("[You] Player 0, "),
        "{}",
        player.read
    );
    player.types("?");
    assert!(player.asked() && player.read.contains("You are playing Avalon."), "{}", player.read);
    player.types(":what");
    assert!(player.asked() && player.read.contains("`:what` is not a command"), "{}", player.read);
    player.types(":thought I shall trust nobody");
    assert!(player.asked());
    player.obeys();
    assert!(player.asked(), "{}", player.read);
    player.types(":quit");
    let (code, _) = player.leaves();
    assert_eq!(code, Some(130));

    // The first answer is recorded; the table is shown again, and the game continues. The end of input saves too.
    let mut player = Player::sit_down(&desk, LINE);
    assert!(player.asked() && player.read.contains("you did"), "{}", player.read);
    let (code, _) = player.leaves();
    assert_eq!(code, Some(130));
    let mut player = Player::sit_down(&desk, LINE);
    while player.asked() {
        player.obeys();
    }
    assert!(player.read.contains("[End]"), "the person sees how it ended: {}", player.read);
    let (code, data) = player.leaves();
    assert_eq!(code, Some(0));

    let game: Value = serde_json::from_str(&data).expect("JSON");
    let run = game["run"].as_str().expect("a folder");
    assert!(run.contains("avalon--person"), "{run}");
    assert_eq!((&game["status"], &game["trajectories"]["trajectories"]), (&json!("finished"), &json!(5)));
    let id = game["episode"]["episode"].as_str().expect("an id");
    let way = json(&desk, &format!("view {run}/trajectories.jsonl {id} --seat 0"));
    assert_eq!(way["source"], "person");
    assert_eq!(way["steps"][0]["thought"], "I shall trust nobody");
    assert!(json(&desk, &format!("replay {run} {}", &id[..6]))["difference"].is_null());
}

#[test]
fn a_person_may_take_any_seat_and_no_other() {
    let desk = table();
    let mut player =
        Player::sit_down(&desk, "play avalon.toml --seed 4 --set seats.\"player\\u00202\"=random");
    assert!(player.asked() && player.read.contains("avalon · player 0"), "{}", player.read);
    player.leaves();
    let refused = desk.forethought("play avalon.toml --seat").arg("player 9").assert().code(2);
    assert!(
        err(&refused).contains("`avalon` has no seat `player 9`; it has: player 0, player 1"),
        "{}",
        err(&refused)
    );
    let seated =
        desk.forethought("play avalon.toml --seat").arg("player 3").write_stdin("").assert().code(130);
    assert!(err(&seated).contains("avalon · player 3"), "{}", err(&seated));
}

#[test]
fn names_that_look_like_numbers_or_truths_stay_names() {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    desk.write(
        "odd.toml",
        "[environment]\nkind = \"webshop\"\nproducts = 20\n[llm.7]\nkind = \"simulated\"\n\
         [planner.true]\nkind = \"react\"\nllm = \"7\"\n",
    );
    let left = desk.forethought("play odd.toml").write_stdin("").assert().code(130);
    assert!(err(&left).contains("webshop · agent"), "{}", err(&left));
}

// ---- reading and replaying ------------------------------------------------------------------------------------

#[test]
fn a_run_begins_with_no_settings_that_its_file_of_games_overrides() {
    let desk = table();
    let game = json!([{ "num_players": 5, "quest_leader": 2,
        "role_names": ["Minion", "Servant", "Merlin", "Assassin", "Servant"] }]);
    desk.write("games.json", &game.to_string());
    desk.write("avalon.toml", &AVALON.replace("\"avalon\"\n", "\"avalon\"\npresets = \"games.json\"\n"));
    let line = "run avalon.toml --episodes 1 --set environment.players=7";
    for line in [line.to_string(), format!("{line} --dry-run")] {
        let refused = err(&desk.forethought(&line).assert().code(2));
        for part in ["environment.players=7", "no effect", "`presets`", "remove one of them"] {
            assert!(refused.contains(part), "{refused}");
        }
    }
    // The preset's `agent_role` cannot be removed.
    for configuration in ["avalon.toml", "avalon"] {
        let line = format!("run {configuration} --planner naive --episodes 1");
        let set = "--set environment.players=5 --set environment.presets=games.json";
        shown(&desk, &format!("{line} {set}"));
    }
}

#[test]
fn a_run_of_several_seats_is_reported_read_and_replayed() {
    let desk = table();
    let run = json(&desk, "run avalon.toml");
    let stats = &run["planners"][0];
    assert!(
        stats["metrics"]["won"]["mean"].is_number() && stats["scores"]["naive"]["low"].is_number(),
        "{stats}"
    );
    let report = shown(&desk, "report runs/avalon--naive");
    assert!(report.contains("metric") && report.contains("quests_succeeded"), "{report}");

    let list = json(&desk, "view runs/avalon--naive");
    assert_eq!(list.as_array().expect("episodes").len(), 12);
    let id = list[0]["episode"].as_str().expect("an id");
    let text = shown(&desk, &format!("view runs/avalon--naive {}", &id[..10]));
    for part in [
        "seats    player 0 (naive), player 1 (naive)",
        "\nstep 0 · player ",
        "does ",
        "\nend\n",
        "metrics  won ",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    assert_eq!(
        text.matches("[You] Player 0, ").count(),
        1,
        "shown once, because it does not change:\n{text}"
    );
    let one = shown(&desk, &format!("view runs/avalon--naive {id} --seat 1 --no-thoughts"));
    assert!(one.contains("· player 1") && !one.contains("· player 2 (naive)\nsees"), "{one}");

    let refused = desk.forethought(&format!("view runs/avalon--naive {id} --seat 7")).assert().code(2);
    assert!(err(&refused).contains("there are 5 seats"), "{}", err(&refused));
    let refused = desk.forethought("view runs/avalon--naive zz").assert().code(2);
    assert!(err(&refused).contains("no episode begins with `zz`"), "{}", err(&refused));

    let replay = shown(&desk, &format!("replay runs/avalon--naive {id}"));
    assert!(replay.starts_with("identical: "), "{replay}");
    // Somebody improves on the record.
    let folder = PathBuf::from(run["run"].as_str().expect("a folder"));
    let log = folder.join(format!("events/{id}.jsonl.zst"));
    let honest = String::from_utf8(zstd::decode_all(&*std::fs::read(&log).expect("a log")).expect("zstd"))
        .expect("UTF-8");
    let tampered =
        honest.replacen("vote reject", "vote approve", 1).replacen("\"rewards\":[0.0", "\"rewards\":[9.0", 1);
    assert_ne!(honest, tampered);
    std::fs::write(&log, zstd::encode_all(tampered.as_bytes(), 3).expect("zstd")).expect("a file");
    let differs = desk.forethought(&format!("replay runs/avalon--naive {id}")).assert().code(1);
    assert!(out(&differs).contains("of the log differs\n  recorded: "), "{}", out(&differs));
}

#[test]
fn an_episode_with_models_and_a_critic_is_replayed_without_asking() {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    desk.write("forethought.toml", forethought_tests::SHOP);
    desk.write(
        "more.toml",
        "[planner.pnlc]\ncritic = \"judge\"\n[critic.judge]\nkind = \"judge\"\nllm = \"actor\"\n",
    );
    let run = json(&desk, "run more.toml --planner pnlc --episodes 2");
    let (folder, id) =
        (run["run"].as_str().expect("a folder"), run["episodes"][0]["episode"].as_str().expect("an id"));
    let replay = json(&desk, &format!("replay {folder} {id}"));
    assert!(replay["difference"].is_null() && replay["answers"].as_u64() > Some(5), "{replay}");
    let text = shown(&desk, &format!("view {folder} {id}"));
    for part in ["round 1", " %  ", "thinks ", "does "] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    // Without the answers, nothing can be replayed, and nothing is asked in their place.
    let journal = Path::new(folder).join("journal.sqlite");
    std::fs::remove_file(&journal).expect("a journal");
    let refused = desk.forethought(&format!("replay {folder} {id}")).assert().code(2);
    assert!(err(&refused).contains("journal.sqlite is missing"), "{}", err(&refused));
}

// ---- tournaments ----------------------------------------------------------------------------------------------

#[test]
fn a_tournament_seats_everybody_everywhere_and_goes_on_after_a_kill() {
    let desk = table();
    let line = "tournament avalon.toml --planners naive,watchful,random --games 150 --concurrency 2";
    let mut child =
        desk.spawn(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let runs = desk.path().join("runs/tournaments/avalon--naive");
    let begun = || {
        let run = std::fs::read_dir(&runs).ok()?.next()?.ok()?.path();
        let lines = std::fs::read_to_string(run.join("episodes.jsonl")).ok()?.lines().count();
        (lines > 20).then_some(())
    };
    while begun().is_none() {
        assert!(child.try_wait().expect("a status").is_none(), "it ended too soon to be killed");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("an end");

    let killed_and_continued = json(&desk, line);
    assert_eq!(std::fs::read_dir(&runs).expect("runs").count(), 1, "one run, continued");
    assert_eq!((&killed_and_continued["games"], &killed_and_continued["failed"]), (&json!(150), &json!(0)));
    let [naive, _, random] = &killed_and_continued["planners"].as_array().expect("planners")[..] else {
        panic!("three planners")
    };
    assert_eq!((&naive["games"], &random["games"]), (&json!(150), &json!(150)));
    let number = |planner: &Value, key: &str| planner[key].as_f64().expect("a number");
    assert!(number(naive, "rating") > number(random, "rating"), "{killed_and_continued}");
    assert!(number(&naive["wins"], "low") > number(&random["wins"], "high"), "{killed_and_continued}");

    let undisturbed = json(&desk, &format!("{line} --fresh"));
    assert_eq!(undisturbed["planners"], killed_and_continued["planners"]);
    assert!(shown(&desk, "tournament avalon.toml --planners naive,random --games 2").contains(" ± "));

    // A game of a tournament is replayed like any other.
    let id =
        json(&desk, "view runs/tournaments/avalon--naive")[0]["episode"].as_str().expect("an id").to_string();
    assert!(shown(&desk, &format!("replay runs/tournaments/avalon--naive {id}")).starts_with("identical: "));

    for (planners, says) in
        [("naive", "at least two"), ("naive,naive", "each once"), ("naive,nave", "the nearest is `naive`")]
    {
        let refused =
            desk.forethought(&format!("tournament avalon.toml --planners {planners}")).assert().code(2);
        assert!(err(&refused).contains(says), "{}", err(&refused));
    }
    let twin = desk.forethought(
        "tournament avalon.toml --planners naive,twin --set planner.twin={kind=\"avalon-naive\"}",
    );
    assert!(err(&{ twin }.assert().code(2)).contains("differ only in name"));
}
