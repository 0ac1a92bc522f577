//! Tiny components for this crate's own tests: a corridor to walk, a model that repeats, a planner that echoes.

use std::sync::Arc;

use forethought_sdk::prelude::*;

use crate::config::{Config, Sources};
use crate::host::RuntimeHost;
use crate::registry::Registry;

pub(crate) fn registry() -> Registry {
    Registry::linked().expect("the components of this file are linked")
}

/// Reads `toml` as the `forethought.toml` of an otherwise empty folder.
pub(crate) fn config(toml: &str) -> Result<Config> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("forethought.toml"), toml).expect("a file can be written");
    Config::load(&Sources::new(folder.path()), &registry())
}

pub(crate) fn host(toml: &str) -> RuntimeHost {
    let config = config(toml).unwrap_or_else(|error| panic!("{error}"));
    RuntimeHost::new(Arc::new(config), Arc::new(registry()))
}

/// A corridor of some length.
#[config]
#[serde(default)]
struct CorridorConfig {
    /// Steps to its end.
    length: u32,
    /// Its map.
    map: Map,
}

/// A known map, or a file.
#[config]
#[serde(untagged)]
enum Map {
    Known(Known),
    File(ConfigPath),
}

#[config]
#[serde(rename_all = "snake_case")]
enum Known {
    Straight,
}

impl Default for CorridorConfig {
    fn default() -> Self {
        Self { length: 3, map: Map::Known(Known::Straight) }
    }
}

struct Corridor;

#[async_trait]
impl Environment for Corridor {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let seats = vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }];
        let recovery = Recovery::Restart;
        Ok(EnvironmentSpec { name: "corridor".into(), seats, recovery, ..EnvironmentSpec::default() })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        Ok(Turn::default())
    }
    async fn step(&self, _: Action) -> Result<Transition> {
        Ok(Transition { terminated: true, rewards: vec![1.0], ..Transition::default() })
    }
}

register! {
    interface: dyn Environment,
    kind: "corridor",
    summary: "a corridor with an end",
    config: CorridorConfig,
    new: |config: CorridorConfig, _host| async move {
        if let Map::File(path) = &config.map {
            std::fs::metadata(&path.0).context(format!("the map {}", path.display()))?;
        }
        Ok(Arc::new(Corridor) as _)
    },
}

/// A model that repeats its last message.
#[config]
#[derive(Default)]
#[serde(default)]
struct ParrotConfig {
    /// Chance of a slip of the tongue.
    slip: f64,
    /// Environment variable that holds the key.
    api_key_env: Option<String>,
    /// Its name.
    model: Option<String>,
    /// Whose it is.
    #[serde(rename = "provider")]
    _provider: Option<String>,
    /// Whether it has every capability.
    clever: bool,
    /// Whether it costs nothing.
    free: bool,
}

struct Parrot(LlmCapabilities);

#[async_trait]
impl LlmBackend for Parrot {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(self.0.clone())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let text = request.messages.last().map(|message| message.content.clone()).unwrap_or_default();
        Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], ..Completion::default() })
    }
}

register! {
    interface: dyn LlmBackend,
    kind: "parrot",
    summary: "repeats what it hears",
    config: ParrotConfig,
    new: |ParrotConfig { model, clever, free, .. }, _host| async move {
        Ok(Arc::new(Parrot(LlmCapabilities {
            model: model.unwrap_or_else(|| "parrot".into()),
            tools: clever,
            json_schema: clever,
            logprobs: clever,
            free,
            ..LlmCapabilities::default()
        })) as _)
    },
}

/// A model that asks somebody else.
#[config]
struct PhoneConfig {
    /// The model to call.
    number: LlmName,
}

register! {
    interface: dyn LlmBackend,
    kind: "phone",
    summary: "asks somebody else",
    config: PhoneConfig,
    new: |config: PhoneConfig, host: Arc<dyn Host>| async move { host.llm(config.number.0).await },
}

