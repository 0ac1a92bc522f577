//! The host: builds the configured components, each once and on demand, and offers them to one another.

pub mod assemble;
pub mod encoder_cache;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    behaviour::ScriptedBehaviour,
    critic::{Critic, CriticTrainer},
    encoder::TextEncoder,
    environment::{Environment, EnvironmentSpec},
    error::Context,
    host::{Host, ModelFiles},
    llm::{LlmBackend, LlmCapabilities},
    planner::{Planner, Requirements, Summariser},
    registry::{Component, Pluggable},
};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use crate::budget::prices::{self, Price};
use crate::config::{ComponentConfig, Config, KeyPath, dotted, roles};
use crate::host::encoder_cache::CachedEncoder;
use crate::layers::{CallConfig, route::Routed};
use crate::registry::{Origin, Registry, suggestion};
use crate::run::lacking;

/// The components of one configuration.
///
/// Cheap to clone. The clone that a component is given knows whose it is, so that the dependencies between components
/// are known as they arise, and one that would close a circle is refused rather than waited for.
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
    files: Mutex<BTreeMap<KeyPath, BTreeMap<String, String>>>,
}

impl RuntimeHost {
    /// The host of `config`'s components; builds none yet.
    pub fn new(config: Arc<Config>, registry: Arc<Registry>) -> Self {
        let shared = Shared {
            config,
            registry,
            built: Mutex::default(),
            dependencies: Mutex::default(),
            caches: Mutex::default(),
            files: Mutex::default(),
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
    /// If there is none, or it cannot be built.
    pub async fn environment(&self) -> Result<Arc<dyn Environment>> {
        self.component(&["environment"]).await
    }

    /// The summariser of `[summariser]`; without that section, the only language model at work.
    ///
    /// # Errors
    /// If there is none, or it cannot be built.
    pub async fn summariser(&self) -> Result<Arc<dyn Summariser>> {
        self.component(&["summariser"]).await
    }

    /// The trainer of `[trainer.<name>]`.
    ///
    /// # Errors
    /// If there is none, or it cannot be built.
    pub async fn trainer(&self, name: &str) -> Result<Arc<dyn CriticTrainer>> {
        self.component(&["trainer", name]).await
    }

    /// The component of `kind` with its default configuration: for importers and verifiers, which have no section.
    ///
    /// # Errors
    /// If there is none, or it cannot be built from defaults.
    pub async fn unconfigured<I: Pluggable + ?Sized>(&self, kind: &str) -> Result<Arc<I>> {
        self.unwrap(self.create(&[I::WORD.into(), kind.into()], kind, Map::new()).await?)
    }

    /// Texts answered from each encoder's cache, and texts that it had to encode, by the encoder's name.
    pub fn encoder_counts(&self) -> Vec<(String, (u64, u64))> {
        let caches = self.shared.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.iter().map(|(section, cache)| (section[1].clone(), cache.counts())).collect()
    }

    /// Who takes each of the environment's seats: what `[seats]` says (`"*"` stands for every seat that it does not
    /// name), or the only planner there is. `first` names a planner for the first seat, whatever the configuration says:
    /// the agent under test.
    ///
    /// # Errors
    /// A seat without a planner, or a name that is no seat or no planner.
    pub fn seats(&self, spec: &EnvironmentSpec, first: Option<&str>) -> Result<Vec<String>> {
        let config = &self.shared.config;
        let known: Vec<&str> = spec.seats.iter().map(|seat| seat.name.as_str()).collect();
        if let Some(seat) =
            config.seats.keys().find(|seat| *seat != OTHERS && !known.contains(&seat.as_str()))
        {
            let message =
                format!("`{}` has no such seat; {}", spec.name, suggestion(seat, known.into_iter()));
            return Err(Error::config(config.document().at(&["seats".into(), seat.clone()], message)));
        }
        let only = config.planner.keys().next().filter(|_| config.planner.len() == 1);
        let assigned = spec.seats.iter().enumerate().map(|(index, seat)| {
            let first = first.filter(|_| index == 0);
            let given = config.seats.get(&seat.name).or(config.seats.get(OTHERS));
            let planner = first.or(given.or(only).map(String::as_str)).ok_or_else(|| {
                Error::config(format!(
                    "nobody takes the seat `{0}` of `{1}`; add `{0} = \"...\"` under [seats] with the name of a planner",
                    seat.name, spec.name
                ))
            })?;
            config.component("planner", planner).map(|_| planner.to_string())
        });
        assigned.collect()
    }

    /// Builds the environment, the planners of `seats` and all that these need, and checks that the needs are met.
    /// Gives all needs together, those of critics and of the summariser among them.
    ///
    /// # Errors
    /// The first need that is not met.
    pub async fn check(&self, seats: &[String]) -> Result<Requirements> {
        let spec = self.environment().await?.spec().await?;
        let mut all = Requirements::default();
        for name in BTreeSet::from_iter(seats) {
            let needs = self.planner(name.clone()).await?.requires().await?;
            all = all.and(self.meet(&["planner".into(), name.clone()], needs, &spec).await?);
        }
        if self.shared.config.summariser.is_some() {
            let needs = self.summariser().await?.requires().await?;
            all = all.and(self.meet(&["summariser".into()], needs, &spec).await?);
        }
        self.check_prices(&all.llms).await?;
        Ok(all)
    }

    /// The models that may answer for `name`, a role or a model's own name: each with the key that names it, and what it
    /// says of itself.
    pub(crate) async fn targets(&self, name: &str) -> Result<Vec<(String, LlmCapabilities)>> {
        let names: BTreeSet<String> = match self.shared.config.roles.get(name) {
            Some(role) => role.targets().map(String::from).collect(),
            None => [name.to_string()].into(),
        };
        let mut targets = Vec::new();
        for name in names {
            let llm = self.component::<dyn LlmBackend>(&["llm", &name]).await?;
            targets.push((name.clone(), llm.capabilities().await.context(format!("[llm.{name}]"))?));
        }
        Ok(targets)
    }

    /// What every `[llm.<name>]` costs that may be asked on behalf of `names`, where that is known. A model that was built
    /// over another one costs nothing itself.
    ///
    /// # Errors
    /// If a model cannot be built.
    pub async fn prices(&self, names: &[String]) -> Result<BTreeMap<String, Option<Price>>> {
        let config = &self.shared.config;
        let mut prices = BTreeMap::new();
        let mut open = names.to_vec();
        while let Some(name) = open.pop() {
            for (llm, capabilities) in self.targets(&name).await? {
                if prices.contains_key(&llm) {
                    continue;
                }
                let ComponentConfig { kind, config: settings } = config.component("llm", &llm)?;
                let within = self.models_within(&llm);
                // What a loaded plugin asks of another model is not seen here to be part of a call.
                let linked = self.shared.registry.find("llm", kind)?.origin == Origin::Linked;
                let price = if capabilities.free || (linked && !within.is_empty()) {
                    Some(Price::FREE)
                } else {
                    let provider = settings.get("provider").and_then(Value::as_str);
                    let price = prices::find(&config.prices, provider, &capabilities.model);
                    let longest = settings.get("max_tokens").and_then(Value::as_u64);
                    let longest = longest.map_or(u32::MAX, |tokens| tokens.try_into().unwrap_or(u32::MAX));
                    price.map(|price| Price {
                        max_output_tokens: price.max_output_tokens.min(longest),
                        ..price
                    })
                };
                prices.insert(llm, price);
                open.extend(within);
            }
        }
        Ok(prices)
    }

    /// The models and roles that `[llm.<name>]` was built over.
    fn models_within(&self, name: &str) -> Vec<String> {
        let dependencies = self.shared.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        let needs = dependencies.get(&["llm".to_string(), name.to_string()][..]).into_iter().flatten();
        needs.filter(|need| ["llm", ROLES].contains(&&*need[0])).map(|need| need[1].clone()).collect()
    }

    /// An error, with the lines that mend it, if money has a limit and a price is not known.
    async fn check_prices(&self, llms: &[String]) -> Result<()> {
        let config = &self.shared.config;
        let mut keys = vec![vec!["run", "max_usd"], vec!["run", "per_episode", "max_usd"]];
        keys.extend(config.roles.keys().map(|role| vec![ROLES, role, "max_usd"]));
        let mut keys = keys.into_iter().map(|key| key.into_iter().map(String::from).collect::<KeyPath>());
        let Some(limit) = keys.find(|key| config.document().get(key).is_some()) else { return Ok(()) };
        for (llm, price) in self.prices(llms).await? {
            if price.is_some() {
                continue;
            }
            let model = self.targets(&llm).await?.swap_remove(0).1.model;
            let provider = config.component("llm", &llm)?.config.get("provider").and_then(Value::as_str);
            let name = provider.map_or(model.clone(), |provider| format!("{provider}/{model}"));
            let message = format!(
                "the price of `{model}` ([llm.{llm}]) is not known, and without it no limit on money can be kept. Add, \
                 from the provider's page (US dollars per million tokens, and the longest answer in tokens):\n\
                 [prices.{name:?}]\ninput = ...\noutput = ...\nmax_output_tokens = ..."
            );
            return Err(Error::config(config.document().at(&limit, message)));
        }
        Ok(())
    }

    /// Builds what `section` needs, and what that needs in turn.
    async fn meet(
        &self,
        section: &[String],
        needs: Requirements,
        spec: &EnvironmentSpec,
    ) -> Result<Requirements> {
        let refuse = |message: String| Err(Error::config(self.shared.config.document().at(section, message)));
        let host = self.owned_by(section);
        for name in &needs.llms {
            host.llm(name.clone()).await?;
            for (llm, capabilities) in self.targets(name).await? {
                if let Some(lack) = lacking(&needs, &capabilities) {
                    let role = match self.shared.config.roles.contains_key(name) {
                        true => format!(", one of the role `{name}`,"),
                        false => String::new(),
                    };
                    return refuse(format!(
                        "needs {lack}, and `{}` ([llm.{llm}]){role} offers none; choose a model that does, or settings \
                         of `{}` that need none",
                        capabilities.model,
                        dotted(section)
                    ));
                }
            }
        }
        if needs.fork && !spec.fork {
            return refuse(format!("needs copies of the environment, and `{}` cannot be copied", spec.name));
        }
        let mut all = needs.clone();
        for name in needs.critics {
            let own = host.critic(name.clone()).await?.requires().await?;
            all = all.and(Box::pin(self.meet(&["critic".into(), name], own, spec)).await?);
        }
        Ok(all)
    }

    /// What decides a component's answers, for the identity of episodes: its configuration, the contents of its files,
    /// and the same of every component that it needs. Complete once the component is built.
    pub fn identity(&self, section: &[String]) -> Value {
        let document = self.shared.config.document();
        let files = {
            let files = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.get(section).cloned().unwrap_or_default()
        };
        let needs = {
            let dependencies = self.shared.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
            dependencies.get(section).cloned().unwrap_or_default()
        };
        let needs: Map<String, Value> =
            needs.iter().map(|need| (dotted(need), self.identity(need))).collect();
        let mut config = document.get(section).cloned().unwrap_or_default();
        if section[0] == <dyn LlmBackend>::WORD
            && let Value::Object(config) = &mut config
        {
            config.remove("calls"); // How it is called decides no answer.
        }
        if section[0] == ROLES
            && let Value::Object(config) = &mut config
        {
            config.retain(|key, _| !roles::LIMITS.contains(&key.as_str())); // Nor how much it may cost.
        }
        json!({ "config": config, "files": files, "needs": needs })
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
                Component::Encoder(inner) => Component::Encoder(self.cached(&section, inner)),
                Component::Llm(inner) => Component::Llm(self.called(&section, inner, calls)?),
                other => other,
            })
        });
        self.unwrap(component.await?.clone())
    }

    /// Who answers for a role.
    async fn role(&self, name: &str, role: &roles::Role) -> Result<Arc<dyn LlmBackend>> {
        let section = [ROLES.to_string(), name.to_string()];
        self.depend(&section)?;
        let host = self.owned_by(&section);
        let llm = async |name: &str| host.component(&["llm", name]).await;
        let mut routes = BTreeMap::new();
        for (purpose, target) in &role.routes {
            routes.insert(*purpose, llm(target).await?);
        }
        Ok(Routed::over(llm(&role.llm).await?, routes))
    }

    /// A language model within the layers that its calls go through.
    fn called(
        &self,
        section: &[String],
        inner: Arc<dyn LlmBackend>,
        calls: Option<Value>,
    ) -> Result<Arc<dyn LlmBackend>> {
        let calls: CallConfig = calls.map(serde_json::from_value).transpose()?.unwrap_or_default();
        calls.around(inner, &section[1], &self.identity(section))
    }

    /// The configuration of a section, or an error at the very key that names a section which is not there.
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
        let (key, _) = section.iter().find(|(key, value)| {
            let listed = value.as_array().is_some_and(|list| list.iter().any(|element| element == name));
            *key != "kind" && (*value == name || listed)
        })?;
        Some([owner.clone(), vec![key.clone()]].concat())
    }

    /// Notes that the owner needs `section`, unless that would close a circle.
    fn depend(&self, section: &[String]) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let mut dependencies = self.shared.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = way(&dependencies, section, owner) {
            let circle: Vec<_> = std::iter::once(owner).chain(&way).map(|section| dotted(section)).collect();
            return Err(Error::config(format!("these need each other in a circle: {}", circle.join(" -> "))));
        }
        dependencies.entry(owner.clone()).or_default().insert(section.into());
        Ok(())
    }

    async fn create(&self, section: &[String], kind: &str, config: Map<String, Value>) -> Result<Component> {
        let entry = self.shared.registry.find(&section[0], kind)?;
        let host = Arc::new(self.owned_by(section));
        let built = (entry.create)(Value::Object(config), host).await;
        built.map_err(|error| {
            let document = self.shared.config.document();
            let key = [section, &["kind".to_string()]].concat();
            error.context(document.at(&key, format_args!("`{kind}` cannot be built")))
        })
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

    /// Notes what the owner's files hold: a checkpoint trained anew under the old name is another critic.
    fn note_files(&self, folder: &Path, request: &ModelFiles) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        for file in request.required.iter().chain(&request.optional) {
            let path = folder.join(file);
            if path.is_file() {
                let mut hasher = blake3::Hasher::new();
                let mut contents = std::fs::File::open(&path).context(path.display().to_string())?;
                std::io::copy(&mut contents, &mut hasher).context(path.display().to_string())?;
                let mut files = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
                let own = files.entry(owner.clone()).or_default();
                own.insert(file.clone(), hasher.finalize().to_hex().to_string());
            }
        }
        Ok(())
    }

    fn unwrap<I: Pluggable + ?Sized>(&self, component: Component) -> Result<Arc<I>> {
        I::unwrap(component).ok_or_else(|| {
            Error::other(format!("a component registered as {} turned out to be something else", I::NAME))
        })
    }
}

