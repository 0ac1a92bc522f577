//! Evaluating a critic: the measures of `forethought critic eval`.
//!
//! On trajectories that the critic has not seen, each step is asked about outcomes drawn from all outcomes in the
//! data. The critic's answers are compared with those of two predictors that any critic must beat: the base rate, and a
//! logistic regression on the same embeddings. Intervals come from a bootstrap over trajectories, since the steps of
//! one trajectory are not independent.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::Path;

use forethought_api::checkpoint::{self, Manifest, TrainedOn};
use forethought_api::critic::{Critic, CriticQuery};
use forethought_api::encoder::{Matrix, TextEncoder};
use forethought_api::metrics::{self, ReliabilityBin, Scored};
use forethought_api::text::unmarked;
use forethought_api::trajectory::Trajectory;
use forethought_api::{Error, Result, error::Context};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluate::{draw::Draw, logistic::Logistic};

/// Outcomes asked about at each step.
const OUTCOMES_PER_STEP: usize = 8;
/// Resamples of the bootstrap.
const RESAMPLES: usize = 1000;
/// Bins of reliability tables and of the calibration error.
const BINS: usize = 10;

/// Which episodes a checkpoint has seen, from its `config.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Seen {
    /// Learned from.
    pub train: Vec<String>,
    /// Used to choose the step and to fit the calibration.
    pub validation: Vec<String>,
    /// The tasks of both, where the checkpoint says so.
    pub tasks: Option<TrainedOn>,
}

impl Seen {
    /// What the checkpoint in `folder` says about its training.
    ///
    /// # Errors
    /// If `config.json` cannot be read or does not list the episodes of its split.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(checkpoint::CONFIG);
        let text = std::fs::read_to_string(&path).context(format!("cannot read {}", path.display()))?;
        let config: serde_json::Value =
            serde_json::from_str(unmarked(&text)).context(format!("{} is not JSON", path.display()))?;
        let Manifest { split, trained_on, .. } = Manifest::of(&config).context(path.display().to_string())?;
        Ok(Self { train: split.train, validation: split.validation, tasks: trained_on })
    }

    /// How many of the `trajectories` that it has not seen are of tasks that it has, and how many it has not seen.
    pub fn known(&self, trajectories: &[Trajectory]) -> (usize, usize) {
        let seen: HashSet<&String> = self.train.iter().chain(&self.validation).collect();
        let unseen: Vec<_> = trajectories.iter().filter(|one| !seen.contains(&one.episode)).collect();
        let known = |one: &&&Trajectory| {
            let tasks = self.tasks.as_ref().and_then(|trained| trained.tasks.get(&one.environment));
            tasks.is_some_and(|tasks| tasks.contains(&one.task))
        };
        (unseen.iter().filter(known).count(), unseen.len())
    }
}

/// The results of an evaluation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CriticReport {
    /// Trajectories in the data.
    pub trajectories: usize,
    /// Left out because the critic learned from them.
    pub left_out_train: usize,
    /// Left out because they chose its weights or fitted its calibration.
    pub left_out_validation: usize,
    /// Trajectories evaluated on.
    pub evaluated: usize,
    /// (state, thought, outcome) triples asked about.
    pub triples: usize,
    /// Share of triples whose outcome was reached.
    pub base_rate: f64,
    /// The critic and those it must beat.
    pub predictors: Vec<PredictorReport>,
    /// The critic's reliability table.
    pub reliability: Vec<ReliabilityBin>,
}

/// One predictor's measures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PredictorReport {
    /// `critic`, `base rate` or `logistic regression`.
    pub name: String,
    /// Area under the ROC curve; absent where every outcome was reached, or none.
    pub auc: Option<Interval>,
    /// Brier score.
    pub brier: Interval,
    /// Expected calibration error over ten bins.
    pub ece: Interval,
}

/// A figure with its 95 % bootstrap interval over trajectories.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Interval {
    /// The figure.
    pub value: f64,
    /// Its 2.5th percentile.
    pub low: f64,
    /// Its 97.5th percentile.
    pub high: f64,
}

