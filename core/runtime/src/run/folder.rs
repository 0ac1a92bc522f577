//! A run is a folder: what lies in it, and how an unfinished one is found again. See docs/run-format.md.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use forethought_api::{Error, Result, error::Context, text::unmarked_bytes};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::journal::pack;
use crate::run::summary::EpisodeSummary;
use crate::{clock, files};

/// Version of a run folder's layout.
pub const SCHEMA: u32 = 1;

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// [`SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// Version of that program.
    pub program: String,
    /// Environment's kind name.
    pub environment: String,
    /// The reported planner's name.
    pub planner: String,
    /// What makes two runs the same: BLAKE3 of the configuration without limits and concurrency, and of the episodes.
    pub config_hash: String,
    /// Number of episodes of the whole run.
    pub episodes: u64,
    /// How far it got.
    pub status: RunStatus,
    /// What it has cost in US dollars when it last stopped, where the price of every model is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// When it was started, in UTC.
    pub started: String,
    /// When it last stopped, in UTC.
    pub finished: Option<String>,
}

/// How far a run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Running, or killed.
    Running,
    /// Every episode is done.
    Finished,
    /// Every episode ended, some failed; the same command tries these again.
    Failed,
    /// A budget was reached.
    Budget,
    /// Interrupted, state saved.
    Interrupted,
}

/// What to do about an earlier run of the same specification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Earlier {
    /// Continue the newest; if it is finished, its results are returned.
    #[default]
    Reuse,
    /// Continue the newest unfinished one; after a finished one, start a new one.
    Continue,
    /// Start a new one.
    Ignore,
}

/// An open run folder. The lock on it is held until this is dropped.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    info: Mutex<RunInfo>,
    lines: Mutex<File>,
    lock: File,
}

impl RunFolder {
    /// The run that was [found](find), or else a new one under `parent`.
    pub(crate) fn open(
        parent: &Path,
        found: Option<(PathBuf, RunInfo)>,
        info: RunInfo,
        config: &str,
    ) -> Result<Self> {
        if let Some((path, mut found)) = found {
            let lock = lock(&path)?;
            found.status = RunStatus::Running;
            found.finished = None;
            mend_lines(&path.join("episodes.jsonl"))?;
            fs::create_dir_all(path.join("events"))
                .context(format!("{} could not be created", path.join("events").display()))?;
            for folder in [path.clone(), path.join("events")] {
                files::remove_unfinished(&folder, "").context(format!("cleaning {}", folder.display()))?;
            }
            // The same run, but limits may differ.
            files::write_whole(&path.join("config.resolved.toml"), config.as_bytes())?;
            return Self::new(path, found, lock);
        }
        let path = parent.join(next_name(parent).to_string());
        fs::create_dir_all(path.join("events"))
            .context(format!("{} could not be created", path.display()))?;
        let lock = lock(&path)?;
        files::write_whole(&path.join("config.resolved.toml"), config.as_bytes())?;
        Self::new(path, info, lock)
    }

