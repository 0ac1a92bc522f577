//! The host: builds the configured components, each once and on demand, and offers them to one another.

pub mod assemble;
pub mod encoder_cache;
pub mod encoder_store;
mod identity;
mod needs;
mod seats;
mod trained;
pub mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    behaviour::ScriptedBehaviour,
    checkpoint::TrainedOn,
    critic::{Critic, CriticTrainer},
    encoder::TextEncoder,
    environment::Environment,
    error::Context,
    host::{Host, ModelFiles},
    llm::LlmBackend,
    planner::{Planner, Summariser},
    registry::{Component, Pluggable},
};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use crate::config::{ComponentConfig, Config, KeyPath, dotted, roles};
use crate::host::encoder_cache::CachedEncoder;
use crate::host::encoder_store::{Embeddings, StoredEncoder};
use crate::journal::meter::Metering;
use crate::layers::{CallConfig, route::Router};
use crate::registry::Registry;

/// The components of one configuration.
///
/// Cheap to clone. The clone that a component is given knows its owner. So dependencies between components are known as
/// they arise, and one that would close a circle is refused instead of waited for.
#[derive(Clone)]
pub struct RuntimeHost {
    shared: Arc<Shared>,
    owner: Option<KeyPath>,
}

struct Shared {
    config: Arc<Config>,
    registry: Arc<Registry>,
    built: Mutex<BTreeMap<KeyPath, Arc<OnceCell<Component>>>>,
    dependencies: Mutex<BTreeMap<KeyPath, BTreeSet<KeyPath>>>,
    caches: Mutex<BTreeMap<KeyPath, Arc<CachedEncoder>>>,
    /// Vectors kept across runs, for all encoders.
    embeddings: Arc<Embeddings>,
    files: Mutex<BTreeMap<KeyPath, BTreeMap<String, String>>>,
    /// Hashes of what the configuration's paths name.
    contents: Mutex<BTreeMap<PathBuf, String>>,
    /// What the checkpoints of components say of their training.
    trained: Mutex<BTreeMap<KeyPath, TrainedOn>>,
    metering: Metering,
}

impl RuntimeHost {
    /// The host of `config`'s components; builds none yet.
    pub fn new(config: Arc<Config>, registry: Arc<Registry>) -> Self {
        let shared = Shared {
            embeddings: Arc::new(Embeddings::new(config.embeddings.clone())),
            config,
            registry,
            built: Mutex::default(),
            dependencies: Mutex::default(),
            caches: Mutex::default(),
            files: Mutex::default(),
            contents: Mutex::default(),
            trained: Mutex::default(),
            metering: Metering::default(),
        };
        Self { shared: Arc::new(shared), owner: None }
    }

    /// The configuration.
    pub fn config(&self) -> &Arc<Config> {
        &self.shared.config
    }

