//! Trajectories on disk: Parquet for data tools, JSON Lines for people. Both hold the same.
//!
//! Parquet is flat, one row per step, so that `pandas` and Hugging Face `datasets` read it as it is. JSON Lines hold
//! one trajectory per line. A trajectory without steps has no rows: it is not written to Parquet.

mod footer;
mod json_lines;
mod parquet;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use forethought_api::{
    Error, Result,
    error::Context,
    trajectory::{Step, Trajectory},
};

pub use crate::files::remove_unfinished;

/// Reads a file (`.parquet` or `.jsonl`), or every such file of a folder in the order of their names. Of two files
/// that differ only in that ending, as `collect` writes them, one is read: they hold the same. Of a run's folder, its
/// trajectories are read; of a folder of runs, such as `runs`, those of all its runs.
///
/// # Errors
/// Malformed input, naming the file and its line or row; a folder that holds no such file.
pub fn read(path: &Path) -> Result<Vec<Trajectory>> {
    if !path.exists() {
        return Err(Error::not_found(format!("there is no file or folder {}", path.display())));
    }
    if !path.is_dir() {
        return match extension(path) {
            Some(Format::Parquet) => parquet::read(path),
            Some(Format::JsonLines) => json_lines::read(path),
            None => Err(Error::input(format!(
                "{} holds no trajectories: name a .parquet or .jsonl file, or a folder of them",
                path.display()
            ))),
        };
    }
    let (mut files, folders) = list(path)?;
    if path.join(RUN).is_file() {
        files.retain(|file| written(file));
    } else if files.is_empty() {
        files = runs(folders, 1)?;
    }
    files.sort();
    let tables: HashSet<_> = files.iter().filter(|file| is_parquet(file)).cloned().collect();
    files.retain(|file| is_parquet(file) || !tables.contains(&file.with_extension("parquet")));
    if files.is_empty() {
        return Err(Error::input(format!("{} holds neither .parquet nor .jsonl files", path.display())));
    }
    let mut trajectories = Vec::new();
    for file in files {
        trajectories.extend(read(&file)?);
    }
    Ok(trajectories)
}

/// What makes a folder a run's. Next to it are other `.jsonl` files.
const RUN: &str = "run.json";

/// Whether this is where a run's trajectories are written.
fn written(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "trajectories")
}

/// The files and the folders in a folder.
fn list(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let failed = || format!("{} could not be listed", path.display());
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path).context(failed())? {
        let found = entry.context(failed())?.path();
        if found.is_dir() {
            folders.push(found);
        } else if extension(&found).is_some() && found.is_file() {
            files.push(found);
        }
    }
    Ok((files, folders))
}

/// The trajectories of the runs among these folders, and in the folders of runs among them.
fn runs(folders: Vec<PathBuf>, deeper: u32) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for folder in folders {
        let (files, folders) = list(&folder)?;
        if folder.join(RUN).is_file() {
            all.extend(files.into_iter().filter(|file| written(file)));
        } else if deeper > 0 {
            all.extend(runs(folders, deeper - 1)?);
        }
    }
    Ok(all)
}

/// As [`read`], but only of one seat if one is named, counted from 0.
///
/// # Errors
/// Those of [`read`]; a seat without trajectories.
pub fn read_of(path: &Path, seat: Option<usize>) -> Result<Vec<Trajectory>> {
    let mut trajectories = read(path)?;
    let Some(seat) = seat else { return Ok(trajectories) };
    let seats: BTreeSet<usize> = trajectories.iter().map(|one| one.seat).collect();
    trajectories.retain(|one| one.seat == seat);
    if trajectories.is_empty() {
        let seats: Vec<String> = seats.iter().map(ToString::to_string).collect();
        return Err(Error::input(format!(
            "{} holds no trajectory of seat {seat}; its seats are {}",
            path.display(),
            seats.join(", ")
        )));
    }
    Ok(trajectories)
}

/// Writes a file: Parquet if the name ends in `.parquet`, JSON Lines if it ends in `.jsonl`. Whole or not at all.
pub fn write(path: &Path, trajectories: &[Trajectory]) -> Result<()> {
    match extension(path) {
        Some(Format::Parquet) => parquet::write(path, trajectories),
        Some(Format::JsonLines) => json_lines::write(path, trajectories),
        None => Err(Error::input(format!("{} must end in .parquet or .jsonl", path.display()))),
    }
}

