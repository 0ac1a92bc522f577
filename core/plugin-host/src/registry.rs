//! The components of this program, linked into it or provided by plugins, by interface and kind.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use forethought_api::{
    Error, Result,
    error::Code,
    host::Host,
    module::Described,
    registry::{Component, INTERFACES, Pluggable, Registration, linked},
};
use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};

use crate::trust::Trust;

/// Builds a component from its configuration, without the `kind` key.
pub type Create = Arc<dyn Fn(Value, Arc<dyn Host>) -> BoxFuture<'static, Result<Component>> + Send + Sync>;

/// Where a component's code is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentOrigin {
    /// In this program.
    Linked,
    /// In a library.
    Library(PathBuf),
    /// In its own process: the library that it serves, or the command that started it.
    Process(String),
}

impl fmt::Display for ComponentOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linked => f.write_str("linked"),
            Self::Library(path) => write!(f, "{}", path.display()),
            Self::Process(what) => write!(f, "process {what}"),
        }
    }
}

/// A component that configurations may name.
#[derive(Clone, Serialize)]
pub struct RegistryEntry {
    /// Interface with its major version, such as `forethought.planner/1`.
    pub interface: &'static str,
    /// The interface's word in configs, such as `planner`.
    pub word: &'static str,
    /// Name of the kind.
    pub kind: String,
    /// One line.
    pub summary: String,
    /// Package that provides it.
    pub package: String,
    /// That package's version.
    pub version: String,
    /// Where its code is.
    pub origin: ComponentOrigin,
    /// Configuration keys that have no default.
    pub requirements: Vec<String>,
    /// JSON Schema of its configuration.
    pub schema: Value,
    /// Builds it.
    #[serde(skip)]
    pub create: Create,
}

impl fmt::Debug for RegistryEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} of {}", self.word, self.kind, self.source())
    }
}

impl RegistryEntry {
    /// A component that is linked into this program.
    ///
    /// # Errors
    /// If its interface is unknown.
    pub fn linked(registration: &Registration) -> Result<Self> {
        let Registration { interface, kind, summary, package, version, schema, create, .. } = *registration;
        let (kind, summary) = (kind.into(), summary.into());
        let described = Described { interface: interface.into(), kind, summary, schema: schema().to_value() };
        Self::new(described, package, version, ComponentOrigin::Linked, Arc::new(create))
    }

    /// A component as its plugin describes it.
    ///
    /// # Errors
    /// If its interface is unknown.
    pub fn new(
        described: Described,
        package: &str,
        version: &str,
        origin: ComponentOrigin,
        create: Create,
    ) -> Result<Self> {
        let Described { interface, kind, summary, schema } = described;
        let (interface, word) = known(&interface).ok_or_else(|| {
            let code = if origin == ComponentOrigin::Linked { Code::Config } else { Code::Plugin };
            let message = format!(
                "{package} {version} ({origin}) provides `{kind}` of the interface `{interface}`, which this program \
                 does not know; update one of them"
            );
            Error::new(code, message)
        })?;
        let schema = if schema.is_object() { schema } else { json!({ "type": "object" }) };
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        Ok(Self {
            interface,
            word,
            kind,
            summary,
            package: package.into(),
            version: version.into(),
            origin,
            requirements: required.filter_map(Value::as_str).map(Into::into).collect(),
            schema,
            create,
        })
    }

    /// Package, version and origin, for people.
    pub fn source(&self) -> String {
        format!("{} {} ({})", self.package, self.version, self.origin)
    }
}

/// Every component of this program, at most one for each interface and kind.
pub struct Registry {
    components: BTreeMap<(&'static str, String), Arc<RegistryEntry>>,
    /// Decides about the commands that components start. Without it they run: a program that embeds the runtime decides itself.
    trust: Option<Trust>,
}

impl Registry {
    /// The components linked into this program.
    ///
    /// # Errors
    /// If there are none, or two of one interface and kind.
    pub fn linked() -> Result<Self> {
        Self::with(Vec::new())
    }

    /// The components linked into this program and those of plugins.
    ///
    /// # Errors
    /// If there are none, or two of one interface and kind.
    pub fn with(plugins: impl IntoIterator<Item = RegistryEntry>) -> Result<Self> {
        let linked = linked().map(RegistryEntry::linked).collect::<Result<Vec<_>>>()?;
        Self::collect(linked.into_iter().chain(plugins))
    }

