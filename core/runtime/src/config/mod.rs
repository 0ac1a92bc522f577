//! Configuration: read from layers, checked against the registry's schema, every value with its origin.
//!
//! Lowest layer first: built-in defaults, preset, the user's file, `forethought.toml` in the current folder, the file
//! on the command line, environment variables (`FORETHOUGHT__LLM__ACTOR__MODEL`), `--set a.b=c`, values that a command
//! gives.

mod check;
mod compose;
mod document;
mod embeddings;
mod engine;
mod inline;
mod layers;
mod origin;
mod plugins;
mod presets;
pub(crate) mod roles;
mod schema;
mod serve;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use forethought_api::{Error, Result, registry::ConfigPath, text::unmarked};
use forethought_plugin_host::{NamedBy, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::{
    check::{Findings, Problem, check},
    document::{ConfigDocument, ConfigEntry},
    embeddings::EmbeddingsConfig,
    engine::{EngineKind, RestateConfig},
    origin::{ConfigOrigin, KeyPath, dotted},
    plugins::{Load, PluginsConfig},
    presets::{PRESETS, Preset},
    roles::Role,
    schema::schema,
    serve::ServeConfig,
    sources::{Sources, embeddings_file, plugin_folders, trust_file},
};
use self::{document::Authors, layers::Layer};
use crate::budget::Limits;
use crate::budget::prices::Prices;
use crate::registry::{Registry, suggestion};

/// A configuration that has been read and checked.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// Seed of everything random.
    pub seed: u64,
    /// Language models, by name.
    #[serde(default)]
    pub llm: Components,
    /// Which model answers for a role. A name that is not a role is a model's own.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// What models cost. These come before the shipped table.
    #[serde(default)]
    pub prices: Prices,
    /// Text encoders, by name.
    #[serde(default)]
    pub encoder: Components,
    /// Critics, by name.
    #[serde(default)]
    pub critic: Components,
    /// Trainers of critics, by name.
    #[serde(default)]
    pub trainer: Components,
    /// Planners, by name.
    #[serde(default)]
    pub planner: Components,
    /// Summarises histories.
    pub summariser: Option<ComponentConfig>,
    /// The environment.
    pub environment: Option<ComponentConfig>,
    /// Seat name to planner name.
    #[serde(default)]
    pub seats: BTreeMap<String, String>,
    /// How episodes are run.
    #[serde(default)]
    pub run: RunConfig,
    /// How `forethought serve` answers.
    #[serde(default)]
    pub serve: ServeConfig,
    /// Where vectors of texts are kept across runs.
    #[serde(default)]
    pub embeddings: EmbeddingsConfig,
    #[serde(skip)]
    document: ConfigDocument,
}

/// Component sections, by name.
pub type Components = BTreeMap<String, ComponentConfig>;

/// A component section: the kind, and what the component itself reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentConfig {
    /// Kind name.
    pub kind: String,
    /// Its other keys.
    #[serde(flatten)]
    pub config: Map<String, Value>,
}

/// How episodes are run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Tasks that each planner plays, one episode per task. Times `repeats`, at most 100,000 in one run.
    #[schemars(range(min = 1, max = 100_000))]
    pub episodes: u64,
    /// The first task; the others follow it.
    pub first_task: u64,
    /// How many times each task is played, each time with its own seed.
    #[schemars(range(min = 1, max = 100_000))]
    pub repeats: u64,
    /// Episodes that run at the same time.
    #[schemars(range(min = 1, max = 65_536))]
    pub concurrency: usize,
    /// Folder for the runs.
    pub out: ConfigPath,
    /// A name by which `runs list` shows the run. It changes nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    // A flattened `Limits` would accept unknown keys: serde's `deny_unknown_fields` excludes `flatten`.
    /// What plays the episodes, and keeps their journal until they end.
    #[serde(skip_serializing_if = "EngineKind::is_default")]
    pub engine: EngineKind,
    /// Where the Restate server is, for `engine = "restate"`.
    #[serde(skip_serializing_if = "RestateConfig::is_default")]
    pub restate: RestateConfig,
    /// Limit on model calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// Limit on tokens, in requests and answers together. No call is made beyond it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Limit on the cost in US dollars, which is never exceeded. The price of every model in use must be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_usd: Option<f64>,
    /// Limit on the duration in seconds. No call is made after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_wall_s: Option<f64>,
    /// Limits for each episode.
    #[serde(skip_serializing_if = "Limits::none")]
    pub per_episode: Limits,
    /// Limits for each decision, the same for all planners. Calls beyond them are refused, and the planner may still
    /// act. Part of what a run is: with other limits it is another one.
    #[serde(skip_serializing_if = "Limits::none")]
    pub per_decision: Limits,
}

