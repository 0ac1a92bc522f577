//! The merged document, which knows where each of its values comes from.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use forethought_api::{Error, Result};
use forethought_plugin_host::NamedBy;
use serde_json::{Map, Value};

use super::{
    check::Problem,
    inline,
    layers::{self, CRITIC, Layer, OLD_CRITIC},
    origin::{ConfigOrigin, KeyPath, dotted},
};
use crate::registry::{Registry, default_of};

/// All layers in one.
#[derive(Debug, Clone, Default)]
pub struct ConfigDocument {
    pub(super) values: Map<String, Value>,
    layers: Vec<Layer>,
    paths: Vec<KeyPath>,
    unread: Vec<KeyPath>,
    commands: Vec<(KeyPath, NamedBy)>,
    /// Sections that are inline tables, and where these are written.
    inline: BTreeMap<KeyPath, KeyPath>,
}

/// One line of `config show`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigEntry {
    /// The key.
    pub path: KeyPath,
    /// Its value.
    pub value: Value,
    /// Where it comes from.
    pub origin: ConfigOrigin,
}

impl ConfigDocument {
    pub(super) fn merge(layers: Vec<Layer>) -> Result<Self> {
        match layers::merge(&layers)? {
            Value::Object(values) => Ok(Self { values, layers, ..Self::default() }),
            _ => Err(Error::config("a configuration is a table")),
        }
    }

    /// The values.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// The value at `path`.
    pub fn get(&self, path: &[String]) -> Option<&Value> {
        layers::get(&self.values, path)
    }

    /// Where the value at `path` comes from: the highest layer that names it.
    pub fn origin(&self, path: &[String]) -> ConfigOrigin {
        self.place(path).map_or(ConfigOrigin::Default, |(_, origin)| origin.clone())
    }

    /// `values` as TOML, each with its origin here as a comment: the run's own copy says where to change what.
    ///
    /// # Errors
    /// If TOML cannot express a value.
    pub fn with_origins(&self, values: &Map<String, Value>) -> Result<String> {
        let mut document = toml::to_string(values)?
            .parse::<toml_edit::DocumentMut>()
            .map_err(|error| Error::config(format!("the configuration is not TOML: {error}")))?;
        self.comment(document.as_table_mut(), &mut KeyPath::new());
        Ok(document.to_string())
    }

    fn comment(&self, table: &mut toml_edit::Table, path: &mut KeyPath) {
        for (key, item) in table.iter_mut() {
            path.push(key.get().to_owned());
            match item {
                toml_edit::Item::Table(below) => self.comment(below, path),
                toml_edit::Item::Value(value) => {
                    // A `--set` argument may contain anything.
                    let origin = self.origin(path).to_string().replace(char::is_control, " ");
                    value.decor_mut().set_suffix(format!(" # {origin}"));
                }
                toml_edit::Item::ArrayOfTables(_) | toml_edit::Item::None => {}
            }
            path.pop();
        }
    }

    /// Makes a section of each table that is written where a component's name is expected.
    pub(super) fn lift_inline_tables(&mut self, registry: &Registry) {
        self.inline = inline::lift(&mut self.values, registry);
    }

    /// Whether a section is an inline table of another one.
    pub fn is_inline(&self, section: &[String]) -> bool {
        self.inline.contains_key(section)
    }

