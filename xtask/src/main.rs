//! `cargo xtask`: the chores of this workspace.
//!
//! It may depend on no crate of the workspace: it makes things out of their sources and of what cargo builds.

mod header;
mod plugins;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

/// Chores of this workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Chore {
    /// Writes core/abi/include/forethought.h from its source
    Header,
    /// Builds the built-in plugins and environments as libraries, into one folder
    Plugins {
        /// Builds them optimised
        #[arg(long)]
        release: bool,
        /// The folder [default: target/plugins]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = match Chore::parse() {
        Chore::Header => write_header(),
        Chore::Plugins { release, out } => plugins::build(release, out),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_header() -> Result<(), Box<dyn Error>> {
    std::fs::write(root().join(header::PATH), header::generate()?)?;
    println!("{}", header::PATH);
    Ok(())
}

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}
