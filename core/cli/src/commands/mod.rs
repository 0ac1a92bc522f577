//! The command line: the options that all commands share, and the commands, one file each.

mod collect;
mod compare;
mod completions;
mod config;
mod critic;
mod describe;
mod doctor;
mod estimate;
mod eval;
mod export;
mod hub;
mod import;
mod improve;
mod label;
mod list;
mod mock_llm;
mod play;
mod plugin;
mod quickstart;
mod replay;
mod report;
mod run;
mod runs;
mod schema;
mod serve;
mod sweep;
mod tournament;
mod train;
mod verify;
mod view;
mod worker;

use clap::{Parser, Subcommand};
use forethought_api::Result;
use forethought_plugin_host::Consent;

use crate::{exit::Exit, session::Session};

/// LLM agents that plan by the outcomes of their thoughts.
#[derive(Debug, Parser)]
#[command(name = "forethought", version, about, long_about = LONG, after_help = AFTER)]
pub(crate) struct Arguments {
    /// Print data as JSON.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
    /// Show no progress.
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub(crate) quiet: bool,
    /// Log more; repeat for even more. RUST_LOG overrides this.
    #[arg(short, long, global = true, help_heading = GLOBAL, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Also load this plugin: a library, a folder of libraries, or a name. May be repeated.
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "PATH")]
    pub(crate) plugin: Vec<String>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
const GLOBAL: &str = "Global options";

const LONG: &str = "\
LLM agents that plan by the outcomes of their thoughts (PNLC, arXiv 2505.18098).

Data goes to standard output, messages to standard error. Exit codes: 0 success; 1 some episodes or checks failed; \
2 bad usage or configuration; 3 budget reached; 4 a provider refused or could not be reached; 5 a plugin was refused; \
130 interrupted, state saved.";

const AFTER: &str = "\
Configuration, from lowest to highest precedence: defaults, the preset, ~/.config/forethought/config.toml, \
./forethought.toml, the file on the command line, FORETHOUGHT__SECTION__NAME__KEY, --set section.name.key=value, the \
command's other flags.

Plugins are named by [plugins] load = [...] or --plugin. A name without a path is searched in the folders of [plugins] \
search, FORETHOUGHT_PLUGIN_PATH and ~/.local/share/forethought/plugins. Those that ./forethought.toml or a run's folder \
names run only if they are trusted: see `forethought plugin trust --help`.";

/// What to do. Each command's help is the doc comment of its type.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Quickstart(quickstart::Quickstart),
    Run(run::Run),
    Eval(eval::Eval),
    Sweep(sweep::Sweep),
    Collect(collect::Collect),
    Export(export::Export),
    Play(play::Play),
    Serve(serve::Serve),
    Worker(worker::Worker),
    Tournament(tournament::Tournament),
    Import(import::Import),
    Label(label::Label),
    Train(train::Train),
    Critic(critic::Critic),
    Report(report::Report),
    Compare(compare::Compare),
    Estimate(estimate::Estimate),
    Hub(hub::Hub),
    Improve(improve::Improve),
    View(view::View),
    Runs(runs::Runs),
    Replay(replay::Replay),
    Verify(verify::Verify),
    List(list::List),
    Describe(describe::Describe),
    Schema(schema::Schema),
    Config(config::Config),
    Plugin(plugin::Plugin),
    MockLlm(mock_llm::MockLlm),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
}

impl Command {
    /// What it may run without having been trusted before. `docs/security.md` lists it, and `tests/trust.rs` tries it.
    pub(crate) fn consent(&self) -> Consent {
        match self {
            Self::Quickstart(_)
            | Self::Run(_)
            | Self::Eval(_)
            | Self::Sweep(_)
            | Self::Collect(_)
            | Self::Play(_)
            | Self::Serve(_)
            | Self::Worker(_)
            | Self::Tournament(_)
            | Self::Label(_)
            | Self::Train(_)
            | Self::Critic(_)
            | Self::Improve(_) => Consent::Runs,
            Self::Replay(_) => Consent::Replays,
            Self::Import(_)
            | Self::Verify(_)
            | Self::List(_)
            | Self::Describe(_)
            | Self::Schema(_)
            | Self::Config(_)
            | Self::Estimate(_)
            | Self::Plugin(_)
            | Self::MockLlm(_)
            | Self::Doctor(_) => Consent::Reads,
            // These load no plugins at all.
            Self::Export(_)
            | Self::Report(_)
            | Self::Compare(_)
            | Self::View(_)
            | Self::Runs(_)
            | Self::Hub(_)
            | Self::Completions(_) => Consent::Reads,
        }
    }
}

/// Executes a command.
pub(crate) async fn execute(session: &Session, command: Command) -> Result<Exit> {
    match command {
        Command::Quickstart(command) => command.execute(session).await,
        Command::Run(command) => command.execute(session).await,
        Command::Eval(command) => command.execute(session).await,
        Command::Sweep(command) => command.execute(session).await,
        Command::Collect(command) => command.execute(session).await,
        Command::Export(command) => command.execute(session).await,
        Command::Play(command) => command.execute(session).await,
        Command::Serve(command) => command.execute(session).await,
        Command::Worker(command) => command.execute(session).await,
        Command::Tournament(command) => command.execute(session).await,
        Command::Import(command) => command.execute(session).await,
        Command::Label(command) => command.execute(session).await,
        Command::Train(command) => command.execute(session).await,
        Command::Critic(command) => command.execute(session).await,
        Command::Report(command) => command.execute(session),
        Command::Compare(command) => command.execute(session),
        Command::Estimate(command) => command.execute(session).await,
        Command::Hub(command) => command.execute(session).await,
        Command::Improve(command) => command.execute(session).await,
        Command::View(command) => command.execute(session).await,
        Command::Runs(command) => command.execute(session),
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
