//! The decisions of a run as tables for data tools: one row per decision, per round of refinement, and per imagined
//! outcome. Flat and without nested types, so that `pandas.read_parquet` reads them as they are. Logs are read one after
//! the other, and rows are written as they come. The columns are documented in docs/run-format.md.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forethought_api::planner::{Round, Trace, ValuedOutcome};
use forethought_api::{Error, Result, error::Context as _};
use forethought_runtime::run::episode::{EpisodeStatus, EpisodeSummary};
use forethought_runtime::run::events::{self, Event};
use forethought_runtime::run::folder::events_path;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde::Serialize;

use crate::played::Played;
use crate::story::{came_true, reached};

/// Rows in one row group.
const ROW_GROUP: usize = 8192;

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tables {
    /// Rows of `decisions.parquet`.
    pub decisions: usize,
    /// Rows of `rounds.parquet`.
    pub rounds: usize,
    /// Rows of `outcomes.parquet`.
    pub outcomes: usize,
    /// The files.
    pub files: Vec<PathBuf>,
}

/// A cell, which also says what its column holds.
#[derive(Debug, Clone)]
enum Cell {
    Text(String),
    Count(u64),
    Number(Option<f64>),
    Flag(Option<bool>),
}

impl Cell {
    /// Its column's type in Parquet.
    fn declared(&self) -> [&'static str; 3] {
        match self {
            Self::Text(_) => ["required", "binary", "(STRING)"],
            Self::Count(_) => ["required", "int64", "(INTEGER(64, false))"],
            Self::Number(_) => ["optional", "double", ""],
            Self::Flag(_) => ["optional", "boolean", ""],
        }
    }
}

