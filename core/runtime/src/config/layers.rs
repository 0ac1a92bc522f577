//! Layers: each source of configuration as a table of values, every one with its place.
//!
//! figment only merges them: its metadata knows the file of a value, and messages need the line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::{
    Figment, Metadata, Profile, Provider,
    value::{Dict, Map as Profiles},
};
use forethought_api::{Error, Result};
use serde_json::{Map, Value};
use toml_edit::{Document, Item, TableLike};

use super::origin::{ConfigOrigin, KeyPath, dotted};
use crate::former;

/// Prefix of environment variables that set configuration.
pub(super) const PREFIX: &str = "FORETHOUGHT__";

/// The same with one underscore: the beginning of other variables, and a common mistake.
const ONE: &str = "FORETHOUGHT_";

/// Files of this name are written by the program, not by people.
pub(super) const RESOLVED: &str = "config.resolved.toml";

/// Critics were values in release 0.1.0: as sections, and as keys of planners.
pub(super) const OLD_CRITIC: &str = "value";
pub(super) const CRITIC: &str = "critic";

/// What whole numbers a TOML file can have.
const WHOLE_NUMBERS: &str = "the number is out of range: a whole number is at least -9223372036854775808 and at most \
                             9223372036854775807 (2^63 - 1), and a seed at least 0";

/// Sections that hold one component under each name, and sections that are one component.
pub(super) const NAMED: [&str; 5] = ["llm", "encoder", "critic", "trainer", "planner"];
pub(super) const SINGLE: [&str; 2] = ["summariser", "environment"];

/// One source of configuration.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// What it says.
    pub(super) values: Map<String, Value>,
    /// The place of each key.
    pub(super) places: BTreeMap<KeyPath, ConfigOrigin>,
    /// The folder against which its relative paths resolve.
    pub(super) base: PathBuf,
    /// Old names in it, and what to write instead.
    pub(super) notes: Vec<String>,
}

impl Layer {
    pub(super) fn empty(base: &Path) -> Self {
        Self { values: Map::new(), places: BTreeMap::new(), base: base.into(), notes: Vec::new() }
    }

    /// Values that are built in.
    pub(super) fn defaults(values: Map<String, Value>, base: &Path) -> Self {
        Self { values, ..Self::empty(base) }
    }

    /// A TOML text; `at` makes the origin of a line.
    pub(super) fn toml(text: &str, base: &Path, at: impl Fn(usize) -> ConfigOrigin) -> Result<Self> {
        let lines = Lines::of(text);
        let document = Document::parse(text).map_err(|error| {
            let (line, column) = lines.position(error.span().map_or(0, |span| span.start));
            if error.message().contains("overflow") {
                let key =
                    text.lines().nth(line - 1).and_then(|line| line.split_once('=')).unwrap_or_default().0;
                return Error::config(format!("{}:{column}: `{}`: {WHOLE_NUMBERS}", at(line), key.trim()));
            }
            Error::config(format!("{}:{column}: not TOML: {}", at(line), error.message()))
        })?;
        let mut layer = Self::empty(base);
        let place = |offset: usize| at(lines.position(offset).0);
        layer.values = layer.table(document.as_table(), &mut Vec::new(), &place)?;
        Ok(layer)
    }

