//! Every example runs as its first lines say.

use std::path::Path;
use std::process::Command;

/// A line of `program` in `folder`, and what it prints.
fn run(program: &str, folder: &Path, line: &str) -> String {
    let examples = format!("{}/", env!("CARGO_MANIFEST_DIR"));
    let words = line.split_whitespace().map(|word| word.replace("examples/", &examples));
    let mut command = Command::new(program);
    command
        .args(words)
        .current_dir(folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("XDG_DATA_HOME", folder)
        .env("XDG_CACHE_HOME", folder)
        .env("NO_COLOR", "1");
    let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

/// The share of episodes with success in the line of `planner`.
fn success(printed: &str, planner: &str) -> f64 {
    let line = printed.lines().find(|line| line.split_whitespace().next() == Some(planner));
    let line = line.unwrap_or_else(|| panic!("no line of {planner}:\n{printed}"));
    let words: Vec<&str> = line.split_whitespace().collect();
    let percent = words.iter().position(|word| *word == "%").expect("a percentage");
    words[percent - 1].parse().expect("a number")
}

#[test]
fn a_planner_of_other_planners() {
    let line = "eval examples/planner.toml --planner react,best-of-3";
    let printed = run(env!("CARGO_BIN_EXE_planner"), folder().path(), line);
    assert!(success(&printed, "react") < 100.0 && success(&printed, "best-of-3") > 0.0, "{printed}");
}

#[test]
fn a_critic_of_recorded_steps() {
    let (program, folder) = (env!("CARGO_BIN_EXE_critic"), folder());
    let collect = "collect examples/critic.toml --planner react --first-task 400 --episodes 100 --out data";
    run(program, folder.path(), collect);
    let data = folder.path().join("data/trajectories.jsonl");
    let eval = format!(
        "eval examples/critic.toml --planner react,pnlc --set critic.neighbours.data={}",
        data.display()
    );
    let printed = run(program, folder.path(), &eval);
    assert!(success(&printed, "pnlc") > success(&printed, "react"), "{printed}");
}

#[test]
fn a_program_with_the_runtime_inside() {
    let printed = run(env!("CARGO_BIN_EXE_embed"), folder().path(), "");
    assert!(success(&printed, "react") > success(&printed, "random"), "{printed}");
}

#[test]
fn an_environment_in_python() {
    let printed = run(env!("CARGO_BIN_EXE_planner"), folder().path(), "run examples/tide_pools.toml");
    assert!(success(&printed, "random") > 0.0, "{printed}");
}