/// What in trajectories contradicts itself, and how often, for people who are about to learn from them.
pub fn doubts(trajectories: &[Trajectory]) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut count = |what: &str, of: fn(&Trajectory) -> bool| {
        let found = trajectories.iter().filter(|one| of(one)).count();
        if found > 0 {
            doubts.push(format!("{found} of {} trajectories {what}", trajectories.len()));
        }
    };
    count("go on after a step that is terminated or truncated", |one| {
        let (_, before) = one.steps.split_last().unzip();
        before.is_some_and(|steps: &[Step]| steps.iter().any(|step| step.terminated || step.truncated))
    });
    count("have a step that is both terminated and truncated", |one| {
        one.steps.iter().any(|step| step.terminated && step.truncated)
    });
    count("have no steps", |one| one.steps.is_empty());
    let ids: HashSet<_> = trajectories.iter().map(|one| (&*one.episode, one.seat)).collect();
    if ids.len() < trajectories.len() {
        let few = ids.iter().map(|(id, _)| format!("`{id}`")).take(1).collect::<String>();
        doubts.push(format!(
            "{} trajectories have only {} different pairs of episode and seat (such as {few}): data are split by episode, \
             so each needs an id of its own",
            trajectories.len(),
            ids.len()
        ));
    }
    doubts
}

fn is_parquet(path: &Path) -> bool {
    matches!(extension(path), Some(Format::Parquet))
}

enum Format {
    Parquet,
    JsonLines,
}

