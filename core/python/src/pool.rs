//! The processes of one component: started when they are needed, each guarded and started again after it ended.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forethought_plugin_host::{
    guard::{self, Policy, Recipe},
    process::Process,
};
use forethought_sdk::{
    api::{
        error::Code,
        module::{Create, Described, Module},
        registry::Component,
        wire::{Codec, Message, Object, Reply, connect},
    },
    prelude::*,
    serde_json::Value,
};
use tokio::sync::OnceCell;

use crate::{
    config::PythonConfig,
    interpreter::{command, explain},
};

/// The longest that a process may take to say what it serves.
const DESCRIBE: Duration = Duration::from_secs(60);

/// The workers of one component. As an object it passes each call to the worker that has the fewest.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Workers>);

struct Workers {
    interface: &'static str,
    name: String,
    policy: Policy,
    recipe: Recipe,
    all: Vec<Worker>,
}

#[derive(Default)]
struct Worker {
    object: OnceCell<Arc<dyn Object>>,
    /// Worlds or calls that it has.
    load: Arc<AtomicUsize>,
}

/// A place at a worker.
pub(crate) struct Place(usize, Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// Starts the first worker.
    ///
    /// # Errors
    /// If there is no Python, something is missing in it, or the component cannot be built.
    pub(crate) async fn start(
        interface: &'static str,
        config: PythonConfig,
        host: Arc<dyn Host>,
    ) -> Result<Self> {
        // Whether it can be found does not change later.
        command(&config)?;
        let policy = Policy {
            plugin: config.module.0.clone(),
            deadline: config.deadline(),
            restarts: config.restarts,
            max_answer_mb: config.max_answer_mb,
        };
        let (name, workers) = (config.module.0.clone(), config.workers);
        let config = Arc::new(config);
        let recipe: Recipe = Arc::new(move || {
            let (config, host) = (config.clone(), host.clone());
            Box::pin(async move { build(interface, &config, host).await })
        });
        let all = (0..workers.max(1)).map(|_| Worker::default()).collect();
        let pool = Self(Arc::new(Workers { interface, name, policy, recipe, all }));
        pool.worker(0).await?;
        Ok(pool)
    }

    /// A place at the worker with the fewest worlds or calls.
    pub(crate) fn place(&self) -> Place {
        let load = |index: &usize| self.0.all[*index].load.load(Ordering::Relaxed);
        let least = (0..self.0.all.len()).min_by_key(load).unwrap_or_default();
        self.at(least)
    }

    /// A further place at the same worker.
    pub(crate) fn next_to(&self, place: &Place) -> Place {
        self.at(place.0)
    }

    fn at(&self, index: usize) -> Place {
        let load = &self.0.all[index].load;
        load.fetch_add(1, Ordering::Relaxed);
        Place(index, load.clone())
    }

    /// The component in this place's process.
    pub(crate) async fn object(&self, place: &Place) -> Result<Arc<dyn Object>> {
        self.worker(place.0).await
    }

    async fn worker(&self, index: usize) -> Result<Arc<dyn Object>> {
        let start = async || guard::component(self.0.recipe.clone(), self.0.policy.clone()).await;
        self.0.all[index].object.get_or_try_init(start).await.cloned()
    }
}

impl Object for Pool {
    fn interface(&self) -> &str {
        self.0.interface
    }
    fn invoke(&self, method: &str, request: Message) -> Reply {
        let (pool, method) = (self.clone(), method.to_owned());
        Box::pin(async move {
            let place = pool.place();
            let object = pool.object(&place).await?;
            object.invoke(&method, request).await
        })
    }
    fn understands(&self, codec: Codec) -> bool {
        codec == Codec::Json
    }
    fn origin(&self) -> Option<&str> {
        Some(&self.0.name)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Starts a process and builds the component in it.
async fn build(
    interface: &'static str,
    config: &PythonConfig,
    host: Arc<dyn Host>,
) -> Result<Arc<dyn Object>> {
    let command = command(config)?;
    let (python, module) = (command[0].clone(), &config.module.0);
    let process = Process {
        folder: config.folder.as_deref().map(std::path::Path::to_path_buf),
        memory_mb: config.memory_mb,
        hello_timeout: DESCRIBE,
        ..Process::new(module, command)
    };
    let explained = |error| explain(error, config, &python);
    let served = connect::<dyn Module>(process.start().await.map_err(explained)?)?;
    let late = |what: &str, limit: Duration| {
        Error::new(Code::Deadline, format!("{module}: {what} took more than {} s", limit.as_secs_f64()))
    };
    let described = tokio::time::timeout(DESCRIBE, served.describe()).await;
    let described = described.unwrap_or_else(|_| Err(late("describing its components", DESCRIBE)));
    let described = described.map_err(explained)?;
    let kind = choose(interface, config, &described.components)?;
    let create = Create { interface: interface.into(), kind, config: Value::Object(config.own.clone()) };
    let built = tokio::time::timeout(config.deadline(), served.create(create, host)).await;
    let built = built.unwrap_or_else(|_| Err(late("building it (`deadline_s`)", config.deadline())));
    let built = built.map_err(explained)?.serve();
    if built.interface() != interface {
        let gave = built.interface();
        return Err(Error::new(Code::Plugin, format!("{module} built a {gave} instead of a {interface}")));
    }
    Component::connect(built).map(Component::serve)
}

/// The kind of the component that is meant.
fn choose(interface: &str, config: &PythonConfig, all: &[Described]) -> Result<String> {
    let module = &config.module.0;
    let fit: Vec<_> = all.iter().filter(|one| one.interface == interface).map(|one| &one.kind).collect();
    let list =
        |kinds: &[&String]| kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
    match (&config.component, &fit[..]) {
        (None, [one]) => Ok((*one).clone()),
        (Some(named), _) if fit.contains(&named) => Ok(named.clone()),
        (_, []) => {
            let others: Vec<_> =
                all.iter().map(|one| format!("`{}` of {}", one.kind, one.interface)).collect();
            let others = if others.is_empty() { "nothing".into() } else { others.join(", ") };
            Err(Error::config(format!("`module`: {module} serves no {interface}; it serves {others}")))
        }
        (Some(named), _) => {
            Err(Error::config(format!("`component`: {module} has no `{named}`; it has {}", list(&fit))))
        }
        (None, _) => Err(Error::config(format!(
            "{module} serves several: name one of {} with `component = \"...\"`",
            list(&fit)
        ))),
    }
}