    /// This registry with further components.
    ///
    /// # Errors
    /// If there are two of one interface and kind.
    pub fn and(self, more: impl IntoIterator<Item = RegistryEntry>) -> Result<Self> {
        let trust = self.trust;
        let all = Self::collect(self.components.into_values().map(Arc::unwrap_or_clone).chain(more))?;
        Ok(Self { trust, ..all })
    }

    /// This registry, whose components start commands only as far as `trust` admits them.
    pub fn guarded(self, trust: Trust) -> Self {
        Self { trust: Some(trust), ..self }
    }

    /// Which commands components may start; `None` for all.
    pub fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// A registry of these components.
    ///
    /// # Errors
    /// If there are none, or two of one interface and kind.
    pub fn collect(entries: impl IntoIterator<Item = RegistryEntry>) -> Result<Self> {
        let mut components: BTreeMap<_, Arc<RegistryEntry>> = BTreeMap::new();
        for entry in entries {
            let entry = Arc::new(entry);
            if let Some(earlier) = components.insert((entry.word, entry.kind.clone()), entry.clone()) {
                let message = format!(
                    "two components are called {}.{}: one of {}, one of {}; link or load only one of them",
                    entry.word,
                    entry.kind,
                    earlier.source(),
                    entry.source()
                );
                let linked = [&earlier, &entry].iter().all(|entry| entry.origin == ComponentOrigin::Linked);
                return Err(Error::new(if linked { Code::Config } else { Code::Plugin }, message));
            }
        }
        if components.is_empty() {
            // The linker silently drops a crate that is never named (inventory issue 7).
            return Err(Error::config(
                "no component is linked into this program, and no plugin provides any; its main file must name each \
                 plugin crate, as in `use forethought_planners as _;`, `use forethought_webshop as _;`, or \
                 `--plugin FILE` and `[plugins] load = [...]` must name libraries",
            ));
        }
        Ok(Self { components, trust: None })
    }

    /// The component of `kind` for the interface called `word`.
    ///
    /// # Errors
    /// If there is none; the message names the nearest.
    pub fn find(&self, word: &str, kind: &str) -> Result<&Arc<RegistryEntry>> {
        let found = self.components.values().find(|entry| entry.word == word && entry.kind == kind);
        found.ok_or_else(|| self.unknown(word, kind))
    }

    /// The component of `kind` for interface `I`.
    ///
    /// # Errors
    /// If there is none; the message names the nearest.
    pub fn get<I: Pluggable + ?Sized>(&self, kind: &str) -> Result<&Arc<RegistryEntry>> {
        self.find(I::WORD, kind)
    }

    /// Names of the kinds of an interface, in order.
    pub fn kinds<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.list().filter(move |entry| entry.word == word).map(|entry| entry.kind.as_str())
    }

    /// Every component, by interface and kind.
    pub fn list(&self) -> impl Iterator<Item = &Arc<RegistryEntry>> {
        self.components.values()
    }

    fn unknown(&self, word: &str, kind: &str) -> Error {
        let words = INTERFACES.iter().map(|(_, word)| *word);
        if !words.clone().any(|known| known == word) {
            return Error::not_found(format!("there is no interface `{word}`; {}", suggestion(word, words)));
        }
        let kinds: Vec<_> = self.kinds(word).collect();
        if kinds.is_empty() {
            return Error::not_found(format!(
                "there is no {word}.{kind}: no crate linked into this program registers any {word}, and no plugin \
                 provides one"
            ));
        }
        Error::not_found(format!("there is no {word}.{kind}; {}", suggestion(kind, kinds.into_iter())))
    }
}

/// The interface of this name, and its word.
pub fn known(interface: &str) -> Option<(&'static str, &'static str)> {
    INTERFACES.iter().find(|(name, _)| *name == interface).copied()
}

/// The default in a schema, without its nulls: TOML has no null.
pub fn default_of(schema: &Value) -> Option<Value> {
    fn given(value: &Value) -> Option<Value> {
        match value {
            Value::Null => None,
            Value::Object(table) => {
                let table: serde_json::Map<_, _> =
                    table.iter().filter_map(|(key, value)| Some((key.clone(), given(value)?))).collect();
                (!table.is_empty()).then_some(Value::Object(table))
            }
            other => Some(other.clone()),
        }
    }
    given(schema.get("default")?)
}

