//! What the logs of a run add up to: which imagined outcomes came true, and why episodes failed. Logs are read one after
//! the other; none is kept.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use forethought_api::Result;
use forethought_runtime::evaluate::stats::rate;
use forethought_runtime::run::events::{self, Event};
use forethought_runtime::run::{
    episode::{EpisodeStatus, EpisodeSummary},
    folder::events_path,
};
use serde::Serialize;
use serde_json::Value;

use crate::played::Played;
use crate::story::{came_true, reached};
use crate::svg::Bin;
use crate::text::cut;

/// Bins of reliability diagrams.
const BINS: usize = 10;
/// Examples of a cause.
const EXAMPLES: usize = 3;
/// How often in a row an action is repeated before that counts as going in circles.
const CIRCLE: usize = 3;

/// What a run's logs add up to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Outcomes that the critic weighed.
    pub(crate) outcomes: u64,
    /// Those whose sentence some episode of this run reached, by whether this one did later: only of these it is known.
    pub(crate) reached: Vec<Bin>,
    /// Decisions by the mean probability of what they hoped for, and whether the episode succeeded.
    pub(crate) hopes: Vec<Bin>,
    /// Why episodes failed, the most frequent first.
    pub(crate) causes: Vec<Cause>,
    /// Episodes whose logs could not be read.
    pub(crate) unreadable: Vec<String>,
}

/// A reason for which episodes failed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cause {
    pub(crate) cause: String,
    pub(crate) count: usize,
    pub(crate) examples: Vec<Example>,
}

/// An episode that failed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Example {
    pub(crate) episode: String,
    pub(crate) task: u64,
    pub(crate) score: f64,
    pub(crate) error: String,
    /// The last thoughts and actions of the seat.
    pub(crate) last: Vec<(String, String)>,
}

impl Tally {
    /// Reads the logs of a run.
    pub(crate) fn of(run: &Played) -> Self {
        let mut tally = Self::default();
        let (mut weighed, mut vocabulary) = (Vec::new(), HashSet::new());
        let mut hopes = Vec::new();
        let mut causes: BTreeMap<String, Cause> = BTreeMap::new();
        for episode in &run.episodes {
            let log = match log(run, episode) {
                Ok(log) => log,
                Err(error) => {
                    tally.unreadable.push(error.to_string());
                    Vec::new()
                }
            };
            let subject = episode.seats.iter().position(|seat| *seat == run.info.planner).unwrap_or(0);
            let reached = reached(&log);
            vocabulary.extend(reached.iter().map(|(.., sentence)| hash(sentence)));
            for event in &log {
                let Event::Decision { step, seat, trace, .. } = event else { continue };
                for outcome in
                    trace.rounds.iter().flat_map(|round| &round.outcomes).filter(|one| !one.outside)
                {
                    tally.outcomes += 1;
                    let sentence = outcome.known_as.as_deref().unwrap_or(&outcome.text).trim();
                    let truth = came_true(outcome, *step, *seat, &reached).is_some();
                    weighed.push((outcome.probability, hash(sentence), truth));
                }
                let last = trace.rounds.iter().rfind(|round| !round.outcomes.is_empty());
                if let (Some(success), Some(round), true) = (episode.success, last, *seat == subject) {
                    let good: Vec<f64> = round
                        .outcomes
                        .iter()
                        .filter(|one| one.good && !one.outside)
                        .map(|one| one.probability)
                        .collect();
                    if !good.is_empty() {
                        hopes.push((good.iter().sum::<f64>() / good.len() as f64, success));
                    }
                }
            }
            if let Some(why) = cause(episode, &log, subject) {
                let cause =
                    causes.entry(why.clone()).or_insert(Cause { cause: why, count: 0, examples: Vec::new() });
                cause.count += 1;
                if cause.examples.len() < EXAMPLES {
                    cause.examples.push(example(episode, &log, subject));
                }
            }
        }
        let checkable = weighed.into_iter().filter(|(_, sentence, _)| vocabulary.contains(sentence));
        tally.reached = bins(checkable.map(|(said, _, truth)| (said, truth)));
        tally.hopes = bins(hopes.into_iter());
        tally.causes = causes.into_values().collect();
        tally.causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
        tally
    }
}

