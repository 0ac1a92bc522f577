//! Opening plugins: from what a configuration names to entries of the registry, and from an entry to a component.
//!
//! In this order: the file is read once; its hash is taken, and compared with the pin; its metadata is read, and judged;
//! its description is looked up in `plugins.lock`, or else asked for in a process of its own. Only when a component is
//! first built is the library loaded into this program, from the very bytes that were looked at.

use std::path::{Path, PathBuf};
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
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OnceCell};

use super::{
    find, guard, library,
    lock::Lock,
    metadata::{self, Metadata},
    policy,
    process::Process,
};
use crate::config::{Isolation, PluginSettings};
use crate::registry::{Entry, Origin, Registry};

/// Longest that a plugin may take to say what it brings.
const PATIENCE: Duration = Duration::from_secs(30);

/// The plugins that a configuration names.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What is to be loaded.
    pub wanted: Vec<Wanted>,
    /// Folders in which names are looked for.
    pub search: Vec<PathBuf>,
    /// Folders whose `plugins.lock` counts.
    pub locks: Vec<PathBuf>,
}

/// A plugin that is to be loaded.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Who wants it, as the beginning of a message: ``forethought.toml:3: `plugins.load.0`: ``.
    pub place: String,
    /// What is said of it.
    pub settings: PluginSettings,
}

/// A library's file, looked at: nothing of it runs.
#[derive(Clone)]
pub struct Library {
    /// The file.
    pub file: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// What it says of itself.
    pub metadata: Vec<Metadata>,
    /// The file's bytes.
    pub bytes: Arc<[u8]>,
}