/// One question with its true answer.
struct Triple {
    /// Index among the trajectories it was drawn from.
    trajectory: usize,
    query: CriticQuery,
    reached: bool,
}

/// Evaluates `critic` on those of `trajectories` that it has not `seen`.
///
/// # Errors
/// If no unseen trajectory, or no trajectory to fit the regression on, is left; or if critic or encoder fail.
pub async fn evaluate(
    trajectories: &[Trajectory],
    seen: &Seen,
    critic: &dyn Critic,
    encoder: &dyn TextEncoder,
    seed: u64,
) -> Result<CriticReport> {
    let train: HashSet<&str> = seen.train.iter().map(String::as_str).collect();
    let validation: HashSet<&str> = seen.validation.iter().map(String::as_str).collect();
    let within = |set: &HashSet<&str>| -> Vec<&Trajectory> {
        trajectories.iter().filter(|one| set.contains(one.episode.as_str())).collect()
    };
    let (learned, tuned) = (within(&train), within(&validation));
    let unseen: Vec<&Trajectory> = trajectories
        .iter()
        .filter(|one| !train.contains(one.episode.as_str()) && !validation.contains(one.episode.as_str()))
        .filter(|one| !one.steps.is_empty())
        .collect();
    if unseen.is_empty() {
        return Err(Error::input(format!(
            "the critic has seen all {} trajectories ({} learned from, {} for validation): evaluate it on others",
            trajectories.len(),
            learned.len(),
            tuned.len()
        )));
    }
    let marginal = marginal(trajectories)?;
    let questions = triples(&unseen, &marginal, &mut Draw::new(seed, "critic eval questions"));

    let queries = questions.iter().map(|one| one.query.clone()).collect();
    let critic: Vec<f64> =
        critic.estimate(queries).await?.into_iter().map(|estimate| estimate.probability).collect();
    if critic.len() != questions.len() {
        return Err(Error::other(format!(
            "the critic gave {} answers to {} queries",
            critic.len(),
            questions.len()
        )));
    }
    // A critic trained elsewhere has seen none of these data; the rivals then learn from the validation part, or from
    // a half of the unseen trajectories that is no longer there: refuse, because that would not be a fair comparison.
    if learned.is_empty() {
        return Err(Error::input(
            "none of the trajectories that the critic learned from is in the data: the base rate and the logistic \
             regression learn from the same ones; add them to --data",
        ));
    }
    let lessons = triples(&learned, &marginal, &mut Draw::new(seed, "critic eval lessons"));
    let base = lessons.iter().filter(|one| one.reached).count() as f64 / lessons.len().max(1) as f64;
    let features = Features::new(encoder, lessons.iter().chain(&questions)).await?;
    let lesson = |index: usize| (features.of(&lessons[index].query), lessons[index].reached);
    let mut order = Draw::new(seed, "critic eval regression");
    let regression = Logistic::fit(features.size(), lessons.len(), lesson, &mut order);
    let logistic: Vec<f64> =
        questions.iter().map(|one| regression.probability(&features.of(&one.query))).collect();

    let mut resamples = Draw::new(seed, "critic eval bootstrap");
    let resamples: Vec<Vec<f64>> = (0..RESAMPLES)
        .map(|_| {
            let mut weights = vec![0.0; unseen.len()];
            (0..unseen.len()).for_each(|_| weights[resamples.below(unseen.len())] += 1.0);
            weights
        })
        .collect();
    let constant = vec![base; questions.len()];
    let predictors = [("critic", &critic), ("base rate", &constant), ("logistic regression", &logistic)]
        .map(|(name, answers)| measure(name, answers, &questions, &resamples));
    let shown = scored(&critic, &questions);
    Ok(CriticReport {
        trajectories: trajectories.len(),
        left_out_train: learned.len(),
        left_out_validation: tuned.len(),
        evaluated: unseen.len(),
        triples: questions.len(),
        base_rate: metrics::base_rate(&shown),
        predictors: predictors.into(),
        reliability: metrics::reliability(&shown, BINS),
    })
}

