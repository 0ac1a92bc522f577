//! Shared by the end-to-end tests: an empty desk at which the real program is run. May depend on nothing of this
//! workspace.
//!
//! The tests that drive the program are in `core/cli/tests`, because Cargo builds a program only for the tests of its own
//! package. `tests/tests` checks what crosses crates and needs no program.

pub mod third_party;

use std::path::{Path, PathBuf};

use assert_cmd::{Command, assert::Assert};
use tempfile::TempDir;

/// A small shop: a run of a planner without a critic, and what is needed to train one for a planner with one.
pub const SHOP: &str = r#"
seed = 5
[environment]
kind = "webshop"
products = 60
[llm.actor]
kind = "simulated"
[encoder.hash]
kind = "hash"
[trainer.small]
kind = "goal-q"
encoder = "hash"
hidden = [8, 8]
steps = 20
evaluate_every = 10
[critic.critic]
kind = "goal-q"
model = "critic"
encoder = "hash"
[planner.react]
kind = "react"
llm = "actor"
[planner.pnlc]
kind = "pnlc"
llm = "actor"
critic = "critic"
[seats]
agent = "react"
[run]
episodes = 4
"#;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a program wrote to its standard output.
pub fn out(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

/// What a program wrote to its standard error.
pub fn err(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

/// An empty folder, with an empty home, in which the program is run.
pub struct Desk {
    folder: TempDir,
    program: PathBuf,
}

impl Desk {
    /// An empty desk for the program at this path: `env!("CARGO_BIN_EXE_forethought")`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder can be made"), program: program.into() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file on the desk.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folder");
        std::fs::write(&path, text).expect("a file can be written");
        path
    }

    /// A command line of the program, run at this desk. `line` is cut at blanks.
    pub fn forethought(&self, line: &str) -> Command {
        self.of(self.program.clone(), line)
    }

    /// The same for another program.
    pub fn of(&self, program: PathBuf, line: &str) -> Command {
        let mut command = Command::new(program);
        self.settle(&mut command, line);
        command
    }

    /// The same, for tests that talk to the program while it runs.
    pub fn spawn(&self, line: &str) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command.args(line.split_whitespace()).current_dir(self.path());
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        strangers().for_each(|name| {
            command.env_remove(name);
        });
        command
    }

    fn settle(&self, command: &mut Command, line: &str) {
        command.args(line.split_whitespace()).current_dir(self.path()).envs(self.environment());
        for name in strangers() {
            command.env_remove(name);
        }
    }

    /// An empty home, so that the files of a user have no effect.
    fn environment(&self) -> [(&'static str, PathBuf); 4] {
        let home = self.path().join("home");
        let [config, data, cache] = [".config", ".local/share", ".cache"].map(|below| home.join(below));
        [("HOME", home), ("XDG_CONFIG_HOME", config), ("XDG_DATA_HOME", data), ("XDG_CACHE_HOME", cache)]
    }
}

/// Variables of this process that would change what the program does.
fn strangers() -> impl Iterator<Item = String> {
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("FORETHOUGHT_") || name == "RUST_LOG")
}
