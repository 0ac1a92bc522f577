//! A run: many episodes at once on a bounded pool, kept in a folder, taken up again where it was left.

pub mod episode;
pub mod events;
pub mod folder;
pub mod models;
pub mod replay;
pub mod summary;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forethought_api::{
    Error, Result,
    critic::Critic,
    environment::{Environment, EnvironmentSpec, Recovery, Reset},
    error::Context,
    llm::{LlmBackend, LlmCapabilities},
    planner::{Planner, Requirements, Summariser},
    trajectory::Trajectory,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::budget::prices::Price;
use crate::budget::{Budget, Limits, Spent};
use crate::cancel::Cancel;
use crate::clock;
use crate::journal::durable::{Accounts, Journaled};
use crate::journal::effects::{CriticHandle, Deps, Llm};
use crate::journal::store::{Closed, Resume, Store};
use crate::run::episode::{EpisodeResult, EpisodeSpec, Seat, run_episode};
use crate::run::folder::{Earlier, RunFolder, RunInfo, RunStatus};
use crate::run::summary::{EpisodeIdentity, EpisodeStatus, EpisodeSummary, episode_id};

/// A component and the configuration that it was built from.
pub struct Configured<T: ?Sized> {
    /// The configuration; part of episode ids. Whatever changes the component's answers belongs in it.
    pub config: Value,
    /// The component.
    pub component: Arc<T>,
}

impl<T: ?Sized> Configured<T> {
    /// A component with its configuration.
    pub fn new(config: Value, component: Arc<T>) -> Self {
        Self { config, component }
    }
}

// Not derived: that would ask `T` itself to be `Clone`.
impl<T: ?Sized> Clone for Configured<T> {
    fn clone(&self) -> Self {
        Self { config: self.config.clone(), component: self.component.clone() }
    }
}

/// What to run.
#[derive(Clone)]
pub struct RunSpec {
    /// The folder of all runs.
    pub root: PathBuf,
    /// The resolved configuration as TOML; written into the run.
    pub config: String,
    /// The world.
    pub environment: Configured<dyn Environment>,
    /// Who acts, seat by seat: name and planner.
    pub seats: Vec<(String, Configured<dyn Planner>)>,
    /// Who of `seats` sits where, episode by episode; empty where everybody keeps the seat.
    pub tables: Vec<Vec<usize>>,
    /// The seat whose planner is reported, and names the folder.
    pub subject: usize,
    /// Given when trajectories are wanted.
    pub summariser: Option<Configured<dyn Summariser>>,
    /// Language models by role or configured name; those that nobody requires are left alone.
    pub llms: BTreeMap<String, Configured<dyn LlmBackend>>,
    /// The price of every `[llm.<name>]` at work; `None` where it is not known. Money is counted by the layers around a
    /// model ([`CallConfig::around`](crate::layers::CallConfig::around)), which know it by this name.
    pub prices: BTreeMap<String, Option<Price>>,
    /// Critics by configured name; those that nobody requires are left alone.
    pub critics: BTreeMap<String, Configured<dyn Critic>>,
    /// The episodes, each once.
    pub episodes: Vec<Reset>,
    /// Episodes under way at once, at most.
    pub concurrency: usize,
    /// The most that the run may use.
    pub limits: Limits,
    /// The most that each episode may use.
    pub episode_limits: Limits,
    /// The most that the calls of each role may use, in all episodes together.
    pub role_limits: BTreeMap<String, Limits>,
    /// What to do about an earlier run of the same specification.
    pub earlier: Earlier,
    /// Raised to interrupt the run.
    pub cancel: Cancel,
}

/// What came of a run.
#[derive(Debug)]
pub struct RunOutcome {
    /// The run's folder.
    pub folder: PathBuf,
    /// How far it got.
    pub status: RunStatus,
    /// What it has cost so far in US dollars, where the price of every model at work is known.
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

/// An observer that looks away.
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
    let pool = Arc::new(Pool {
        accounts: Arc::new(Accounts {
            run: Arc::new(Budget::new("run", spec.limits, total)),
            roles: spec.role_limits.into_iter().map(role).collect(),
            prices: Arc::new(spec.prices),
        }),
        max_usd: spec.episode_limits.max_usd,
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
    let mut running = JoinSet::new();
    let mut left: HashMap<usize, Finished> = HashMap::new();
    loop {
        while running.len() < spec.concurrency.max(1) && !pool.closed() {
            let Some((index, episode)) = waiting.next() else { break };
            let pool = pool.clone();
            running.spawn(async move { (index, pool.play(episode).await) });
        }
        let Some(finished) = running.join_next().await else { break };
        let (index, result) = finished.context("an episode's task was lost")?;
        left.insert(index, result?);
    }
    let all_begun = waiting.next().is_none();
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

impl RunSpec {
    /// Who sits where in an episode.
    fn table(&self, episode: usize) -> Vec<&(String, Configured<dyn Planner>)> {
        match self.tables.get(episode) {
            Some(table) => table.iter().map(|planner| &self.seats[*planner]).collect(),
            None => self.seats.iter().collect(),
        }
    }

    /// Whether there is somebody for each of `seats` seats in every episode.
    fn seated(&self, seats: usize) -> bool {
        let fits =
            |table: &Vec<usize>| table.len() == seats && table.iter().all(|one| *one < self.seats.len());
        let tables = self.tables.len() == self.episodes.len() && self.tables.iter().all(fits);
        self.subject < seats && if self.tables.is_empty() { self.seats.len() == seats } else { tables }
    }
}

struct Finished {
    summary: EpisodeSummary,
    trajectories: Vec<Trajectory>,
}

/// A specification that was looked through: what its parts say of themselves, and the episodes' identities.
pub(crate) struct Plan {
    pub(crate) environment: EnvironmentSpec,
    planner: String,
    parent: PathBuf,
    config_hash: String,
    pub(crate) llms: BTreeMap<String, Llm>,
    pub(crate) critics: BTreeMap<String, CriticHandle>,
    pub(crate) episodes: Vec<EpisodeSpec>,
}

impl Plan {
    pub(crate) async fn new(spec: &RunSpec) -> Result<Self> {
        let environment = spec.environment.component.spec().await?;
        if !spec.seated(environment.seats.len()) {
            return Err(Error::config(format!(
                "environment `{}` has {} seats ({}); {} planners were given",
                environment.name,
                environment.seats.len(),
                environment.seats.iter().map(|seat| seat.name.as_str()).collect::<Vec<_>>().join(", "),
                spec.seats.len()
            )));
        }
        check_prices(spec)?;
        let mut needs = requirements(spec, &environment).await?;
        let mut models = BTreeMap::new();
        let mut critics = BTreeMap::new();
        // Critics may ask further models, further critics among them.
        while let Some(name) = needs.critics.iter().find(|name| !critics.contains_key(*name)).cloned() {
            let Some(value) = spec.critics.get(&name) else { return Err(missing("critic", &name)) };
            let own = value.component.requires().await.context(format!("[critic.{name}]"))?;
            models.insert(format!("value.{name}"), value.config.clone());
            check_llms(spec, &format!("[critic.{name}]"), &own).await?;
            let asks_models = own != Requirements::default();
            critics.insert(name, CriticHandle { estimator: value.component.clone(), asks_models });
            needs = needs.and(own);
        }
        let mut llms = BTreeMap::new();
        for name in needs.llms {
            let llm = &spec.llms[&name];
            let capabilities = llm.component.capabilities().await.context(format!("[llm.{name}]"))?;
            models.insert(format!("llm.{name}"), json!([&llm.config, identity(&capabilities)?]));
            llms.insert(name, Llm { backend: llm.component.clone(), capabilities });
        }
        let episodes = episodes(spec, &environment, &models)?;
        let planner = spec.seats[spec.subject].0.clone();
        let parent = spec.root.join(format!("{}--{}", plain(&environment.name), plain(&planner)));
        let config_hash = config_hash(&spec.config, &episodes)?;
        Ok(Self { environment, planner, parent, config_hash, llms, critics, episodes })
    }

    fn info(&self, spec: &RunSpec) -> RunInfo {
        RunInfo {
            schema: folder::SCHEMA,
            program: env!("CARGO_PKG_VERSION").into(),
            environment: self.environment.name.clone(),
            planner: self.planner.clone(),
            config_hash: self.config_hash.clone(),
            episodes: spec.episodes.len() as u64,
            status: RunStatus::Running,
            usd: None,
            started: clock::timestamp(),
            finished: None,
        }
    }
}

async fn requirements(spec: &RunSpec, environment: &EnvironmentSpec) -> Result<Requirements> {
    let mut needs = Requirements::default();
    for (name, planner) in &spec.seats {
        let own = planner.component.requires().await.context(format!("[planner.{name}]"))?;
        if own.fork && !environment.fork {
            return Err(Error::config(format!(
                "[planner.{name}] searches over copies of the environment, but `{}` cannot be copied; choose another \
                 planner",
                environment.name
            )));
        }
        check_llms(spec, &format!("[planner.{name}]"), &own).await?;
        needs = needs.and(own);
    }
    if let Some(summariser) = &spec.summariser {
        let own = summariser.component.requires().await.context("the summariser")?;
        check_llms(spec, "the summariser", &own).await?;
        needs = needs.and(own);
    }
    Ok(needs)
}

/// Checks that the models that `who` needs are there and can do what it needs.
async fn check_llms(spec: &RunSpec, who: &str, needs: &Requirements) -> Result<()> {
    for name in &needs.llms {
        let Some(llm) = spec.llms.get(name) else { return Err(missing("llm", name)) };
        let capabilities = llm.component.capabilities().await.context(format!("[llm.{name}]"))?;
        if let Some(lack) = lacking(needs, &capabilities) {
            let model = capabilities.model;
            return Err(Error::config(format!("{who} needs {lack}, and `{name}` ({model}) has none")));
        }
    }
    Ok(())
}

/// What a component needs of its models and a model has not.
pub(crate) fn lacking(needs: &Requirements, model: &LlmCapabilities) -> Option<&'static str> {
    let of = |needed: bool, has: bool, what| (needed && !has).then_some(what);
    of(needs.logprobs, model.logprobs, "log-probabilities")
        .or(of(needs.tools, model.tools, "tool calls"))
        .or(of(needs.json_schema, model.json_schema, "answers held to a JSON schema"))
}

/// What a model says of itself, as part of an episode's identity: what it costs decides no answer.
pub(crate) fn identity(model: &LlmCapabilities) -> Result<Value> {
    let mut says = serde_json::to_value(model)?;
    if let Value::Object(says) = &mut says {
        says.remove("free");
    }
    Ok(says)
}

/// Money has a limit only where all prices are known.
fn check_prices(spec: &RunSpec) -> Result<()> {
    let mut limits = spec.role_limits.values().chain([&spec.limits, &spec.episode_limits]);
    if !limits.any(|limits| limits.max_usd.is_some()) {
        return Ok(());
    }
    let mut unknown = spec.prices.iter().filter(|(_, price)| price.is_none()).map(|(name, _)| name.as_str());
    match unknown.next().or_else(|| spec.llms.keys().next().filter(|_| spec.prices.is_empty()).map(|n| &**n))
    {
        Some(name) => {
            Err(Error::config(format!("max_usd is set, and the price of [llm.{name}] is not known")))
        }
        None => Ok(()),
    }
}

fn missing(table: &str, name: &str) -> Error {
    Error::config(format!("a planner or critic needs [{table}.{name}], which is not configured"))
}

fn episodes(
    spec: &RunSpec,
    environment: &EnvironmentSpec,
    models: &BTreeMap<String, Value>,
) -> Result<Vec<EpisodeSpec>> {
    let mut ids = HashSet::new();
    let mut episodes = Vec::with_capacity(spec.episodes.len());
    for (index, reset) in spec.episodes.iter().enumerate() {
        let table = spec.table(index);
        let seat = |(name, planner): &(String, Configured<dyn Planner>)| Seat {
            name: name.clone(),
            planner: planner.component.clone(),
        };
        if environment.tasks.is_some_and(|tasks| reset.task >= tasks) {
            return Err(Error::config(format!(
                "task {} does not exist: environment `{}` has {} tasks, counted from 0",
                reset.task,
                environment.name,
                environment.tasks.unwrap_or_default()
            )));
        }
        let id = episode_id(&EpisodeIdentity {
            environment: &environment.name,
            version: &environment.version,
            environment_config: &spec.environment.config,
            reset: *reset,
            planners: table.iter().map(|(_, planner)| &planner.config).collect(),
            models,
            summariser: spec.summariser.as_ref().map(|summariser| &summariser.config),
        })?;
        if !ids.insert(id.clone()) {
            return Err(Error::config(format!(
                "episode (task {}, seed {}) is asked for twice",
                reset.task, reset.seed
            )));
        }
        episodes.push(EpisodeSpec {
            id,
            environment: environment.clone(),
            reset: *reset,
            seats: table.into_iter().map(seat).collect(),
            subject: spec.subject,
            summariser: spec.summariser.as_ref().map(|summariser| summariser.component.clone()),
            limits: spec.episode_limits,
            progress: None,
        });
    }
    Ok(episodes)
}

/// Keys under `[run]` and `[roles.<name>]` that say how far and how fast to go, not what to do: they may change between
/// two starts.
const PACE: [&str; 6] = ["concurrency", "per_episode", "max_calls", "max_tokens", "max_usd", "max_wall_s"];

fn config_hash(config: &str, episodes: &[EpisodeSpec]) -> Result<String> {
    let mut config: toml::Table = toml::from_str(config).map_err(|error| {
        Error::config(error.to_string()).context("the resolved configuration is not TOML")
    })?;
    // Nor does it matter where components come from, and what they cost.
    config.remove("plugins");
    config.remove("prices");
    let without_pace = |section: &mut toml::Value| {
        if let Some(table) = section.as_table_mut() {
            table.retain(|key, _| !PACE.contains(&key));
        }
    };
    config.get_mut("run").into_iter().for_each(without_pace);
    let roles = config.get_mut("roles").and_then(toml::Value::as_table_mut);
    roles.into_iter().flatten().for_each(|(_, role)| without_pace(role));
    let mut hasher = blake3::Hasher::new();
    hasher.update(toml::to_string(&config)?.as_bytes());
    episodes.iter().for_each(|episode| {
        hasher.update(episode.id.as_bytes());
    });
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

/// A name as part of a path.
fn plain(name: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    name.trim_start_matches('.').to_owned()
}

/// Episodes that are done, out of the journal. Their lines in `episodes.jsonl` are added where a kill came between.
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
    /// The most that an episode may cost.
    max_usd: Option<f64>,
    observer: Arc<dyn RunObserver>,
    environment: Arc<dyn Environment>,
    resume: Resume,
    llms: Arc<BTreeMap<String, Llm>>,
    critics: Arc<BTreeMap<String, CriticHandle>>,
    cancel: Cancel,
}

impl Pool {
    /// Whether no further episode is to be begun.
    fn closed(&self) -> bool {
        self.cancel.is_cancelled() || self.accounts.reached() || self.accounts.run.check_time().is_err()
    }

    async fn play(&self, mut episode: EpisodeSpec) -> Result<Finished> {
        let (id, observer) = (episode.id.clone(), self.observer.clone());
        let watched = id.clone();
        episode.progress = Some(Arc::new(move |decisions| observer.decided(&watched, decisions)));
        let deps = Deps {
            environment: self.environment.spawn().await.context("the environment could not be copied")?,
            llms: self.llms.clone(),
            critics: self.critics.clone(),
        };
        let recorded = self.store.begin(id.clone(), self.resume).await?;
        let durable = Journaled::new(
            deps,
            self.store.clone(),
            recorded,
            self.accounts.clone(),
            self.max_usd,
            self.cancel.clone(),
        );
        let EpisodeResult { summary, trajectories, events } = run_episode(Arc::new(durable), episode).await?;
        self.observer.ended(&summary);
        if summary.status != EpisodeStatus::Interrupted {
            // In this order: whatever is done in the journal has its log, and its line is added if it lacks one.
            events::write(&self.folder.events(&id), &events)?;
            let closed = Closed {
                summary: serde_json::to_string(&summary)?,
                trajectories: serde_json::to_vec(&trajectories)?,
            };
            self.store.finish(id, journal_status(summary.status), closed).await?;
            self.folder.append(&summary)?;
        }
        Ok(Finished { summary, trajectories })
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

fn journal_status(status: EpisodeStatus) -> &'static str {
    match status {
        EpisodeStatus::Done => "done",
        EpisodeStatus::Failed => "failed",
        EpisodeStatus::Budget => "budget",
        EpisodeStatus::Interrupted => "running",
    }
}