/// Every occurrence of an outcome sentence in the data; summaries of reached states where there are no sentences.
fn marginal(trajectories: &[Trajectory]) -> Result<Vec<&str>> {
    let steps = || trajectories.iter().flat_map(|one| &one.steps);
    let given = |text: &&str| !text.is_empty();
    let sentences: Vec<&str> =
        steps().flat_map(|step| &step.outcomes).map(String::as_str).filter(given).collect();
    if !sentences.is_empty() {
        return Ok(sentences);
    }
    let summaries: Vec<&str> = steps().map(|step| step.next_state.as_str()).filter(given).collect();
    if summaries.is_empty() {
        return Err(Error::input(
            "no step of the data names an outcome or a next state: there is nothing to evaluate",
        ));
    }
    Ok(summaries)
}

/// Questions about each step: outcomes from the marginal, true if a later state of the same trajectory has exactly this
/// text.
fn triples(trajectories: &[&Trajectory], marginal: &[&str], draw: &mut Draw) -> Vec<Triple> {
    let mut triples = Vec::new();
    for (trajectory, recorded) in trajectories.iter().enumerate() {
        for (index, step) in recorded.steps.iter().enumerate() {
            for _ in 0..OUTCOMES_PER_STEP {
                let outcome = marginal[draw.below(marginal.len())];
                let reached = recorded.steps[index..].iter().any(|later| {
                    later.next_state == outcome || later.outcomes.iter().any(|reached| reached == outcome)
                });
                let query = CriticQuery {
                    state: step.state.clone(),
                    thought: step.thought.clone(),
                    outcome: outcome.to_owned(),
                };
                triples.push(Triple { trajectory, query, reached });
            }
        }
    }
    triples
}

fn scored(answers: &[f64], questions: &[Triple]) -> Vec<Scored> {
    answers.iter().zip(questions).map(|(&answer, one)| Scored::new(answer, one.reached)).collect()
}

fn measure(name: &str, answers: &[f64], questions: &[Triple], resamples: &[Vec<f64>]) -> PredictorReport {
    // Sorted by the answer, so that the resamples need not sort.
    let mut order: Vec<usize> = (0..answers.len()).collect();
    order.sort_by(|&a, &b| answers[a].total_cmp(&answers[b]));
    let mut scored: Vec<Scored> =
        order.iter().map(|&index| Scored::new(answers[index], questions[index].reached)).collect();
    let whole = (metrics::auc(&scored), metrics::brier(&scored), metrics::ece(&scored, BINS));
    let (mut auc, mut brier, mut ece) = (Vec::new(), Vec::new(), Vec::new());
    for weights in resamples {
        for (one, &index) in scored.iter_mut().zip(&order) {
            one.weight = weights[questions[index].trajectory];
        }
        auc.extend(metrics::auc(&scored));
        brier.push(metrics::brier(&scored));
        ece.push(metrics::ece(&scored, BINS));
    }
    PredictorReport {
        name: name.into(),
        auc: whole.0.map(|value| interval(value, auc)),
        brier: interval(whole.1, brier),
        ece: interval(whole.2, ece),
    }
}

/// The percentile interval.
fn interval(value: f64, mut resampled: Vec<f64>) -> Interval {
    resampled.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = resampled.len().saturating_sub(1) as f64;
        resampled.get((share * last).round() as usize).copied().unwrap_or(value)
    };
    Interval { value, low: at(0.025), high: at(0.975) }
}

/// Embeddings of all texts, and what the regression makes of a triple: the three vectors side by side, and the
/// products of outcome with state and with thought, number by number, without which it could not tell which outcome
/// goes with which thought.
struct Features {
    rows: HashMap<String, usize>,
    embeddings: Matrix,
}

