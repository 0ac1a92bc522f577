//! What a configuration may contain, and which errors anything else gives.

use std::sync::Arc;

use forethought_api::module::Described;
use forethought_plugin_host::settings::{Isolation, PluginSettings};

use super::*;
use crate::registry::{self, Create};
use crate::testing::registry;

const PRESET: Preset = Preset {
    name: "walk",
    text: "seed = 7\n[environment]\nkind = \"corridor\"\nlength = 5\n[llm.actor]\nkind = \"parrot\"\nslip = 0.1\n",
};

/// A folder with files, and the sources that look into it.
struct Desk {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources { presets: vec![PRESET], ..Sources::new(folder.path()) };
        Self { folder, sources }
    }
    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
    fn load(&self) -> Config {
        Config::load(&self.sources, &registry()).unwrap_or_else(|error| panic!("{error}"))
    }
    /// The complaint, with this desk's folder left out.
    fn refusal(&self) -> String {
        let error = Config::load(&self.sources, &registry()).expect_err("this must be refused");
        assert_eq!(error.code, forethought_api::error::Code::Config);
        error.to_string().replace(&format!("{}/", self.folder.path().display()), "")
    }
    fn set(mut self, arguments: &[&str]) -> Self {
        self.sources.set = arguments.iter().map(|argument| (*argument).into()).collect();
        self
    }
}

fn path(dotted: &str) -> KeyPath {
    dotted.split('.').map(Into::into).collect()
}

fn origin(config: &Config, folder: &Path, key: &str) -> String {
    config.document().origin(&path(key)).to_string().replace(&format!("{}/", folder.display()), "")
}

#[test]
fn layers_lie_over_one_another_and_every_value_knows_its_own() {
    let mut desk = Desk::new().set(&["run.concurrency=4"]);
    desk.sources.user =
        Some(desk.write("home/config.toml", "seed = 1\n[run]\nepisodes = 1\nfirst_task = 1\n"));
    desk.write("forethought.toml", "preset = \"walk\"\n[run]\nepisodes = 2\nconcurrency = 2\n");
    desk.sources.file =
        Some(desk.write("mine/run.toml", "[run]\nconcurrency = 3\n\n[llm]\nactor.slip = 0.5\n"));
    desk.sources.variables =
        vec![("FORETHOUGHT__LLM__ACTOR__SLIP".into(), "0.9".into()), ("PATH".into(), "/bin".into())];
    let config = desk.load();

    assert_eq!(
        (config.seed, config.run.first_task, config.run.episodes, config.run.concurrency),
        (1, 1, 2, 4)
    );
    assert_eq!(config.llm["actor"].config["slip"], 0.9);
    assert_eq!(config.environment.as_ref().unwrap().kind, "corridor");
    let origin = |key| origin(&config, desk.folder.path(), key);
    assert_eq!(origin("run.out"), "default");
    assert_eq!(origin("environment.length"), "preset walk:4");
    assert_eq!(origin("seed"), "home/config.toml:1");
    assert_eq!(origin("run.first_task"), "home/config.toml:4");
    assert_eq!(origin("run.episodes"), "forethought.toml:3");
    assert_eq!(origin("llm.actor.slip"), "$FORETHOUGHT__LLM__ACTOR__SLIP");
    assert_eq!(origin("run.concurrency"), "--set run.concurrency=4");
}

#[test]
fn the_command_line_may_name_a_file_or_a_preset() {
    let desk = Desk::new();
    desk.write("run.toml", "seed = 3\n");
    let load = |name: &str| {
        let sources = desk.sources.clone().named(name);
        sources.and_then(|sources| Config::load(&sources, &registry()))
    };
    assert_eq!(load("run.toml").unwrap().seed, 3);
    assert_eq!(load("walk").unwrap().seed, 7);
    let message = load("wlak").unwrap_err().to_string();
    assert!(message.contains("nor a preset `wlak`; of the presets, the nearest is `walk`"), "{message}");
    let mut desk = Desk::new();
    desk.sources.file = Some("no/such.toml".into());
    assert_eq!(desk.refusal(), "there is no configuration file no/such.toml");
    desk.sources.file = None;
    desk.sources.preset = Some("stroll".into());
    assert_eq!(desk.refusal(), "there is no preset `stroll`; known are `walk`");
}

#[test]
fn set_takes_toml_and_else_text() {
    let desk = Desk::new().set(&[
        "preset=walk",
        "environment.map=north.txt",
        "planner.\"a.b\"={ kind = \"echo\", llm = \"actor\", rounds = 3 }",
        "llm.actor.api_key_env='MY KEY'",
    ]);
    let config = desk.load();
    assert_eq!(config.planner["a.b"].config["rounds"], 3);
    assert_eq!(config.llm["actor"].config["api_key_env"], "MY KEY");
    assert_eq!(
        desk.set(&["seed"]).refusal(),
        "--set seed: there is no `=`; write it as --set planner.pnlc.rounds=2, and names with dots or blanks in quotes: \
         'llm.\"gpt-4.1\".max_tokens=9'"
    );
}

