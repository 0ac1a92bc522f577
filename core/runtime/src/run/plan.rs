//! What to run, checked; and the identities of the run and its episodes.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forethought_api::{
    Error, Result,
    critic::Critic,
    environment::{Environment, EnvironmentSpec, Reset},
    error::Context,
    llm::{LlmBackend, LlmCapabilities},
    planner::{Planner, Requirements, Summariser},
    text::unmarked,
};
use serde_json::{Value, json};

use crate::budget::{Limits, PerDecision, Spent, prices::Price};
use crate::cancel::Cancel;
use crate::clock;
use crate::former;
use crate::journal::effects::{CriticHandle, Llm};
use crate::journal::meter::Metering;
use crate::journal::store;
use crate::run::elsewhere::Engine;
use crate::run::episode::{EpisodeSpec, Seat};
use crate::run::folder::{self, Earlier, RunInfo, RunStatus};
use crate::run::needs::{self, Lookup};
use crate::run::summary::{EpisodeIdentity, episode_id, identity_word};

/// A component and the configuration that it was built from.
pub struct Configured<T: ?Sized> {
    /// The configuration; part of episode ids. Everything that changes the component's answers belongs in it.
    pub config: Value,
    /// What [`config`](Self::config) was in release 0.1.0, if that was something else: its runs continue.
    pub before: Option<Value>,
    /// The component.
    pub component: Arc<T>,
}

impl<T: ?Sized> Configured<T> {
    /// A component with its configuration.
    pub fn new(config: Value, component: Arc<T>) -> Self {
        Self { config, before: None, component }
    }

    fn identity(&self, before: bool) -> &Value {
        self.before.as_ref().filter(|_| before).unwrap_or(&self.config)
    }
}

// Not derived: that would ask `T` itself to be `Clone`.
impl<T: ?Sized> Clone for Configured<T> {
    fn clone(&self) -> Self {
        Self { config: self.config.clone(), before: self.before.clone(), component: self.component.clone() }
    }
}

/// What to run.
#[derive(Clone)]
pub struct RunSpec {
    /// The folder of all runs.
    pub root: PathBuf,
    /// The resolved configuration as TOML; written into the run.
    pub config: String,
    /// The keys of `config` whose values are paths. They say where something is, not what it is.
    pub paths: Vec<Vec<String>>,
    /// The world.
    pub environment: Configured<dyn Environment>,
    /// Who acts, seat by seat: name and planner.
    pub seats: Vec<(String, Configured<dyn Planner>)>,
    /// Who of `seats` sits where, episode by episode; empty where everybody keeps the seat.
    pub seatings: Vec<Vec<usize>>,
    /// The seat whose planner is reported, and names the folder.
    pub subject: usize,
    /// Set to collect trajectories.
    pub summariser: Option<Configured<dyn Summariser>>,
    /// The summariser that planners may ask, where none collects.
    pub asked_summariser: Option<Configured<dyn Summariser>>,
    /// Language models by role or configured name; unused ones are ignored.
    pub llms: BTreeMap<String, Configured<dyn LlmBackend>>,
    /// The price of every `[llm.<name>]` in use; `None` where it is not known. Money is counted by the layers around a
    /// model ([`CallConfig::around`](crate::layers::CallConfig::around)), which know it by this name.
    pub prices: BTreeMap<String, Option<Price>>,
    /// The same that the layers around the models have, so that no paid call of this run goes uncounted.
    pub metering: Metering,
    /// Critics by configured name; unused ones are ignored.
    pub critics: BTreeMap<String, Configured<dyn Critic>>,
    /// The episodes, each once.
    pub episodes: Vec<Reset>,
    /// Episodes in flight at once, at most.
    pub concurrency: usize,
    /// The most that the run may use.
    pub limits: Limits,
    /// The most that each episode may use.
    pub episode_limits: Limits,
    /// The most that each decision may use; part of the episodes' identity.
    pub per_decision: PerDecision,
    /// The most that the calls of each role may use, in all episodes together.
    pub role_limits: BTreeMap<String, Limits>,
    /// What the other runs of the same command have used, by role; it counts against `limits` and `role_limits`.
    pub elsewhere: BTreeMap<String, Spent>,
    /// What to do about an earlier run of the same specification.
    pub earlier: Earlier,
    /// Why no run may begin with this, if so: an earlier one continues.
    pub refused: Option<String>,
    /// Plays the episodes; by default, this process does.
    pub engine: Option<Arc<dyn Engine>>,
    /// Raised to interrupt the run.
    pub cancel: Cancel,
}

