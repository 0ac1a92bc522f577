//! Published data through the program: imported games are read from start to end.

use std::path::Path;
use std::process::ExitCode;

use assert_cmd::assert::Assert;
use forethought_testkit::Suite;
use forethought_tests::Desk;
use serde_json::Value;

fn main() -> ExitCode {
    Suite::default()
        .golden("games_of_people_are_read_to_the_end", &["avalon_nlu"], |data| {
            read_to_the_end("avalon-nlu", &data.join("avalon_nlu"), 2);
        })
        .golden("a_game_of_an_llm_is_read_to_the_end", &["avalon_multi_round"], |data| {
            read_to_the_end("avalon-multi-round", &data.join("avalon_multi_round"), 1);
        })
        .run()
}

/// The first `games`: every step is there, and how it ended.
fn read_to_the_end(format: &str, path: &Path, games: usize) {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    let out = |assert: Assert| String::from_utf8_lossy(&assert.success().get_output().stdout).into_owned();
    let path = path.canonicalize().expect("a path");
    out(desk.forethought(&format!("import {format} --out data")).arg(path).assert());
    let list: Value =
        serde_json::from_str(&out(desk.forethought("view data --json").assert())).expect("JSON");
    for game in list.as_array().expect("episodes").iter().take(games) {
        let id = game["episode"].as_str().expect("an id");
        let seats = game["seats"].as_array().expect("seats");
        let longest = seats.iter().filter_map(|seat| seat["steps"].as_u64()).max().expect("a seat");
        let text = out(desk.forethought("view data").arg(id).assert());
        assert_eq!(text.matches("\nstep ").count() as u64, longest, "{text}");
        assert!(
            text.contains("[Discussion]") && text.contains("\nend\n") && text.contains("\nscore "),
            "{text}"
        );
        for seat in seats {
            let own = out(desk.forethought(&format!("view data --seat {}", seat["seat"])).arg(id).assert());
            assert!(own.contains(&format!("seat     {} (", seat["seat"])), "{own}");
        }
    }
}
