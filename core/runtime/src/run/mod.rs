//! A run: many episodes at once on a bounded pool, kept in a folder, continued where it stopped.

mod copies;
mod critical;
pub mod elsewhere;
pub mod episode;
pub mod events;
pub mod folder;
pub mod live;
pub mod models;
pub(crate) mod needs;
pub(crate) mod plan;
pub mod replay;
pub mod summary;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    environment::{Action, Environment, EnvironmentSpec, Recovery, Reset, Transition, Turn},
    error::{Code, Context},
    planner::Summariser,
    trajectory::Trajectory,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use ulid::Ulid;

use crate::budget::{Budget, Limits, Spent};
use crate::cancel::Cancel;
use crate::files;
use crate::journal::durable::JournaledEffects;
use crate::journal::effects::{CriticHandle, Deps, Llm};
use crate::journal::meter::Accounts;
use crate::journal::store::{Closed, Recorded, Resume, Store};
use crate::run::elsewhere::{Assignment, Engine, RecordedAnswer, Returned};
use crate::run::episode::{EpisodeResult, EpisodeSpec, run_episode};
use crate::run::folder::{RunFolder, RunInfo, RunStatus};
use crate::run::plan::Plan;
pub use crate::run::plan::{Configured, RunSpec};
use crate::run::summary::{EpisodeStatus, EpisodeSummary};

/// The result of a run.
#[derive(Debug)]
pub struct RunOutcome {
    /// The run's folder.
    pub folder: PathBuf,
    /// How far it got.
    pub status: RunStatus,
    /// What it has cost so far in US dollars, where the price of every model in use is known.
    pub usd: Option<f64>,
    /// The episodes that were begun, in the order of [`RunSpec::episodes`].
    pub episodes: Vec<EpisodeSummary>,
    /// Their trajectories, in the same order, if they were collected.
    pub trajectories: Vec<Trajectory>,
    /// What it has used so far, by role.
    pub spent: BTreeMap<String, Spent>,
}

/// Watches a run. Called from many tasks; must not block.
pub trait RunObserver: Send + Sync {
    /// The run has its folder. `done` of `total` episodes were done before.
    fn started(&self, folder: &Path, total: usize, done: usize) {
        let _ = (folder, total, done);
    }
    /// An episode made its `decisions`th decision.
    fn decided(&self, episode: &str, decisions: u32) {
        let _ = (episode, decisions);
    }
    /// An episode ended.
    fn ended(&self, summary: &EpisodeSummary) {
        let _ = summary;
    }
    /// Something that the user should know.
    fn note(&self, text: &str) {
        let _ = text;
    }
}

/// An observer that ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopObserver;

impl RunObserver for NoopObserver {}