impl RunSpec {
    /// A run of no episodes, with no models and no limits, which continues no other.
    pub fn new(
        root: PathBuf,
        environment: Configured<dyn Environment>,
        seats: Vec<(String, Configured<dyn Planner>)>,
    ) -> Self {
        Self {
            root,
            config: String::new(),
            paths: Vec::new(),
            environment,
            seats,
            seatings: Vec::new(),
            subject: 0,
            summariser: None,
            asked_summariser: None,
            llms: BTreeMap::new(),
            prices: BTreeMap::new(),
            metering: Metering::default(),
            critics: BTreeMap::new(),
            episodes: Vec::new(),
            concurrency: 1,
            limits: Limits::default(),
            episode_limits: Limits::default(),
            per_decision: PerDecision::default(),
            role_limits: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            earlier: Earlier::Ignore,
            refused: None,
            engine: None,
            cancel: Cancel::new(),
        }
    }

    fn missing(&self, asker: &[String], table: &str, name: &str) -> Error {
        self.error(asker, format!("needs [{table}.{name}], which is not configured"))
    }

    /// Who sits where in an episode.
    fn seating(&self, episode: usize) -> Vec<&(String, Configured<dyn Planner>)> {
        match self.seatings.get(episode) {
            Some(seating) => seating.iter().map(|planner| &self.seats[*planner]).collect(),
            None => self.seats.iter().collect(),
        }
    }

    /// Whether each of `seats` seats has a planner in every episode.
    fn seated(&self, seats: usize) -> bool {
        let fits = |seating: &Vec<usize>| {
            seating.len() == seats && seating.iter().all(|one| *one < self.seats.len())
        };
        let seatings = self.seatings.len() == self.episodes.len() && self.seatings.iter().all(fits);
        self.subject < seats && if self.seatings.is_empty() { self.seats.len() == seats } else { seatings }
    }
}

impl Lookup for RunSpec {
    async fn models(&self, asker: &[String], name: &str) -> Result<Vec<(String, LlmCapabilities)>> {
        let llm = self.llms.get(name).ok_or_else(|| self.missing(asker, "llm", name))?;
        Ok(vec![(name.into(), llm.component.capabilities().await.context(format!("[llm.{name}]"))?)])
    }
    async fn critic(&self, asker: &[String], name: &str) -> Result<Arc<dyn Critic>> {
        let critic = self.critics.get(name).ok_or_else(|| self.missing(asker, "critic", name))?;
        Ok(critic.component.clone())
    }
    /// The models of a role answer as one here.
    fn is_role(&self, _: &str) -> bool {
        false
    }
    fn summarises(&self) -> bool {
        self.summariser.is_some() || self.asked_summariser.is_some()
    }
    fn limits_money(&self) -> bool {
        let own = [&self.limits, &self.episode_limits, &self.per_decision.limits];
        let mut limits = self.role_limits.values().chain(own);
        limits.any(|limits| limits.max_usd.is_some())
    }
    async fn prices(&self, names: &[String]) -> Result<BTreeMap<String, Option<Price>>> {
        match self.prices.is_empty() {
            true => Ok(names.iter().map(|name| (name.clone(), None)).collect()),
            false => Ok(self.prices.clone()),
        }
    }
    fn error(&self, asker: &[String], message: String) -> Error {
        Error::config(format!("[{}] {message}", asker.join(".")))
    }
    async fn unknown_price(&self, llm: &str) -> Error {
        Error::config(format!("max_usd is set, and the price of [llm.{llm}] is not known"))
    }
}

