//! The command line.

use clap::{Args, Parser};

use crate::commands::Command;

/// LLM agents that plan by the outcomes of their thoughts.
#[derive(Debug, Parser)]
#[command(name = "forethought", version, about, long_about = LONG, after_help = AFTER)]
pub(crate) struct Arguments {
    /// Print data as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show no progress.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Log more; repeat for still more. RUST_LOG, if set, decides instead.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Load a plugin besides those of the configuration: a library, a folder of libraries, or a name. May be repeated.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) plugin: Vec<String>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const LONG: &str = "\
LLM agents that plan by the outcomes of their thoughts (PNLC, arXiv 2505.18098).

Data go to standard output, everything for people to standard error. Exit codes: 0 done; 1 some episodes or checks \
failed; 2 bad usage or configuration; 3 budget reached; 4 provider refused or unreachable; 5 plugin refused; \
130 interrupted, state saved.";

const AFTER: &str = "\
Configuration, lowest first: defaults, preset, ~/.config/forethought/config.toml, ./forethought.toml, the file on the \
command line, FORETHOUGHT__SECTION__NAME__KEY, --set section.name.key=value.

Plugins are named by [plugins] load = [...] or --plugin; names are looked for in the folders of [plugins] search, \
FORETHOUGHT_PLUGIN_PATH and ~/.local/share/forethought/plugins.";

/// Which configuration.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigArguments {
    /// A TOML file, or the name of a preset. Without it, ./forethought.toml.
    pub(crate) config: Option<String>,
    /// The preset to start from, if the configuration names another or none.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Set one key, as in --set planner.pnlc.rounds=3. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// Which episodes, and how.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunArguments {
    /// The configuration.
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Episodes (of each planner).
    #[arg(long, value_name = "N")]
    pub(crate) episodes: Option<u64>,
    /// Task of the first episode.
    #[arg(long, value_name = "N")]
    pub(crate) first_task: Option<u64>,
    /// Episodes under way at once.
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<usize>,
    /// Start anew even if there is an unfinished run to continue.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Build and check everything, and run nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl RunArguments {
    /// The flags that are short for `--set`.
    pub(crate) fn settings(&self) -> Vec<String> {
        let counts = [
            ("run.episodes", self.episodes),
            ("run.first_task", self.first_task),
            ("run.concurrency", self.concurrency.map(|n| n as u64)),
        ];
        counts.iter().filter_map(|(key, value)| value.map(|value| format!("{key}={value}"))).collect()
    }
}
