//! Arguments that several commands share.

use std::collections::BTreeMap;

use clap::Args;
use forethought_runtime::config::{KeyPath, dotted};
use serde_json::Value;

/// The configuration to use.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigArguments {
    /// A TOML file or the name of a preset; ./forethought.toml by default.
    pub(crate) config: Option<String>,
    /// The preset to start from, overriding the one that the configuration names.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Set one key, such as --set planner.pnlc.rounds=3. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// The episodes to run, and how.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunArguments {
    /// The configuration.
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Number of episodes per planner.
    #[arg(long, value_name = "N")]
    pub(crate) episodes: Option<u64>,
    /// Task of the first episode.
    #[arg(long, value_name = "N")]
    pub(crate) first_task: Option<u64>,
    /// Episodes in flight at once.
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<usize>,
    /// A name for the run, shown by `runs list`.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Start a new run, even if an earlier one could be continued or has the results.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Build and check everything without running anything.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl RunArguments {
    /// The flags that set a key of the configuration.
    pub(crate) fn values(&self) -> Values {
        let counts = [
            ("episodes", self.episodes),
            ("first_task", self.first_task),
            ("concurrency", self.concurrency.map(|n| n as u64)),
        ];
        let name = self.name.as_deref().map(|name| set(["run", "name"], name));
        counts.into_iter().filter_map(|(key, value)| Some(set(["run", key], value?))).chain(name).collect()
    }

    /// The keys that this command sets, as `--json` shows them.
    pub(crate) fn overrides(&self) -> BTreeMap<String, Value> {
        let typed = self.config.set.iter().filter_map(|set| set.split_once('='));
        let typed = typed.map(|(key, value)| (key.trim().to_owned(), value.trim().into()));
        typed.chain(self.values().into_iter().map(|(key, value)| (dotted(&key), value))).collect()
    }
}

/// Keys of the configuration that a command sets; these win over everything else, `--set` included.
pub(crate) type Values = Vec<(KeyPath, Value)>;

/// One of [`Values`].
pub(crate) fn set<const N: usize>(path: [&str; N], value: impl Into<Value>) -> (KeyPath, Value) {
    (path.map(String::from).to_vec(), value.into())
}