#[test]
fn a_command_gives_values_as_they_are() {
    let mut desk = Desk::new();
    desk.write("forethought.toml", "preset = \"walk\"\n[llm.actor]\nmodel = \"mine\"\nslip = 0.2\n");
    desk.sources.variables = vec![("FORETHOUGHT__LLM__ACTOR__MODEL".into(), "theirs".into())];
    desk.sources.command = "quickstart".into();
    desk.sources.values = vec![
        (path("llm.actor.model"), json!("7")),
        (path("llm.actor.provider"), json!("true")),
        (path("llm.actor.slip"), json!(0.5)),
        (path("planner.a"), json!({ "kind": "echo", "llm": "actor", "rounds": 3 })),
    ];
    let desk = desk.set(&["llm.actor.slip=0.75", "llm.actor.clever=true"]);
    let config = desk.load();
    let actor = &config.llm["actor"].config;
    assert_eq!((&actor["model"], &actor["provider"]), (&json!("7"), &json!("true")));
    assert_eq!((&actor["slip"], &config.planner["a"].config["rounds"]), (&json!(0.5), &json!(3)));
    let origin = |key| origin(&config, desk.folder.path(), key);
    assert_eq!(origin("llm.actor.model"), "set by `quickstart`");
    assert_eq!(origin("planner.a.rounds"), "set by `quickstart`");
    assert_eq!(origin("llm.actor.slip"), "set by `quickstart`");
    assert_eq!(origin("llm.actor.clever"), "--set llm.actor.clever=true");

    let mut desk = Desk::new();
    desk.sources.command = "play".into();
    desk.sources.values = vec![(path("preset"), json!("walk")), (path("llm.actor.slip"), json!("0.5"))];
    assert_eq!(desk.refusal(), "set by `play`: `llm.actor.slip`: expected a number, found the text \"0.5\"");
    desk.sources.values = vec![(Vec::new(), json!(1))];
    assert_eq!(desk.refusal(), "set by `play`: a value without a key");
}

#[test]
fn variables_reach_names_that_they_cannot_spell() {
    let mut desk = Desk::new();
    desk.write(
        "forethought.toml",
        "preset = \"walk\"\n[planner.\"Echo-2.0 twice\"]\nkind = \"echo\"\nllm = \"actor\"\n",
    );
    desk.sources.variables = vec![("FORETHOUGHT__PLANNER__ECHO_2_0_TWICE__ROUNDS".into(), "9".into())];
    assert_eq!(desk.load().planner["Echo-2.0 twice"].config["rounds"], 9);
}

#[test]
fn an_unknown_key_is_refused_with_file_line_and_nearest_key() {
    for (toml, complaint) in [
        ("\n[rnu]\nepisodes = 1\n", "forethought.toml:2: `rnu`: unknown key; the nearest is `run`"),
        (
            "[run]\n\nepisode = 1\n",
            "forethought.toml:3: `run.episode`: unknown key; the nearest is `episodes`",
        ),
        (
            "[planner.a]\nkind = \"echo\"\nllm = \"x\"\nround = 1\n",
            "forethought.toml:4: `planner.a.round`: unknown key; the nearest is `rounds`",
        ),
        (
            "[planner.a]\nkind = \"ecoh\"\n",
            "forethought.toml:2: `planner.a.kind`: `ecoh` is not known here; the nearest is `echo`",
        ),
        (
            "[planner]\na = { llm = \"x\" }\n",
            "forethought.toml:2: `planner.a`: the key `kind` is missing; known are `echo`",
        ),
        (
            "[planner.a]\nkind = \"echo\"\n",
            "forethought.toml:1: `planner.a`: the key `llm` is missing (Its model, by name.)",
        ),
        (
            "[planner.echo]\nkind = \"echo\"\nllm = \"x\"\n[seats]\nagent = \"ehco\"\n",
            "forethought.toml:5: `seats.agent`: there is no [planner.ehco]; the nearest is `echo`",
        ),
        (
            "[llm.gpt]\nkind = \"parrot\"\n[roles]\nactor = \"gtp\"\n",
            "forethought.toml:4: `roles.actor`: there is no [llm.gtp]; the nearest is `gpt`",
        ),
        (
            "[llm.gpt]\nkind = \"parrot\"\n[roles.actor]\nllm = \"gpt\"\njudge = \"gtp\"\n",
            "forethought.toml:5: `roles.actor.judge`: there is no [llm.gtp]; the nearest is `gpt`",
        ),
        (
            "[llm.gpt]\nkind = \"parrot\"\n[roles.actor]\nllm = \"gpt\"\nsumarise = \"gpt\"\n",
            "forethought.toml:5: `roles.actor.sumarise`: unknown key; the nearest is `summarise`",
        ),
        (
            "[prices.\"gpt-4o\"]\ninput = 2.5\noutput = 10\n",
            "forethought.toml:1: `prices.gpt-4o`: the key `max_output_tokens` is missing (The model's longest answer in \
             tokens: assumed for a request that sets no limit.)",
        ),
    ] {
        let desk = Desk::new();
        desk.write("forethought.toml", toml);
        assert_eq!(desk.refusal(), complaint);
    }
}