fn extension(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "parquet" => Some(Format::Parquet),
        "jsonl" => Some(Format::JsonLines),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use forethought_api::llm::Tool;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    /// Mostly nothing, as in what this program plays.
    fn info() -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::btree_map("[a-c]", ".{0,4}".prop_map(Value::from), 0..3)
            .prop_map(|info| info.into_iter().collect())
    }

    fn step() -> impl Strategy<Value = Step> {
        let text = || ".{0,8}";
        let state = (text(), text(), text(), text(), text());
        let flags = (any::<bool>(), any::<bool>());
        (state, prop::collection::vec(text(), 0..4), -1e9..1e9f64, flags, info()).prop_map(
            |(state, outcomes, reward, (terminated, truncated), info)| {
                let (observation, state, thought, action, next_state) = state;
                Step {
                    observation,
                    state,
                    thought,
                    action,
                    next_state,
                    outcomes,
                    reward,
                    terminated,
                    truncated,
                    info,
                }
            },
        )
    }

    fn trajectories() -> impl Strategy<Value = Vec<Trajectory>> {
        let ids = ("[a-c]", "[a-b]", any::<u64>(), any::<u64>(), 0..3usize);
        let further = (".{0,3}", prop::collection::vec("[a-z]{1,4}", 0..2), info());
        let one = (ids, prop::collection::vec(step(), 1..5), further).prop_map(|(ids, steps, further)| {
            let (episode, source, task, seed, seat) = ids;
            let (instructions, names, info) = further;
            let tools = names.into_iter().map(|name| Tool { name, ..Tool::default() }).collect();
            let environment = "webshop".into();
            Trajectory { episode, environment, task, seed, seat, source, steps, instructions, tools, info }
        });
        prop::collection::vec(one, 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_formats_give_back_what_was_written(written in trajectories()) {
            let folder = tempfile::tempdir().expect("folder");
            for name in ["data.parquet", "data.jsonl"] {
                let path = folder.path().join(name);
                write(&path, &written).expect(name);
                prop_assert_eq!(&read(&path).expect(name), &written, "{}", name);
            }
        }
    }

    pub(super) fn simple(episode: &str, steps: usize) -> Trajectory {
        let steps = (0..steps).map(|index| Step { action: format!("{index}"), ..Step::default() }).collect();
        Trajectory { episode: episode.into(), steps, ..Trajectory::default() }
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_names() {
        let folder = tempfile::tempdir().expect("folder");
        write(&folder.path().join("b.parquet"), &[simple("second", 2)]).expect("b");
        write(&folder.path().join("a.jsonl"), &[simple("first", 1)]).expect("a");
        fs::write(folder.path().join("README.md"), "not data").expect("readme");
        assert_eq!(read(folder.path()).expect("both"), [simple("first", 1), simple("second", 2)]);
    }

    #[test]
    fn of_runs_the_trajectories_are_read() {
        let folder = tempfile::tempdir().expect("folder");
        for name in ["1", "2"] {
            let run = folder.path().join("session--serve").join(name);
            fs::create_dir_all(&run).expect("run");
            fs::write(run.join("run.json"), "{}").expect("run.json");
            fs::write(run.join("episodes.jsonl"), "{}\n").expect("not trajectories");
            write(&run.join("trajectories.parquet"), &[simple(name, 1)]).expect("written");
            assert_eq!(read(&run).expect("a run"), [simple(name, 1)]);
        }
        assert_eq!(read(folder.path()).expect("all runs"), [simple("1", 1), simple("2", 1)]);
    }

    #[test]
    fn one_seat_may_be_read_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let of = |seat| Trajectory { seat, ..simple("game", 1) };
        write(&folder.path().join("data.jsonl"), &[of(0), of(2), of(0)]).expect("written");
        assert_eq!(read_of(folder.path(), Some(2)).expect("seat 2"), [of(2)]);
        assert_eq!(read_of(folder.path(), None).expect("all").len(), 3);
        let error = read_of(folder.path(), Some(1)).expect_err("nobody").to_string();
        assert!(error.contains("no trajectory of seat 1; its seats are 0, 2"), "{error}");
    }

    #[test]
    fn what_was_written_in_both_formats_is_read_once() {
        let folder = tempfile::tempdir().expect("folder");
        for name in ["data.parquet", "data.jsonl"] {
            write(&folder.path().join(name), &[simple("only", 1)]).expect(name);
        }
        assert_eq!(read(folder.path()).expect("both"), [simple("only", 1)]);
    }

    #[test]
    fn a_byte_order_mark_and_additional_keys_are_no_trouble() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("data.jsonl");
        let line = serde_json::to_string(&simple("x", 1)).expect("JSON").replacen('{', "{\"note\": 1, ", 2);
        fs::write(&path, format!("\u{feff}{line}\r\n")).expect("written");
        assert_eq!(read(&path).expect("read"), [simple("x", 1)]);
    }

    #[test]
    fn what_contradicts_itself_is_said() {
        let flagged = |at: usize, truncated| {
            let mut one = simple("x", 3);
            one.steps[at].terminated = true;
            one.steps[at].truncated = truncated;
            one
        };
        assert_eq!(doubts(&[flagged(2, false)]), [""; 0]);
        let found = doubts(&[flagged(1, false), flagged(2, true)]).join("\n");
        for what in
            ["1 of 2 trajectories go on", "1 of 2 trajectories have a step that is both", "such as `x`"]
        {
            assert!(found.contains(what), "{found}");
        }
    }

    #[test]
    fn malformed_input_is_named_by_file_and_place() {
        let folder = tempfile::tempdir().expect("folder");
        let check = |name: &str, content: &[u8], place: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).expect("written");
            let error = read(&path).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains(place), "{error}");
        };
        let line = serde_json::to_string(&simple("x", 1)).expect("JSON");
        let second = |other: &str| format!("{line}\n{other}\n").into_bytes();
        check(
            "a.jsonl",
            &second(&line.replace("\"x\"", "3")),
            "line 2: not a trajectory: invalid type: integer `3`",
        );
        check("a.jsonl", &second("{}"), "line 2: not a trajectory: the key `episode` is missing");
        check("a.jsonl", &second("[]"), "must be an object");
        let done = line.replace("terminated", "done");
        check("a.jsonl", &second(&done), "the key `steps[0].terminated` is missing; there is done");
        check("b.jsonl", b"\n\xff\n", "line 2");
        check("c.parquet", b"PAR1, or so it says", "malformed");
        check("d.csv", b"a,b", "name a .parquet or .jsonl file");
        let empty = tempfile::tempdir().expect("folder");
        assert!(read(empty.path()).expect_err("empty").message.contains("neither .parquet nor .jsonl"));
    }
}
