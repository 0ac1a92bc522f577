//! A live run: its episodes come one by one from outside, each with a world and planner of its own, many at once.
//!
//! Budgets, prices, the journal and the folder are those of any run. What is not known before an episode comes is not
//! part of the specification: it names no episodes, and its environment and seat only say what they need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use forethought_api::{
    Error, Result,
    environment::{Environment, EnvironmentSpec, Reset},
    planner::Summariser,
};

use super::{Finished, Played, Pool, RunObserver};
use crate::budget::{Limits, PerDecision, Spent};
use crate::journal::effects::Llm;
use crate::journal::store::Store;
use crate::run::episode::{Decided, EpisodeSpec, Seat};
use crate::run::folder::{RunFolder, RunStatus};
use crate::run::plan::{Plan, RunSpec};
use crate::run::summary::EpisodeSummary;

/// An open run. The lock on its folder is held until it is closed or dropped.
pub struct LiveRun {
    pool: Pool,
    environment: EnvironmentSpec,
    summariser: Option<Arc<dyn Summariser>>,
    limits: Limits,
    per_decision: Arc<PerDecision>,
    begun: AtomicU64,
}

/// An episode that came.
pub struct LiveEpisode {
    /// Its id: unique, and usable as the name of a file.
    pub id: String,
    /// The rules, as given to the seat.
    pub instructions: String,
    /// Task and seed.
    pub reset: Reset,
    /// Who acts. It may use the models and critics that the seat of the specification needs.
    pub seat: Seat,
    /// The models of [`LiveRun::llms`], where something is around them for this episode.
    pub llms: Option<Arc<BTreeMap<String, Llm>>>,
    /// Its world, with the only seat.
    pub world: Arc<dyn Environment>,
    /// Called with every decision; see [`EpisodeSpec::decided`].
    pub decided: Option<Decided>,
}

/// The end of an episode.
#[derive(Debug)]
pub struct LiveEnd {
    /// In one line.
    pub summary: EpisodeSummary,
    /// Why it is not done.
    pub error: Option<Error>,
}

/// The end of a run.
#[derive(Debug)]
pub struct LiveOutcome {
    /// The run's folder.
    pub folder: PathBuf,
    /// How it ended.
    pub status: RunStatus,
    /// Episodes that were begun.
    pub episodes: u64,
    /// What it cost in US dollars, where the price of every model is known.
    pub usd: Option<f64>,
    /// What it used, by role.
    pub spent: BTreeMap<String, Spent>,
}

impl LiveRun {
    /// Opens a new folder for a run of `spec`, which names no episodes.
    ///
    /// # Errors
    /// A specification that cannot be run, or a folder that cannot be written.
    pub async fn open(spec: RunSpec, observer: Arc<dyn RunObserver>) -> Result<Self> {
        let plan = Plan::new(&spec).await?;
        let folder = RunFolder::open(&plan.parent, None, plan.info(&spec), &spec.config)?;
        let store = Store::open(&folder.journal())?;
        let environment = plan.environment.clone();
        let pool = Pool::open(&spec, plan, (store, folder), BTreeMap::new(), observer)?;
        Ok(Self {
            pool,
            environment,
            summariser: spec.summariser.map(|summariser| summariser.component),
            limits: spec.episode_limits,
            per_decision: Arc::new(spec.per_decision),
            begun: AtomicU64::new(0),
        })
    }

    /// The models of all episodes, by role or configured name.
    pub fn llms(&self) -> &Arc<BTreeMap<String, Llm>> {
        &self.pool.llms
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        self.pool.folder.path()
    }

    /// Plays an episode to its end. A planner or world that fails makes a failed episode, not an error, and so does a
    /// limit that is reached: an episode that asks no model can still be played then.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub async fn play(&self, episode: LiveEpisode) -> Result<LiveEnd> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let LiveEpisode { id, instructions, reset, seat, llms, world, decided } = episode;
        let spec = EpisodeSpec {
            id,
            environment: EnvironmentSpec { instructions, ..self.environment.clone() },
            reset,
            seats: vec![seat],
            subject: 0,
            summariser: self.summariser.clone(),
            limits: self.limits,
            per_decision: self.per_decision.clone(),
            progress: None,
            decided,
        };
        match self.pool.play_in(world, llms.unwrap_or_else(|| self.pool.llms.clone()), spec, 0).await? {
            Played::Finished(finished) => {
                let Finished { summary, error, .. } = *finished;
                Ok(LiveEnd { summary, error })
            }
            Played::Lost { .. } => Err(Error::other("an episode without chances was to be played again")),
        }
    }

    /// Closes the journal and the folder, once every episode has ended.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub async fn close(&self) -> Result<LiveOutcome> {
        let pool = &self.pool;
        let reached = pool.accounts.reached() || pool.accounts.run.check_time().is_err();
        let status = if reached { RunStatus::Budget } else { RunStatus::Finished };
        let episodes = self.begun.load(Ordering::Relaxed);
        pool.folder.count(episodes);
        let (usd, spent) = pool.close(status).await?;
        Ok(LiveOutcome { folder: pool.folder.path().to_owned(), status, episodes, usd, spent })
    }
}