    /// The components that configurations may name.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.shared.registry
    }

    /// The environment of `[environment]`.
    ///
    /// # Errors
    /// If it does not exist or cannot be built.
    pub async fn environment(&self) -> Result<Arc<dyn Environment>> {
        self.component(&["environment"]).await
    }

    /// The summariser of `[summariser]`; without that section, one with the only language model.
    ///
    /// # Errors
    /// If it does not exist or cannot be built.
    pub async fn summariser(&self) -> Result<Arc<dyn Summariser>> {
        self.component(&["summariser"]).await
    }

    /// The trainer of `[trainer.<name>]`.
    ///
    /// # Errors
    /// If it does not exist or cannot be built.
    pub async fn trainer(&self, name: &str) -> Result<Arc<dyn CriticTrainer>> {
        self.component(&["trainer", name]).await
    }

    /// The component of `kind` with its default configuration: for importers and verifiers, which have no section.
    ///
    /// # Errors
    /// If it does not exist or cannot be built from defaults.
    pub async fn unconfigured<I: Pluggable + ?Sized>(&self, kind: &str) -> Result<Arc<I>> {
        self.standalone(kind, Map::new()).await
    }

    /// The same with this configuration.
    ///
    /// # Errors
    /// If it does not exist or cannot be built from it.
    pub async fn standalone<I: Pluggable + ?Sized>(
        &self,
        kind: &str,
        config: Map<String, Value>,
    ) -> Result<Arc<I>> {
        self.unwrap(self.create(&[I::WORD.into(), kind.into()], kind, config).await?)
    }

    /// Texts answered from each encoder's cache, and texts that it had to encode, by the encoder's name.
    pub fn encoder_counts(&self) -> Vec<(String, (u64, u64))> {
        let caches = self.shared.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.iter().map(|(section, cache)| (section[1].clone(), cache.counts())).collect()
    }

    async fn component<I: Pluggable + ?Sized>(&self, section: &[&str]) -> Result<Arc<I>> {
        let section: KeyPath = section.iter().map(|key| (*key).into()).collect();
        let settings = self.settings(&section)?;
        self.depend(&section)?;
        let cell = {
            let mut built = self.shared.built.lock().unwrap_or_else(PoisonError::into_inner);
            built.entry(section.clone()).or_default().clone()
        };
        let component = cell.get_or_try_init(async || {
            let mut config = settings.config.clone();
            let calls = if I::WORD == <dyn LlmBackend>::WORD { config.remove("calls") } else { None };
            let component = self.create(&section, &settings.kind, config).await?;
            Ok::<_, Error>(match component {
                Component::Encoder(inner) => {
                    let inner = StoredEncoder::new(inner, self.shared.embeddings.clone());
                    Component::Encoder(self.cached(&section, Arc::new(inner)))
                }
                Component::Llm(inner) => Component::Llm(self.called(&section, inner, calls)?),
                other => other,
            })
        });
        self.unwrap(component.await?.clone())
    }

    /// The model or models that answer for a role.
    async fn role(&self, name: &str, role: &roles::Role) -> Result<Arc<dyn LlmBackend>> {
        let section = [ROLES.to_string(), name.to_string()];
        self.depend(&section)?;
        let host = self.owned_by(&section);
        let llm = async |name: &str| host.component(&["llm", name]).await;
        let mut routes = BTreeMap::new();
        for (purpose, target) in &role.routes {
            routes.insert(*purpose, llm(target).await?);
        }
        Ok(Router::over(llm(&role.llm).await?, routes))
    }

    /// A language model within the layers that its calls go through.
    fn called(
        &self,
        section: &[String],
        inner: Arc<dyn LlmBackend>,
        calls: Option<Value>,
    ) -> Result<Arc<dyn LlmBackend>> {
        let calls: CallConfig = calls.map(serde_json::from_value).transpose()?.unwrap_or_default();
        calls.around(
            inner,
            &section[1],
            &self.identity(section, identity::Paths::AsWritten),
            &self.shared.metering,
        )
    }

    /// The configuration of a section, or an error at the key that names a missing section.
    fn settings(&self, section: &[String]) -> Result<&ComponentConfig> {
        let config = &self.shared.config;
        let found = match section {
            [word, name] => config.component(word, name),
            _ => match section[0].as_str() {
                "environment" => config.environment.as_ref(),
                _ => config.summariser.as_ref(),
            }
            .ok_or_else(|| Error::config(format!("the configuration has no [{}]", dotted(section)))),
        };
        found.map_err(|error| match self.mention(section.last().map_or("", String::as_str)) {
            Some(key) => Error::config(config.document().at(&key, error.message)),
            None => error,
        })
    }

    /// The key under which the owner's section names `name`.
    fn mention(&self, name: &str) -> Option<KeyPath> {
        let owner = self.owner.as_ref()?;
        let section = self.shared.config.document().get(owner)?.as_object()?;
        let mut keys = section.iter().filter(|(key, _)| *key != "kind");
        keys.find_map(|(key, value)| mention(value, name, [&owner[..], std::slice::from_ref(key)].concat()))
    }

    /// Notes that the owner needs `section`, unless that would close a circle.
    fn depend(&self, section: &[String]) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let mut dependencies = self.shared.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = path(&dependencies, section, owner) {
            let circle: Vec<_> = std::iter::once(owner).chain(&path).map(|section| dotted(section)).collect();
            let message = format!("these need each other in a circle: {}", circle.join(" -> "));
            let key =
                self.mention(section.last().map_or("", String::as_str)).unwrap_or_else(|| owner.clone());
            return Err(Error::config(self.shared.config.document().at(&key, message)));
        }
        dependencies.entry(owner.clone()).or_default().insert(section.into());
        Ok(())
    }

    async fn create(&self, section: &[String], kind: &str, config: Map<String, Value>) -> Result<Component> {
        let entry = self.shared.registry.find(&section[0], kind)?;
        self.admit_commands(section)?;
        let host = Arc::new(self.owned_by(section));
        let built = (entry.create)(Value::Object(config), host).await;
        built.map_err(|error| {
            let document = self.shared.config.document();
            let key = [section, &["kind".to_string()]].concat();
            error.context(document.at(&key, format_args!("`{kind}` cannot be built")))
        })
    }

    /// Refuses to build a component that would start a program on the word of somebody who is not trusted.
    fn admit_commands(&self, section: &[String]) -> Result<()> {
        let document = self.shared.config.document();
        let Some(trust) = self.shared.registry.trust() else { return Ok(()) };
        for (key, named) in document.commands().iter().filter(|(key, _)| key.starts_with(section)) {
            let (command, folder) = document.command(key);
            trust.admit_command(named, command, folder, &document.at(key, ""))?;
        }
        Ok(())
    }

    fn owned_by(&self, section: &[String]) -> Self {
        Self { shared: self.shared.clone(), owner: Some(section.into()) }
    }

    fn cached(&self, section: &[String], inner: Arc<dyn TextEncoder>) -> Arc<CachedEncoder> {
        let encoder = Arc::new(CachedEncoder::new(inner, CachedEncoder::DEFAULT_BYTES));
        let mut caches = self.shared.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.insert(section.into(), encoder.clone());
        encoder
    }

    fn unwrap<I: Pluggable + ?Sized>(&self, component: Component) -> Result<Arc<I>> {
        I::unwrap(component).ok_or_else(|| {
            Error::other(format!("a component registered as {} turned out to be something else", I::NAME))
        })
    }
}

