//! `forethought compare`.

use std::path::PathBuf;

use clap::Args;
use forethought_api::Result;
use forethought_runtime::evaluate::stats::{PlannerStats, paired_difference};
use serde::Serialize;

use crate::{
    comparison::{Comparison, Side},
    exit::Exit,
    played::Played,
    session::Session,
    tables::results,
};

/// Compare runs.
///
/// Prints the results of each planner, its cost and its critical path (the longest chain of calls in a decision of which
/// each waited for the one before it), and the differences to the first run on the episodes that both played. p-values
/// are of sign-flip permutation tests, corrected after Holm. A star marks the Pareto front: no other planner has a score
/// as high for fewer tokens.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought compare runs/webshop--react runs/webshop--pnlc
  forethought compare runs/webshop--* --svg score.svg")]
pub(crate) struct Compare {
    /// Folders of runs, or of a planner's runs (the newest is used).
    #[arg(required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
    /// Also write a plot of score against tokens.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    planners: Vec<PlannerStats>,
    #[serde(flatten)]
    comparison: Comparison,
}

impl Compare {
    pub(crate) fn execute(self, session: &Session) -> Result<Exit> {
        let runs = self.runs.iter().map(|run| Played::read(run)).collect::<Result<Vec<_>>>()?;
        for run in &runs[1..] {
            paired_difference(&run.episodes, &runs[0].episodes)?;
        }
        let mut sides: Vec<_> = runs.into_iter().map(Side::read).collect();
        // Several runs of one planner are told apart by their order.
        for index in (1..sides.len()).rev() {
            let name = &sides[index].stats.name;
            let same = 1 + sides[..index].iter().filter(|other| other.stats.name == *name).count();
            if same > 1 {
                sides[index].stats.name = format!("{name}#{same}");
            }
        }
        let document = Document {
            planners: sides.iter().map(|side| side.stats.clone()).collect(),
            comparison: Comparison::of(&sides),
        };
        if let Some(file) = &self.svg {
            document.comparison.plot(&sides, file)?;
        }
        session.show(&document, || {
            format!("{}\n{}", results(&document.planners), document.comparison.words(&sides))
        })?;
        Ok(Exit::Done)
    }
}
