//! The invariants of ARCHITECTURE.md that can be read from manifests and sources, and the house style of CONTRIBUTING.md.

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, path::Path};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live in the workspace")
}

/// Workspace crates by folder, with the workspace crates that each depends on outside of tests.
fn arrows() -> BTreeMap<String, Vec<String>> {
    let mut folders = vec!["xtask".to_owned()];
    for group in ["core", "plugins", "environments"] {
        let entries = fs::read_dir(root().join(group)).unwrap().flatten();
        // What has no manifest is not a crate: the Python package.
        let crates = entries.filter(|entry| entry.path().join("Cargo.toml").exists());
        folders.extend(crates.map(|entry| format!("{group}/{}", entry.file_name().to_string_lossy())));
    }
    let ours = |folder: String| {
        let mut dependencies = dependencies(&folder);
        dependencies.retain(|name| name.starts_with("forethought-"));
        (folder, dependencies)
    };
    folders.into_iter().map(ours).collect()
}

/// Names of all that a crate depends on outside of tests.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml"))
        .unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut section = "";
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[dependencies]" && line.contains('=') && !line.starts_with('#') {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            names.push(line[..end].to_owned());
        }
    }
    names
}

#[test]
fn arrows_point_one_way() {
    let arrows = arrows();
    assert!(arrows.len() >= 10, "the workspace was not found: {arrows:?}");
    for (folder, dependencies) in &arrows {
        let allowed: &[&str] = match folder.as_str() {
            "core/abi" | "core/macros" | "xtask" => &[],
            "core/api" => &["forethought-macros"],
            "core/bridge" => &["forethought-api", "forethought-abi"],
            "core/plugin-host" => &["forethought-api", "forethought-abi", "forethought-bridge"],
            "core/sdk" => &["forethought-api", "forethought-abi", "forethought-bridge", "forethought-macros"],
            "core/conformance" | "core/hub" | "core/mock-llm" => &["forethought-api"],
            "core/runtime" => &["forethought-api", "forethought-hub", "forethought-plugin-host"],
            "core/serve" => &["forethought-api", "forethought-runtime"],
            "core/restate" => &["forethought-api", "forethought-runtime"],
            "core/reading" => &["forethought-api", "forethought-runtime"],
            "core/python" => &["forethought-plugin-host", "forethought-sdk"],
            "core/cli" => continue, // The program links everything, and no list of allowed crates holds it.
            // Shared by plugins, and no plugin itself.
            "plugins/candle" | "plugins/strips" => &["forethought-sdk"],
            plugin if plugin.starts_with("plugins/") => {
                &["forethought-sdk", "forethought-candle", "forethought-strips"]
            }
            "environments/pddl" => &["forethought-sdk", "forethought-strips"],
            _ => &["forethought-sdk"],
        };
        for dependency in dependencies {
            let fine = allowed.contains(&dependency.as_str());
            assert!(fine, "{folder} may not depend on {dependency}; allowed: {allowed:?}");
        }
    }
}

#[test]
fn the_contract_needs_nothing_of_others() {
    assert_eq!(dependencies("core/abi"), Vec::<String>::new());
    assert!(
        dependencies("core/api").contains(&"serde".to_owned()),
        "dependencies are found where there are any"
    );
    let source = fs::read_to_string(root().join("core/abi/src/lib.rs")).unwrap();
    assert!(source.contains("\n#![no_std]\n"), "core/abi links the standard library");
    for word in ["extern crate", "use std", "use alloc"] {
        assert!(!source.contains(word), "core/abi says `{word}`");
    }
}

#[test]
fn unsafe_code_has_its_places() {
    let places = [
        "core/abi/src/lib.rs",
        "core/bridge/",
        "core/plugin-host/src/library.rs",
        "core/sdk/src/entry.rs",
        "core/sdk/src/lib.rs", // `register!` puts a record into its own section.
        "plugins/candle/src/cpu/",
        "plugins/critic-goal-q/src/cpu/",
        "plugins/encoder-bert/src/fused/products.rs",
        "plugins/llm-local/src/kernels.rs",
    ];
    let mut folders: Vec<_> = arrows().into_keys().map(|folder| root().join(folder).join("src")).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe("];
                if code.into_iter().any(|line| words.iter().any(|word| line.contains(word))) {
                    found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
                }
            }
        }
    }
    for file in &found {
        assert!(places.iter().any(|place| file.starts_with(place)), "{file} is no place for unsafe code");
    }
    for place in places {
        assert!(found.iter().any(|file| file.starts_with(place)), "{place} has no unsafe code any more");
    }
}

#[test]
fn every_crate_says_what_it_is() {
    for folder in arrows().keys() {
        let source = ["lib.rs", "main.rs"].map(|file| root().join(folder).join("src").join(file));
        let file =
            source.iter().find(|file| file.exists()).unwrap_or_else(|| panic!("{folder} has no source"));
        let text = fs::read_to_string(file).unwrap();
        assert!(text.starts_with("//! "), "{} does not open with what it is", file.display());
        assert!(text.contains("epend"), "{} does not say what it may depend on", file.display());
    }
}

