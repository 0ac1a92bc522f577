//! Components in Python through the program: the kit's own tests, and worlds that others made. `bash .ci/worlds`
//! installs the packages.

use std::process::{Command, ExitCode};

use forethought_testkit::Suite;
use forethought_tests::{Desk, err, out, workspace};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_forethought");

fn main() -> ExitCode {
    let unable = (!workspace().join("target/worlds/.complete").exists())
        .then(|| "worlds of other packages are missing; `bash .ci/worlds` installs them".to_owned());
    Suite::default()
        .unless(unable.clone(), "the_kits_tests_pass_its_types_hold_and_its_wheel_builds", kit)
        .unless(unable.clone(), "taxi_is_played_by_random_and_by_a_scripted_model", taxi)
        .unless(unable.clone(), "a_game_of_hidden_cards_is_played_by_both_seats", cards)
        .unless(unable, "a_new_world_in_python_runs_as_it_is", new)
        .test("a_strangers_world_in_python_does_not_run", a_strangers_world_in_python_does_not_run)
        .run()
}

fn desk() -> Desk {
    Desk::new(PROGRAM)
}

fn python(name: &str) -> String {
    let root = workspace().canonicalize().unwrap();
    root.join("target/worlds/bin").join(name).to_string_lossy().into_owned()
}

/// Runs the program in the virtual environment.
fn play(desk: &Desk, line: &str) -> Value {
    let root = workspace().canonicalize().unwrap().join("target/worlds");
    let assert = desk.forethought(&format!("{line} --json")).env("VIRTUAL_ENV", root).assert().success();
    serde_json::from_str(&out(&assert)).unwrap_or_else(|error| panic!("{error}: {}", err(&assert)))
}

fn kit() {
    let folder = workspace().join("plugins/python");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(python("python"));
        command
            .args(arguments)
            .current_dir(&folder)
            .env("FORETHOUGHT", PROGRAM)
            .env("MYPY_CACHE_DIR", "/dev/null");
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("FORETHOUGHT_WORLDS", "gymnasium textarena");
        let done = command.output().unwrap();
        let said = [&*done.stdout, &*done.stderr].concat();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    };
    run(&["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    run(&["-m", "mypy"]);
    // Built from a copy: setuptools writes next to the sources.
    let copy = tempfile::tempdir().unwrap();
    let copied = copy.path().join("kit");
    assert!(Command::new("cp").arg("-r").args([&folder, &copied]).status().unwrap().success());
    let out = copy.path().join("wheels").to_string_lossy().into_owned();
    run(&["-m", "build", "--wheel", "--no-isolation", "--outdir", &out, &copied.to_string_lossy()]);
    let wheels: Vec<_> = std::fs::read_dir(&out).unwrap().flatten().map(|file| file.file_name()).collect();
    assert_eq!(wheels, ["forethought_kit-0.1.0-py3-none-any.whl"]);
}

fn taxi() {
    let desk = desk();
    let example = workspace().canonicalize().unwrap().join("plugins/python/examples/taxi");
    for file in ["taxi.toml", "driver.py"] {
        desk.write(file, &std::fs::read_to_string(example.join(file)).unwrap());
    }
    let compared = play(&desk, "eval taxi.toml --planner random,react --set run.episodes=6");
    let success: Vec<_> = compared["planners"]
        .as_array()
        .unwrap_or_else(|| panic!("{compared}"))
        .iter()
        .map(|planner| planner["success"]["rate"].as_f64().unwrap_or_else(|| panic!("{planner}")))
        .collect();
    assert!(success[0] < success[1], "the script knows the way: {success:?}");
    let checked = play(
        &desk,
        "plugin check environment.python --steps 0 --set module=forethought_kit.gymnasium --set id=FrozenLake-v1",
    );
    assert_eq!(checked[0]["findings"].as_array().map(Vec::len), Some(0), "{checked}");
}

fn cards() {
    let desk = desk();
    let config = "seed = 7\n[environment]\nkind = \"python\"\nmodule = \"forethought_kit.textarena\"\nid = \"KuhnPoker-v0\"\n\
                  workers = 2\n[planner.random]\nkind = \"random\"\n[run]\nepisodes = 4\n";
    desk.write("cards.toml", config);
    let run = play(&desk, "run cards.toml");
    for episode in run["episodes"].as_array().unwrap() {
        let scores: Vec<_> =
            episode["scores"].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect();
        assert!(scores.len() == 2 && scores[0] + scores[1] == 0.0, "{episode}");
    }
    // The same configuration gives the same episodes, also over other processes.
    let events = |desk: &Desk| -> Vec<_> {
        let run = play(desk, "run cards.toml --set run.episodes=2");
        let folder = std::path::PathBuf::from(run["run"].as_str().unwrap()).join("events");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().flatten().map(|file| file.path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    };
    let other = self::desk();
    other.write("cards.toml", config);
    assert!(events(&desk) == events(&other));
}

fn new() {
    let desk = desk();
    let sdk = workspace().canonicalize().unwrap();
    let mut command = desk.forethought("plugin new rock-pools --python --json");
    let made: Value =
        serde_json::from_str(&out(&command.env("FORETHOUGHT_SDK", sdk).assert().success())).unwrap();
    assert_eq!(made["next"][4], "forethought run rock-pools.toml", "{made}");
    let folder = desk.path().join("rock-pools");
    for file in made["files"].as_array().unwrap() {
        let text = std::fs::read_to_string(folder.join(file.as_str().unwrap())).unwrap();
        assert!(!text.contains("{{"), "{file}: {text}");
    }
    let run = play(&desk, "run rock-pools/rock-pools.toml --set run.episodes=40");
    let solved =
        run["episodes"].as_array().unwrap().iter().filter(|episode| episode["success"] == true).count();
    assert!((10..40).contains(&solved), "{solved} of 40: five looks at random find most crabs");
    let test = Command::new(python("python"))
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(test.status.success(), "{}", String::from_utf8_lossy(&test.stdout));
}

fn a_strangers_world_in_python_does_not_run() {
    let desk = desk();
    desk.write("world.py", "open('mark', 'w')\n");
    desk.write("own.py", "open('mark', 'w')\n");
    let ran = || desk.path().join("mark").exists();
    let section =
        "[environment]\nkind = \"python\"\nmodule = \"world.py\"\n[planner.random]\nkind = \"random\"\n";
    desk.write("forethought.toml", section);
    for line in ["run", "run --dry-run", "config check", "play"] {
        let refused = desk.forethought(line).assert().code(5);
        assert!(err(&refused).contains("`environment.module`: `python3 world.py` in "), "{}", err(&refused));
    }
    for line in ["config show", "list", "describe environment.python", "doctor"] {
        let _ = desk.forethought(line).assert();
    }
    assert!(!ran());
    // A key that a stranger adds to one's own section may say what runs: the interpreter, for one.
    desk.write("forethought.toml", "[environment]\npython = \"./evil\"\n");
    desk.write("own.toml", &section.replace("world.py", "own.py"));
    let refused = desk.forethought("run own.toml").assert().code(5);
    assert!(err(&refused).contains("`./evil own.py`"), "{}", err(&refused));
    assert!(!ran());
    desk.write("forethought.toml", "");
    let run = desk.forethought("run own.toml").assert().code(5);
    assert!(ran(), "{}", err(&run));
}
