//! `forethought replay`.

use std::path::PathBuf;

use clap::Args;
use forethought_api::{Error, Result};
use forethought_runtime::{
    config::Sources,
    host::assemble::RunOptions,
    run::events::{self, Event},
    run::folder::events_path,
    run::replay::replay,
};

use crate::{exit::Exit, played::Played, session::Session};

/// Replay an episode from its journal and compare the result.
///
/// No model and no person is asked: their answers are recorded. The environment is stepped again. The event log must be
/// the same, byte for byte; otherwise the exit code is 1 and the first difference is shown: something is not
/// deterministic, or has changed since.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought replay runs/webshop--pnlc 3fa9")]
pub(crate) struct Replay {
    /// Folder of a run, or of a planner's runs (the newest is used).
    run: PathBuf,
    /// Id of the episode, or a beginning of it that is unique.
    episode: String,
}

/// The environment of what `serve` recorded.
const SESSION: &str = "session";

impl Replay {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let run = Played::read(&self.run)?;
        let episode = run.episode(&self.episode)?;
        let log = events::read(&events_path(&run.folder, &episode.episode))?;
        let Some(Event::Episode { seats, environment, .. }) = log.into_iter().next() else {
            return Err(Error::malformed(format!(
                "the log of episode {} does not begin with an `episode` event",
                episode.episode
            )));
        };
        if environment == SESSION {
            return Err(Error::input(format!(
                "episode {} is a session of `forethought serve`, whose environment was a client, so it cannot be \
                 replayed; `forethought view` shows it",
                episode.episode
            )));
        }
        // The configuration that the run wrote down, not the present one.
        let sources = Sources {
            file: Some(run.folder.canonicalize()?.join("config.resolved.toml")),
            search: Sources::of_process()?.search,
            plugins: session.plugin.clone(),
            ..Sources::new(&run.folder)
        };
        let host = session.host_of(&sources).await?;
        let collect = host.config().summariser.is_some();
        let options = RunOptions { planners: seats, collect, ..RunOptions::default() };
        let spec = session.or_interrupted(host.run_spec(&options)).await?;
        let replay = session.or_interrupted(replay(spec, &run.folder, episode)).await?;
        session.show(&replay, || match &replay.difference {
            None => format!(
                "identical: {} events, byte for byte, from {} recorded answers\n",
                replay.events, replay.answers
            ),
            Some(difference) => {
                let side =
                    |line: &Option<String>| line.as_deref().unwrap_or("nothing").trim_end().to_string();
                let (then, now) = (side(&difference.recorded), side(&difference.replayed));
                format!(
                    "line {} of the log differs\n  recorded: {then}\n  replayed: {now}\n",
                    difference.line
                )
            }
        })?;
        Ok(if replay.difference.is_none() { Exit::Done } else { Exit::Failed })
    }
}
