//! The episodes of a run by what they are listed by. An entry takes about 100 bytes; everything else is read from the
//! folder when it is shown. `episodes.jsonl` only grows, so what is new is read from where reading stopped.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use forethought_api::{Error, Result, error::Context};
use forethought_runtime::evaluate::stats::{Mean, Rate, mean, rate};
use forethought_runtime::run::episode::{EpisodeStatus, EpisodeSummary};

/// The longest line that is read: an error message may be long, but nothing is this long.
const LONGEST: u64 = 1 << 24;

/// An episode's place and what it is filtered and sorted by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    place: u64,
    length: u32,
    pub(crate) id: u128,
    pub(crate) task: u64,
    pub(crate) seed: u64,
    pub(crate) score: f64,
    pub(crate) tokens: u64,
    pub(crate) steps: u32,
    pub(crate) unread: u32,
    pub(crate) done: bool,
    pub(crate) success: Option<bool>,
}

impl Entry {
    /// Whether it failed, or did not succeed.
    pub(crate) fn lost(&self) -> bool {
        !self.done || self.success == Some(false)
    }
}

/// The episodes of a run.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    read: u64,
    entries: Vec<Entry>,
    places: HashMap<u128, u32>,
}

/// What identifies an episode in the index.
pub(crate) fn short(id: &str) -> u128 {
    let hex = (id.len() == 32).then(|| u128::from_str_radix(id, 16).ok()).flatten();
    hex.unwrap_or_else(|| {
        let hash = blake3::hash(id.as_bytes());
        hash.as_bytes()[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
    })
}

impl Index {
    /// Of the run in this folder; nothing is read yet.
    pub(crate) fn new(run: &Path) -> Self {
        Self { path: run.join("episodes.jsonl"), read: 0, entries: Vec::new(), places: HashMap::new() }
    }

    /// Reads what was appended. Of an episode with several lines the last one counts; a malformed line is passed over.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn refresh(&mut self) -> Result<()> {
        let path = self.path.clone();
        let failed = || format!("{} could not be read", path.display());
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            file => file.context(failed())?,
        };
        let length = file.metadata().context(failed())?.len();
        if length < self.read {
            // Another file has its name now.
            (self.read, self.entries, self.places) = (0, Vec::new(), HashMap::new());
        }
        let mut lines = BufReader::new(file);
        lines.seek(SeekFrom::Start(self.read)).context(failed())?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = (&mut lines).take(LONGEST).read_until(b'\n', &mut line).context(failed())?;
            if count == 0 || !line.ends_with(b"\n") {
                return Ok(());
            }
            if let Ok(summary) = serde_json::from_slice::<EpisodeSummary>(&line) {
                self.add(&summary, count);
            }
            self.read += count as u64;
        }
    }

    fn add(&mut self, one: &EpisodeSummary, length: usize) {
        let entry = Entry {
            place: self.read,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            id: short(&one.episode),
            task: one.task,
            seed: one.seed,
            score: one.score,
            tokens: one.tokens,
            steps: one.steps,
            unread: one.faults.values().sum(),
            done: one.status == EpisodeStatus::Done,
            success: one.success,
        };
        let next = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        match *self.places.entry(entry.id).or_insert(next) {
            place if place == next => self.entries.push(entry),
            place => self.entries[place as usize] = entry,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries that are wanted, by `order`; by task and seed where that says nothing.
    pub(crate) fn sorted(&self, wanted: impl Fn(&Entry) -> bool, order: Order) -> Vec<Entry> {
        let mut all: Vec<Entry> = self.entries.iter().copied().filter(wanted).collect();
        all.sort_by(|a, b| order.compare(a, b).then((a.task, a.seed).cmp(&(b.task, b.seed))));
        all
    }

    /// The episode with this whole id.
    pub(crate) fn find(&self, id: &str) -> Option<Entry> {
        self.places.get(&short(id)).map(|place| self.entries[*place as usize])
    }

    /// The episode of a task and seed.
    pub(crate) fn same_task(&self, task: u64, seed: u64) -> Option<Entry> {
        self.entries.iter().copied().find(|one| (one.task, one.seed) == (task, seed))
    }

    /// The line of an entry.
    ///
    /// # Errors
    /// A file that cannot be read, or has changed.
    pub(crate) fn read(&self, entry: &Entry) -> Result<EpisodeSummary> {
        let failed = || format!("{} could not be read", self.path.display());
        let mut file = File::open(&self.path).context(failed())?;
        file.seek(SeekFrom::Start(entry.place)).context(failed())?;
        let mut line = Vec::new();
        file.take(entry.length.into()).read_to_end(&mut line).context(failed())?;
        let summary: EpisodeSummary = serde_json::from_slice(&line).context(failed())?;
        // It becomes part of the name of a file.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if summary.episode.is_empty() || !summary.episode.chars().all(plain) {
            return Err(Error::malformed(format!(
                "{}: {:?} is not the id of an episode",
                self.path.display(),
                summary.episode
            )));
        }
        Ok(summary)
    }

    /// Episodes that are done, their success rate and their mean score.
    pub(crate) fn results(&self) -> (usize, Option<Rate>, Mean) {
        let done: Vec<_> = self.entries.iter().filter(|one| one.done).collect();
        let known = done.iter().any(|one| one.success.is_some());
        let solved = done.iter().filter(|one| one.success == Some(true)).count();
        let scores: Vec<f64> = done.iter().map(|one| one.score).collect();
        (done.len(), known.then(|| rate(solved as u64, done.len() as u64)), mean(&scores))
    }
}

