//! The probes of `tests/probes` (what they are: `tests/probes/measure.py`): enough of each kind, and in new words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forethought_testkit::Suite;
use forethought_tests::workspace;
use serde_json::{Value, json};

const WORLDS: [&str; 3] = ["webshop", "avalon", "persuasion"];

fn main() -> ExitCode {
    Suite::default()
        .test("probes_are_of_both_kinds_and_in_words_that_the_own_bank_does_not_have", || {
            for world in WORLDS {
                check(world, &own_bank(world));
            }
        })
        .golden("probes_are_in_words_that_the_other_bank_does_not_have", &["paraphrases"], |data| {
            for world in WORLDS {
                check(world, &data.join(format!("paraphrases/{world}.json")));
            }
        })
        .run()
}

fn own_bank(world: &str) -> PathBuf {
    workspace().join(format!("environments/{world}/src/behaviour/wordings.json"))
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn check(world: &str, bank: &Path) {
    let names = read(&own_bank(world))["outcomes"].as_object().expect("meanings").clone();
    let bank = read(bank).to_string();
    let probes = read(&workspace().join(format!("tests/probes/{world}.json")));
    let (mut kinds, mut styles, mut seen) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for probe in probes.as_array().expect("a list") {
        let text =
            |key: &str| probe[key].as_str().unwrap_or_else(|| panic!("no {key} in {probe}")).to_owned();
        *kinds.entry(text("kind")).or_insert(0) += 1;
        *styles.entry(text("style")).or_insert(0) += 1;
        assert!(!text("rule").is_empty());
        let whole = ["state", "thought", "likely", "unlikely"].map(text);
        for said in &whole[2..] {
            let quoted = json!(said).to_string();
            assert!(!bank.contains(&quoted), "{world}: a bank has {quoted}");
        }
        assert!(seen.insert(whole), "twice: {probe}");
        let means: Vec<&str> =
            probe["means"].as_array().expect("two").iter().filter_map(Value::as_str).collect();
        let known = |means: &&str| names.contains_key(means.trim_start_matches("not "));
        assert!(means.len() == 2 && means[0] != means[1] && means.iter().all(known), "{world}: {probe}");
    }
    assert!(
        kinds.keys().eq(["negation", "paraphrase"]) && kinds.values().all(|&count| count >= 10),
        "{kinds:?}"
    );
    assert!(styles.keys().eq(["data", "free", "mixed"]) && styles["free"] >= 8, "{styles:?}");
}
