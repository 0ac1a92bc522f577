//! The command line: what all commands share, and the commands, one file each.

mod collect;
mod compare;
mod completions;
mod config;
mod critic;
mod describe;
mod doctor;
mod eval;
mod import;
mod list;
mod mock_llm;
mod play;
mod plugin;
mod quickstart;
mod replay;
mod report;
mod run;
mod schema;
mod tournament;
mod train;
mod verify;
mod view;

use clap::{Parser, Subcommand};
use forethought_api::Result;

use crate::{exit::Exit, session::Session};

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

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole loop offline: collect, train, evaluate, report; about a minute.
    Quickstart(quickstart::Quickstart),
    /// Run episodes of one planner.
    Run(run::Run),
    /// Run several planners on the same episodes and compare them.
    Eval(eval::Eval),
    /// Run episodes and keep them as trajectories to train on.
    Collect(collect::Collect),
    /// Take a seat yourself; everybody else plays as configured.
    Play(play::Play),
    /// Let planners play against each other, and rate them.
    Tournament(tournament::Tournament),
    /// Turn real data into trajectories.
    Import(import::Import),
    /// Train a critic on trajectories.
    Train(train::Train),
    /// Judge critics.
    Critic(critic::Critic),
    /// Show the results of a run.
    Report(report::Report),
    /// Compare runs.
    Compare(compare::Compare),
    /// Read episodes from start to end.
    View(view::View),
    /// Play an episode again from its journal alone, and compare.
    Replay(replay::Replay),
    /// Check an environment against golden outputs of its reference implementation.
    Verify(verify::Verify),
    /// List the components that configurations may name.
    List(list::List),
    /// Describe a component and its configuration.
    Describe(describe::Describe),
    /// Print the JSON Schema of configurations.
    Schema(schema::Schema),
    /// Show or check a configuration.
    Config(config::Config),
    /// Make, look at, check and keep plugins.
    Plugin(plugin::Plugin),
    /// Imitate the providers of language models, and their faults, on a port of this machine.
    MockLlm(mock_llm::MockLlm),
    /// Look for what could be in the way on this machine.
    Doctor(doctor::Doctor),
    /// Print completions for a shell.
    Completions(completions::Completions),
}

/// Carries out a command.
pub(crate) async fn execute(session: &Session, command: Command) -> Result<Exit> {
    match command {
        Command::Quickstart(command) => command.execute(session).await,
        Command::Run(command) => command.execute(session).await,
        Command::Eval(command) => command.execute(session).await,
        Command::Collect(command) => command.execute(session).await,
        Command::Play(command) => command.execute(session).await,
        Command::Tournament(command) => command.execute(session).await,
        Command::Import(command) => command.execute(session).await,
        Command::Train(command) => command.execute(session).await,
        Command::Critic(command) => command.execute(session).await,
        Command::Report(command) => command.execute(session),
        Command::Compare(command) => command.execute(session),
        Command::View(command) => command.execute(session),
        Command::Replay(command) => command.execute(session).await,
        Command::Verify(command) => command.execute(session).await,
        Command::List(command) => command.execute(session).await,
        Command::Describe(command) => command.execute(session).await,
        Command::Schema(command) => command.execute(session).await,
        Command::Config(command) => command.execute(session).await,
        Command::Plugin(command) => command.execute(session).await,
        Command::MockLlm(command) => command.execute(session).await,
        Command::Doctor(command) => command.execute(session).await,
        Command::Completions(command) => command.execute(session),
    }
}
