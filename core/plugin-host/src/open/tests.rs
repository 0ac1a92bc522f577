//! Plugins in memory, opened in every way.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use forethought_api::wire::Interface as _;
use forethought_sdk::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::lock::Locked;
use crate::metadata::Metadata;
use crate::settings::PluginPath;
use crate::testing::{Nothing, library, metadata, record, record_of};

/// A plugin in memory that provides `encoder.tide`, and counts how often it is loaded and started.
#[derive(Clone, Default)]
struct TidePools {
    loaded: Arc<AtomicU32>,
    started: Arc<AtomicU32>,
    /// The kind that it describes when it is loaded, if not the one that it describes in a process.
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
        let wanted = Wanted {
            place: "my.toml:3: ".into(),
            settings: PluginSettings { path, ..settings },
            named: NamedBy::User,
        };
        let locks = vec![folder.path().into()];
        Self { folder, file, request: Request { wanted: vec![wanted], locks, ..Request::default() } }
    }
}

async fn build(registry: &Registry, config: Value) -> Result<Arc<dyn TextEncoder>> {
    let component = (registry.find("encoder", "tide")?.create)(config, Arc::new(Nothing)).await?;
    Ok(forethought_api::registry::Pluggable::unwrap(component).expect("an encoder"))
}

fn plugins(tide: TidePools) -> Plugins {
    Plugins::new(tide, Trust::default())
}

