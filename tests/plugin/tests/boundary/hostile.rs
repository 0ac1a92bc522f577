//! Plugins in C: one that follows the contract (22), and one that breaks it in every way that can be survived (12, 23).

use std::time::Duration;

use forethought_sdk::{prelude::*, serde_json::json};
use libtest_mimic::Trial;
use tokio::time::timeout;

use crate::way::{Way, c_library, heard, say, trial, until};

pub(crate) fn trials() -> Vec<Trial> {
    let (lamp, hostile) = (c_library("plugin", "lamp", &[]), c_library("hostile", "hostile", &[]));
    let mut trials = vec![trial("library/23_what_comes_late_or_twice_is_ignored".into(), {
        let way = Way::library("hostile", hostile.clone());
        move || what_comes_late_or_twice_is_ignored(way)
    })];
    for way in [Way::library("library", lamp.clone()), Way::process("process", lamp)] {
        let own = way.clone();
        trials.push(trial(format!("{}/22_a_plugin_in_c_is_one_like_any_other", way.name), move || {
            a_plugin_in_c(own)
        }));
    }
    for way in [Way::library("library", hostile.clone()), Way::process("process", hostile)] {
        for (mode, expected) in MODES {
            let own = way.clone();
            trials.push(trial(format!("{}/23_hostile_{mode}", way.name), move || {
                hostile_mode(own, mode, *expected)
            }));
        }
    }
    trials
}

async fn a_plugin_in_c(way: Way) {
    let plugin = way.plugin().await;
    let description = plugin.module.describe().await.unwrap();
    assert_eq!((&*description.package, &*description.components[0].kind), ("lamp-in-c", "lamp"));
    let lamp = plugin.make::<dyn Environment>("lamp", json!({ "delay_ms": 1 })).await;
    assert_eq!(lamp.spec().await.unwrap().tasks, Some(2));
    let turn = lamp.reset(Reset { task: 0, seed: 7 }).await.unwrap();
    assert_eq!(turn.observation.text, "The lamp is off. Switch it on.");
    assert_eq!(turn.legal_actions, ["on", "off"]);
    let transition = lamp.step(Action::new("a \"quoted\" {word}, \\ and a lamp")).await.unwrap();
    assert!(!transition.terminated);
    let transition = lamp.step(Action::new("on")).await.unwrap();
    assert!(transition.terminated);
    assert_eq!(transition.rewards, [1.0]);
    // A second world; a method that it does not have; overlapping calls; cancelled calls.
    let other = lamp.spawn().await.unwrap();
    other.reset(Reset { task: 1, seed: 7 }).await.unwrap();
    assert_eq!(say(&lamp, "").await.unwrap(), "The lamp is on. Switch it on.");
    assert_eq!(say(&other, "").await.unwrap(), "The lamp is on. Switch it off.");
    assert!(lamp.fork().await.unwrap().is_none());
    let calls = (0..50).map(|_| {
        let lamp = lamp.clone();
        tokio::spawn(async move { say(&lamp, "off").await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap(), "The lamp is off. Switch it on.");
    }
    let slow = plugin.make::<dyn Environment>("lamp", json!({ "delay_ms": 100 })).await;
    assert!(timeout(Duration::from_millis(5), say(&slow, "on")).await.is_err());
    for (config, words) in
        [(json!({ "delay": 1 }), "one setting"), (json!({ "delay_ms": "1" }), "in milliseconds")]
    {
        let error = plugin.create::<dyn Environment>("lamp", config).await.err().expect(words);
        assert_eq!(error.code, Code::Config);
        assert!(error.message.contains(words), "{error}");
    }
    let error = plugin.create::<dyn Planner>("lamp", json!({})).await.err().expect("an error");
    assert_eq!(error.code, Code::NotFound);
}

/// What the caller gets.
#[derive(Clone, Copy)]
enum Gets {
    /// The answer.
    Fine,
    /// An error with this text, from `create`.
    AtOnce(&'static str),
    /// An error with this text.
    Error(&'static str),
}
use Gets::{AtOnce, Error as Fails, Fine};

const MODES: &[(&str, Gets)] = &[
    ("older", Fine),
    ("newer", Fine),
    ("large_message", Fine),
    ("twice", Fine),
    ("twice_later", Fine),
    ("ghost", Fine),
    ("status", Fails("status 77")),
    ("error_that_is_none", Fails("an error that cannot be read")),
    ("not_utf8", Fails("invalid unicode code point")),
    ("not_json", Fails("EOF while parsing")),
    ("empty", Fails("EOF while parsing")),
    ("null_body", Fails("a body of 56 bytes at a null pointer")),
    ("impossible_length", Fails("a body of 18446744073709551615 bytes")),
    ("absurd_length", Fails("1099511627776 bytes")),
    ("small_message", Fails("a message of 16 bytes")),
    ("null_message", Fails("a null pointer for a message")),
    ("codec", Fails("codec 9")),
    ("meta", Fails("meta is not readable")),
    ("null_objects", Fails("an array of 3 elements at 0x0")),
    ("misaligned_objects", Fails("an array of 2 elements")),
    ("endless_objects", Fails("an array of 18446744073709551615 elements")),
    ("endless_blobs", Fails("an array of 9223372036854775807 elements")),
    ("no_vtable", Fails("an object whose vtable is at 0x0")),
    ("null_vtable", AtOnce("an object whose vtable is at 0x0")),
    ("tiny_vtable", AtOnce("an object whose vtable has 8 bytes")),
    ("stranger", AtOnce("`somebody.else/1` is not an interface of components")),
    ("interface_not_text", AtOnce("a string that is not UTF-8")),
    ("interface_nowhere", AtOnce("a string of 7 bytes at 0x0")),
];

async fn hostile_mode(way: Way, mode: &str, expected: Gets) {
    let plugin = way.plugin().await;
    let created = plugin.create::<dyn Environment>("hostile", json!({ "mode": mode })).await;
    let world = match (created, expected) {
        (Err(error), AtOnce(words)) => {
            assert!(error.to_string().contains(words), "{error}");
            return assert!(plugin.module.describe().await.is_ok());
        }
        (created, _) => created.unwrap_or_else(|error| panic!("{error}")),
    };
    for _ in 0..3 {
        match (say(&world, "").await, expected) {
            (Ok(answer), Fine) => assert_eq!(answer, "fine"),
            (Err(error), Fails(words)) => {
                assert!(matches!(error.code, Code::Plugin | Code::Malformed), "{:?}: {error}", error.code);
                assert!(error.to_string().contains(words), "{error}");
            }
            (answer, _) => panic!("{answer:?}"),
        }
    }
    // Refused messages have been released too, but not the messages of completions without a call.
    let ignored = match mode {
        "twice" | "ghost" | "twice_later" => 3,
        _ => 0,
    };
    until("everything is released", || async {
        let unreleased = world.reset(Reset::default()).await.unwrap().observation.text;
        unreleased == ignored.to_string()
    })
    .await;
}

async fn what_comes_late_or_twice_is_ignored(way: Way) {
    let plugin = way.plugin().await;
    for (mode, completions) in [("never", 0), ("after_cancel", 3)] {
        let world = plugin.make::<dyn Environment>("hostile", json!({ "mode": mode })).await;
        for _ in 0..5 {
            assert!(timeout(Duration::from_millis(20), say(&world, "")).await.is_err(), "{mode}");
        }
        if completions > 0 {
            until("the warning is logged", || async {
                heard(&["WARN", "hostile", "step", "completed twice"])
            })
            .await;
        }
        assert!(world.spec().await.is_ok());
    }
}
