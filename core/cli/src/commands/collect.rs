//! `forethought collect`.

use std::path::PathBuf;

use clap::Args;
use forethought_api::Result;
use forethought_runtime::{host::assemble::RunOptions, run::folder::RunStatus};
use serde::Serialize;

use crate::{
    arguments::RunArguments,
    exit::Exit,
    launch::{Job, collect, dry_run, options},
    session::Session,
    written::Written,
};

/// Run episodes and keep them as trajectories to train on.
///
/// Like `run`, but the summariser also summarises each state, and DIR gets `trajectories.parquet` (readable by pandas
/// and Hugging Face datasets) and `trajectories.jsonl`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought collect quickstart --planner react --episodes 500 --out data
  forethought train quickstart --data data --out critic")]
pub(crate) struct Collect {
    #[command(flatten)]
    arguments: RunArguments,
    /// The planner of the first seat; by default the one in [seats].
    #[arg(long, value_name = "NAME")]
    planner: Option<String>,
    /// Folder for the trajectories.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace trajectories of other episodes in DIR.
    #[arg(long)]
    replace: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    run: PathBuf,
    status: RunStatus,
    #[serde(flatten)]
    written: Written,
}

impl Collect {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let host = session.host(&self.arguments.config, self.arguments.values()).await?;
        let options = options(session, &self.arguments, self.planner);
        if self.arguments.dry_run {
            return dry_run(session, &Job::all(&host, [RunOptions { collect: true, ..options }])).await;
        }
        let (outcome, written) = collect(session, &host, options, &self.out, self.replace).await?;
        let document = Document { run: outcome.folder, status: outcome.status, written };
        session.show(&document, || document.written.to_string())?;
        Ok(document.status.into())
    }
}
