//! JSON Lines: one trajectory per line.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use forethought_api::{Error, Result, text::unmarked, trajectory::Trajectory};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The keys of a trajectory and of a step. Each line has all of them: a line without one is something else, or has it
/// under another name.
const KEYS: [&str; 7] = ["episode", "environment", "task", "seed", "seat", "source", "steps"];
const STEP_KEYS: [&str; 9] = [
    "observation",
    "state",
    "thought",
    "action",
    "next_state",
    "outcomes",
    "reward",
    "terminated",
    "truncated",
];

pub(super) fn read(path: &Path) -> Result<Vec<Trajectory>> {
    let mut trajectories = Vec::new();
    for (number, line) in BufReader::new(crate::files::open(path)?).lines().enumerate() {
        let place = || format!("{}, line {}", path.display(), number + 1);
        let line = line.map_err(|error| Error::input(place()).because(error))?;
        let line = if number == 0 { unmarked(&line) } else { &line };
        if !line.trim().is_empty() {
            let wrong = |why: String| Error::input(format!("{}: not a trajectory: {why}", place()));
            complete(&parse(line).map_err(wrong)?).map_err(wrong)?;
            trajectories.push(parse(line).map_err(wrong)?);
        }
    }
    Ok(trajectories)
}

fn parse<T: DeserializeOwned>(line: &str) -> std::result::Result<T, String> {
    // Each line is a text of its own to `serde_json`, which would say "at line 1".
    serde_json::from_str(line).map_err(|error| error.to_string().replace(" at line 1 column ", " at column "))
}

/// Checks that no key is missing.
fn complete(line: &Value) -> std::result::Result<(), String> {
    let Value::Object(trajectory) = line else {
        return Err("a line must be an object, one trajectory per line".into());
    };
    keys("", trajectory, &KEYS)?;
    let steps = trajectory["steps"].as_array().into_iter().flatten().enumerate();
    let mut tables = steps.filter_map(|(index, step)| Some((index, step.as_object()?)));
    tables.try_for_each(|(index, step)| keys(&format!("steps[{index}]."), step, &STEP_KEYS))
}

fn keys(place: &str, table: &Map<String, Value>, keys: &[&str]) -> std::result::Result<(), String> {
    let Some(missing) = keys.iter().find(|key| !table.contains_key(**key)) else { return Ok(()) };
    let others: Vec<_> = table.keys().map(String::as_str).filter(|key| !keys.contains(key)).collect();
    let instead = if others.is_empty() { String::new() } else { format!("; there is {}", others.join(", ")) };
    Err(format!("the key `{place}{missing}` is missing{instead}"))
}

pub(super) fn write(path: &Path, trajectories: &[Trajectory]) -> Result<()> {
    let mut lines = Vec::new();
    for trajectory in trajectories {
        serde_json::to_writer(&mut lines, trajectory)?;
        lines.push(b'\n');
    }
    crate::files::write_whole(path, &lines)
}