/// What episodes are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// Task and seed.
    #[default]
    Task,
    /// Score, the lowest first.
    Score,
    /// Score, the highest first.
    Best,
    /// Steps, the most first.
    Steps,
    /// Tokens, the most first.
    Tokens,
    /// Answers that could not be read, the most first.
    Unread,
}

impl Order {
    /// By the word in an address.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "score" => Self::Score,
            "best" => Self::Best,
            "steps" => Self::Steps,
            "tokens" => Self::Tokens,
            "unread" => Self::Unread,
            _ => Self::Task,
        }
    }

    fn compare(self, a: &Entry, b: &Entry) -> std::cmp::Ordering {
        match self {
            Self::Task => std::cmp::Ordering::Equal,
            Self::Score => a.score.total_cmp(&b.score),
            Self::Best => b.score.total_cmp(&a.score),
            Self::Steps => b.steps.cmp(&a.steps),
            Self::Tokens => b.tokens.cmp(&a.tokens),
            Self::Unread => b.unread.cmp(&a.unread),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn line(id: &str, task: u64, score: f64) -> String {
        format!(
            "{{\"episode\":\"{id}\",\"task\":{task},\"seed\":1,\"status\":\"done\",\"score\":{score},\"scores\":[],\
             \"success\":null,\"steps\":1,\"decisions\":1,\"llm_calls\":0,\"tokens\":0,\"calls\":{{}},\
             \"other_calls\":{{}},\"value_queries\":0,\"ms_per_decision\":null}}\n"
        )
    }

    #[test]
    fn what_is_appended_is_read_and_the_last_line_of_an_episode_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = Index::new(folder.path());
        index.refresh().unwrap();
        assert_eq!(index.len(), 0, "a run that has not begun");
        let path = folder.path().join("episodes.jsonl");
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        write!(file, "{}not JSON\n{}{{\"half", line("a", 3, 0.5), line("b", 2, 0.1)).unwrap();
        index.refresh().unwrap();
        let order = |index: &Index, order| -> Vec<u64> {
            index.sorted(|_| true, order).iter().map(|one| one.task).collect()
        };
        assert_eq!(order(&index, Order::Task), [2, 3]);

        std::fs::write(&path, [line("a", 3, 0.5), line("b", 2, 0.1), line("b", 2, 0.9)].concat()).unwrap();
        let mut index = Index::new(folder.path());
        index.refresh().unwrap();
        assert_eq!((index.len(), order(&index, Order::Score)), (2, vec![3, 2]));
        let entry = index.find("b").unwrap();
        assert_eq!(index.read(&entry).unwrap().score, 0.9);
        assert!(index.find("c").is_none());
    }

    #[test]
    fn an_id_that_is_a_path_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("episodes.jsonl"), line("../../etc/x", 1, 0.0)).unwrap();
        let mut index = Index::new(folder.path());
        index.refresh().unwrap();
        let entry = index.sorted(|_| true, Order::Task)[0];
        assert!(index.read(&entry).unwrap_err().to_string().contains("is not the id of an episode"));
    }
}
