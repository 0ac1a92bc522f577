//! What the commands share: how they show data, and how they come by configured components.

use std::sync::Arc;

use forethought_api::{Error, Result, error::Code};
use forethought_runtime::{
    cancel::Cancel,
    config::{Config, Sources},
    host::RuntimeHost,
    registry::Registry,
};
use serde::Serialize;

use crate::{arguments::ConfigArguments, progress::Reporter};

/// One invocation of the program.
#[derive(Clone)]
pub(crate) struct Session {
    /// Whether data are wanted as JSON.
    pub(crate) json: bool,
    /// Where people look.
    pub(crate) reporter: Reporter,
    /// Raised by Ctrl-C.
    pub(crate) cancel: Cancel,
}

impl Session {
    /// The configured components. `settings` lie above everything else, as `--set` does.
    pub(crate) fn host(&self, arguments: &ConfigArguments, settings: &[String]) -> Result<RuntimeHost> {
        let mut sources = sources(arguments)?;
        sources.set.extend_from_slice(settings);
        host_of(&sources)
    }

    /// Components without any configuration, for commands that need none: a broken file must not stop these.
    pub(crate) fn bare_host(&self) -> Result<RuntimeHost> {
        host_of(&Sources::new("/nowhere"))
    }

    /// Work that knows nothing of interruptions, given up on the first.
    pub(crate) async fn or_interrupted<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = work => result,
            () = self.cancel.cancelled() => Err(Error::new(Code::Cancelled, "interrupted")),
        }
    }

    /// Prints data: as JSON if that is wanted, else in `words`.
    pub(crate) fn show(&self, data: &impl Serialize, words: impl FnOnce() -> String) -> Result<()> {
        if self.json { print(&format!("{}\n", serde_json::to_string_pretty(data)?)) } else { print(&words()) }
    }
}

/// The components that these sources configure.
pub(crate) fn host_of(sources: &Sources) -> Result<RuntimeHost> {
    let registry = Registry::linked()?;
    let config = Config::load(sources, &registry)?;
    Ok(RuntimeHost::new(Arc::new(config), Arc::new(registry)))
}

/// Where a command looks for its configuration.
pub(crate) fn sources(arguments: &ConfigArguments) -> Result<Sources> {
    let mut sources = Sources::of_process()?;
    if let Some(name) = &arguments.config {
        sources = sources.named(name)?;
    }
    if let Some(preset) = &arguments.preset {
        sources.preset = Some(preset.clone());
    }
    sources.set = arguments.set.clone();
    Ok(sources)
}

/// Prints to standard output. A reader that has gone (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
