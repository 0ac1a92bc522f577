//! Means and rates with 95 % intervals: a comparison without an interval says nothing.

use std::collections::{BTreeMap, HashMap};

use forethought_api::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::run::summary::{EpisodeStatus, EpisodeSummary};

/// A mean and its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Lower end; the mean itself where there are fewer than two values.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A rate and its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The rate.
    pub rate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// One planner's results, as `--json` prints them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannerStats {
    /// The planner's name.
    pub name: String,
    /// Episodes that are done; everything else is based on them.
    pub episodes: u64,
    /// Sum of rewards per episode.
    pub score: Mean,
    /// Solved episodes. An environment without a notion of success has none.
    pub success: Rate,
    /// What else the environment measured, each over the episodes that have it: see [`share_or_mean`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, Mean>,
    /// Where there are several seats: score of each planner at the table, over the seats that it took.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, Mean>,
    /// Calls of language models per decision.
    pub calls_per_decision: f64,
    /// Tokens per decision.
    pub tokens_per_decision: f64,
    /// Milliseconds per decision.
    pub ms_per_decision: f64,
    /// Milliseconds on the critical path of a decision; `None` if no run measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_ms_per_decision: Option<f64>,
    /// Calls on the critical path of a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_calls_per_decision: Option<f64>,
    /// Answers that could not be read, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Faults>,
}

/// Answers that could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// All decisions of the planner.
    pub decisions: u64,
    /// Sums of [`Trace::faults`](forethought_api::planner::Trace::faults); `unread` counts decisions that went on
    /// without an answer.
    pub counts: BTreeMap<String, u64>,
    /// The same for the other seats.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, u64>,
}

impl Faults {
    fn of(episodes: &[&EpisodeSummary]) -> Option<Self> {
        let mut faults = Self::default();
        for episode in episodes {
            faults.decisions += u64::from(episode.decisions);
            for (sums, counts) in
                [(&mut faults.counts, &episode.faults), (&mut faults.others, &episode.other_faults)]
            {
                for (key, count) in counts {
                    *sums.entry(key.clone()).or_default() += u64::from(*count);
                }
            }
        }
        Some(faults).filter(|faults| !faults.counts.is_empty() || !faults.others.is_empty())
    }

    /// Decisions that went on without an answer.
    pub fn unread(&self) -> u64 {
        self.counts.get("unread").copied().unwrap_or_default()
    }
}

/// All planners' results, as `--json` prints them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// One entry per planner.
    pub planners: Vec<PlannerStats>,
}

/// The results of the planner called `name`. Episodes that failed or were cut short by a budget are left out.
pub fn planner_stats(name: impl Into<String>, episodes: &[EpisodeSummary]) -> PlannerStats {
    let done: Vec<_> = episodes.iter().filter(|episode| episode.status == EpisodeStatus::Done).collect();
    let scores: Vec<f64> = done.iter().map(|episode| episode.score).collect();
    let solved = done.iter().filter(|episode| episode.success == Some(true)).count();
    let decisions: f64 = done.iter().map(|episode| f64::from(episode.decisions)).sum();
    let per_decision = |sum: f64| if decisions > 0.0 { sum / decisions } else { 0.0 };
    // Episodes whose decisions were all recorded ones carry no time.
    let timed = |of: fn(&EpisodeSummary) -> Option<f64>| {
        let each = done.iter().filter_map(|episode| Some((f64::from(episode.decisions), of(episode)?)));
        let (count, sum) = each.fold((0.0, 0.0), |(count, sum), (n, one)| (count + n, sum + n * one));
        (count > 0.0).then(|| sum / count)
    };
    PlannerStats {
        name: name.into(),
        episodes: done.len() as u64,
        score: mean(&scores),
        success: rate(solved as u64, done.len() as u64),
        metrics: by_name(
            done.iter().flat_map(|episode| &episode.metrics).map(|(name, value)| (name, *value)),
        )
        .map(|(name, values)| (name.clone(), share_or_mean(&values)))
        .collect(),
        scores: by_name(done.iter().flat_map(|episode| table_scores(episode)))
            .map(|(name, values)| (name.to_string(), mean(&values)))
            .collect(),
        calls_per_decision: per_decision(done.iter().map(|episode| episode.llm_calls as f64).sum()),
        tokens_per_decision: per_decision(done.iter().map(|episode| episode.tokens as f64).sum()),
        ms_per_decision: timed(|episode| episode.ms_per_decision).unwrap_or_default(),
        critical_ms_per_decision: timed(|episode| episode.critical_ms_per_decision),
        critical_calls_per_decision: timed(|episode| episode.critical_calls_per_decision),
        faults: Faults::of(&done),
    }
}

