//! Rules for configurations: the schema, and whether the component follows it.

use forethought_api::registry::Component;
use serde_json::{Value, json};

use crate::{
    schema,
    trial::{Failure, Rule, Trial, Verdict, ensure, skip},
};

const SCHEMA: Rule = Rule {
    id: "config/schema",
    says: "the schema of its configuration is a valid JSON Schema for an object",
    fix: "put `#[config]` on a struct with named fields; a hand-written schema must follow JSON Schema 2020-12",
    needs: &[],
};
const DOCUMENTED: Rule = Rule {
    id: "config/documented",
    says: "every key of its configuration is documented",
    fix: "write a doc comment on each field of the config struct; help texts and error messages use it",
    needs: &["config/schema"],
};
pub(crate) const BUILDS: Rule = Rule {
    id: "config/builds",
    says: "it can be built from its required keys alone",
    fix: "mark as required (no default) what it needs, and give everything else a default that works",
    needs: &["config/schema"],
};
const DEFAULTS: Rule = Rule {
    id: "config/defaults",
    says: "the defaults in its schema are valid, and it can be built from them",
    fix: "use one `Default` implementation and `#[serde(default)]` on the struct, so that the schema states what serde \
          fills in",
    needs: &["config/schema"],
};
const TYPOS: Rule = Rule {
    id: "config/typos",
    says: "an unknown key in its configuration is refused by name",
    fix: "put `#[config]` without `open`, or `#[serde(deny_unknown_fields)]`, on the config struct; outside of \
          Rust, answer `create` with an error of code `config` that names the key",
    needs: &["config/schema"],
};
const INTERFACE: Rule = Rule {
    id: "config/interface",
    says: "the built component has the interface under which it is registered",
    fix: "return an object of the interface that `register!` or `describe` names",
    needs: &[],
};

pub(crate) const RULES: &[&Rule] = &[&SCHEMA, &DOCUMENTED, &BUILDS, &DEFAULTS, &TYPOS, &INTERFACE];

/// Checks the configuration and builds the component that the other rules are about.
pub(crate) async fn check(trial: &mut Trial<'_>) -> Option<Component> {
    let schema = &trial.subject.schema;
    trial.rule(&SCHEMA, valid(schema)).await;
    trial.rule(&DOCUMENTED, documented(schema)).await;
    trial.config = schema::required(schema, &trial.options.config, &str::to_owned);
    let built = trial.create(trial.config.clone()).await;
    trial.rule(&BUILDS, builds(trial, &built)).await;
    let component = built.ok()?;
    trial.rule(&DEFAULTS, defaults(trial)).await;
    trial.rule(&TYPOS, typos(trial)).await;
    trial.rule(&INTERFACE, interface(trial, &component)).await;
    Some(component)
}

async fn valid(schema: &Value) -> Verdict {
    if let Err(error) = jsonschema::meta::validate(schema) {
        ensure!(false, "at `{}`: {error}", error.instance_path());
    }
    ensure!(schema["type"] == "object", "its type is {}, not \"object\"", schema["type"]);
    Ok(())
}

async fn documented(schema: &Value) -> Verdict {
    fn silent(root: &Value, schema: &Value, at: &str, depth: u32, found: &mut Vec<String>) {
        for (key, value) in schema::keys(root, schema) {
            let at = format!("{at}{key}");
            let says =
                |value: &Value| value["description"].as_str().is_some_and(|text| !text.trim().is_empty());
            if !says(value) && !says(schema::resolve(root, value)) {
                found.push(at.clone());
            }
            // A schema may contain itself.
            if depth < 8 {
                silent(root, value, &format!("{at}."), depth + 1, found);
            }
        }
    }
    let mut found = Vec::new();
    silent(schema, schema, "", 0, &mut found);
    ensure!(found.is_empty(), "these keys have no description: {found:?}");
    Ok(())
}

async fn builds(trial: &Trial<'_>, built: &Result<Component, Failure>) -> Verdict {
    let (schema, config) = (&trial.subject.schema, &trial.config);
    let Err(failure) = built else { return Ok(()) };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing: Vec<_> = required.filter(|key| config.get(key).is_none()).collect();
    if !missing.is_empty() {
        skip!(
            "it cannot be built without {missing:?}, and the kit has no value for that: pass one to the check"
        );
    }
    if let Some(source) = trial.stand_ins.missing() {
        skip!(
            "it cannot be built without the files of {source:?}, and the kit fetches nothing: set a local folder"
        );
    }
    ensure!(false, "create({config}) {failure}");
    Ok(())
}

async fn defaults(trial: &Trial<'_>) -> Verdict {
    let schema = &trial.subject.schema;
    let whole = schema::spelled_out(schema, &trial.config);
    if let Err(error) = jsonschema::validate(schema, &whole) {
        ensure!(false, "`{}`: {error}", error.instance_path());
    }
    if let Err(failure) = trial.create(whole.clone()).await {
        ensure!(false, "with every default written out, create({whole}) {failure}");
    }
    Ok(())
}

async fn typos(trial: &Trial<'_>) -> Verdict {
    const TYPO: &str = "surely_no_such_key";
    let mut config = trial.config.clone();
    config[TYPO] = json!(1);
    match trial.create(config).await {
        Ok(_) => ensure!(false, "it was built from a configuration with the unknown key `{TYPO}`"),
        Err(Failure::Error(error)) => {
            ensure!(
                error.to_string().contains(TYPO),
                "the error for the unknown key `{TYPO}` does not name it: {error}"
            );
        }
        Err(failure) => ensure!(false, "with the unknown key `{TYPO}`, create {failure}"),
    }
    Ok(())
}

async fn interface(trial: &Trial<'_>, component: &Component) -> Verdict {
    let (registered, built) = (trial.subject.interface.as_str(), component.clone().serve());
    ensure!(
        built.interface() == registered,
        "it is registered as {registered}, but built as {}",
        built.interface()
    );
    Ok(())
}