    /// Environment variables called `FORETHOUGHT__A__B`. They match names of the lower layers in any case, and
    /// `_` also matches `-`, `.` and a blank, because the name of a variable cannot contain everything that a key can.
    pub(super) fn environment(
        variables: impl IntoIterator<Item = (String, String)>,
        base: &Path,
        lower: &Value,
    ) -> Result<Self> {
        let mut layer = Self::empty(base);
        let mut variables: Vec<_> = variables.into_iter().collect();
        variables.sort();
        for (variable, text) in variables {
            let known =
                |start: &str| variable.get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start));
            if !known(PREFIX) {
                layer.notes.extend(variable.get(ONE.len()..).filter(|_| known(ONE)).and_then(misspelt));
                continue;
            }
            let name = &variable[PREFIX.len()..];
            let mut path = KeyPath::new();
            let mut below = Some(lower);
            for segment in name.split("__") {
                let plain = |key: &str| key.to_lowercase().replace(['-', '.', ' '], "_");
                let table = below.and_then(Value::as_object);
                let same = |as_written: fn(&str) -> String, name: &str| {
                    table?.iter().find(|(key, _)| as_written(key) == as_written(name))
                };
                // Of names that differ in such characters only, the one with underscores is meant.
                let known = |name: &str| same(str::to_lowercase, name).or_else(|| same(plain, name));
                path.push(known(segment).map_or_else(|| segment.to_lowercase(), |(key, _)| key.clone()));
                let old = if path == [OLD_CRITIC] { known(CRITIC) } else { None };
                below = known(segment).or(old).map(|(_, value)| value);
            }
            layer.put(path, &text, ConfigOrigin::Environment(variable))?;
        }
        Ok(layer)
    }

    /// `--set a.b=c` arguments.
    pub(super) fn set(arguments: &[String], base: &Path) -> Result<Self> {
        let mut layer = Self::empty(base);
        for argument in arguments {
            let malformed = |why: &str| {
                Error::config(format!(
                    "--set {argument}: {why}; write it as --set planner.pnlc.rounds=2, and names with dots or blanks in \
                     quotes: 'llm.\"gpt-4.1\".max_tokens=9'"
                ))
            };
            let (key, text) = argument.split_once('=').ok_or_else(|| malformed("there is no `=`"))?;
            let keys = toml_edit::Key::parse(key).map_err(|error| malformed(error.message()))?;
            let path = keys.iter().map(|key| key.get().to_string()).collect();
            layer.put(path, text.trim(), ConfigOrigin::Set(argument.clone()))?;
        }
        Ok(layer)
    }

    /// Values that the command of this name gives.
    pub(super) fn command(name: &str, values: &[(KeyPath, Value)], base: &Path) -> Result<Self> {
        let mut layer = Self::empty(base);
        for (path, value) in values {
            layer.insert(path.clone(), value.clone(), ConfigOrigin::Command(name.into()))?;
        }
        Ok(layer)
    }

    /// Sets one key to a value in TOML, else to the text itself.
    fn put(&mut self, path: KeyPath, text: &str, origin: ConfigOrigin) -> Result<()> {
        let value = match text.parse::<toml_edit::Value>() {
            Ok(value) => self.item(&Item::Value(value), &mut path.clone(), &|_| origin.clone())?,
            Err(_) if text.parse::<i128>().is_ok() => {
                return Err(Error::config(format!("{origin}: `{}`: {WHOLE_NUMBERS}", dotted(&path))));
            }
            Err(_) => Value::String(text.into()),
        };
        self.insert(path, value, origin)
    }

    fn insert(&mut self, path: KeyPath, value: Value, origin: ConfigOrigin) -> Result<()> {
        let (last, parents) =
            path.split_last().ok_or_else(|| Error::config(format!("{origin}: a value without a key")))?;
        let mut table = &mut self.values;
        for (depth, key) in parents.iter().enumerate() {
            self.places.entry(path[..=depth].to_vec()).or_insert_with(|| origin.clone());
            let entry = table.entry(key).or_insert_with(|| Value::Object(Map::new()));
            table = entry.as_object_mut().ok_or_else(|| {
                Error::config(format!(
                    "{origin}: `{}` is set to a value and to a table",
                    dotted(&path[..=depth])
                ))
            })?;
        }
        table.insert(last.clone(), value);
        self.places.insert(path, origin);
        Ok(())
    }

    fn table(
        &mut self,
        table: &dyn TableLike,
        path: &mut KeyPath,
        place: &dyn Fn(usize) -> ConfigOrigin,
    ) -> Result<Map<String, Value>> {
        let mut values = Map::new();
        for (name, item) in table.iter() {
            path.push(name.into());
            // A header has the span of its table; any other key has its own.
            let span = item.as_table().and_then(|table| table.span());
            let span = span.or_else(|| table.key(name).and_then(|key| key.span())).or_else(|| item.span());
            if let Some(span) = span {
                self.places.insert(path.clone(), place(span.start));
            }
            let value = self.item(item, path, place)?;
            values.insert(name.into(), value);
            path.pop();
        }
        Ok(values)
    }

    fn item(
        &mut self,
        item: &Item,
        path: &mut KeyPath,
        place: &dyn Fn(usize) -> ConfigOrigin,
    ) -> Result<Value> {
        if let Some(table) = item.as_table_like() {
            return self.table(table, path, place).map(Value::Object);
        }
        let elements: Vec<Item> = match item {
            Item::ArrayOfTables(tables) => tables.iter().cloned().map(Item::Table).collect(),
            Item::Value(toml_edit::Value::Array(array)) => array.iter().cloned().map(Item::Value).collect(),
            Item::Value(value) => {
                let known = self.places.get(path.as_slice()).cloned();
                let at = known.unwrap_or_else(|| place(item.span().map_or(0, |span| span.start)));
                return scalar(value, path, &at);
            }
            _ => return Ok(Value::Null),
        };
        let mut list = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            path.push(index.to_string());
            if let Some(span) = element.span() {
                self.places.insert(path.clone(), place(span.start));
            }
            list.push(self.item(element, path, place)?);
            path.pop();
        }
        Ok(Value::Array(list))
    }

    /// The place of `path` in this layer, if it has one: of the key itself, else of the table that was given as a
    /// whole.
    pub(super) fn place(&self, path: &[String]) -> Option<&ConfigOrigin> {
        get(&self.values, path)?;
        let nearest = (1..=path.len()).rev().find_map(|length| self.places.get(&path[..length]));
        Some(nearest.unwrap_or(&ConfigOrigin::Default))
    }

    /// The same with sections under their present names.
    pub(super) fn renamed(mut self) -> Result<Self> {
        let old = self.values.get(OLD_CRITIC).and_then(Value::as_object);
        let names: Vec<String> = old.into_iter().flat_map(Map::keys).cloned().collect();
        for name in &names {
            let [from, to] = [OLD_CRITIC, CRITIC].map(|word| [word.into(), name.clone()]);
            self.rename(&from, &to)?;
            let values = &self.values[CRITIC][name];
            let former = former::DEFAULTS.iter().find(|(kind, ..)| values["kind"] == *kind);
            if let Some((_, key, value)) = former.filter(|(_, key, _)| values.get(key).is_none())
                && let Some(origin) = self.place(&to).filter(|origin| is_resolved(origin)).cloned()
            {
                self.insert([&to[..], &[(*key).into()]].concat(), (*value).into(), origin)?;
            }
        }
        if !names.is_empty() {
            self.remove(&[OLD_CRITIC.into()]);
        }
        Ok(self)
    }

    /// Moves what is at `from`, an old name, to `to`; says whether anything was there.
    pub(super) fn rename(&mut self, from: &[String], to: &[String]) -> Result<bool> {
        let Some(origin) = self.place(from).cloned() else { return Ok(false) };
        let section = from.len() == 2;
        let [old, new] = [from, to]
            .map(dotted)
            .map(|name| if section { format!("[{name}]") } else { format!("`{name}`") });
        if let Some(other) = self.place(to) {
            let message =
                format!("{origin}: {old} is the old name of {new}, which {other} sets; keep one of them");
            return Err(Error::config(message));
        }
        if !is_resolved(&origin) {
            self.notes.push(format!("{origin}: {old} is the old name of {new}; rename it"));
        }
        let value = self.take(from).unwrap_or_default();
        self.insert(to.to_vec(), value, origin)?;
        let moved = |path: KeyPath| match path.strip_prefix(from) {
            Some(rest) => [to, rest].concat(),
            None => path,
        };
        self.places =
            std::mem::take(&mut self.places).into_iter().map(|(path, at)| (moved(path), at)).collect();
        Ok(true)
    }

    fn remove(&mut self, section: &[String]) {
        self.take(section);
        self.places.retain(|path, _| !path.starts_with(section));
    }

    fn take(&mut self, path: &[String]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        let table =
            parents.iter().try_fold(&mut self.values, |table, key| table.get_mut(key)?.as_object_mut());
        table?.remove(last)
    }
}