fn by_name<K: Ord>(values: impl Iterator<Item = (K, f64)>) -> impl Iterator<Item = (K, Vec<f64>)> {
    let mut all = BTreeMap::<K, Vec<f64>>::new();
    values.for_each(|(name, value)| all.entry(name).or_default().push(value));
    all.into_iter()
}

/// One number per planner, its mean score over the seats that it took: seats of one episode are not independent.
fn table_scores(episode: &EpisodeSummary) -> BTreeMap<&str, f64> {
    let seats = episode.seats.iter().map(String::as_str).zip(episode.scores.iter().copied());
    by_name(seats.filter(|_| episode.scores.len() > 1)).map(|(name, all)| (name, mean(&all).mean)).collect()
}

/// Mean and 95 % interval: Wilson's where all values are 0 or 1, else Student's.
pub fn share_or_mean(values: &[f64]) -> Mean {
    if values.is_empty() || values.iter().any(|value| ![0.0, 1.0].contains(value)) {
        return mean(values);
    }
    let ones = values.iter().filter(|value| **value == 1.0).count();
    let Rate { rate, low, high } = rate(ones as u64, values.len() as u64);
    Mean { mean: rate, low, high }
}

/// Mean and Student's t interval.
pub fn mean(values: &[f64]) -> Mean {
    let n = values.len() as f64;
    if values.is_empty() {
        return Mean::default();
    }
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return Mean { mean, low: mean, high: mean };
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = student_97_5(values.len() - 1) * (variance / n).sqrt();
    Mean { mean, low: mean - half, high: mean + half }
}