#[test]
fn a_wrong_type_is_refused_with_what_was_expected() {
    let desk = Desk::new();
    desk.write("forethought.toml", "seed = \"x\"\n[run]\nconcurrency = 0\nmax_usd = true\n");
    let expected = [
        "forethought.toml:1: `seed`: expected a whole number, found the text \"x\"",
        "forethought.toml:3: `run.concurrency`: 0 is out of range: it must be at least 1",
        "forethought.toml:4: `run.max_usd`: expected a number, found true",
    ];
    let mut found: Vec<_> = desk.refusal().lines().map(String::from).collect();
    found.sort();
    assert_eq!(found, expected);

    let mut desk = Desk::new().set(&["preset=walk", "environment.length=-1"]);
    desk.sources.variables = vec![("FORETHOUGHT__LLM__ACTOR__API_KEY_ENV".into(), "17".into())];
    let message = desk.refusal();
    assert!(
        message.contains("--set environment.length=-1: `environment.length`: -1 is out of range"),
        "{message}"
    );
    assert!(
        message.contains("$FORETHOUGHT__LLM__ACTOR__API_KEY_ENV: `llm.actor.api_key_env`: expected a text"),
        "{message}"
    );
}

/// The registry with components of a plugin that wrote these schemas.
fn with<const N: usize>(components: [(&str, &str, Value); N]) -> Registry {
    let entries = components.map(|(interface, kind, schema)| {
        let described = Described {
            interface: interface.into(),
            kind: kind.into(),
            summary: "of a plugin".into(),
            schema,
        };
        let create: Create = Arc::new(|_, _| Box::pin(async { Err(Error::other("not built in this test")) }));
        registry::RegistryEntry::new(described, "tides", "1.0.0", registry::ComponentOrigin::Linked, create)
            .unwrap()
    });
    Registry::with(entries).unwrap()
}

const PLANNER: &str = "forethought.planner/1";
const CRITIC: &str = "forethought.value/1";

#[test]
fn the_schema_of_a_plugin_is_enforced_as_it_is_written() {
    let registry = with([(
        PLANNER,
        "tide",
        json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": "https://example.com/tide.json",
            "properties": {
                "name": { "$ref": "#/definitions/Name" },
                "step": { "multipleOf": 0.5 },
                "next": { "$ref": "#" },
                "log": { "type": "string", "format": "path" },
            },
            "additionalProperties": false,
            "definitions": { "Name": { "type": "string", "pattern": "^[a-z]+$" } },
        }),
    )]);
    let desk = Desk::new();
    let load = |toml: &str| {
        desk.write("forethought.toml", &format!("[planner.a]\nkind = \"tide\"\n{toml}\n"));
        Config::load(&desk.sources, &registry).map_err(|error| error.to_string())
    };
    let good = load("name = \"ebb\"\nlog = \"a.txt\"\nnext = { next = { step = 1.5 } }").unwrap();
    assert_eq!(good.planner["a"].config["log"], desk.folder.path().join("a.txt").to_str().unwrap());
    let refusal = load("name = \"Ebb\"\nnext = { next = { step = 0.7, nmae = 1 } }\nkidn = 1").unwrap_err();
    for complaint in [
        "forethought.toml:3: `planner.a.name`: the text \"Ebb\" does not match the pattern `^[a-z]+$`",
        "forethought.toml:4: `planner.a.next.next.step`: 0.7 must be a multiple of 0.5",
        "forethought.toml:4: `planner.a.next.next.nmae`: unknown key; the nearest is `name`",
        "forethought.toml:5: `planner.a.kidn`: unknown key; the nearest is `kind`",
    ] {
        assert!(refusal.contains(complaint), "{complaint}\n{refusal}");
    }
    assert_eq!(refusal.lines().count(), 4, "{refusal}");
}

#[test]
fn a_broken_schema_stops_only_those_who_use_it() {
    let registry = with([(PLANNER, "tide", json!({ "allOf": [{ "$ref": "#" }] }))]);
    let desk = Desk::new().set(&["preset=walk"]);
    assert!(Config::load(&desk.sources, &registry).is_ok());
    let desk = desk.set(&["preset=walk", "planner.a.kind=tide"]);
    let refusal = Config::load(&desk.sources, &registry).unwrap_err().to_string();
    assert_eq!(
        refusal,
        "--set planner.a.kind=tide: `planner.a`: cannot be validated: its JSON Schema recurses without end (a bug in \
         the plugin that provides it)"
    );
}

/// Planners of three kinds: one has a critic, one a value, one both.
fn with_critics() -> Registry {
    let planner = |keys: &[&str]| {
        let properties: Map<_, _> =
            keys.iter().map(|key| ((*key).into(), json!({ "type": "string" }))).collect();
        json!({ "properties": properties, "additionalProperties": false })
    };
    with([
        (PLANNER, "new", planner(&["critic"])),
        (PLANNER, "own", planner(&["value"])),
        (PLANNER, "both", planner(&["critic", "value"])),
        (
            CRITIC,
            "tide",
            json!({ "properties": { "height": { "type": "integer" } }, "additionalProperties": false }),
        ),
    ])
}

