//! `kind = "python"`: environments, planners, critics, encoders and language models written in Python, each in
//! processes of their own.
//!
//! A configuration names a module or a file that serves components over a pipe, as those of `plugins/python` do. What
//! `[plugins]` does for a command is done here for one component: the interpreter is found, processes are started, held
//! to their limits and started again, and several of them share the work, because one Python uses one core.
//!
//! Of this workspace it may depend on `forethought-sdk`, for the interfaces and the configuration, and on
//! `forethought-plugin-host`, which starts processes and speaks to them.

mod config;
mod interpreter;
mod pool;
mod worlds;

use std::sync::Arc;

use forethought_sdk::api::{registry::Pluggable, wire::Interface as _};
use forethought_sdk::prelude::*;

pub use self::config::{PythonConfig, PythonModule};
use self::{pool::Pool, worlds::World};

/// A component without state between its calls: they go to the worker that has the fewest.
async fn component<I: Pluggable + ?Sized>(config: PythonConfig, host: Arc<dyn Host>) -> Result<Arc<I>> {
    Ok(I::connect(Arc::new(Pool::start(I::NAME, config, host).await?)))
}

register! {
    interface: dyn Environment, kind: "python", summary: "a world written in Python", config: PythonConfig,
    new: |config, host| async move {
        let pool = Pool::start(<dyn Environment>::NAME, config, host).await?;
        Ok(Arc::new(World::new(pool).await?) as _)
    },
}

register! {
    interface: dyn Planner, kind: "python", summary: "a planner written in Python", config: PythonConfig,
    new: component::<dyn Planner>,
}

register! {
    interface: dyn Critic, kind: "python", summary: "a critic written in Python", config: PythonConfig,
    new: component::<dyn Critic>,
}

register! {
    interface: dyn TextEncoder, kind: "python", summary: "an encoder written in Python", config: PythonConfig,
    new: component::<dyn TextEncoder>,
}

register! {
    interface: dyn LlmBackend, kind: "python", summary: "a language model written in Python", config: PythonConfig,
    new: component::<dyn LlmBackend>,
}
