//! `forethought import`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use forethought_api::{
    Error, Result,
    importer::{Imported, Importer},
};
use forethought_runtime::trajectories;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    exit::Exit,
    session::Session,
    written::{Written, prepare, replaceable, write},
};

/// Convert recorded episodes to trajectories.
///
/// DIR gets `trajectories.parquet` and `trajectories.jsonl`, as with `collect`. `forethought list importer` shows the
/// formats, `forethought describe importer.FORMAT` what can be set. What the trajectories do not have is counted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought import openai-chat conversations.jsonl --out data
  forethought import inspect logs --set reward=accuracy --out data
  forethought import react-webshop $FORETHOUGHT_DATA/webshop_react_trajectories --out data")]
pub(crate) struct Import {
    /// Format of the data.
    format: String,
    /// A file, or the folder of the data set.
    path: PathBuf,
    /// Folder for the trajectories.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Set one key of the importer, such as --set reward=accuracy. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Replace trajectories of other episodes in DIR.
    #[arg(long)]
    replace: bool,
}

/// What was imported, and what was not.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    written: &'a Written,
    dropped: &'a BTreeMap<String, u64>,
    notes: &'a BTreeMap<String, u64>,
}

impl Import {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        prepare(&self.out, 0)?;
        let importer = session.configured::<dyn Importer>(&self.format, settings(&self.set)?).await?;
        let import = importer.read(self.path.clone(), Arc::new(session.reporter.clone()));
        let Imported { trajectories: imported, dropped, notes } = session.or_interrupted(import).await?;
        if imported.is_empty() {
            let dropped: String = dropped.iter().map(|(kind, count)| format!("; {kind}: {count}")).collect();
            return Err(Error::input(format!("{} contains no trajectories{dropped}", self.path.display())));
        }
        if !self.replace {
            replaceable(&self.out, &imported.iter().map(|one| one.episode.clone()).collect())?;
        }
        for doubt in trajectories::doubts(&imported) {
            session.reporter.say(format!("warning: {doubt}"));
        }
        let written = write(&self.out, &imported)?;
        let shown = Shown { written: &written, dropped: &dropped, notes: &notes };
        session.show(&shown, || {
            let dropped = dropped.iter().map(|(kind, count)| format!("dropped: {kind}: {count}\n"));
            let notes = notes.iter().map(|(kind, count)| format!("note: {count} {kind}\n"));
            written.to_string() + &dropped.chain(notes).collect::<String>()
        })?;
        Ok(Exit::Done)
    }
}

/// The importer's configuration. What is not JSON is text.
fn settings(set: &[String]) -> Result<Map<String, Value>> {
    let one = |set: &String| {
        let (key, value) = set.split_once('=').ok_or_else(|| {
            Error::input(format!("--set {set}: there is no `=`; write it as --set reward=accuracy"))
        })?;
        let value = value.trim();
        Ok((key.trim().to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
    };
    set.iter().map(one).collect()
}