#[test]
fn old_names_of_critics_count_in_every_layer() {
    let mut desk = Desk::new();
    let toml = "[value.high-tide]\nkind = \"tide\"\nheight = 1\n[planner.a]\nkind = \"new\"\nvalue = \"high-tide\"\n\
                [planner.b]\nkind = \"own\"\nvalue = \"mine\"\n[planner.c]\nkind = \"both\"\nvalue = \"mine\"\n";
    let load =
        |desk: &Desk| Config::load(&desk.sources, &with_critics()).unwrap_or_else(|error| panic!("{error}"));
    let file = desk.write("forethought.toml", toml);
    let config = load(&desk);
    let told = |config: &Config| {
        config.notes().join("\n").replace(&format!("{}/", desk.folder.path().display()), "")
    };
    let seen = |config: &Config, key: &str| {
        format!("{} {}", config.document().get(&path(key)).unwrap(), origin(config, desk.folder.path(), key))
    };
    assert_eq!(seen(&config, "critic.high-tide.height"), "1 forethought.toml:3");
    assert_eq!(seen(&config, "planner.a.critic"), "\"high-tide\" forethought.toml:6");
    assert_eq!(seen(&config, "planner.b.value"), "\"mine\" forethought.toml:9");
    assert_eq!(seen(&config, "planner.c.value"), "\"mine\" forethought.toml:12");
    assert!(
        config.document().get(&path("value")).is_none()
            && config.document().get(&path("planner.a.value")).is_none()
    );
    let notes = "forethought.toml:1: [value.high-tide] is the old name of [critic.high-tide]; rename it\n\
                 forethought.toml:6: `planner.a.value` is the old name of `planner.a.critic`; rename it";
    assert_eq!(told(&config), notes);

    let preset = Preset { name: "tides", text: "[value.low]\nkind = \"tide\"\nheight = 0\n" };
    let mut all = desk.sources.clone();
    all.presets.push(preset);
    all.preset = Some("tides".into());
    all.variables = vec![
        ("FORETHOUGHT__VALUE__HIGH_TIDE__HEIGHT".into(), "2".into()),
        ("FORETHOUGHT__CRITIC__LOW__HEIGHT".into(), "7".into()),
    ];
    all.command = "play".into();
    all.values = vec![(path("planner.a.value"), json!("low"))];
    all.set = vec!["value.high-tide.height=3".into(), "critic.mid={ kind = \"tide\" }".into()];
    let config = Config::load(&all, &with_critics()).unwrap();
    assert_eq!(seen(&config, "critic.high-tide.height"), "3 --set value.high-tide.height=3");
    assert_eq!(seen(&config, "critic.low.height"), "7 $FORETHOUGHT__CRITIC__LOW__HEIGHT");
    assert_eq!(seen(&config, "critic.low.kind"), "\"tide\" preset tides:2");
    assert_eq!(seen(&config, "planner.a.critic"), "\"low\" set by `play`");
    assert_eq!(seen(&config, "critic.mid.kind"), "\"tide\" --set critic.mid={ kind = \"tide\" }");
    for place in [
        "preset tides:1",
        "$FORETHOUGHT__VALUE__HIGH_TIDE__HEIGHT",
        "set by `play`",
        "--set value.high-tide.height=3",
    ] {
        assert!(told(&config).contains(&format!("{place}: ")), "{place}");
    }
    assert_eq!(told(&config).lines().count(), 6, "{}", told(&config));

    // A mistake is still at its line, under its present name.
    std::fs::write(&file, toml.replace("height", "hieght")).unwrap();
    let refusal = Config::load(&desk.sources, &with_critics()).unwrap_err().to_string();
    assert!(
        refusal
            .ends_with("forethought.toml:3: `critic.high-tide.hieght`: unknown key; the nearest is `height`"),
        "{refusal}"
    );

    // Written by release 0.1.0, which nobody is asked to edit.
    let old = desk.write("run/config.resolved.toml", &format!("seed = 0\n{toml}"));
    let config = Config::load_resolved(&old, &with_critics()).unwrap();
    assert_eq!(
        (config.critic["high-tide"].kind.as_str(), &config.planner["a"].config["critic"]),
        ("tide", &json!("high-tide"))
    );
    assert_eq!(config.notes(), [""; 0]);
    desk.sources.file = Some(old);
    std::fs::remove_file(file).unwrap();
    assert_eq!(load(&desk).notes(), [""; 0]);
}

#[test]
fn both_names_of_one_critic_are_refused_with_both_places() {
    for (toml, refusal) in [
        (
            "[value.a]\nkind = \"tide\"\n[critic.a]\nheight = 1\n[critic.b]\nkind = \"tide\"\n",
            "forethought.toml:1: [value.a] is the old name of [critic.a], which forethought.toml:3 sets; keep one of \
             them",
        ),
        (
            "[planner.a]\nkind = \"new\"\nvalue = \"a\"\ncritic = \"b\"\n",
            "forethought.toml:3: `planner.a.value` is the old name of `planner.a.critic`, which forethought.toml:4 sets; \
             keep one of them",
        ),
        ("value = 3\n", "forethought.toml:1: `value`: unknown key; known are"),
    ] {
        let desk = Desk::new();
        desk.write("forethought.toml", toml);
        let found = Config::load(&desk.sources, &with_critics()).unwrap_err().to_string();
        let found = found.replace(&format!("{}/", desk.folder.path().display()), "");
        assert!(found.starts_with(refusal), "{found}");
    }
}

