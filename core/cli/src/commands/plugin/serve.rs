//! `forethought plugin serve`: how this program runs a library in a separate process. Not meant to be typed.

use std::path::PathBuf;

use clap::Args;
use forethought_api::Result;
use forethought_plugin_host::{Library, policy, serve::Stdio};

use crate::exit::Exit;

/// Serve a library's components over standard input and output to the program that started this one.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The library.
    file: PathBuf,
    /// The SHA-256 that it must have.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

impl Serve {
    pub(crate) async fn execute(self) -> Result<Exit> {
        // Before the library is loaded, because its constructors may print.
        let stdio = Stdio::take()?;
        let library = Library::read(&self.file)?;
        if let Some(pin) = &self.sha256 {
            policy::pinned(&library.file, &library.sha256, pin)?;
        }
        library.admit()?;
        stdio.serve(library.load()?).await?;
        Ok(Exit::Done)
    }
}
