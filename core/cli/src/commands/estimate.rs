//! `forethought estimate`.

use std::path::{Path, PathBuf};

use clap::Args;
use forethought_api::{Error, Result};
use forethought_runtime::{
    evaluate::stats::mean,
    run::episode::{EpisodeStatus, EpisodeSummary},
    run::summary::CallCount,
};
use serde::Serialize;

use crate::{
    arguments::{ConfigArguments, Values},
    commands::runs,
    exit::Exit,
    played::Played,
    session::Session,
    tables::list,
};

/// Estimate calls, tokens, money, time and disk space before a run, from earlier runs.
///
/// For each planner, the newest run with finished episodes in [run] out counts. Intervals are 95 % for the sum, and
/// know only the spread between episodes: other tasks, models or prompts are another matter. A planner that has never
/// played: `forethought eval CONFIG --planner NAME --episodes 5` makes a start.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought estimate my.toml --planner react,pnlc --episodes 1000
  forethought estimate my.toml --episodes 100000 --price 0.25,2 --concurrency 64
  forethought estimate my.toml --from runs/webshop--pnlc --json")]
pub(crate) struct Estimate {
    #[command(flatten)]
    config: ConfigArguments,
    /// Planners, separated by commas; by default all that have played.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    planner: Vec<String>,
    /// Episodes to estimate for; by default those of [run].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    episodes: Option<u64>,
    /// Episodes in flight at once; by default those of [run].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    concurrency: Option<u64>,
    /// US dollars per million tokens of requests and of answers, for another model than the one that played.
    #[arg(long, value_name = "INPUT,OUTPUT", value_parser = price)]
    price: Option<(f64, f64)>,
    /// Runs to learn from, instead of those in [run] out. May be repeated.
    #[arg(long, value_name = "RUN")]
    from: Vec<PathBuf>,
}

fn price(said: &str) -> Result<(f64, f64), String> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    said.split_once(',')
        .and_then(|(input, output)| Some((number(input)?, number(output)?)))
        .ok_or_else(|| format!("`{said}` must be two numbers from 0, such as 0.25,2"))
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document {
    episodes: u64,
    concurrency: u64,
    planners: Vec<Row>,
}

/// What one planner will use.
#[derive(Debug, Serialize)]
struct Row {
    planner: String,
    /// The run that this is learned from, and its finished episodes.
    run: PathBuf,
    known: u64,
    calls: Sum,
    input_tokens: Sum,
    output_tokens: Sum,
    /// Missing if the run's models have no price, and none is given.
    usd: Option<Sum>,
    /// If every decision takes as long as in that run.
    hours: Option<f64>,
    /// Journal, logs and summaries.
    gigabytes: f64,
    /// Episodes until the limits of [run] end it, if they do.
    ends_after: Option<u64>,
}

/// A sum over all episodes, and what it is with a probability of 95 %; from one episode alone no interval is known.
#[derive(Debug, Clone, Copy, Serialize)]
struct Sum {
    expected: f64,
    low: Option<f64>,
    high: Option<f64>,
}

impl Sum {
    /// For `episodes` like those of `known`. The mean of these is uncertain, and so are the episodes themselves.
    fn of(known: &[f64], episodes: u64) -> Self {
        let (n, all, mean) = (known.len() as f64, episodes as f64, mean(known));
        let expected = all * mean.mean;
        if known.len() < 2 {
            return Self { expected, low: None, high: None };
        }
        // The half-width of the mean is t s / sqrt(n), that of the sum t s sqrt(N + N^2 / n).
        let half = (mean.high - mean.mean) * (n * (all + all * all / n)).sqrt();
        Self { expected, low: Some((expected - half).max(0.0)), high: Some(expected + half) }
    }

    fn words(self, digits: usize) -> String {
        let Self { expected, low, high } = self;
        let number = |number: f64| counted(number, digits);
        match low.zip(high) {
            Some((low, high)) => format!("{} ({} to {})", number(expected), number(low), number(high)),
            None => number(expected),
        }
    }
}

/// A number that is easy to read: thousands as k, and so on.
fn counted(number: f64, digits: usize) -> String {
    match number {
        n if n >= 1e9 => format!("{:.2} G", n / 1e9),
        n if n >= 1e6 => format!("{:.2} M", n / 1e6),
        n if n >= 1e5 => format!("{:.0} k", n / 1e3),
        n => format!("{n:.digits$}"),
    }
}

