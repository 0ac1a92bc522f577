//! `forethought eval`.

use clap::Args;
use forethought_api::Result;
use forethought_runtime::evaluate::stats::{Report, planner_stats};

use crate::{
    arguments::RunArguments,
    exit::Exit,
    launch::{dry_run, eval, options},
    session::Session,
    tables::{cost, results},
};

/// Run several planners on the same episodes and compare them.
///
/// Each planner plays the same tasks with the same seeds, in its own run. Intervals are 95 %: Student's t for the
/// score, Wilson's for the success rate.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought eval quickstart --planner react,pnlc --episodes 200
  forethought eval my.toml --planner pnlc --json | jq .planners[0].success")]
pub(crate) struct Eval {
    #[command(flatten)]
    arguments: RunArguments,
    /// Planners, separated by commas; by default the one in [seats].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    planner: Vec<String>,
}

impl Eval {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let host = session.host(&self.arguments.config, self.arguments.values()).await?;
        let planners = match self.planner.is_empty() {
            true => vec![None],
            false => self.planner.into_iter().map(Some).collect(),
        };
        let runs: Vec<_> =
            planners.into_iter().map(|planner| options(session, &self.arguments, planner)).collect();
        if self.arguments.dry_run {
            return dry_run(session, &host, &runs).await;
        }
        let (outcomes, exit) = eval(session, &host, &runs).await?;
        let planners: Vec<_> =
            outcomes.iter().map(|(name, outcome)| planner_stats(name, &outcome.episodes)).collect();
        let folders = || -> String {
            outcomes
                .iter()
                .map(|(_, outcome)| format!("{}{}\n", cost(outcome.usd), outcome.folder.display()))
                .collect()
        };
        session.show(&Report { planners: planners.clone() }, || {
            format!("{}\n{}", results(&planners), folders())
        })?;
        Ok(exit)
    }
}
