//! The journal of a run: every answered effect, in SQLite, before it is used.
//!
//! Jobs wait in a queue. A caller first lets all others that are ready add theirs. If its job is then the only one, it
//! does it itself: to wake a thread and to be woken by it costs more than the work. Where several wait, a thread takes
//! as many as there are, runs them in one transaction, and answers them when it is committed (group commit). With a
//! write-ahead log and `synchronous = NORMAL` a killed process loses nothing that was answered; a power cut may lose the
//! last moments, never the whole.
//! Payloads are in a table of blobs, keyed by their BLAKE3 hash, so a recurring message is stored once; those of a run
//! that is over may be in packs. The tables are described in docs/run-format.md. This module knows keys and bytes; it
//! does not know what an effect is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use forethought_api::{Error, Result, error::Context};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params, types::ValueRef};
use tokio::sync::oneshot;

use crate::budget::Spent;
use crate::journal::key::{Blob, EffectKey, Hash};
use crate::journal::{Journal, JournalEntry};

/// Version of the tables.
pub(crate) const SCHEMA: i64 = 4;

const TABLES: &str = "
    CREATE TABLE episodes (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        attempt INTEGER NOT NULL,
        status TEXT NOT NULL,
        summary TEXT,
        trajectories BLOB
    );
    CREATE TABLE effects (
        episode INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        step INTEGER NOT NULL,
        seat INTEGER NOT NULL,
        effect TEXT NOT NULL,
        target TEXT NOT NULL,
        input BLOB NOT NULL,
        occurrence INTEGER NOT NULL,
        request BLOB NOT NULL,
        ok INTEGER NOT NULL,
        answer BLOB NOT NULL,
        calls INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        PRIMARY KEY (episode, attempt, step, seat, effect, target, input, occurrence)
    ) WITHOUT ROWID;
    CREATE TABLE blobs (
        hash BLOB NOT NULL PRIMARY KEY,
        packed INTEGER NOT NULL,
        data BLOB NOT NULL
    );
    CREATE TABLE lost (calls INTEGER NOT NULL, tokens INTEGER NOT NULL);
";

/// What version 2 added.
const MONEY: &str = "
    ALTER TABLE lost ADD COLUMN target TEXT NOT NULL DEFAULT '';
    CREATE TABLE charges (
        number INTEGER PRIMARY KEY,
        episode INTEGER NOT NULL,
        target TEXT NOT NULL,
        nano_usd INTEGER NOT NULL
    );
    CREATE INDEX charges_of_episode ON charges (episode);
";

/// What version 3 added: attempts that are counted when they are made.
const ATTEMPTS: &str = "
    ALTER TABLE charges ADD COLUMN calls INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE charges ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0;
";

/// What version 4 added: contents of a run that is over, many in one piece.
const PACKS: &str = "
    CREATE TABLE packs (number INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE places (
        hash BLOB NOT NULL PRIMARY KEY,
        pack INTEGER NOT NULL,
        start INTEGER NOT NULL,
        length INTEGER NOT NULL
    ) WITHOUT ROWID;
";

/// Blobs shorter than this are not compressed.
const WORTH_PACKING: usize = 128;
/// Jobs in one transaction at most.
const BATCH: usize = 512;
/// Hashes of blobs remembered as stored: a few megabytes of them.
const REMEMBERED: usize = 1 << 16;

type Answer = Box<dyn FnOnce(&Result<()>) + Send>;
type Job = Box<dyn FnOnce(&mut Tables) -> Answer + Send>;

/// A journal. Clones share it; it is closed by [`Store::close`], or when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Store(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Owner {
    /// Ends the journal's thread, which folds the write-ahead log into the file, and waits for it.
    fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.queue.waiting().closed = true;
        self.queue.wanted.notify_all();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::warn!("the thread of the journal {} panicked", self.queue.path.display());
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}

