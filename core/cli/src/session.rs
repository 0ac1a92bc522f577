//! Shared by the commands: showing data, and building configured components.

use std::sync::{Arc, Once};

use forethought_api::{Error, Result, error::Code, registry::Pluggable};
use forethought_plugin_host::{NamedBy, Plugins, Request};
use forethought_runtime::{
    cancel::Cancel,
    config::{Draft, Sources},
    host::RuntimeHost,
    registry::{Registry, RegistryEntry},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    arguments::{ConfigArguments, Values},
    builtin,
    person::{self, Terminal},
    progress::Reporter,
    streams::{self, print},
    transcript::Page,
};

/// One invocation of the program.
#[derive(Clone)]
pub(crate) struct Session {
    /// Whether to print data as JSON.
    pub(crate) json: bool,
    /// Shows messages and progress.
    pub(crate) reporter: Reporter,
    /// Raised by Ctrl-C.
    pub(crate) cancel: Cancel,
    /// The person at the terminal.
    pub(crate) terminal: Terminal,
    /// Values of `--plugin`.
    pub(crate) plugin: Vec<String>,
    /// The plugins that are open.
    pub(crate) plugins: Arc<Plugins>,
}

impl Session {
    /// The configured components.
    pub(crate) async fn host(&self, arguments: &ConfigArguments, values: Values) -> Result<RuntimeHost> {
        self.host_of(&Sources { values, ..self.sources(arguments)? }).await
    }

    /// The components that these sources configure.
    pub(crate) async fn host_of(&self, sources: &Sources) -> Result<RuntimeHost> {
        let draft = Draft::read(sources)?;
        let registry = self.components(draft.plugins()).await?;
        for (section, kind) in draft.kinds() {
            if registry.find(&section[0], kind).is_err() {
                builtin::not_left_out(&section[0], kind)?;
            }
        }
        let config = draft.check(&registry)?;
        // Once: a command may load its configuration more than once.
        static NOTES: Once = Once::new();
        if !config.notes().is_empty() {
            NOTES.call_once(|| self.reporter.say(config.notes().join("\n")));
        }
        Ok(RuntimeHost::new(Arc::new(config), Arc::new(registry)))
    }

    /// Components without any configuration, for commands that a broken file must not stop.
    pub(crate) async fn bare_host(&self) -> Result<RuntimeHost> {
        let registry = self.registry().await?;
        let config = Draft::read(&Sources::new("/nowhere"))?.check(&registry)?;
        Ok(RuntimeHost::new(Arc::new(config), Arc::new(registry)))
    }

    /// A component with its default settings, for the commands that need no configuration.
    pub(crate) async fn unconfigured<I: Pluggable + ?Sized>(&self, kind: &str) -> Result<Arc<I>> {
        self.configured(kind, Map::new()).await
    }

    /// The same with these settings.
    pub(crate) async fn configured<I: Pluggable + ?Sized>(
        &self,
        kind: &str,
        config: Map<String, Value>,
    ) -> Result<Arc<I>> {
        let host = self.bare_host().await?;
        host.standalone(kind, config)
            .await
            .map_err(|error| builtin::not_left_out(I::WORD, kind).err().unwrap_or(error))
    }

    /// A component that can be named here.
    pub(crate) async fn component(&self, word: &str, kind: &str) -> Result<Arc<RegistryEntry>> {
        let word = self.current(word);
        let registry = self.registry().await?;
        let found = registry.find(word, kind).cloned();
        found.map_err(|error| builtin::not_left_out(word, kind).err().unwrap_or(error))
    }

    /// The present word of an interface.
    pub(crate) fn current<'a>(&self, word: &'a str) -> &'a str {
        let Some((_, now)) = RENAMED.iter().find(|(before, _)| *before == word) else { return word };
        self.reporter.say(format!("note: `{word}` is now called `{now}`"));
        now
    }

    /// Every component that can be named here.
    pub(crate) async fn registry(&self) -> Result<Registry> {
        self.components(&self.wanted()?).await
    }

    /// Components that are linked in, those of these plugins, and the person at the terminal.
    async fn components(&self, plugins: &Request) -> Result<Registry> {
        let registry = self.plugins.registry(plugins).await?;
        self.plugins.left_out().iter().for_each(|note| self.reporter.say(format!("note: {note}")));
        registry.and(person::entries(&self.terminal)?)
    }

    /// The plugins named by `--plugin` and by the configuration files that always apply, if these can be read.
    pub(crate) fn wanted(&self) -> Result<Request> {
        let sources = self.sources(&ConfigArguments::default())?;
        Ok(match Draft::read(&sources) {
            Ok(draft) => draft.plugins().clone(),
            Err(error) => {
                self.reporter.say(format!(
                    "ignoring the plugins of the configuration here, because it cannot be read: {error}"
                ));
                sources.typed_plugins(sources.search.clone(), NamedBy::User)
            }
        })
    }

    /// Where a command reads its configuration.
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

    /// Awaits work that does not handle interruptions, and gives it up on the first.
    pub(crate) async fn or_interrupted<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = work => result,
            () = self.cancel.cancelled() => Err(Error::new(Code::Cancelled, "interrupted")),
        }
    }

    /// Prints data: as JSON if requested, else as `words`.
    pub(crate) fn show(&self, data: &impl Serialize, words: impl FnOnce() -> String) -> Result<()> {
        if self.json { print(&streams::json(data)?) } else { print(&words()) }
    }

    /// The same with a page for people.
    pub(crate) fn show_page(&self, data: &impl Serialize, page: impl FnOnce() -> Page) -> Result<()> {
        if self.json { print(&streams::json(data)?) } else { streams::print_styled(&page().take()) }
    }
}

/// Words of interfaces in release 0.1.0, and what they are called now.
const RENAMED: [(&str, &str); 2] = [("value", "critic"), ("skill", "behaviour")];