#[test]
fn malformed_toml_is_refused_with_line_and_column() {
    let desk = Desk::new();
    desk.write("forethought.toml", "seed = 1\n[run]\nepisodes = = 2\n");
    assert!(desk.refusal().starts_with("forethought.toml:3:12: not TOML: "), "{}", desk.refusal());
    desk.write("forethought.toml", "seed = 1\nseed = 2\n");
    assert!(desk.refusal().starts_with("forethought.toml:2:1: not TOML: "), "{}", desk.refusal());
    for number in ["9223372036854775808", "18446744073709551615", "-9223372036854775809"] {
        desk.write("forethought.toml", &format!("[run]\nepisodes = 1\nfirst_task = {number}\n"));
        let place = "forethought.toml:3:14: `first_task`: the number is out of range";
        assert!(desk.refusal().starts_with(place), "{}", desk.refusal());
    }
    desk.write("forethought.toml", "[run]\nmax_usd = inf\n");
    assert_eq!(desk.refusal(), "forethought.toml:2: `run.max_usd`: inf is not a finite number");
}

#[test]
fn another_kind_takes_nothing_from_the_one_it_replaces() {
    let desk = Desk::new();
    desk.write("forethought.toml", "preset = \"walk\"\n[llm.actor]\nkind = \"phone\"\nnumber = \"110\"\n");
    let config = desk.load();
    assert_eq!(config.llm["actor"].kind, "phone");
    assert!(!config.llm["actor"].config.contains_key("slip"), "slip was the parrot's");
}

#[test]
fn a_path_is_relative_to_the_file_that_names_it() {
    let mut desk = Desk::new();
    let folder = desk.folder.path().to_path_buf();
    let map = |config: Config| config.environment.unwrap().config["map"].as_str().unwrap().to_string();
    desk.sources.file = Some(desk.write(
        "deep/down/run.toml",
        "preset = \"walk\"\n[environment]\nmap = \"../maps/a.txt\"\n[run]\nout = \"./out\"\n",
    ));
    let config = desk.load();
    assert_eq!(*config.run.out, *folder.join("deep/down/out"));
    assert_eq!(map(config), folder.join("deep/down/../maps/a.txt").to_string_lossy());
    // A word of the component's own is no path; the command line counts from the current folder.
    desk.sources.set = vec!["environment.map=straight".into()];
    assert_eq!(map(desk.load()), "straight");
    desk.sources.set = vec!["environment.map=b.txt".into()];
    assert_eq!(map(desk.load()), folder.join("b.txt").to_string_lossy());
    desk.sources.set = vec!["environment.map=/abs/c.txt".into()];
    assert_eq!(map(desk.load()), "/abs/c.txt");
}

#[test]
fn the_only_model_summarises() {
    let desk = Desk::new().set(&["preset=walk"]);
    let summariser = desk.load().summariser.unwrap();
    assert_eq!((summariser.kind.as_str(), &summariser.config["llm"]), ("llm", &json!("actor")));
    let desk = desk.set(&["preset=walk", "llm.other.kind=parrot"]);
    assert!(desk.load().summariser.is_none());
    let desk = desk.set(&["preset=walk", "llm.other.kind=parrot", "summariser.llm=other"]);
    assert_eq!(desk.load().summariser.unwrap().kind, "llm");
}

#[test]
fn the_resolved_configuration_is_whole_and_holds_no_secret() {
    let mut desk = Desk::new();
    desk.write("forethought.toml", "preset = \"walk\"\n[llm.actor]\napi_key_env = \"ACTOR_KEY\"\n");
    desk.sources.variables = vec![("ACTOR_KEY".into(), "sk-very-secret".into())];
    let config = desk.load();
    let resolved = config.to_toml().unwrap();
    assert!(resolved.contains("ACTOR_KEY") && !resolved.contains("sk-very-secret"), "{resolved}");
    let path = desk.write("elsewhere/config.resolved.toml", &resolved);
    let again = Config::load_resolved(&path, &registry()).unwrap();
    assert_eq!(again.document().values(), config.document().values());
    assert_eq!(again.run, config.run);

    let commented = config.document().with_origins(config.document().values()).unwrap();
    assert!(commented.contains("api_key_env = \"ACTOR_KEY\" # "), "{commented}");
    assert!(commented.contains("forethought.toml:3\n") && commented.contains(" # default\n"), "{commented}");
    let path = desk.write("elsewhere/config.resolved.toml", &commented);
    let again = Config::load_resolved(&path, &registry()).unwrap();
    assert_eq!(again.document().values(), config.document().values());
}

#[test]
fn show_lists_every_leaf_and_the_defaults_of_components() {
    let desk = Desk::new().set(&["preset=walk", "planner.a={ kind = \"echo\", llm = \"actor\" }"]);
    let entries = desk.load().document().entries(&registry());
    let show = |key: &str| {
        let entry = entries.iter().find(|entry| dotted(&entry.path) == key).unwrap();
        format!("{} ({})", entry.value, entry.origin)
    };
    assert_eq!(show("environment.length"), "5 (preset walk:4)");
    assert_eq!(show("planner.a.rounds"), "2 (default)");
    assert!(show("planner.a.llm").contains("(--set planner.a="));
}