struct Queue {
    path: PathBuf,
    waiting: Mutex<Waiting>,
    /// Wakes the thread.
    wanted: Condvar,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Waiting {
    /// In the order in which they are done.
    jobs: Vec<Job>,
    /// How many of them somebody waits for.
    asked: usize,
    /// Whether the thread is to do them.
    wanted: bool,
    /// Whether no others are accepted.
    closed: bool,
}

impl Waiting {
    /// Whether the thread has something to do.
    fn due(&self) -> bool {
        self.closed || self.wanted && !self.jobs.is_empty()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.path).finish()
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job. If the journal is closed it is dropped, and the caller that waits for its answer gets an error.
    fn add(&self, job: Job, asked: bool) {
        let mut waiting = self.waiting();
        if !waiting.closed {
            waiting.jobs.push(job);
            waiting.asked += usize::from(asked);
        }
    }

    /// Does a job that waits alone; else wakes the thread.
    fn turn(&self) {
        let alone = match self.waiting().asked {
            0 => return,
            asked => asked == 1,
        };
        if alone && let Ok(mut tables) = self.tables.try_lock() {
            self.batch(&mut tables);
        }
        // Others may have come meanwhile, and found the tables in use.
        let mut waiting = self.waiting();
        if waiting.asked > 0 {
            waiting.wanted = true;
            drop(waiting);
            self.wanted.notify_one();
        }
    }

    /// The work of the thread, until the journal is closed.
    fn serve(&self) {
        let _end = End(self);
        loop {
            let mut waiting = self.waiting();
            while !waiting.due() {
                waiting = self.wanted.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.wanted = waiting.jobs.len() > BATCH;
            let last = waiting.closed && waiting.jobs.is_empty();
            drop(waiting);
            // A job that panicked leaves tables of which nothing is known.
            let Ok(mut tables) = self.tables.lock() else { return };
            if last {
                return tables.fold();
            }
            self.batch(&mut tables);
        }
    }

    /// Does what waits. Jobs are taken by the thread that has the tables, so their order is kept.
    fn batch(&self, tables: &mut Tables) {
        let jobs = {
            let mut waiting = self.waiting();
            let most = waiting.jobs.len().min(BATCH);
            waiting.asked = waiting.jobs.len() - most;
            waiting.jobs.drain(..most).collect()
        };
        tables.serve(jobs);
    }
}

/// The end of the thread, by a panic or not: nobody waits for it any more.
struct End<'a>(&'a Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.closed = true;
        waiting.jobs.clear();
    }
}

/// A caller's turn. It takes it even if it is dropped: a cancelled call is recorded all the same.
struct Turn<'a>(&'a Queue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.turn();
    }
}

/// What is known of an episode when it begins.
#[derive(Debug, Default)]
pub struct Recorded {
    /// Number of the episode in the journal.
    pub(crate) number: i64,
    /// Number of the attempt whose effects these are.
    pub(crate) attempt: i64,
    /// Money that the episode has cost so far, in billionths of a US dollar.
    pub(crate) nano_usd: u64,
    /// Recorded answers: JSON of the output, or of the error.
    pub effects: HashMap<EffectKey, RecordedOutcome>,
}

/// Recorded answers.
type Effects = HashMap<EffectKey, RecordedOutcome>;

/// A recorded answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedOutcome {
    /// JSON of the output.
    Answer(Vec<u8>),
    /// JSON of the error.
    Error(Vec<u8>),
}

/// How an unfinished episode continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// From its recorded effects.
    Replay,
    /// From the start.
    Restart,
}

/// A closed episode.
#[derive(Debug, Clone)]
pub struct Closed {
    /// JSON of its summary.
    pub summary: String,
    /// JSON of its trajectories.
    pub trajectories: Vec<u8>,
}

