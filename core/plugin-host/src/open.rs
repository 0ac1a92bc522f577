//! Opening plugins: from what a configuration names to entries of the registry, and from an entry to a component.
//!
//! In this order: the file is read once; its hash is taken, and compared with the pin; its metadata is read, and judged;
//! its description is looked up in `plugins.lock`, or else asked for in a process of its own. Only when a component is
//! first built is the library loaded into this program, from the very bytes that were looked at.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forethought_api::{
    Error, Result,
    error::{Code, Context},
    host::Host,
    module::{Create, Described, Description, Module},
    registry::Component,
    wire::{Object, connect},
};
use futures::future::{BoxFuture, join_all};
use tokio::sync::{Mutex, OnceCell};

use crate::{
    guard,
    lock::{self, Lock},
    policy,
    process::Process,
    registry::{ComponentOrigin, Registry, RegistryEntry},
    settings::{Isolation, PluginSettings},
    source::{Request, Source, Wanted, at},
    survey::{Library, look},
};

#[cfg(test)]
mod tests;

/// Longest that a plugin may take to say what it brings.
const PATIENCE: Duration = Duration::from_secs(30);

/// How plugins are reached.
pub trait Transport: Send + Sync {
    /// Loads a library into this program: its root object.
    ///
    /// # Errors
    /// [`Code::Plugin`] if it cannot be loaded.
    fn load(&self, library: &Library) -> Result<Arc<dyn Object>>;
    /// Starts a process: its root object.
    fn start(&self, process: Process) -> BoxFuture<'static, Result<Arc<dyn Object>>>;
    /// The command that serves a library from a process of its own.
    fn serving(&self, library: &Library) -> Vec<String>;
}

/// Real libraries and real processes.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// What serves a library over standard input and output, such as `forethought plugin serve`; the library's path
    /// and `--sha256` with its hash follow.
    pub command: Vec<String>,
}

impl Transport for Launcher {
    fn load(&self, library: &Library) -> Result<Arc<dyn Object>> {
        library.load()
    }
    fn start(&self, process: Process) -> BoxFuture<'static, Result<Arc<dyn Object>>> {
        Box::pin(async move { process.start().await })
    }
    fn serving(&self, library: &Library) -> Vec<String> {
        let own = [library.file.to_string_lossy().into_owned(), "--sha256".into(), library.sha256.clone()];
        self.command.iter().cloned().chain(own).collect()
    }
}

/// The plugins of one program. Each is opened once, however often it is asked for.
pub struct Plugins {
    transport: Arc<dyn Transport>,
    opened: Mutex<Vec<Arc<Plugin>>>,
}

impl Plugins {
    /// None yet.
    pub fn new(transport: impl Transport + 'static) -> Self {
        Self { transport: Arc::new(transport), opened: Mutex::default() }
    }

    /// What is linked into this program, and what these plugins bring.
    ///
    /// # Errors
    /// [`Code::Plugin`] if one is refused; else if one cannot be found, or there are two components of one name.
    pub async fn registry(&self, request: &Request) -> Result<Registry> {
        let mut entries = Vec::new();
        for plugin in self.open(request).await? {
            entries.extend(plugin.entries()?);
        }
        Registry::with(entries)
    }

    /// Opens plugins; no library is loaded into this program yet.
    ///
    /// # Errors
    /// [`Code::Plugin`] if one is refused; else if one cannot be found.
    pub async fn open(&self, request: &Request) -> Result<Vec<Arc<Plugin>>> {
        let locks = &request.locks()?;
        let mut sources: Vec<(&Wanted, Source)> = Vec::new();
        for wanted in &request.wanted {
            let found = Source::of(&wanted.settings, &request.search);
            for source in found.map_err(|error| at(&wanted.place, error))? {
                // Named twice, in a file and on the command line: the first says more.
                if sources.iter().all(|(_, known)| *known != source) {
                    sources.push((wanted, source));
                }
            }
        }
        // At once, for most of the time goes into waiting for what they say.
        let opening = sources.into_iter().map(async |(wanted, source)| {
            self.one(source, &wanted.settings, locks).await.map_err(|error| at(&wanted.place, error))
        });
        join_all(opening).await.into_iter().collect()
    }