/// Runs the episodes of `spec`, or those that an earlier run of the same specification left over.
///
/// # Errors
/// A specification that cannot be run, or a run folder that cannot be written. Failed episodes, reached budgets and
/// interruptions are statuses.
pub async fn run(spec: RunSpec, observer: Arc<dyn RunObserver>) -> Result<RunOutcome> {
    let mut plan = Plan::new(&spec).await?;
    let found = find(&plan, &spec)?;
    if let Some((_, info)) = &found {
        plan.name_as(&info.config_hash);
    }
    let before = found.as_ref().map(|(_, info)| info.status);
    let folder = RunFolder::open(&plan.parent, found, plan.info(&spec), &spec.config)?;
    let store = Store::open(&folder.journal())?;
    let done = store.done().await?;
    let mut results = recover(&plan, &folder, done, spec.summariser.is_some())?;
    observer.started(folder.path(), spec.episodes.len(), results.len());
    let path = folder.path().display();
    match before {
        Some(RunStatus::Finished) if results.len() == spec.episodes.len() => {
            observer.note(&format!("{path} is finished, and these are its results; --fresh plays again"));
        }
        Some(_) => observer.note(&format!("continuing {path}")),
        None => {}
    }

    let spent = store.spent().await?;
    let episodes = std::mem::take(&mut plan.episodes);
    let pool = Arc::new(Pool::open(&spec, plan, (store, folder), spent, observer)?);
    let mut waiting = episodes.into_iter().enumerate().filter(|(index, _)| !results.contains_key(index));
    // Those that a dead plugin cost the others' answers; and those that may have killed it, which are played alone.
    let (mut again, mut suspects) = (VecDeque::new(), VecDeque::new());
    let mut running = JoinSet::new();
    let mut left: HashMap<usize, Finished> = HashMap::new();
    loop {
        while running.len() < spec.concurrency.max(1) && !pool.closed() {
            let next =
                again.pop_front().or_else(|| waiting.next().map(|(index, episode)| (index, episode, 0)));
            let alone = next.is_none() && running.is_empty();
            let Some((index, episode, losses)) =
                next.or_else(|| if alone { suspects.pop_front() } else { None })
            else {
                break;
            };
            let pool = pool.clone();
            let chances = if alone || spec.concurrency <= 1 { 0 } else { INNOCENT.saturating_sub(losses) };
            running.spawn(async move { (index, losses, pool.play(episode, chances).await) });
            if alone {
                break;
            }
        }
        let Some(finished) = running.join_next().await else { break };
        let (index, losses, result) = finished.context("an episode's task was lost")?;
        match result? {
            Played::Finished(finished) => drop(left.insert(index, *finished)),
            Played::Lost { episode, innocent: true } if losses + 1 < INNOCENT => {
                again.push_back((index, *episode, losses + 1));
            }
            Played::Lost { episode, .. } => suspects.push_back((index, *episode, losses)),
        }
    }
    let all_begun = waiting.next().is_none() && again.is_empty() && suspects.is_empty();
    drop(waiting);
    results.extend(left);

    let status = pool.status(all_begun, &results);
    let (usd, spent) = pool.close(status).await?;
    let mut outcome = RunOutcome {
        folder: pool.folder.path().to_owned(),
        status,
        usd,
        episodes: Vec::new(),
        trajectories: Vec::new(),
        spent,
    };
    for (_, finished) in results.into_iter().collect::<BTreeMap<_, _>>() {
        outcome.episodes.push(finished.summary);
        outcome.trajectories.extend(finished.trajectories);
    }
    Ok(outcome)
}

/// How often an episode is played again next to others because a plugin died that it was not calling.
const INNOCENT: u32 = 5;

/// The result of playing an episode.
enum Played {
    Finished(Box<Finished>),
    /// A plugin died, and with it what the episode needs; it is to be played again.
    Lost {
        episode: Box<EpisodeSpec>,
        /// Whether it was not calling the plugin when that died.
        innocent: bool,
    },
}

struct Finished {
    summary: EpisodeSummary,
    trajectories: Vec<Trajectory>,
    /// Why it is not done.
    error: Option<Error>,
}

/// The earlier run that `spec` continues, unless it begins a new one.
fn find(plan: &Plan, spec: &RunSpec) -> Result<Option<(PathBuf, RunInfo)>> {
    let found =
        folder::find(&plan.parent, spec.earlier, |hash| plan.is(hash), |path| plan.described(spec, path))?;
    match &spec.refused {
        Some(why) if found.is_none() => Err(Error::config(why)),
        _ => Ok(found),
    }
}

/// The ids of the episodes of a run of `spec`.
///
/// # Errors
/// A specification that cannot be run.
pub async fn episodes(spec: &RunSpec) -> Result<HashSet<String>> {
    let mut plan = Plan::new(spec).await?;
    if let Some((_, info)) = find(&plan, spec)? {
        plan.name_as(&info.config_hash);
    }
    Ok(plan.episodes.into_iter().map(|episode| episode.id).collect())
}

/// What the earlier run that `spec` continues has used, by role.
///
/// # Errors
/// A specification that cannot be run, or a journal that cannot be read.
pub async fn spent(spec: &RunSpec) -> Result<BTreeMap<String, Spent>> {
    match find(&Plan::new(spec).await?, spec)? {
        Some((path, _)) if folder::journal_path(&path).is_file() => {
            folder::no_links(&path)?;
            Store::open(&folder::journal_path(&path))?.spent().await
        }
        _ => Ok(BTreeMap::new()),
    }
}