impl Store {
    /// Opens the journal at `path`; creates it if it does not exist.
    pub fn open(path: &Path) -> Result<Self> {
        let tables = Mutex::new(Tables::open(path)?);
        let (waiting, wanted) = Default::default();
        let queue = Arc::new(Queue { path: path.to_owned(), waiting, wanted, tables });
        let served = queue.clone();
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || served.serve())
            .context("the journal's thread could not be started")?;
        Ok(Self(Arc::new(Owner { queue, thread: Mutex::new(Some(thread)) })))
    }

    /// Begins or continues an episode.
    ///
    /// An error that ended the last attempt is forgotten, so that the failed call is made again.
    pub async fn begin(&self, episode: String, resume: Resume) -> Result<Recorded> {
        self.call(move |tables| tables.begin(&episode, resume)).await
    }
    /// The journal of the episode that [began](Self::begin).
    pub fn episode(&self, begun: &Recorded) -> Arc<dyn Journal> {
        Arc::new(EpisodeRecords { store: self.clone(), number: begun.number, attempt: begun.attempt })
    }
    /// The answers of an episode that is done, and whether its trajectories were collected. Changes nothing.
    pub(crate) async fn recorded(&self, episode: String) -> Result<Option<(Recorded, bool)>> {
        self.call(move |tables| tables.recorded(&episode)).await
    }
    /// Records what was recorded elsewhere of an episode that [began](Self::begin), all of it or nothing.
    pub(crate) async fn receive(
        &self,
        begun: &Recorded,
        mut entries: Vec<JournalEntry>,
        charges: Vec<(String, Spent)>,
    ) -> Result<()> {
        // A process that was killed before it closed the episode may have been here.
        entries.retain(|entry| !begun.effects.contains_key(&entry.key));
        let (number, attempt) = (begun.number, begun.attempt);
        self.call(move |tables| {
            entries.iter().try_for_each(|entry| tables.append(number, attempt, entry))?;
            charges.iter().try_for_each(|(role, used)| tables.charge(number, role, *used).map(drop))
        })
        .await
    }
    /// Closes an episode that was begun. Of all values of `status`, only `done` is final.
    pub async fn finish(&self, episode: String, status: &'static str, closed: Closed) -> Result<()> {
        self.call(move |tables| tables.finish(&episode, status, &closed)).await
    }
    /// Every closed episode that is done, by id; an error where its record is damaged.
    pub async fn done(&self) -> Result<HashMap<String, Result<Closed>>> {
        self.call(|tables| tables.done()).await
    }
    /// What was used so far, by target: the recorded effects, and all attempts that were or may have been charged.
    pub async fn spent(&self) -> Result<BTreeMap<String, Spent>> {
        self.call(|tables| tables.spent()).await
    }
    /// Folds the write-ahead log into the file, and lets go of it. Later calls of any clone fail.
    pub async fn close(&self) {
        let owner = self.0.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || owner.close()).await {
            tracing::warn!("the journal could not be closed: {error}");
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |tables| {
            let result =
                work(tables).map_err(|error| error.context(format!("journal {}", tables.path.display())));
            Box::new(move |committed| {
                // Nobody may be waiting any more: a cancelled call is recorded all the same.
                let _ = reply.send(committed.clone().and(result));
            })
        });
        self.0.queue.add(job, true);
        let turn = Turn(&self.0.queue);
        tokio::task::yield_now().await;
        drop(turn);
        answer
            .await
            .map_err(|_| Error::other(format!("the journal {} is closed", self.0.queue.path.display())))?
    }
}

/// One episode in the store. An answer, or a charge, is committed when the call returns.
struct EpisodeRecords {
    store: Store,
    number: i64,
    attempt: i64,
}

#[async_trait]
impl Journal for EpisodeRecords {
    async fn append(&self, entry: JournalEntry) -> Result<()> {
        let Self { number, attempt, .. } = *self;
        self.store.call(move |tables| tables.append(number, attempt, &entry)).await
    }
    async fn charge(&self, role: String, most: Spent) -> Result<i64> {
        let number = self.number;
        self.store.call(move |tables| tables.charge(number, &role, most)).await
    }
    fn settle(&self, charge: i64, used: Spent) {
        let job: Job = Box::new(move |tables| {
            let done = tables.settle(charge, used);
            Box::new(move |committed| {
                if let Err(error) = committed.clone().and(done) {
                    tracing::warn!("the cost of an attempt was not recorded, so it counts in full: {error}");
                }
            })
        });
        self.store.0.queue.add(job, false);
    }
}

