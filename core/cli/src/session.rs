//! What the commands share: how they show data, and how they come by configured components.

use std::sync::{Arc, Once};

use forethought_api::{Error, Result, error::Code};
use forethought_runtime::{
    cancel::Cancel,
    config::{Draft, Sources},
    host::RuntimeHost,
    plugin::{Plugins, Request},
    registry::Registry,
};
use serde::Serialize;

use crate::{
    arguments::ConfigArguments,
    person::{self, Terminal},
    progress::Reporter,
};

/// One invocation of the program.
#[derive(Clone)]
pub(crate) struct Session {
    /// Whether data are wanted as JSON.
    pub(crate) json: bool,
    /// Where people look.
    pub(crate) reporter: Reporter,
    /// Raised by Ctrl-C.
    pub(crate) cancel: Cancel,
    /// Whoever sits before it.
    pub(crate) terminal: Terminal,
    /// What `--plugin` names.
    pub(crate) plugin: Vec<String>,
    /// The plugins that are open.
    pub(crate) plugins: Arc<Plugins>,
}

impl Session {
    /// The configured components. `settings` lie above everything else, as `--set` does.
    pub(crate) async fn host(&self, arguments: &ConfigArguments, settings: &[String]) -> Result<RuntimeHost> {
        let mut sources = self.sources(arguments)?;
        sources.set.extend_from_slice(settings);
        self.host_of(&sources).await
    }

    /// The components that these sources configure.
    pub(crate) async fn host_of(&self, sources: &Sources) -> Result<RuntimeHost> {
        let draft = Draft::read(sources)?;
        let registry = self.components(draft.plugins()).await?;
        let config = draft.check(&registry)?;
        // Once: a command may load its configuration more than once.
        static NOTES: Once = Once::new();
        if !config.notes().is_empty() {
            NOTES.call_once(|| self.reporter.say(config.notes().join("\n")));
        }
        Ok(RuntimeHost::new(Arc::new(config), Arc::new(registry)))
    }

    /// Components without any configuration, for commands that need none: a broken file must not stop these.
    pub(crate) async fn bare_host(&self) -> Result<RuntimeHost> {
        let registry = self.registry().await?;
        let config = Draft::read(&Sources::new("/nowhere"))?.check(&registry)?;
        Ok(RuntimeHost::new(Arc::new(config), Arc::new(registry)))
    }

    /// Every component that can be named here.
    pub(crate) async fn registry(&self) -> Result<Registry> {
        self.components(&self.wanted()?).await
    }

    /// What is linked in, what these plugins bring, and the person at the terminal.
    async fn components(&self, plugins: &Request) -> Result<Registry> {
        self.plugins.registry(plugins).await?.and(person::entries(&self.terminal)?)
    }

    /// The plugins that are named here: by the files that always count, if these can be read, and by `--plugin`.
    pub(crate) fn wanted(&self) -> Result<Request> {
        let sources = self.sources(&ConfigArguments::default())?;
        Ok(match Draft::read(&sources) {
            Ok(draft) => draft.plugins().clone(),
            Err(error) => {
                self.reporter
                    .say(format!("the configuration here names no plugins, for it is broken: {error}"));
                Request::typed(&sources, sources.search.clone())
            }
        })
    }

    /// Where a command looks for its configuration.
    pub(crate) fn sources(&self, arguments: &ConfigArguments) -> Result<Sources> {
        let mut sources = Sources::of_process()?;
        if let Some(name) = &arguments.config {
            sources = sources.named(name)?;
        }
        if let Some(preset) = &arguments.preset {
            sources.preset = Some(preset.clone());
        }
        sources.set = arguments.set.clone();
        sources.plugins = self.plugin.clone();
        Ok(sources)
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

/// Prints to standard output. A reader that has gone (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