impl RunConfig {
    /// Limits for the whole run.
    pub fn limits(&self) -> Limits {
        let Self { max_calls, max_tokens, max_usd, max_wall_s, .. } = *self;
        Limits { max_calls, max_tokens, max_usd, max_wall_s }
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            episodes: 100,
            first_task: 0,
            repeats: 1,
            concurrency: 8,
            out: ConfigPath("runs".into()),
            name: None,
            engine: EngineKind::default(),
            restate: RestateConfig::default(),
            max_calls: None,
            max_tokens: None,
            max_usd: None,
            max_wall_s: None,
            per_episode: Limits::default(),
            per_decision: Limits::default(),
        }
    }
}

/// A configuration that has been read and not yet checked: what is valid depends on the plugins that it names.
#[derive(Debug, Clone)]
pub struct Draft {
    document: ConfigDocument,
    plugins: Request,
    authors: Authors,
}

impl Draft {
    /// Reads the layers and merges them; checks `[plugins]` alone.
    ///
    /// # Errors
    /// If a layer cannot be read, or `[plugins]` is not valid.
    pub fn read(sources: &Sources) -> Result<Self> {
        let mut layers = read(sources)?;
        layers::forget_replaced_kinds(&mut layers);
        let mut document = ConfigDocument::merge(layers)?;
        document.values.remove("preset");
        let authors = Authors::new(sources.user.as_deref(), sources.file.as_deref());
        let plugins = plugins::settle(&mut document, sources, &authors)?;
        Ok(Self { document, plugins, authors })
    }

    /// The component sections that name a kind, such as `["llm", "actor"]`, with that kind.
    pub fn kinds(&self) -> impl Iterator<Item = (KeyPath, &str)> {
        layers::sections(&self.document.values).into_iter().filter_map(|section| {
            let kind = self.document.get(&section)?.get("kind")?.as_str()?;
            Some((section, kind))
        })
    }

    /// The plugins to load.
    pub fn plugins(&self) -> &Request {
        &self.plugins
    }

    /// The commands that components of `registry` would start, each with its folder and the one who named it. Sections
    /// that are not valid, and those of other components, are left out.
    pub fn commands(&self, registry: &Registry) -> Vec<(Vec<String>, PathBuf, NamedBy)> {
        let mut document = self.document.clone();
        document.lift_inline_tables(registry);
        let sections = layers::sections(&document.values);
        let found = sections.iter().filter_map(|section| check_component(section, &document, registry));
        let (mut paths, mut commands) = (Vec::new(), Vec::new());
        for findings in found {
            paths.extend(findings.paths);
            commands.extend(findings.commands);
        }
        document.resolve_paths(paths, Vec::new());
        document.settle_commands(commands, &self.authors);
        let commands = document.commands().iter();
        commands
            .map(|(key, named)| {
                let (command, folder) = document.command(key);
                (command, folder, named.clone())
            })
            .collect()
    }

    /// Checks the whole against `registry`, which includes the plugins' components.
    ///
    /// # Errors
    /// Every unknown key, wrong type and missing file at once, each with its place and the way out.
    pub fn check(self, registry: &Registry) -> Result<Config> {
        Config::of(self.document, registry, &self.authors)
    }
}

impl Config {
    /// Reads the layers, merges them, and checks the whole against `registry`.
    ///
    /// # Errors
    /// Every unknown key, wrong type and missing file at once, each with its place and the way out.
    pub fn load(sources: &Sources, registry: &Registry) -> Result<Self> {
        Draft::read(sources)?.check(registry)
    }

    /// Reads a resolved configuration, as [`Config::to_toml`] wrote it at `path`, and no other layer.
    ///
    /// # Errors
    /// If the file cannot be read, or no longer fits the program's components.
    pub fn load_resolved(path: &Path, registry: &Registry) -> Result<Self> {
        let document = ConfigDocument::merge(vec![file(path)?.ok_or_else(|| missing(path))?])?;
        Self::of(document, registry, &Authors::default())
    }

