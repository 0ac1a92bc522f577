//! What third parties do: commands in their shell, and builds outside this workspace. Builds are quick and need no network:
//! dependencies have the versions that this workspace locks, and builds are `kept` for the next time.

use std::path::Path;

use assert_cmd::Command;

use crate::{Desk, strangers, workspace};

/// Cargo in `folder`.
pub fn cargo(folder: &Path, kept: &str) -> Command {
    lock(folder);
    let mut command = Command::new("cargo");
    settle(command.current_dir(folder), kept);
    command
}

/// A shell command in `folder`, with the program in PATH. Standard output and error are joined, as people see them.
pub fn shell(desk: &Desk, folder: &Path, line: &str, kept: &str) -> Command {
    if line.starts_with("cargo ") {
        lock(folder);
    }
    let program = desk.program.parent().expect("a program lies in a folder");
    let places = std::env::var_os("PATH").unwrap_or_default();
    let places = std::iter::once(program.to_owned()).chain(std::env::split_paths(&places));
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{{ {line}\n}} 2>&1")]).current_dir(folder);
    strangers().for_each(|name| {
        command.env_remove(name);
    });
    // The home stays: toolchains live there.
    command.env("XDG_CONFIG_HOME", desk.path().join("home/.config"));
    command.env("XDG_DATA_HOME", desk.path().join("home/.local/share"));
    command.env("XDG_CACHE_HOME", desk.path().join("home/.cache"));
    command.env("PATH", std::env::join_paths(places).expect("these were places before"));
    command.env("FORETHOUGHT_SDK", workspace());
    settle(&mut command, kept);
    command
}

/// A fresh crate gets the versions that this workspace locks.
fn lock(folder: &Path) {
    let lock = folder.join("Cargo.lock");
    if !lock.exists() {
        std::fs::copy(workspace().join("Cargo.lock"), lock).expect("the workspace has a Cargo.lock");
    }
}

fn settle(command: &mut Command, kept: &str) {
    command
        .env_remove("CARGO_TARGET_DIR")
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_BUILD_BUILD_DIR", Path::new(kept).join("third-party"))
        // Compiling takes longer than everything that is run here.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
}
