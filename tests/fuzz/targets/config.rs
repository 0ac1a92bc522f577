//! Configuration files: one that is accepted is accepted again as the program writes it, and a refusal gives a reason.
#![no_main]

use std::sync::LazyLock;

use forethought_fuzz as _;
use forethought_runtime::{
    config::{Config, Sources},
    registry::Registry,
};
use libfuzzer_sys::fuzz_target;

// Linked for their components.
use forethought_avalon as _;
use forethought_llm_cassette as _;
use forethought_llm_remote as _;
use forethought_persuasion as _;
use forethought_webshop as _;

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::linked().expect("components"));
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fn load(text: &str) -> Result<Config, String> {
    let file = FOLDER.path().join("x.toml");
    std::fs::write(&file, text).expect("written");
    let sources = Sources { file: Some(file), ..Sources::new(FOLDER.path()) };
    Config::load(&sources, &REGISTRY).map_err(|error| error.to_string())
}

fuzz_target!(|text: &str| {
    match load(text) {
        Ok(config) => {
            let written = config.to_toml().expect("TOML can express it");
            let again = load(&written).unwrap_or_else(|why| panic!("{why}\n{written}"));
            assert_eq!(again.to_toml().expect("once more"), written);
        }
        Err(why) => assert!(why.contains("x.toml") || why.contains('`'), "{why}"),
    }
});