    fn of(mut document: ConfigDocument, registry: &Registry, authors: &Authors) -> Result<Self> {
        document.rename_critics(registry)?;
        // First, because the only model is the only one with a section of its own.
        default_summariser(&mut document.values, registry);
        document.lift_inline_tables(registry);
        let mut findings = check(&Value::Object(document.values.clone()), &schema::frame(registry));
        for section in layers::sections(&document.values) {
            let own = check_component(&section, &document, registry).unwrap_or_default();
            findings.problems.extend(own.problems);
            findings.paths.extend(own.paths);
            findings.unread.extend(own.unread);
            findings.commands.extend(own.commands);
        }
        findings.problems.extend(unknown_planners(&document.values));
        findings.problems.extend(roles::unknown_models(&document.values));
        if !findings.problems.is_empty() {
            return Err(Error::config(document.complaint(&findings.problems)));
        }
        document.resolve_paths(findings.paths, findings.unread);
        document.settle_commands(findings.commands, authors);
        let typed: Self = serde_json::from_value(Value::Object(document.values.clone()))
            .map_err(|error| Error::config(error.to_string()))?;
        Ok(Self { document, ..typed })
    }

    /// The document behind this configuration, with every value's origin.
    pub fn document(&self) -> &ConfigDocument {
        &self.document
    }

    /// The planners that have a section of their own, in contrast to inline tables.
    pub fn planners(&self) -> impl Iterator<Item = &str> {
        let own = |name: &&String| !self.document.is_inline(&["planner".into(), (*name).clone()]);
        self.planner.keys().filter(own).map(String::as_str)
    }

    /// Old names in it, and what to write instead, one line each. None for what the program wrote itself.
    pub fn notes(&self) -> Vec<String> {
        self.document.notes()
    }

    /// The resolved configuration: all layers in one, paths absolute. It names environment variables that hold
    /// secrets, never the secrets.
    ///
    /// # Errors
    /// If TOML cannot express a value.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(&self.document.values)?)
    }

    /// The component configured as `[<word>.<name>]`.
    ///
    /// # Errors
    /// If it does not exist; the message names the nearest.
    pub fn component(&self, word: &str, name: &str) -> Result<&ComponentConfig> {
        let sections = match word {
            "llm" => &self.llm,
            "encoder" => &self.encoder,
            "critic" => &self.critic,
            "trainer" => &self.trainer,
            "planner" => &self.planner,
            _ => return Err(Error::not_found(format!("configurations have no [{word}.<name>]"))),
        };
        sections.get(name).ok_or_else(|| {
            let known = suggestion(name, sections.keys().map(String::as_str));
            Error::config(format!("there is no [{word}.{name}]; {known}"))
        })
    }
}

/// `--set` arguments as one table.
///
/// # Errors
/// If one does not have the form `key=value`.
pub fn settings(arguments: &[String]) -> Result<Map<String, Value>> {
    Ok(Layer::set(arguments, Path::new("."))?.values)
}

/// The values of a run's own configuration, unchecked: the run may be another program's.
///
/// # Errors
/// If the file is missing or is not TOML.
pub fn resolved(run: &Path) -> Result<Value> {
    let path = run.join(layers::RESOLVED);
    Ok(Value::Object(file(&path)?.ok_or_else(|| missing(&path))?.values))
}

/// The role that summarises, and the section of the summariser.
const SUMMARISER: &str = "summariser";

/// The layers that exist, lowest first.
fn read(sources: &Sources) -> Result<Vec<Layer>> {
    let folder = &sources.folder;
    let run = serde_json::to_value(RunConfig::default())?;
    let defaults = Map::from_iter([("seed".into(), json!(0)), ("run".into(), run)]);
    let mut layers = vec![Layer::defaults(defaults, folder)];
    if let Some(path) = &sources.user {
        layers.extend(file(path)?);
    }
    let project = folder.join("forethought.toml");
    if sources.file.as_ref() != Some(&project) {
        layers.extend(file(&project)?);
    }
    if let Some(path) = &sources.file {
        layers.push(file(path)?.ok_or_else(|| missing(path))?);
    }
    let values = Layer::command(&sources.command, &sources.values, folder)?.renamed()?;
    let set = Layer::set(&sources.set, folder)?.renamed()?;
    let environment = |lower: &[Layer]| {
        let lower = layers::merge(lower)?;
        Layer::environment(sources.variables.iter().cloned(), folder, &lower)?.renamed()
    };
    let variables = environment(&layers)?;
    let named =
        layers.iter().chain([&variables, &set, &values]).rev().find_map(|layer| layer.values.get("preset"));
    if let Some(name) = sources.preset.as_deref().or(named.and_then(Value::as_str)) {
        let preset = *sources.find_preset(name)?;
        let at = |line| ConfigOrigin::Preset { name: preset.name.into(), line };
        layers.insert(1, Layer::toml(preset.text, folder, at)?.renamed()?);
    }
    // Read once more: a preset may bring names that the variables refer to.
    let variables = environment(&layers)?;
    layers.extend([variables, set, values]);
    Ok(layers)
}

