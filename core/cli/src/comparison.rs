//! Planners side by side: what they cost, how they differ on the same episodes, and a plot of both.

use std::path::Path;

use forethought_api::{Result, error::Context};
use forethought_runtime::{
    evaluate::contrast::{Contrast, contrasts, pareto},
    evaluate::stats::PlannerStats,
    run::RunOutcome,
    run::episode::EpisodeSummary,
};
use serde::Serialize;

use crate::{
    played::Played,
    svg::{Plot, Point},
    tables::table,
};

/// The results of one planner.
pub(crate) struct Side {
    /// Its results; the name says what is different here.
    pub(crate) stats: PlannerStats,
    pub(crate) episodes: Vec<EpisodeSummary>,
    /// What its run has cost, where that is known.
    pub(crate) usd: Option<f64>,
}

impl Side {
    /// A run that has just ended.
    pub(crate) fn ended(stats: PlannerStats, outcome: &RunOutcome) -> Self {
        Self { stats, episodes: outcome.episodes.clone(), usd: outcome.usd }
    }

    /// A run that was read back.
    pub(crate) fn read(run: Played) -> Self {
        Self { stats: run.stats(), usd: run.info.usd, episodes: run.episodes }
    }
}

/// What `--json` prints besides the results themselves.
#[derive(Serialize)]
pub(crate) struct Comparison {
    costs: Vec<Cost>,
    differences: Vec<Contrast>,
}

/// What a planner costs.
#[derive(Serialize)]
struct Cost {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd_per_decision: Option<f64>,
    /// Whether it is on the Pareto front of score and tokens.
    pareto: bool,
}

impl Comparison {
    /// Compares all with the first.
    pub(crate) fn of(sides: &[Side]) -> Self {
        let stats: Vec<_> = sides.iter().map(|side| side.stats.clone()).collect();
        let cost = |(side, pareto): (&Side, bool)| {
            let decisions: f64 = side.episodes.iter().map(|episode| f64::from(episode.decisions)).sum();
            Cost {
                name: side.stats.name.clone(),
                usd_per_decision: side.usd.filter(|_| decisions > 0.0).map(|usd| usd / decisions),
                pareto,
            }
        };
        let named: Vec<_> =
            sides.iter().map(|side| (side.stats.name.clone(), side.episodes.as_slice())).collect();
        Self { costs: sides.iter().zip(pareto(&stats)).map(cost).collect(), differences: contrasts(&named) }
    }

    /// Tables of cost and time, and of the differences.
    pub(crate) fn words(&self, sides: &[Side]) -> String {
        let rows: Vec<_> = self.costs.iter().zip(sides).map(|(cost, side)| cost.row(&side.stats)).collect();
        let head = ["planner", "usd/decision", "critical ms", "critical calls", "front"];
        let mut text = table(head, &rows);
        let Some(first) = self.differences.first() else { return text };
        let rows: Vec<_> = self.differences.iter().map(row).collect();
        let to = format!("less {}", first.to);
        let head = [&*to, "episodes", "score", "95 %", "p (Holm)", "success", "95 %", "p (Holm)"];
        text += &format!("\n{}", table(head, &rows));
        text
    }

    /// All figures as text: their names, and a line for each planner.
    pub(crate) fn lines(&self, sides: &[Side]) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let head = [
            "episodes",
            "score",
            "score_low",
            "score_high",
            "success",
            "success_low",
            "success_high",
            "calls_per_decision",
            "tokens_per_decision",
            "ms_per_decision",
            "critical_ms_per_decision",
            "critical_calls_per_decision",
            "usd_per_decision",
            "pareto",
        ];
        let line = |(Cost { usd_per_decision, pareto, .. }, Side { stats, .. }): (&Cost, &Side)| {
            let (score, success) = (stats.score, stats.success);
            let known = [
                score.mean,
                score.low,
                score.high,
                success.rate,
                success.low,
                success.high,
                stats.calls_per_decision,
                stats.tokens_per_decision,
                stats.ms_per_decision,
            ];
            let maybe =
                [stats.critical_ms_per_decision, stats.critical_calls_per_decision, *usd_per_decision];
            let figures = known.map(Some).into_iter().chain(maybe);
            let figures = figures.map(|figure| figure.map_or(String::new(), |figure| figure.to_string()));
            [stats.episodes.to_string()].into_iter().chain(figures).chain([pareto.to_string()]).collect()
        };
        (head.into(), self.costs.iter().zip(sides).map(line).collect())
    }

    /// Writes a plot of score against tokens.
    pub(crate) fn plot(&self, sides: &[Side], file: &Path) -> Result<()> {
        let point = |(cost, side): (&Cost, &Side)| Point {
            label: cost.name.clone(),
            x: side.stats.tokens_per_decision,
            y: side.stats.score.mean,
            low: side.stats.score.low,
            high: side.stats.score.high,
            front: cost.pareto,
        };
        let done = self.costs.iter().zip(sides).filter(|(_, side)| side.stats.episodes > 0);
        let plot = Plot {
            title: "Score and tokens per decision (95 % intervals; the line is the Pareto front)",
            x: "tokens per decision",
            y: "score",
            points: done.map(point).collect(),
        };
        std::fs::write(file, plot.svg()).context(format!("{} could not be written", file.display()))
    }
}

impl Cost {
    fn row(&self, stats: &PlannerStats) -> [String; 5] {
        let or_none = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        [
            self.name.clone(),
            or_none(self.usd_per_decision, 5),
            or_none(stats.critical_ms_per_decision, 1),
            or_none(stats.critical_calls_per_decision, 2),
            if self.pareto { "*".into() } else { String::new() },
        ]
    }
}

fn row(contrast: &Contrast) -> [String; 8] {
    let (score, success) = (contrast.difference.score, contrast.difference.success);
    let p = |p: f64| if p < 0.0005 { "<0.001".to_owned() } else { format!("{p:.3}") };
    [
        contrast.name.clone(),
        contrast.difference.episodes.to_string(),
        format!("{:+.3}", score.mean),
        format!("{:+.3} to {:+.3}", score.low, score.high),
        p(contrast.p_score.holm),
        format!("{:+.1} %", 100.0 * success.mean),
        format!("{:+.1} to {:+.1} %", 100.0 * success.low, 100.0 * success.high),
        p(contrast.p_success.holm),
    ]
}