impl Library {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Code::Plugin`] if it is no plugin; else if it cannot be read.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).context(format!("{} cannot be read", file.display()))?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let metadata = metadata::read(file, &bytes)?;
        Ok(Self { file: file.into(), sha256, metadata, bytes: bytes.into() })
    }

    /// Whether it may be loaded.
    ///
    /// # Errors
    /// [`Code::Plugin`] with the reason against it.
    pub fn admit(&self) -> Result<()> {
        policy::admit(&self.file, &self.metadata)
    }

    /// Loads it into this program: its root object.
    ///
    /// # Errors
    /// [`Code::Plugin`] if it cannot be loaded.
    pub fn load(&self) -> Result<Arc<dyn Object>> {
        library::load(self.package(), &self.file, &self.bytes, tokio::runtime::Handle::current())
    }

    /// The package's name.
    fn package(&self) -> &str {
        self.metadata.first().map_or("", |record| &record.package)
    }
}

/// A plugin that was found, and not opened.
pub struct Found {
    /// Where it is.
    pub origin: Origin,
    /// Whether the configuration names it; else it lies in a search folder.
    pub wanted: bool,
    /// The library, if it is one; or why it would be refused.
    pub verdict: Result<Option<Library>>,
}

/// What a request names, and what lies in its search folders: nothing of it runs.
///
/// # Errors
/// If a `plugins.lock` cannot be read, or what is named cannot be found.
pub fn survey(request: &Request) -> Result<Vec<Found>> {
    let locks = request.locks()?;
    let mut all: Vec<Found> = Vec::new();
    let mut add = |source: Source, settings: &PluginSettings, wanted| {
        let origin = source.origin(settings.isolation);
        if all.iter().any(|known| known.origin == origin) {
            return;
        }
        let verdict = match &source {
            Source::Library(file) => look(file, settings, &locks).map(|(library, _)| Some(library)),
            Source::Command(_) => Ok(None),
        };
        all.push(Found { origin, wanted, verdict });
    };
    for Wanted { place, settings } in &request.wanted {
        for source in Source::of(settings, &request.search).map_err(|error| at(place, error))? {
            add(source, settings, true);
        }
    }
    for folder in request.search.iter().filter(|folder| folder.is_dir()) {
        for file in find::in_folder(folder)? {
            add(Source::library(&file), &PluginSettings::default(), false);
        }
    }
    Ok(all)
}

/// All that is known of a library before a byte of it runs: itself, and what is locked of it.
fn look(file: &Path, settings: &PluginSettings, locks: &[Lock]) -> Result<(Library, Option<Description>)> {
    let library = Library::read(file)?;
    if let Some(pin) = &settings.sha256 {
        policy::pinned(file, &library.sha256, pin)?;
    }
    library.admit()?;
    let mut description = None;
    for lock in locks {
        description =
            description.or(lock.find(file, &library.sha256)?.map(|known| known.description.clone()));
    }
    Ok((library, description))
}

fn at(place: &str, mut error: Error) -> Error {
    error.message.insert_str(0, place);
    error
}

impl Request {
    fn locks(&self) -> Result<Vec<Lock>> {
        self.locks.iter().map(|folder| Lock::read(folder)).collect()
    }
}

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

/// Where a plugin is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// A file, by its one true path.
    Library(PathBuf),
    Command(Vec<String>),
}

impl Source {
    fn of(settings: &PluginSettings, search: &[PathBuf]) -> Result<Vec<Self>> {
        match &settings.path {
            Some(path) => Ok(find::libraries(path, search)?.iter().map(|file| Self::library(file)).collect()),
            None => Ok(vec![Self::Command(settings.command.clone())]),
        }
    }
    fn library(file: &Path) -> Self {
        Self::Library(file.canonicalize().unwrap_or_else(|_| file.into()))
    }
    fn origin(&self, isolation: Isolation) -> Origin {
        match (self, isolation) {
            (Self::Library(file), Isolation::Library) => Origin::Library(file.clone()),
            (Self::Library(file), Isolation::Process) => Origin::Process(file.display().to_string()),
            (Self::Command(command), _) => Origin::Process(command.join(" ")),
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
    pub fn origin(&self) -> Origin {
        self.source.origin(self.settings.isolation)
    }

    /// Its components.
    ///
    /// # Errors
    /// If this program does not know an interface of theirs.
    pub fn entries(self: &Arc<Self>) -> Result<Vec<Entry>> {
        let Description { package, version, components, .. } = &self.description;
        let entry = |described: &Described| {
            let (plugin, interface, kind) =
                (self.clone(), described.interface.clone(), described.kind.clone());
            let create = move |config, host| -> BoxFuture<'static, Result<Component>> {
                let create = Create { interface: interface.clone(), kind: kind.clone(), config };
                Box::pin(plugin.clone().create(create, host))
            };
            Entry::new(described.clone(), package, version, self.origin(), Arc::new(create))
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
            super::lock::NAME
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use forethought_api::wire::Interface as _;
    use forethought_sdk::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::PluginPath;
    use crate::plugin::lock::Locked;
    use crate::plugin::testing::{library, metadata, record};
    use crate::testing;

    /// A plugin in memory, which brings `encoder.tide`, and counts how often it is loaded and started.
    #[derive(Clone, Default)]
    struct TidePools {
        loaded: Arc<AtomicU32>,
        started: Arc<AtomicU32>,
        /// What it says of itself where it is loaded, if that is not what it says in a process.
        lie: Option<&'static str>,
    }

    struct Encoder;

    #[async_trait]
    impl TextEncoder for Encoder {
        async fn spec(&self) -> Result<EncoderSpec> {
            Ok(EncoderSpec { id: "tide".into(), ..EncoderSpec::default() })
        }
        async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
            Matrix::new(texts.len(), 1, vec![1.0; texts.len()])
        }
    }

    struct Root(Description);

    #[async_trait]
    impl Module for Root {
        async fn describe(&self) -> Result<Description> {
            Ok(self.0.clone())
        }
        async fn create(&self, create: Create, _: Arc<dyn Host>) -> Result<Component> {
            match create.config.get("hang") {
                Some(_) => std::future::pending().await,
                None => Ok(Component::Encoder(Arc::new(Encoder))),
            }
        }
    }

    fn description(kind: &str) -> Description {
        let interface = "forethought.encoder/1".into();
        let schema = json!({ "type": "object", "properties": { "depth": { "type": "integer" } } });
        let tide = Described { interface, kind: kind.into(), summary: String::new(), schema };
        Description::new("tide-pools", "0.1.0", vec![tide])
    }

    fn root(kind: &str) -> Arc<dyn Object> {
        <dyn Module>::serve(Arc::new(Root(description(kind))))
    }

    impl Transport for TidePools {
        fn load(&self, _: &Library) -> Result<Arc<dyn Object>> {
            self.loaded.fetch_add(1, SeqCst);
            Ok(root(self.lie.unwrap_or("tide")))
        }
        fn start(&self, _: Process) -> BoxFuture<'static, Result<Arc<dyn Object>>> {
            self.started.fetch_add(1, SeqCst);
            Box::pin(async { Ok(root("tide")) })
        }
        fn serving(&self, library: &Library) -> Vec<String> {
            vec!["serve".into(), library.file.display().to_string()]
        }
    }

    impl TidePools {
        fn counts(&self) -> (u32, u32) {
            (self.loaded.load(SeqCst), self.started.load(SeqCst))
        }
    }

    /// A folder with a library, and a request for it.
    struct Desk {
        folder: tempfile::TempDir,
        file: PathBuf,
        request: Request,
    }

    impl Desk {
        fn new(settings: PluginSettings) -> Self {
            Self::with(settings, &record("encoder", "tide"))
        }
        fn with(settings: PluginSettings, section: &[u8]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().canonicalize().unwrap().join("libtide_pools.so");
            std::fs::write(&file, library(section)).unwrap();
            let path = Some(PluginPath(file.display().to_string()));
            let wanted =
                Wanted { place: "my.toml:3: ".into(), settings: PluginSettings { path, ..settings } };
            let locks = vec![folder.path().into()];
            Self { folder, file, request: Request { wanted: vec![wanted], locks, ..Request::default() } }
        }
    }

    async fn build(registry: &Registry, config: Value) -> Result<Arc<dyn TextEncoder>> {
        let host: Arc<dyn Host> = Arc::new(testing::host(""));
        let component = (registry.find("encoder", "tide")?.create)(config, host).await?;
        Ok(forethought_api::registry::Pluggable::unwrap(component).expect("an encoder"))
    }

    fn refusal<T>(result: Result<T>) -> String {
        let error = result.err().expect("this must be refused");
        assert_eq!(error.code, Code::Plugin, "{error}");
        error.to_string()
    }

    #[tokio::test]
    async fn a_library_is_loaded_when_a_component_is_first_built_and_only_then() {
        let (tide, desk) = (TidePools::default(), Desk::new(PluginSettings::default()));
        let plugins = Plugins::new(tide.clone());
        let registry = plugins.registry(&desk.request).await.unwrap();
        let entry = registry.find("encoder", "tide").unwrap();
        assert_eq!(entry.origin, Origin::Library(desk.file.clone()));
        assert_eq!(
            (&*entry.package, &entry.schema["properties"]["depth"]["type"]),
            ("tide-pools", &json!("integer"))
        );
        assert_eq!(tide.counts(), (0, 1), "it was asked in a process, and not loaded");

        let encoder = build(&registry, json!({})).await.unwrap();
        assert_eq!(encoder.spec().await.unwrap().id, "tide");
        // Another configuration of the same program: it is there already.
        let registry = plugins.registry(&desk.request).await.unwrap();
        build(&registry, json!({})).await.unwrap();
        assert_eq!(tide.counts(), (1, 1));
        plugins.shutdown().await;
    }

    #[tokio::test]
    async fn what_is_locked_is_not_asked_and_must_be_the_same() {
        let (tide, desk) = (TidePools::default(), Desk::new(PluginSettings::default()));
        let looked = Library::read(&desk.file).unwrap();
        let mut lock = Lock::default();
        lock.add(Locked {
            path: desk.file.clone(),
            sha256: looked.sha256,
            metadata: looked.metadata,
            description: description("tide"),
        });
        lock.write(desk.folder.path()).unwrap();
        let registry = Plugins::new(tide.clone()).registry(&desk.request).await.unwrap();
        assert_eq!(tide.counts(), (0, 0));
        build(&registry, json!({})).await.unwrap();

        std::fs::write(&desk.file, library(&[record("encoder", "tide"), vec![0; 8]].concat())).unwrap();
        let message = refusal(Plugins::new(tide.clone()).registry(&desk.request).await);
        assert!(message.starts_with("my.toml:3: ") && message.contains("plugin add"), "{message}");
    }

    #[tokio::test]
    async fn what_is_refused_is_not_even_asked() {
        let foreign =
            Metadata { target: "riscv64gc-unknown-linux-gnu".into(), ..metadata("encoder", "tide") };
        let pinned = PluginSettings { sha256: Some("0".repeat(64)), ..PluginSettings::default() };
        for (desk, says) in [
            (Desk::new(pinned), "the configuration pins 0000"),
            (
                Desk::with(PluginSettings::default(), &crate::plugin::testing::record_of(&foreign)),
                "riscv64gc",
            ),
            (Desk::with(PluginSettings::default(), &[]), "no plugin"),
        ] {
            let tide = TidePools::default();
            let message = refusal(Plugins::new(tide.clone()).open(&desk.request).await);
            assert!(message.starts_with("my.toml:3: ") && message.contains(says), "{message}");
            assert!(message.contains("libtide_pools.so"), "{message}");
            assert_eq!(tide.counts(), (0, 0));
        }
    }

    #[tokio::test]
    async fn a_library_that_lies_is_refused() {
        let tide = TidePools::default();
        let desk = Desk::with(PluginSettings::default(), &record("encoder", "ebb"));
        let message = refusal(Plugins::new(tide).open(&desk.request).await);
        assert!(
            message.contains("do not agree") && message.contains("`tide` is described only"),
            "{message}"
        );

        let (tide, desk) =
            (TidePools { lie: Some("trap"), ..TidePools::default() }, Desk::new(PluginSettings::default()));
        let registry = Plugins::new(tide).registry(&desk.request).await.unwrap();
        let message = refusal(build(&registry, json!({})).await.map(|_| ()));
        assert!(message.contains("describes itself otherwise than when it was looked at"), "{message}");
    }

    #[tokio::test]
    async fn in_isolation_each_component_has_a_process_of_its_own() {
        let settings = PluginSettings { isolation: Isolation::Process, ..PluginSettings::default() };
        let (tide, desk) = (TidePools::default(), Desk::new(settings));
        let registry = Plugins::new(tide.clone()).registry(&desk.request).await.unwrap();
        for _ in 0..2 {
            build(&registry, json!({})).await.unwrap();
        }
        assert_eq!(tide.counts(), (0, 3));
        let origin = &registry.find("encoder", "tide").unwrap().origin;
        assert_eq!(*origin, Origin::Process(desk.file.display().to_string()));
    }

    #[tokio::test]
    async fn a_component_that_is_never_done_building_is_given_up() {
        let settings = PluginSettings { deadline_s: 0.05, ..PluginSettings::default() };
        let registry = Plugins::new(TidePools::default()).registry(&Desk::new(settings).request).await;
        let error = build(&registry.unwrap(), json!({ "hang": true })).await.err().expect("it hangs");
        assert_eq!(error.code, Code::Deadline);
        assert!(error.message.contains("create of forethought.encoder/1 `tide`"), "{error}");
    }

    #[tokio::test]
    async fn what_is_named_twice_is_opened_once() {
        let (tide, mut desk) = (TidePools::default(), Desk::new(PluginSettings::default()));
        let path = Some(PluginPath(desk.folder.path().display().to_string()));
        let settings = PluginSettings { path, ..PluginSettings::default() };
        desk.request.wanted.push(Wanted { place: "--plugin .: ".into(), settings });
        assert_eq!(Plugins::new(tide.clone()).open(&desk.request).await.unwrap().len(), 1);
        assert_eq!(tide.counts(), (0, 1));
    }

    #[tokio::test]
    async fn a_command_is_asked_too() {
        let settings =
            PluginSettings { command: vec!["python3".into(), "env.py".into()], ..PluginSettings::default() };
        let wanted = vec![Wanted { place: "my.toml:3: ".into(), settings }];
        let tide = TidePools::default();
        let registry =
            Plugins::new(tide.clone()).registry(&Request { wanted, ..Request::default() }).await.unwrap();
        let entry = registry.find("encoder", "tide").unwrap();
        assert_eq!(entry.origin, Origin::Process("python3 env.py".into()));
        build(&registry, json!({})).await.unwrap();
        assert_eq!(tide.counts(), (0, 2));
    }

    #[test]
    fn a_survey_tells_of_all_and_runs_nothing() {
        let mut desk = Desk::new(PluginSettings::default());
        std::fs::write(desk.folder.path().join("libtext.so"), "no library").unwrap();
        desk.request.search = vec![desk.folder.path().into(), "/no/such/folder".into()];
        let found = survey(&desk.request).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].wanted && found[0].verdict.is_ok());
        assert!(!found[1].wanted && found[1].verdict.is_err());
    }
}
