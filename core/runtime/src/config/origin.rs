//! Where a configured value comes from: the line to edit.

use std::fmt;
use std::path::PathBuf;

/// The keys that lead to a value; elements of a list by their index.
pub type KeyPath = Vec<String>;

/// The source of a configured value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigOrigin {
    /// Built in.
    Default,
    /// A preset that ships with the program.
    Preset {
        /// The preset's name.
        name: String,
        /// Line in it, from 1.
        line: usize,
    },
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// Line in it, from 1.
        line: usize,
    },
    /// An environment variable, by name.
    Environment(String),
    /// The command itself or one of its flags: the command's name, or nothing.
    Command(String),
    /// A `--set` argument, as typed.
    Set(String),
}

impl fmt::Display for ConfigOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset { name, line } => write!(f, "preset {name}:{line}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => write!(f, "${variable}"),
            Self::Command(command) if command.is_empty() => f.write_str("the command line"),
            Self::Command(command) => write!(f, "set by `{command}`"),
            Self::Set(argument) => write!(f, "--set {argument}"),
        }
    }
}

/// The path as it is written in TOML, such as `planner."a b".rounds`.
pub fn dotted(path: &[String]) -> String {
    let bare = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let keys = path.iter().map(|key| if bare(key) { key.clone() } else { format!("{key:?}") });
    keys.collect::<Vec<_>>().join(".")
}