/// The trajectories of the done episodes of the run in folder `run`, in the order of tasks.
///
/// # Errors
/// A journal that is missing or cannot be read, or an episode whose record is damaged.
pub async fn trajectories(run: &Path) -> Result<Vec<Trajectory>> {
    folder::no_links(run)?;
    let journal = folder::journal_path(run);
    if !journal.is_file() {
        return Err(Error::not_found(format!("{} is missing: nothing is left to write", journal.display())));
    }
    let mut all: Vec<Trajectory> = Vec::new();
    for (episode, closed) in Store::open(&journal)?.done().await? {
        let damaged = || format!("{}: episode {episode} is damaged", journal.display());
        let closed = closed.context(damaged())?;
        all.extend(serde_json::from_slice::<Vec<_>>(&closed.trajectories).context(damaged())?);
    }
    all.sort_by(|a, b| (a.task, a.seed, &a.episode, a.seat).cmp(&(b.task, b.seed, &b.episode, b.seat)));
    Ok(all)
}

/// Episodes that are done, from the journal. Lines of `episodes.jsonl` that a kill prevented are added; of those that
/// the journal lacks, the results are used unless their trajectories are needed. Where the two differ, one is damaged.
fn recover(
    plan: &Plan,
    folder: &RunFolder,
    mut done: HashMap<String, Result<Closed>>,
    collects: bool,
) -> Result<HashMap<usize, Finished>> {
    let mut listed: HashMap<_, _> = folder::read_episodes(folder.path())?
        .into_iter()
        .filter(|summary| summary.status == EpisodeStatus::Done)
        .map(|summary| (summary.episode.clone(), summary))
        .collect();
    let (mut results, mut missing) = (HashMap::new(), 0);
    for (index, episode) in plan.episodes.iter().enumerate() {
        let listed = listed.remove(&episode.id);
        let read = |closed: Closed| -> Result<Finished> {
            Ok(Finished {
                summary: serde_json::from_str(&closed.summary)?,
                trajectories: serde_json::from_slice(&closed.trajectories)?,
                error: None,
            })
        };
        let other = |found: &Finished| listed.as_ref().is_some_and(|listed| *listed != found.summary);
        match done.remove(&episode.id).map(|closed| closed.and_then(read)) {
            Some(Ok(found)) if !other(&found) => {
                if listed.is_none() {
                    folder.append(&found.summary)?;
                }
                results.insert(index, found);
            }
            Some(found) => tracing::warn!(
                "{}: the results of episode {} are damaged ({}); it is played again from its recorded answers",
                folder.journal().display(),
                episode.id,
                found.err().map_or("episodes.jsonl has others".into(), |error| error.to_string())
            ),
            None => {
                missing += usize::from(listed.is_some());
                if let Some(summary) = listed.filter(|_| !collects) {
                    results.insert(index, Finished { summary, trajectories: Vec::new(), error: None });
                }
            }
        }
    }
    if missing > 0 {
        tracing::warn!(
            "{} has no results of {missing} episodes that episodes.jsonl lists as done; was a file next to it lost? {}",
            folder.journal().display(),
            match collects {
                true => "They are played again, because their trajectories are lost",
                false => "Their results are used; they cannot be replayed",
            }
        );
    }
    Ok(results)
}

/// What the episodes of a run share.
struct Pool {
    store: Store,
    folder: RunFolder,
    accounts: Arc<Accounts>,
    observer: Arc<dyn RunObserver>,
    environment: Arc<dyn Environment>,
    resume: Resume,
    llms: Arc<BTreeMap<String, Llm>>,
    critics: Arc<BTreeMap<String, CriticHandle>>,
    summariser: Option<Arc<dyn Summariser>>,
    away: Option<Away>,
    cancel: Cancel,
}

/// How episodes are played elsewhere.
struct Away {
    engine: Arc<dyn Engine>,
    start: Start,
    limits: Limits,
    role_limits: BTreeMap<String, Limits>,
    planner: String,
    /// Whether a budget that all episodes share was reached there.
    reached: AtomicBool,
}

/// A start of a run whose episodes are played elsewhere. Until it is over, they may go on there, even if this process is
/// killed: the next one takes them over.
#[derive(Clone, Serialize, Deserialize)]
struct Start {
    name: String,
    /// What was used before, by role.
    before: BTreeMap<String, Spent>,
}

