//! `forethought completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use forethought_api::Result;

use super::Arguments;
use crate::{exit::Exit, session::Session, streams::print};

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought completions bash > ~/.local/share/bash-completion/completions/forethought")]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn execute(self, _: &Session) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "forethought", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