/// The section of roles.
const ROLES: &str = "roles";

/// The key at or below `key` that has the value `name`.
fn mention(value: &Value, name: &str, key: KeyPath) -> Option<KeyPath> {
    let below = |part: String, value| mention(value, name, [&key[..], &[part]].concat());
    match value {
        Value::String(text) => (text == name).then(|| key.clone()),
        Value::Array(list) => {
            list.iter().enumerate().find_map(|(index, value)| below(index.to_string(), value))
        }
        Value::Object(table) => table.iter().find_map(|(part, value)| below(part.clone(), value)),
        _ => None,
    }
}

/// A path along dependencies from one section to another, both included.
fn path(all: &BTreeMap<KeyPath, BTreeSet<KeyPath>>, from: &[String], to: &[String]) -> Option<Vec<KeyPath>> {
    if from == to {
        return Some(vec![to.into()]);
    }
    // This ends, because a dependency that would close a circle is never added to `all`.
    let next = all.get(from)?.iter().find_map(|next| path(all, next, to))?;
    Some([vec![from.to_vec()], next].concat())
}

#[async_trait]
impl Host for RuntimeHost {
    async fn planner(&self, name: String) -> Result<Arc<dyn Planner>> {
        self.component(&["planner", &name]).await
    }
    async fn encoder(&self, name: String) -> Result<Arc<dyn TextEncoder>> {
        self.component(&["encoder", &name]).await
    }
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>> {
        self.component(&["critic", &name]).await
    }
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        match self.shared.config.roles.get(&name) {
            Some(role) => self.role(&name, role).await,
            None => self.component(&["llm", &name]).await,
        }
    }
    async fn behaviours(&self) -> Result<Vec<(String, Arc<dyn ScriptedBehaviour>)>> {
        let mut behaviours = Vec::new();
        for kind in self.shared.registry.kinds(<dyn ScriptedBehaviour as Pluggable>::WORD) {
            behaviours.push((kind.to_string(), self.unconfigured(kind).await?));
        }
        Ok(behaviours)
    }
    async fn model_files(&self, request: ModelFiles) -> Result<PathBuf> {
        let host = self.clone();
        // Hashing the weights of a model, let alone fetching them, takes longer than an async task may block.
        tokio::task::spawn_blocking(move || {
            let folder = forethought_hub::fetch(&request)?;
            host.note_files(&folder, &request)?;
            Ok(folder)
        })
        .await
        .context("fetching a model")?
    }
}

#[cfg(test)]
mod tests {
    use forethought_api::error::Code;
    use serde_json::json;

    use super::*;
    use crate::{budget::prices::Price, testing};

    const WORLD: &str = "[environment]\nkind = \"corridor\"\n[llm.actor]\nkind = \"parrot\"\n";

    pub(super) fn host(toml: &str) -> RuntimeHost {
        testing::host(&format!("{WORLD}{toml}"))
    }

    pub(super) async fn refusal(toml: &str) -> String {
        let host = host(toml);
        let spec = host.environment().await.unwrap().spec().await.unwrap();
        let checked = match host.seats(&spec, None) {
            Ok(seats) => host.check(&seats).await,
            Err(error) => Err(error),
        };
        checked.expect_err("this must be refused").to_string()
    }

    #[tokio::test]
    async fn a_component_is_built_once() {
        let host = host("[planner.a]\nkind = \"echo\"\nllm = \"actor\"\n");
        let (first, second) = tokio::join!(host.planner("a".into()), host.planner("a".into()));
        assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
    }

    #[tokio::test]
    async fn encoders_come_with_a_cache() {
        let host = host("[encoder.e]\nkind = \"letters\"\n");
        let encoder = host.encoder("e".into()).await.unwrap();
        encoder.encode(vec!["a".into(), "b".into(), "a".into()]).await.unwrap();
        assert_eq!(host.encoder_counts(), [("e".to_string(), (1, 2))]);
    }