fn refusal<T>(result: Result<T>) -> String {
    let error = result.err().expect("this must be refused");
    assert_eq!(error.code, Code::Plugin, "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_library_is_loaded_only_when_a_component_is_first_built() {
    let (tide, desk) = (TidePools::default(), Desk::new(PluginSettings::default()));
    let plugins = plugins(tide.clone());
    let registry = plugins.registry(&desk.request).await.unwrap();
    let entry = registry.find("encoder", "tide").unwrap();
    assert_eq!(entry.origin, ComponentOrigin::Library(desk.file.clone()));
    assert_eq!(
        (&*entry.package, &entry.schema["properties"]["depth"]["type"]),
        ("tide-pools", &json!("integer"))
    );
    assert_eq!(tide.counts(), (0, 1), "a process was asked, the library is not loaded");

    let encoder = build(&registry, json!({})).await.unwrap();
    assert_eq!(encoder.spec().await.unwrap().id, "tide");
    // Another configuration of the same program: it is already loaded.
    let registry = plugins.registry(&desk.request).await.unwrap();
    build(&registry, json!({})).await.unwrap();
    assert_eq!(tide.counts(), (1, 1));
    plugins.shutdown().await;
}

#[tokio::test]
async fn a_locked_library_is_not_asked_and_must_be_unchanged() {
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
    let registry = plugins(tide.clone()).registry(&desk.request).await.unwrap();
    assert_eq!(tide.counts(), (0, 0));
    build(&registry, json!({})).await.unwrap();

    std::fs::write(&desk.file, library(&[record("encoder", "tide"), vec![0; 8]].concat())).unwrap();
    let message = refusal(plugins(tide.clone()).registry(&desk.request).await);
    assert!(message.starts_with("my.toml:3: ") && message.contains("plugin add"), "{message}");
}

#[tokio::test]
async fn a_refused_library_is_not_asked() {
    let foreign = Metadata { target: "riscv64gc-unknown-linux-gnu".into(), ..metadata("encoder", "tide") };
    let pinned = PluginSettings { sha256: Some("0".repeat(64)), ..PluginSettings::default() };
    for (desk, says) in [
        (Desk::new(pinned), "the configuration pins 0000"),
        (Desk::with(PluginSettings::default(), &record_of(&foreign)), "riscv64gc"),
        (Desk::with(PluginSettings::default(), &[]), "not a plugin"),
    ] {
        let tide = TidePools::default();
        let message = refusal(plugins(tide.clone()).open(&desk.request).await);
        assert!(message.starts_with("my.toml:3: ") && message.contains(says), "{message}");
        assert!(message.contains("libtide_pools.so"), "{message}");
        assert_eq!(tide.counts(), (0, 0));
    }
}

#[tokio::test]
async fn a_library_that_lies_is_refused() {
    let tide = TidePools::default();
    let desk = Desk::with(PluginSettings::default(), &record("encoder", "ebb"));
    let message = refusal(plugins(tide).open(&desk.request).await);
    assert!(message.contains("do not agree") && message.contains("`tide` is described only"), "{message}");

    let (tide, desk) =
        (TidePools { lie: Some("trap"), ..TidePools::default() }, Desk::new(PluginSettings::default()));
    let registry = plugins(tide).registry(&desk.request).await.unwrap();
    let message = refusal(build(&registry, json!({})).await.map(|_| ()));
    assert!(message.contains("its description has changed since it was inspected"), "{message}");
}

#[tokio::test]
async fn in_isolation_each_component_has_its_own_process() {
    let settings = PluginSettings { isolation: Isolation::Process, ..PluginSettings::default() };
    let (tide, desk) = (TidePools::default(), Desk::new(settings));
    let registry = plugins(tide.clone()).registry(&desk.request).await.unwrap();
    for _ in 0..2 {
        build(&registry, json!({})).await.unwrap();
    }
    assert_eq!(tide.counts(), (0, 3));
    let origin = &registry.find("encoder", "tide").unwrap().origin;
    assert_eq!(*origin, ComponentOrigin::Process(desk.file.display().to_string()));
}

#[tokio::test]
async fn building_a_component_has_a_deadline() {
    let settings = PluginSettings { deadline_s: 0.05, ..PluginSettings::default() };
    let registry = plugins(TidePools::default()).registry(&Desk::new(settings).request).await;
    let error = build(&registry.unwrap(), json!({ "hang": true })).await.err().expect("it hangs");
    assert_eq!(error.code, Code::Deadline);
    assert!(error.message.contains("create of forethought.encoder/1 `tide`"), "{error}");
}

#[tokio::test]
async fn a_plugin_that_is_named_twice_is_opened_once() {
    let (tide, mut desk) = (TidePools::default(), Desk::new(PluginSettings::default()));
    let path = Some(PluginPath(desk.folder.path().display().to_string()));
    let settings = PluginSettings { path, ..PluginSettings::default() };
    desk.request.wanted.push(Wanted { place: "--plugin .: ".into(), settings, named: NamedBy::User });
    assert_eq!(plugins(tide.clone()).open(&desk.request).await.unwrap().len(), 1);
    assert_eq!(tide.counts(), (0, 1));
}

#[tokio::test]
async fn a_command_is_asked_too() {
    let settings =
        PluginSettings { command: vec!["python3".into(), "env.py".into()], ..PluginSettings::default() };
    let wanted = vec![Wanted { place: "my.toml:3: ".into(), settings, named: NamedBy::User }];
    let tide = TidePools::default();
    let registry = plugins(tide.clone()).registry(&Request { wanted, ..Request::default() }).await.unwrap();
    let entry = registry.find("encoder", "tide").unwrap();
    assert_eq!(entry.origin, ComponentOrigin::Process("python3 env.py".into()));
    build(&registry, json!({})).await.unwrap();
    assert_eq!(tide.counts(), (0, 2));
}

#[test]
fn a_survey_lists_everything_and_runs_nothing() {
    let mut desk = Desk::new(PluginSettings::default());
    std::fs::write(desk.folder.path().join("libtext.so"), "no library").unwrap();
    desk.request.search = vec![desk.folder.path().into(), "/no/such/folder".into()];
    let found = plugins(TidePools::default()).survey(&desk.request).unwrap();
    assert_eq!(found.len(), 2);
    assert!(found[0].wanted && found[0].verdict.is_ok());
    assert!(!found[1].wanted && found[1].verdict.is_err());
}

#[test]
fn a_library_that_would_fill_the_memory_is_refused() {
    let desk = Desk::new(PluginSettings::default());
    std::fs::File::options().write(true).open(&desk.file).unwrap().set_len(1 << 40).unwrap();
    let message = refusal(Library::read(&desk.file));
    assert!(
        message.contains("libtide_pools.so is refused") && message.contains("1099511627776 bytes"),
        "{message}"
    );
}
