//! What plays the episodes of other processes' runs: a configuration of its own, and the components that it names. What
//! comes from outside is an [`Assignment`], which can only name an episode of this configuration.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use forethought_api::{Error, Result, environment::Recovery};
use tokio::sync::OnceCell;
use ulid::Ulid;

use crate::budget::ledger::Ledger;
use crate::budget::{Budget, Limits, Spent};
use crate::cancel::Cancel;
use crate::host::{RuntimeHost, assemble::RunOptions};
use crate::journal::Journal;
use crate::journal::durable::JournaledEffects;
use crate::journal::effects::Deps;
use crate::journal::meter::Accounts;
use crate::journal::store::Recorded;
use crate::run::elsewhere::{Assignment, RecordedAnswer};
use crate::run::episode::{EpisodeResult, EpisodeSpec, run_episode};
use crate::run::plan::{Plan, RunSpec};

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
        let effects = answers.into_iter().map(RecordedAnswer::into_outcome).collect();
        let recorded = Recorded { nano_usd, effects, ..Recorded::default() };
        let accounts = self.accounts;
        let effects = JournaledEffects::new(self.deps, journal, recorded, accounts.clone(), cancel);
        let result = run_episode(Arc::new(effects), self.spec).await?;
        Ok((result, accounts.reached()))
    }
}
