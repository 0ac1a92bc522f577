//! PersuasionForGood (Wang et al., 2019) into trajectories: real dialogues, and what was really given.
//!
//! A set is two files: `<name>_dialog.csv`, one row per sentence, and `<name>_info.csv`, one row per person. A folder
//! is read whole; a dialogue that is in two sets counts once, annotated. A `_dialog.csv` is one set. States and
//! outcomes are written by the reader that summarises for the simulated LLM, so that they are in one style; it only
//! reads what was said. A step of an annotated utterance gets a plain description of the act as its thought: `Derived:
//! [act] ...`.

mod labels;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use forethought_sdk::prelude::*;
use forethought_sdk::simulated::{Outcome as _, Worded};

use crate::behaviour::{
    view::{Side, View},
    words::{Outcome, state},
};

/// Reads PersuasionForGood.
pub struct P4g;

/// The most that a participant had to give, in dollars. More than that was paid in another way, and counts as all.
const MOST: f64 = 2.0;

/// A row of `_dialog.csv`.
#[data]
struct Sentence {
    #[serde(rename = "B2")]
    dialogue: String,
    #[serde(rename = "B4")]
    role: usize,
    #[serde(rename = "Unit")]
    text: String,
    #[serde(default, rename = "er_label_1")]
    persuader: String,
    #[serde(default, rename = "ee_label_1")]
    donor: String,
}

/// A row of `_info.csv`.
#[data]
struct Person {
    #[serde(rename = "B2")]
    dialogue: String,
    #[serde(rename = "B4")]
    role: usize,
    #[serde(rename = "B6")]
    given: f64,
}

/// What one side said until the other spoke.
#[derive(Debug, Clone, PartialEq)]
struct Utterance {
    role: usize,
    text: String,
    labels: Vec<String>,
}

#[async_trait]
impl Importer for P4g {
    async fn import(&self, path: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Trajectory>> {
        let files = dialog_files(&path)?;
        let mut trajectories = Vec::new();
        let mut done = BTreeSet::new();
        for (index, file) in files.iter().enumerate() {
            let given = gifts(&info_file(file)?)?;
            for (dialogue, utterances) in utterances(file)? {
                if !done.insert(dialogue.clone()) {
                    continue;
                }
                let given = *given.get(&dialogue).ok_or_else(|| {
                    Error::input(format!(
                        "{}: {dialogue:?} has no person of role 1 in the info file",
                        file.display()
                    ))
                })?;
                trajectories.extend(both_seats(&dialogue, &utterances, given));
            }
            progress.report("import".into(), index as u64 + 1, files.len() as u64, String::new()).await?;
        }
        Ok(trajectories)
    }
}

/// The `_dialog.csv` files, annotated ones first.
fn dialog_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).context(format!("cannot read {}", path.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with("_dialog.csv"));
    files.sort_by_key(|file| (!file.to_string_lossy().contains("annotated"), file.clone()));
    if files.is_empty() {
        return Err(Error::input(format!("{} has no file named *_dialog.csv", path.display())));
    }
    Ok(files)
}

fn info_file(dialog: &Path) -> Result<PathBuf> {
    let name =
        dialog.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix("_dialog.csv"));
    let name = name.ok_or_else(|| {
        Error::input(format!("{}: give a folder, or a file named *_dialog.csv", dialog.display()))
    })?;
    Ok(dialog.with_file_name(format!("{name}_info.csv")))
}

/// Every row, with its line.
fn rows<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<Vec<(u64, T)>> {
    let bad = |line: Option<u64>, error: &dyn std::fmt::Display| match line {
        Some(line) => Error::input(format!("{}:{line}: {error}", file.display())),
        None => Error::input(format!("{}: {error}", file.display())),
    };
    let mut reader = csv::Reader::from_path(file).map_err(|error| bad(None, &error))?;
    let headers = reader.headers().map_err(|error| bad(Some(1), &error))?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| bad(error.position().map(csv::Position::line), &error))?;
        let line = record.position().map(csv::Position::line);
        // Without the crate's own position: the line is named once.
        let row = record.deserialize(Some(&headers)).map_err(|error| match error.kind() {
            csv::ErrorKind::Deserialize { err, .. } => bad(line, err),
            _ => bad(line, &error),
        })?;
        rows.push((line.unwrap_or_default(), row));
    }
    Ok(rows)
}