    async fn one(&self, source: Source, settings: &PluginSettings, locks: &[Lock]) -> Result<Arc<Plugin>> {
        let known = {
            let opened = self.opened.lock().await;
            opened.iter().find(|known| known.source == source && known.settings == *settings).cloned()
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let plugin = Arc::new(self.look(source, settings, locks).await?);
        self.opened.lock().await.push(plugin.clone());
        Ok(plugin)
    }

    /// All that is done before anything is built.
    async fn look(&self, source: Source, settings: &PluginSettings, locks: &[Lock]) -> Result<Plugin> {
        let (library, command, locked) = match &source {
            Source::Command(command) => (None, command.clone(), None),
            Source::Library(file) => {
                let (library, locked) = look(file, settings, locks)?;
                let command = self.transport.serving(&library);
                (Some(library), command, locked)
            }
        };
        let (settings, transport, module) = (settings.clone(), self.transport.clone(), OnceCell::new());
        let mut plugin = Plugin {
            source,
            library,
            settings,
            command,
            description: Description::default(),
            transport,
            module,
        };
        plugin.description = match locked {
            Some(description) => description,
            None => plugin.ask().await?,
        };
        match &plugin.library {
            Some(library) => policy::agree(&library.file, &library.metadata, &plugin.description)?,
            None if plugin.description.components.is_empty() => {
                let why =
                    format!("{} is refused: it brings no component; describe one at least", plugin.name());
                return Err(Error::new(Code::Plugin, why));
            }
            None => {}
        }
        Ok(plugin)
    }

    /// Tells all plugins that are loaded into this program that nothing is asked of them any more.
    pub async fn shutdown(&self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        for plugin in &*self.opened.lock().await {
            let Some(module) = plugin.module.get() else { continue };
            match tokio::time::timeout(PATIENCE, module.shutdown()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("{} did not shut down well: {error}", plugin.name()),
                Err(_) => tracing::warn!("{} did not shut down within {PATIENCE:?}", plugin.name()),
            }
        }
    }
}

/// A plugin that may be used.
pub struct Plugin {
    source: Source,
    library: Option<Library>,
    settings: PluginSettings,
    /// What starts a process that serves it.
    command: Vec<String>,
    description: Description,
    transport: Arc<dyn Transport>,
    /// Its root object, once it is loaded into this program.
    module: OnceCell<Arc<dyn Module>>,
}

impl Plugin {
    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Its file, if it is a library.
    pub fn library(&self) -> Option<&Library> {
        self.library.as_ref()
    }

    /// Where its code runs.
    pub fn origin(&self) -> ComponentOrigin {
        self.source.origin(self.settings.isolation)
    }

    /// Its components.
    ///
    /// # Errors
    /// If this program does not know an interface of theirs.
    pub fn entries(self: &Arc<Self>) -> Result<Vec<RegistryEntry>> {
        let Description { package, version, components, .. } = &self.description;
        let entry = |described: &Described| {
            let (plugin, interface, kind) =
                (self.clone(), described.interface.clone(), described.kind.clone());
            let create = move |config, host| -> BoxFuture<'static, Result<Component>> {
                let create = Create { interface: interface.clone(), kind: kind.clone(), config };
                Box::pin(plugin.clone().create(create, host))
            };
            RegistryEntry::new(described.clone(), package, version, self.origin(), Arc::new(create))
        };
        components.iter().map(entry).collect()
    }

