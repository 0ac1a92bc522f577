//! `[roles]`: which model answers for a role that a planner names.

use std::collections::BTreeMap;

use forethought_api::llm::Purpose;
use schemars::schema_for;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Problem, compose::inlined};
use crate::{budget::Limits, registry::suggestion};

/// A role: its model, the purposes that go elsewhere, and what its calls may use.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Given")]
pub struct Role {
    /// Name under `[llm]` of the model that answers for it.
    pub llm: String,
    /// Names under `[llm]` of the models that answer calls for these purposes instead.
    pub routes: BTreeMap<Purpose, String>,
    /// Limits for its calls, in all episodes of a run together.
    pub limits: Limits,
}

impl Role {
    /// Every model that may answer, the default one first.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.llm).chain(self.routes.values()).map(String::as_str)
    }
}

/// The keys of a role that are limits; the others name models.
pub(crate) const LIMITS: [&str; 3] = ["max_calls", "max_tokens", "max_usd"];

/// As it is written: a model's name, or a table. The limits are spelled out, because a flattened `Limits` would
/// accept `max_wall_s`, which a role does not have.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Llm(String),
    Table {
        llm: String,
        max_calls: Option<u64>,
        max_tokens: Option<u64>,
        max_usd: Option<f64>,
        #[serde(flatten)]
        routes: BTreeMap<Purpose, String>,
    },
}

impl From<Given> for Role {
    fn from(given: Given) -> Self {
        match given {
            Given::Llm(llm) => Self { llm, routes: BTreeMap::new(), limits: Limits::default() },
            Given::Table { llm, max_calls, max_tokens, max_usd, routes } => {
                Self { llm, routes, limits: Limits { max_calls, max_tokens, max_usd, max_wall_s: None } }
            }
        }
    }
}

/// The schema of the section. The purposes and their descriptions come from the api.
pub(super) fn schema(definitions: &mut Map<String, Value>) -> Value {
    let llm = "Name under [llm] of the model that answers";
    let mut properties = Map::from_iter([("llm".into(), json!({ "type": "string", "description": llm }))]);
    let purposes = schema_for!(Purpose).to_value();
    for purpose in purposes["oneOf"].as_array().into_iter().flatten() {
        let words = purpose["description"].as_str().unwrap_or_default().trim_end_matches('.');
        let about = format!("{llm} calls for this purpose: {words}");
        let word = purpose["const"].as_str().unwrap_or_default();
        properties.insert(word.into(), json!({ "type": "string", "description": about }));
    }
    let limits = inlined("roles", schema_for!(Limits).to_value(), definitions);
    for key in LIMITS {
        properties.insert(key.into(), limits["properties"][key].clone());
    }
    let table = json!({
        "type": "object",
        "properties": properties,
        "required": ["llm"],
        "additionalProperties": false,
    });
    json!({ "type": "object", "additionalProperties": { "anyOf": [{ "type": "string", "description": llm }, table] } })
}

/// Models that are named and do not exist.
pub(super) fn unknown_models(document: &Map<String, Value>) -> Vec<Problem> {
    let table = |key: &str| document.get(key).and_then(Value::as_object).into_iter().flatten();
    let models: Vec<&str> = table("llm").map(|(name, _)| name.as_str()).collect();
    let mut unknown = Vec::new();
    let mut check = |path: &[&str], model: &Value| {
        if let Some(model) = model.as_str().filter(|model| !models.contains(model)) {
            let message = format!("there is no [llm.{model}]; {}", suggestion(model, models.iter().copied()));
            unknown.push(Problem { path: path.iter().map(|key| (*key).into()).collect(), message });
        }
    };
    for (role, given) in table("roles") {
        match given.as_object() {
            None => check(&["roles", role], given),
            Some(routes) => {
                routes.iter().for_each(|(purpose, model)| check(&["roles", role, purpose], model));
            }
        }
    }
    unknown
}
