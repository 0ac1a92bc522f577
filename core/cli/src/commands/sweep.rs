//! `forethought sweep`.

use std::path::{Path, PathBuf};

use clap::Args;
use forethought_api::{Error, Result, error::Context, seed};
use forethought_runtime::evaluate::stats::{PlannerStats, planner_stats};
use serde::Serialize;

use crate::{
    arguments::{ConfigArguments, RunArguments, set},
    comparison::{Comparison, Side},
    exit::Exit,
    launch::{Job, dry_run, eval, options},
    session::Session,
    tables::{cost, results},
    written::writable,
};

/// Run one planner with every combination of some settings and compare them.
///
/// Each point of the grid is a run like those of `eval`, on the same tasks and seeds; the same command continues what
/// was interrupted. The table, a CSV file and a plot (SVG) are written next to the runs, in `sweeps`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought sweep my.toml planner.pnlc.rounds=0,1,2,4 planner.pnlc.outcomes=2,4,8 --episodes 50
  forethought sweep quickstart planner.react.temperature=0.2,0.7,1.0 --dry-run")]
pub(crate) struct Sweep {
    #[command(flatten)]
    arguments: RunArguments,
    /// A key of the configuration and its values, separated by commas.
    #[arg(value_name = "KEY=VALUES")]
    grid: Vec<String>,
    /// The planner of the first seat; by default the one whose keys are varied, or else the one in [seats].
    #[arg(long, value_name = "NAME")]
    planner: Option<String>,
    /// The CSV file and, with the ending .svg, the plot; by default in `sweeps` next to the runs.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// Points of a grid at most: more is a mistake.
const MOST: usize = 1000;

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    /// The settings of each planner below, in the same order.
    points: Vec<Vec<(String, String)>>,
    planners: Vec<PlannerStats>,
    #[serde(flatten)]
    comparison: Comparison,
    runs: Vec<PathBuf>,
    csv: PathBuf,
    svg: PathBuf,
}

/// A key and the values that it takes.
type Varied = (String, Vec<String>);

impl Sweep {
    pub(crate) async fn execute(mut self, session: &Session) -> Result<Exit> {
        // The configuration may be left out.
        if let Some(first) = self.arguments.config.config.take_if(|first| first.contains('=')) {
            self.grid.insert(0, first);
        }
        let grid = self.grid.iter().map(|one| varied(one)).collect::<Result<Vec<_>>>()?;
        let points = points(&grid)?;
        let planner = self.planner.clone().or_else(|| swept(&grid));
        let mut jobs = Vec::new();
        for point in &points {
            let label = label(point);
            let mut arguments = ConfigArguments { ..self.arguments.config.clone() };
            arguments.set.extend(point.iter().map(|(key, value)| format!("{key}={value}")));
            let mut values = self.arguments.values();
            if self.arguments.name.is_none() {
                values.push(set(["run", "name"], label.as_str()));
            }
            let host = session.host(&arguments, values).await?;
            jobs.push(Job {
                host,
                options: options(session, &self.arguments, planner.clone()),
                label: Some(label),
            });
        }
        if self.arguments.dry_run {
            return dry_run(session, &jobs).await;
        }
        if let Some(csv) = &self.csv {
            if csv.extension().is_some_and(|ending| ending == "svg") {
                return Err(Error::input(format!(
                    "--csv {}: the plot has this name; end it in .csv",
                    csv.display()
                )));
            }
            writable("--csv", csv)?;
            writable("--csv", &csv.with_extension("svg"))?;
        }
        let (outcomes, exit) = eval(session, &jobs).await?;
        let sides: Vec<_> = outcomes
            .iter()
            .zip(&points)
            .map(|((_, outcome), point)| Side::ended(planner_stats(label(point), &outcome.episodes), outcome))
            .collect();
        let comparison = Comparison::of(&sides);
        let csv = match self.csv {
            Some(file) => file,
            None => {
                let out = jobs[0].host.config().run.out.to_path_buf();
                let name = self.arguments.name.unwrap_or_else(|| {
                    let name = &outcomes[0].0;
                    format!("{name}-{:08x}", seed::derive(0, &self.grid.join(" ")) as u32)
                });
                out.join("sweeps").join(format!("{name}.csv"))
            }
        };
        let svg = csv.with_extension("svg");
        if let Some(folder) = csv.parent() {
            std::fs::create_dir_all(folder).context(format!("{} could not be made", folder.display()))?;
        }
        let runs: Vec<_> = outcomes.iter().map(|(_, outcome)| outcome.folder.clone()).collect();
        write(&csv, &lines(&points, &comparison.lines(&sides), &runs))?;
        comparison.plot(&sides, &svg)?;
        let planners = sides.iter().map(|side| side.stats.clone()).collect();
        let usd = outcomes.iter().map(|(_, outcome)| outcome.usd).sum();
        let points = points.into_iter().take(sides.len()).collect();
        let document = Document { points, planners, comparison, runs, csv, svg };
        session.show(&document, || {
            let tables = format!("{}\n{}", results(&document.planners), document.comparison.words(&sides));
            format!("{tables}\n{}{}\n{}\n", cost(usd), document.csv.display(), document.svg.display())
        })?;
        Ok(exit)
    }
}

