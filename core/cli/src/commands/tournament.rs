//! `forethought tournament`.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use forethought_api::{Error, Result};
use forethought_runtime::{
    evaluate::tournament::{Standing, schedule, standings},
    host::assemble::RunOptions,
    run,
    run::episode::EpisodeStatus,
    run::folder::{Earlier, RunStatus},
};
use serde::Serialize;

use crate::{
    arguments::{ConfigArguments, set},
    exit::Exit,
    session::Session,
    tables::{cost, table},
};

/// Let planners play against each other and rate them.
///
/// Every planner takes every seat equally often, on the same tasks and seeds as the others. A tournament is one run:
/// the same command continues an unfinished one, and no answered call is repeated. Intervals are 95 %. Ratings are Weng
/// and Lin's, with standard deviations; where a game has two results, the seats with the same result form a side.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought tournament avalon --planners react,naive --games 300")]
pub(crate) struct Tournament {
    #[command(flatten)]
    config: ConfigArguments,
    /// At least two planners, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required = true)]
    planners: Vec<String>,
    /// Number of games, rounded up to a multiple of the number of planners so that all take every seat equally often.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    games: u64,
    /// Games in flight at once.
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
    /// Start a new tournament even if an unfinished one could be continued.
    #[arg(long)]
    fresh: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    run: PathBuf,
    status: RunStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<f64>,
    games: u64,
    failed: u64,
    planners: Vec<Standing>,
}

impl Tournament {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let names = self.planners;
        if names.len() < 2 || names.iter().collect::<HashSet<_>>().len() < names.len() {
            return Err(Error::input("--planners: name at least two planners, each once"));
        }
        let values = self.concurrency.map(|n| set(["run", "concurrency"], n)).into_iter().collect();
        let host = session.host(&self.config, values).await?;
        let earlier = if self.fresh { Earlier::Ignore } else { Earlier::Reuse };
        let options = RunOptions {
            planners: names.clone(),
            earlier,
            cancel: session.cancel.clone(),
            ..RunOptions::default()
        };
        let mut spec = session.or_interrupted(host.run_spec(&options)).await?;
        for (index, (name, planner)) in spec.seats.iter().enumerate() {
            if let Some((twin, _)) =
                spec.seats[..index].iter().find(|(_, other)| other.config == planner.config)
            {
                return Err(Error::config(format!(
                    "[planner.{twin}] and [planner.{name}] differ only in name; use one of them"
                )));
            }
        }
        let environment = spec.environment.component.spec().await?;
        let config = host.config();
        let plan = schedule(
            config.seed,
            names.len(),
            environment.seats.len(),
            self.games,
            config.run.first_task,
            environment.tasks,
        );
        (spec.seatings, spec.episodes) = (plan.seatings, plan.episodes);
        spec.root = spec.root.join("tournaments");
        let outcome = run::run(spec, session.reporter.watch("tournament")).await?;
        let planners = standings(&names, &outcome.episodes);
        let count = |wanted| outcome.episodes.iter().filter(|game| game.status == wanted).count() as u64;
        let document = Document {
            run: outcome.folder,
            status: outcome.status,
            usd: outcome.usd,
            games: count(EpisodeStatus::Done),
            failed: count(EpisodeStatus::Failed),
            planners,
        };
        session.show(&document, || document.words())?;
        Ok(document.status.into())
    }
}

impl Document {
    fn words(&self) -> String {
        let mut sorted: Vec<_> = self.planners.iter().collect();
        sorted.sort_by(|a, b| b.rating.total_cmp(&a.rating));
        let rows: Vec<_> = sorted
            .iter()
            .map(|one| {
                [
                    one.name.clone(),
                    one.games.to_string(),
                    format!("{:.1} %", 100.0 * one.wins.mean),
                    format!("{:.1}-{:.1} %", 100.0 * one.wins.low, 100.0 * one.wins.high),
                    format!("{:.3}", one.score.mean),
                    format!("{:.2} ± {:.2}", one.rating, one.deviation),
                ]
            })
            .collect();
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        format!(
            "{}\n{} games{failed}\n{}{}\n",
            table(["planner", "games", "wins", "95 %", "score", "rating"], &rows),
            self.games,
            cost(self.usd),
            self.run.display()
        )
    }
}