impl Features {
    async fn new(encoder: &dyn TextEncoder, triples: impl Iterator<Item = &Triple>) -> Result<Self> {
        let mut texts = BTreeSet::new();
        for Triple { query, .. } in triples {
            texts.extend([&query.state, &query.thought, &query.outcome]);
        }
        let texts: Vec<String> = texts.into_iter().cloned().collect();
        let embeddings = encoder.encode(texts.clone()).await?;
        if embeddings.rows() != texts.len() {
            return Err(Error::other(format!(
                "the encoder gave {} vectors for {} texts",
                embeddings.rows(),
                texts.len()
            )));
        }
        let rows = texts.into_iter().enumerate().map(|(row, text)| (text, row)).collect();
        Ok(Self { rows, embeddings })
    }
    /// Numbers in what the regression reads.
    fn size(&self) -> usize {
        5 * self.embeddings.columns()
    }
    fn of(&self, query: &CriticQuery) -> Vec<f32> {
        let row = |text: &String| self.embeddings.row(self.rows[text]);
        let (state, thought, outcome) = (row(&query.state), row(&query.thought), row(&query.outcome));
        // Entries of unit vectors are of the order of 1 / sqrt(dimension), so are their products after scaling.
        let scale = (self.embeddings.columns() as f32).sqrt();
        let products =
            |other: &[f32]| -> Vec<f32> { other.iter().zip(outcome).map(|(a, b)| scale * a * b).collect() };
        [state, thought, outcome, &products(state), &products(thought)].concat()
    }
}

