//! `forethought compare`.

use std::path::PathBuf;

use clap::Args;
use forethought_api::Result;
use forethought_runtime::evaluate::stats::{PairedDifference, PlannerStats, paired_difference};
use serde::Serialize;

use crate::{
    exit::Exit,
    played::Played,
    session::Session,
    tables::{results, table},
};

/// Compare runs.
///
/// Prints the results of each planner, and the differences to the first run on the episodes that both played.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought compare runs/webshop--react runs/webshop--pnlc")]
pub(crate) struct Compare {
    /// Folders of runs, or of a planner's runs (the newest is used).
    #[arg(required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    planners: Vec<PlannerStats>,
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    name: String,
    to: String,
    #[serde(flatten)]
    difference: PairedDifference,
}

impl Compare {
    pub(crate) fn execute(self, session: &Session) -> Result<Exit> {
        let runs = self.runs.iter().map(|run| Played::read(run)).collect::<Result<Vec<_>>>()?;
        let planners = runs.iter().map(Played::stats).collect();
        let mut differences = Vec::new();
        for run in &runs[1..] {
            differences.push(Difference {
                name: run.info.planner.clone(),
                to: runs[0].info.planner.clone(),
                difference: paired_difference(&run.episodes, &runs[0].episodes)?,
            });
        }
        let document = Document { planners, differences };
        session.show(&document, || {
            let rows: Vec<_> = document
                .differences
                .iter()
                .map(|Difference { name, to, difference }| {
                    let (score, success) = (difference.score, difference.success);
                    [
                        format!("{name} - {to}"),
                        difference.episodes.to_string(),
                        format!("{:+.3}", score.mean),
                        format!("{:+.3} to {:+.3}", score.low, score.high),
                        format!("{:+.1} %", 100.0 * success.mean),
                        format!("{:+.1} to {:+.1} %", 100.0 * success.low, 100.0 * success.high),
                    ]
                })
                .collect();
            let differences = table(["difference", "episodes", "score", "95 %", "success", "95 %"], &rows);
            format!("{}\n{differences}", results(&document.planners))
        })?;
        Ok(Exit::Done)
    }
}