/// The section of roles.
pub(crate) const ROLES: &str = "roles";

/// In `[seats]`: every seat that is not named there.
const OTHERS: &str = "*";

/// A way along dependencies from one section to another, both included.
fn way(all: &BTreeMap<KeyPath, BTreeSet<KeyPath>>, from: &[String], to: &[String]) -> Option<Vec<KeyPath>> {
    if from == to {
        return Some(vec![to.into()]);
    }
    // There are no circles in `all`, for none is ever let in, so this ends.
    let next = all.get(from)?.iter().find_map(|next| way(all, next, to))?;
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
        // Hashing the weights of a model, let alone fetching them, takes longer than an async task may.
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
    use forethought_api::{environment::SeatSpec, error::Code};

    use super::*;
    use crate::testing;

    const WORLD: &str = "[environment]\nkind = \"corridor\"\n[llm.actor]\nkind = \"parrot\"\n";

    fn host(toml: &str) -> RuntimeHost {
        testing::host(&format!("{WORLD}{toml}"))
    }

    async fn refusal(toml: &str) -> String {
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
        // Asked for both ends at once, neither waits for the other.
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
    async fn needs_are_checked_before_the_first_step() {
        let message = refusal("[planner.a]\nkind = \"echo\"\nllm = \"actor\"\nfork = true\n").await;
        assert!(message.contains("`corridor` cannot be copied"), "{message}");
        for (need, words) in [
            ("logprobs", "log-probabilities"),
            ("tools", "tool calls"),
            ("json_schema", "answers held to a JSON schema"),
        ] {
            let planner = format!("[planner.a]\nkind = \"echo\"\nllm = \"actor\"\n{need} = true\n");
            let message = refusal(&planner).await;
            let expected = format!(
                "forethought.toml:5: `planner.a`: needs {words}, and `parrot` ([llm.actor]) offers none; choose a model \
                 that does, or settings of `planner.a` that need none"
            );
            assert!(message.ends_with(&expected), "{message}");
            let clever = "[llm.owl]\nkind = \"parrot\"\nclever = true\n";
            // Every model of a role must do what is asked of the role.
            let roles = "[roles]\nactor = { llm = \"owl\", judge = \"actor\" }\n";
            let message = refusal(&format!("{planner}{clever}{roles}")).await;
            assert!(
                message.contains("and `parrot` ([llm.actor]), one of the role `actor`, offers none"),
                "{message}"
            );
            let host = host(&format!("{planner}{clever}[roles]\nactor = \"owl\"\n"));
            host.check(&["a".into()]).await.unwrap();
        }
        let message = refusal("[planner.a]\nkind = \"echo\"\nllm = \"actor\"\n[seats]\nagnt = \"a\"\n").await;
        assert!(
            message.contains("`seats.agnt`: `corridor` has no such seat; the nearest is `agent`"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn seats_are_taken_by_configuration_the_only_planner_or_the_command_line() {
        let one = "[planner.a]\nkind = \"echo\"\nllm = \"actor\"\n";
        let two = format!("{one}[planner.b]\nkind = \"echo\"\nllm = \"actor\"\n");
        let seats = async |toml: &str, first| {
            let host = host(toml);
            let spec = host.environment().await.unwrap().spec().await.unwrap();
            host.seats(&spec, first).map_err(|error| error.to_string())
        };
        assert_eq!(seats(one, None).await.unwrap(), ["a"]);
        assert_eq!(seats(&format!("{two}[seats]\nagent = \"b\"\n"), None).await.unwrap(), ["b"]);
        assert_eq!(seats(&two, Some("b")).await.unwrap(), ["b"]);
        assert!(seats(&two, None).await.unwrap_err().contains("nobody takes the seat `agent`"));
        assert!(seats(&two, Some("d")).await.unwrap_err().contains("there is no [planner.d]"));
    }

    #[tokio::test]
    async fn a_star_stands_for_every_seat_that_is_not_named() {
        let named = |name: &str| SeatSpec { name: name.into(), ..SeatSpec::default() };
        let table = EnvironmentSpec {
            seats: ["player 0", "player 1", "player 2"].map(named).into(),
            ..EnvironmentSpec::default()
        };
        let planners =
            "[planner.a]\nkind = \"echo\"\nllm = \"actor\"\n[planner.b]\nkind = \"echo\"\nllm = \"actor\"\n";
        let host = host(&format!("{planners}[seats]\n\"player 1\" = \"a\"\n\"*\" = \"b\"\n"));
        assert_eq!(host.seats(&table, None).unwrap(), ["b", "a", "b"]);
        assert_eq!(host.seats(&table, Some("a")).unwrap(), ["a", "a", "b"]);
    }

    #[tokio::test]
    async fn local_model_folders_must_hold_what_is_required() {
        let host = host("");
        let folder = tempfile::tempdir().unwrap();
        let request = ModelFiles {
            source: folder.path().to_string_lossy().into(),
            required: vec!["config.json".into()],
            optional: vec![],
        };
        let error = host.model_files(request.clone()).await.unwrap_err();
        assert!(error.message.contains("has no config.json"), "{error}");
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        assert_eq!(host.model_files(request).await.unwrap(), folder.path());
        let error = host.model_files(ModelFiles { source: "/no/such".into(), ..Default::default() }).await;
        assert_eq!(error.unwrap_err().code, Code::NotFound);
    }

    #[tokio::test]
    async fn an_identity_holds_all_that_decides_an_answer() {
        let host = host(
            "[planner.a]\nkind = \"echo\"\nllm = \"actor\"\ninner = \"b\"\n[planner.b]\nkind = \"echo\"\nllm = \"actor\"\n",
        );
        host.planner("a".into()).await.unwrap();
        let identity = host.identity(&["planner".into(), "a".into()]);
        assert_eq!(identity["config"]["inner"], "b");
        assert_eq!(identity["needs"]["planner.b"]["config"]["llm"], "actor");

        // A model's files count by what is in them.
        let folder = tempfile::tempdir().unwrap();
        let request = ModelFiles {
            source: folder.path().to_string_lossy().into(),
            required: vec!["weights".into()],
            optional: vec!["more".into()],
        };
        let section = ["critic".to_string(), "critic".to_string()];
        let mut identities = Vec::new();
        for weights in ["1", "2"] {
            std::fs::write(folder.path().join("weights"), weights).unwrap();
            host.owned_by(&section).model_files(request.clone()).await.unwrap();
            identities.push(host.identity(&section));
        }
        assert_ne!(identities[0], identities[1]);
    }

    #[tokio::test]
    async fn how_a_model_is_called_is_configured_beside_it_and_decides_no_answer() {
        let world = "[environment]\nkind = \"corridor\"\n";
        let called = |calls: &str| testing::host(&format!("{world}[llm.a]\nkind = \"parrot\"\n{calls}"));
        let (plain, patient) =
            (called(""), called("[llm.a.calls]\ntimeout_s = 5\nrequests_per_minute = 60\n"));
        for host in [&plain, &patient] {
            host.llm("a".into()).await.unwrap();
        }
        let section = ["llm".to_string(), "a".to_string()];
        assert_eq!(plain.identity(&section), patient.identity(&section));
        let none = format!("{world}[llm.a]\nkind = \"parrot\"\n[llm.a.calls]\ntimeout_s = -5.0\n");
        let error = testing::config(&none).unwrap_err();
        assert!(error.message.contains("`llm.a.calls.timeout_s`: -5.0 is out of range"), "{error}");
    }

    #[tokio::test]
    async fn a_role_sends_each_purpose_to_its_model() {
        let host = host(
            "[llm.gpt]\nkind = \"parrot\"\nmodel = \"big\"\nclever = true\n\
             [llm.mini]\nkind = \"parrot\"\nmodel = \"small\"\nfree = true\n\
             [roles]\nsimple = \"gpt\"\n[roles.actor]\nllm = \"gpt\"\nsummarise = \"mini\"\nmax_calls = 9\n\
             [planner.a]\nkind = \"echo\"\nllm = \"actor\"\n",
        );
        // The role goes before the model of the same name, can what all of its models can, and has the first one's name.
        let actor = host.llm("actor".into()).await.unwrap().capabilities().await.unwrap();
        assert_eq!((actor.model.as_str(), actor.tools, actor.free), ("big", false, false));
        let simple = host.llm("simple".into()).await.unwrap().capabilities().await.unwrap();
        assert_eq!((simple.model.as_str(), simple.tools), ("big", true));

        let section = ["roles".to_string(), "actor".to_string()];
        let identity = host.identity(&section);
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
    async fn a_role_asks_the_model_of_the_purpose() {
        use forethought_api::llm::{ChatRequest, Completion, Purpose};
        struct Named(&'static str);
        #[async_trait]
        impl LlmBackend for Named {
            async fn capabilities(&self) -> Result<LlmCapabilities> {
                Ok(LlmCapabilities::default())
            }
            async fn complete(&self, _: ChatRequest) -> Result<Completion> {
                Ok(Completion { raw: self.0.into(), ..Completion::default() })
            }
        }
        let routes = [(Purpose::Judge, Arc::new(Named("small")) as _)].into();
        let role = Routed::over(Arc::new(Named("big")), routes);
        for (purpose, expected) in [(Purpose::Judge, "small"), (Purpose::Action, "big")] {
            let answer = role.complete(ChatRequest::new(purpose, Vec::new())).await.unwrap();
            assert_eq!(answer.raw, expected);
        }
    }

    #[tokio::test]
    async fn a_limit_on_money_wants_every_price() {
        let planner = "[planner.a]\nkind = \"echo\"\nllm = \"gpt\"\n[run]\nmax_usd = 5\n";
        let gpt = "[llm.gpt]\nkind = \"parrot\"\nmodel = \"gpt-4o-mini\"\n";
        let message = refusal(&format!("{gpt}{planner}")).await;
        assert!(
            message.ends_with(
                "forethought.toml:12: `run.max_usd`: the price of `gpt-4o-mini` ([llm.gpt]) is not known, and without it \
                 no limit on money can be kept. Add, from the provider's page (US dollars per million tokens, and the \
                 longest answer in tokens):\n[prices.\"gpt-4o-mini\"]\ninput = ...\noutput = ...\n\
                 max_output_tokens = ..."
            ),
            "{message}"
        );
        let price = async |toml: &str| {
            let host = host(&format!("{gpt}{toml}{planner}"));
            host.check(&["a".into()]).await.unwrap();
            host.prices(&["gpt".into()]).await.unwrap()["gpt"].unwrap()
        };
        assert_eq!(price("free = true\n").await, Price::FREE);
        assert_eq!(price("provider = \"openai\"\n").await.output, 0.6);
        let own = "[prices.\"gpt-4o-mini\"]\ninput = 1\noutput = 2.5\nmax_output_tokens = 100\n";
        assert_eq!(price(own).await, Price { input: 1.0, output: 2.5, max_output_tokens: 100 });

        // A model over another one costs nothing itself; the other one does.
        let phone = "[llm.phone]\nkind = \"phone\"\nnumber = \"gpt\"\n";
        let planner = planner.replace("\"gpt\"", "\"phone\"");
        let message = refusal(&format!("{gpt}{phone}{planner}")).await;
        assert!(message.contains("the price of `gpt-4o-mini` ([llm.gpt]) is not known"), "{message}");
        let host = host(&format!("{gpt}{own}{phone}{planner}"));
        host.check(&["a".into()]).await.unwrap();
        assert_eq!(host.prices(&["phone".into()]).await.unwrap()["phone"], Some(Price::FREE));
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
    async fn every_skill_is_offered_by_its_kind() {
        let behaviours = host("").behaviours().await.unwrap();
        assert!(behaviours.iter().any(|(kind, _)| kind == "walking"));
    }
}
