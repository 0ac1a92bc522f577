//! Which components this program has: the linked registrations, by interface and kind.

use std::collections::BTreeMap;

use forethought_api::{
    Error, Result,
    registry::{INTERFACES, Pluggable, Registration, linked},
};
use serde::Serialize;
use serde_json::Value;

/// Every component of this program, at most one for each interface and kind.
pub struct Registry {
    components: BTreeMap<(&'static str, &'static str), &'static Registration>,
}

/// What `list` and `describe` tell of a component.
#[derive(Debug, Clone, Serialize)]
pub struct ComponentInfo {
    /// Interface with its major version, such as `forethought.planner/1`.
    pub interface: &'static str,
    /// The interface's word in configs, such as `planner`.
    pub word: &'static str,
    /// Kind name.
    pub kind: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Package that brings it.
    pub package: &'static str,
    /// That package's version.
    pub version: &'static str,
    /// Configuration keys that have no default.
    pub requirements: Vec<String>,
    /// JSON Schema of its configuration.
    pub schema: Value,
}

impl Registry {
    /// The components linked into this program.
    ///
    /// # Errors
    /// If there are none, or two of one interface and kind.
    pub fn linked() -> Result<Self> {
        Self::collect(linked())
    }

    /// A registry of these registrations.
    ///
    /// # Errors
    /// If there are none, or two of one interface and kind.
    pub fn collect(registrations: impl IntoIterator<Item = &'static Registration>) -> Result<Self> {
        let mut components = BTreeMap::new();
        for registration in registrations {
            let word = word(registration.interface).ok_or_else(|| {
                Error::config(format!(
                    "{} registers `{}` for the interface `{}`, which this program does not know; update one of them",
                    origin(registration), registration.kind, registration.interface
                ))
            })?;
            if let Some(earlier) = components.insert((word, registration.kind), registration) {
                return Err(Error::config(format!(
                    "two components are called {word}.{}: one of {}, one of {}; link only one of them",
                    registration.kind,
                    origin(earlier),
                    origin(registration)
                )));
            }
        }
        if components.is_empty() {
            // The linker drops a crate that nobody names, silently (inventory issue 7).
            return Err(Error::config(
                "no component is linked into this program; its main file must name each plugin crate, as in \
                 `use forethought_planners as _;`, `use forethought_webshop as _;`",
            ));
        }
        Ok(Self { components })
    }

    /// The component of `kind` for the interface called `word`.
    ///
    /// # Errors
    /// If there is none; the message names the nearest.
    pub fn find(&self, word: &str, kind: &str) -> Result<&'static Registration> {
        let found = self.components.iter().find(|((w, k), _)| *w == word && *k == kind);
        found.map(|(_, registration)| *registration).ok_or_else(|| self.unknown(word, kind))
    }

    /// The component of `kind` for interface `I`.
    ///
    /// # Errors
    /// If there is none; the message names the nearest.
    pub fn get<I: Pluggable + ?Sized>(&self, kind: &str) -> Result<&'static Registration> {
        self.find(I::WORD, kind)
    }

    /// Kind names of an interface, in order.
    pub fn kinds<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'static str> + 'a {
        self.components.keys().filter(move |(w, _)| *w == word).map(|(_, kind)| *kind)
    }

    /// Everything about every component, by interface and kind.
    pub fn list(&self) -> Vec<ComponentInfo> {
        self.components.iter().map(|((word, _), registration)| info(word, registration)).collect()
    }

    /// Everything about one component.
    ///
    /// # Errors
    /// If there is none; the message names the nearest.
    pub fn describe(&self, word: &str, kind: &str) -> Result<ComponentInfo> {
        let registration = self.find(word, kind)?;
        Ok(info(self::word(registration.interface).unwrap_or_default(), registration))
    }

    fn unknown(&self, word: &str, kind: &str) -> Error {
        let words = INTERFACES.iter().map(|(_, word)| *word);
        if !words.clone().any(|known| known == word) {
            return Error::not_found(format!("there is no interface `{word}`; {}", suggestion(word, words)));
        }
        let kinds: Vec<_> = self.kinds(word).collect();
        if kinds.is_empty() {
            return Error::not_found(format!(
                "there is no {word}.{kind}: no crate linked into this program registers any {word}"
            ));
        }
        Error::not_found(format!("there is no {word}.{kind}; {}", suggestion(kind, kinds.into_iter())))
    }
}

fn word(interface: &str) -> Option<&'static str> {
    INTERFACES.iter().find(|(name, _)| *name == interface).map(|(_, word)| *word)
}

fn origin(registration: &Registration) -> String {
    format!("{} {}", registration.package, registration.version)
}

fn info(word: &'static str, registration: &Registration) -> ComponentInfo {
    let schema = (registration.schema)().to_value();
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    ComponentInfo {
        interface: registration.interface,
        word,
        kind: registration.kind,
        summary: registration.summary,
        package: registration.package,
        version: registration.version,
        requirements: required.filter_map(Value::as_str).map(Into::into).collect(),
        schema,
    }
}

/// The default that a schema states, without what is null in it: TOML has no null.
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

/// The way out for a mistyped word: the nearest known one, else all of them.
pub(crate) fn suggestion<'a>(typed: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
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
    use crate::testing;

    const NORTH: Registration = Registration {
        interface: "forethought.encoder/1",
        kind: "compass",
        summary: "encodes everything as north",
        package: "north",
        version: "1.0.0",
        inline: false,
        schema: || forethought_sdk::schemars::schema_for!(String),
        create: |_, _| Box::pin(async { Err(Error::other("not built in this test")) }),
    };
    static FIRST: Registration = NORTH;
    static SECOND: Registration = Registration { package: "south", version: "2.1.0", ..NORTH };
    static FOREIGN: Registration = Registration { interface: "forethought.oracle/9", ..NORTH };

    fn refusal<T>(result: Result<T>) -> String {
        result.err().expect("this must be refused").to_string()
    }

    #[test]
    fn two_components_of_one_kind_name_both_origins() {
        let message = refusal(Registry::collect([&FIRST, &SECOND]));
        assert!(message.contains("encoder.compass"), "{message}");
        assert!(message.contains("north 1.0.0") && message.contains("south 2.1.0"), "{message}");
    }

    #[test]
    fn an_empty_registry_says_what_to_link() {
        assert!(refusal(Registry::collect([])).contains("use forethought_webshop as _;"));
        assert!(refusal(Registry::collect([&FOREIGN])).contains("forethought.oracle/9"));
    }

    #[test]
    fn a_lookup_suggests_the_nearest_kind() {
        let registry = Registry::collect([&FIRST]).unwrap();
        assert_eq!(registry.get::<dyn TextEncoder>("compass").unwrap().package, "north");
        assert_eq!(
            refusal(registry.find("encoder", "compas")),
            "there is no encoder.compas; the nearest is `compass`"
        );
        assert_eq!(refusal(registry.find("encoder", "xyz")), "there is no encoder.xyz; known are `compass`");
        assert!(refusal(registry.find("encodr", "compass")).contains("the nearest is `encoder`"));
        assert!(refusal(registry.find("llm", "remote")).contains("no crate linked"));
    }

    #[test]
    fn the_list_carries_schema_and_origin() {
        let registry = testing::registry();
        let planner = registry.describe("planner", "echo").unwrap();
        assert_eq!((planner.interface, planner.package), ("forethought.planner/1", "forethought-runtime"));
        assert_eq!(planner.requirements, ["llm"]);
        assert!(planner.schema["properties"]["rounds"].is_object());
        assert!(registry.list().iter().any(|component| component.kind == "echo"));
    }
}