impl Estimate {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let host = session.host(&self.config, Values::new()).await?;
        let config = host.config();
        let run = &config.run;
        let episodes = self.episodes.unwrap_or(run.episodes * run.repeats);
        let concurrency = self.concurrency.unwrap_or(run.concurrency as u64);
        let mut found = Vec::new();
        let mut roots = self.from.clone();
        if roots.is_empty() {
            roots.push(run.out.0.clone());
        }
        for root in roots {
            runs::find(&root, 4, &mut |folder| match Played::read(folder) {
                Ok(played) if !finished(&played).is_empty() => found.push(played),
                Ok(_) => (),
                Err(error) => session.reporter.say(format!("{}: {error}", folder.display())),
            });
        }
        // The newest run of each planner.
        found.sort_by(|a, b| (&a.info.planner, &b.info.started).cmp(&(&b.info.planner, &a.info.started)));
        found.dedup_by(|a, b| a.info.planner == b.info.planner);
        let wanted = |name: &String| self.planner.is_empty() || self.planner.contains(name);
        found.retain(|played| wanted(&played.info.planner));
        let missing =
            self.planner.iter().find(|name| found.iter().all(|played| played.info.planner != **name));
        if let Some(name) = missing {
            return Err(unknown(&format!("`{name}` has no finished episodes"), Some(name), &run.out.0));
        }
        if found.is_empty() {
            return Err(unknown("no planner has finished episodes", None, &run.out.0));
        }
        let limits = run.limits();
        let rows = found.iter().map(|played| self.row(played, episodes, concurrency));
        let mut rows: Vec<Row> = rows.collect();
        for row in &mut rows {
            let share = |limit: Option<f64>, sum: Sum| {
                limit.filter(|limit| *limit < sum.expected).map(|limit| limit / sum.expected)
            };
            let tokens =
                Sum { expected: row.input_tokens.expected + row.output_tokens.expected, ..row.calls };
            let shares = [
                share(limits.max_calls.map(|limit| limit as f64), row.calls),
                share(limits.max_tokens.map(|limit| limit as f64), tokens),
                row.usd.and_then(|usd| share(limits.max_usd, usd)),
                row.hours.and_then(|hours| {
                    share(limits.max_wall_s, Sum { expected: hours * 3600.0, ..row.calls })
                }),
            ];
            let least = shares.into_iter().flatten().reduce(f64::min);
            row.ends_after = least.map(|share| (share * episodes as f64) as u64);
        }
        let document = Document { episodes, concurrency, planners: rows };
        session.show(&document, || document.words())?;
        Ok(Exit::Done)
    }

    fn row(&self, played: &Played, episodes: u64, concurrency: u64) -> Row {
        let known = finished(played);
        let sum = |figure: &dyn Fn(&CallCount) -> f64| {
            let figures: Vec<_> = known.iter().map(|one| figure(&all_calls(one))).collect();
            Sum::of(&figures, episodes)
        };
        let money = match self.price {
            Some((input, output)) => Some(sum(&|calls| {
                (calls.input_tokens as f64 * input + calls.output_tokens as f64 * output) / 1e6
            })),
            // A run knows what it cost as a whole; its episodes differ as their tokens do.
            None => played.info.usd.filter(|usd| *usd > 0.0).map(|usd| {
                let used = played.episodes.iter().map(|one| all_calls(one).tokens() as f64).sum::<f64>();
                sum(&|calls| calls.tokens() as f64 * usd / used.max(1.0))
            }),
        };
        let seconds: Vec<_> = known
            .iter()
            .filter_map(|one| Some(one.ms_per_decision? * f64::from(one.decisions) / 1000.0))
            .collect();
        let hours = (!seconds.is_empty())
            .then(|| mean(&seconds).mean * episodes as f64 / concurrency.min(episodes) as f64 / 3600.0);
        let bytes = size(&played.folder, 3) as f64 / played.episodes.len().max(1) as f64;
        Row {
            planner: played.info.planner.clone(),
            run: played.folder.clone(),
            known: known.len() as u64,
            calls: sum(&|calls| calls.calls as f64),
            input_tokens: sum(&|calls| calls.input_tokens as f64),
            output_tokens: sum(&|calls| calls.output_tokens as f64),
            usd: money,
            hours,
            gigabytes: bytes * episodes as f64 / 1e9,
            ends_after: None,
        }
    }
}

