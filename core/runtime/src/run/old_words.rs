//! Identities use the words of release 0.1.0, so that its runs can be continued and replayed: there a critic was
//! configured as `[value.NAME]`, and a planner named it by the key `value`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The name that a section had, such as `value` for `critic`.
pub(crate) fn section(word: &str) -> &str {
    if word == "critic" { "value" } else { word }
}

/// A planner's configuration with the key that it had. Keys stay sorted, as the configuration has them.
pub(crate) fn planner(config: Map<String, Value>) -> Map<String, Value> {
    let renamed = !config.contains_key("value");
    let name = |key: String| if renamed { section(&key).to_owned() } else { key };
    config
        .into_iter()
        .map(|(key, value)| (name(key), value))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect()
}

/// A whole configuration with the sections and keys that it had.
pub(crate) fn document(config: &mut toml::Table) {
    for planner in config.get_mut("planner").and_then(toml::Value::as_table_mut).into_iter().flatten() {
        if let Some(planner) = planner.1.as_table_mut().filter(|planner| !planner.contains_key("value")) {
            rename(planner);
        }
    }
    rename(config);
}

fn rename(table: &mut toml::Table) {
    if let Some(value) = table.remove("critic") {
        table.insert(section("critic").into(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_first_release() {
        let mut config: toml::Table =
            toml::from_str("[critic.c]\nkind = \"random\"\n[planner.p]\ncritic = \"c\"\nrounds = 1\n")
                .unwrap();
        document(&mut config);
        let old: toml::Table =
            toml::from_str("[planner.p]\nrounds = 1\nvalue = \"c\"\n[value.c]\nkind = \"random\"\n").unwrap();
        assert_eq!(toml::to_string(&config).unwrap(), toml::to_string(&old).unwrap());

        let Value::Object(own) = serde_json::json!({ "critic": "c", "kind": "pnlc", "llm": "actor" }) else {
            panic!()
        };
        let text = serde_json::to_string(&planner(own)).unwrap();
        assert_eq!(text, r#"{"kind":"pnlc","llm":"actor","value":"c"}"#);
        // A planner of somebody else's may have both.
        let Value::Object(both) = serde_json::json!({ "critic": "c", "value": 1 }) else { panic!() };
        assert_eq!(planner(both.clone()), both);
    }
}