#[test]
fn the_schema_knows_every_component() {
    let schema = schema(&registry());
    let planner = &schema["$defs"]["planner"]["oneOf"];
    let echo = planner.as_array().unwrap().iter().find(|choice| choice["title"] == "planner.echo").unwrap();
    assert_eq!(echo["properties"]["kind"]["const"], "echo");
    assert_eq!(echo["required"], json!(["kind", "llm"]));
    // Definitions of components live under names of their own.
    let text = schema.to_string();
    assert!(text.contains("#/$defs/environment.corridor.Map"), "{text}");
    assert!(schema["$defs"]["environment.corridor.Map"].is_object());
}

#[test]
fn plugins_are_named_in_many_ways() {
    let mut desk = Desk::new();
    let folder = desk.folder.path().to_path_buf();
    desk.sources.file = Some(desk.write(
        "deep/run.toml",
        "[plugins]\nsearch = [\"plugins\"]\nload = [\"tide-pools\", \"libtide.so\", \"./all\",\n\
         { path = \"../libdrift.so\", isolation = \"process\", restarts = 1 },\n{ command = [\"python3\", \"env.py\"] }]\n",
    ));
    desk.sources.plugins = vec!["./typed.so".into()];
    desk.sources.search = vec!["/usr/share/plugins".into()];
    let draft = Draft::read(&desk.sources).unwrap();
    let Request { wanted, search, locks, .. } = draft.plugins();
    let paths: Vec<_> =
        wanted.iter().filter_map(|wanted| Some(wanted.settings.path.as_ref()?.0.clone())).collect();
    let at = |path: &str| folder.join(path).display().to_string();
    assert_eq!(
        paths,
        ["tide-pools", &at("deep/libtide.so"), &at("deep/all"), &at("deep/../libdrift.so"), &at("typed.so")]
    );
    assert_eq!((wanted[3].settings.isolation, wanted[3].settings.restarts), (Isolation::Process, 1));
    assert_eq!(wanted[4].settings.command, ["python3", "env.py"]);
    assert_eq!(
        wanted[4].settings.folder.as_deref(),
        Some(&*folder.join("deep")),
        "a command runs in the folder of its file"
    );
    assert_eq!(wanted[5].place, "--plugin ./typed.so: ");
    assert!(wanted[1].place.ends_with("deep/run.toml:3: `plugins.load.1`: "), "{}", wanted[1].place);
    assert_eq!(*search, [folder.join("deep/plugins"), "/usr/share/plugins".into()]);
    assert_eq!(*locks, [folder.join("deep"), folder.clone()]);

    // The whole says the same again.
    let config = draft.check(&registry()).unwrap();
    let path = desk.write("elsewhere/config.resolved.toml", &config.to_toml().unwrap());
    let sources = Sources { file: Some(path), plugins: Vec::new(), ..desk.sources.clone() };
    let again = Draft::read(&sources).unwrap();
    let settings =
        |draft: &Draft| draft.plugins().wanted.iter().map(|one| one.settings.clone()).collect::<Vec<_>>();
    assert_eq!(settings(&again), wanted_settings(&config));
}

fn wanted_settings(config: &Config) -> Vec<PluginSettings> {
    let plugins: PluginsConfig =
        serde_json::from_value(config.document().values()["plugins"].clone()).unwrap();
    plugins.load.into_iter().map(Into::into).collect()
}

#[test]
fn plugins_that_are_named_wrongly_are_refused_at_their_line() {
    for (load, complaint) in [
        ("{ pth = \"./libtide.so\" }", "`plugins.load.0.pth`: unknown key; the nearest is `path`"),
        ("{ isolation = \"process\" }", "`plugins.load.0`: name either a `path` or a `command`"),
        ("{ path = \"./a.so\", command = [\"b\"] }", "`plugins.load.0`: name either a `path` or a `command`"),
        ("{ path = \"./a.so\", folder = \".\" }", "`plugins.load.0`: `folder` belongs to a `command`"),
        ("{ command = [\"b\"], sha256 = \"00\" }", "`plugins.load.0`: `sha256` belongs to a `path`"),
        (
            "{ path = \"./a.so\", isolation = \"proces\" }",
            "`plugins.load.0.isolation`: `proces` is not known",
        ),
        ("{ path = \"./a.so\", deadline_s = 0 }", "`plugins.load.0.deadline_s`: 0 is out of range"),
        ("3", "`plugins.load.0`: expected a path or a table, found the number 3"),
    ] {
        let desk = Desk::new();
        desk.write("forethought.toml", &format!("[plugins]\nload = [{load}]\n"));
        let refusal = desk.refusal();
        assert!(refusal.contains("forethought.toml:2: ") && refusal.contains(complaint), "{load}: {refusal}");
    }
}

