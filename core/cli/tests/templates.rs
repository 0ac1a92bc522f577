//! `plugin new`, for each interface: what it writes is formatted, builds outside this workspace, conforms, is loaded and
//! runs. Building takes minutes, so it is done only where `FORETHOUGHT_SLOW_TESTS` is set.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::Path;
use std::process::ExitCode;

use forethought_api::registry::INTERFACES;
use forethought_testkit::Suite;
use forethought_tests::{Desk, third_party::cargo, workspace};
use serde_json::Value;

fn main() -> ExitCode {
    Suite::default()
        .unless(None, "every_template_is_complete_and_formatted", every_template_is_complete_and_formatted)
        .unless(
            None,
            "nothing_is_overwritten_and_names_are_checked",
            nothing_is_overwritten_and_names_are_checked,
        )
        .slow("every_template_builds_conforms_and_runs", every_template_builds_conforms_and_runs)
        .run()
}

fn desk() -> Desk {
    Desk::new(env!("CARGO_BIN_EXE_forethought"))
}

/// Where builds are kept for the next time.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// Runs a command that must succeed, and returns its output.
fn run(command: &mut assert_cmd::Command) -> String {
    let assert = command.assert().success();
    let output = assert.get_output();
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// Creates the crate `my-<word>` and returns the commands that the program suggests.
fn new(desk: &Desk, word: &str) -> Vec<String> {
    let mut command = desk.forethought(&format!("plugin new my-{word} --{word} --json"));
    let printed = command.env("FORETHOUGHT_SDK", workspace()).assert().success().get_output().stdout.clone();
    let document: Value = serde_json::from_slice(&printed).unwrap();
    let next = document["next"].as_array().unwrap();
    next.iter().map(|command| command.as_str().unwrap().to_owned()).collect()
}

fn words() -> impl Iterator<Item = &'static str> {
    INTERFACES.iter().map(|(_, word)| *word)
}

fn every_template_is_complete_and_formatted() {
    let desk = desk();
    for word in words() {
        let commands = new(&desk, word);
        assert!(commands.len() >= 4 && commands[0] == format!("cd my-{word}"), "{commands:?}");
        let folder = desk.path().join(format!("my-{word}"));
        let sources = ["src/lib.rs", "tests/conformance.rs"].map(|file| folder.join(file));
        run(assert_cmd::Command::new("rustfmt").args(["--check", "--edition", "2024"]).args(sources));
        for file in std::fs::read_dir(&folder).unwrap().flatten().map(|file| file.path()) {
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            assert!(!text.contains("{{"), "{} is not filled in:\n{text}", file.display());
            if file.extension().is_some_and(|extension| extension == "toml") {
                text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            }
        }
    }
}

fn every_template_builds_conforms_and_runs() {
    let desk = desk();
    let crates: Vec<_> = words().map(|word| (word, new(&desk, word))).collect();
    // One workspace, so that common dependencies are built once.
    desk.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"my-*\"]\n");
    for word in words() {
        let folder = desk.path().join(format!("my-{word}"));
        std::os::unix::fs::symlink("../target", folder.join("target")).unwrap();
    }

    let built = run(cargo(desk.path(), KEPT).args(["build", "--release"]));
    assert!(!built.contains("warning"), "{built}");
    let tested = run(cargo(desk.path(), KEPT).args(["test", "--release", "--tests", "--quiet"]));
    assert_eq!(tested.matches("1 passed").count(), INTERFACES.len(), "{tested}");

    for (word, commands) in crates {
        let folder = desk.path().join(format!("my-{word}"));
        let library = format!("target/release/{DLL_PREFIX}my_{word}{DLL_SUFFIX}");
        let ours = |line: &str| run(desk.forethought(line).current_dir(&folder));
        let component = format!("{word}.my-{word}");
        assert!(ours(&format!("plugin inspect {library}")).contains(&component));
        assert!(ours(&format!("list {word} --plugin {library}")).contains(&component));
        let lines: Vec<_> = commands.iter().filter_map(|line| line.strip_prefix("forethought ")).collect();
        assert!(lines.len() >= 2 && lines[0] == format!("plugin check {library}"), "{lines:?}");
        for line in lines {
            ours(line);
        }
    }
    says_what_to_derive(&desk, &desk.path().join("my-environment"));
}

/// For a configuration type without what `register!` needs, the compiler says what to write.
fn says_what_to_derive(desk: &Desk, folder: &Path) {
    let file = folder.join("src/lib.rs");
    let source = std::fs::read_to_string(&file).unwrap();
    let forgetful = source.replace("#[config]", "#[data]");
    assert_ne!(forgetful, source);
    std::fs::write(&file, forgetful).unwrap();
    let assert =
        cargo(desk.path(), KEPT).args(["build", "--release", "-p", "my-environment"]).assert().failure();
    let said = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    for text in ["`Config` cannot hold the configuration of a component", "put `#[config]` on it"] {
        assert!(said.contains(text), "{text:?} is not in\n{said}");
    }
}

fn nothing_is_overwritten_and_names_are_checked() {
    let desk = desk();
    desk.write("tide-pools/notes.txt", "mine");
    for (line, says) in [
        ("tide-pools --environment", "tide-pools already exists"),
        ("Tide --environment", "must start with a lower-case letter"),
        ("tide.pools --environment", "not '.'"),
        ("match --environment", "the name is reserved"),
        ("webshop --environment", "forethought-webshop 0.1.0 already provides environment.webshop"),
        ("rocks --environment --sdk .", "is not a checkout of Forethought"),
        ("rocks", "--environment|--llm"),
        ("rocks --llm --planner", "cannot be used with"),
    ] {
        let assert = desk.forethought(&format!("plugin new {line}")).assert().code(2);
        let said = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(said.contains(says), "{line}: {says:?} is not in\n{said}");
    }
    assert!(!desk.path().join("rocks").exists());
    assert_eq!(std::fs::read_dir(desk.path().join("tide-pools")).unwrap().count(), 1);

    // Without a checkout, it depends on the published crates, and says what to do if they are not published.
    let said = run(&mut desk.forethought("plugin new rocks --critic --path deep/down"));
    for text in ["delete deep/down", "--sdk CHECKOUT", "forethought-sdk = { path = "] {
        assert!(said.contains(text), "{text:?} is not in\n{said}");
    }
    let manifest = std::fs::read_to_string(desk.path().join("deep/down/Cargo.toml")).unwrap();
    assert!(manifest.contains("forethought-sdk = \"0.1.0\""), "{manifest}");

    // The flags of release 0.1.0 mean the same.
    for (before, now) in [("value", "critic"), ("skill", "behaviour")] {
        let made = |flag: &str, path: &str| {
            run(&mut desk.forethought(&format!("plugin new rocks --{flag} --path {path}")));
            std::fs::read_to_string(desk.path().join(path).join("src/lib.rs")).unwrap()
        };
        assert_eq!(made(before, &format!("{before}-rocks")), made(now, &format!("{now}-rocks")));
    }
}
