//! `[plugins]`: which plugins a configuration loads, and from where.
//!
//! This section is read first, because plugins provide the schemas of the others.

use std::path::{Path, PathBuf};

use forethought_api::{Error, Result, registry::ConfigPath};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    check::check,
    compose::inlined,
    document::{Authors, ConfigDocument, resolve},
    origin::KeyPath,
    sources::Sources,
};
use forethought_plugin_host::{
    NamedBy, Request, Wanted, find,
    settings::{PluginPath, PluginSettings},
};

/// `[plugins]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginsConfig {
    /// Plugins to load: a library, a folder of libraries, a name that is looked for in the search folders, or a table
    /// that says more.
    pub load: Vec<Load>,
    /// Folders in which names are looked for, before those of FORETHOUGHT_PLUGIN_PATH and
    /// ~/.local/share/forethought/plugins.
    pub search: Vec<ConfigPath>,
}

/// One element of `plugins.load`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Load {
    /// A library, a folder of libraries, or a name.
    Path(PluginPath),
    /// The same with more to say, or a command.
    Settings(PluginSettings),
}

/// The schema of the section.
pub(super) fn schema(definitions: &mut Map<String, Value>) -> Value {
    inlined("plugins", schema_for!(PluginsConfig).to_value(), definitions)
}

/// Checks the section and makes its paths absolute; what the command line adds joins `load`.
pub(super) fn settle(document: &mut ConfigDocument, sources: &Sources, authors: &Authors) -> Result<Request> {
    let mut definitions = Map::new();
    let properties = json!({ "plugins": schema(&mut definitions) });
    let schema = json!({ "properties": properties, "$defs": definitions });
    let given = document.values.get("plugins");
    let findings = given.map(|given| check(&json!({ "plugins": given }), &schema)).unwrap_or_default();
    if !findings.problems.is_empty() {
        return Err(Error::config(document.complaint(&findings.problems)));
    }
    document.resolve_paths(findings.paths, Vec::new());
    let given = document.values.get("plugins").cloned().unwrap_or_else(|| json!({}));
    let mut config: PluginsConfig = serde_json::from_value(given)?;
    let search: Vec<_> =
        config.search.iter().map(|folder| folder.to_path_buf()).chain(sources.search.clone()).collect();
    let mut wanted = Vec::new();
    let searched_by = named_by(document, "search", authors);
    for (index, load) in config.load.iter_mut().enumerate() {
        let path: KeyPath = vec!["plugins".into(), "load".into(), index.to_string()];
        let base = document.base(&path).unwrap_or(&sources.folder);
        match load {
            Load::Path(path) => settle_name(path, base, &search),
            Load::Settings(settings) => {
                complete(settings, base).map_err(|why| Error::config(document.at(&path, why)))?;
                settings.path.iter_mut().for_each(|path| settle_name(path, base, &search));
            }
        }
        let settings = PluginSettings::from(load.clone());
        let named = named_by(document, "load", authors);
        let named = if settings.path.as_ref().is_some_and(PluginPath::is_name) {
            named.max(searched_by.clone())
        } else {
            named
        };
        wanted.push(Wanted { place: document.at(&path, ""), settings, named });
    }
    let request = sources.typed_plugins(search, searched_by);
    config
        .load
        .extend(request.wanted.iter().filter_map(|wanted| wanted.settings.path.clone().map(Load::Path)));
    if config != PluginsConfig::default() {
        document.values.insert("plugins".into(), serde_json::to_value(config)?);
    }
    wanted.extend(request.wanted);
    Ok(Request { wanted, ..request })
}

/// Who gave this key of `[plugins]` its value.
fn named_by(document: &ConfigDocument, key: &str, authors: &Authors) -> NamedBy {
    let path: KeyPath = vec!["plugins".into(), key.into()];
    if document.get(&path).is_none() { NamedBy::User } else { authors.of(document, &path) }
}

/// A name that is not a plugin's may be a folder.
fn settle_name(path: &mut PluginPath, base: &Path, search: &[PathBuf]) {
    if path.is_name() && base.join(&path.0).is_dir() && find::libraries(path, search).is_err() {
        path.0 = resolve(base, &path.0);
    }
}

impl Sources {
    /// The plugins that the command line names, regardless of the files; names are looked for in `search`.
    pub fn typed_plugins(&self, search: Vec<PathBuf>, searched_by: NamedBy) -> Request {
        let wanted = self.plugins.iter().map(|typed| {
            let mut path = PluginPath(typed.clone());
            settle_name(&mut path, &self.folder, &search);
            if !path.is_name() {
                path.0 = resolve(&self.folder, &path.0);
            }
            let named = if path.is_name() { searched_by.clone() } else { NamedBy::User };
            let settings = PluginSettings { path: Some(path), ..PluginSettings::default() };
            Wanted { place: format!("--plugin {typed}: "), settings, named }
        });
        let beside = self.file.as_deref().and_then(Path::parent).map(Path::to_path_buf);
        let locks = beside.into_iter().chain([self.folder.clone()]).collect();
        Request { wanted: wanted.collect(), search, searched_by: searched_by.clone(), locks }
    }
}

/// Checks what the schema cannot say, and fills in the folder of a command.
fn complete(settings: &mut PluginSettings, base: &Path) -> Result<(), &'static str> {
    let library = settings.path.is_some();
    if library != settings.command.is_empty() {
        return Err("name either a `path` or a `command`, as in { path = \"./libtide_pools.so\" }");
    }
    if library && settings.folder.is_some() {
        return Err("`folder` belongs to a `command`");
    }
    if !library {
        if settings.sha256.is_some() {
            return Err("`sha256` belongs to a `path`: what a command runs cannot be pinned");
        }
        settings.folder.get_or_insert_with(|| ConfigPath(base.into()));
    }
    Ok(())
}

impl From<Load> for PluginSettings {
    fn from(load: Load) -> Self {
        match load {
            Load::Path(path) => Self { path: Some(path), ..Self::default() },
            Load::Settings(settings) => settings,
        }
    }
}