/// The ids of the episodes in the journal at `path`.
pub(crate) fn episodes(path: &Path) -> Result<Vec<String>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut ids = connection.prepare("SELECT id FROM episodes")?;
    let ids = ids.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(ids)
}

struct Tables {
    path: PathBuf,
    connection: Connection,
    compressor: zstd::bulk::Compressor<'static>,
    stored: HashSet<Hash>,
}

/// Opens the journal at `path` for writing; creates it if it does not exist, and upgrades an older one.
pub(super) fn connect(path: &Path) -> Result<Connection> {
    let failed = || format!("journal {} could not be opened", path.display());
    let connection = Connection::open(path).context(failed())?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000;
             PRAGMA cache_size = -8192; PRAGMA busy_timeout = 10000;",
        )
        .context(failed())?;
    connection.set_prepared_statement_cache_capacity(32);
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).context(failed())?;
    let raise = |tables: &[&str]| {
        let tables = tables.concat();
        let statements = format!("BEGIN; {tables} PRAGMA user_version = {SCHEMA}; COMMIT;");
        connection.execute_batch(&statements).context(failed())
    };
    match version {
        0 => raise(&[TABLES, MONEY, ATTEMPTS, PACKS])?,
        1 => raise(&[MONEY, ATTEMPTS, PACKS])?,
        2 => raise(&[ATTEMPTS, PACKS])?,
        3 => raise(&[PACKS])?,
        SCHEMA => {}
        other => {
            return Err(Error::input(format!(
                "journal {} has schema version {other}, this program knows {SCHEMA}; use the program that wrote it, \
                 or a newer one",
                path.display()
            )));
        }
    }
    no_triggers(&connection, path)?;
    Ok(connection)
}

impl Tables {
    fn open(path: &Path) -> Result<Self> {
        let failed = || format!("journal {} could not be opened", path.display());
        let connection = connect(path)?;
        let mut compressor = zstd::bulk::Compressor::new(1).context(failed())?;
        compressor.include_checksum(true).context(failed())?;
        Ok(Self { path: path.to_owned(), connection, compressor, stored: HashSet::new() })
    }

    /// Does jobs in one transaction.
    fn serve(&mut self, jobs: Vec<Job>) {
        let begun = self.execute("BEGIN IMMEDIATE");
        let answers: Vec<Answer> = jobs.into_iter().map(|job| job(self)).collect();
        let committed = begun.and_then(|()| self.execute("COMMIT"));
        if committed.is_err() {
            // What was remembered as stored may be rolled back with the transaction.
            self.stored.clear();
            if self.execute("ROLLBACK").is_err() {
                tracing::debug!("nothing to roll back in {}", self.path.display());
            }
        }
        answers.into_iter().for_each(|answer| answer(&committed));
    }

    /// Leaves one file that is the whole journal, and no write-ahead log next to it.
    fn fold(&self) {
        // A reader keeps the log in use; then the last to close the file removes it.
        if let Err(error) = self.execute("PRAGMA journal_mode = DELETE") {
            tracing::debug!("{error}");
        }
    }

    fn execute(&self, statement: &str) -> Result<()> {
        self.connection
            .execute_batch(statement)
            .context(format!("journal {} could not be written", self.path.display()))
    }

