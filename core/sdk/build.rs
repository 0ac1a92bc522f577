//! Records what a library is built with, for its metadata.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version =
        Command::new(compiler).arg("--version").output().ok().and_then(|o| String::from_utf8(o.stdout).ok());
    println!("cargo:rustc-env=FORETHOUGHT_RUSTC={}", version.as_deref().unwrap_or("unknown").trim());
    println!(
        "cargo:rustc-env=FORETHOUGHT_TARGET={}",
        env::var("TARGET").unwrap_or_else(|_| "unknown".into())
    );
}
