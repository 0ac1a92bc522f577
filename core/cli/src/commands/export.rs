//! `forethought export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use forethought_api::{Error, Result};
use forethought_reading::tables;
use forethought_runtime::run::trajectories;

use crate::{
    exit::Exit,
    played::Played,
    session::Session,
    written::{prepare, replaceable, write},
};

/// Write the trajectories of a run again, or its decisions as tables.
///
/// Nothing is played: the trajectories of all finished episodes are in the run that `collect` made. Tables of decisions,
/// rounds and imagined outcomes are made of any run, for pandas and the like; docs/run-format.md lists their columns.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought export runs/webshop--react --out data
  forethought export runs/webshop--pnlc --format decisions --out tables")]
pub(crate) struct Export {
    /// Folder of a run, or of a planner's runs (the newest is used).
    run: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value = "trajectories")]
    format: Format,
    /// Folder for the files.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace trajectories of other episodes in DIR.
    #[arg(long)]
    replace: bool,
}

/// What is exported.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// What critics are trained on: trajectories.parquet and trajectories.jsonl.
    Trajectories,
    /// One row per decision, round and imagined outcome: decisions.parquet, rounds.parquet, outcomes.parquet.
    Decisions,
}

impl Export {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let run = Played::read(&self.run)?;
        match self.format {
            Format::Trajectories => self.trajectories(session, run).await,
            Format::Decisions => {
                let failed = |error: std::io::Error| {
                    Error::input(format!(
                        "--out {}: tables cannot be written there: {error}",
                        self.out.display()
                    ))
                };
                std::fs::create_dir_all(&self.out).map_err(failed)?;
                tempfile::tempfile_in(&self.out).map_err(failed)?;
                let tables = tables::write(&run, &self.out)?;
                session.show(&tables, || {
                    let counts = format!(
                        "{} decisions, {} rounds, {} outcomes",
                        tables.decisions, tables.rounds, tables.outcomes
                    );
                    let files = tables.files.iter().map(|file| format!("{}\n", file.display()));
                    format!("{counts}\n{}", files.collect::<String>())
                })?;
                Ok(Exit::Done)
            }
        }
    }

    async fn trajectories(self, session: &Session, run: Played) -> Result<Exit> {
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