impl fmt::Display for CriticReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of {} trajectories evaluated; left out: {} that the critic learned from, {} that tuned it.",
            self.evaluated, self.trajectories, self.left_out_train, self.left_out_validation
        )?;
        writeln!(
            f,
            "{} triples, {:.1} % reached. 95 % intervals by trajectory.\n",
            self.triples,
            100.0 * self.base_rate
        )?;
        writeln!(f, "{:<22}{:<22}{:<22}{:<22}", "", "AUC", "Brier", "ECE")?;
        let show = |one: Interval| format!("{:.3} [{:.3}, {:.3}]", one.value, one.low, one.high);
        for one in &self.predictors {
            let auc = one.auc.map_or("undefined".to_owned(), show);
            writeln!(f, "{:<22}{auc:<22}{:<22}{:<22}", one.name, show(one.brier), show(one.ece))?;
        }
        writeln!(f, "\n{:<12}{:>8}{:>14}{:>12}", "stated", "count", "mean stated", "observed")?;
        for bin in self.reliability.iter().filter(|bin| bin.count > 0.0) {
            let range = format!("{:.1}-{:.1}", bin.low, bin.high);
            writeln!(f, "{range:<12}{:>8}{:>14.3}{:>12.3}", bin.count, bin.predicted, bin.observed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use forethought_api::critic::Estimate;
    use forethought_api::encoder::EncoderSpec;
    use forethought_api::trajectory::Step;

    use super::*;

    /// Thought and outcome agree in three of four episodes.
    fn episodes(count: usize) -> Vec<Trajectory> {
        (0..count)
            .map(|episode| {
                let (thought, kept) = (episode % 2, episode / 2 % 4 != 0);
                let outcome = if kept { thought } else { 1 - thought };
                Trajectory {
                    episode: format!("e{episode}"),
                    steps: vec![Step {
                        state: "here".into(),
                        thought: format!("go {}", ["left", "right"][thought]),
                        outcomes: vec![format!("arrived {}", ["left", "right"][outcome])],
                        terminated: true,
                        ..Step::default()
                    }],
                    ..Trajectory::default()
                }
            })
            .collect()
    }

    /// Knows the truth about [`episodes`].
    struct Oracle;

    #[async_trait]
    impl Critic for Oracle {
        async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
            let agree =
                |query: &CriticQuery| query.thought.ends_with("left") == query.outcome.ends_with("left");
            Ok(queries
                .iter()
                .map(|query| Estimate {
                    probability: if agree(query) { 0.75 } else { 0.25 },
                    ..Estimate::default()
                })
                .collect())
        }
    }

    /// A direction for each of the few words that matter.
    struct Words;

    #[async_trait]
    impl TextEncoder for Words {
        async fn spec(&self) -> Result<EncoderSpec> {
            Ok(EncoderSpec { id: "words".into(), dimension: 3, ..EncoderSpec::default() })
        }
        async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
            let direction = |text: &String| match text.rsplit(' ').next() {
                Some("left") => [1.0, 0.0, 0.0],
                Some("right") => [0.0, 1.0, 0.0],
                _ => [0.0, 0.0, 1.0],
            };
            Matrix::new(texts.len(), 3, texts.iter().flat_map(direction).collect())
        }
    }

    fn seen(train: std::ops::Range<usize>, validation: std::ops::Range<usize>) -> Seen {
        let names = |range: std::ops::Range<usize>| range.map(|episode| format!("e{episode}")).collect();
        Seen { train: names(train), validation: names(validation), tasks: None }
    }

    #[tokio::test]
    async fn a_critic_is_measured_on_what_it_has_not_seen() {
        let data = episodes(200);
        let report = evaluate(&data, &seen(0..80, 80..120), &Oracle, &Words, 7).await.unwrap();
        assert_eq!((report.left_out_train, report.left_out_validation, report.evaluated), (80, 40, 80));
        assert_eq!(report.triples, 80 * OUTCOMES_PER_STEP);
        let [critic, base, regression] = &report.predictors[..] else { panic!("{report:?}") };
        let auc = |one: &PredictorReport| one.auc.unwrap();
        assert!((auc(critic).value - 0.75).abs() < 0.05 && critic.ece.value < 0.05, "{critic:?}");
        assert!(auc(critic).low < 0.75 && 0.75 < auc(critic).high, "{critic:?}");
        assert!((auc(base).value - 0.5).abs() < 1e-9 && (base.brier.value - 0.25).abs() < 0.01, "{base:?}");
        // The products of thought and outcome let even a linear model see the agreement.
        assert!(auc(regression).value > 0.7, "{regression:?}");
        assert_eq!(report, evaluate(&data, &seen(0..80, 80..120), &Oracle, &Words, 7).await.unwrap());

        let table = report.to_string();
        assert!(table.starts_with("80 of 200 trajectories evaluated; left out: 80"), "{table}");
        for part in ["logistic regression", "0.2-0.3", "0.7-0.8"] {
            assert!(table.contains(part), "{table}");
        }
    }

    #[tokio::test]
    async fn data_that_are_all_seen_are_refused() {
        let error = evaluate(&episodes(20), &seen(0..10, 10..20), &Oracle, &Words, 7).await.unwrap_err();
        assert!(error.to_string().contains("has seen all 20 trajectories"), "{error}");
        let error = evaluate(&episodes(20), &seen(50..60, 60..70), &Oracle, &Words, 7).await.unwrap_err();
        assert!(
            error.to_string().contains("none of the trajectories that the critic learned from"),
            "{error}"
        );
    }

    #[test]
    fn a_checkpoint_must_say_what_it_has_seen() {
        let folder = tempfile::tempdir().unwrap();
        let error = Seen::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("config.json"), "{error}");
        let write = |text: &str| std::fs::write(folder.path().join("config.json"), text).unwrap();
        write(r#"{ "training": {} }"#);
        let error = Seen::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("config.json: no key `split`"), "{error}");
        let expected = Seen { train: vec!["e1".into()], validation: vec!["e2".into()], tasks: None };
        let split = r#""split": { "train": ["e1"], "validation": ["e2"], "test": ["e3"] }"#;
        for config in [format!("{{ {split} }}"), format!(r#"{{ "training": {{ {split} }} }}"#)] {
            write(&config);
            assert_eq!(Seen::read(folder.path()).unwrap(), expected);
        }
        // With the tasks of the split, those of other episodes are recognised.
        write(&format!(
            r#"{{ {split}, "trained_on": {{ "configuration": "", "tasks": {{ "shop": [1, 2] }} }} }}"#
        ));
        let of = |(episode, environment, task): (&str, &str, u64)| Trajectory {
            episode: episode.into(),
            environment: environment.into(),
            task,
            ..Trajectory::default()
        };
        let data = [("e1", "shop", 1), ("e3", "shop", 2), ("e4", "shop", 3), ("e5", "game", 1)].map(of);
        assert_eq!(Seen::read(folder.path()).unwrap().known(&data), (1, 3));
    }
}