/// What the donor of each dialogue gave.
fn gifts(file: &Path) -> Result<BTreeMap<String, f64>> {
    let mut gifts = BTreeMap::new();
    for (line, person) in rows::<Person>(file)? {
        if !person.given.is_finite() || person.given < 0.0 {
            return Err(Error::input(format!(
                "{}:{line}: B6 = {} is not a donation",
                file.display(),
                person.given
            )));
        }
        if person.role == 1 {
            gifts.insert(person.dialogue, person.given);
        }
    }
    Ok(gifts)
}

/// The dialogues in the order of the file.
fn utterances(file: &Path) -> Result<Vec<(String, Vec<Utterance>)>> {
    let mut dialogues: Vec<(String, Vec<Utterance>)> = Vec::new();
    for (line, sentence) in rows::<Sentence>(file)? {
        let Sentence { dialogue, role, text, persuader, donor } = sentence;
        if role > 1 {
            return Err(Error::input(format!(
                "{}:{line}: B4 = {role} is not a role; 0 is the persuader, 1 the donor",
                file.display()
            )));
        }
        if dialogues.last().is_none_or(|(last, _)| *last != dialogue) {
            if dialogues.iter().any(|(known, _)| *known == dialogue) {
                return Err(Error::input(format!(
                    "{}:{line}: {dialogue:?} goes on after another dialogue has begun",
                    file.display()
                )));
            }
            dialogues.push((dialogue, Vec::new()));
        }
        let (_, utterances) = dialogues.last_mut().expect("it was pushed");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let label = if role == 0 { persuader } else { donor };
        let labels = Some(label.trim().to_owned()).filter(|label| !label.is_empty());
        match utterances.last_mut().filter(|last| last.role == role) {
            Some(last) => {
                last.text = format!("{} {text}", last.text);
                last.labels.extend(labels);
            }
            None => utterances.push(Utterance { role, text, labels: labels.into_iter().collect() }),
        }
    }
    Ok(dialogues)
}

/// The persuader's trajectory of a dialogue, and the donor's if it was annotated.
fn both_seats(dialogue: &str, utterances: &[Utterance], given: f64) -> Vec<Trajectory> {
    let annotated = utterances.iter().any(|one| one.role == 1 && !one.labels.is_empty());
    let seats = if annotated { 0..2 } else { 0..1 };
    seats.map(|seat| trajectory(dialogue, utterances, given, seat)).collect()
}

fn trajectory(dialogue: &str, utterances: &[Utterance], given: f64, seat: usize) -> Trajectory {
    let side = |role| if role == 0 { Side::Persuader } else { Side::Donor };
    let mut view = View::default();
    let mut steps: Vec<Step> = Vec::new();
    let mut heard = String::new();
    let describe = |steps: &mut Vec<Step>, view: &View| {
        if let Some(step) = steps.last_mut() {
            step.next_state = state(view);
            step.outcomes = Outcome::reached(view).wordings().iter().map(|text| (*text).to_owned()).collect();
        }
    };
    for utterance in utterances {
        let Utterance { role, text, labels } = utterance;
        if *role == seat {
            let act = labels::last(labels, if seat == 0 { labels::act } else { labels::reply });
            steps.push(Step {
                observation: std::mem::take(&mut heard),
                state: state(&view),
                thought: act.map(labels::thought).unwrap_or_default(),
                action: text.clone(),
                ..Step::default()
            });
        } else {
            let speaker = if *role == 0 { "Persuader" } else { "Donor" };
            heard = format!("{speaker}: {text}");
        }
        view.hear(side(*role), text);
        describe(&mut steps, &view);
    }
    let given = given.min(MOST);
    view.end(given);
    describe(&mut steps, &view);
    if let Some(last) = steps.last_mut() {
        last.terminated = true;
        last.reward = if seat == 0 { given / MOST } else { 0.0 };
        last.outcomes.push(match given > 0.0 {
            true => format!("The donor gives ${given:.2}."),
            false => "The donor gives nothing.".into(),
        });
        last.outcomes.push(if given > 0.0 { DONATES } else { DOES_NOT }.into());
    }
    Trajectory {
        episode: format!("p4g/{dialogue}"),
        environment: "persuasion".into(),
        seat,
        source: "p4g".into(),
        steps,
        ..Trajectory::default()
    }
}

/// Among the outcomes of every dialogue in which something was given, and of no other.
pub const DONATES: &str = "The donor donates something in the end.";
/// Among the outcomes of every dialogue in which nothing was given, and of no other.
pub const DOES_NOT: &str = "The donor does not donate.";

register! {
    interface: dyn Importer, kind: "p4g", summary: "PersuasionForGood: real dialogues with acts and donations",
    config: NoConfig,
    new: |_config, _host| async move { Ok(Arc::new(P4g) as _) },
}
