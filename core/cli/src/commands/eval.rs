//! `forethought eval`.

use std::collections::BTreeMap;

use clap::Args;
use forethought_api::Result;
use forethought_runtime::{
    evaluate::stats::{Mean, PlannerStats, Report, planner_stats},
    host::RuntimeHost,
    host::assemble::RunOptions,
    run::RunOutcome,
};

use super::{
    report::cost,
    run::{dry_run, options, play},
};
use crate::{arguments::RunArguments, exit::Exit, session::Session, table::table};

/// Run several planners on the same episodes and compare them.
///
/// Each planner plays the same tasks under the same seeds, in a run of its own. Intervals are 95 %: Student's t for
/// the score, Wilson's for the success rate.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought eval quickstart --planner react,pnlc --episodes 200
  forethought eval my.toml --planner pnlc --json | jq .planners[0].success")]
pub(crate) struct Eval {
    #[command(flatten)]
    arguments: RunArguments,
    /// Planners, separated by commas; by default the one that [seats] names.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    planner: Vec<String>,
}

impl Eval {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let host = session.host(&self.arguments.config, &self.arguments.settings()).await?;
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

/// Runs one after another, all of them checked before the first starts, until one is interrupted.
pub(crate) async fn eval(
    session: &Session,
    host: &RuntimeHost,
    runs: &[RunOptions],
) -> Result<(Vec<(String, RunOutcome)>, Exit)> {
    for options in runs {
        session.or_interrupted(host.run_spec(options)).await?;
    }
    let (mut outcomes, mut worst) = (Vec::new(), Exit::Done);
    for options in runs {
        let (name, outcome) = play(session, host, options, None).await?;
        worst = worst.max(outcome.status.into());
        outcomes.push((name, outcome));
        if worst == Exit::Interrupted {
            break;
        }
    }
    Ok((outcomes, worst))
}

/// The tables of planners: results, and what the environment measured besides.
pub(crate) fn results(planners: &[PlannerStats]) -> String {
    let head = [
        "planner",
        "episodes",
        "score",
        "95 %",
        "success",
        "95 %",
        "calls/decision",
        "tokens/decision",
        "ms/decision",
    ];
    let rows: Vec<_> = planners
        .iter()
        .map(|planner| {
            let (score, success) = (planner.score, planner.success);
            [
                planner.name.clone(),
                planner.episodes.to_string(),
                format!("{:.3}", score.mean),
                format!("{:.3}-{:.3}", score.low, score.high),
                format!("{:.1} %", 100.0 * success.rate),
                format!("{:.1}-{:.1} %", 100.0 * success.low, 100.0 * success.high),
                format!("{:.2}", planner.calls_per_decision),
                format!("{:.0}", planner.tokens_per_decision),
                format!("{:.1}", planner.ms_per_decision),
            ]
        })
        .collect();
    let mut text = table(head, &rows);
    let named = |of: fn(&PlannerStats) -> &BTreeMap<String, Mean>| -> Vec<_> {
        let each = planners.iter().flat_map(|planner| of(planner).iter().map(move |one| (planner, one)));
        each.map(|(planner, (name, Mean { mean, low, high }))| {
            [planner.name.clone(), name.clone(), format!("{mean:.3}"), format!("{low:.3}-{high:.3}")]
        })
        .collect()
    };
    for (what, rows) in
        [("metric", named(|planner| &planner.metrics)), ("at the table", named(|planner| &planner.scores))]
    {
        if !rows.is_empty() {
            text += &format!("\n{}", table(["planner", what, "mean", "95 %"], &rows));
        }
    }
    text
}
