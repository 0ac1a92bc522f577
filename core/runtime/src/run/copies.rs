//! Copies of a world that cannot copy itself: another world in which the recorded actions are repeated. A copy after n
//! steps costs n steps, so a search over such a world takes n times as long as over one that forks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    environment::{Action, Environment, EnvironmentSpec, Imagine, Recovery, Reset, Transition, Turn},
};

/// Whether copies of this world can be had by repeating actions: of one seat, because a world of several hides something
/// from each of them.
pub(crate) fn repeatable(spec: &EnvironmentSpec) -> bool {
    spec.recovery == Recovery::Replay && spec.seats.len() == 1
}

/// How a world came to where it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Path {
    /// The episode.
    pub(crate) reset: Reset,
    /// What was done since.
    pub(crate) actions: Vec<Action>,
    /// What is seen now.
    pub(crate) turn: Turn,
}

impl Path {
    /// A world like `world` that has come the same way.
    ///
    /// # Errors
    /// If it does not get there: the environment is not deterministic.
    pub(crate) async fn copy(self, world: &Arc<dyn Environment>) -> Result<Arc<dyn Environment>> {
        let copy = world.spawn().await?;
        let mut turn = copy.reset(self.reset).await?;
        for action in &self.actions {
            turn = copy.step(action.clone()).await?.turn;
        }
        if turn != self.turn {
            let name = world.spec().await?.name;
            return Err(Error::input(format!(
                "environment `{name}`: a copy that repeated the {} actions of the episode does not see what the \
                 episode sees; an environment that is not deterministic must say recovery = \"restart\"",
                self.actions.len()
            )));
        }
        Ok(Arc::new(Repeated { world: copy, path: Mutex::new(self) }))
    }
}

/// A copy that has repeated what was done, and can be copied likewise.
struct Repeated {
    world: Arc<dyn Environment>,
    path: Mutex<Path>,
}

impl Repeated {
    fn path(&self) -> MutexGuard<'_, Path> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Environment for Repeated {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(EnvironmentSpec { fork: true, ..self.world.spec().await? })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        self.world.spawn().await
    }
    async fn reset(&self, reset: Reset) -> Result<Turn> {
        let turn = self.world.reset(reset).await?;
        *self.path() = Path { reset, actions: Vec::new(), turn: turn.clone() };
        Ok(turn)
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let transition = self.world.step(action.clone()).await?;
        let mut path = self.path();
        path.actions.push(action);
        path.turn = transition.turn.clone();
        Ok(transition)
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        let path = self.path().clone();
        path.copy(&self.world).await.map(Some)
    }
    async fn imagine(&self, imagine: Imagine) -> Result<Option<Arc<dyn Environment>>> {
        self.world.imagine(imagine).await
    }
}
