//! Worlds that outlive their process: what was done in an episode is repeated in another process after theirs ended.

use std::sync::Arc;

use forethought_sdk::{
    api::{error::Code, wire::Interface as _},
    prelude::*,
};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::pool::{Place, Pool};

/// A world, and a source of others: they are spread over the workers.
pub(crate) struct World {
    pool: Pool,
    spec: EnvironmentSpec,
    /// `None` until it is needed: the component itself is rarely played in.
    life: Mutex<Option<Life>>,
}

async fn start(pool: &Pool) -> Result<(Place, Arc<dyn Environment>)> {
    let place = pool.place();
    let world = <dyn Environment>::connect(pool.object(&place).await?).spawn().await?;
    Ok((place, world))
}

/// A world in its process, and how it came to where it is.
struct Life {
    world: Arc<dyn Environment>,
    place: Place,
    path: Option<Path>,
    /// Whether a step was given up on, so that nobody knows whether it was made.
    unsure: bool,
}

#[derive(Clone)]
struct Path {
    reset: Reset,
    actions: Vec<Action>,
    turn: Turn,
}

impl World {
    /// Asks the first worker for its spec, which never changes.
    pub(crate) async fn new(pool: Pool) -> Result<Self> {
        let place = pool.place();
        let spec = <dyn Environment>::connect(pool.object(&place).await?).spec().await?;
        Ok(Self { pool, spec, life: Mutex::default() })
    }

    /// Whether an episode can be repeated.
    fn repeats(&self) -> bool {
        self.spec.recovery == Recovery::Replay
    }

    async fn start(&self) -> Result<Life> {
        let (place, world) = start(&self.pool).await?;
        Ok(Life { world, place, path: None, unsure: false })
    }

    async fn life(&self) -> Result<MappedMutexGuard<'_, Life>> {
        let mut life = self.life.lock().await;
        if life.is_none() {
            *life = Some(self.start().await?);
        }
        MutexGuard::try_map(life, Option::as_mut)
            .map_err(|_| Error::other("a world that was just started is gone"))
    }

    /// Whether this error says that the world's process has ended, not that the world failed.
    fn lost(error: &Error) -> bool {
        error.code == Code::Shutdown
    }

    /// The same state in another process.
    async fn repeat(&self, path: &Path) -> Result<(Place, Arc<dyn Environment>)> {
        let (place, world) = start(&self.pool).await?;
        let mut turn = world.reset(path.reset).await?;
        for action in &path.actions {
            turn = world.step(action.clone()).await?.turn;
        }
        if turn == path.turn {
            return Ok((place, world));
        }
        Err(Error::input(format!(
            "environment `{}`: after its process ended, the {} actions of the episode were repeated and led elsewhere; \
             a world that is not deterministic must say recovery = \"restart\"",
            self.spec.name,
            path.actions.len()
        )))
    }
}

#[async_trait]
impl Environment for World {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(self.spec.clone())
    }

    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        let life = Mutex::new(Some(self.start().await?));
        Ok(Arc::new(Self { pool: self.pool.clone(), spec: self.spec.clone(), life }))
    }

    async fn reset(&self, reset: Reset) -> Result<Turn> {
        let mut life = self.life().await?;
        life.path = None;
        let turn = match life.world.reset(reset).await {
            Err(error) if Self::lost(&error) => {
                tracing::warn!("the episode begins again in another process: {error}");
                (life.place, life.world) = start(&self.pool).await?;
                life.world.reset(reset).await?
            }
            outcome => outcome?,
        };
        life.path = Some(Path { reset, actions: Vec::new(), turn: turn.clone() });
        life.unsure = false;
        Ok(turn)
    }

    async fn step(&self, action: Action) -> Result<Transition> {
        let mut life = self.life().await?;
        let sure = !std::mem::replace(&mut life.unsure, true);
        let transition = match (life.world.step(action.clone()).await, life.path.clone()) {
            (Err(error), Some(path)) if Self::lost(&error) && self.repeats() && sure => {
                let done = path.actions.len();
                tracing::warn!("{done} actions are repeated in another process: {error}");
                (life.place, life.world) = match self.repeat(&path).await {
                    Err(late) if Self::lost(&late) => return Err(late),
                    repeated => repeated?,
                };
                life.world.step(action.clone()).await
            }
            (outcome, _) => outcome,
        };
        life.unsure = !sure;
        let transition = transition?;
        if let Some(path) = &mut life.path {
            path.actions.push(action);
            path.turn = transition.turn.clone();
        }
        Ok(transition)
    }

    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        let life = self.life().await?;
        let copied = match (life.world.fork().await, &life.path) {
            (Err(error), Some(path)) if Self::lost(&error) && self.repeats() && !life.unsure => {
                self.repeat(path).await.map(Some)?
            }
            (outcome, _) => outcome?.map(|world| (self.pool.next_to(&life.place), world)),
        };
        Ok(copied.map(|(place, world)| {
            let (path, unsure) = (life.path.clone(), life.unsure);
            let life = Mutex::new(Some(Life { world, place, path, unsure }));
            Arc::new(Self { pool: self.pool.clone(), spec: self.spec.clone(), life }) as _
        }))
    }

    async fn imagine(&self, imagine: Imagine) -> Result<Option<Arc<dyn Environment>>> {
        let life = self.life().await?;
        life.world.imagine(imagine).await
    }
}
