//! `[run] engine`: what plays the episodes of a run.

use std::sync::Arc;

use forethought_api::Result;
use forethought_runtime::config::{Config, EngineKind};
use forethought_runtime::run::elsewhere::Engine;

/// What plays the episodes, unless this process does.
///
/// # Errors
/// An engine that cannot be reached by its settings, or is not part of this build.
pub(crate) fn engine(config: &Config) -> Result<Option<Arc<dyn Engine>>> {
    match config.run.engine {
        EngineKind::Sqlite => Ok(None),
        EngineKind::Restate => restate(config).map(Some),
    }
}

#[cfg(feature = "restate")]
fn restate(config: &Config) -> Result<Arc<dyn Engine>> {
    Ok(Arc::new(forethought_restate::Client::new(&config.run.restate)?))
}

#[cfg(not(feature = "restate"))]
fn restate(_: &Config) -> Result<Arc<dyn Engine>> {
    Err(crate::builtin::built_without("[run] engine = \"restate\"", "restate"))
}
