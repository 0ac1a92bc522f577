//! `forethought play`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use console::Term;
use forethought_api::{Error, Result, environment::EnvironmentSpec};
use forethought_runtime::{
    host::RuntimeHost,
    host::assemble::RunOptions,
    run::episode::EpisodeSummary,
    run::events::{self, Event},
    run::folder::{Earlier, RunStatus, events_path},
    run::{self, RunObserver},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    arguments::{ConfigArguments, Values, set},
    exit::Exit,
    progress::Reporter,
    session::Session,
    streams::tell_styled,
    transcript::{self, Page},
    written::{Written, write},
};

/// Take a seat yourself; the others play as configured.
///
/// You see what your seat sees, as far as it is new, and type what it does. `?` shows the rules, `:thought ...` notes
/// what you think; `:quit`, the end of input or Ctrl-C saves and leaves, and the same command continues there. The game
/// is kept as a run and, as with `collect`, as trajectories in the run's folder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought play avalon --seat 'player 2' --seed 11
  forethought view runs/avalon--person 3fa9         read the game afterwards")]
pub(crate) struct Play {
    #[command(flatten)]
    config: ConfigArguments,
    /// Your seat: its name or number, counted from 0; by default the first.
    #[arg(long, value_name = "SEAT")]
    seat: Option<String>,
    /// The task; by default the first one that is configured.
    #[arg(long, value_name = "N")]
    task: Option<u64>,
    /// Seed of everything random.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Start a new game even if an unfinished one could be continued.
    #[arg(long)]
    fresh: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    run: PathBuf,
    status: RunStatus,
    seat: String,
    episode: Option<EpisodeSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trajectories: Option<Written>,
}

/// The person's planner and model.
const PERSON: &str = "person";

impl Play {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let base = session.host(&self.config, Values::new()).await?;
        let spec = base.environment().await?.spec().await?;
        let seat = self.seat(&spec)?;
        let host = session.host(&self.config, self.values(&base, &spec.seats[seat].name)).await?;
        let earlier = if self.fresh { Earlier::Ignore } else { Earlier::Continue };
        let options =
            RunOptions { collect: true, earlier, cancel: session.cancel.clone(), ..RunOptions::default() };
        let mut run = session.or_interrupted(host.run_spec(&options)).await?;
        run.subject = seat;
        let outcome = run::run(run, Arc::new(Notes(session.reporter.clone()))).await?;
        let episode = outcome.episodes.into_iter().next();
        let mut written = None;
        if let (RunStatus::Finished, Some(episode)) = (outcome.status, &episode) {
            farewell(&outcome.folder, &episode.episode, seat)?;
            written = Some(write(&outcome.folder, &outcome.trajectories)?);
        } else if outcome.status == RunStatus::Interrupted {
            session.reporter.say("saved; the same command continues this game");
        }
        let document = Document {
            run: outcome.folder,
            status: outcome.status,
            seat: spec.seats[seat].name.clone(),
            episode,
            trajectories: written,
        };
        session.show(&document, || document.words())?;
        Ok(outcome.status.into())
    }

    fn seat(&self, spec: &EnvironmentSpec) -> Result<usize> {
        let Some(wanted) = &self.seat else { return Ok(0) };
        let named = spec.seats.iter().position(|seat| seat.name == *wanted);
        let number = || wanted.parse().ok().filter(|seat| *seat < spec.seats.len());
        named.or_else(number).ok_or_else(|| {
            let names: Vec<_> = spec.seats.iter().map(|seat| seat.name.as_str()).collect();
            Error::input(format!("`{}` has no seat `{wanted}`; it has: {}", spec.name, names.join(", ")))
        })
    }

    /// Puts a person in the seat.
    fn values(&self, base: &RuntimeHost, seat: &str) -> Values {
        let config = base.config();
        let mut values = vec![
            set(["planner", PERSON], json!({ "kind": "person", "llm": PERSON })),
            // People take their time.
            set(["llm", PERSON], json!({ "kind": "terminal", "calls": { "timeout_s": 1e8, "retries": 0 } })),
            set(["seats", seat], PERSON),
            set(["run", "episodes"], 1),
            set(["run", "repeats"], 1),
        ];
        values.extend(self.task.map(|task| set(["run", "first_task"], task)));
        values.extend(self.seed.map(|seed| set(["seed"], seed)));
        // What is implied while there is one model or planner must be explicit now that there is a second.
        match &config.summariser {
            None => values.push(set(["summariser", "kind"], "observation")),
            Some(summariser) => {
                values.extend(summariser.config.get("llm").map(|llm| set(["summariser", "llm"], llm.clone())))
            }
        }
        if let (1, Some(only)) = (config.planners().count(), config.planners().next())
            && !config.seats.contains_key("*")
        {
            values.push(set(["seats", "*"], only));
        }
        values
    }
}

/// Shows the person how the game ended.
fn farewell(run: &Path, episode: &str, seat: usize) -> Result<()> {
    let log = events::read(&events_path(run, episode))?;
    let (mut before, mut last, mut told) = (String::new(), None, None);
    for event in log {
        match event {
            Event::Turn { turn, .. } if turn.seat == seat => last = Some(turn.observation.text),
            Event::Decision { seat: other, .. } if other == seat => before = last.take().unwrap_or_default(),
            Event::Transition { info, .. } => told = info["ends"][seat].as_str().map(String::from),
            _ => {}
        }
    }
    let mut page = Page::new(&Term::stderr());
    page.title("end");
    page.part(
        "you see",
        last.or(told).as_deref().map(|end| transcript::new_since(&before, end)).unwrap_or_default(),
    );
    tell_styled(&page.take());
    Ok(())
}

impl Document {
    fn words(&self) -> String {
        let folder = format!("{}\n", self.run.display());
        let Some(episode) = self.episode.as_ref().filter(|_| self.status != RunStatus::Interrupted) else {
            return folder;
        };
        let success =
            episode.success.map_or("", |success| if success { ", success" } else { ", no success" });
        let mut words = format!("{}: score {}{success}\n", self.seat, episode.score);
        if let Some(error) = &episode.error {
            words += &format!("{error}\n");
        }
        if self.trajectories.is_some() {
            let id = episode.episode.get(..8).unwrap_or(&episode.episode);
            words += &format!("the whole game: forethought view {} {id}\n", self.run.display());
        }
        words + &folder
    }
}

/// Passes on notes only: the person follows the game anyway.
struct Notes(Reporter);

impl RunObserver for Notes {
    fn note(&self, text: &str) {
        self.0.say(text);
    }
}