/// The largest configuration file, in bytes. It is read before anybody knows whose it is.
const LARGEST: u64 = 16 << 20;

fn file(path: &Path) -> Result<Option<Layer>> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match read() {
        Ok(bytes) if bytes.len() as u64 > LARGEST => {
            return Err(Error::config(format!("{} has more than {LARGEST} bytes", path.display())));
        }
        Ok(bytes) => bytes,
        // A home that is a file, as in some sandboxes, holds no configuration.
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(None),
        Err(error) => return Err(Error::config(format!("{} cannot be read: {error}", path.display()))),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let (bytes, place) = (error.as_bytes(), error.utf8_error().valid_up_to());
        let line = bytes[..place].split(|byte| *byte == b'\n').count();
        let of = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "is UTF-16",
            _ => "is not UTF-8",
        };
        Error::config(format!("{}:{line}: the text {of}; save the file as UTF-8", path.display()))
    })?;
    let path = std::path::absolute(path)?;
    sources::is_text(&path)?;
    let base = path.parent().unwrap_or(Path::new("/"));
    Layer::toml(unmarked(&text), base, |line| ConfigOrigin::File { path: path.clone(), line })?
        .renamed()
        .map(Some)
}

fn missing(path: &Path) -> Error {
    Error::config(format!("there is no configuration file {}", path.display()))
}

/// Checks what a component itself reads in `section`, if the component is known.
fn check_component(section: &[String], document: &ConfigDocument, registry: &Registry) -> Option<Findings> {
    let mut own = document.get(section)?.as_object()?.clone();
    let component = registry.find(&section[0], own.get("kind")?.as_str()?).ok()?;
    let keys = schema::program_keys(&section[0]);
    own.retain(|key, _| !keys.contains(&&**key));
    Some(check::check_part(&Value::Object(own), &component.schema, section, keys))
}

/// The role `summariser` summarises; without that role, the only language model does.
fn default_summariser(document: &mut Map<String, Value>, registry: &Registry) {
    let llms = document.get("llm").and_then(Value::as_object);
    let only = llms.filter(|llms| llms.len() == 1).and_then(|llms| llms.keys().next()).cloned();
    let role = document.get("roles").and_then(|roles| roles.get(SUMMARISER)).map(|_| SUMMARISER.to_string());
    let kind = schema::DEFAULT_SUMMARISER;
    if registry.find("summariser", kind).is_err() {
        return;
    }
    match (document.get_mut("summariser"), role.or(only)) {
        (Some(Value::Object(given)), _) if !given.contains_key("kind") => {
            given.insert("kind".into(), kind.into());
        }
        (None, Some(llm)) => {
            document.insert("summariser".into(), json!({ "kind": kind, "llm": llm }));
        }
        _ => {}
    }
}

/// `[seats]` names planners; the components' own references are checked when they are built.
fn unknown_planners(document: &Map<String, Value>) -> Vec<Problem> {
    let table = |key: &str| document.get(key).and_then(Value::as_object).into_iter().flatten();
    let planners: Vec<&str> = table("planner").map(|(name, _)| name.as_str()).collect();
    let unknown = table("seats").filter_map(|(seat, planner)| {
        let planner = planner.as_str().filter(|planner| !planners.contains(planner))?;
        let known = suggestion(planner, planners.iter().copied());
        let message = format!("there is no [planner.{planner}]; {known}");
        Some(Problem { path: vec!["seats".into(), seat.clone()], message })
    });
    unknown.collect()
}