/// A checked specification: what its parts say about themselves, and the episodes' identities.
pub(crate) struct Plan {
    pub(crate) environment: EnvironmentSpec,
    planner: String,
    pub(crate) parent: PathBuf,
    config_hash: String,
    /// The hash and the episodes' ids by the rules of release 0.1.0.
    before: (String, Vec<String>),
    pub(crate) llms: BTreeMap<String, Llm>,
    pub(crate) critics: BTreeMap<String, CriticHandle>,
    /// The summariser, if a planner asks for it.
    pub(crate) summariser: Option<Arc<dyn Summariser>>,
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
        let mut askers = Vec::new();
        for (name, planner) in &spec.seats {
            let own = planner.component.requires().await.context(format!("[planner.{name}]"))?;
            askers.push((vec!["planner".into(), name.clone()], own));
        }
        if let Some(summariser) = &spec.summariser {
            let own = summariser.component.requires().await.context("the summariser")?;
            askers.push((vec!["summariser".into()], own));
        }
        let mut needs = needs::check(spec, &environment, askers.clone()).await?;
        let (mut models, mut models_before) = (BTreeMap::new(), BTreeMap::new());
        let asked = spec.summariser.as_ref().or(spec.asked_summariser.as_ref());
        let asked = asked.filter(|_| needs.all.summariser);
        if let Some(summariser) = asked {
            if spec.summariser.is_none() {
                let own = summariser.component.requires().await.context("the summariser")?;
                askers.push((vec!["summariser".into()], own));
                needs = needs::check(spec, &environment, askers).await?;
            }
            models.insert("summariser".to_owned(), summariser.identity(false).clone());
            models_before.insert("summariser".to_owned(), summariser.identity(true).clone());
        }
        let mut critics = BTreeMap::new();
        for (name, (estimator, own)) in needs.critics {
            let (word, critic) = (format!("{}.{name}", identity_word("critic")), &spec.critics[&name]);
            models.insert(word.clone(), critic.identity(false).clone());
            models_before.insert(word, critic.identity(true).clone());
            let style = estimator.style_card().await.context(format!("[critic.{name}]"))?;
            critics
                .insert(name, CriticHandle { estimator, asks_models: own != Requirements::default(), style });
        }
        let mut llms = BTreeMap::new();
        for name in needs.all.llms {
            let llm = &spec.llms[&name];
            let capabilities = llm.component.capabilities().await.context(format!("[llm.{name}]"))?;
            let says = identity(&capabilities)?;
            models.insert(format!("llm.{name}"), json!([llm.identity(false), &says]));
            models_before.insert(format!("llm.{name}"), json!([llm.identity(true), says]));
            llms.insert(name, Llm { backend: llm.component.clone(), capabilities });
        }
        let episodes = episodes(spec, &environment, &models)?;
        let resets = spec.episodes.iter().copied().enumerate();
        let ids_before = resets.map(|reset| id(spec, &environment, &models_before, reset, true));
        let ids_before: Vec<_> = ids_before.collect::<Result<_>>()?;
        let planner = spec.seats[spec.subject].0.clone();
        let parent = spec.root.join(format!("{}--{}", plain(&environment.name), plain(&planner)));
        let ids: Vec<_> = episodes.iter().map(|episode| episode.id.clone()).collect();
        let config_hash = config_hash(&spec.config, Some(&spec.paths), &ids)?;
        let before = (self::config_hash(&spec.config, None, &ids_before)?, ids_before);
        let summariser = asked.map(|summariser| summariser.component.clone());
        Ok(Self { environment, planner, parent, config_hash, before, llms, critics, summariser, episodes })
    }

    /// Whether a run with this hash is of this specification.
    pub(crate) fn is(&self, hash: &str) -> bool {
        hash == self.config_hash || hash == self.before.0
    }

    /// Names the episodes as the run with this hash names them.
    pub(crate) fn name_as(&mut self, hash: &str) {
        if hash != self.config_hash && hash == self.before.0 {
            for (episode, id) in self.episodes.iter_mut().zip(&self.before.1) {
                episode.id.clone_from(id);
            }
        }
    }

    /// The description of the run at `path`, which has lost it, from what is left; `None` if that is another run.
    pub(crate) fn described(&self, spec: &RunSpec, path: &Path) -> Option<RunInfo> {
        let config = std::fs::read_to_string(path.join("config.resolved.toml")).ok()?;
        let ids: Vec<_> = self.episodes.iter().map(|episode| episode.id.clone()).collect();
        let rules = [(&ids, Some(&*spec.paths), &self.config_hash), (&self.before.1, None, &self.before.0)];
        let mut rules = rules.into_iter().filter(|(ids, paths, hash)| {
            config_hash(unmarked(&config), *paths, ids).is_ok_and(|found| found == **hash)
        });
        let first = rules.next()?;
        // The files that the configuration names may have been others: the ids of its episodes tell.
        let known = store::episodes(&folder::journal_path(path)).ok().filter(|known| !known.is_empty())?;
        let mut rules = std::iter::once(first).chain(rules);
        let (.., hash) = rules.find(|(ids, ..)| known.iter().all(|id| ids.contains(id)))?;
        Some(RunInfo { config_hash: hash.clone(), ..self.info(spec) })
    }

    pub(crate) fn info(&self, spec: &RunSpec) -> RunInfo {
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

/// A model's capabilities as part of an episode's identity. What it costs does not affect its answers.
pub(crate) fn identity(model: &LlmCapabilities) -> Result<Value> {
    let mut says = serde_json::to_value(model)?;
    if let Value::Object(says) = &mut says {
        says.remove("free");
    }
    Ok(says)
}

/// The id of an episode; `before`, by the rules of release 0.1.0.
fn id(
    spec: &RunSpec,
    environment: &EnvironmentSpec,
    models: &BTreeMap<String, Value>,
    (index, reset): (usize, Reset),
    before: bool,
) -> Result<String> {
    episode_id(&EpisodeIdentity {
        environment: &environment.name,
        version: &environment.version,
        environment_config: spec.environment.identity(before),
        reset,
        planners: spec.seating(index).iter().map(|(_, planner)| planner.identity(before)).collect(),
        models,
        summariser: spec.summariser.as_ref().map(|summariser| summariser.identity(before)),
        per_decision: Some(spec.per_decision.limits).filter(|limits| !limits.none()),
    })
}

fn episodes(
    spec: &RunSpec,
    environment: &EnvironmentSpec,
    models: &BTreeMap<String, Value>,
) -> Result<Vec<EpisodeSpec>> {
    let per_decision = Arc::new(spec.per_decision.clone());
    let mut ids = HashSet::new();
    let mut episodes = Vec::with_capacity(spec.episodes.len());
    for (index, reset) in spec.episodes.iter().enumerate() {
        let seating = spec.seating(index);
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
        let id = id(spec, environment, models, (index, *reset), false)?;
        if !ids.insert(id.clone()) {
            return Err(Error::config(format!(
                "episode (task {}, seed {}) is requested twice",
                reset.task, reset.seed
            )));
        }
        episodes.push(EpisodeSpec {
            id,
            environment: environment.clone(),
            reset: *reset,
            seats: seating.into_iter().map(seat).collect(),
            subject: spec.subject,
            summariser: spec.summariser.as_ref().map(|summariser| summariser.component.clone()),
            limits: spec.episode_limits,
            per_decision: per_decision.clone(),
            progress: None,
            decided: None,
        });
    }
    Ok(episodes)
}

/// Keys under `[run]` and `[roles.<name>]` that set limits and speed, not the work itself: they may change between two
/// starts.
const PACE: [&str; 9] = [
    "name",
    "concurrency",
    "engine",
    "restate",
    "per_episode",
    "max_calls",
    "max_tokens",
    "max_usd",
    "max_wall_s",
];

/// What makes two runs the same. `paths` are keys that say where something is; `None` hashes as release 0.1.0 did.
fn config_hash(config: &str, paths: Option<&[Vec<String>]>, episodes: &[String]) -> Result<String> {
    let mut config: toml::Table = toml::from_str(config).map_err(|error| {
        Error::config(error.to_string()).context("the resolved configuration is not TOML")
    })?;
    for path in paths.into_iter().flatten() {
        blank(&mut config, path);
    }
    if let (Some(_), Some(run)) = (paths, config.get_mut("run").and_then(toml::Value::as_table_mut)) {
        run.remove("out");
    }
    let in_old_words = |table: toml::Table| {
        table.into_iter().map(|(key, value)| (identity_word(&key).into(), value)).collect()
    };
    let mut config: toml::Table = in_old_words(config);
    let planners = config.get_mut("planner").and_then(toml::Value::as_table_mut);
    planners.into_iter().flatten().filter_map(|(_, planner)| planner.as_table_mut()).for_each(|keys| {
        *keys = in_old_words(std::mem::take(keys));
    });
    let critics = config.get_mut(identity_word("critic")).and_then(toml::Value::as_table_mut);
    critics.into_iter().flatten().filter_map(|(_, critic)| critic.as_table_mut()).for_each(|keys| {
        let kind = keys.get("kind").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        keys.retain(|key, value| !former::is_default(&kind, key, value.as_str()));
    });
    // Nor does it matter where components come from, or what they cost.
    config.remove("plugins");
    config.remove("prices");
    // Nor how a server would offer them.
    config.remove("serve");
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
    episodes.iter().for_each(|id| {
        hasher.update(id.as_bytes());
    });
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

/// Empties the path at `key`. One on the hub stays: it says what, too.
fn blank(table: &mut toml::Table, key: &[String]) {
    let Some((first, rest)) = key.split_first() else { return };
    let found = rest.iter().try_fold(table.get_mut(first), |value, key| {
        Some(match value? {
            toml::Value::Table(table) => table.get_mut(key),
            toml::Value::Array(list) => list.get_mut(key.parse::<usize>().ok()?),
            _ => None,
        })
    });
    if let Some(Some(toml::Value::String(path))) = found
        && !path.starts_with("hf:")
    {
        path.clear();
    }
}

/// A name as part of a path.
fn plain(name: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    name.trim_start_matches('.').to_owned()
}
