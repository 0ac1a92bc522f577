//! End-to-end tests live in tests/*.rs beside this file; here is what they share: the real program, at a desk of its
//! own. It may depend on nothing of this workspace.

use std::path::{Path, PathBuf};
use std::process::Command as Cargo;
use std::sync::OnceLock;

use assert_cmd::Command;
use tempfile::TempDir;

/// The program, built as these tests were. Cargo does not build another package's program for a test, so this does.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows itself");
        let profile = test.parent().and_then(Path::parent).expect("tests lie in <target>/<profile>/deps");
        let target = profile.parent().expect("a profile's folder lies in the target folder");
        let mut cargo = Cargo::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(workspace()).args(["build", "--quiet", "--package", "forethought", "--target-dir"]);
        cargo.arg(target);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success(), "the program cannot be built");
        profile.join("forethought")
    })
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An empty folder, with an empty home, in which the program is run.
pub struct Desk {
    folder: TempDir,
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

impl Desk {
    /// An empty desk.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder can be made") }
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
        let mut command = Command::new(program());
        self.settle(&mut command, line);
        command
    }

    /// The same for tests that talk to the program while it runs.
    pub fn spawn(&self, line: &str) -> std::process::Command {
        let mut command = std::process::Command::new(program());
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

    /// A home of its own, so that nobody's files count.
    fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("HOME", self.path().join("home")), ("XDG_CONFIG_HOME", self.path().join("home/.config"))]
    }
}

/// Variables of whoever runs the tests that would change what the program does.
fn strangers() -> impl Iterator<Item = String> {
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("FORETHOUGHT_") || name == "RUST_LOG")
}
