//! Opening plugins: from a configuration to entries of the registry, and from an entry to a component.
//!
//! In this order: the file is read once; its hash is compared with the pin; its metadata is read and checked; whether
//! its code may run is decided; its description is looked up in `plugins.lock`, or else requested from a separate
//! process. The library is loaded into this program only when a component is first built, from the same bytes that were
//! inspected.

use std::path::Path;
use std::sync::{Arc, PoisonError};
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
    source::{NamedBy, Request, Source, Wanted, at},
    survey::{Found, Library, look, survey},
    trust::{Trust, Verdict},
};

#[cfg(test)]
mod tests;

/// The longest that a plugin may take to describe itself.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(30);

/// How plugins are loaded and started.
pub trait Transport: Send + Sync {
    /// Loads a library into this program and gives its root object.
    ///
    /// # Errors
    /// [`Code::Plugin`] if it cannot be loaded.
    fn load(&self, library: &Library) -> Result<Arc<dyn Object>>;
    /// Starts a process and gives its root object.
    fn start(&self, process: Process) -> BoxFuture<'static, Result<Arc<dyn Object>>>;
    /// The command that serves a library from its own process.
    fn serving(&self, library: &Library) -> Vec<String>;
}

/// Real libraries and real processes.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The command that serves a library over standard input and output, such as `forethought plugin serve`; the
    /// library's path and `--sha256` with its hash are appended.
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

/// The plugins of one program. Each is opened only once.
pub struct Plugins {
    transport: Arc<dyn Transport>,
    trust: Trust,
    opened: Mutex<Vec<Arc<Plugin>>>,
    left_out: std::sync::Mutex<Vec<String>>,
}

impl Plugins {
    /// No plugins yet, and only those that `trust` admits.
    pub fn new(transport: impl Transport + 'static, trust: Trust) -> Self {
        Self {
            transport: Arc::new(transport),
            trust,
            opened: Mutex::default(),
            left_out: std::sync::Mutex::default(),
        }
    }

    /// Which code may run.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Why plugins were left out, one line each, since this was last asked.
    pub fn left_out(&self) -> Vec<String> {
        std::mem::take(&mut *self.left_out.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The plugins that a request names, and those in its search folders: none of their code runs.
    ///
    /// # Errors
    /// If a `plugins.lock` cannot be read, or a named plugin cannot be found.
    pub fn survey(&self, request: &Request) -> Result<Vec<Found>> {
        survey(request, &self.trust)
    }

    /// The components that are linked into this program, and those of these plugins.
    ///
    /// # Errors
    /// [`Code::Plugin`] if one is refused; else if one cannot be found, or two components have the same name.
    pub async fn registry(&self, request: &Request) -> Result<Registry> {
        let mut entries = Vec::new();
        for plugin in self.open(request).await? {
            entries.extend(plugin.entries()?);
        }
        Ok(Registry::with(entries)?.guarded(self.trust.clone()))
    }

    /// Opens plugins, but those that the command leaves out; no library is loaded into this program yet.
    ///
    /// # Errors
    /// [`Code::Plugin`] if one is refused; else if one cannot be found.
    pub async fn open(&self, request: &Request) -> Result<Vec<Arc<Plugin>>> {
        let locks = &request.locks()?;
        let mut sources: Vec<(&Wanted, &NamedBy, Source)> = Vec::new();
        for wanted in &request.wanted {
            let found = Source::of(&wanted.settings, &request.search);
            for source in found.map_err(|error| at(&wanted.place, error))? {
                // If it is named twice, in a file and on the command line, the first says more, and the closest counts.
                match sources.iter_mut().find(|(.., known)| *known == source) {
                    Some((_, named, _)) => *named = (*named).min(&wanted.named),
                    None => sources.push((wanted, &wanted.named, source)),
                }
            }
        }
        // Concurrently, because most of the time is spent waiting for their descriptions.
        let opening = sources.into_iter().map(async |(wanted, named, source)| {
            self.one(source, wanted, named, locks).await.map_err(|error| at(&wanted.place, error))
        });
        join_all(opening).await.into_iter().filter_map(Result::transpose).collect()
    }

    async fn one(
        &self,
        source: Source,
        wanted: &Wanted,
        named: &NamedBy,
        locks: &[Lock],
    ) -> Result<Option<Arc<Plugin>>> {
        let settings = &wanted.settings;
        let known = {
            let opened = self.opened.lock().await;
            opened.iter().find(|known| known.source == source && known.settings == *settings).cloned()
        };
        if let Some(known) = known {
            return Ok(Some(known));
        }
        let (library, locked) = match &source {
            Source::Command(_) => (None, None),
            Source::Library(file) => {
                let (library, locked) = look(file, settings, locks)?;
                (Some(library), locked)
            }
        };
        if let Verdict::LeaveOut(why) = self.trust.admit(named, &source, settings, library.as_ref())? {
            let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
            left_out.push(format!("{}{why}", wanted.place));
            return Ok(None);
        }
        let plugin = Arc::new(self.describe(source, settings, library, locked).await?);
        self.opened.lock().await.push(plugin.clone());
        Ok(Some(plugin))
    }

    /// The rest of what happens before a component is built. Code of the plugin may run.
    async fn describe(
        &self,
        source: Source,
        settings: &PluginSettings,
        library: Option<Library>,
        locked: Option<Description>,
    ) -> Result<Plugin> {
        let command = match (&source, &library) {
            (_, Some(library)) => self.transport.serving(library),
            (Source::Command(command), None) => command.clone(),
            (Source::Library(_), None) => unreachable!("a library was read"),
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
                let why = format!("{} is refused: it has no component; describe at least one", plugin.name());
                return Err(Error::new(Code::Plugin, why));
            }
            None => {}
        }
        Ok(plugin)
    }

    /// Tells all plugins that are loaded into this program to shut down.
    pub async fn shutdown(&self) {
        const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
        for plugin in &*self.opened.lock().await {
            let Some(module) = plugin.module.get() else { continue };
            match tokio::time::timeout(SHUTDOWN_TIMEOUT, module.shutdown()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("{} did not shut down well: {error}", plugin.name()),
                Err(_) => tracing::warn!("{} did not shut down within {SHUTDOWN_TIMEOUT:?}", plugin.name()),
            }
        }
    }
}

/// An opened plugin.
pub struct Plugin {
    source: Source,
    library: Option<Library>,
    settings: PluginSettings,
    /// The command that starts a process that serves it.
    command: Vec<String>,
    description: Description,
    transport: Arc<dyn Transport>,
    /// Its root object, if it is loaded into this program.
    module: OnceCell<Arc<dyn Module>>,
}

impl Plugin {
    /// Its own description.
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
    /// If this program does not know one of their interfaces.
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