impl Away {
    fn open(spec: &RunSpec, folder: &RunFolder, before: &BTreeMap<String, Spent>) -> Result<Option<Self>> {
        let Some(engine) = spec.engine.clone() else { return Ok(None) };
        let path = start_path(folder);
        let start = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).context(format!("{} is malformed", path.display()))?,
            Err(_) => {
                let start = Start { name: Ulid::generate().to_string(), before: before.clone() };
                files::write_whole(&path, &serde_json::to_vec(&start)?)?;
                start
            }
        };
        let counted = |limits: &Limits| Limits { max_wall_s: None, ..*limits };
        Ok(Some(Self {
            engine,
            start,
            limits: counted(&spec.limits),
            role_limits: spec.role_limits.iter().map(|(name, own)| (name.clone(), counted(own))).collect(),
            planner: spec.seats[0].0.clone(),
            reached: AtomicBool::new(false),
        }))
    }

    fn assignment(&self, episode: &EpisodeSpec, recorded: &Recorded) -> Assignment {
        Assignment {
            start: self.start.name.clone(),
            episode: episode.id.clone(),
            reset: episode.reset,
            planner: self.planner.clone(),
            collect: episode.summariser.is_some(),
            limits: self.limits,
            role_limits: self.role_limits.clone(),
            episode_limits: episode.limits,
            before: self.start.before.clone(),
            nano_usd: recorded.nano_usd,
            answers: RecordedAnswer::all(recorded),
        }
    }
}

fn start_path(folder: &RunFolder) -> PathBuf {
    folder.path().join("start.json")
}

impl Pool {
    /// The pool of a run that has used `spent` so far.
    fn open(
        spec: &RunSpec,
        plan: Plan,
        (store, folder): (Store, RunFolder),
        mut spent: BTreeMap<String, Spent>,
        observer: Arc<dyn RunObserver>,
    ) -> Result<Self> {
        for (role, used) in &spec.elsewhere {
            let sum = spent.entry(role.clone()).or_default();
            *sum = *sum + *used;
        }
        let role = |(name, limits): (&String, &Limits)| {
            let used = spent.get(name).copied().unwrap_or_default();
            (name.clone(), Arc::new(Budget::new(format!("role {name}"), *limits, used)))
        };
        let total = spent.values().fold(Spent::default(), |sum, spent| sum + *spent);
        let accounts = Arc::new(Accounts {
            run: Arc::new(Budget::new("run", spec.limits, total)),
            roles: spec.role_limits.iter().map(role).collect(),
            episode_usd: spec.episode_limits.max_usd,
            prices: spec.prices.clone(),
        });
        spec.metering.begin(&accounts);
        let away = Away::open(spec, &folder, &spent)?;
        Ok(Self {
            accounts,
            store,
            folder,
            observer,
            environment: spec.environment.component.clone(),
            resume: match plan.environment.recovery {
                Recovery::Replay => Resume::Replay,
                Recovery::Restart | Recovery::Unknown => Resume::Restart,
            },
            llms: Arc::new(plan.llms),
            critics: Arc::new(plan.critics),
            summariser: plan.summariser,
            away,
            cancel: spec.cancel.clone(),
        })
    }

    /// Closes the journal and the folder. Returns what the run has cost, where all prices are known, and what it used.
    async fn close(&self, status: RunStatus) -> Result<(Option<f64>, BTreeMap<String, Spent>)> {
        let spent = self.store.spent().await?;
        let usd = spent.values().fold(Spent::default(), |sum, spent| sum + *spent).usd();
        let prices = &self.accounts.prices;
        let usd = (!prices.is_empty() && prices.values().all(Option::is_some)).then_some(usd);
        self.store.close().await;
        if !self.folder.journal().is_file() {
            tracing::warn!(
                "{} was removed while the run used it: its episodes cannot be replayed or exported",
                self.folder.journal().display()
            );
        }
        self.folder.close(status, usd)?;
        if self.away.is_some() {
            fs::remove_file(start_path(&self.folder))?;
        }
        Ok((usd, spent))
    }

    /// Whether no further episode may begin.
    fn closed(&self) -> bool {
        let reached = || self.away.as_ref().is_some_and(|away| away.reached.load(Ordering::Relaxed));
        self.cancel.is_cancelled()
            || self.accounts.reached()
            || reached()
            || self.accounts.run.check_time().is_err()
    }