#[test]
fn versions_are_written_once_in_the_workspace() {
    for folder in arrows().keys() {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let mut section = "";
        for line in manifest.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            } else if section.ends_with("dependencies]") && line.contains('=') {
                // By path alone, without a version: a dev-dependency on a crate that depends on this one.
                let own = line.contains("path = ") && !line.contains("version");
                assert!(
                    own || line.contains("workspace = true"),
                    "{folder}: {line:?} belongs into the root Cargo.toml"
                );
            }
        }
    }
}

#[test]
fn every_published_crate_has_its_metadata() {
    for folder in arrows()
        .into_keys()
        .chain(["examples", "examples/wrapper", "tests", "tests/plugin"].map(String::from))
    {
        let manifest = fs::read_to_string(root().join(&folder).join("Cargo.toml")).unwrap();
        let published = !manifest.contains("publish = false");
        for key in ["description =", "license", "authors", "keywords", "categories"] {
            let there = manifest.lines().any(|line| line.starts_with(key));
            assert!(there || !published, "{folder}/Cargo.toml has neither `{key}` nor `publish = false`");
        }
    }
}

/// Every text file of the repository, by its path from the root.
fn texts() -> Vec<(String, String)> {
    let endings = [".rs", ".toml", ".md", ".py", ".json", ".sh", ".yml", ".h", ".c", ".stderr"];
    let mut folders = vec![root().to_owned()];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !matches!(&*name, "target" | ".git" | "runs") {
                folders.push(path);
            } else if kind.is_file()
                && (folder.ends_with(".ci") || endings.iter().any(|end| name.ends_with(end)))
            {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                texts.push((path.strip_prefix(root()).unwrap().to_string_lossy().into_owned(), text));
            }
        }
    }
    assert!(texts.len() > 400, "only {} files were read", texts.len());
    texts.sort();
    texts
}

#[test]
fn no_registry_host_is_named_in_what_is_committed() {
    // Written in two pieces, so that this file does not contain them.
    let hosts = [
        ["static.", "crates.io"],
        ["index.", "crates.io"],
        ["files.python", "hosted.org"],
        ["registry.", "npmjs.org"],
    ];
    for (path, text) in texts() {
        for host in &hosts {
            assert!(!text.contains(&host.concat()), "{path} names {}", host.concat());
        }
    }
}

/// The worst words of `CONTRIBUTING.md`, each as `left|right`, so that this file does not contain them.
const WORDS: [&str; 16] = [
    "an|ew",
    "who|ever",
    "is n|one",
    "are n|one",
    "me|nd",
    "me|nds",
    "me|nded",
    "me|nding",
    "in sh|ort",
    "under w|ay",
    "tells o|f",
    "told o|f",
    "speaks o|f",
    "comes o|f",
    "came o|f",
    "sta|nds",
];

/// Texts that a model reads, data, and what quotes the words.
const NOT_PROSE: [&str; 10] = [
    "/prompts/",
    "/golden/",
    "/fixtures/",
    "/families/",
    // Said as models say things, not as this project does.
    "/behaviour/wordings.json",
    "configs/schema.json",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "environments/persuasion/src/presets/",
    "plugins/llm-local/tests/reference.py",
];

/// Single lines that a model reads or that old files contain, by their file and a part of the line.
const EXEMPT_LINES: [(&str, &str); 7] = [
    ("environments/avalon/src/behaviour/moves.rs", "Propose myself and"),
    ("environments/avalon/src/behaviour/moves.rs", "accused us most openly"),
    ("environments/avalon/src/behaviour/moves.rs", "always voted against our teams"),
    ("environments/avalon/src/behaviour/moves.rs", "Only those who have won a quest are good"),
    ("environments/avalon/src/observe.rs", "answers in a row"),
    ("environments/webshop/src/behaviour/view.rs", "\"In sh"),
    ("core/conformance/src/report.rs", "#[serde(alias = "),
];

#[test]
fn plain_words_are_used() {
    let words: Vec<_> = WORDS.iter().map(|word| format!(" {} ", word.replace('|', ""))).collect();
    let mut found = String::new();
    for (path, text) in texts() {
        if NOT_PROSE.iter().any(|part| path.contains(part)) {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            if EXEMPT_LINES.iter().any(|(file, part)| path == *file && line.contains(part)) {
                continue;
            }
            let plain = line.replace("None", "").to_lowercase();
            let plain = plain.replace(|letter: char| !letter.is_alphanumeric() && letter != '_', " ");
            let plain = format!(" {} ", plain.split_whitespace().collect::<Vec<_>>().join(" "));
            let plain = plain.replace(" there is none ", " ").replace(" there are none ", " ");
            for word in words.iter().filter(|word| plain.contains(*word)) {
                found += &format!("{path}:{}:{word}in {}\n", index + 1, line.trim());
            }
        }
    }
    assert!(found.is_empty(), "CONTRIBUTING.md has better words:\n{found}");
}

