//! `forethought plugin`.

mod add;
mod check;
mod inspect;
mod list;
mod new;
mod serve;
mod trust;

use std::env::consts::DLL_SUFFIX;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use forethought_api::{Error, Result, error::Code};
use forethought_plugin_host::{
    NamedBy, Plugin as Opened, Request, Wanted, find,
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
    Trust(trust::Trust),
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
            Command::Trust(command) => command.execute(session),
            Command::Serve(command) => command.execute().await,
        }
    }
}

/// The library that was typed, and who named it: a path, or a name that is searched where the configuration says.
fn library(session: &Session, typed: &str) -> Result<(PathBuf, NamedBy)> {
    let (path, Request { search, searched_by, .. }) = (PluginPath(typed.into()), session.wanted()?);
    let mut files = find::libraries(&path, &search)?;
    let named = if path.is_name() { searched_by } else { NamedBy::User };
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok((std::path::absolute(file)?, named)),
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
fn alone(file: &Path, named: NamedBy) -> Request {
    let path = Some(PluginPath(file.to_string_lossy().into_owned()));
    let settings = match program(file) {
        Some(command) => PluginSettings { command, ..PluginSettings::default() },
        None => PluginSettings { path, ..PluginSettings::default() },
    };
    Request { wanted: vec![Wanted { place: String::new(), settings, named }], ..Request::default() }
}

/// Opens this library alone.
async fn open(session: &Session, typed: &str) -> Result<(PathBuf, Arc<Opened>)> {
    let (file, named) = library(session, typed)?;
    let opened = session.plugins.open(&alone(&file, named)).await?;
    match opened.into_iter().next() {
        Some(plugin) => Ok((file, plugin)),
        None => Err(Error::new(Code::Plugin, session.plugins.left_out().join("\n"))),
    }
}

/// A component as `list` and `describe` call it.
fn name(record: &Metadata) -> String {
    let word = known(&record.interface).map_or(&*record.interface, |(_, word)| word);
    format!("{word}.{}", record.kind)
}