    fn begin(&mut self, episode: &str, resume: Resume) -> Result<Recorded> {
        let known = self
            .connection
            .prepare_cached("SELECT number, attempt, status FROM episodes WHERE id = ?1")?
            .query_row([episode], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?)))
            .optional()?;
        let Some((number, mut attempt, status)) = known else {
            self.connection
                .prepare_cached("INSERT INTO episodes (id, attempt, status) VALUES (?1, 0, 'running')")?
                .execute([episode])?;
            return Ok(Recorded { number: self.connection.last_insert_rowid(), ..Recorded::default() });
        };
        let status: String = status;
        if resume == Resume::Restart {
            attempt += 1;
        } else if status != "done" {
            self.forget_last_errors(number, attempt)?;
        }
        let effects = match self.effects(number, attempt)? {
            Ok(effects) => effects,
            Err(damaged) => {
                tracing::warn!(
                    "{}: {} recorded answers of episode {episode} are damaged; it is played again from its start",
                    self.path.display(),
                    damaged.len()
                );
                for hash in damaged.into_iter().flatten() {
                    self.stored.remove(&hash);
                    self.connection.execute("DELETE FROM blobs WHERE hash = ?1", [hash])?;
                    self.connection.execute("DELETE FROM places WHERE hash = ?1", [hash])?;
                }
                attempt += 1;
                HashMap::new()
            }
        };
        self.connection
            .prepare_cached("UPDATE episodes SET attempt = ?2, status = 'running' WHERE number = ?1")?
            .execute([number, attempt])?;
        let nano_usd = self
            .connection
            // Not `sum`, which fails when it overflows.
            .prepare_cached("SELECT total(nano_usd) FROM charges WHERE episode = ?1")?
            .query_row([number], |row| row.get::<_, f64>(0))?;
        Ok(Recorded { number, attempt, nano_usd: nano_usd as u64, effects })
    }

    fn recorded(&self, episode: &str) -> Result<Option<(Recorded, bool)>> {
        let known = self
            .connection
            .prepare("SELECT number, attempt, trajectories FROM episodes WHERE id = ?1 AND status = 'done'")?
            .query_row([episode], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((number, attempt, trajectories)) = known else { return Ok(None) };
        let trajectories: Vec<u8> = trajectories;
        let collected = unpack(true, &trajectories)? != b"[]";
        let effects = self.effects(number, attempt)?.map_err(|damaged| {
            Error::malformed(format!("{} recorded answers of episode {episode} are damaged", damaged.len()))
        })?;
        Ok(Some((Recorded { number, attempt, effects, ..Recorded::default() }, collected)))
    }

    /// Errors of the last step are those that the planner did not recover from, unless it acted after them. Earlier ones
    /// are part of the episode.
    fn forget_last_errors(&self, number: i64, attempt: i64) -> Result<()> {
        let last = "SELECT max(step) FROM effects WHERE episode = ?1 AND attempt = ?2";
        let failed = format!(
            "FROM effects WHERE episode = ?1 AND attempt = ?2 AND NOT ok AND step = ({last}) AND NOT EXISTS (SELECT 1 \
             FROM effects WHERE episode = ?1 AND attempt = ?2 AND ok AND effect = 'environment.step' AND step = ({last}))"
        );
        // A failed call that was paid stays paid.
        self.connection.execute(
            &format!(
                "INSERT INTO lost (calls, tokens, target) SELECT calls, tokens, target {failed} AND calls > 0"
            ),
            [number, attempt],
        )?;
        self.connection.execute(&format!("DELETE {failed}"), [number, attempt])?;
        Ok(())
    }

    /// The recorded answers, or else those that are damaged or missing, with the hashes under which they are kept.
    fn effects(&self, number: i64, attempt: i64) -> Result<Result<Effects, Vec<Option<Hash>>>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT step, seat, effect, target, input, occurrence, ok, answer FROM effects
             WHERE episode = ?1 AND attempt = ?2",
        )?;
        let mut rows = statement.query([number, attempt])?;
        let (mut effects, mut damaged) = (HashMap::new(), Vec::new());
        let mut contents = Contents::new(&self.connection, true);
        while let Some(row) = rows.next()? {
            let key = EffectKey {
                step: row.get(0)?,
                seat: row.get(1)?,
                effect: row.get::<_, String>(2)?.into(),
                target: row.get(3)?,
                input: row.get(4)?,
                occurrence: row.get(5)?,
            };
            let answer = row.get_ref(7)?;
            let Some(data) = contents.of(answer)? else {
                damaged.push(answer.as_blob().ok().and_then(|hash| hash.try_into().ok()));
                continue;
            };
            effects.insert(
                key,
                if row.get(6)? { RecordedOutcome::Answer(data) } else { RecordedOutcome::Error(data) },
            );
        }
        Ok(if damaged.is_empty() { Ok(effects) } else { Err(damaged) })
    }

    fn append(&mut self, number: i64, attempt: i64, entry: &JournalEntry) -> Result<()> {
        for part in &entry.shared {
            self.put(part)?;
        }
        let request = self.put(&entry.request)?;
        let answer = self.put(&entry.answer)?;
        let key = &entry.key;
        self.connection
            .prepare_cached(
                "INSERT INTO effects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?
            .execute(params![
                number,
                attempt,
                key.step,
                key.seat,
                key.effect,
                key.target,
                key.input,
                key.occurrence,
                request,
                entry.ok,
                answer,
                entry.usage.is_some(),
                entry.usage.map_or(0, |usage| stored(usage.total())),
            ])?;
        Ok(())
    }

    fn put(&mut self, Blob { hash, data }: &Blob) -> Result<Hash> {
        let hash = *hash;
        if self.stored.contains(&hash) {
            return Ok(hash);
        }
        let packed = if data.len() < WORTH_PACKING { None } else { Some(self.compressor.compress(data)?) };
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO blobs VALUES (?1, ?2, ?3)")?
            .execute(params![hash, packed.is_some(), packed.as_deref().unwrap_or(data)])?;
        if self.stored.len() >= REMEMBERED {
            self.stored.clear();
        }
        self.stored.insert(hash);
        Ok(hash)
    }

    fn finish(&mut self, episode: &str, status: &str, closed: &Closed) -> Result<()> {
        let trajectories = self.compressor.compress(&closed.trajectories)?;
        self.connection
            .prepare_cached("UPDATE episodes SET status = ?2, summary = ?3, trajectories = ?4 WHERE id = ?1")?
            .execute(params![episode, status, closed.summary, trajectories])?;
        Ok(())
    }

    fn done(&self) -> Result<HashMap<String, Result<Closed>>> {
        let mut statement = self
            .connection
            .prepare("SELECT id, summary, trajectories FROM episodes WHERE status = 'done'")?;
        let mut rows = statement.query([])?;
        let mut done = HashMap::new();
        while let Some(row) = rows.next()? {
            let closed = || -> Result<Closed> {
                Ok(Closed { summary: row.get(1)?, trajectories: unpack(true, row.get_ref(2)?.as_blob()?)? })
            };
            done.insert(row.get(0)?, closed());
        }
        Ok(done)
    }

    fn charge(&mut self, episode: i64, target: &str, most: Spent) -> Result<i64> {
        let [calls, tokens, nano_usd] = [most.calls, most.tokens, most.nano_usd].map(stored);
        self.connection
            .prepare_cached(
                "INSERT INTO charges (episode, target, calls, tokens, nano_usd) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![episode, target, calls, tokens, nano_usd])?;
        Ok(self.connection.last_insert_rowid())
    }

    fn settle(&mut self, charge: i64, used: Spent) -> Result<()> {
        let [calls, tokens, nano_usd] = [used.calls, used.tokens, used.nano_usd].map(stored);
        self.connection
            .prepare_cached("UPDATE charges SET calls = ?2, tokens = ?3, nano_usd = ?4 WHERE number = ?1")?
            .execute([charge, calls, tokens, nano_usd])?;
        Ok(())
    }

    fn spent(&self) -> Result<BTreeMap<String, Spent>> {
        spent(&self.connection, SCHEMA)
    }
}

/// What was used so far, by target, in a journal of schema `version`.
pub(crate) fn spent(connection: &Connection, version: i64) -> Result<BTreeMap<String, Spent>> {
    // Added here: `sum` fails when it overflows, and one absurd count must not make a run unreadable.
    let mut tables = "SELECT target, calls, tokens, 0 FROM effects WHERE calls > 0".to_owned();
    if version > 2 {
        tables += " UNION ALL SELECT target, calls, tokens, 0 FROM lost
                    UNION ALL SELECT target, calls, tokens, nano_usd FROM charges";
    }
    let mut entries = connection.prepare(&tables)?;
    let mut rows = entries.query([])?;
    let mut spent: BTreeMap<String, Spent> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let number =
            |column| -> Result<u64> { Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default()) };
        let entry = Spent { calls: number(1)?, tokens: number(2)?, nano_usd: number(3)? };
        let sum = spent.entry(row.get(0)?).or_default();
        *sum = *sum + entry;
    }
    Ok(spent)
}