/// The known word nearest to what was typed, if any is near.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    known
        .into_iter()
        .map(|word| (strsim::normalized_damerau_levenshtein(&typed, &word.to_lowercase()), word))
        .filter(|(likeness, word)| *likeness >= 0.5 || (typed.len() >= 3 && word.contains(&*typed)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// The way out for a mistyped word: the nearest known one, or all of them.
pub fn suggestion<'a>(typed: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(typed, known.clone()) {
        Some(near) => format!("the nearest is `{near}`"),
        None => match known.map(|word| format!("`{word}`")).collect::<Vec<_>>() {
            none if none.is_empty() => "none is known here".into(),
            all => format!("known are {}", all.join(", ")),
        },
    }
}

#[cfg(test)]
mod tests {
    use forethought_sdk::prelude::*;

    use super::*;

    fn compass(package: &str, origin: ComponentOrigin) -> RegistryEntry {
        let described = Described {
            interface: "forethought.encoder/1".into(),
            kind: "compass".into(),
            summary: "encodes everything as north".into(),
            schema: Value::Null,
        };
        let create: Create = Arc::new(|_, _| Box::pin(async { Err(Error::other("not built in this test")) }));
        RegistryEntry::new(described, package, "1.0.0", origin, create).unwrap()
    }

    fn refusal<T>(result: Result<T>) -> Error {
        result.err().expect("this must be refused")
    }

    #[test]
    fn two_components_of_one_kind_name_both_origins() {
        let linked = || compass("north", ComponentOrigin::Linked);
        let message = refusal(Registry::collect([linked(), compass("south", ComponentOrigin::Linked)]));
        assert_eq!(message.code, Code::Config);
        assert!(message.message.contains("encoder.compass"), "{message}");

        let library = compass("south", ComponentOrigin::Library("/plugins/libsouth.so".into()));
        let message = refusal(Registry::collect([linked(), library]));
        assert_eq!(message.code, Code::Plugin);
        assert!(message.message.contains("one of north 1.0.0 (linked)"), "{message}");
        assert!(message.message.contains("one of south 1.0.0 (/plugins/libsouth.so)"), "{message}");
    }

    #[test]
    fn an_empty_registry_says_what_to_link_or_load() {
        let message = refusal(Registry::collect([])).message;
        assert!(
            message.contains("use forethought_webshop as _;") && message.contains("--plugin"),
            "{message}"
        );
        // Nothing has to be linked if a plugin provides something.
        let north = compass("north", ComponentOrigin::Process("python3 north.py".into()));
        assert!(Registry::collect([north]).is_ok());
    }

    #[test]
    fn an_unknown_interface_is_named() {
        let described = Described { interface: "forethought.oracle/9".into(), ..Described::default() };
        let create = compass("north", ComponentOrigin::Linked).create;
        let entry = RegistryEntry::new(described, "delphi", "9.0.0", ComponentOrigin::Linked, create);
        assert!(refusal(entry).message.contains("forethought.oracle/9"));
    }

    #[test]
    fn a_lookup_suggests_the_nearest_kind() {
        let registry = Registry::collect([compass("north", ComponentOrigin::Linked)]).unwrap();
        assert_eq!(registry.get::<dyn TextEncoder>("compass").unwrap().package, "north");
        let refusal = |word, kind| refusal(registry.find(word, kind)).message;
        assert_eq!(refusal("encoder", "compas"), "there is no encoder.compas; the nearest is `compass`");
        assert_eq!(refusal("encoder", "xyz"), "there is no encoder.xyz; known are `compass`");
        assert!(refusal("encodr", "compass").contains("the nearest is `encoder`"));
        assert!(refusal("llm", "remote").contains("no crate linked"));
    }

    #[test]
    fn the_list_carries_schema_and_origin() {
        let registry = Registry::linked().unwrap();
        let letters = registry.get::<dyn TextEncoder>("letters").unwrap();
        assert_eq!(
            (letters.interface, &*letters.package),
            ("forethought.encoder/1", "forethought-plugin-host")
        );
        assert_eq!(
            (&letters.origin, &letters.requirements),
            (&ComponentOrigin::Linked, &vec!["alphabet".to_string()])
        );
        assert!(letters.schema["properties"]["dimension"].is_object());
        let listed = serde_json::to_value(registry.list().collect::<Vec<_>>()).unwrap();
        let letters = listed.as_array().unwrap().iter().find(|entry| entry["kind"] == "letters").unwrap();
        assert_eq!((&letters["word"], &letters["origin"]), (&json!("encoder"), &json!("linked")));
    }
}
