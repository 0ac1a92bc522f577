//! The plugins that a configuration requests, and their files and commands.

use std::path::{Path, PathBuf};

use forethought_api::{Error, Result};

use crate::{
    find,
    lock::Lock,
    registry::ComponentOrigin,
    settings::{Isolation, PluginSettings},
};

/// The plugins that a configuration names.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The plugins to be loaded.
    pub wanted: Vec<Wanted>,
    /// Folders in which plugins are searched by name.
    pub search: Vec<PathBuf>,
    /// Who named the first of these folders: nobody is closer to a plugin that is found by its name.
    pub searched_by: NamedBy,
    /// Folders whose `plugins.lock` is used.
    pub locks: Vec<PathBuf>,
}

/// A plugin to be loaded.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where it is requested, as the start of a message: ``forethought.toml:3: `plugins.load.0`: ``.
    pub place: String,
    /// Its settings.
    pub settings: PluginSettings,
    /// Who named it.
    pub named: NamedBy,
}

/// Who named a plugin, from the closest to the most distant.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamedBy {
    /// The user: on the command line, in a variable, or in the own configuration file.
    #[default]
    User,
    /// The configuration file that the command line names.
    TypedFile(PathBuf),
    /// A file that the program found by itself, such as `forethought.toml` in the current folder.
    FoundFile(PathBuf),
}

impl NamedBy {
    /// The file, if it is not the user's own.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::User => None,
            Self::TypedFile(file) | Self::FoundFile(file) => Some(file),
        }
    }
}

impl Request {
    /// The locks, in order.
    pub(crate) fn locks(&self) -> Result<Vec<Lock>> {
        self.locks.iter().map(|folder| Lock::read(folder)).collect()
    }
}

/// Where a plugin is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file, by its canonical path.
    Library(PathBuf),
    Command(Vec<String>),
}

impl Source {
    pub(crate) fn of(settings: &PluginSettings, search: &[PathBuf]) -> Result<Vec<Self>> {
        match &settings.path {
            Some(path) => Ok(find::libraries(path, search)?.iter().map(|file| Self::library(file)).collect()),
            None => Ok(vec![Self::Command(settings.command.clone())]),
        }
    }
    pub(crate) fn library(file: &Path) -> Self {
        Self::Library(file.canonicalize().unwrap_or_else(|_| file.into()))
    }
    pub(crate) fn origin(&self, isolation: Isolation) -> ComponentOrigin {
        match (self, isolation) {
            (Self::Library(file), Isolation::Library) => ComponentOrigin::Library(file.clone()),
            (Self::Library(file), Isolation::Process) => ComponentOrigin::Process(file.display().to_string()),
            (Self::Command(command), _) => ComponentOrigin::Process(command.join(" ")),
        }
    }
}

/// `error`, with `place` prepended to its message.
pub(crate) fn at(place: &str, mut error: Error) -> Error {
    error.message.insert_str(0, place);
    error
}