/// The number of a pack, and where a content is in it: from which byte on, and how many.
pub(super) type Place = (i64, u32, u32);

/// A place, as a row of `effects` says it.
pub(super) fn place((pack, start, length): Place) -> String {
    format!("{pack},{start},{length}")
}

/// Contents: those that are kept under hashes, each by itself or in a pack, and those of rows of `effects`.
pub(super) struct Contents<'c> {
    connection: &'c Connection,
    packs: bool,
    /// The pack that was read last: neighbours are often asked for one after the other.
    last: Option<(i64, Vec<u8>)>,
}

impl<'c> Contents<'c> {
    /// The contents of a journal, which has packs from version 4 on.
    pub(super) fn new(connection: &'c Connection, packs: bool) -> Self {
        Self { connection, packs, last: None }
    }

    /// What is kept under `hash`; `None` if it is damaged or missing.
    pub(super) fn get(&mut self, hash: &Hash) -> Result<Option<Vec<u8>>> {
        let whole = |data: &Vec<u8>| blake3::hash(data).as_bytes() == hash;
        let found = self
            .connection
            .prepare_cached("SELECT packed, data FROM blobs WHERE hash = ?1")?
            .query_row([hash], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))
            .optional()?;
        let found = found.and_then(|(packed, data)| unpack(packed, &data).ok()).filter(whole);
        match found {
            None if self.packs => Ok(self.of_pack(hash)?.filter(whole)),
            found => Ok(found),
        }
    }

    /// What a row of `effects` says: a hash, or a text with a place in a pack. `None` if it is damaged or missing.
    pub(super) fn of(&mut self, said: ValueRef<'_>) -> Result<Option<Vec<u8>>> {
        match said {
            ValueRef::Blob(hash) => <&Hash>::try_from(hash).map_or(Ok(None), |hash| self.get(hash)),
            ValueRef::Text(place) => {
                let place = std::str::from_utf8(place).unwrap_or_default();
                match place.split(',').collect::<Vec<_>>()[..] {
                    [pack, start, length] => match (pack.parse(), start.parse(), length.parse()) {
                        (Ok(pack), Ok(start), Ok(length)) => self.part((pack, start, length)),
                        _ => Ok(None),
                    },
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    fn of_pack(&mut self, hash: &Hash) -> Result<Option<Vec<u8>>> {
        let place = self
            .connection
            .prepare_cached("SELECT pack, start, length FROM places WHERE hash = ?1")?
            .query_row([hash], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        place.map_or(Ok(None), |place| self.part(place))
    }

    fn part(&mut self, (pack, start, length): Place) -> Result<Option<Vec<u8>>> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != pack) {
            let data = self
                .connection
                .prepare_cached("SELECT data FROM packs WHERE number = ?1")?
                .query_row([pack], |row| row.get::<_, Vec<u8>>(0))
                .optional()?;
            let data = data.and_then(|data| unpack(true, &data).ok()).unwrap_or_default();
            self.last = Some((pack, data));
        }
        let (start, length) = (start as usize, length as usize);
        Ok(self.last.as_ref().and_then(|(_, data)| data.get(start..start + length)).map(<[u8]>::to_vec))
    }
}

/// An error if the journal has triggers or views: they would run with what is read or written, and no run writes them.
pub(crate) fn no_triggers(connection: &Connection, path: &Path) -> Result<()> {
    let foreign = "SELECT name FROM sqlite_schema WHERE type NOT IN ('table', 'index') LIMIT 1";
    match connection.query_row(foreign, [], |row| row.get::<_, String>(0)).optional()? {
        Some(name) => Err(Error::input(format!(
            "journal {} has a trigger or view `{name}`, which no run writes",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// As large as SQLite can store.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unpack(packed: bool, data: &[u8]) -> Result<Vec<u8>> {
    if packed { inflate(data, MOST).context("a blob is damaged") } else { Ok(data.to_vec()) }
}

/// The most that something compressed may hold. The run may be somebody else's, and a few bytes can become many.
pub(crate) const MOST: u64 = 1 << 30;

/// Unpacks what zstd has packed.
///
/// # Errors
/// Bytes that are not zstd's, or hold more than `most`.
pub(crate) fn inflate(packed: impl Read, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    zstd::stream::Decoder::new(packed)?.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(Error::malformed(format!("more than {most} bytes are packed into it"))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_bytes_do_not_become_more_than_allowed() {
        let packed = zstd::bulk::compress(&vec![b' '; 1 << 20], 1).unwrap();
        assert!(packed.len() < 1000);
        assert_eq!(inflate(&*packed, 1 << 20).unwrap().len(), 1 << 20);
        assert!(inflate(&*packed, (1 << 20) - 1).unwrap_err().message.contains("more than 1048575 bytes"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_was_asked_is_done_even_if_nobody_waits_and_nothing_after_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let store = Store::open(&path).unwrap();
        let episodes: Vec<_> = (0..400)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut begun = Box::pin(store.begin(number.to_string(), Resume::Replay));
                    if number % 3 == 0 {
                        assert!(futures::poll!(&mut begun).is_pending());
                        return;
                    }
                    begun.await.unwrap();
                })
            })
            .collect();
        for episode in episodes {
            episode.await.unwrap();
        }
        let ids = super::episodes(&path).unwrap();
        assert_eq!(ids.len(), 400);
        let one = store.episode(&Recorded { number: 1, ..Recorded::default() });
        let charge = one.charge("actor".into(), Spent::money(9)).await.unwrap();
        one.settle(charge, Spent::money(7));
        drop(one);
        // What waits is done at the end, and the log is folded in.
        let other = store.clone();
        store.close().await;
        assert!(!folder.path().join("journal.sqlite-wal").exists());
        let wrong = other.spent().await.unwrap_err();
        assert!(wrong.message.contains("journal.sqlite is closed"), "{wrong}");
        assert_eq!(Store::open(&path).unwrap().spent().await.unwrap()["actor"], Spent::money(7));
    }

    #[tokio::test]
    async fn a_journal_of_version_1_learns_of_money() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(&format!("{TABLES} INSERT INTO lost VALUES (2, 30); PRAGMA user_version = 1;"))
            .unwrap();
        drop(old);
        for spent in [0, 7] {
            let store = Store::open(&path).unwrap();
            let all = store.spent().await.unwrap();
            assert_eq!(all[""], Spent { calls: 2, tokens: 30, nano_usd: 0 });
            assert_eq!(all.get("actor").copied().unwrap_or_default(), Spent::money(spent));
            let recorded = store.begin("e".into(), Resume::Replay).await.unwrap();
            assert_eq!(recorded.nano_usd, spent);
            let journal = store.episode(&recorded);
            let charge = journal.charge("actor".into(), Spent::money(9)).await.unwrap();
            journal.settle(charge, Spent::money(7));
            // Jobs are done in order, so this one also waits for the other.
            assert_eq!(store.spent().await.unwrap()["actor"], Spent::money(spent + 7));
        }
    }
}
