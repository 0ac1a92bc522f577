//! Episodes that are played elsewhere (`[run] engine`): what goes out, what comes back, and the worker that plays them.
//!
//! What comes back is everything that the episode would have left here, so it is written into the same folder, and
//! nothing that reads runs sees a difference. How the two sides reach each other is not known here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    environment::{Recovery, Reset},
    trajectory::Trajectory,
};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use ulid::Ulid;

use crate::budget::ledger::Ledger;
use crate::budget::{Budget, Limits, Spent};
use crate::cancel::Cancel;
use crate::host::{RuntimeHost, assemble::RunOptions};
use crate::journal::durable::JournaledEffects;
use crate::journal::effects::Deps;
use crate::journal::key::{Blob, EffectKey};
use crate::journal::meter::Accounts;
use crate::journal::store::{Recorded, RecordedOutcome};
use crate::journal::{Journal, JournalEntry};
use crate::run::episode::{EpisodeResult, EpisodeSpec, run_episode};
use crate::run::plan::{Plan, RunSpec};
use crate::run::summary::EpisodeSummary;

/// Plays episodes elsewhere.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Hands an episode over, and waits for its end. The same assignment, handed over again by another process, is the
    /// same episode. Once `cancel` is raised, the episode ends where it is.
    ///
    /// # Errors
    /// What concerns all episodes: nobody plays them, or what plays them has another configuration.
    async fn play(&self, assignment: Assignment, cancel: &Cancel) -> Result<Returned>;
}

/// An episode to be played elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assignment {
    /// Names the start of the run: its budgets have accounts under this name.
    pub start: String,
    /// The episode's id. Who plays it must come to the same by its own configuration.
    pub episode: String,
    /// Task and seed.
    pub reset: Reset,
    /// The planner of the first seat.
    pub planner: String,
    /// Whether trajectories are collected.
    pub collect: bool,
    /// The most that the run may use, that each role may use, and that this episode may use.
    pub limits: Limits,
    /// By role.
    pub role_limits: BTreeMap<String, Limits>,
    /// Of this episode.
    pub episode_limits: Limits,
    /// What was used before this start, by role.
    pub before: BTreeMap<String, Spent>,
    /// Money that this episode cost before, in billionths of a US dollar.
    pub nano_usd: u64,
    /// Its answers that are recorded already.
    pub answers: Vec<RecordedAnswer>,
}

/// An answer that was recorded before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedAnswer {
    key: EffectKey,
    ok: bool,
    answer: Blob,
}

impl RecordedAnswer {
    pub(crate) fn all(recorded: &Recorded) -> Vec<Self> {
        let one = |(key, outcome): (&EffectKey, &RecordedOutcome)| {
            let (ok, data) = match outcome {
                RecordedOutcome::Answer(data) => (true, data),
                RecordedOutcome::Error(data) => (false, data),
            };
            Self { key: key.clone(), ok, answer: Blob::new(data.clone()) }
        };
        recorded.effects.iter().map(one).collect()
    }
}

impl From<&JournalEntry> for RecordedAnswer {
    fn from(entry: &JournalEntry) -> Self {
        Self { key: entry.key.clone(), ok: entry.ok, answer: entry.answer.clone() }
    }
}

/// The end of an episode that was played elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Returned {
    /// In one line.
    pub summary: EpisodeSummary,
    /// See [`EpisodeResult::trajectories`].
    pub trajectories: Vec<Trajectory>,
    /// The event log.
    pub events: String,
    /// Why it is not done.
    pub error: Option<Error>,
    /// Whether a budget that all episodes share was reached.
    pub reached: bool,
    /// What was recorded, in order.
    pub entries: Vec<JournalEntry>,
    /// What its attempts used, by role.
    pub charges: Vec<(String, Spent)>,
}

/// What a planner plays, once it is built.
type Spec = Arc<OnceCell<RunSpec>>;

/// Plays the episodes of one configuration for runs of other processes.
pub struct Worker {
    host: RuntimeHost,
    ledger: Arc<dyn Ledger>,
    /// Unique among all processes that share budgets.
    name: String,
    specs: Mutex<HashMap<(String, bool), Spec>>,
    accounts: Mutex<HashMap<String, Arc<Accounts>>>,
}

/// An episode that this worker can play.
pub struct Ready {
    spec: EpisodeSpec,
    deps: Deps,
    accounts: Arc<Accounts>,
    /// Whether recorded answers are of no use, because the world cannot repeat what was done in it.
    pub restarts: bool,
}

