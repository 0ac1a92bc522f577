//! `forethought export`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use forethought_api::{Error, Result, trajectory::Trajectory};
use forethought_reading::tables;
use forethought_runtime::{run::trajectories, trajectories as files};

use crate::{
    exit::Exit,
    played::Played,
    session::Session,
    written::{prepare, replaceable, write},
};

/// Write the episodes of a run as trajectories, as tables, or in a format of other programs.
///
/// Nothing is played: what happened is in the run's folder. `trajectories` are those that `collect` summarised. Tables
/// of decisions, rounds and imagined outcomes are made of every run; docs/run-format.md lists their columns. The
/// formats of other programs need no summaries, so they are made of every run, and of trajectories, too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought export runs/webshop--react --out data
  forethought export runs/webshop--pnlc --format decisions --out tables
  forethought export runs/webshop--pnlc --format inspect --out logs
  forethought export data --format openai --out messages")]
pub(crate) struct Export {
    /// Folder of a run, or of a planner's runs (the newest is used). For other formats also trajectories: a .parquet or
    /// .jsonl file, or a folder of them.
    run: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::Trajectories, value_name = "FORMAT")]
    format: Format,
    /// Folder for the files.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace trajectories of other episodes in DIR, or other files of the same names.
    #[arg(long)]
    replace: bool,
}

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    /// Trajectories, for training: Parquet and JSON Lines.
    Trajectories,
    /// One row per decision, round and imagined outcome: decisions.parquet, rounds.parquet, outcomes.parquet.
    Decisions,
    /// ATIF 1.7, one document per trajectory.
    Atif,
    /// OpenAI chat messages, JSON Lines.
    Openai,
    /// A log of Inspect, JSON.
    Inspect,
    /// OpenTelemetry GenAI spans, one OTLP request in JSON per line.
    Otel,
}

impl Export {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        match self.format {
            Format::Trajectories => self.trajectories(session).await,
            Format::Decisions => self.decisions(session),
            Format::Atif | Format::Openai | Format::Inspect | Format::Otel => self.foreign(session),
        }
    }

    /// Writes tables of decisions.
    fn decisions(&self, session: &Session) -> Result<Exit> {
        let run = Played::read(&self.run)?;
        let failed = |error: std::io::Error| {
            Error::input(format!("--out {}: tables cannot be written there: {error}", self.out.display()))
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

    async fn trajectories(self, session: &Session) -> Result<Exit> {
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

    #[cfg(not(feature = "records"))]
    fn foreign(&self, _: &Session) -> Result<Exit> {
        Err(crate::builtin::built_without("--format", "records"))
    }

    /// Writes a format of other programs.
    #[cfg(feature = "records")]
    fn foreign(&self, session: &Session) -> Result<Exit> {
        use forethought_records::export::{self, About};

        let (trajectories, about) = match Played::is_at(&self.run) {
            true => {
                let run = Played::read(&self.run)?;
                let name = run.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let about =
                    About { program: run.info.program.clone(), started: run.info.started.clone(), run: name };
                (crate::lived::trajectories(&run)?, about)
            }
            false => {
                let program = env!("CARGO_PKG_VERSION").to_owned();
                (files::read(&self.run)?, About { program, ..About::default() })
            }
        };
        if trajectories.is_empty() {
            return Err(Error::input(format!("{} has no finished episodes", self.run.display())));
        }
        let format = match self.format {
            Format::Openai => export::Format::Openai,
            Format::Inspect => export::Format::Inspect,
            Format::Otel => export::Format::Otel,
            _ => export::Format::Atif,
        };
        let mut written = Vec::new();
        for document in export::export(format, &trajectories, &about)? {
            written.push((self.out.join(document.name), document.bytes));
        }
        for (path, bytes) in written.iter().filter(|_| !self.replace) {
            if std::fs::read(path).is_ok_and(|found| found != *bytes) {
                return Err(Error::input(format!(
                    "{} is there already and is another; choose another --out, or give --replace to lose it",
                    path.display()
                )));
            }
        }
        save(&self.out, &written)?;
        let files: Vec<_> = written.into_iter().map(|(path, _)| path).collect();
        let steps: usize = trajectories.iter().map(|one: &Trajectory| one.steps.len()).sum();
        let data = serde_json::json!({ "trajectories": trajectories.len(), "steps": steps, "files": files });
        session.show(&data, || {
            let names: String = files.iter().take(3).map(|file| format!("{}\n", file.display())).collect();
            let more = match files.len() {
                0..=3 => String::new(),
                many => format!("and {} more\n", many - 3),
            };
            format!("{} trajectories, {steps} steps\n{names}{more}", trajectories.len())
        })?;
        Ok(Exit::Done)
    }
}

/// Writes files, each whole or not at all.
#[cfg(feature = "records")]
fn save(folder: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<()> {
    use std::io::Write as _;

    use forethought_api::error::Context as _;

    let failed = || format!("--out {}: files cannot be written there", folder.display());
    std::fs::create_dir_all(folder).context(failed())?;
    for (path, bytes) in files {
        let mut file = tempfile::NamedTempFile::new_in(folder).context(failed())?;
        file.write_all(bytes).context(failed())?;
        file.persist(path).map_err(|error| Error::from(error.error)).context(failed())?;
    }
    Ok(())
}
