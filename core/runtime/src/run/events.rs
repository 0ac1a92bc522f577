//! The log of an episode: one JSON object per line, without any time, so that equal episodes have equal bytes.

use std::fs;
use std::path::Path;

use forethought_api::{
    Result,
    environment::{Reset, Turn},
    error::Context,
    llm::ToolCall,
    planner::{Summary, Trace},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{files, journal::store, run::summary::EpisodeStatus};

/// Version of the log's lines. A reader ignores fields that it does not know.
pub const SCHEMA: u32 = 1;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    Episode {
        /// [`SCHEMA`].
        schema: u32,
        /// The episode's id.
        episode: String,
        /// Environment's kind name.
        environment: String,
        /// Environment's version.
        version: String,
        /// Task and seed.
        #[serde(flatten)]
        reset: Reset,
        /// Names of the planners, seat by seat.
        seats: Vec<String>,
        /// What the seats are called.
        #[serde(default)]
        seat_names: Vec<String>,
    },
    /// A seat is asked to act; or, without a decision after it, what the acting seat saw last.
    Turn {
        /// Decisions made before.
        step: u32,
        /// Who sees what.
        #[serde(flatten)]
        turn: Turn,
    },
    /// A seat decided.
    Decision {
        /// Decisions made before.
        step: u32,
        /// The seat.
        seat: usize,
        /// Its private strategy.
        thought: String,
        /// What it does.
        action: String,
        /// The calls of tools that it makes, which `action` writes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<ToolCall>,
        /// The summary of the history, if the planner or the collector made one.
        #[serde(skip_serializing_if = "Option::is_none")]
        summary: Option<Summary>,
        /// How it was decided.
        trace: Trace,
    },
    /// What the action led to. The next turn is the next line.
    Transition {
        /// Decisions made before the one that led here.
        step: u32,
        /// Reward of each seat.
        rewards: Vec<f64>,
        /// Ended by the world's rules.
        terminated: bool,
        /// Cut off.
        truncated: bool,
        /// Whether the task was solved, where known.
        success: Option<bool>,
        /// Diagnostics.
        info: Value,
    },
    /// The last line.
    End {
        /// How it ended.
        status: EpisodeStatus,
        /// Why, unless it ended well.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// Sum of rewards of each seat.
        scores: Vec<f64>,
    },
}

/// Lines gathered while an episode runs.
#[derive(Debug, Default)]
pub(crate) struct EventLog(Vec<u8>);

impl EventLog {
    pub(crate) fn push(&mut self, event: &Event) -> Result<()> {
        serde_json::to_writer(&mut self.0, event).context("an event could not be written")?;
        self.0.push(b'\n');
        Ok(())
    }
    pub(crate) fn into_lines(self) -> Vec<u8> {
        self.0
    }
}

/// Writes an episode's log, whole or not at all.
pub(crate) fn write(path: &Path, lines: &[u8]) -> Result<()> {
    // In one piece: a stream, which cannot know how much comes, would take 7 MB for its tables.
    let packed = zstd::bulk::compress(lines, 3).context("an event log could not be compressed")?;
    files::write_whole(path, &packed)
}

/// Reads the log of one episode.
///
/// # Errors
/// A file that is missing or malformed, naming it and the line.
pub fn read(path: &Path) -> Result<Vec<Event>> {
    let lines = read_lines(path)?;
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line).context(format!("{}, line {}", path.display(), number + 1))
    };
    lines.lines().enumerate().map(parse).collect()
}

/// The lines of an episode's log as they were written.
///
/// # Errors
/// A file that is missing, or is not such a log.
pub fn read_lines(path: &Path) -> Result<String> {
    let file = fs::File::open(path).context(format!("{} could not be opened", path.display()))?;
    let lines =
        store::inflate(file, store::MOST).context(format!("{} is not readable as zstd", path.display()))?;
    String::from_utf8(lines).context(format!("{} is not UTF-8", path.display()))
}
