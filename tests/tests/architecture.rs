//! The arrows of ARCHITECTURE.md: which crate may depend on which, read from the manifests.

use std::{collections::BTreeMap, fs, path::Path};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live in the workspace")
}

/// Workspace crates by folder, with the workspace crates that each depends on outside of tests.
fn arrows() -> BTreeMap<String, Vec<String>> {
    let mut folders = vec!["xtask".to_owned()];
    for group in ["core", "plugins", "environments"] {
        let entries = fs::read_dir(root().join(group)).unwrap().flatten();
        folders.extend(entries.map(|entry| format!("{group}/{}", entry.file_name().to_string_lossy())));
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
            "core/sdk" | "core/runtime" => &["forethought-api", "forethought-abi", "forethought-bridge"],
            "core/conformance" | "core/mock-llm" => &["forethought-api"],
            "core/cli" => continue, // The program links everything, and no list of allowed crates holds it.
            // Shared by plugins, and no plugin itself.
            "plugins/candle" => &["forethought-sdk"],
            plugin if plugin.starts_with("plugins/") => &["forethought-sdk", "forethought-candle"],
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
        "core/runtime/src/plugin/library.rs",
        "core/sdk/src/entry.rs",
        "core/sdk/src/lib.rs", // `register!` puts a record into a section of its own.
        "plugins/critic-goal-q/src/cpu/kernel.rs",
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
fn versions_stand_once_in_the_workspace() {
    for folder in arrows().keys() {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let mut section = "";
        for line in manifest.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            } else if section.ends_with("dependencies]") && line.contains('=') {
                assert!(
                    line.contains("workspace = true"),
                    "{folder}: {line:?} belongs into the root Cargo.toml"
                );
            }
        }
    }
}

#[test]
fn no_registry_host_is_named_in_what_is_committed() {
    // Spelled in pieces, or this file would be the first offender.
    let hosts = [
        ["static.", "crates.io"],
        ["index.", "crates.io"],
        ["files.python", "hosted.org"],
        ["registry.", "npmjs.org"],
    ];
    let endings = [".rs", ".toml", ".md", ".py", ".json", "run", "minilm"];
    let mut folders = vec![root().to_owned()];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !matches!(&*name, "target" | ".git" | "runs") {
                folders.push(entry.path());
            } else if kind.is_file() && endings.iter().any(|end| name.ends_with(end)) {
                let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
                read += 1;
                for host in &hosts {
                    assert!(
                        !text.contains(&host.concat()),
                        "{} names {}",
                        entry.path().display(),
                        host.concat()
                    );
                }
            }
        }
    }
    assert!(read > 20, "only {read} files were read");
}
