//! `cargo xtask`: maintenance tasks of this workspace.
//!
//! It must not depend on a crate of the workspace: it works with their sources and with what cargo builds.

mod gpu;
mod header;
mod plugins;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

/// Maintenance tasks of this workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Regenerates core/abi/include/forethought.h
    Header,
    /// Builds the built-in plugins and environments as libraries, into one folder
    Plugins {
        /// Builds them with optimisations
        #[arg(long)]
        release: bool,
        /// The output folder [default: target/plugins]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Compares everything that has a device with the CPU and with PyTorch, on a machine with a GPU
    GpuCheck {
        /// `cuda:<number>`, or `cpu`
        #[arg(long, default_value = "cuda:0")]
        device: String,
        /// A gpu-check that was built on another machine
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
        /// A Python that has PyTorch
        #[arg(long, default_value = "python3")]
        python: String,
    },
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Header => write_header(),
        Task::Plugins { release, out } => plugins::build(release, out),
        Task::GpuCheck { device, program, python } => gpu::check(&device, program, &python),
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
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace")
}
