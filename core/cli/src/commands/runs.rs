//! `forethought runs`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use forethought_api::{Error, Result};
use forethought_runtime::{
    config,
    run::folder::{self, RunStatus},
};
use serde::Serialize;

use crate::{
    exit::Exit,
    played::{Played, folder_of},
    session::Session,
    tables::list,
};

/// Find runs again, and make them smaller.
#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the runs in a folder, oldest first.
    ///
    /// The name is the one that --name gave them.
    #[command(after_help = "Examples:
  forethought runs list
  forethought runs list sweep --json | jq '.[] | [.name, .score]'")]
    List(List),
    /// Pack the journals of runs that are over, to a third or less of their size.
    ///
    /// What nothing refers to any more goes, such as the answers of attempts that were given up; the rest is compressed
    /// together. Episodes can be viewed, replayed, exported and continued as before.
    #[command(after_help = "Examples:
  forethought runs pack runs/webshop--pnlc
  forethought runs pack runs/webshop--*/*")]
    Pack(Pack),
}

#[derive(Debug, Args)]
struct Pack {
    /// The runs' folders; of a folder of runs, the newest.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
}

/// What packing a run gave.
#[derive(Debug, Serialize)]
struct Packed {
    run: PathBuf,
    /// Bytes of its journal before and after.
    before: u64,
    after: u64,
}

impl Pack {
    fn execute(self, session: &Session) -> Result<Exit> {
        let pack = |run: PathBuf| -> Result<Packed> {
            let run = folder_of(&run)?;
            let (before, after) = folder::pack(&run)?;
            Ok(Packed { run, before, after })
        };
        let packed = self.runs.into_iter().map(pack).collect::<Result<Vec<_>>>()?;
        session.show(&packed, || {
            let mb = |bytes: u64| format!("{:.2} MB", bytes as f64 / 1e6);
            let cells = |one: &Packed| [mb(one.before), mb(one.after), one.run.display().to_string()];
            list(["before", "after", "run"], &packed.iter().map(cells).collect::<Vec<_>>())
        })?;
        Ok(Exit::Done)
    }
}

#[derive(Debug, Args)]
struct List {
    /// The folder of runs, searched with the folders in it.
    #[arg(default_value = "runs")]
    folder: PathBuf,
}

/// What is known of a run without playing it.
#[derive(Debug, Serialize)]
struct Row {
    run: PathBuf,
    name: Option<String>,
    started: String,
    environment: String,
    planner: String,
    state: RunStatus,
    done: u64,
    episodes: u64,
    score: Option<f64>,
    usd: Option<f64>,
    seed: Option<u64>,
}

impl Runs {
    pub(crate) fn execute(self, session: &Session) -> Result<Exit> {
        match self.command {
            Command::List(list) => list.execute(session),
            Command::Pack(pack) => pack.execute(session),
        }
    }
}

impl List {
    fn execute(self, session: &Session) -> Result<Exit> {
        let Self { folder } = self;
        if !folder.is_dir() {
            return Err(Error::not_found(format!(
                "there is no folder {}; name that of [run] out",
                folder.display()
            )));
        }
        let mut rows = Vec::new();
        find(&folder, 4, &mut |run| match row(run) {
            Ok(row) => rows.push(row),
            // One run that cannot be read does not hide the others.
            Err(error) => session.reporter.say(format!("{}: {error}", run.display())),
        });
        rows.sort_by(|a: &Row, b| (&a.started, &a.run).cmp(&(&b.started, &b.run)));
        session.show(&rows, || {
            let lines: Vec<_> = rows.iter().map(Row::cells).collect();
            list(
                ["started", "name", "environment", "planner", "state", "done", "score", "usd", "run"],
                &lines,
            )
        })?;
        Ok(Exit::Done)
    }
}

impl Row {
    fn cells(&self) -> [String; 9] {
        let number = |number: Option<f64>, digits| number.map_or(String::new(), |n| format!("{n:.digits$}"));
        [
            self.started.clone(),
            self.name.clone().unwrap_or_default(),
            self.environment.clone(),
            self.planner.clone(),
            format!("{:?}", self.state).to_lowercase(),
            format!("{}/{}", self.done, self.episodes),
            number(self.score, 3),
            number(self.usd, 4),
            self.run.display().to_string(),
        ]
    }
}

/// Visits the runs in `folder` and below, as deep as `levels`.
pub(crate) fn find(folder: &Path, levels: u32, visit: &mut impl FnMut(&Path)) {
    if folder.join("run.json").is_file() {
        return visit(folder);
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // Links are not followed: they may lead round in a circle.
        if levels > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find(&entry.path(), levels - 1, visit);
        }
    }
}

fn row(run: &Path) -> Result<Row> {
    let Played { folder, info, episodes } = Played::read(run)?;
    let stats = forethought_runtime::evaluate::stats::planner_stats(&info.planner, &episodes);
    // Old runs may have no configuration that can be read; the list shows the rest.
    let config = config::resolved(&folder).unwrap_or_default();
    Ok(Row {
        run: folder,
        name: config.pointer("/run/name").and_then(|name| name.as_str()).map(String::from),
        started: info.started,
        environment: info.environment,
        planner: info.planner,
        state: info.status,
        done: stats.episodes,
        episodes: info.episodes,
        score: (stats.episodes > 0).then_some(stats.score.mean),
        usd: info.usd,
        seed: config["seed"].as_u64(),
    })
}