fn log(run: &Played, episode: &EpisodeSummary) -> Result<Vec<Event>> {
    let path = events_path(&run.folder, &episode.episode);
    // One that was cut short before its first step has no log.
    if episode.status != EpisodeStatus::Done && !path.is_file() {
        Ok(Vec::new())
    } else {
        events::read(&path)
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Reliability in bins of equal width; empty ones are left out.
pub(crate) fn bins(said: impl Iterator<Item = (f64, bool)>) -> Vec<Bin> {
    let mut sums = [(0.0, 0_u64, 0_u64); BINS];
    for (probability, truth) in said.filter(|(probability, _)| probability.is_finite()) {
        let bin = ((probability * BINS as f64) as usize).min(BINS - 1);
        let (sum, count, true_ones) = &mut sums[bin];
        *sum += probability;
        *count += 1;
        *true_ones += u64::from(truth);
    }
    let bin = |(sum, count, true_ones): (f64, u64, u64)| {
        let share = rate(true_ones, count);
        Bin { said: sum / count as f64, share: [share.low, share.rate, share.high], count }
    };
    sums.into_iter().filter(|(_, count, _)| *count > 0).map(bin).collect()
}

/// Why an episode failed; `None` if it did not.
fn cause(episode: &EpisodeSummary, log: &[Event], subject: usize) -> Option<String> {
    match episode.status {
        EpisodeStatus::Done if episode.success == Some(false) => {}
        EpisodeStatus::Done => return None,
        EpisodeStatus::Budget => return Some("a budget was reached".into()),
        EpisodeStatus::Interrupted => return Some("interrupted".into()),
        EpisodeStatus::Failed => {
            let error = episode.error.as_deref().unwrap_or("no error was recorded");
            return Some(format!("error: {}", pattern(error)));
        }
    }
    let last = log.iter().rev().find_map(|event| match event {
        Event::Transition { truncated, info, .. } => Some((*truncated, info)),
        _ => None,
    });
    let mut why = match last {
        Some((true, _)) => "cut off by the limit of steps".to_owned(),
        Some((false, info)) => {
            let word = |info: &Value| {
                let words = info.as_object()?.iter().filter_map(|(key, value)| Some((key, value.as_str()?)));
                words
                    .min()
                    .filter(|(_, word)| word.len() < 60)
                    .map(|(key, word)| format!("{key}: {}", cut(word, 60).0))
            };
            word(info).unwrap_or_else(|| match episode.score > 0.0 {
                true => "ended with a part of the reward".into(),
                false => "ended without a reward".into(),
            })
        }
        None => "the log does not say".into(),
    };
    let actions: Vec<&str> = decisions(log, subject).map(|(_, action)| action).collect();
    if actions.windows(CIRCLE).any(|some| some.iter().all(|one| *one == some[0])) {
        why += ", repeating an action";
    }
    Some(why)
}

/// An error without its numbers, so that equal causes are equal.
fn pattern(error: &str) -> String {
    let (line, _) = cut(error.lines().next().unwrap_or_default(), 160);
    let mut pattern = String::new();
    for c in line.chars() {
        match c.is_ascii_digit() {
            true if pattern.ends_with('#') => {}
            true => pattern.push('#'),
            false => pattern.push(c),
        }
    }
    pattern
}

fn decisions(log: &[Event], subject: usize) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    log.iter().filter_map(move |event| match event {
        Event::Decision { seat, thought, action, .. } if *seat == subject => {
            Some((thought.as_str(), action.as_str()))
        }
        _ => None,
    })
}

fn example(episode: &EpisodeSummary, log: &[Event], subject: usize) -> Example {
    let short = |(thought, action): (&str, &str)| (cut(thought, 240).0, cut(action, 160).0);
    let mut last: Vec<_> = decisions(log, subject).rev().take(3).map(short).collect();
    last.reverse();
    Example {
        episode: episode.episode.clone(),
        task: episode.task,
        score: episode.score,
        error: episode.error.as_deref().map(|error| cut(error, 400).0).unwrap_or_default(),
        last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_causes_are_equal() {
        assert_eq!(pattern("status 503 after 12 s\nmore"), pattern("status 500 after 3 s"));
        assert_eq!(pattern("status 503"), "error: status #".trim_start_matches("error: "));
    }

    #[test]
    fn bins_count_what_was_said_and_what_was_true() {
        let said = [(0.31, true), (0.39, false), (1.0, true), (f64::NAN, true)];
        let bins = bins(said.into_iter());
        assert_eq!(bins.len(), 2);
        assert!((bins[0].said - 0.35).abs() < 1e-9 && bins[0].share[1] == 0.5 && bins[0].count == 2);
        assert_eq!((bins[1].said, bins[1].count), (1.0, 1));
    }
}
