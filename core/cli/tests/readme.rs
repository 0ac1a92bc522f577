//! The transcripts of README and the guides, run as they are written: what they show is what happens.
//!
//! In a ```` ```console ```` block a line after `$ ` is a command, and what follows it is what it prints; `...` matches
//! anything. A block of another kind under `<!-- PATH -->` is the file that is there by then; under `<!-- write PATH -->`
//! it is a file that the reader saves.

use std::path::Path;
use std::process::ExitCode;

use forethought_testkit::Suite;
use forethought_tests::{Desk, third_party::shell, workspace};

/// A part of a guide that can be checked.
#[derive(Debug, PartialEq)]
enum Block {
    /// A command, and what it prints.
    Command(String, String),
    /// A file, and what it holds.
    File(String, String),
    /// A file that the reader saves.
    Write(String, String),
}

fn main() -> ExitCode {
    Suite::default()
        .unless(None, "blocks_are_read_and_outputs_compared", blocks_are_read_and_outputs_compared)
        .unless(
            None,
            "every_configuration_in_the_guides_is_valid",
            every_configuration_in_the_guides_is_valid,
        )
        .unless(None, "the_first_experiment_runs_as_shown", the_first_experiment_runs_as_shown)
        // It builds the sdk.
        .slow("the_first_plugin_is_made_as_shown", the_first_plugin_is_made_as_shown)
        .run()
}

/// Parts of a configuration may refer to what the guide has shown before or to a plugin of the reader's, and to
/// nothing else that is missing.
fn every_configuration_in_the_guides_is_valid() {
    let guides = std::fs::read_dir(workspace().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut checked = 0;
    for guide in guides
        .chain([workspace().join("README.md")])
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
    {
        let text = std::fs::read_to_string(&guide).unwrap();
        for block in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
            desk.write("shown.toml", block);
            let output = desk.forethought("config show shown.toml").output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            let elsewhere =
                |line: &str| line.contains("there is no [") || line.contains("there is no library");
            assert!(
                output.status.success() || errors.lines().all(elsewhere),
                "{}: {block}\n{errors}",
                guide.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 10, "the guides have lost their configurations");
}

fn the_first_plugin_is_made_as_shown() {
    follow("docs/first-plugin.md", &[]);
}

fn the_first_experiment_runs_as_shown() {
    // Fewer episodes and training steps: what is checked are commands and their outputs, not figures.
    let small = [("FORETHOUGHT__RUN__EPISODES", "12"), ("FORETHOUGHT__TRAINER__CRITIC__STEPS", "20")];
    follow("docs/first-experiment.md", &small);
}

/// Does what a guide says, with these variables set, and compares what comes out.
fn follow(guide: &str, variables: &[(&str, &str)]) {
    let blocks = blocks(&std::fs::read_to_string(workspace().join(guide)).unwrap());
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    let mut folder = desk.path().to_owned();
    for block in &blocks {
        match block {
            Block::Write(name, text) => std::fs::write(folder.join(name), text).unwrap(),
            Block::File(name, text) => {
                let found =
                    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(&found, text, "{name} is not what {guide} shows");
            }
            Block::Command(command, expected) => match command.strip_prefix("cd ") {
                Some(place) => folder = folder.join(place),
                None => {
                    let printed = run(&desk, &folder, command, variables);
                    assert!(fits(expected, &printed), "$ {command}\n{printed}\n{guide} shows\n{expected}");
                }
            },
        }
    }
    let commands = blocks.iter().filter(|block| matches!(block, Block::Command(..))).count();
    assert!(commands >= 5 && commands < blocks.len(), "{guide} has lost its transcript: {blocks:?}");
}

/// What a command prints. It must end well.
fn run(desk: &Desk, folder: &Path, command: &str, variables: &[(&str, &str)]) -> String {
    let mut shell = shell(desk, folder, command, env!("CARGO_TARGET_TMPDIR"));
    let output = shell.envs(variables.iter().copied()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "$ {command}\n{printed}");
    printed
}

/// Whether `text` is `pattern`, in which `...` matches anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.trim_end().split("...");
    let Some(mut rest) = text.trim_end().strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        last = Some(part);
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
    }
    last.map_or(rest.is_empty(), |last| rest.is_empty() || text.trim_end().ends_with(last))
}

/// The commands and files of a Markdown text, in order.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    let mut before = "";
    while let Some(line) = lines.next() {
        if line == "```console" {
            for line in lines.by_ref().take_while(|line| *line != "```") {
                match (line.strip_prefix("$ "), blocks.last_mut()) {
                    (Some(command), _) => blocks.push(Block::Command(command.into(), String::new())),
                    (None, Some(Block::Command(_, expected))) => *expected += &format!("{line}\n"),
                    (None, _) => panic!("{line:?} is printed by no command"),
                }
            }
        } else if line.starts_with("```") {
            let inside: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            if let Some(name) = before.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
                let text = inside.join("\n") + "\n";
                blocks.push(match name.strip_prefix("write ") {
                    Some(name) => Block::Write(name.into(), text),
                    None => Block::File(name.into(), text),
                });
            }
        }
        before = line;
    }
    blocks
}

fn blocks_are_read_and_outputs_compared() {
    let text = "```sh\nnot run\n```\n```console\n$ a\n1\n2\n$ b\n```\n<!-- x/y -->\n```rust\nuse z;\n```\n\
                <!-- write v -->\n```\nw\n```\n";
    let command = |line: &str, prints: &str| Block::Command(line.into(), prints.into());
    assert_eq!(
        blocks(text),
        [
            command("a", "1\n2\n"),
            command("b", ""),
            Block::File("x/y".into(), "use z;\n".into()),
            Block::Write("v".into(), "w\n".into()),
        ]
    );

    for (pattern, text) in
        [("a\nb\n", "a\nb"), ("a ... c", "a b c"), ("...", "a\nb"), ("...\nb ... d\n...", "a\nb c d\ne")]
    {
        assert!(fits(pattern, text), "{pattern:?} {text:?}");
    }
    for (pattern, text) in
        [("a", "ab"), ("", "a"), ("a ... c", "a b cd"), ("...\nb", "a\nb\nc"), ("a...c...b", "a b c")]
    {
        assert!(!fits(pattern, text), "{pattern:?} {text:?}");
    }
}
