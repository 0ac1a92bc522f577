//! A report of one run, or of several side by side: one page without scripts and without anything from elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use forethought_api::Result;
use forethought_runtime::evaluate::{
    contrast::{Contrast, contrasts, pareto},
    stats::{PlannerStats, paired_difference},
};
use forethought_runtime::journal::reading;
use forethought_runtime::run::{episode::EpisodeStatus, folder::journal_path};
use serde::Serialize;
use serde_json::Value;

use crate::pages::{BASE, grouped, render};
use crate::played::Played;
use crate::svg::{Bars, Curves, Plot, Point, reliability};
use crate::tally::{Cause, Tally};
use crate::text::cut;

/// What the template shows.
#[derive(Serialize)]
struct Page {
    title: String,
    style: &'static str,
    version: &'static str,
    several: bool,
    runs: Vec<Run>,
    differences: Vec<Difference>,
    success: Option<String>,
    cost: Option<String>,
    sweep: Option<String>,
    grid: Option<String>,
}

#[derive(Serialize)]
struct Run {
    name: String,
    environment: String,
    planner: String,
    folder: String,
    program: String,
    status: String,
    started: String,
    finished: String,
    seed: String,
    planned: u64,
    failed: usize,
    hash: String,
    stats: PlannerStats,
    /// Whether success is known of any episode.
    judged: bool,
    usd: Option<f64>,
    purposes: Vec<[String; 4]>,
    roles: Vec<[String; 4]>,
    /// Kind, count, and count per 100 decisions.
    faults: Vec<(String, u64, f64)>,
    others: Vec<(String, u64)>,
    causes: Vec<Cause>,
    unreadable: Vec<String>,
    outcomes: u64,
    plots: Vec<Figure>,
    config: Vec<Setting>,
    reproduce: Vec<String>,
}

#[derive(Serialize)]
struct Figure {
    svg: String,
    caption: String,
}

#[derive(Serialize)]
struct Setting {
    key: String,
    value: String,
    origin: String,
}

#[derive(Serialize)]
struct Difference {
    name: String,
    to: String,
    episodes: u64,
    score: [f64; 3],
    p_score: String,
    success: [f64; 3],
    p_success: String,
}

/// The report as a page. Of several runs, the others are compared with the first.
///
/// # Errors
/// Runs that have no episode in common with the first, or a page that cannot be made.
pub fn html(runs: &[Played]) -> Result<String> {
    for other in runs.iter().skip(1) {
        paired_difference(&other.episodes, &runs[0].episodes)?;
    }
    let names = names(runs);
    let parts: Vec<_> = runs.iter().zip(&names).map(|(run, name)| Run::of(run, name)).collect();
    let named: Vec<_> =
        names.iter().zip(runs).map(|(name, run)| (name.clone(), run.episodes.as_slice())).collect();
    let several = runs.len() > 1;
    let title = match &*parts {
        [only] => format!("{} in {}", only.planner, only.environment),
        all => {
            let planners: Vec<_> = all.iter().map(|one| one.name.as_str()).collect();
            format!("{} in {}", planners.join(", "), all.first().map_or("", |one| &one.environment))
        }
    };
    let judged = parts.iter().any(|one| one.judged);
    let rates = parts.iter().map(|one| {
        let rate = one.stats.success;
        (one.name.clone(), [rate.low, rate.rate, rate.high])
    });
    let page = Page {
        title,
        style: BASE,
        version: env!("CARGO_PKG_VERSION"),
        several,
        success: judged
            .then(|| Bars { title: "Episodes solved, with 95 % intervals", bars: rates.collect() }.svg()),
        cost: several.then(|| cost(&parts)),
        sweep: sweep(&parts),
        grid: grid(runs, &names),
        differences: if several {
            contrasts(&named).into_iter().map(difference).collect()
        } else {
            Vec::new()
        },
        runs: parts,
    };
    render("report.html", &page)
}

/// The planners' names; several runs of one planner are told apart by their order.
pub fn names(runs: &[Played]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let planner = &run.info.planner;
        let same = runs[..index].iter().filter(|other| other.info.planner == *planner).count();
        names.push(if same > 0 { format!("{planner}#{}", same + 1) } else { planner.clone() });
    }
    names
}

