//! Where configuration comes from.

use std::path::{Path, PathBuf};

use forethought_api::{Error, Result};
use serde_json::Value;

use super::{
    layers::PREFIX,
    origin::KeyPath,
    presets::{PRESETS, Preset},
};
use crate::registry::suggestion;

/// The sources of one configuration. [`Sources::of_process`] fills them in as the program does; tests name their own.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Known presets.
    pub presets: Vec<Preset>,
    /// The preset that `--preset` names.
    pub preset: Option<String>,
    /// The user's own file, which may be missing.
    pub user: Option<PathBuf>,
    /// The file on the command line, which must exist.
    pub file: Option<PathBuf>,
    /// Environment variables.
    pub variables: Vec<(String, String)>,
    /// `--set` arguments.
    pub set: Vec<String>,
    /// What the command itself sets, such as the value of a flag; above `--set`.
    pub values: Vec<(KeyPath, Value)>,
    /// The command that gives `values`, as messages name it; may be empty.
    pub command: String,
    /// `--plugin` arguments: plugins to load in addition to those of `[plugins]`.
    pub plugins: Vec<String>,
    /// Folders in which plugins are looked for by name, after those of `[plugins]`.
    pub search: Vec<PathBuf>,
    /// The current folder: it may hold a `forethought.toml`, and paths that are not in a file are relative to it.
    pub folder: PathBuf,
}

impl Sources {
    /// Only what is built in, and `forethought.toml` in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            presets: PRESETS.to_vec(),
            preset: None,
            user: None,
            file: None,
            variables: Vec::new(),
            set: Vec::new(),
            values: Vec::new(),
            command: String::new(),
            plugins: Vec::new(),
            search: Vec::new(),
            folder: folder.into(),
        }
    }

    /// The sources of this process: its folder, its environment, the user's configuration folder.
    ///
    /// # Errors
    /// If the current folder cannot be determined.
    pub fn of_process() -> Result<Self> {
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => variables.push((name, value)),
                (Ok(name), Err(_)) if name.starts_with(PREFIX) => {
                    return Err(Error::config(format!("${name}: the value is not UTF-8")));
                }
                // Others are not read.
                _ => {}
            }
        }
        let folder = std::env::current_dir().map_err(|error| {
            Error::input("the current folder cannot be found; was it removed?").because(error)
        })?;
        is_text(&folder)?;
        Ok(Self {
            user: home("XDG_CONFIG_HOME", ".config", "config.toml"),
            search: plugin_folders(),
            variables,
            ..Self::new(folder)
        })
    }

    /// Uses a configuration as the command line names it: a file, or else a preset.
    ///
    /// # Errors
    /// If it is neither.
    pub fn named(mut self, name: &str) -> Result<Self> {
        let path = self.folder.join(name);
        if path.is_file() {
            self.file = Some(path);
        } else if self.presets.iter().any(|preset| preset.name == name) {
            self.preset = Some(name.into());
        } else {
            let presets = self.presets.iter().map(|preset| preset.name);
            return Err(Error::config(format!(
                "there is neither a file {} nor a preset `{name}`; of the presets, {}",
                path.display(),
                suggestion(name, presets)
            )));
        }
        Ok(self)
    }

    pub(super) fn find_preset(&self, name: &str) -> Result<&Preset> {
        self.presets.iter().find(|preset| preset.name == name).ok_or_else(|| {
            let presets = self.presets.iter().map(|preset| preset.name);
            Error::config(format!("there is no preset `{name}`; {}", suggestion(name, presets)))
        })
    }
}

/// The user's own folders of plugins: those of FORETHOUGHT_PLUGIN_PATH, and the one in the home.
pub fn plugin_folders() -> Vec<PathBuf> {
    let named = std::env::var_os("FORETHOUGHT_PLUGIN_PATH").unwrap_or_default();
    let named = std::env::split_paths(&named).filter(|folder| !folder.as_os_str().is_empty());
    named.chain(home("XDG_DATA_HOME", ".local/share", "plugins")).collect()
}

/// The file that says which plugins are trusted; `None` without a home folder.
pub fn trust_file() -> Option<PathBuf> {
    home("XDG_DATA_HOME", ".local/share", "trusted.json")
}

/// The file that vectors of texts are kept in unless a configuration names another; `None` without a home folder.
pub fn embeddings_file() -> Option<PathBuf> {
    home("XDG_CACHE_HOME", ".cache", "embeddings.sqlite")
}

/// A path in the program's folder below one of the user's.
fn home(variable: &str, usual: &str, below: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(usual)))?;
    Some(folder.join("forethought").join(below))
}

/// Refuses a path that is not text: values relative to it could not be written into a configuration.
pub(super) fn is_text(path: &Path) -> Result<()> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(Error::config(format!(
            "the path {path:?} is not UTF-8, so no configuration can hold it; rename the folder or work in another one"
        ))),
    }
}