/// Reads `key=value,value`. Commas within brackets, braces and quotes are part of a value.
fn varied(said: &str) -> Result<Varied> {
    let bad = |why: &str| Error::input(format!("`{said}`: {why}, such as planner.pnlc.rounds=0,1,2"));
    let (key, list) = said.split_once('=').ok_or_else(|| bad("must be KEY=VALUE,VALUE"))?;
    let (mut values, mut depth, mut quote) = (vec![String::new()], 0_i32, None);
    for c in list.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth -= 1,
            (',', None) if depth == 0 => {
                values.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = values.last_mut() {
            last.push(c);
        }
    }
    let values: Vec<_> = values.iter().map(|value| value.trim().to_owned()).collect();
    if key.trim().is_empty() || values.iter().any(String::is_empty) {
        return Err(bad("a key and its values, none of them empty"));
    }
    if let Some(twice) = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value)) {
        return Err(bad(&format!("the value {} is there twice; name each once", twice.1)));
    }
    Ok((key.trim().to_owned(), values))
}

/// Every combination; the last key varies fastest.
fn points(grid: &[Varied]) -> Result<Vec<Vec<(String, String)>>> {
    if grid.is_empty() {
        return Err(Error::input("nothing to vary; add keys and values, such as planner.pnlc.rounds=0,1,2"));
    }
    if let Some((key, _)) = grid
        .iter()
        .enumerate()
        .find_map(|(at, one)| grid[..at].iter().any(|other| other.0 == one.0).then_some(one))
    {
        return Err(Error::input(format!("`{key}` is there twice; give all its values at once")));
    }
    let size = grid.iter().fold(1_usize, |size, (_, values)| size.saturating_mul(values.len()));
    if size > MOST {
        return Err(Error::input(format!("{size} combinations are more than {MOST}; sweep fewer at once")));
    }
    let mut points = vec![Vec::new()];
    for (key, values) in grid {
        let longer = |point: &Vec<(String, String)>| {
            let with = |value: &String| [point.clone(), vec![(key.clone(), value.clone())]].concat();
            values.iter().map(with).collect::<Vec<_>>()
        };
        points = points.iter().flat_map(longer).collect();
    }
    Ok(points)
}

/// The planner whose settings are varied, if it is one.
fn swept(grid: &[Varied]) -> Option<String> {
    let name = |(key, _): &Varied| Some(key.strip_prefix("planner.")?.split_once('.')?.0.to_owned());
    let mut names = grid.iter().filter_map(name);
    let first = names.next()?;
    (!first.starts_with(['"', '\'']) && names.all(|name| name == first)).then_some(first)
}

/// A point in few words: the last parts of its keys.
fn label(point: &[(String, String)]) -> String {
    let short =
        |(key, value): &(String, String)| format!("{}={value}", key.rsplit('.').next().unwrap_or_default());
    point.iter().map(short).collect::<Vec<_>>().join(" ")
}

/// The CSV file: a line for each point.
fn lines(
    points: &[Vec<(String, String)>],
    figures: &(Vec<&'static str>, Vec<Vec<String>>),
    runs: &[PathBuf],
) -> String {
    let keys = points[0].iter().map(|(key, _)| key.clone());
    let head: Vec<_> =
        keys.chain(figures.0.iter().map(|name| (*name).into())).chain(["run".into()]).collect();
    let mut rows = vec![head];
    for ((point, figures), run) in points.iter().zip(&figures.1).zip(runs) {
        let values = point.iter().map(|(_, value)| value.clone());
        rows.push(values.chain(figures.iter().cloned()).chain([run.display().to_string()]).collect());
    }
    let field = |text: &String| match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.clone(),
    };
    rows.iter().map(|row| row.iter().map(field).collect::<Vec<_>>().join(",") + "\n").collect()
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).context(format!("{} could not be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_every_combination() {
        let grid = ["planner.pnlc.rounds=0, 1", "planner.pnlc.x={a=1,b=[2,3]},\"c,d\""]
            .map(|one| varied(one).unwrap());
        let points = points(&grid).unwrap();
        let labels: Vec<_> = points.iter().map(|point| label(point)).collect();
        assert_eq!(
            labels,
            [
                "rounds=0 x={a=1,b=[2,3]}",
                "rounds=0 x=\"c,d\"",
                "rounds=1 x={a=1,b=[2,3]}",
                "rounds=1 x=\"c,d\""
            ]
        );
        assert_eq!(swept(&grid).as_deref(), Some("pnlc"));
        let others = ["planner.a.n=1", "planner.b.n=2"].map(|one| varied(one).unwrap());
        assert_eq!(swept(&others), None);
        let csv = lines(&points[..1], &(vec!["score"], vec![vec!["0.5".into()]]), &["r".into()]);
        assert_eq!(csv, "planner.pnlc.rounds,planner.pnlc.x,score,run\n0,\"{a=1,b=[2,3]}\",0.5,r\n");
    }

    #[test]
    fn a_grid_that_makes_no_sense_is_refused() {
        for (said, why) in [("rounds", "KEY=VALUE"), ("a=1,,2", "none of them empty"), ("a=1,1", "twice")] {
            let error = varied(said).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("such as planner.pnlc.rounds=0,1,2"), "{error}");
        }
        let one = varied("a=1").unwrap();
        assert!(points(&[one.clone(), one]).unwrap_err().to_string().contains("`a` is there twice"));
        let hundred: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        let wide = [("a".to_owned(), hundred.clone()), ("b".to_owned(), hundred)];
        assert!(points(&wide).unwrap_err().to_string().contains("10000 combinations"));
        assert!(points(&[]).is_err());
    }
}