    fn new(path: PathBuf, info: RunInfo, lock: File) -> Result<Self> {
        let lines_path = path.join("episodes.jsonl");
        let lines = File::options()
            .create(true)
            .append(true)
            .open(&lines_path)
            .context(format!("{} could not be opened", lines_path.display()))?;
        let folder = Self { path, info: Mutex::new(info), lines: Mutex::new(lines), lock };
        folder.write_info()?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
    pub(crate) fn journal(&self) -> PathBuf {
        journal_path(&self.path)
    }
    pub(crate) fn events(&self, episode: &str) -> PathBuf {
        events_path(&self.path, episode)
    }
    /// Appends a line to `episodes.jsonl`.
    pub(crate) fn append(&self, summary: &EpisodeSummary) -> Result<()> {
        let mut line = serde_json::to_vec(summary)?;
        line.push(b'\n');
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.write_all(&line).context(format!("{}/episodes.jsonl could not be written", self.path.display()))
    }
    /// Sets the number of episodes of a run that did not know it when it began.
    pub(crate) fn count(&self, episodes: u64) {
        self.info.lock().unwrap_or_else(PoisonError::into_inner).episodes = episodes;
    }
    pub(crate) fn close(&self, status: RunStatus, usd: Option<f64>) -> Result<()> {
        {
            let mut info = self.info.lock().unwrap_or_else(PoisonError::into_inner);
            info.status = status;
            info.usd = usd;
            info.finished = Some(clock::timestamp());
        }
        self.write_info()
    }
    fn write_info(&self) -> Result<()> {
        let info = self.info.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut text = serde_json::to_vec_pretty(&info)?;
        text.push(b'\n');
        files::write_whole(&self.path.join("run.json"), &text)
    }
}

/// Where a run keeps its journal.
pub fn journal_path(run: &Path) -> PathBuf {
    run.join("journal.sqlite")
}

/// Where a run keeps an episode's log.
pub fn events_path(run: &Path, episode: &str) -> PathBuf {
    run.join("events").join(format!("{episode}.jsonl.zst"))
}

/// Reads a run's `run.json`.
pub fn read_info(run: &Path) -> Result<RunInfo> {
    let path = run.join("run.json");
    let what_to_do = match run.join("config.resolved.toml").is_file() {
        true => "the command that began the run writes it again",
        false => "is this a run's folder?",
    };
    let text = fs::read(&path).context(format!("{} could not be read; {what_to_do}", path.display()))?;
    let info: RunInfo = serde_json::from_slice(unmarked_bytes(&text)).map_err(|error| {
        Error::input(format!("{} is malformed; {what_to_do}", path.display())).because(error)
    })?;
    if info.schema > SCHEMA {
        return Err(Error::input(format!(
            "{} has schema version {}, this program knows {SCHEMA}; use a newer program",
            path.display(),
            info.schema
        )));
    }
    Ok(info)
}

/// Reads a run's `episodes.jsonl`: for each episode its last line, in the order of first appearance. A line that cannot
/// be read is passed over with a warning: the journal has it, too.
pub fn read_episodes(run: &Path) -> Result<Vec<EpisodeSummary>> {
    let path = run.join("episodes.jsonl");
    let text = fs::read(&path).context(format!("{} could not be read", path.display()))?;
    let mut episodes: Vec<EpisodeSummary> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (number, line) in unmarked_bytes(&text).split_inclusive(|byte| *byte == b'\n').enumerate() {
        // The run may be in progress, and its last line half written.
        if !line.ends_with(b"\n") {
            break;
        }
        let summary: EpisodeSummary = match serde_json::from_slice(line) {
            Ok(summary) => summary,
            Err(error) => {
                tracing::warn!("{}, line {}: malformed, passed over: {error}", path.display(), number + 1);
                continue;
            }
        };
        let place = *places.entry(summary.episode.clone()).or_insert(episodes.len());
        if place < episodes.len() {
            episodes[place] = summary;
        } else {
            episodes.push(summary);
        }
    }
    Ok(episodes)
}

/// The newest run under `parent` that `same` recognises by its hash and that `earlier` allows. `described` describes such
/// a run whose `run.json` is lost or damaged.
pub(crate) fn find(
    parent: &Path,
    earlier: Earlier,
    same: impl Fn(&str) -> bool,
    described: impl Fn(&Path) -> Option<RunInfo>,
) -> Result<Option<(PathBuf, RunInfo)>> {
    let wanted = |status| match earlier {
        Earlier::Continue => status != RunStatus::Finished,
        Earlier::Reuse => true,
        Earlier::Ignore => false,
    };
    let Ok(entries) = fs::read_dir(parent) else { return Ok(None) };
    let mut runs = Vec::new();
    for entry in entries {
        let path = entry.context(format!("{} could not be listed", parent.display()))?.path();
        // A folder without a journal was abandoned before its first call.
        if !journal_path(&path).exists() && !path.join("run.json").is_file() {
            continue;
        }
        let info = match read_info(&path) {
            Ok(info) if same(&info.config_hash) => info,
            Ok(info) => match described(&path) {
                Some(found) if found.episodes == info.episodes => {
                    tracing::warn!("{}/run.json has a damaged hash, which is written again", path.display());
                    RunInfo { config_hash: found.config_hash, ..info }
                }
                _ => continue,
            },
            Err(error) if is_newer(&path) => {
                tracing::warn!("not looking at {} for an earlier run: {error}", path.display());
                continue;
            }
            Err(error) => match described(&path) {
                Some(info) => {
                    tracing::warn!("run.json is written again from what the rest of the run says: {error}");
                    info
                }
                None => {
                    tracing::warn!("not looking at {} for an earlier run: {error}", path.display());
                    continue;
                }
            },
        };
        if wanted(info.status) {
            runs.push((path, info));
        }
    }
    // Names are ULIDs, so the greatest is the newest.
    Ok(runs.into_iter().max_by(|a, b| a.0.cmp(&b.0)))
}

/// Whether a newer program wrote the run.
fn is_newer(run: &Path) -> bool {
    let info = fs::read(run.join("run.json")).ok();
    let info = info.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    info.is_some_and(|info| info["schema"].as_u64() > Some(SCHEMA.into()))
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process that is just being started holds a copy of it until `exec`.
        let _ = self.lock.unlock();
    }
}

