//! Where configuration is looked for.

use std::path::PathBuf;

use forethought_api::{Error, Result};
use serde_json::Value;

use super::{
    origin::KeyPath,
    presets::{PRESETS, Preset},
};
use crate::registry::suggestion;

/// The sources of one configuration. [`Sources::of_process`] fills them in as the program does; tests name their own.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Presets on offer.
    pub presets: Vec<Preset>,
    /// The preset asked for by `--preset`.
    pub preset: Option<String>,
    /// The user's own file; none if it does not exist.
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
    /// `--plugin` arguments: what is loaded beside what `[plugins]` names.
    pub plugins: Vec<String>,
    /// Folders in which plugins are looked for by name, after those of `[plugins]`.
    pub search: Vec<PathBuf>,
    /// The current folder: `forethought.toml` is looked for in it, and what no file says is relative to it.
    pub folder: PathBuf,
}

impl Sources {
    /// Nothing but what is built in, and `forethought.toml` in `folder`.
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
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home =
            |xdg: &str, below: &str| absolute(xdg).or_else(|| absolute("HOME").map(|home| home.join(below)));
        let named = std::env::var_os("FORETHOUGHT_PLUGIN_PATH").unwrap_or_default();
        let named = std::env::split_paths(&named).filter(|folder| !folder.as_os_str().is_empty());
        let own = home("XDG_DATA_HOME", ".local/share").map(|home| home.join("forethought/plugins"));
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Ok(Self {
            user: home("XDG_CONFIG_HOME", ".config").map(|home| home.join("forethought/config.toml")),
            search: named.chain(own).collect(),
            variables: std::env::vars_os().filter_map(text).collect(),
            ..Self::new(std::env::current_dir()?)
        })
    }

    /// Takes a configuration as it is named on the command line: a file, or else a preset.
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
