//! `forethought plugin`.

mod add;
mod check;
mod inspect;
mod list;
mod new;
mod serve;

use std::env::consts::DLL_SUFFIX;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::{Args, Subcommand};
use forethought_api::{Error, Result};
use forethought_plugin_host::{
    Request, Wanted, find,
    metadata::Metadata,
    registry::known,
    settings::{PluginPath, PluginSettings},
};

use crate::{exit::Exit, session::Session};

/// Create, inspect, check and manage plugins.
#[derive(Debug, Args)]
pub(crate) struct Plugin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::New),
    Check(check::Check),
    Inspect(inspect::Inspect),
    Add(add::Add),
    List(list::List),
    #[command(hide = true)]
    Serve(serve::Serve),
}

impl Plugin {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        match self.command {
            Command::New(command) => command.execute(session),
            Command::Check(command) => command.execute(session).await,
            Command::Inspect(command) => command.execute(session),
            Command::Add(command) => command.execute(session).await,
            Command::List(command) => command.execute(session),
            Command::Serve(command) => command.execute().await,
        }
    }
}

/// The library that was typed: a path, or a name that is searched where the configuration says.
fn library(session: &Session, typed: &str) -> Result<std::path::PathBuf> {
    let search = session.wanted()?.search;
    let mut files = find::libraries(&PluginPath(typed.into()), &search)?;
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(std::path::absolute(file)?),
        _ => Err(Error::config(format!("{typed} is a folder with several libraries; name one of them"))),
    }
}

/// How a file is run that is a program: a Python script by `python3`, any other as it is. Nothing for a library.
fn program(file: &Path) -> Option<Vec<String>> {
    let name = file.to_string_lossy().into_owned();
    if file.extension().is_some_and(|ending| ending == "py") {
        return Some(vec!["python3".into(), name]);
    }
    let executable =
        file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    (executable && !name.contains(DLL_SUFFIX)).then(|| vec![name])
}

/// A request for this library or program alone, without regard to locks and configuration.
fn alone(file: &Path) -> Request {
    let path = Some(PluginPath(file.to_string_lossy().into_owned()));
    let settings = match program(file) {
        Some(command) => PluginSettings { command, ..PluginSettings::default() },
        None => PluginSettings { path, ..PluginSettings::default() },
    };
    Request { wanted: vec![Wanted { place: String::new(), settings }], ..Request::default() }
}

/// A component as `list` and `describe` call it.
fn name(record: &Metadata) -> String {
    let word = known(&record.interface).map_or(&*record.interface, |(_, word)| word);
    format!("{word}.{}", record.kind)
}