#[test]
fn roles_prices_and_limits_are_read_and_written_again() {
    let desk = Desk::new().set(&["run.per_episode.max_usd=0.5", "prices.\"a/gpt-4.1\".input=3"]);
    desk.write(
        "forethought.toml",
        "[llm.gpt]\nkind = \"parrot\"\n[llm.mini]\nkind = \"parrot\"\n\
         [roles]\nactor = \"gpt\"\nsummariser = \"mini\"\n\
         [roles.judge]\nllm = \"gpt\"\noutcomes = \"mini\"\nmax_usd = 2\nmax_calls = 10\n\
         [prices.\"a/gpt-4.1\"]\ninput = 2\noutput = 8\nmax_output_tokens = 32768\n",
    );
    let config = desk.load();
    let judge = &config.roles["judge"];
    assert_eq!(config.roles["actor"].targets().collect::<Vec<_>>(), ["gpt"]);
    assert_eq!(judge.targets().collect::<Vec<_>>(), ["gpt", "mini"]);
    assert_eq!((judge.limits.max_usd, judge.limits.max_calls), (Some(2.0), Some(10)));
    assert_eq!(config.prices["a/gpt-4.1"].input, 3.0);
    assert_eq!(config.run.per_episode.max_usd, Some(0.5));
    assert_eq!(config.summariser.as_ref().unwrap().config["llm"], "summariser", "the role of that name");
    let entries = config.document().entries(&registry());
    let route = entries.iter().find(|entry| entry.path == path("roles.judge.outcomes")).unwrap();
    assert_eq!(route.value, "mini");
    assert!(route.origin.to_string().ends_with("forethought.toml:10"), "{}", route.origin);

    let written = desk.write("run/config.resolved.toml", &config.to_toml().unwrap());
    let again = Config::load_resolved(&written, &registry()).unwrap();
    assert_eq!((again.roles, again.prices, again.run), (config.roles, config.prices, config.run));
}

#[test]
fn every_purpose_of_the_api_may_be_routed() {
    let schema = schema(&registry());
    let role = &schema["properties"]["roles"]["additionalProperties"]["anyOf"][1]["properties"];
    for purpose in
        ["thought", "action", "outcomes", "refine", "summarise", "reflect", "judge", "persona", "other"]
    {
        assert_eq!(role[purpose]["type"], "string", "{purpose}: {role}");
    }
}