    /// Every leaf with its origin, in the order of keys; also the defaults of components.
    pub fn entries(&self, registry: &Registry) -> Vec<ConfigEntry> {
        let mut entries = Vec::new();
        leaves(&self.values, &mut KeyPath::new(), &mut |path, value| {
            entries.push(ConfigEntry {
                path: path.to_vec(),
                value: value.clone(),
                origin: self.origin(path),
            });
        });
        for section in layers::sections(&self.values) {
            let table = self.get(&section).and_then(Value::as_object);
            let kind = table.and_then(|table| table.get("kind")).and_then(Value::as_str);
            let component = kind.and_then(|kind| registry.find(&section[0], kind).ok());
            let properties = component.and_then(|component| component.schema["properties"].as_object());
            for (key, schema) in properties.into_iter().flatten() {
                let Some(default) = default_of(schema) else { continue };
                if table.is_some_and(|table| !table.contains_key(key)) {
                    let path = [section.clone(), vec![key.clone()]].concat();
                    entries.push(ConfigEntry { path, value: default, origin: ConfigOrigin::Default });
                }
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    /// A message about the value at `path` with its place, as in ``my.toml:3: `seats.agent`: ...``.
    pub fn at(&self, path: &[String], message: impl std::fmt::Display) -> String {
        // A missing key has no place, but its table has.
        let nearest = if self.get(path).is_some() { path.len() } else { 1 };
        let places = (nearest..=path.len()).rev().map(|length| self.origin(&path[..length]));
        let place = places.into_iter().find(|origin| *origin != ConfigOrigin::Default);
        let place = place.map(|origin| format!("{origin}: ")).unwrap_or_default();
        let key = match path {
            [] => String::new(),
            // As it would be written: `planner.careful.of[1]`.
            [word, name, below @ ..] if self.is_inline(&path[..2]) => {
                let keys = below.iter().map(|key| format!(".{}", dotted(std::slice::from_ref(key))));
                format!("`{word}.{name}{}`: ", keys.collect::<String>())
            }
            path => format!("`{}`: ", dotted(path)),
        };
        format!("{place}{key}{message}")
    }

    /// All of `problems`, one per line.
    pub(super) fn complaint(&self, problems: &[Problem]) -> String {
        let lines = problems.iter().map(|Problem { path, message }| {
            let typed = matches!(self.origin(path), ConfigOrigin::Set(_) | ConfigOrigin::Environment(_));
            let hint = match message {
                text if typed && text.starts_with("expected a text") => {
                    "; a text that looks like something else needs its own quotes, as in '\"1\"'"
                }
                text if typed && text.starts_with("the key `kind` is missing") => {
                    "; if a name with a dot is meant, it needs quotes, as in 'llm.\"gpt-4.1\".kind=...'"
                }
                _ => "",
            };
            self.at(path, format_args!("{message}{hint}"))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What people should write differently.
    pub(super) fn notes(&self) -> Vec<String> {
        self.layers.iter().flat_map(|layer| layer.notes.clone()).collect()
    }

    /// Calls the key `value` of planners `critic`, where the kind has only the latter.
    pub(super) fn rename_critics(&mut self, registry: &Registry) -> Result<()> {
        let planners = self.values.get("planner").and_then(Value::as_object).into_iter().flatten();
        let old = planners.filter_map(|(name, section)| {
            let component = registry.find("planner", section["kind"].as_str()?).ok()?;
            let has = |key: &str| component.schema["properties"].get(key).is_some();
            (has(CRITIC) && !has(OLD_CRITIC)).then(|| name.clone())
        });
        let mut renamed = false;
        for name in old.collect::<Vec<_>>() {
            let [from, to] = [OLD_CRITIC, CRITIC].map(|key| ["planner".into(), name.clone(), key.into()]);
            for layer in &mut self.layers {
                renamed |= layer.rename(&from, &to)?;
            }
        }
        if renamed {
            self.values.insert("planner".into(), layers::merge(&self.layers)?["planner"].take());
        }
        Ok(())
    }

    /// Makes the values at `paths` absolute, each against the folder of the file that names it. The contents of those
    /// at `unread` decide no answer.
    pub(super) fn resolve_paths(&mut self, paths: Vec<KeyPath>, unread: Vec<KeyPath>) {
        for path in &paths {
            let base = self.base(path).map(Path::to_path_buf);
            if let (Some(base), Some(Value::String(value))) = (base, get_mut(&mut self.values, path)) {
                *value = resolve(&base, value);
            }
        }
        (self.paths, self.unread) = (paths, unread);
    }

    /// Notes which values are commands, and who named each. Each gets a `folder` next to it, if it has none: that of
    /// the file that names it.
    pub(super) fn settle_commands(&mut self, commands: Vec<KeyPath>, authors: &Authors) {
        for path in commands {
            let [table @ .., _] = &path[..] else { continue };
            let folder = [table, &["folder".to_owned()]].concat();
            let mut named = authors.of(self, &path);
            // Python code runs as all keys of its section say: the interpreter is one of them.
            if let (Some(Value::String(_)), Some(Value::Object(all))) = (self.get(&path), self.get(table)) {
                let keys = all.keys().map(|key| [table, std::slice::from_ref(key)].concat());
                named = keys.map(|key| authors.of(self, &key)).fold(named, NamedBy::max);
            }
            if self.get(&folder).is_some() {
                named = named.max(authors.of(self, &folder));
            } else {
                let base = self.base(&path).map(|base| base.to_string_lossy().into_owned());
                if let (Some(base), Some(Value::Object(table))) = (base, get_mut(&mut self.values, table)) {
                    table.insert("folder".into(), base.into());
                    self.paths.push(folder.clone());
                    self.unread.push(folder);
                }
            }
            self.commands.push((path, named));
        }
    }

    /// The commands, each by the table that holds it and its key, with the one who named it.
    pub fn commands(&self) -> &[(KeyPath, NamedBy)] {
        &self.commands
    }

    /// The words of the command at `key`, and its folder. A module or file of Python code is run by an interpreter.
    pub fn command(&self, key: &[String]) -> (Vec<String>, PathBuf) {
        let next_to = |name: &str| {
            self.get(&[&key[..key.len() - 1], &[name.to_owned()]].concat()).and_then(Value::as_str)
        };
        let words = match self.get(key) {
            Some(Value::String(module)) => {
                let python = next_to("python").unwrap_or("python3").to_owned();
                let option = (!module.ends_with(".py")).then(|| "-m".to_owned());
                std::iter::once(python).chain(option).chain([module.clone()]).collect()
            }
            value => {
                let words = value.and_then(Value::as_array).into_iter().flatten();
                words.filter_map(|word| word.as_str().map(String::from)).collect()
            }
        };
        (words, next_to("folder").unwrap_or_default().into())
    }

    /// The keys whose values are paths.
    pub fn paths(&self) -> &[KeyPath] {
        &self.paths
    }

    /// Whether what lies at the path at this key decides answers.
    pub(crate) fn is_read(&self, path: &KeyPath) -> bool {
        !self.unread.contains(path)
    }

    /// The folder of the file that names the value at `path`.
    pub(super) fn base(&self, path: &[String]) -> Option<&Path> {
        self.place(path).map(|(layer, _)| &*layer.base)
    }

    /// The highest layer that names `path`, and where. For a key of an inline table, also its place there.
    fn place(&self, path: &[String]) -> Option<(&Layer, &ConfigOrigin)> {
        let find = |path: &[String]| {
            self.layers.iter().rev().find_map(|layer| layer.place(path).map(|origin| (layer, origin)))
        };
        let written = || {
            let (section, keys) = path.split_at_checked(2)?;
            find(&[self.inline.get(section)?, keys].concat())
        };
        find(path).or_else(written)
    }
}

/// Whose files a configuration consists of.
#[derive(Debug, Clone, Default)]
pub(super) struct Authors {
    /// The user's own file.
    user: Option<PathBuf>,
    /// The file on the command line.
    typed: Option<PathBuf>,
}

impl Authors {
    pub(super) fn new(user: Option<&Path>, typed: Option<&Path>) -> Self {
        let absolute = |path: Option<&Path>| path.and_then(|path| std::path::absolute(path).ok());
        Self { user: absolute(user), typed: absolute(typed) }
    }

    /// Who gave the key at `path` its value.
    pub(super) fn of(&self, document: &ConfigDocument, path: &[String]) -> NamedBy {
        match document.origin(path) {
            ConfigOrigin::Environment(_) | ConfigOrigin::Command(_) | ConfigOrigin::Set(_) => NamedBy::User,
            ConfigOrigin::File { path, .. } if self.user.as_ref() == Some(&path) => NamedBy::User,
            ConfigOrigin::File { path, .. } if self.typed.as_ref() == Some(&path) => NamedBy::TypedFile(path),
            ConfigOrigin::File { path, .. } => NamedBy::FoundFile(path),
            // No preset names code, and what has no place is nobody's word.
            ConfigOrigin::Preset { .. } | ConfigOrigin::Default => NamedBy::FoundFile(PathBuf::new()),
        }
    }
}

fn leaves(table: &Map<String, Value>, path: &mut KeyPath, visit: &mut impl FnMut(&[String], &Value)) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Object(below) => leaves(below, path, visit),
            leaf => visit(path, leaf),
        }
        path.pop();
    }
}

fn get_mut<'a>(values: &'a mut Map<String, Value>, path: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(values.get_mut(first)?, |value, key| match value {
        Value::Object(table) => table.get_mut(key),
        Value::Array(list) => list.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// `value` relative to `base`. Paths on the hub, absolute paths and empty ones stay as they are.
pub(super) fn resolve(base: &Path, value: &str) -> String {
    if value.is_empty() || value.starts_with("hf:") || Path::new(value).is_absolute() {
        return value.into();
    }
    let path: PathBuf = base.join(value).components().filter(|part| *part != Component::CurDir).collect();
    path.to_string_lossy().into_owned()
}