    /// Builds a component, which is rebuilt after a failure.
    async fn create(self: Arc<Self>, create: Create, host: Arc<dyn Host>) -> Result<Component> {
        let wanted = create.interface.clone();
        let policy = guard::Policy {
            plugin: self.description.package.clone(),
            deadline: self.deadline(),
            restarts: self.settings.restarts,
            max_answer_mb: self.settings.max_answer_mb,
        };
        let recipe = move || -> BoxFuture<'static, Result<Arc<dyn Object>>> {
            let (plugin, create, host) = (self.clone(), create.clone(), host.clone());
            Box::pin(async move { plugin.build(create, host).await.map(Component::serve) })
        };
        let component = guard::component(Arc::new(recipe), policy).await?;
        if component.interface() != wanted {
            let why = format!("a {wanted} was requested, the plugin gave a {}", component.interface());
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

    /// Its root object: one for this program, or a new process for each component, so that it can fail alone.
    async fn module(&self) -> Result<Arc<dyn Module>> {
        let module = match &self.library {
            Some(library) if self.settings.isolation == Isolation::Library => {
                let load = async || {
                    let (transport, library) = (self.transport.clone(), library.clone());
                    // Constructors are foreign code, and may be slow.
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

    /// Asks for its description, in a separate process.
    async fn ask(&self) -> Result<Description> {
        self.answer(async { self.start().await?.describe().await }).await
    }

    async fn answer(&self, asking: impl Future<Output = Result<Description>>) -> Result<Description> {
        let answer = tokio::time::timeout(DESCRIBE_TIMEOUT, asking).await.unwrap_or_else(|_| {
            Err(Error::new(Code::Deadline, format!("no answer within {} s", DESCRIBE_TIMEOUT.as_secs())))
        });
        answer.map_err(|error| match error.code {
            Code::Plugin => error,
            _ => Error::new(Code::Plugin, format!("{} does not describe its components", self.name()))
                .because(error),
        })
    }

    /// Checks that its description has not changed since it was inspected.
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
            "{} is refused: its description has changed since it was inspected; if it is in {}, inspect it again with \
             `forethought plugin add`",
            self.name(),
            lock::NAME
        );
        Err(Error::new(Code::Plugin, why))
    }

    fn deadline(&self) -> Duration {
        Duration::try_from_secs_f64(self.settings.deadline_s).unwrap_or(Duration::MAX)
    }

    /// Its package, or, before that is known, its file or command; for logs.
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