/// Whether a program wrote it.
fn is_resolved(origin: &ConfigOrigin) -> bool {
    matches!(origin, ConfigOrigin::File { path, .. } if path.ends_with(RESOLVED))
}

/// What to say about a variable that would set a key if it had two underscores where it has one.
fn misspelt(name: &str) -> Option<String> {
    let (section, key) = name.split_once('_').unwrap_or((name, ""));
    let plain = section.to_lowercase();
    let below = match plain.as_str() {
        "seed" | "preset" if key.is_empty() => String::new(),
        "run" | "serve" | "embeddings" | "environment" | "summariser" | "seats" | "plugins" | "roles"
        | "prices"
            if !key.is_empty() =>
        {
            format!("__{key}")
        }
        OLD_CRITIC => "__NAME__KEY".into(),
        word if NAMED.contains(&word) => "__NAME__KEY".into(),
        _ => return None,
    };
    // `FORETHOUGHT_PLUGIN_PATH` and others do not begin with a section.
    Some(format!(
        "${ONE}{name} is not read: keys are separated by two underscores, as in {PREFIX}{section}{below}"
    ))
}

fn scalar(value: &toml_edit::Value, path: &[String], at: &ConfigOrigin) -> Result<Value> {
    use toml_edit::Value as Toml;
    Ok(match value {
        Toml::String(text) => Value::String(text.value().clone()),
        Toml::Integer(number) => (*number.value()).into(),
        Toml::Float(number) => {
            serde_json::Number::from_f64(*number.value()).map(Value::Number).ok_or_else(|| {
                Error::config(format!("{at}: `{}`: {} is not a finite number", dotted(path), number.value()))
            })?
        }
        Toml::Boolean(truth) => (*truth.value()).into(),
        other => Value::String(other.to_string().trim().into()),
    })
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named("configuration layer")
    }
    fn data(&self) -> std::result::Result<Profiles<Profile, Dict>, figment::Error> {
        let values = figment::value::Value::serialize(&self.values)?;
        Ok(Profile::Default.collect(values.into_dict().unwrap_or_default()))
    }
}

