//! `forethought export`.

use std::path::PathBuf;

use clap::Args;
use forethought_api::{Error, Result};
use forethought_runtime::run::trajectories;

use crate::{
    exit::Exit,
    played::Played,
    session::Session,
    written::{prepare, replaceable, write},
};

/// Write the trajectories of a run again.
///
/// Nothing is played: the trajectories of all finished episodes are in the run that `collect` made.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought export runs/webshop--react --out data")]
pub(crate) struct Export {
    /// Folder of a run, or of a planner's runs (the newest is used).
    run: PathBuf,
    /// Folder for the trajectories.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace trajectories of other episodes in DIR.
    #[arg(long)]
    replace: bool,
}

impl Export {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let run = Played::read(&self.run)?;
        let trajectories = trajectories(&run.folder).await?;
        if trajectories.is_empty() {
            return Err(Error::input(format!(
                "{} has no trajectories: `collect` makes them, `run` and `eval` do not",
                run.folder.display()
            )));
        }
        if !self.replace {
            replaceable(&self.out, &trajectories.iter().map(|one| one.episode.clone()).collect())?;
        }
        prepare(&self.out, trajectories.len() as u64)?;
        let written = write(&self.out, &trajectories)?;
        session.show(&written, || written.to_string())?;
        Ok(Exit::Done)
    }
}
