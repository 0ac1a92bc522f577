//! The program `forethought`, without the components that are linked into it: `main.rs` names these.
//!
//! It may depend on the runtime, the pages of `forethought-reading`, the conformance kit and the mock server, but not on plugins and environments; only
//! programs depend on it. It reads the command line and shows results: data on standard output, messages on standard
//! error.
//!
//! # Reading order
//! `commands` (one file per command), `arguments`, `session`, `launch` and `written` (shared by
//! commands), `streams`, `progress`, `tables` and `transcript` (what people see), `person` (how they play), `builtin`
//! (what a build may leave out), `exit` (exit codes).

mod arguments;
pub mod builtin;
mod commands;
mod comparison;
mod engine;
mod exit;
mod launch;
#[cfg(feature = "records")]
mod lived;
mod person;
mod progress;
mod session;
mod streams;
mod tables;
mod transcript;
mod unread;
mod written;

use clap::Parser as _;
use forethought_plugin_host::{Launcher, Plugins, Store, Trust, process};
use forethought_reading::{played, svg};
use forethought_runtime::{cancel::Cancel, config};
use tracing_subscriber::{EnvFilter, Layer as _, filter::filter_fn, prelude::*};

use crate::{commands::Arguments, exit::Exit, person::Terminal, progress::Reporter, session::Session};

/// The whole program: reads the command line, executes it, and returns the exit code.
pub fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    allow_files();
    let reporter = Reporter::new(arguments.quiet);
    log(arguments.verbose, &reporter);
    let cancel = Cancel::new();
    // A folder that is relative to the current one is as foreign as that.
    let installed = config::plugin_folders().into_iter().filter(|folder| folder.is_absolute()).collect();
    let trust = Trust::new(arguments.command.consent(), config::trust_file().map(Store::at), installed);
    let session = Session {
        json: arguments.json,
        reporter,
        terminal: Terminal::new(cancel.clone()),
        cancel,
        plugin: arguments.plugin,
        plugins: Plugins::new(launcher(arguments.verbose), trust).into(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::explain(&error.into()).into(),
    };
    let exit = runtime.block_on(async {
        tokio::spawn(listen(session.clone()));
        let exit = commands::execute(&session, arguments.command).await;
        session.plugins.shutdown().await;
        // Nothing watches over them after this.
        process::end_all().await;
        exit
    });
    // Work that nothing waits for any more, such as a download, must not keep the program running.
    runtime.shutdown_background();
    session.reporter.clear();
    exit.unwrap_or_else(|error| exit::explain(&error)).into()
}

/// Files that may be open at once, where the system allows it: every call in flight is a connection, and the usual limit
/// is 1,024.
const FILES: u64 = 1 << 16;

/// Raises this process's limit on open files.
fn allow_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(FILES, |most| most.min(FILES));
    if current.is_some_and(|current| current < wanted) {
        // With the old limit, fewer calls are possible at once; an error of the call then says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// A process that serves a library is this program again, with the same verbosity.
fn launcher(verbose: u8) -> Launcher {
    let program = std::env::current_exe().unwrap_or_else(|_| "forethought".into());
    let verbose = (0..verbose).map(|_| "-v".to_string());
    let serve = ["plugin", "serve"].map(String::from);
    Launcher { command: [program.to_string_lossy().into()].into_iter().chain(verbose).chain(serve).collect() }
}

/// Logs go to standard error, between progress bars.
fn log(verbose: u8, reporter: &Reporter) {
    // A download of gigabytes should be visible.
    // What goes wrong between an MCP server and its client is in our errors, which name the server.
    let quiet = "warn,forethought_hub=info,rmcp=off,sse_stream=off";
    let level = [quiet, "info", "debug", "trace"][usize::from(verbose.min(3))];
    let filter = EnvFilter::builder().try_from_env().unwrap_or_else(|_| EnvFilter::new(level));
    let reporter = reporter.clone();
    // The writer leaves out control characters, colours too.
    let lines = tracing_subscriber::fmt::layer()
        .without_time()
        .with_ansi(false)
        .with_writer(move || reporter.writer());
    tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_filter(filter_fn(|line| discreet(line.target(), *line.level()))))
        .init();
}

/// Crates that write out what they send and receive, keys included.
const TALKATIVE: [&str; 9] = [
    "ureq",
    "ureq_proto",
    "reqwest",
    "hyper",
    "hyper_util",
    "h2",
    "rustls",
    "rustls_platform_verifier",
    "rmcp",
];

/// Keeps requests and their keys out of the log, at any verbosity and whatever RUST_LOG says.
fn discreet(target: &str, level: tracing::Level) -> bool {
    let of = target.split("::").next().unwrap_or_default();
    level <= tracing::Level::INFO || !TALKATIVE.contains(&of)
}

/// The first interruption saves unfinished work; the second stops at once.
async fn listen(session: Session) {
    interruption().await;
    session.reporter.say("interrupted; saving unfinished work (interrupt again to stop immediately)");
    session.cancel.cancel();
    interruption().await;
    process::kill_all();
    std::process::exit(Exit::Interrupted as i32);
}

async fn interruption() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::discreet;

    #[test]
    fn crates_that_write_out_requests_are_not_logged_in_detail() {
        assert!(!discreet("ureq_proto::util", Level::TRACE) && !discreet("hyper::proto", Level::DEBUG));
        assert!(discreet("ureq_proto::util", Level::WARN) && discreet("forethought_hub", Level::TRACE));
    }
}