fn finished(played: &Played) -> Vec<&EpisodeSummary> {
    played.episodes.iter().filter(|one| one.status == EpisodeStatus::Done).collect()
}

/// Calls of all seats, and of what is collected.
fn all_calls(episode: &EpisodeSummary) -> CallCount {
    let mut all = episode.other_calls;
    episode.calls.values().for_each(|count| all += *count);
    all
}

/// Bytes of the files in a folder.
fn size(folder: &Path, levels: u32) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() && levels > 0 => size(&entry.path(), levels - 1),
        Ok(data) if data.is_file() => data.len(),
        _ => 0,
    });
    sizes.sum()
}

fn unknown(what: &str, planner: Option<&str>, out: &Path) -> Error {
    let planner = planner.map_or(String::new(), |name| format!(" --planner {name}"));
    Error::not_found(format!(
        "{what} in {}; `forethought eval CONFIG{planner} --episodes 5` makes a start, or name a run with --from",
        out.display()
    ))
}

impl Document {
    fn words(&self) -> String {
        let rows: Vec<_> = self.planners.iter().map(Row::cells).collect();
        let head = ["planner", "calls", "input tokens", "output tokens", "US dollars", "time", "GB"];
        let mut text =
            format!("{} episodes, {} at once\n\n{}\n", self.episodes, self.concurrency, list(head, &rows));
        for Row { planner, known, run, ends_after, .. } in &self.planners {
            text += &format!("{planner}: from {known} episodes in {}", run.display());
            if let Some(after) = ends_after {
                text += &format!("; the limits of [run] end it after some {after} episodes");
            }
            text += "\n";
        }
        text
    }
}

impl Row {
    fn cells(&self) -> [String; 7] {
        [
            self.planner.clone(),
            self.calls.words(0),
            self.input_tokens.words(0),
            self.output_tokens.words(0),
            self.usd.map_or_else(|| "no price".into(), |usd| usd.words(2)),
            self.hours.map_or_else(String::new, duration),
            format!("{:.2}", self.gigabytes),
        ]
    }
}

fn duration(hours: f64) -> String {
    match hours * 3600.0 {
        s if s >= 48.0 * 3600.0 => format!("{:.1} days", hours / 24.0),
        s if s >= 3600.0 => format!("{hours:.1} h"),
        s if s >= 60.0 => format!("{:.0} min", s / 60.0),
        s => format!("{s:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_sum_covers_it_as_often_as_it_says() {
        let mut drawn = 0u64;
        let mut draw = |count: usize| -> Vec<f64> {
            let uniform = |_| {
                drawn += 1;
                forethought_api::seed::derive(drawn, "estimate") as f64 / u64::MAX as f64
            };
            // Skewed, as lengths of episodes are.
            (0..count).map(uniform).map(|share| -share.max(0.001).ln() * 10.0).collect()
        };
        let covered = (0..2000).filter(|_| {
            let known = draw(30);
            let sum: f64 = draw(60).iter().sum();
            let Sum { low, high, .. } = Sum::of(&known, 60);
            low.unwrap() <= sum && sum <= high.unwrap()
        });
        let covered = covered.count() as f64 / 2000.0;
        assert!((0.91..=0.97).contains(&covered), "{covered}");
    }

    #[test]
    fn one_episode_gives_no_interval() {
        let sum = Sum::of(&[4.0], 10);
        assert_eq!((sum.expected, sum.low, sum.words(0)), (40.0, None, "40".into()));
        assert_eq!(Sum::of(&[4.0, 4.0], 250_000).words(0), "1.00 M (1.00 M to 1.00 M)");
    }

    #[test]
    fn a_price_has_two_numbers() {
        assert_eq!(price("0.25, 2"), Ok((0.25, 2.0)));
        for said in ["1", "1,x", "-1,2", "inf,1"] {
            assert!(price(said).is_err(), "{said}");
        }
    }
}