    /// Plays an episode. If a plugin dies meanwhile and there are `chances` left, it is to be played again.
    async fn play(&self, episode: EpisodeSpec, chances: u32) -> Result<Played> {
        if let Some(away) = &self.away {
            return self.play_away(away, episode).await;
        }
        let world: Arc<dyn Environment> =
            match self.environment.spawn().await.context("the environment could not be copied") {
                Ok(world) => world,
                Err(error) => Arc::new(NoWorld(error)),
            };
        self.play_in(world, self.llms.clone(), episode, chances).await
    }

    /// Has an episode played elsewhere, and writes down what comes back.
    async fn play_away(&self, away: &Away, episode: EpisodeSpec) -> Result<Played> {
        let recorded = self.store.begin(episode.id.clone(), self.resume).await?;
        let assignment = away.assignment(&episode, &recorded);
        let Returned { summary, trajectories, events, error, reached, entries, charges } =
            away.engine.play(assignment, &self.cancel).await?;
        away.reached.fetch_or(reached, Ordering::Relaxed);
        self.store.receive(&recorded, entries, charges).await?;
        let result = EpisodeResult { summary, trajectories, events: events.into_bytes(), error };
        self.close_episode(result).await.map(|finished| Played::Finished(Box::new(finished)))
    }

    /// The same in this world, with these models.
    async fn play_in(
        &self,
        environment: Arc<dyn Environment>,
        llms: Arc<BTreeMap<String, Llm>>,
        mut episode: EpisodeSpec,
        chances: u32,
    ) -> Result<Played> {
        let again = episode.clone();
        let (id, observer) = (episode.id.clone(), self.observer.clone());
        let watched = id.clone();
        episode.progress = Some(Arc::new(move |decisions| observer.decided(&watched, decisions)));
        let deps =
            Deps { environment, llms, critics: self.critics.clone(), summariser: self.summariser.clone() };
        let recorded = self.store.begin(id.clone(), self.resume).await?;
        let durable = JournaledEffects::new(
            deps,
            self.store.episode(&recorded),
            recorded,
            self.accounts.clone(),
            self.cancel.clone(),
        );
        let result = run_episode(Arc::new(durable), episode).await?;
        if let Some(error) = result.error.as_ref().filter(|error| error.code == Code::Shutdown && chances > 0)
        {
            tracing::warn!(episode = id, "played again, because a plugin died: {error}");
            return Ok(Played::Lost { episode: Box::new(again), innocent: error.refused });
        }
        self.close_episode(result).await.map(|finished| Played::Finished(Box::new(finished)))
    }

    /// Writes down how an episode ended.
    async fn close_episode(&self, result: EpisodeResult) -> Result<Finished> {
        let EpisodeResult { summary, trajectories, events, error } = result;
        self.observer.ended(&summary);
        if summary.status != EpisodeStatus::Interrupted {
            let id = summary.episode.clone();
            // In this order: what is done in the journal has its log, and a missing line is added later.
            events::write(&self.folder.events(&id), &events)?;
            let closed = Closed {
                summary: serde_json::to_string(&summary)?,
                trajectories: serde_json::to_vec(&trajectories)?,
            };
            self.store.finish(id, journal_status(summary.status), closed).await?;
            self.folder.append(&summary)?;
        }
        Ok(Finished { summary, trajectories, error })
    }

    fn status(&self, all_begun: bool, results: &HashMap<usize, Finished>) -> RunStatus {
        let any = |status| results.values().any(|finished| finished.summary.status == status);
        if any(EpisodeStatus::Interrupted) || (!all_begun && self.cancel.is_cancelled()) {
            RunStatus::Interrupted
        } else if any(EpisodeStatus::Budget) || !all_begun {
            RunStatus::Budget
        } else if any(EpisodeStatus::Failed) {
            RunStatus::Failed
        } else {
            RunStatus::Finished
        }
    }
}

/// The world of an episode whose own could not be made.
struct NoWorld(Error);

#[async_trait]
impl Environment for NoWorld {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Err(self.0.clone())
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Err(self.0.clone())
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        Err(self.0.clone())
    }
    async fn step(&self, _: Action) -> Result<Transition> {
        Err(self.0.clone())
    }
}

fn journal_status(status: EpisodeStatus) -> &'static str {
    match status {
        EpisodeStatus::Done => "done",
        EpisodeStatus::Failed => "failed",
        EpisodeStatus::Budget => "budget",
        EpisodeStatus::Interrupted => "running",
    }
}
