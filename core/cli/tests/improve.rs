//! An agent that learns from what it did, and a round that makes it worse.

use forethought_tests::{Desk, SHOP, err, out};
use serde_json::Value;

fn desk() -> Desk {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    let shop = SHOP.replace("products = 60", "products = 200").replace(
        "hidden = [8, 8]\nsteps = 20\nevaluate_every = 10",
        "hidden = [32]\nsteps = 400\nevaluate_every = 100",
    );
    let compare =
        "[planner.compare]\nkind = \"pnlc\"\nmode = \"compare\"\nllm = \"actor\"\ncritic = \"critic\"\n";
    desk.write("forethought.toml", &format!("{shop}{compare}"));
    desk
}

const LINE: &str = "improve --start react --planner compare --rounds 2 --collect 50 --gate 40 --episodes 40 \
                    --shuffle-round 2 --out improved";

#[test]
fn a_round_that_helps_is_kept_and_one_that_harms_is_rolled_back() {
    let desk = desk();
    let document: Value =
        serde_json::from_str(&out(&desk.forethought(LINE).arg("--json").assert().success())).unwrap();
    let rounds = document["rounds"].as_array().unwrap();
    let kept: Vec<_> = rounds.iter().map(|round| round["kept"].as_bool().unwrap()).collect();
    assert_eq!(kept, [true, true, false], "{document:#}");
    assert!(rounds[2]["gate"]["score"]["mean"].as_f64() < Some(0.0), "{document:#}");
    // After the rolled back round the agent is the one before it.
    assert_eq!(rounds[2]["agent"], rounds[1]["agent"]);
    assert!(document["gain"]["score"]["mean"].as_f64() > Some(0.0), "{document:#}");
    // Failed tasks were played once more, so a round has more episodes than tasks.
    assert!(
        rounds[1]["trained_on"].as_u64() > Some(50)
            && rounds[2]["trained_on"].as_u64() > rounds[1]["trained_on"].as_u64()
    );
    for file in ["round-1/critic/model.safetensors", "round-2/data/trajectories.jsonl", "report.json"] {
        assert!(desk.path().join("improved").join(file).is_file(), "{file}");
    }

    // Everything was done before: the same command plays and trains nothing, and says the same.
    let again = desk.forethought(LINE).arg("--json").assert().success();
    assert_eq!(serde_json::from_str::<Value>(&out(&again)).unwrap(), document);
    assert!(!err(&again).contains("(train)"), "{}", err(&again));
    let other = err(&desk.forethought(&LINE.replace("--gate 40", "--gate 41")).assert().code(2));
    assert!(other.contains("choose another --out"), "{other}");
}

#[test]
fn what_cannot_work_is_said_before_the_first_call() {
    let desk = desk();
    let line = LINE.replace("--collect 50", "--collect 500");
    for (line, says) in [
        (&*line, "there are 200 tasks, and 1080 are needed"),
        (&LINE.replace("--rounds 2", "--rounds 2 --critic other"), "there is no [critic.other]"),
        (&LINE.replace("--planner compare", "--planner other"), "--planner: there is no [planner.other]"),
    ] {
        let error = err(&desk.forethought(line).assert().code(2));
        assert!(error.contains(says), "{error}");
    }
}
