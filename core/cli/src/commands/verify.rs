//! `forethought verify`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use forethought_api::{
    Result,
    verifier::{Check, Verifier},
};
use serde::Serialize;

use crate::{exit::Exit, session::Session, tables::table};

/// Check an environment against golden outputs of its reference implementation.
///
/// Every comparison is counted; none is skipped silently. Exits with 1 if a check fails. The example expects the variable
/// FORETHOUGHT_DATA to name the folder of the data sets.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought verify webshop $FORETHOUGHT_DATA --json")]
pub(crate) struct Verify {
    /// The environment.
    environment: String,
    /// Folder with the golden data.
    data: PathBuf,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    checks: Vec<Check>,
}

impl Verify {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let verifier = session.unconfigured::<dyn Verifier>(&self.environment).await?;
        let verify = verifier.verify(self.data, Arc::new(session.reporter.clone()));
        let document = Document { checks: session.or_interrupted(verify).await? };
        let rows: Vec<_> = document
            .checks
            .iter()
            .map(|check| [check.name.clone(), check.passed.to_string(), check.total.to_string()])
            .collect();
        session.show(&document, || table(["check", "passed", "total"], &rows))?;
        // A check that compared nothing has shown nothing.
        let short = |check: &&Check| check.passed < check.total || check.total == 0;
        let mut exit = Exit::Done;
        for check in document.checks.iter().filter(short) {
            exit = Exit::Failed;
            session.reporter.say(format!("{}: {} of {}", check.name, check.passed, check.total));
            check.failures.iter().for_each(|failure| session.reporter.say(format!("  {failure}")));
        }
        Ok(exit)
    }
}
