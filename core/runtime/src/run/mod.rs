//! A run: many episodes at once on a bounded pool, kept in a folder, continued where it stopped.

pub mod episode;
pub mod events;
pub mod folder;
pub mod models;
pub(crate) mod needs;
pub(crate) mod plan;
pub mod replay;
pub mod summary;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    environment::{Action, Environment, EnvironmentSpec, Recovery, Reset, Transition, Turn},
    error::{Code, Context},
    trajectory::Trajectory,
};
use tokio::task::JoinSet;

use crate::budget::{Budget, Limits, Spent};
use crate::cancel::Cancel;
use crate::journal::durable::JournaledEffects;
use crate::journal::effects::{CriticHandle, Deps, Llm};
use crate::journal::meter::Accounts;
use crate::journal::store::{Closed, Resume, Store};
use crate::run::episode::{EpisodeResult, EpisodeSpec, run_episode};
use crate::run::folder::{RunFolder, RunStatus};
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
    let plan = Plan::new(&spec).await?;
    let (folder, continued) = RunFolder::open(&plan.parent, plan.info(&spec), &spec.config, spec.earlier)?;
    let store = Store::open(&folder.journal())?;
    let done = store.done().await?;
    let mut results = recover(&plan, &folder, done)?;
    observer.started(folder.path(), spec.episodes.len(), results.len());
    if continued {
        observer.note(&format!("continuing {}", folder.path().display()));
    }

    let spent = store.spent().await?;
    let priced = !spec.prices.is_empty() && spec.prices.values().all(Option::is_some);
    let role = |(name, limits): (String, Limits)| {
        let used = spent.get(&name).copied().unwrap_or_default();
        (name.clone(), Arc::new(Budget::new(format!("role {name}"), limits, used)))
    };
    let total = spent.values().fold(Spent::default(), |sum, spent| sum + *spent);
    let accounts = Arc::new(Accounts {
        run: Arc::new(Budget::new("run", spec.limits, total)),
        roles: spec.role_limits.into_iter().map(role).collect(),
        episode_usd: spec.episode_limits.max_usd,
        prices: spec.prices,
    });
    spec.metering.begin(&accounts);
    let pool = Arc::new(Pool {
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
        cancel: spec.cancel,
    });
    let mut waiting = plan.episodes.into_iter().enumerate().filter(|(index, _)| !results.contains_key(index));
    // Those that a dead plugin cost the others' answers; and those that may have killed it, which are played alone.
    let (mut again, mut suspects) = (VecDeque::new(), VecDeque::new());
    let mut running = JoinSet::new();
    let mut left: HashMap<usize, Finished> = HashMap::new();
    loop {
        while running.len() < spec.concurrency.max(1) && !pool.closed() {
            let next =
                again.pop_front().or_else(|| waiting.next().map(|(index, episode)| (index, episode, 0)));
            let alone = next.is_none() && running.is_empty();
            let Some((index, episode, losses)) = next.or_else(|| suspects.pop_front().filter(|_| alone))
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
    let usd = priced.then(|| pool.accounts.run.used().usd());
    pool.folder.close(status, usd)?;
    let mut outcome = RunOutcome {
        folder: pool.folder.path().to_owned(),
        status,
        usd,
        episodes: Vec::new(),
        trajectories: Vec::new(),
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
}

/// Episodes that are done, from the journal. Lines of `episodes.jsonl` that a kill prevented are added.
fn recover(
    plan: &Plan,
    folder: &RunFolder,
    mut done: HashMap<String, Closed>,
) -> Result<HashMap<usize, Finished>> {
    let listed: HashSet<_> = folder::read_episodes(folder.path())?
        .into_iter()
        .filter(|summary| summary.status == EpisodeStatus::Done)
        .map(|summary| summary.episode)
        .collect();
    let mut results = HashMap::new();
    for (index, episode) in plan.episodes.iter().enumerate() {
        let Some(closed) = done.remove(&episode.id) else { continue };
        let damaged = || format!("{}: episode {} is damaged", folder.journal().display(), episode.id);
        let summary: EpisodeSummary = serde_json::from_str(&closed.summary).context(damaged())?;
        let trajectories = serde_json::from_slice(&closed.trajectories).context(damaged())?;
        if !listed.contains(&episode.id) {
            folder.append(&summary)?;
        }
        results.insert(index, Finished { summary, trajectories });
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
    cancel: Cancel,
}

impl Pool {
    /// Whether no further episode may begin.
    fn closed(&self) -> bool {
        self.cancel.is_cancelled() || self.accounts.reached() || self.accounts.run.check_time().is_err()
    }

    /// Plays an episode. If a plugin dies meanwhile and there are `chances` left, it is to be played again.
    async fn play(&self, mut episode: EpisodeSpec, chances: u32) -> Result<Played> {
        let again = episode.clone();
        let (id, observer) = (episode.id.clone(), self.observer.clone());
        let watched = id.clone();
        episode.progress = Some(Arc::new(move |decisions| observer.decided(&watched, decisions)));
        let deps = Deps {
            environment: match self.environment.spawn().await.context("the environment could not be copied") {
                Ok(world) => world,
                Err(error) => Arc::new(NoWorld(error)),
            },
            llms: self.llms.clone(),
            critics: self.critics.clone(),
        };
        let recorded = self.store.begin(id.clone(), self.resume).await?;
        let durable = JournaledEffects::new(
            deps,
            self.store.clone(),
            recorded,
            self.accounts.clone(),
            self.cancel.clone(),
        );
        let EpisodeResult { summary, trajectories, events, error } =
            run_episode(Arc::new(durable), episode).await?;
        if let Some(error) = error.filter(|error| error.code == Code::Shutdown && chances > 0) {
            tracing::warn!(episode = id, "played again, because a plugin died: {error}");
            return Ok(Played::Lost { episode: Box::new(again), innocent: error.refused });
        }
        self.observer.ended(&summary);
        if summary.status != EpisodeStatus::Interrupted {
            // In this order: what is done in the journal has its log, and a missing line is added later.
            events::write(&self.folder.events(&id), &events)?;
            let closed = Closed {
                summary: serde_json::to_string(&summary)?,
                trajectories: serde_json::to_vec(&trajectories)?,
            };
            self.store.finish(id, journal_status(summary.status), closed).await?;
            self.folder.append(&summary)?;
        }
        Ok(Played::Finished(Box::new(Finished { summary, trajectories })))
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
