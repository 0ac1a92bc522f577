//! Trials that only apply to libraries in this process: loading (17, 20), many copies (19), independence from linked
//! plugins (21), and the end of the process during calls (29).

use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::Command;

use forethought_plugin_host::{library, metadata, policy};
use forethought_sdk::{api::registry::linked, prelude::*, serde_json::json};
use libtest_mimic::Trial;
use tokio::runtime::Handle;

use crate::way::{Way, c_library, say, test_plugin, trial};

pub(crate) fn trials() -> Vec<Trial> {
    macro_rules! trials {
        ($($number:literal $name:ident),* $(,)?) => {
            vec![$(trial(concat!("library/", $number, "_", stringify!($name)).into(), $name)),*]
        };
    }
    trials![
        "17" what_is_no_library_is_refused,
        "17" a_library_that_does_not_enter_as_agreed_is_refused,
        "17" nothing_of_a_library_runs_before_it_is_loaded,
        "17" a_library_that_lies_is_refused,
        "19" a_hundred_copies_live_side_by_side,
        "20" a_library_may_be_overwritten_while_it_is_loaded,
        "21" what_is_linked_in_stays_as_it_is,
        "29" the_process_may_end_while_a_library_works,
    ]
}

fn this_library() -> Way {
    Way::library("alone", test_plugin())
}

fn refusal(file: &Path, bytes: &[u8]) -> String {
    let error = library::load("refused", file, bytes, Handle::current()).err().expect("a refusal");
    assert_eq!(error.code, Code::Plugin, "{error}");
    let error = error.to_string();
    assert!(error.starts_with(&file.display().to_string()), "the file is not named: {error}");
    error
}

async fn what_is_no_library_is_refused() {
    let file = Path::new("/plugins/libtide.so");
    let bytes = std::fs::read(this_library().file).unwrap();
    for (what, bytes) in
        [("empty", &[][..]), ("text", b"#!/bin/sh\necho hello\n"), ("a header", &bytes[..64])]
    {
        let error = refusal(file, bytes);
        assert!(error.contains("cannot be loaded"), "{what}: {error}");
    }
    // The system's loader would crash on this one, so its metadata is checked first.
    assert!(metadata::read(file, &bytes).is_ok());
    assert!(metadata::read(file, &bytes[..bytes.len() / 3]).is_err());
}

async fn a_library_that_does_not_enter_as_agreed_is_refused() {
    for (name, flags, words) in [
        ("major", &["-DMAJOR=9"][..], "uses major version 9 of the contract, this program 1"),
        ("status", &["-DENTRY=2"], "returned status 2"),
        (
            "no_entry",
            &["-Dforethought_plugin_entry_v1=other"],
            "no entry point `forethought_plugin_entry_v1`",
        ),
    ] {
        let file = c_library("hostile", name, flags);
        let error = refusal(&file, &std::fs::read(&file).unwrap());
        assert!(error.contains(words), "{error}");
    }
}

async fn nothing_of_a_library_runs_before_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("it-ran");
    let file = c_library("hostile", "marks", &[&format!("-DMARK=\"{}\"", mark.display())]);
    let bytes = std::fs::read(&file).unwrap();
    policy::admit(&file, &metadata::read(&file, &bytes).unwrap()).unwrap();
    assert!(!mark.exists());
    library::load("marks", &file, &bytes, Handle::current()).unwrap();
    assert!(mark.exists(), "loading must leave a mark");
}

async fn a_library_that_lies_is_refused() {
    let way = Way::library("lies", c_library("hostile", "lies", &["-DDESCRIBED=\"harmless\""]));
    let records = metadata::read(&way.file, &std::fs::read(&way.file).unwrap()).unwrap();
    let description = way.plugin().await.module.describe().await.unwrap();
    let error = policy::agree(&way.file, &records, &description).unwrap_err();
    assert!(error.message.contains("`harmless` is described only"), "{error}");
}

async fn a_hundred_copies_live_side_by_side() {
    let way = this_library();
    let mut worlds: Vec<Arc<dyn Environment>> = Vec::new();
    for _ in 0..100 {
        worlds.push(way.plugin().await.make("works", json!({ "meet": 2 })).await);
    }
    for (number, world) in worlds.iter().enumerate() {
        let text = number.to_string();
        assert_eq!(say(world, &format!("spawn {text}")).await.unwrap(), text);
        assert_eq!(say(world, "live").await.unwrap(), "0");
    }
}

async fn a_library_may_be_overwritten_while_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libtide.so");
    std::fs::copy(this_library().file, &file).unwrap();
    let way = Way::library("overwritten", file.clone());
    let plugin = way.plugin().await;
    let before = plugin.make::<dyn Environment>("works", json!({})).await;
    // In place: the same file with other bytes. Mapped pages of it would now be garbage.
    let mut open = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    let length = open.metadata().unwrap().len();
    open.rewind().unwrap();
    open.write_all(&vec![0xcc; length as usize]).unwrap();
    open.set_len(7).unwrap();
    let after = plugin.make::<dyn Environment>("works", json!({})).await;
    for world in [before, after] {
        assert_eq!(say(&world, "tcp as before").await.unwrap(), "as before");
        assert_eq!(say(&world, "refuse").await.unwrap_err().code, Code::NotFound);
    }
    assert!(way.root().await.is_err(), "the file is no longer a library");
}

async fn what_is_linked_in_stays_as_it_is() {
    let names = || {
        let mut names: Vec<_> = linked().map(|one| (one.package, one.interface, one.kind)).collect();
        names.sort();
        names
    };
    let before = names();
    // Two plugins are linked into this program, and this library is one of them.
    for package in ["forethought-test-plugin", "forethought-llm-simulated"] {
        assert!(before.iter().any(|name| name.0 == package), "{package} is not linked in: {before:?}");
    }
    let echo = ("forethought-test-plugin", "forethought.environment/1", "echo");
    assert_eq!(before.iter().filter(|name| **name == echo).count(), 1);
    let plugin = this_library().plugin().await;
    assert_eq!(names(), before);
    let theirs = plugin.module.describe().await.unwrap().components;
    assert_eq!(theirs.len(), before.iter().filter(|name| name.0 == echo.0).count());
}

async fn the_process_may_end_while_a_library_works() {
    for _ in 0..5 {
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program).arg("leave").arg(this_library().file).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && words.is_empty(), "{}: {words}", output.status);
    }
}