impl Worker {
    /// A worker with the components of `host`.
    pub fn new(host: RuntimeHost, ledger: Arc<dyn Ledger>) -> Self {
        let name = Ulid::generate().to_string();
        Self { host, ledger, name, specs: Mutex::default(), accounts: Mutex::default() }
    }

    /// Builds and checks what an episode of the configured planner needs.
    ///
    /// # Errors
    /// Anything in the configuration that cannot be run.
    pub async fn check(&self) -> Result<()> {
        Plan::new(&self.host.run_spec(&RunOptions::default()).await?).await.map(drop)
    }

    /// Finds the episode that an assignment means.
    ///
    /// # Errors
    /// If it is another one by this worker's configuration.
    pub async fn ready(&self, assignment: &Assignment) -> Result<Ready> {
        let key = (assignment.planner.clone(), assignment.collect);
        let cell = self.specs.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let options = RunOptions {
            planner: Some(assignment.planner.clone()),
            collect: assignment.collect,
            ..RunOptions::default()
        };
        let spec = cell.get_or_try_init(async || self.host.run_spec(&options).await).await?;
        let one = RunSpec {
            episodes: vec![assignment.reset],
            episode_limits: assignment.episode_limits,
            ..spec.clone()
        };
        let mut plan = Plan::new(&one).await?;
        let episode = plan.episodes.remove(0);
        if episode.id != assignment.episode {
            return Err(Error::config(format!(
                "task {} of planner `{}` is another episode by the worker's configuration ({} here, {} there): a component, \
                 a file that it reads, or the seed differs. Start the workers with the configuration of the run",
                assignment.reset.task, assignment.planner, episode.id, assignment.episode
            )));
        }
        Ok(Ready {
            spec: episode,
            deps: Deps {
                environment: spec.environment.component.spawn().await?,
                llms: Arc::new(plan.llms),
                critics: Arc::new(plan.critics),
                summariser: plan.summariser,
            },
            accounts: self.accounts(spec, assignment),
            restarts: plan.environment.recovery != Recovery::Replay,
        })
    }

    /// The budgets of a run: the same for all of its episodes here.
    fn accounts(&self, spec: &RunSpec, assignment: &Assignment) -> Arc<Accounts> {
        let Assignment { start, limits, role_limits, episode_limits, before, .. } = assignment;
        // Another start may have other limits, and begins with what was spent by then.
        let key = format!("{start} {limits:?} {role_limits:?} {:?}", episode_limits.max_usd);
        let mut all = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(accounts) = all.get(&key) {
            return accounts.clone();
        }
        let shared = |name: String, limits: Limits, before| {
            if limits.none() {
                return Arc::new(Budget::new(name, limits, before));
            }
            let (ledger, account) = (self.ledger.clone(), format!("{start}/{name}"));
            Budget::shared(name, limits, before, ledger, account, self.name.clone())
        };
        let role = |(name, limits): (&String, &Limits)| {
            let before = before.get(name).copied().unwrap_or_default();
            (name.clone(), shared(format!("role {name}"), *limits, before))
        };
        let total = before.values().fold(Spent::default(), |sum, spent| sum + *spent);
        let accounts = Arc::new(Accounts {
            run: shared("run".into(), *limits, total),
            roles: role_limits.iter().map(role).collect(),
            episode_usd: episode_limits.max_usd,
            prices: spec.prices.clone(),
        });
        spec.metering.begin(&accounts);
        all.insert(key, accounts.clone());
        accounts
    }
}

impl Ready {
    /// Plays it from what is recorded: answers, and the money that it cost so far. Returns its end, and whether a budget
    /// that all episodes share was reached.
    ///
    /// # Errors
    /// A specification that cannot be played.
    pub async fn play(
        self,
        journal: Arc<dyn Journal>,
        answers: Vec<RecordedAnswer>,
        nano_usd: u64,
        cancel: Cancel,
    ) -> Result<(EpisodeResult, bool)> {
        let outcome = |RecordedAnswer { key, ok, answer: Blob { data, .. } }| {
            (key, if ok { RecordedOutcome::Answer(data) } else { RecordedOutcome::Error(data) })
        };
        let effects = answers.into_iter().map(outcome).collect();
        let recorded = Recorded { nano_usd, effects, ..Recorded::default() };
        let accounts = self.accounts;
        let effects = JournaledEffects::new(self.deps, journal, recorded, accounts.clone(), cancel);
        let result = run_episode(Arc::new(effects), self.spec).await?;
        Ok((result, accounts.reached()))
    }
}