fn difference(one: Contrast) -> Difference {
    let p = |p: f64| if p < 0.0005 { "<0.001".to_owned() } else { format!("{p:.3}") };
    let (score, success) = (one.difference.score, one.difference.success);
    Difference {
        name: one.name,
        to: one.to,
        episodes: one.difference.episodes,
        score: [score.mean, score.low, score.high],
        p_score: p(one.p_score.holm),
        success: [success.mean, success.low, success.high].map(|share| 100.0 * share),
        p_success: p(one.p_success.holm),
    }
}

fn cost(runs: &[Run]) -> String {
    let stats: Vec<_> = runs.iter().map(|run| run.stats.clone()).collect();
    let point = |(run, front): (&Run, bool)| Point {
        label: run.name.clone(),
        x: run.stats.tokens_per_decision,
        y: run.stats.score.mean,
        low: run.stats.score.low,
        high: run.stats.score.high,
        front,
    };
    Plot {
        title: "Score and tokens per decision (the line is the Pareto front)",
        x: "tokens per decision",
        y: "score",
        points: runs
            .iter()
            .zip(pareto(&stats))
            .filter(|(run, _)| run.stats.episodes > 0)
            .map(point)
            .collect(),
    }
    .svg()
}

/// The score by the one number in which runs of the same planner differ, if there are three or more.
fn sweep(runs: &[Run]) -> Option<String> {
    let [first, _, _, ..] = runs else { return None };
    if runs.iter().any(|run| run.planner != first.planner) {
        return None;
    }
    let value =
        |run: &Run, key: &str| run.config.iter().find(|one| one.key == key).map(|one| one.value.clone());
    let differ = |key: &str| runs.iter().any(|run| value(run, key) != value(first, key));
    let mut keys: Vec<&str> = runs.iter().flat_map(|run| &run.config).map(|one| one.key.as_str()).collect();
    keys.retain(|key| *key != "run.name" && differ(key));
    keys.sort_unstable();
    keys.dedup();
    let &[key] = keys.as_slice() else { return None };
    let point = |run: &Run| {
        let text = value(run, key)?;
        let score = run.stats.score;
        let x = text.parse::<f64>().ok().filter(|x| x.is_finite())?;
        Some(Point { label: text, x, y: score.mean, low: score.low, high: score.high, front: true })
    };
    let points = runs.iter().map(point).collect::<Option<Vec<_>>>()?;
    let title = format!("Score by {}", cut(key, 60).0);
    Some(Plot { title: &title, x: key, y: "score", points }.svg())
}

/// Every episode as a cell: rows are planners, columns are tasks in order.
fn grid(runs: &[Played], names: &[String]) -> Option<String> {
    use std::fmt::Write as _;
    let mut columns: Vec<_> =
        runs.iter().flat_map(|run| &run.episodes).map(|one| (one.task, one.seed)).collect();
    columns.sort_unstable();
    columns.dedup();
    if columns.is_empty() || columns.len() > 4000 {
        return None;
    }
    let (cell, label, per_row) = (9.0, 130.0, 68);
    let height_of = |run: &Played| cell * run.episodes.len().div_ceil(per_row).max(1) as f64 + 8.0;
    let height: f64 = runs.iter().map(height_of).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" class=\"plot grid\" role=\"img\" aria-label=\"Every episode in the order of tasks\">\n"
    );
    let mut top = 0.0;
    for (run, name) in runs.iter().zip(names) {
        let (short, _) = cut(name, 18);
        let escaped = short.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{escaped}</text>",
            label - 10.0,
            top + 9.0
        );
        // One path for each kind of cell keeps the page small.
        let mut paths = BTreeMap::<&str, String>::new();
        for (index, one) in run.episodes.iter().enumerate() {
            let (x, y) = (label + cell * (index % per_row) as f64, top + cell * (index / per_row) as f64);
            let kind = match (one.status, one.success) {
                (EpisodeStatus::Done, Some(true)) => "yes",
                (EpisodeStatus::Done, Some(false)) => "no",
                (EpisodeStatus::Done, None) => "done",
                _ => "failed",
            };
            let path = paths.entry(kind).or_default();
            let _ = match kind {
                "failed" => write!(path, "M{x} {y}l6 6m0 -6l-6 6"),
                _ => write!(path, "M{x} {y}h6v6h-6z"),
            };
        }
        for (kind, path) in paths {
            let _ = writeln!(svg, "<path class=\"{kind}\" d=\"{path}\"/>");
        }
        top += height_of(run);
    }
    Some(svg + "</svg>\n")
}