    /// Builds a component, and builds it anew where it fails.
    async fn create(self: Arc<Self>, create: Create, host: Arc<dyn Host>) -> Result<Component> {
        let wanted = create.interface.clone();
        let policy = guard::Policy {
            plugin: self.description.package.clone(),
            deadline: self.deadline(),
            restarts: self.settings.restarts,
        };
        let recipe = move || -> BoxFuture<'static, Result<Arc<dyn Object>>> {
            let (plugin, create, host) = (self.clone(), create.clone(), host.clone());
            Box::pin(async move { plugin.build(create, host).await.map(Component::serve) })
        };
        let component = guard::component(Arc::new(recipe), policy).await?;
        if component.interface() != wanted {
            let why = format!("asked for a {wanted}, a plugin gave a {}", component.interface());
            return Err(Error::new(Code::Plugin, why));
        }
        Component::connect(component)
    }

    async fn build(&self, create: Create, host: Arc<dyn Host>) -> Result<Component> {
        let doing = format!("plugin {}: create of {} `{}`", self.name(), create.interface, create.kind);
        let module = self.module().await?;
        match tokio::time::timeout(self.deadline(), module.create(create, host)).await {
            Ok(Err(error)) if matches!(error.code, Code::Panic | Code::BadRequest | Code::Shutdown) => {
                Err(error.context(doing))
            }
            Ok(result) => result,
            Err(_) => {
                let limit = self.settings.deadline_s;
                Err(Error::new(Code::Deadline, format!("{doing}: no answer within {limit} s (`deadline_s`)")))
            }
        }
    }

    /// Its root object: one for this program, or a new process for each component, which may then fail alone.
    async fn module(&self) -> Result<Arc<dyn Module>> {
        let module = match &self.library {
            Some(library) if self.settings.isolation == Isolation::Library => {
                let load = async || {
                    let (transport, library) = (self.transport.clone(), library.clone());
                    // Constructors are foreign code, and may take their time.
                    let load = tokio::task::spawn_blocking(move || transport.load(&library));
                    let module = connect::<dyn Module>(load.await.context("loading a library")??)?;
                    self.same(&module).await?;
                    Ok::<_, Error>(module)
                };
                return self.module.get_or_try_init(load).await.cloned();
            }
            _ => self.start().await?,
        };
        self.same(&module).await?;
        Ok(module)
    }

    async fn start(&self) -> Result<Arc<dyn Module>> {
        let process = Process {
            folder: self.settings.folder.as_deref().map(Path::to_path_buf),
            memory_mb: self.settings.memory_mb,
            ..Process::new(self.short_name(), self.command.clone())
        };
        connect(self.transport.start(process).await?)
    }

    /// Asks it what it brings, in a process of its own.
    async fn ask(&self) -> Result<Description> {
        self.answer(async { self.start().await?.describe().await }).await
    }

    async fn answer(&self, asking: impl Future<Output = Result<Description>>) -> Result<Description> {
        let answer = tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| {
            Err(Error::new(Code::Deadline, format!("no answer within {} s", PATIENCE.as_secs())))
        });
        answer.map_err(|error| match error.code {
            Code::Plugin => error,
            _ => Error::new(Code::Plugin, format!("{} does not say what it brings", self.name()))
                .because(error),
        })
    }

    /// Whether what it says now, at the point of being used, is what it said when it was looked at.
    async fn same(&self, module: &Arc<dyn Module>) -> Result<()> {
        let said = self.answer(module.describe()).await?;
        let sorted = |description: &Description| {
            let mut components = description.components.clone();
            components.sort_by(|a, b| (&a.interface, &a.kind).cmp(&(&b.interface, &b.kind)));
            (description.package.clone(), description.version.clone(), components)
        };
        if sorted(&said) == sorted(&self.description) {
            return Ok(());
        }
        let why = format!(
            "{} is refused: it describes itself otherwise than when it was looked at; if it is in {}, look at it again \
             by `forethought plugin add`",
            self.name(),
            lock::NAME
        );
        Err(Error::new(Code::Plugin, why))
    }

    fn deadline(&self) -> Duration {
        Duration::try_from_secs_f64(self.settings.deadline_s).unwrap_or(Duration::MAX)
    }

    /// Its package, or the little that is known before it said so; for logs.
    fn short_name(&self) -> String {
        match (&*self.description.package, &self.source) {
            ("", Source::Library(file)) => {
                file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
            }
            ("", Source::Command(command)) => command.join(" "),
            (package, _) => package.into(),
        }
    }

    /// Its file or command, for messages.
    fn name(&self) -> String {
        match &self.source {
            Source::Library(file) => file.display().to_string(),
            Source::Command(command) => format!("`{}`", command.join(" ")),
        }
    }
}