#[test]
fn files_that_are_not_utf_8_are_refused_with_their_line() {
    let desk = Desk::new();
    let path = desk.folder.path().join("forethought.toml");
    for (bytes, says) in [
        (&b"seed = 1\n# caf\xe9\n"[..], "forethought.toml:2: the text is not UTF-8; save the file as UTF-8"),
        (b"\xff\xfes\0e\0e\0d\0", "forethought.toml:1: the text is UTF-16; save the file as UTF-8"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(desk.refusal(), says);
    }
    std::fs::write(&path, "\u{feff}seed = 9\r\n").unwrap();
    assert_eq!(desk.load().seed, 9, "a byte order mark and CRLF are no trouble");
}

#[test]
fn a_file_that_would_fill_the_memory_is_refused() {
    let desk = Desk::new();
    let file = std::fs::File::create(desk.folder.path().join("forethought.toml")).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(desk.refusal().contains("forethought.toml has more than 16777216 bytes"), "{}", desk.refusal());
}

#[test]
fn a_home_that_is_a_file_holds_no_configuration() {
    let mut desk = Desk::new();
    desk.sources.user = Some(desk.write("home", "").join("config.toml"));
    assert_eq!(desk.load().seed, 0);
}

#[test]
fn a_variable_with_one_underscore_is_named_with_the_right_name() {
    let mut desk = Desk::new().set(&["preset=walk"]);
    let variable = |name: &str| (name.to_string(), "3".to_string());
    desk.sources.variables =
        ["FORETHOUGHT_RUN_EPISODES", "FORETHOUGHT_LLM_ACTOR", "FORETHOUGHT_DATA", "forethought__seed"]
            .map(variable)
            .to_vec();
    let config = desk.load();
    assert_eq!((config.run.episodes, config.seed), (100, 3), "case does not matter");
    assert_eq!(
        config.notes(),
        [
            "$FORETHOUGHT_LLM_ACTOR is not read: keys are separated by two underscores, as in \
             FORETHOUGHT__LLM__NAME__KEY",
            "$FORETHOUGHT_RUN_EPISODES is not read: keys are separated by two underscores, as in \
             FORETHOUGHT__RUN__EPISODES",
        ]
    );
}

#[test]
fn sizes_that_no_machine_has_are_refused_with_key_and_limit() {
    for (set, says) in [
        ("run.episodes=100000000", "`run.episodes`: 100000000 is out of range: it must be at most 100000"),
        ("run.episodes=0", "`run.episodes`: 0 is out of range: it must be at least 1"),
        ("run.repeats=1000000000", "`run.repeats`: 1000000000 is out of range"),
        ("run.concurrency=1000000000", "`run.concurrency`: 1000000000 is out of range"),
        (
            "llm.actor.calls.concurrency=1000000000",
            "`llm.actor.calls.concurrency`: 1000000000 is out of range",
        ),
        ("run.max_wall_s=-5", "`run.max_wall_s`: -5 is out of range: it must be at least 0"),
    ] {
        let refusal = Desk::new().set(&["preset=walk", set]).refusal();
        assert!(refusal.contains(says), "{set}: {refusal}");
    }
}

#[test]
fn a_plugins_schema_with_an_id_is_part_of_the_whole() {
    let schema = json!({
        "$id": "https://example.org/reef.json", "type": "object",
        "properties": { "tide": { "$ref": "#/$defs/tide" }, "moon": { "$ref": "https://example.org/reef.json#/definitions/moon" },
            "next": { "$ref": "#" } },
        "$defs": { "tide": { "type": "integer" } }, "definitions": { "moon": { "type": "boolean" } },
    });
    let whole = super::schema(&with([(PLANNER, "reef", schema)]));
    let validator = jsonschema::validator_for(&whole).expect("a schema that editors can use");
    let valid = |moon: Value| {
        validator
            .is_valid(&json!({ "planner": { "p": { "kind": "reef", "next": { "tide": 3, "moon": moon } } } }))
    };
    assert!(valid(json!(true)) && !valid(json!("full")));
}

#[test]
fn a_planner_may_be_written_where_its_name_is_expected() {
    let desk = Desk::new();
    let toml = "[planner.a]\nkind = \"echo\"\nllm = \"actor\"\nchorus = [\n  \"b\",\n  { kind = \"echo\", llm = \"actor\", \
                inner = { kind = \"echo\", llm = \"actor\", rounds = 5 } },\n]\n[planner.b]\nkind = \"echo\"\nllm = \
                \"actor\"\n[seats]\nagent = { kind = \"echo\", llm = \"actor\", inner = \"b\" }\n";
    desk.write("forethought.toml", toml);
    let config = desk.load();
    let planner = |name: &str| Value::Object(config.planner[name].config.clone());
    assert_eq!(planner("a")["chorus"], json!(["b", "a.chorus[1]"]));
    assert_eq!(planner("a.chorus[1]"), json!({ "llm": "actor", "inner": "a.chorus[1].inner" }));
    assert_eq!(planner("a.chorus[1].inner"), json!({ "llm": "actor", "rounds": 5 }));
    assert_eq!((&*config.seats["agent"], &planner("seats.agent")["inner"]), ("seats.agent", &json!("b")));
    assert_eq!(config.planners().collect::<Vec<_>>(), ["a", "b"]);
    // Each value still knows its line, and the resolved configuration says the same.
    let place = config.document().origin(&["planner", "a.chorus[1].inner", "rounds"].map(String::from));
    assert!(place.to_string().ends_with("forethought.toml:6"), "{place}");
    let resolved = desk.write("run/config.resolved.toml", &config.to_toml().unwrap());
    let again = Config::load_resolved(&resolved, &registry()).unwrap();
    assert_eq!(again.document().values(), config.document().values());

    // A layer above reaches into it by its name, and adds to a table of the same kind.
    let desk = desk.set(&["planner.\"a.chorus[1].inner\".rounds=7"]);
    assert_eq!(desk.load().planner["a.chorus[1].inner"].config["rounds"], 7);

    let desk = desk.set(&["seats.agent={ kind = \"echo\", llm = \"other\" }"]);
    assert_eq!(desk.load().planner["seats.agent"].config["inner"], "b", "the same kind keeps its keys");

    // What is wrong in it is said with its place.
    desk.write("forethought.toml", &toml.replace("rounds = 5", "round = 5"));
    assert_eq!(
        desk.set(&[]).refusal(),
        "forethought.toml:6: `planner.a.chorus[1].inner.round`: unknown key; the nearest is `rounds`"
    );
}

#[test]
fn a_model_may_be_written_where_its_name_is_expected() {
    let desk = Desk::new();
    let toml = "[llm.phone]\nkind = \"phone\"\nnumber = { kind = \"parrot\",\n  slip = 0.5, calls = { retries = 2 } }\n";
    desk.write("forethought.toml", toml);
    let config = desk.load();
    assert_eq!(config.llm["phone"].config["number"], "phone.number");
    let inner = &config.llm["phone.number"];
    assert_eq!((&*inner.kind, &inner.config["slip"]), ("parrot", &json!(0.5)));
    let place = config.document().origin(&["llm", "phone.number", "slip"].map(String::from));
    assert!(place.to_string().ends_with("forethought.toml:4"), "{place}");
    // It is the model of a component, and not one of those that the configuration lists.
    assert_eq!(config.summariser.unwrap().config["llm"], "phone");
    // What is wrong in it is said with its place.
    desk.write("forethought.toml", &toml.replace("slip", "slop"));
    assert_eq!(
        desk.refusal(),
        "forethought.toml:4: `llm.phone.number.slop`: unknown key; the nearest is `slip`"
    );
    desk.write("forethought.toml", &toml.replace("parrot", "parot"));
    assert!(desk.refusal().starts_with("forethought.toml:3: `llm.phone.number.kind`"), "{}", desk.refusal());
}

#[test]
fn only_where_a_name_is_expected_a_table_is_a_component() {
    let desk = Desk::new();
    desk.write(
        "forethought.toml",
        "[planner.a]\nkind = \"echo\"\nllm = { kind = \"parrot\" }\ninner = { llm = \"b\" }\n",
    );
    assert_eq!(
        desk.refusal(),
        "forethought.toml:4: `planner.a.inner`: expected a name, or a table with the key `kind`, found a table\n\
         forethought.toml:3: `planner.a.llm`: expected a text, found a table"
    );
    let whole = schema(&registry());
    let validator = jsonschema::validator_for(&whole).unwrap();
    let document =
        |inner| json!({ "planner": { "a": { "kind": "echo", "llm": "actor", "chorus": [inner] } } });
    assert!(validator.is_valid(&document(json!("b"))));
    assert!(validator.is_valid(&document(json!({ "kind": "echo", "llm": "actor" }))));
    assert!(!validator.is_valid(&document(json!({ "kind": "echo" }))));
}