    #[tokio::test]
    async fn a_circle_of_planners_is_refused_and_shown() {
        let circle = "[planner.a]\nkind = \"echo\"\nllm = \"actor\"\ninner = \"b\"\n\
                      [planner.b]\nkind = \"echo\"\nllm = \"actor\"\ninner = \"a\"\n[seats]\nagent = \"a\"\n";
        let message = refusal(circle).await;
        assert!(message.contains("planner.b -> planner.a -> planner.b"), "{message}");
        // Requested at once, neither waits for the other.
        let host = host(circle);
        let (a, b) = tokio::join!(host.planner("a".into()), host.planner("b".into()));
        assert!(a.is_err() && b.is_err());
    }

    #[tokio::test]
    async fn a_reference_to_nothing_names_key_line_and_nearest_name() {
        let message = refusal("[planner.a]\nkind = \"echo\"\nllm = \"actr\"\n").await;
        assert!(
            message.contains(
                "forethought.toml:7: `planner.a.llm`: there is no [llm.actr]; the nearest is `actor`"
            ),
            "{message}"
        );
        let message = refusal("[planner.a]\nkind = \"echo\"\nllm = \"actor\"\ninner = \"c\"\n").await;
        assert!(
            message.contains("forethought.toml:8: `planner.a.inner`: there is no [planner.c]"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn local_model_folders_must_hold_what_is_required() {
        let host = host("");
        let folder = tempfile::tempdir().unwrap();
        let request = ModelFiles {
            source: folder.path().to_string_lossy().into(),
            required: vec!["config.json".into()],
            ..Default::default()
        };
        let error = host.model_files(request.clone()).await.unwrap_err();
        assert!(error.message.contains("has no config.json"), "{error}");
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        assert_eq!(host.model_files(request).await.unwrap(), folder.path());
        let error = host.model_files(ModelFiles { source: "/no/such".into(), ..Default::default() }).await;
        assert_eq!(error.unwrap_err().code, Code::NotFound);
    }

    #[tokio::test]
    async fn a_role_sends_each_purpose_to_its_model() {
        let host = host(
            "[llm.gpt]\nkind = \"parrot\"\nmodel = \"big\"\nclever = true\n\
             [llm.mini]\nkind = \"parrot\"\nmodel = \"small\"\nfree = true\n\
             [roles]\nsimple = \"gpt\"\n[roles.actor]\nllm = \"gpt\"\nsummarise = \"mini\"\nmax_calls = 9\n\
             [planner.a]\nkind = \"echo\"\nllm = \"actor\"\n",
        );
        // The role takes precedence over the model of the same name, can do what all of its models can, and is called
        // like the first one.
        let actor = host.llm("actor".into()).await.unwrap().capabilities().await.unwrap();
        assert_eq!((actor.model.as_str(), actor.tools, actor.free), ("big", false, false));
        let simple = host.llm("simple".into()).await.unwrap().capabilities().await.unwrap();
        assert_eq!((simple.model.as_str(), simple.tools), ("big", true));

        let section = ["roles".to_string(), "actor".to_string()];
        let identity = host.identity(&section, identity::Paths::ByContents);
        assert_eq!(
            identity["config"],
            json!({ "llm": "gpt", "summarise": "mini" }),
            "limits decide no answer"
        );
        assert_eq!(identity["needs"]["llm.mini"]["config"]["model"], "small");
        let options = crate::host::assemble::RunOptions::default();
        let spec = host.run_spec(&options).await.unwrap();
        assert_eq!(spec.llms.keys().collect::<Vec<_>>(), ["actor"]);
        assert_eq!(spec.llms["actor"].config["says"][1][1]["model"], "small");
        assert_eq!(spec.role_limits["actor"].max_calls, Some(9));
        assert_eq!(spec.prices, [("gpt".into(), None), ("mini".into(), Some(Price::FREE))].into());
    }

    #[tokio::test]
    async fn a_role_that_answers_for_itself_is_a_circle() {
        let message = refusal(
            "[llm.phone]\nkind = \"phone\"\nnumber = \"self\"\n[roles]\nself = \"phone\"\n\
             [planner.a]\nkind = \"echo\"\nllm = \"self\"\n",
        )
        .await;
        assert!(message.contains("in a circle"), "{message}");
    }

    #[tokio::test]
    async fn every_behaviour_is_offered_by_its_kind() {
        let behaviours = host("").behaviours().await.unwrap();
        assert!(behaviours.iter().any(|(kind, _)| kind == "walking"));
    }
}
