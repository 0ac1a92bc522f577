//! What the tests share: a table to play at through the interface.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::path::PathBuf;

use forethought_avalon::environment::{Avalon, AvalonConfig};
use forethought_sdk::futures::FutureExt;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::Value;

/// The data folder; `None`, with a line that says so, where it is not at hand.
pub(crate) fn data() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = PathBuf::from(std::env::var("FORETHOUGHT_DATA").unwrap_or_else(|_| default.into()));
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "no data folder at {}", folder.display());
    println!("skipped: no data folder at {}; set FORETHOUGHT_DATA", folder.display());
    None
}

/// The outcome of a future that has nothing to wait for: the game does no I/O between its calls.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("no waiting")
}

/// The configuration of a table, from its keys.
pub(crate) fn config(config: Value) -> AvalonConfig {
    forethought_sdk::serde_json::from_value(config).expect("a valid configuration")
}

/// A table of the given configuration.
pub(crate) fn avalon(keys: Value) -> Avalon {
    Avalon::new(config(keys)).expect("a table")
}

pub(crate) fn reset(world: &dyn Environment, task: u64, seed: u64) -> Turn {
    block_on(world.reset(Reset { task, seed })).expect("a first turn")
}

pub(crate) fn act(world: &dyn Environment, action: &str) -> Transition {
    block_on(world.step(Action::new(action))).expect("an answer")
}