/// A name that sorts after those of the runs that are there, even if they were begun while the clock was ahead.
fn next_name(parent: &Path) -> Ulid {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| Ulid::from_string(entry.file_name().to_str()?).ok());
    let (newest, now) = (names.max(), Ulid::generate());
    newest.filter(|newest| *newest >= now).and_then(|newest| newest.increment().ok()).unwrap_or(now)
}

/// Refuses a run with a link among its files: what is written to a run would reach a file that is not part of it.
pub(crate) fn no_links(run: &Path) -> Result<()> {
    let entries = [run.to_owned(), run.join("events")].map(fs::read_dir).into_iter().flatten().flatten();
    let mut links = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    match links.next() {
        Some(link) => Err(Error::input(format!(
            "{} is a link; a run is written to, so put what it points to in its place",
            link.path().display()
        ))),
        None => Ok(()),
    }
}

/// Whether a process is working on the run. Without its lock it is finished, or was killed.
pub fn in_use(run: &Path) -> bool {
    let lock = File::open(run.join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn lock(run: &Path) -> Result<File> {
    no_links(run)?;
    let path = run.join("lock");
    let failed = || format!("{} could not be locked", path.display());
    let file = File::options().create(true).write(true).truncate(false).open(&path).context(failed())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::config(format!(
            "run {} is in use by another process; wait for it: the same command then continues it",
            run.display()
        ))),
        Err(TryLockError::Error(error)) => Err(Error::from(error).context(failed())),
    }
}

/// Packs the journal of the run in folder `run`: what nothing refers to goes, and the rest is compressed together.
/// Everything can be read as before, and the run can be continued. Returns its bytes before and after.
///
/// # Errors
/// A run in use, or one whose journal is missing or cannot be read or written.
pub fn pack(run: &Path) -> Result<(u64, u64)> {
    let journal = journal_path(run);
    let size = || -> Result<u64> {
        let data = fs::metadata(&journal).context(format!("{} cannot be packed", journal.display()))?;
        Ok(data.len())
    };
    size()?;
    let lock = lock(run)?;
    let before = size()?;
    let packed = pack::pack(&journal);
    let _ = lock.unlock();
    packed?;
    Ok((before, size()?))
}

/// Cuts off a last line that a killed process left half written.
fn mend_lines(path: &Path) -> Result<()> {
    let failed = || format!("{} could not be repaired", path.display());
    let Ok(text) = fs::read(path) else { return Ok(()) };
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    if whole < text.len() {
        let file = File::options().write(true).open(path).context(failed())?;
        file.set_len(whole as u64).context(failed())?;
    }
    Ok(())
}
