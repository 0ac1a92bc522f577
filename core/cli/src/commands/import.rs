//! `forethought import`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use forethought_api::{Error, Result, importer::Importer};

use crate::{exit::Exit, session::Session, written::write};

/// Turn real data into trajectories.
///
/// DIR gets `trajectories.parquet` and `trajectories.jsonl`, as from `collect`. `forethought list importer` names
/// the formats.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought import react-webshop ../shared/data/webshop_react_trajectories --out data")]
pub(crate) struct Import {
    /// The data's format.
    format: String,
    /// A file, or the data set's folder.
    path: PathBuf,
    /// Folder for the trajectories.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Import {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let importer = session.unconfigured::<dyn Importer>(&self.format).await?;
        let import = importer.import(self.path.clone(), Arc::new(session.reporter.clone()));
        let trajectories = session.or_interrupted(import).await?;
        if trajectories.is_empty() {
            return Err(Error::input(format!("{} holds no trajectories", self.path.display())));
        }
        let written = write(&self.out, &trajectories)?;
        session.show(&written, || written.to_string())?;
        Ok(Exit::Done)
    }
}