/// A planner that says what its model says.
#[config]
struct EchoConfig {
    /// Its model, by name.
    llm: String,
    /// A planner within.
    inner: Option<PlannerName>,
    /// More of them.
    #[serde(default)]
    chorus: Vec<PlannerName>,
    /// Times to think.
    #[serde(default = "two", rename = "rounds")]
    _rounds: u32,
    /// Whether it needs copies of the environment.
    #[serde(default)]
    fork: bool,
    /// Whether it needs log-probabilities.
    #[serde(default)]
    logprobs: bool,
    /// Whether it needs tool calls.
    #[serde(default)]
    tools: bool,
    /// Whether it needs answers held to a JSON schema.
    #[serde(default)]
    json_schema: bool,
}

fn two() -> u32 {
    2
}

struct Echo(Requirements);

#[async_trait]
impl Planner for Echo {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.0.clone())
    }
    async fn decide(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Decision> {
        Ok(Decision { thought: context.turn.observation.text, ..Decision::default() })
    }
}

register! {
    interface: dyn Planner,
    kind: "echo",
    summary: "says what its model says",
    config: EchoConfig,
    new: |config: EchoConfig, host: Arc<dyn Host>| async move {
        let mut inner = Vec::new();
        for PlannerName(name) in config.inner.into_iter().chain(config.chorus) {
            inner.push((name.clone(), host.planner(name).await?.requires().await?));
        }
        let EchoConfig { llm, fork, logprobs, tools, json_schema, .. } = config;
        let own =
            Requirements { llms: vec![llm], fork, logprobs, tools, json_schema, ..Requirements::default() };
        Ok(Arc::new(Echo(Requirements::over(inner).and(own))) as _)
    },
}

/// The letters encoder has nothing to configure.
#[config]
struct LettersConfig {}

struct Letters;

#[async_trait]
impl TextEncoder for Letters {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: "letters".into(), revision: None, dimension: 1 })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        Matrix::new(texts.len(), 1, vec![1.0; texts.len()])
    }
}

register! {
    interface: dyn TextEncoder,
    kind: "letters",
    summary: "tells no text from another",
    config: LettersConfig,
    new: |_: LettersConfig, _host| async move { Ok(Arc::new(Letters) as _) },
}

/// How the llm summarises.
#[config]
struct SummaryConfig {
    /// Its model, by name.
    llm: String,
}

struct Short(String);

#[async_trait]
impl Summariser for Short {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec![self.0.clone()], ..Requirements::default() })
    }
    async fn summarise(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Summary> {
        Ok(Summary { state: context.turn.observation.text, ..Summary::default() })
    }
}

register! {
    interface: dyn Summariser,
    kind: "llm",
    summary: "keeps it short",
    config: SummaryConfig,
    new: |config: SummaryConfig, _host| async move { Ok(Arc::new(Short(config.llm)) as _) },
}

/// Walking has nothing to configure.
#[config]
struct WalkingConfig {}

struct Walking;

#[async_trait]
impl ScriptedBehaviour for Walking {
    async fn recognises(&self, text: String) -> Result<bool> {
        Ok(text.contains("corridor"))
    }
    async fn thought(&self, _: BehaviourPrompt) -> Result<String> {
        Ok("walk on".into())
    }
    async fn action(&self, _: BehaviourPrompt) -> Result<String> {
        Ok("walk".into())
    }
    async fn outcomes(&self, prompt: BehaviourPrompt) -> Result<Vec<String>> {
        Ok(vec!["the end is reached".into(); prompt.count])
    }
    async fn summary(&self, prompt: BehaviourPrompt) -> Result<(String, String)> {
        Ok((prompt.text, "in progress".into()))
    }
}

register! {
    interface: dyn ScriptedBehaviour,
    kind: "walking",
    summary: "puts one foot before the other",
    config: WalkingConfig,
    new: |_: WalkingConfig, _host| async move { Ok(Arc::new(Walking) as _) },
}