/// All layers as one document; a higher layer's keys win, lists as a whole.
pub(super) fn merge(layers: &[Layer]) -> Result<Value> {
    let figment = layers.iter().fold(Figment::new(), |figment, layer| figment.merge(layer));
    figment.extract().map_err(|error| Error::config(error.to_string()))
}

/// Where a layer gives a section or an inline table another kind, the lower layers' keys are dropped: the new kind does
/// not know them.
pub(super) fn forget_replaced_kinds(layers: &mut [Layer]) {
    fn kinds_of(table: &Value, path: &mut KeyPath, found: &mut Vec<(KeyPath, String)>) {
        if let Some(kind) = table["kind"].as_str() {
            found.push((path.clone(), kind.into()));
        }
        // Elsewhere a table with this key may be anything.
        if ["planner", "seats"].contains(&path[0].as_str()) {
            for (key, below) in table.as_object().into_iter().flatten() {
                path.push(key.clone());
                kinds_of(below, path, found);
                path.pop();
            }
        }
    }
    let mut kinds: BTreeMap<KeyPath, String> = BTreeMap::new();
    for index in 0..layers.len() {
        let mut found = Vec::new();
        let sections = [sections(&layers[index].values), vec![vec!["seats".into()]]].concat();
        for mut section in sections {
            let table = get(&layers[index].values, &section).cloned().unwrap_or_default();
            kinds_of(&table, &mut section, &mut found);
        }
        for (section, kind) in found {
            if kinds.insert(section.clone(), kind.clone()).is_some_and(|earlier| earlier != kind) {
                layers[..index].iter_mut().for_each(|layer| layer.remove(&section));
            }
        }
    }
}

/// Paths of all component sections.
pub(super) fn sections(values: &Map<String, Value>) -> Vec<KeyPath> {
    let single = SINGLE.iter().filter(|word| values.contains_key(**word)).map(|word| vec![(*word).into()]);
    let named = NAMED.iter().flat_map(|word| {
        let names = values.get(*word).and_then(Value::as_object).into_iter().flat_map(Map::keys);
        names.map(|name| vec![(*word).into(), name.clone()])
    });
    single.chain(named).collect()
}

/// The value at `path`.
pub(super) fn get<'a>(values: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(values.get(first)?, |value, key| match value {
        Value::Object(table) => table.get(key),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Offsets into a text as lines and columns, from 1.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(breaks).collect() }
    }
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let before = self.text.get(self.starts[line - 1]..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}