impl Run {
    fn of(run: &Played, name: &str) -> Self {
        let stats = run.stats();
        let stats = PlannerStats { name: name.to_owned(), ..stats };
        let tally = Tally::of(run);
        let config = settings(&run.folder);
        let seed = config.iter().find(|one| one.key == "seed").map_or(String::new(), |one| one.value.clone());
        let info = &run.info;
        let failed = run.episodes.iter().filter(|one| one.status != EpisodeStatus::Done);
        let faults = stats.faults.clone().unwrap_or_default();
        let per_100 = |count: u64| 100.0 * count as f64 / faults.decisions.max(1) as f64;
        let folder = run.folder.display().to_string();
        Self {
            name: name.to_owned(),
            environment: info.environment.clone(),
            planner: info.planner.clone(),
            program: info.program.clone(),
            status: format!("{:?}", info.status).to_lowercase(),
            started: info.started.clone(),
            finished: info.finished.clone().unwrap_or_default(),
            seed,
            planned: info.episodes,
            failed: failed.count(),
            hash: info.config_hash.clone(),
            judged: run.episodes.iter().any(|one| one.success.is_some()),
            usd: info.usd,
            purposes: purposes(run),
            roles: roles(&run.folder),
            faults: faults
                .counts
                .iter()
                .map(|(kind, count)| (kind.clone(), *count, per_100(*count)))
                .collect(),
            others: faults.others.into_iter().collect(),
            outcomes: tally.outcomes,
            plots: plots(&tally, &info.planner, &config),
            causes: tally.causes,
            unreadable: tally.unreadable,
            config,
            reproduce: reproduce(run, &folder),
            folder,
            stats,
        }
    }
}

/// The commands that play the run again, and one of its episodes from the journal.
fn reproduce(run: &Played, folder: &str) -> Vec<String> {
    let config = quoted(&format!("{folder}/config.resolved.toml"));
    let mut commands =
        vec![format!("forethought run {config} --planner {} --fresh", quoted(&run.info.planner))];
    if let Some(first) = run.episodes.iter().find(|one| one.status == EpisodeStatus::Done) {
        let id: String = first.episode.chars().take(12).collect();
        commands.push(format!("forethought replay {} {}", quoted(folder), quoted(&id)));
    }
    commands
}

/// A word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn purposes(run: &Played) -> Vec<[String; 4]> {
    let mut sums = BTreeMap::new();
    for (purpose, count) in run.episodes.iter().flat_map(|episode| &episode.calls) {
        let sum: &mut forethought_runtime::run::summary::CallCount = sums.entry(*purpose).or_default();
        *sum += *count;
    }
    let mut rows: Vec<_> =
        sums.into_iter().map(|(purpose, sum)| (format!("{purpose:?}").to_lowercase(), sum)).collect();
    let mut others = forethought_runtime::run::summary::CallCount::default();
    run.episodes.iter().for_each(|one| others += one.other_calls);
    if others.calls > 0 {
        rows.push(("other seats and collecting".into(), others));
    }
    let row = |(purpose, sum): (String, forethought_runtime::run::summary::CallCount)| {
        [purpose, grouped(sum.calls), grouped(sum.input_tokens), grouped(sum.output_tokens)]
    };
    rows.into_iter().map(row).collect()
}

/// Calls, tokens and dollars of each role, from the journal.
fn roles(folder: &Path) -> Vec<[String; 4]> {
    let spent = reading::spent(&journal_path(folder)).unwrap_or_default();
    let row = |(role, spent): (String, forethought_runtime::budget::Spent)| {
        let usd =
            if spent.nano_usd > 0 { format!("{:.4}", spent.nano_usd as f64 / 1e9) } else { String::new() };
        [role, grouped(spent.calls), grouped(spent.tokens), usd]
    };
    spent.into_iter().filter(|(_, spent)| spent.calls > 0).map(row).collect()
}

