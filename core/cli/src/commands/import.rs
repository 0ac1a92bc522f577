//! `forethought import`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use forethought_api::{Error, Result, importer::Importer};
use forethought_runtime::trajectories;

use crate::{
    exit::Exit,
    session::Session,
    written::{prepare, replaceable, write},
};

/// Convert recorded episodes to trajectories.
///
/// DIR gets `trajectories.parquet` and `trajectories.jsonl`, as with `collect`. `forethought list importer` shows the
/// formats. The example expects the variable FORETHOUGHT_DATA to name the folder of the data sets.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought import react-webshop $FORETHOUGHT_DATA/webshop_react_trajectories --out data")]
pub(crate) struct Import {
    /// Format of the data.
    format: String,
    /// A file, or the folder of the data set.
    path: PathBuf,
    /// Folder for the trajectories.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace trajectories of other episodes in DIR.
    #[arg(long)]
    replace: bool,
}

impl Import {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        prepare(&self.out, 0)?;
        let importer = session.unconfigured::<dyn Importer>(&self.format).await?;
        let import = importer.import(self.path.clone(), Arc::new(session.reporter.clone()));
        let imported = session.or_interrupted(import).await?;
        if imported.is_empty() {
            return Err(Error::input(format!("{} contains no trajectories", self.path.display())));
        }
        if !self.replace {
            replaceable(&self.out, &imported.iter().map(|one| one.episode.clone()).collect())?;
        }
        for doubt in trajectories::doubts(&imported) {
            session.reporter.say(format!("warning: {doubt}"));
        }
        let written = write(&self.out, &imported)?;
        session.show(&written, || written.to_string())?;
        Ok(Exit::Done)
    }
}