#[test]
fn guides_are_wrapped_at_100_columns() {
    let mut found = String::new();
    for (path, text) in texts() {
        let guide = path.ends_with(".md") && (path.starts_with("docs/") || !path.contains('/'));
        let mut code = false;
        for (index, line) in text.lines().enumerate().filter(|_| guide) {
            code ^= line.trim_start().starts_with("```");
            let exempt = code
                || line.starts_with(['|', '#'])
                || line.starts_with("    ")
                || line.contains("](")
                || line.contains("://");
            if !exempt && line.chars().count() > 100 {
                found += &format!("{path}:{}: {} columns\n", index + 1, line.chars().count());
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}

/// The rooms of the runtime, each with the rooms that it uses. All of these are further up: there is no circle.
const ROOMS: [(&str, &[&str]); 13] = [
    ("busy", &[]),
    ("cancel", &[]),
    ("clock", &[]),
    ("files", &[]),
    ("former", &[]),
    ("budget", &["clock"]),
    ("journal", &["budget", "cancel"]),
    ("layers", &["budget", "busy", "journal"]),
    ("config", &["budget", "former", "layers"]),
    ("run", &["budget", "busy", "cancel", "clock", "files", "former", "journal"]),
    ("host", &["budget", "cancel", "config", "former", "journal", "layers", "run"]),
    ("trajectories", &["files"]),
    ("evaluate", &["run"]),
];

#[test]
fn the_rooms_of_the_runtime_use_each_other_one_way() {
    let files = runtime();
    for (index, (room, allowed)) in ROOMS.iter().enumerate() {
        let above: Vec<_> = ROOMS[..index].iter().map(|(name, _)| *name).collect();
        assert!(allowed.iter().all(|name| above.contains(name)), "{room} uses a room that is further down");
        let own = |file: &str| file.split('/').next() == Some(room);
        let uses = files.iter().filter(|(file, _)| own(file)).flat_map(|(_, uses)| uses);
        // The crate passes the registry on, which belongs to no room.
        let names = uses.map(|path| &path[0]).filter(|name| name != room && *name != "registry");
        let used: BTreeSet<_> = names.map(String::as_str).collect();
        assert_eq!(used, allowed.iter().copied().collect(), "rooms that {room} uses");
    }
    let unknown =
        files.keys().find(|file| !ROOMS.iter().any(|(room, _)| file.split('/').next() == Some(room)));
    assert_eq!(unknown, None, "a file that is in no room");
}

#[test]
fn no_files_of_a_room_use_each_other_in_a_circle() {
    let files = runtime();
    // A file may use its parent, `mod.rs`, which names its children.
    let target = |file: &str, path: &[String]| {
        let target = format!("{}/{}", path[0], path.get(1)?);
        (target != file && files.contains_key(&target)).then_some(target)
    };
    let uses = |file: &str| files[file].iter().filter_map(|path| target(file, path)).collect::<Vec<_>>();
    for file in files.keys() {
        let (mut open, mut seen) = (uses(file), BTreeSet::new());
        while let Some(next) = open.pop() {
            assert!(next != *file, "{file} uses itself, by way of {seen:?}");
            if seen.insert(next.clone()) {
                open.extend(uses(&next));
            }
        }
    }
}

/// Every file of the runtime, tests left out, by room and name (`run/episode`, `cancel`); and the paths within the crate
/// that it names.
fn runtime() -> BTreeMap<String, Vec<Vec<String>>> {
    let source = root().join("core/runtime/src");
    let mut folders = vec![source.clone()];
    let mut files = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(&source).unwrap().with_extension("").to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !["lib", "testing"].contains(&&*name) && !name.ends_with("/tests") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                let code = code.collect::<Vec<_>>().join(" ");
                let room = name.split('/').next().unwrap_or_default();
                let near = code.match_indices("super::").map(|(at, word)| (at + word.len(), Some(room)));
                let far = code.match_indices("crate::").map(|(at, word)| (at + word.len(), None));
                let named = near.chain(far).flat_map(|(at, room)| {
                    let room = room.map(String::from);
                    paths(&code[at..]).into_iter().map(move |path| room.iter().cloned().chain(path).collect())
                });
                files.insert(name.trim_end_matches("/mod").to_owned(), named.collect());
            }
        }
    }
    files
}

/// The paths that a text begins with: one for `a::b`, two for `{a, b::c}`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let (mut depth, mut start, mut all) = (0, 0, Vec::new());
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    all.extend(paths(&group[start..at]));
                    if character == '}' {
                        break;
                    }
                    start = at + 1;
                }
                _ => {}
            }
        }
        return all;
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match rest.strip_prefix("::").map(paths) {
        Some(inner) => inner.into_iter().map(|path| [vec![name.to_owned()], path].concat()).collect(),
        None if name.is_empty() => Vec::new(),
        None => vec![vec![name.to_owned()]],
    }
}

#[test]
fn paths_are_read_as_they_are_written() {
    let read = paths("{budget::{Limits, prices::Price}, files}; use crate::run;");
    assert_eq!(
        read.iter().map(|path| path.join(" ")).collect::<Vec<_>>(),
        ["budget Limits", "budget prices Price", "files"]
    );
}