/// Rate and Wilson's score interval, which stays within [0, 1] and is honest near its ends.
pub fn rate(successes: u64, trials: u64) -> Rate {
    if trials == 0 {
        return Rate { rate: 0.0, low: 0.0, high: 1.0 };
    }
    let (n, rate) = (trials as f64, successes as f64 / trials as f64);
    let square = NORMAL_97_5 * NORMAL_97_5;
    let centre = (rate + square / (2.0 * n)) / (1.0 + square / n);
    let half = NORMAL_97_5 / (1.0 + square / n) * (rate * (1.0 - rate) / n + square / (4.0 * n * n)).sqrt();
    Rate { rate, low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// How much better planner `a` is than planner `b` on the episodes (task, seed) that both have done: means of the
/// paired differences, whose intervals do not include the spread between tasks.
///
/// # Errors
/// If they have no episode in common.
pub fn paired_difference(a: &[EpisodeSummary], b: &[EpisodeSummary]) -> Result<PairedDifference> {
    let (scores, successes) = pairs(a, b);
    PairedDifference::of(&scores, &successes)
        .ok_or_else(|| Error::input("the two have no finished episode (task and seed) in common"))
}

impl PairedDifference {
    /// The means of paired differences; `None` without any.
    pub(crate) fn of(scores: &[f64], successes: &[f64]) -> Option<Self> {
        let means = || Self { episodes: scores.len() as u64, score: mean(scores), success: mean(successes) };
        (!scores.is_empty()).then(means)
    }
}

/// The differences of scores and of successes on the episodes that both have done.
pub(crate) fn pairs(a: &[EpisodeSummary], b: &[EpisodeSummary]) -> (Vec<f64>, Vec<f64>) {
    let done = |episode: &&EpisodeSummary| episode.status == EpisodeStatus::Done;
    let theirs: HashMap<_, _> =
        b.iter().filter(done).map(|episode| ((episode.task, episode.seed), episode)).collect();
    let solved = |episode: &EpisodeSummary| f64::from(u8::from(episode.success == Some(true)));
    let both = |mine: &EpisodeSummary| {
        let other = theirs.get(&(mine.task, mine.seed))?;
        Some((mine.score - other.score, solved(mine) - solved(other)))
    };
    a.iter().filter(done).filter_map(both).unzip()
}

/// A difference between two planners on the same episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// Episodes in common.
    pub episodes: u64,
    /// Difference of scores.
    pub score: Mean,
    /// Difference of success rates.
    pub success: Mean,
}

const NORMAL_97_5: f64 = 1.959_963_984_540_054;

/// The 97.5 % point of Student's t: a table where there are few degrees of freedom, and from there on the
/// Cornish-Fisher expansion about the normal distribution, good to four digits.
fn student_97_5(freedom: usize) -> f64 {
    const FEW: [f64; 9] =
        [12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004, 2.262_157];
    if let Some(value) = freedom.checked_sub(1).and_then(|index| FEW.get(index)) {
        return *value;
    }
    let (z, v) = (NORMAL_97_5, freedom as f64);
    z + (z.powi(3) + z) / (4.0 * v)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * v.powi(2))
        + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / (384.0 * v.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::summary::CallCount;

    fn check(value: f64, expected: f64) {
        assert!((value - expected).abs() < 5e-4, "{value} should be {expected}");
    }

    fn episode(task: u64, score: f64, success: bool) -> EpisodeSummary {
        EpisodeSummary {
            episode: format!("{task}"),
            task,
            seed: 7,
            status: EpisodeStatus::Done,
            error: None,
            score,
            scores: vec![score],
            seats: vec!["pnlc".into()],
            metrics: BTreeMap::new(),
            success: Some(success),
            steps: 4,
            decisions: 4,
            llm_calls: 8,
            tokens: 400,
            calls: BTreeMap::new(),
            other_calls: CallCount::default(),
            faults: BTreeMap::new(),
            other_faults: BTreeMap::new(),
            value_queries: 0,
            ms_per_decision: (task > 0).then_some(10.0),
            critical_ms_per_decision: None,
            critical_calls_per_decision: None,
        }
    }

    #[test]
    fn student_quantiles_are_those_of_the_tables() {
        for (freedom, expected) in
            [(1, 12.7062), (9, 2.2622), (10, 2.2281), (29, 2.0452), (99, 1.9842), (999, 1.9623)]
        {
            check(student_97_5(freedom), expected);
        }
    }

    #[test]
    fn a_mean_has_the_t_interval() {
        // 1..=10: mean 5.5, standard deviation 3.02765, t(9) = 2.262157.
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        let Mean { mean, low, high } = mean(&values);
        check(mean, 5.5);
        check(low, 3.3341);
        check(high, 7.6659);
        assert_eq!(super::mean(&[2.0]), Mean { mean: 2.0, low: 2.0, high: 2.0 });
    }

    #[test]
    fn a_rate_has_the_wilson_interval() {
        let Rate { rate, low, high } = super::rate(48, 100);
        check(rate, 0.48);
        check(low, 0.3846);
        check(high, 0.5768);
        let none = super::rate(0, 10);
        assert_eq!(none.low, 0.0);
        check(none.high, 0.2775);
        assert_eq!(super::rate(0, 0), Rate { rate: 0.0, low: 0.0, high: 1.0 });
    }

    #[test]
    fn pairing_removes_the_spread_between_tasks() {
        let hard_and_easy = |gain: f64| -> Vec<_> {
            (0..20)
                .map(|task| episode(task, task as f64 + gain + if task % 2 == 0 { 0.1 } else { -0.1 }, false))
                .collect()
        };
        let (a, b) =
            (hard_and_easy(0.5), (0..20).map(|task| episode(task, task as f64, false)).collect::<Vec<_>>());
        let difference = paired_difference(&a, &b).expect("the same tasks");
        assert_eq!(difference.episodes, 20);
        check(difference.score.mean, 0.5);
        check(difference.score.high - difference.score.mean, 0.0480);
        assert_eq!(difference.success.mean, 0.0);
        let solved: Vec<_> = (0..20).map(|task| episode(task, 0.0, task < 5)).collect();
        check(paired_difference(&solved, &b).expect("the same tasks").success.mean, 0.25);
        assert!(paired_difference(&a, &[]).is_err());
    }

    #[test]
    fn a_planner_is_summed_up_over_what_is_done() {
        let mut episodes = vec![episode(0, 0.0, false), episode(1, 1.0, true), episode(2, 5.0, true)];
        episodes[2].status = EpisodeStatus::Failed;
        let stats = planner_stats("pnlc", &episodes);
        assert_eq!((stats.episodes, stats.score.mean, stats.success.rate), (2, 0.5, 0.5));
        assert_eq!((stats.calls_per_decision, stats.tokens_per_decision), (2.0, 100.0));
        assert_eq!(stats.ms_per_decision, 10.0);
        let json = serde_json::to_value(Report { planners: vec![stats] }).expect("JSON");
        let keys: Vec<_> = json["planners"][0].as_object().expect("an object").keys().cloned().collect();
        let expected = [
            "name",
            "episodes",
            "score",
            "success",
            "calls_per_decision",
            "tokens_per_decision",
            "ms_per_decision",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn faults_are_summed_up_and_absent_without_any() {
        let mut episodes = vec![episode(0, 0.0, false), episode(1, 0.0, false)];
        assert_eq!(planner_stats("pnlc", &episodes).faults, None);
        for episode in &mut episodes {
            episode.faults = [("unread".into(), 1), ("cut".into(), 2)].into();
        }
        episodes[1].other_faults = [("empty".into(), 3)].into();
        let faults = planner_stats("pnlc", &episodes).faults.expect("faults");
        assert_eq!((faults.decisions, faults.unread(), faults.counts["cut"]), (8, 2, 4));
        assert_eq!(faults.others, [("empty".to_owned(), 3)].into());
    }

    #[test]
    fn metrics_are_shares_or_means_over_the_episodes_that_have_them() {
        let mut episodes: Vec<_> = (0..4).map(|task| episode(task, 0.0, false)).collect();
        for (episode, found) in episodes.iter_mut().zip([1.0, 1.0, 0.0]) {
            episode.metrics = [("found".into(), found), ("distance".into(), 3.0 * found)].into();
        }
        let metrics = planner_stats("pnlc", &episodes).metrics;
        let wilson = super::rate(2, 3);
        assert_eq!(metrics["found"], Mean { mean: wilson.rate, low: wilson.low, high: wilson.high });
        assert_eq!(metrics["distance"], mean(&[3.0, 3.0, 0.0]));
        assert!(planner_stats("pnlc", &episodes[3..]).metrics.is_empty());
    }

    #[test]
    fn every_planner_at_a_table_has_its_score() {
        let mut episodes = vec![episode(0, 1.0, true), episode(1, 0.0, false)];
        for (episode, scores) in episodes.iter_mut().zip([vec![1.0, 0.0, 1.0], vec![0.0, 1.0, 1.0]]) {
            episode.scores = scores;
            episode.seats = ["pnlc", "naive", "naive"].map(String::from).into();
        }
        let scores = planner_stats("pnlc", &episodes).scores;
        assert_eq!(scores["pnlc"], mean(&[1.0, 0.0]));
        assert_eq!(scores["naive"], mean(&[0.5, 1.0]));
        episodes.iter_mut().for_each(|episode| episode.scores.truncate(1));
        assert!(planner_stats("pnlc", &episodes).scores.is_empty(), "one seat has its score already");
    }
}
