//! How trials reach a plugin, what they offer it, and which events they see.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use forethought_plugin_host::{library, process::Process, serve::Stdio};
use forethought_sdk::{
    api::{
        module::{Create, Module},
        registry::Pluggable,
        wire::{self, Object},
    },
    prelude::*,
    serde_json::Value,
};
use libtest_mimic::Trial;
use tokio::runtime::Handle;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt as _};

/// A way to a plugin.
#[derive(Clone)]
pub(crate) struct Way {
    /// Prefix of the names of its trials.
    pub(crate) name: String,
    /// The library.
    pub(crate) file: PathBuf,
    /// Whether it is loaded into a separate process.
    pub(crate) process: bool,
}

impl Way {
    /// A library, loaded into this process.
    pub(crate) fn library(name: &str, file: PathBuf) -> Self {
        Self { name: name.into(), file, process: false }
    }

    /// The same library, loaded into a separate process.
    pub(crate) fn process(name: &str, file: PathBuf) -> Self {
        Self { process: true, ..Self::library(name, file) }
    }

    /// Whether calls stay in this process.
    pub(crate) fn in_process(&self) -> bool {
        !self.process
    }

    /// The root object of a fresh copy of the plugin.
    pub(crate) async fn root(&self) -> Result<Arc<dyn Object>> {
        match self.process {
            true => self.start().start().await,
            false => library::load(&self.name, &self.file, &std::fs::read(&self.file)?, Handle::current()),
        }
    }

    /// How its process is started.
    pub(crate) fn start(&self) -> Process {
        let program = std::env::current_exe().expect("this program has a path");
        let command = [program.as_os_str(), "serve".as_ref(), self.file.as_os_str()];
        Process::new(&self.name, command.map(|word| word.to_str().expect("UTF-8").to_owned()).into())
    }

    /// A fresh copy of the plugin, with its own desk.
    pub(crate) async fn plugin(&self) -> Plugin {
        let root = self.root().await.unwrap_or_else(|error| panic!("{error}"));
        Plugin { module: wire::connect(root).unwrap(), desk: Arc::default() }
    }
}

/// A plugin and its host.
pub(crate) struct Plugin {
    pub(crate) module: Arc<dyn Module>,
    pub(crate) desk: Arc<Desk>,
}

impl Plugin {
    /// Builds a component.
    pub(crate) async fn create<I: Pluggable + ?Sized>(&self, kind: &str, config: Value) -> Result<Arc<I>> {
        let create = Create { interface: I::NAME.into(), kind: kind.into(), config };
        let component = self.module.create(create, self.desk.clone()).await?;
        Ok(I::unwrap(component).expect("a component of the requested interface"))
    }
    /// Builds a component, which must succeed.
    pub(crate) async fn make<I: Pluggable + ?Sized>(&self, kind: &str, config: Value) -> Arc<I> {
        self.create(kind, config).await.unwrap_or_else(|error| panic!("{kind}: {error}"))
    }
}

/// A host that offers language models.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) llms: Mutex<HashMap<String, Arc<dyn LlmBackend>>>,
}

impl Desk {
    /// Offers a language model.
    pub(crate) fn offer(&self, name: &str, llm: Arc<dyn LlmBackend>) {
        self.llms.lock().unwrap().insert(name.into(), llm);
    }
}

#[async_trait]
impl Host for Desk {
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        let found = self.llms.lock().unwrap().get(&name).cloned();
        found.ok_or_else(|| Error::not_found(format!("nothing is called `{name}` here")))
    }
}

/// The text of a world's answer to an action.
pub(crate) async fn say(world: &Arc<dyn Environment>, action: &str) -> Result<String> {
    Ok(world.step(Action::new(action)).await?.turn.observation.text)
}

/// Waits until a condition is true.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("timed out waiting until {what}");
}

/// A trial with its own runtime, whose worker threads end before the trial does.
pub(crate) fn trial<F: Future<Output = ()>>(name: String, run: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || {
        runtime().block_on(async {
            // A trial that hangs fails, and the others continue.
            let limit = Duration::from_secs(120);
            tokio::time::timeout(limit, run())
                .await
                .map_err(|_| format!("not finished within {limit:?}").into())
        })
    })
}

/// A runtime like that of the program.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// The plugin of `tests/plugin`, which Cargo puts next to this program, without its debug information, because every
/// trial copies it.
pub(crate) fn test_plugin() -> PathBuf {
    static STRIPPED: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = std::env::current_exe().expect("this program has a path");
        let library = program.with_file_name("libforethought_test_plugin.so");
        // Named after this process, because several may run at the same time.
        let stripped = scratch().join(format!("libforethought_test_plugin-{}.so", std::process::id()));
        let status = Command::new("strip").args(["--strip-debug", "-o"]).arg(&stripped).arg(library).status();
        assert!(status.expect("binutils, for `strip`").success(), "{} was not made", stripped.display());
        stripped
    });
    STRIPPED.clone()
}

/// A folder for files of the trials.
fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// A library built from `tests/c/<source>.c`.
pub(crate) fn c_library(source: &str, name: &str, flags: &[&str]) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let library = scratch().join(format!("lib{name}.so"));
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-shared", "-fPIC", "-pthread", "-I"])
        .arg(tests.join("../core/abi/include"))
        .arg(tests.join("c").join(source).with_extension("c"))
        .args(flags)
        .arg("-o")
        .arg(&library);
    assert!(cc.status().expect("a C compiler, `cc`").success(), "{source} does not compile");
    library
}

/// What this program does when a trial starts it as a child; `None` otherwise.
pub(crate) fn helper(arguments: &[String]) -> Option<ExitCode> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // Serves a library to the parent process.
        ["serve", library] => {
            let pipes = Stdio::take().expect("pipes");
            tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).without_time().init();
            let way = Way::library("served", library.into());
            runtime().block_on(async {
                let root = way.root().await.unwrap_or_else(|error| panic!("{error}"));
                pipes.serve(root).await.unwrap_or_else(|error| panic!("{error}"));
            });
            Some(ExitCode::SUCCESS)
        }
        // Exits while threads of a library are busy.
        ["leave", library] => {
            let runtime = runtime();
            let way = Way::library("leave", library.into());
            runtime.block_on(async {
                let plugin = way.plugin().await;
                let world: Arc<dyn Environment> =
                    plugin.make("works", Value::Object(Default::default())).await;
                for _ in 0..20 {
                    let world = world.clone();
                    tokio::spawn(async move { say(&world, "churn").await });
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            });
            Some(ExitCode::SUCCESS)
        }
        _ => None,
    }
}

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Records all events of this process, including those of libraries.
pub(crate) fn listen() {
    let heard = tracing_subscriber::registry().with(Ear).with(tracing::level_filters::LevelFilter::INFO);
    tracing::subscriber::set_global_default(heard).expect("the first listener");
}

/// Whether any event so far contained all of these words.
pub(crate) fn heard(words: &[&str]) -> bool {
    HEARD.lock().unwrap().iter().any(|event| words.iter().all(|word| event.contains(word)))
}

struct Ear;

impl<S: tracing::Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &tracing::Event<'_>, _: LayerContext<'_, S>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                let _ = write!(self.0, " {}={value:?}", field.name());
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        HEARD.lock().unwrap().push(line.0);
    }
}
