//! The boundary's list against libraries built in other ways, all in one process (12, 18, 19, 20): older dependencies
//! with other features, optimised for size, another allocator, an sdk one minor version older and newer, another
//! compiler with random struct layouts. `build.rs` has the differences.
//!
//! This makes sure that only messages cross the boundary, because everything else could differ. Building the
//! libraries takes minutes, so the trials run only with `FORETHOUGHT_SLOW_TESTS=1`; `tests/boundary` has the same
//! list against the library of this workspace.

mod build;
#[path = "../boundary/list/mod.rs"]
mod list;
#[allow(dead_code)] // Shared with the trials of the library that the workspace builds.
#[path = "../boundary/way.rs"]
mod way;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use forethought_plugin_host::{metadata, policy};
use forethought_sdk::{prelude::*, serde_json::json};
use libtest_mimic::{Arguments, Completion, Trial};
use way::{Way, say, trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    way::listen();
    let variants = build::all();
    let (aborting, sound): (Vec<_>, Vec<_>) = variants.iter().partition(|variant| variant.name == "aborting");
    let aborting = aborting[0].file();
    let ways: Vec<Way> = sound.iter().map(|one| Way::library(one.name, one.file())).collect();
    let mut trials: Vec<Trial> = ways.iter().flat_map(list::trials).collect();
    trials.push(trial("aborting/18_is_refused_before_it_is_loaded".into(), || is_refused(aborting)));
    let (own, all) = (ways.clone(), ways);
    trials.push(trial("all/19_call_each_other".into(), || call_each_other(own)));
    trials.push(trial("all/20_replace_each_other_in_place".into(), || replace_each_other(all)));
    let wanted = |trial: &Trial| arguments.filter.as_ref().is_none_or(|filter| trial.name().contains(filter));
    if std::env::var_os("FORETHOUGHT_SLOW_TESTS").is_none() {
        let reason = || Ok(Completion::ignored_with("slow; runs with FORETHOUGHT_SLOW_TESTS=1"));
        trials = trials.iter().map(|trial| Trial::ignorable_test(trial.name(), reason)).collect();
    } else if !arguments.list && trials.iter().any(wanted) {
        variants.iter().for_each(build::Variant::build);
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

async fn is_refused(file: PathBuf) {
    let records = metadata::read(&file, &fs::read(&file).unwrap()).unwrap();
    let error = policy::admit(&file, &records).unwrap_err();
    assert_eq!(error.code, Code::Plugin);
    assert!(error.message.contains("was built with panic = \"abort\""), "{error}");
}

/// Each library uses a language model of each.
async fn call_each_other(ways: Vec<Way>) {
    for asking in &ways {
        let plugin = asking.plugin().await;
        let world = plugin.make::<dyn Environment>("works", json!({})).await;
        for asked in &ways {
            plugin.desk.offer("actor", asked.plugin().await.make("count", json!({})).await);
            let words = format!("ask {} of {}", asking.name, asked.name);
            assert_eq!(say(&world, &words).await.unwrap(), words[4..]);
        }
    }
}

/// One file, overwritten in place with one library after the other, each loaded next to the earlier ones.
async fn replace_each_other(ways: Vec<Way>) {
    let folder = tempfile::tempdir().unwrap();
    let place = Way::library("replaced", folder.path().join("libtide.so"));
    let mut worlds: Vec<(String, Arc<dyn Environment>)> = Vec::new();
    for way in ways {
        fs::write(&place.file, fs::read(&way.file).unwrap()).unwrap();
        worlds.push((way.name, place.plugin().await.make("works", json!({})).await));
        for (name, world) in &worlds {
            assert_eq!(say(world, "build").await.unwrap(), *name);
        }
    }
}