fn plots(tally: &Tally, planner: &str, config: &[Setting]) -> Vec<Figure> {
    let mut plots = Vec::new();
    if !tally.reached.is_empty() {
        let count: u64 = tally.reached.iter().map(|bin| bin.count).sum();
        plots.push(Figure {
            svg: reliability(
                "Imagined outcomes by what came true",
                ["probability that the critic gave", "share that came true later"],
                &tally.reached,
            ),
            caption: format!(
                "{} of {} outcomes that the critic weighed: those whose sentence some episode of this run reached in \
                 the same words, because only of these it is known whether they came true. The same in other words \
                 does not count, so shares are too low rather than too high.",
                grouped(count),
                grouped(tally.outcomes)
            ),
        });
    }
    if !tally.hopes.is_empty() {
        plots.push(Figure {
            svg: reliability(
                "Hopes and success",
                [
                    "mean probability of the outcomes hoped for",
                    "share of decisions in episodes that succeeded",
                ],
                &tally.hopes,
            ),
            caption:
                "Each decision by what the critic said of the outcomes that its last thought hoped for. The \
                      diagonal is where hoping meant succeeding."
                    .into(),
        });
    }
    // What `train` and `quickstart` keep next to a critic; of critics that the planner names.
    let planner = format!("planner.{planner}.");
    for one in config {
        let name = one.key.strip_prefix("critic.").and_then(|key| key.strip_suffix(".model"));
        let Some(name) = name else { continue };
        let named =
            |other: &&Setting| other.key.starts_with(&planner) && other.value.trim_matches('"') == name;
        if !config.iter().any(|other| named(&other)) {
            continue;
        }
        let model = one.value.trim_matches('"');
        let report = std::fs::read(Path::new(model).with_extension("report.json")).ok();
        let report = report.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let history =
            report.as_ref().and_then(|report| report.pointer("/details/history")?.as_array().cloned());
        let Some(history) = history.filter(|history| history.len() > 1) else { continue };
        let curve = |key: &str| -> Vec<(f64, f64)> {
            history.iter().filter_map(|line| Some((line["step"].as_f64()?, line[key].as_f64()?))).collect()
        };
        let curves = [("validation Brier", "brier"), ("loss", "loss_q")];
        let curves = curves.map(|(label, key)| (label.to_owned(), curve(key)));
        let title = format!("Learning of the critic `{}`", cut(name, 40).0);
        plots.push(Figure {
            svg: Curves { title: &title, x: "step", y: "", curves: curves.into(), y_range: None, low: false }
                .svg(),
            caption: "Recorded when it was trained. Lower is better for both.".into(),
        });
    }
    plots
}

/// The settings of a run's configuration, with where each comes from if that was recorded.
fn settings(folder: &Path) -> Vec<Setting> {
    let (path, mut settings) = (folder.join("config.resolved.toml"), Vec::new());
    // In somebody else's run, a link could make a page of a file of yours.
    if path.is_symlink() {
        return settings;
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let Ok(document) = text.parse::<toml_edit::DocumentMut>() else { return settings };
    leaves(document.as_table(), "", &mut settings);
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    settings
}

fn leaves(table: &dyn toml_edit::TableLike, path: &str, settings: &mut Vec<Setting>) {
    for (key, item) in table.iter() {
        let key = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if let (Some(below), false) = (item.as_table_like(), item.is_inline_table()) {
            leaves(below, &key, settings);
        } else if let Some(value) = item.as_value() {
            let suffix = value.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default();
            let mut plain = value.clone();
            plain.decor_mut().clear();
            settings.push(Setting {
                key: cut(&key, 200).0,
                value: cut(&plain.to_string(), 400).0,
                origin: cut(suffix.trim().trim_start_matches('#').trim(), 200).0,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_the_origins_that_were_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let text = "seed = 7 # --set seed=7\n[run]\nout = \"a # b\"\nper = { calls = 3 }\n";
        std::fs::write(folder.path().join("config.resolved.toml"), text).unwrap();
        let found: Vec<_> = settings(folder.path())
            .into_iter()
            .map(|one| [one.key, one.value, one.origin].join("|"))
            .collect();
        assert_eq!(found, ["run.out|\"a # b\"|", "run.per|{ calls = 3 }|", "seed|7|--set seed=7"]);
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(["runs/a--b", "it's", ""].map(quoted), ["runs/a--b", r"'it'\''s'", "''"]);
    }
}