/// A row: cells by the names of their columns.
type Row = Vec<(&'static str, Cell)>;

/// A table that is being written. Its columns are those of an example, so that one without rows has them, too.
struct Table {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    file: tempfile::TempPath,
    rows: Vec<Row>,
    count: usize,
}

impl Table {
    fn new(out: &Path, name: &str, example: &Row) -> Result<Self> {
        let path = out.join(name).with_extension("parquet");
        let columns = example.iter().map(|(column, cell)| {
            let [repetition, kind, logical] = cell.declared();
            format!("{repetition} {kind} {column} {logical};")
        });
        let schema = format!("message {name} {{ {} }}", columns.collect::<String>());
        let schema = Arc::new(parse_message_type(&schema)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by(format!("forethought {}", env!("CARGO_PKG_VERSION")))
            .build();
        // Next to its place, so that the whole file gets its name at once.
        let (file, part) =
            tempfile::Builder::new().prefix(name).suffix(".part").tempfile_in(out)?.into_parts();
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        Ok(Self { path, writer, file: part, rows: Vec::new(), count: 0 })
    }

    fn push(&mut self, row: Row) -> Result<()> {
        self.rows.push(row);
        self.count += 1;
        if self.rows.len() >= ROW_GROUP { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let Some(first) = rows.first() else { return Ok(()) };
        let mut group = self.writer.next_row_group()?;
        for column in 0..first.len() {
            let cells = || rows.iter().map(move |row| &row[column].1);
            let mut open =
                group.next_column()?.ok_or_else(|| Error::other("more columns than the schema has"))?;
            macro_rules! write {
                ($kind:ty, $values:expr) => {{
                    let values: Vec<Option<<$kind as DataType>::T>> = $values.collect();
                    let levels: Vec<i16> = values.iter().map(|value| value.is_some().into()).collect();
                    let optional = first[column].1.declared()[0] == "optional";
                    let values: Vec<_> = values.into_iter().flatten().collect();
                    open.typed::<$kind>().write_batch(&values, optional.then_some(&*levels), None)?;
                }};
            }
            match first[column].1 {
                Cell::Text(_) => write!(
                    ByteArrayType,
                    cells().map(|cell| match cell {
                        Cell::Text(text) => Some(ByteArray::from(text.as_bytes().to_vec())),
                        _ => None,
                    })
                ),
                Cell::Count(_) => write!(
                    Int64Type,
                    cells().map(|cell| match cell {
                        Cell::Count(count) => Some(count.cast_signed()),
                        _ => None,
                    })
                ),
                Cell::Number(_) => write!(
                    DoubleType,
                    cells().map(|cell| match cell {
                        Cell::Number(number) => *number,
                        _ => None,
                    })
                ),
                Cell::Flag(_) => write!(
                    BoolType,
                    cells().map(|cell| match cell {
                        Cell::Flag(flag) => *flag,
                        _ => None,
                    })
                ),
            }
            open.close()?;
        }
        group.close()?;
        Ok(())
    }

    fn close(mut self) -> Result<(usize, PathBuf)> {
        self.write()?;
        self.writer.into_inner()?.sync_all()?;
        self.file.persist(&self.path).map_err(|error| Error::from(error.error))?;
        Ok((self.count, self.path))
    }
}

/// Writes the tables of a run into the folder `out`, which must exist.
///
/// # Errors
/// A log that cannot be read, or a file that cannot be written.
pub fn write(run: &Played, out: &Path) -> Result<Tables> {
    let failed = || format!("{}: the tables could not be written", out.display());
    let episode = EpisodeRows::example();
    let mut decisions =
        Table::new(out, "decisions", &episode.decision(0, 0, "", "", &Trace::default())).context(failed())?;
    let mut rounds =
        Table::new(out, "rounds", &episode.round(0, 0, 0, &Round::default())).context(failed())?;
    let mut outcomes = Table::new(out, "outcomes", &episode.outcome([0; 4], &ValuedOutcome::default(), None))
        .context(failed())?;
    for one in &run.episodes {
        let path = events_path(&run.folder, &one.episode);
        // One that was cut short before its first step has no log.
        if one.status == EpisodeStatus::Done || path.is_file() {
            let log = events::read(&path)?;
            let rows = EpisodeRows::new(run, one, &log);
            let reached = reached(&log);
            for (index, event) in log.iter().enumerate() {
                let Event::Decision { step, seat, thought, action, trace, .. } = event else { continue };
                let mut row = rows.decision(*step, *seat, thought, action, trace);
                rows.around(&mut row, &log, index, *seat);
                decisions.push(row)?;
                for (at, round) in trace.rounds.iter().enumerate() {
                    rounds.push(rows.round(*step, *seat, at, round))?;
                    for (place, outcome) in round.outcomes.iter().enumerate() {
                        let later = came_true(outcome, *step, *seat, &reached);
                        let place = [u64::from(*step), *seat as u64, at as u64, place as u64];
                        outcomes.push(rows.outcome(place, outcome, later))?;
                    }
                }
            }
        }
    }
    let mut tables = Tables::default();
    for (table, count) in
        [(decisions, &mut tables.decisions), (rounds, &mut tables.rounds), (outcomes, &mut tables.outcomes)]
    {
        let (rows, path) = table.close().context(failed())?;
        *count = rows;
        tables.files.push(path);
    }
    Ok(tables)
}

/// What the rows of an episode have in common.
struct EpisodeRows {
    episode: String,
    environment: String,
    task: u64,
    seed: u64,
    subject: String,
    score: f64,
    success: Option<bool>,
    planners: Vec<String>,
    names: Vec<String>,
}

impl EpisodeRows {
    fn example() -> Self {
        Self {
            episode: String::new(),
            environment: String::new(),
            task: 0,
            seed: 0,
            subject: String::new(),
            score: 0.0,
            success: None,
            planners: Vec::new(),
            names: Vec::new(),
        }
    }

    fn new(run: &Played, one: &EpisodeSummary, log: &[Event]) -> Self {
        let (planners, names) = match log.first() {
            Some(Event::Episode { seats, seat_names, .. }) => (seats.clone(), seat_names.clone()),
            _ => (one.seats.clone(), Vec::new()),
        };
        Self {
            episode: one.episode.clone(),
            environment: run.info.environment.clone(),
            task: one.task,
            seed: one.seed,
            subject: run.info.planner.clone(),
            score: one.score,
            success: one.success,
            planners,
            names,
        }
    }

    fn key(&self, step: u64, seat: u64) -> Row {
        vec![
            ("episode_id", Cell::Text(self.episode.clone())),
            ("environment", Cell::Text(self.environment.clone())),
            ("task", Cell::Count(self.task)),
            ("seed", Cell::Count(self.seed)),
            ("step", Cell::Count(step)),
            ("seat", Cell::Count(seat)),
        ]
    }

    fn decision(&self, step: u32, seat: usize, thought: &str, action: &str, trace: &Trace) -> Row {
        let planner = self.planners.get(seat).cloned().unwrap_or_default();
        let last = trace.rounds.iter().rfind(|round| !round.outcomes.is_empty());
        let mean = |good| last.and_then(|round| mean(round, good));
        let count = |list: usize| Cell::Count(list as u64);
        let mut row = self.key(step.into(), seat as u64);
        row.extend([
            ("seat_name", Cell::Text(self.names.get(seat).cloned().unwrap_or_default())),
            ("reported", Cell::Flag(Some(planner == self.subject))),
            ("planner", Cell::Text(planner)),
            ("observation", Cell::Text(String::new())),
            ("state", Cell::Text(String::new())),
            ("thought", Cell::Text(thought.into())),
            ("action", Cell::Text(action.into())),
            ("reward", Cell::Number(Some(0.0))),
            ("terminated", Cell::Flag(Some(false))),
            ("truncated", Cell::Flag(Some(false))),
            ("rounds", count(trace.rounds.len())),
            ("outcomes", count(trace.rounds.iter().map(|round| round.outcomes.len()).sum())),
            ("hoped", Cell::Number(mean(true))),
            ("feared", Cell::Number(mean(false))),
            ("asked_planners", count(trace.decisions.len())),
            ("search_nodes", Cell::Number(trace.details["nodes"].as_f64())),
            ("faults", Cell::Count(trace.faults.values().copied().map(u64::from).sum())),
            ("faults_json", Cell::Text(json(&trace.faults))),
            (
                "details_json",
                Cell::Text(if trace.details.is_null() { String::new() } else { json(&trace.details) }),
            ),
            ("episode_score", Cell::Number(Some(self.score))),
            ("episode_success", Cell::Flag(self.success)),
        ]);
        row
    }

    /// What the lines before and after the decision say.
    fn around(&self, row: &mut Row, log: &[Event], index: usize, seat: usize) {
        let mut set = |name: &str, cell: Cell| {
            if let Some((_, old)) = row.iter_mut().find(|(column, _)| *column == name) {
                *old = cell;
            }
        };
        if let Some(Event::Turn { turn, .. }) = index.checked_sub(1).and_then(|before| log.get(before)) {
            set("observation", Cell::Text(turn.observation.text.clone()));
        }
        if let Some(Event::Decision { summary: Some(summary), .. }) = log.get(index) {
            set("state", Cell::Text(summary.state.clone()));
        }
        if let Some(Event::Transition { rewards, terminated, truncated, .. }) = log.get(index + 1) {
            set("reward", Cell::Number(rewards.get(seat).copied()));
            set("terminated", Cell::Flag(Some(*terminated)));
            set("truncated", Cell::Flag(Some(*truncated)));
        }
    }

    fn round(&self, step: u32, seat: usize, index: usize, round: &Round) -> Row {
        let mut row = self.key(step.into(), seat as u64);
        row.extend([
            ("round", Cell::Count(index as u64)),
            ("thought", Cell::Text(round.thought.clone())),
            ("kept", Cell::Flag(Some(round.kept))),
            ("outcomes", Cell::Count(round.outcomes.len() as u64)),
            ("hoped", Cell::Number(mean(round, true))),
            ("feared", Cell::Number(mean(round, false))),
            ("episode_score", Cell::Number(Some(self.score))),
            ("episode_success", Cell::Flag(self.success)),
        ]);
        row
    }

    fn outcome(&self, [step, seat, round, place]: [u64; 4], one: &ValuedOutcome, later: Option<u32>) -> Row {
        let mut row = self.key(step, seat);
        row.extend([
            ("round", Cell::Count(round)),
            ("outcome", Cell::Count(place)),
            ("text", Cell::Text(one.text.clone())),
            ("known_as", Cell::Text(one.known_as.clone().unwrap_or_default())),
            ("good", Cell::Flag(Some(one.good))),
            ("probability", Cell::Number(Some(one.probability).filter(|_| !one.outside))),
            ("raw", Cell::Number(Some(one.raw))),
            ("uncertainty", Cell::Number(Some(one.uncertainty))),
            ("usual", Cell::Number(one.usual)),
            ("mean_return", Cell::Number(one.mean_return)),
            ("reached_at", Cell::Number(later.map(f64::from))),
            ("episode_score", Cell::Number(Some(self.score))),
            ("episode_success", Cell::Flag(self.success)),
        ]);
        row
    }
}

/// The mean probability of a round's outcomes that are hoped for, or feared; those outside the critic's data left out.
fn mean(round: &Round, good: bool) -> Option<f64> {
    let side = round.outcomes.iter().filter(|one| one.good == good && !one.outside);
    let (count, sum) = side.fold((0.0, 0.0), |(count, sum), one| (count + 1.0, sum + one.probability));
    (count > 0.0).then(|| sum / count)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
