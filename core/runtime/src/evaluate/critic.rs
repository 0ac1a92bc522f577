//! Evaluating a critic: the measures of `forethought critic eval`.
//!
//! On trajectories that the critic has not seen, each step is asked about outcomes drawn from all outcomes in the
//! data. An outcome was reached if a later state holds what it means. The critic's answers are compared with those of
//! two predictors that any critic must beat: the base rate, and a logistic regression on the same embeddings; and with
//! those of other critics. What the critic marks as outside its data is counted and not measured. Intervals come from a
//! bootstrap over trajectories, since the steps of one trajectory are not independent. A closer look is in
//! `closer` and `refinement`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use forethought_api::checkpoint::{self, Manifest, TrainedOn};
use forethought_api::critic::{Critic, CriticQuery, Estimate, Vocabulary};
use forethought_api::encoder::TextEncoder;
use forethought_api::metrics::{self, Ranking, ReliabilityBin, Scored, evenly};
use forethought_api::text::unmarked;
use forethought_api::trajectory::{Step, Trajectory};
use forethought_api::{Error, Result, error::Context};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluate::closer::{self, Class, Use};
use crate::evaluate::meaning::{Meanings, answers, query};
pub use crate::evaluate::questions::Interval;
use crate::evaluate::questions::{Embedded, Triple, interval, scored};
use crate::evaluate::refinement::{self, Refinement};
use crate::evaluate::{draw::Draw, logistic::Logistic};

/// Outcomes asked about at each step.
const OUTCOMES_PER_STEP: usize = 8;
/// Resamples of the bootstrap.
const RESAMPLES: usize = 1000;
/// Bins of reliability tables and of the calibration error.
const BINS: usize = 10;
/// Fewer trajectories than this rarely make a critic that helps, and fewer evaluated ones say little about it.
const FEW_LEARNED: usize = 80;
const FEW_EVALUATED: usize = 50;

/// What a checkpoint has seen, and how it reads it, from its `config.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Seen {
    /// Learned from.
    pub train: Vec<String>,
    /// Used to choose the step and to fit the calibration.
    pub validation: Vec<String>,
    /// The tasks of both, where the checkpoint says so.
    pub tasks: Option<TrainedOn>,
    /// Which sentences mean the same to the critic; empty if it does not say so.
    pub vocabulary: Vocabulary,
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
        Ok(Self {
            train: split.train,
            validation: split.validation,
            tasks: trained_on,
            vocabulary: checkpoint::vocabulary(&config).unwrap_or_default(),
        })
    }

    /// The episodes that it must not be asked about.
    pub fn episodes(&self) -> impl Iterator<Item = &str> {
        self.train.iter().chain(&self.validation).map(String::as_str)
    }

    /// A share of the `trajectories` that it has seen, the same ones at every call; less is a part of more.
    pub fn share(&self, trajectories: &[Trajectory], share: f64) -> Vec<Trajectory> {
        let seen: HashSet<&str> = self.episodes().collect();
        let mut all: Vec<(blake3::Hash, &Trajectory)> = trajectories
            .iter()
            .filter(|one| seen.contains(one.episode.as_str()))
            .map(|one| (blake3::hash(one.episode.as_bytes()), one))
            .collect();
        all.sort_by_key(|(hash, _)| *hash.as_bytes());
        let count = (all.len() as f64 * share).round() as usize;
        all.into_iter().take(count).map(|(_, one)| one.clone()).collect()
    }

    /// Adds what another has seen: a critic of several has seen what any of them has.
    pub fn join(&mut self, other: Self) {
        for (own, other) in [(&mut self.train, other.train), (&mut self.validation, other.validation)] {
            let known: HashSet<String> = own.iter().cloned().collect();
            own.extend(other.into_iter().filter(|episode| !known.contains(episode)));
        }
        let train: HashSet<&String> = self.train.iter().collect();
        self.validation.retain(|episode| !train.contains(episode));
        if self.tasks.is_none() {
            self.tasks = other.tasks;
        }
        if self.vocabulary == Vocabulary::default() {
            self.vocabulary = other.vocabulary;
        }
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
    /// How many outcomes the critic tells apart, if outcomes counted as reached by what they mean; else by their words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meanings: Option<usize>,
    /// Share of the triples asked about that the critic marked as outside its data. They are not measured.
    pub outside: f64,
    /// (state, thought, outcome) triples measured on.
    pub triples: usize,
    /// Share of triples whose outcome was reached.
    pub base_rate: f64,
    /// The critic and those it must beat.
    pub predictors: Vec<PredictorReport>,
    /// Mean standard deviation of the critic's values over other thoughts of the data, within a state and outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought_spread: Option<f64>,
    /// By how much knowing the thought lowers the Brier score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought_gain: Option<f64>,
    /// AUC of a thought's value less the mean of the others, against whether the outcome was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advantage_auc: Option<f64>,
    /// By how much the values of two outcomes that exclude each other exceed 1 together, on average over such pairs and
    /// evaluated steps; missing without meanings, or where the data show no such pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contradiction: Option<f64>,
    /// The critic's reliability table.
    pub reliability: Vec<ReliabilityBin>,
    /// Left out because a rival has seen them.
    #[serde(skip_serializing_if = "closer::none")]
    pub left_out_rivals: usize,
    /// The critic's measures by class of outcome.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Class>,
    /// What is left of them without state, thought or outcome.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<Use>,
    /// Why these figures, or the critic, should not be trusted.
    pub warnings: Vec<String>,
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
    /// As in [`CriticReport`], of a critic that was looked at closer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought_spread: Option<f64>,
    /// As in [`CriticReport`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought_gain: Option<f64>,
    /// As in [`CriticReport`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advantage_auc: Option<f64>,
    /// Whether revising thoughts by this critic would have helped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refinement: Option<Refinement>,
}

/// A critic that another is compared with.
#[derive(Clone)]
pub struct Rival {
    /// What it is called in the report.
    pub name: String,
    /// The critic.
    pub critic: Arc<dyn Critic>,
    /// What it was trained on: nobody is asked about it.
    pub seen: Seen,
}

/// What an evaluation looks at besides the critic's own measures.
#[derive(Clone, Default)]
pub struct Look {
    /// Critics that are asked the same.
    pub rivals: Vec<Rival>,
    /// Whether to look at classes of outcomes, at what the critic uses, and at whether it would help.
    pub closer: bool,
    /// The most questions to ask; by default, eight about each step.
    pub most: Option<usize>,
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
    evaluate_closer(trajectories, seen, critic, encoder, seed, &Look::default()).await
}

/// The same next to other critics, and with a closer look.
///
/// # Errors
/// As [`evaluate`]; or if a rival fails.
pub async fn evaluate_closer(
    trajectories: &[Trajectory],
    seen: &Seen,
    critic: &dyn Critic,
    encoder: &dyn TextEncoder,
    seed: u64,
    look: &Look,
) -> Result<CriticReport> {
    // Next to a critic that learned nothing, base rate and regression learn what the others did.
    let rivals = look.rivals.iter().map(|one| &one.seen.train);
    let train = std::iter::once(&seen.train).chain(rivals).find(|train| !train.is_empty());
    let train: HashSet<&str> = train.into_iter().flatten().map(String::as_str).collect();
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
    let by_rivals: HashSet<&str> = look.rivals.iter().flat_map(|one| one.seen.episodes()).collect();
    let by_nobody = |one: &&&Trajectory| !by_rivals.contains(one.episode.as_str());
    let (all, mut unseen) = (unseen.len(), unseen.iter().filter(by_nobody).copied().collect::<Vec<_>>());
    let left_out_rivals = all - unseen.len();
    if unseen.is_empty() && left_out_rivals > 0 {
        return Err(Error::input(format!(
            "all {all} trajectories that the critic has not seen were seen by one of the critics that it is compared with: \
             evaluate on others, or train them with the same seed, so that they set the same ones aside"
        )));
    }
    if let Some(most) = look.most {
        let questions = OUTCOMES_PER_STEP * unseen.iter().map(|one| one.steps.len()).sum::<usize>();
        let kept = (unseen.len() * most).div_ceil(questions.max(1)).min(unseen.len());
        unseen = evenly(&unseen, kept.max(1)).collect();
    }
    if unseen.is_empty() {
        return Err(Error::input(format!(
            "the critic has seen all {} trajectories ({} learned from, {} for validation): evaluate it on others",
            trajectories.len(),
            learned.len(),
            tuned.len()
        )));
    }
    let meanings = Meanings::of(critic, &seen.vocabulary, trajectories).await?;
    let marginal = marginal(trajectories)?;
    let asked = triples(&unseen, &marginal, &meanings, &mut Draw::new(seed, "critic eval questions"));
    let estimates = answers(critic, query_all(&asked)).await?;
    let measured = |index: &usize| asked[*index].reached.is_some() && !estimates[*index].outside;
    let measured: Vec<usize> = (0..asked.len()).filter(measured).collect();
    if measured.is_empty() {
        return Err(Error::input(format!(
            "all {} questions are outside the data that the critic was trained on: collect with the model and the \
             summariser of its data, or train it on data like these",
            asked.len()
        )));
    }
    let outside = estimates.iter().filter(|one| one.outside).count() as f64 / asked.len() as f64;
    let questions: Vec<Triple> = measured.iter().map(|&index| asked[index]).collect();
    let values: Vec<f64> = measured.iter().map(|&index| estimates[index].probability).collect();
    // A critic trained elsewhere has seen none of these data; the rivals then learn from the validation part, or from
    // a half of the unseen trajectories that is no longer there: refuse, because that would not be a fair comparison.
    if learned.is_empty() {
        return Err(Error::input(
            "none of the trajectories that the critic learned from is in the data: the base rate and the logistic \
             regression learn from the same ones; add them to --data",
        ));
    }
    let mut lessons = triples(&learned, &marginal, &meanings, &mut Draw::new(seed, "critic eval lessons"));
    lessons.retain(|one| one.reached.is_some());
    let base = lessons.iter().filter(|one| one.reached()).count() as f64 / lessons.len().max(1) as f64;
    let texts = lessons.iter().chain(&questions).flat_map(|one| [&*one.step.state, one.thought, one.outcome]);
    let features = Embedded::new(encoder, texts).await?;
    let lesson = |index: usize| (features.of(&lessons[index]), lessons[index].reached());
    let mut order = Draw::new(seed, "critic eval regression");
    let regression = Logistic::fit(features.size(), lessons.len(), lesson, &mut order);
    let logistic: Vec<f64> = questions.iter().map(|one| regression.probability(&features.of(one))).collect();

    let mut resamples = Draw::new(seed, "critic eval bootstrap");
    let resamples: Vec<Vec<f64>> = (0..RESAMPLES)
        .map(|_| {
            let mut weights = vec![0.0; unseen.len()];
            (0..unseen.len()).for_each(|_| weights[resamples.below(unseen.len())] += 1.0);
            weights
        })
        .collect();
    let constant = vec![base; questions.len()];
    let mut predictors = [("critic", &values), ("base rate", &constant), ("logistic regression", &logistic)]
        .map(|(name, answers)| measure(name, answers, &questions, &resamples));
    let ranking = rank(&asked, &estimates, &learned, &meanings, critic, encoder).await?;
    let shown = scored(&values, &questions);
    let data = refinement::Data { unseen: &unseen, learned: &learned, meanings: &meanings };
    let world = if look.closer { refinement::World::new(data, encoder).await? } else { None };
    let mut rivals = Vec::new();
    for rival in &look.rivals {
        let asking = || query_all(&asked);
        let judged =
            answers(&*rival.critic, asking()).await.context(format!("the critic {:?}", rival.name))?;
        let values: Vec<f64> = measured.iter().map(|&index| judged[index].probability).collect();
        let mut report = measure(&rival.name, &values, &questions, &resamples).report;
        // A critic that asks a model is not asked tens of thousands of questions more.
        if look.closer && rival.critic.requires().await?.llms.is_empty() {
            let ranking = rank(&asked, &judged, &learned, &meanings, &*rival.critic, encoder).await?;
            report.thought_spread = ranking.spread();
            report.thought_gain = ranking.gain();
            report.advantage_auc = ranking.auc();
            report.refinement = match &world {
                Some(world) => refinement::estimate(world, &*rival.critic, seed).await?,
                None => None,
            };
        }
        rivals.push(report);
    }
    let (mut classes, mut uses) = (Vec::new(), Vec::new());
    if look.closer {
        let outcomes = closer::Outcomes::new(&learned, &meanings);
        classes = closer::classes(&questions, &values, &lessons, &outcomes, &resamples);
        if critic.requires().await?.llms.is_empty() {
            uses = closer::uses(&questions, critic, &mut Draw::new(seed, "critic eval uses")).await?;
            if let Some(world) = &world {
                predictors[0].report.refinement = refinement::estimate(world, critic, seed).await?;
            }
        }
    }
    let mut report = CriticReport {
        trajectories: trajectories.len(),
        left_out_train: learned.len(),
        left_out_validation: tuned.len(),
        evaluated: unseen.len(),
        meanings: meanings.known,
        outside,
        triples: questions.len(),
        base_rate: metrics::base_rate(&shown),
        thought_spread: ranking.spread(),
        thought_gain: ranking.gain(),
        advantage_auc: ranking.auc(),
        contradiction: contradiction(&asked, &learned, &meanings, critic).await?,
        reliability: metrics::reliability(&shown, BINS),
        left_out_rivals,
        classes,
        uses,
        ..CriticReport::default()
    };
    report.warnings = warnings(&report, &predictors, seen, trajectories);
    report.predictors = predictors.map(|one| one.report).into();
    report.predictors.extend(rivals);
    Ok(report)
}

fn query_all(asked: &[Triple]) -> Vec<CriticQuery> {
    asked.iter().map(|one| query(one.step, &one.step.thought, one.said)).collect()
}

/// What a reader of the report should know before trusting it.
fn warnings(
    report: &CriticReport,
    [critic, base, regression]: &[Measured; 3],
    seen: &Seen,
    data: &[Trajectory],
) -> Vec<String> {
    let mut warnings = Vec::new();
    if let (known @ 1.., all) = seen.known(data) {
        warnings.push(format!(
            "{known} of the {all} trajectories that the critic has not seen are of tasks that it was trained on, so the \
             figures say little about new tasks; for those, collect other tasks with --first-task"
        ));
    }
    if seen.train.len() < FEW_LEARNED {
        let few = seen.train.len();
        warnings.push(format!("the critic learned from {few} trajectories: one that helps needs hundreds"));
    }
    if report.evaluated < FEW_EVALUATED {
        warnings
            .push(format!("{} trajectories are few to evaluate on: look at the intervals", report.evaluated));
    }
    let once = said_once(data);
    if report.meanings.is_none() && once > 0.5 {
        warnings.push(format!(
            "{:.0} % of the outcome sentences occur in one episode only, and this critic does not say what they mean: an \
             outcome in other words counts as not reached, so the figures mean little. Group sentences of one meaning \
             with `forethought label`, and train with a vocabulary",
            100.0 * once
        ));
    }
    if report.outside > 0.5 {
        warnings.push(format!(
            "{:.0} % of what was asked is outside the data that the critic was trained on: label these data as well with \
             `forethought label`, and train on them",
            100.0 * report.outside
        ));
    }
    if critic.report.brier.value >= base.report.brier.value {
        warnings.push("on these data the critic is no better than the base rate alone".into());
    }
    warnings.extend(critic.beaten_by(regression));
    warnings.extend(closer::doubts(&report.classes));
    warnings
}

/// The share of outcomes whose words one episode alone has.
fn said_once(data: &[Trajectory]) -> f64 {
    let mut episodes: HashMap<&str, (HashSet<&str>, usize)> = HashMap::new();
    for one in data {
        for said in one.steps.iter().flat_map(Step::said) {
            let (within, count) = episodes.entry(said).or_default();
            within.insert(&one.episode);
            *count += 1;
        }
    }
    let total: usize = episodes.values().map(|(_, count)| count).sum();
    let once = episodes.values().filter(|(within, _)| within.len() == 1).map(|(_, count)| count);
    once.sum::<usize>() as f64 / total.max(1) as f64
}

/// Pairs of canonical outcomes that no trajectory has both of, though by chance some would.
fn exclusive<'a>(trajectories: &[&'a Trajectory], meanings: &'a Meanings) -> Vec<[&'a str; 2]> {
    const BY_CHANCE: f64 = 5.0;
    let meant = |one: &&'a Trajectory| -> BTreeSet<&'a str> {
        one.steps.iter().flat_map(Step::said).flat_map(|said| meanings.outcome(said)).collect()
    };
    let within: Vec<BTreeSet<&str>> = trajectories.iter().map(meant).collect();
    let all: BTreeSet<&str> = within.iter().flatten().copied().collect();
    let count = |one: &str| within.iter().filter(|within| within.contains(one)).count() as f64;
    let counts: Vec<(&str, f64)> = all.into_iter().map(|one| (one, count(one))).collect();
    let mut pairs = Vec::new();
    for (index, &(one, often)) in counts.iter().enumerate() {
        for &(other, other_often) in &counts[..index] {
            let together = || within.iter().any(|within| within.contains(one) && within.contains(other));
            if often * other_often / within.len() as f64 >= BY_CHANCE && !together() {
                pairs.push([one, other]);
            }
        }
    }
    pairs
}

/// By how much the critic's values of outcomes that exclude each other exceed 1 together.
async fn contradiction(
    asked: &[Triple<'_>],
    learned: &[&Trajectory],
    meanings: &Meanings,
    critic: &dyn Critic,
) -> Result<Option<f64>> {
    let pairs = if meanings.known.is_some() { exclusive(learned, meanings) } else { Vec::new() };
    let (mut excess, mut count) = (0.0, 0.0);
    let steps: Vec<&Step> = asked.iter().step_by(OUTCOMES_PER_STEP).map(|one| one.step).collect();
    let distinct: BTreeSet<&str> = pairs.iter().flatten().copied().collect();
    for step in evenly(&steps, Ranking::STEPS).take_while(|_| !pairs.is_empty()) {
        let queries = distinct.iter().map(|outcome| query(step, &step.thought, outcome)).collect();
        let estimates: HashMap<&str, Estimate> =
            distinct.iter().copied().zip(answers(critic, queries).await?).collect();
        for pair in &pairs {
            let [one, other] = pair.map(|outcome| estimates[outcome]);
            if !one.outside && !other.outside {
                excess += (one.probability + other.probability - 1.0).max(0.0);
                count += 1.0;
            }
        }
    }
    Ok((count > 0.0).then(|| excess / count))
}

/// How the critic ranks the thoughts of the states that it was `asked` about, next to those of the data that it learned
/// from.
async fn rank(
    asked: &[Triple<'_>],
    estimates: &[Estimate],
    learned: &[&Trajectory],
    meanings: &Meanings,
    critic: &dyn Critic,
    encoder: &dyn TextEncoder,
) -> Result<Ranking> {
    let steps: Vec<_> = asked.chunks(OUTCOMES_PER_STEP).zip(estimates.chunks(OUTCOMES_PER_STEP)).collect();
    let steps: Vec<_> = evenly(&steps, Ranking::STEPS).collect();
    let pool: Vec<&Step> = learned.iter().flat_map(|one| &one.steps).collect();
    let pool: Vec<&Step> = evenly(&pool, Ranking::POOL).collect();
    let states = || pool.iter().map(|step| &*step.state);
    let embedded =
        Embedded::new(encoder, steps.iter().map(|(own, _)| &*own[0].step.state).chain(states())).await?;
    let thoughts: Vec<&str> = pool.iter().map(|step| meanings.thought(&step.thought)).collect();
    let mut ranking = Ranking::default();
    for (own, judged) in steps {
        let state = embedded.row(&own[0].step.state);
        let distance = |other: &[f32]| state.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let distances: Vec<f32> = states().map(|other| distance(embedded.row(other))).collect();
        let others = Ranking::others(own[0].thought, &thoughts, &distances);
        let known: Vec<_> =
            own.iter().zip(judged).filter(|(one, said)| one.reached.is_some() && !said.outside).collect();
        let about =
            |one: &Triple| others.iter().map(|other| query(one.step, other, one.said)).collect::<Vec<_>>();
        let queries: Vec<CriticQuery> = known.iter().flat_map(|(one, _)| about(one)).collect();
        if queries.is_empty() {
            continue;
        }
        let compared = answers(critic, queries).await?;
        for ((one, own), compared) in known.into_iter().zip(compared.chunks(others.len())) {
            let inside: Vec<Estimate> = compared.iter().filter(|other| !other.outside).copied().collect();
            ranking.add(own, &inside, one.reached());
        }
    }
    Ok(ranking)
}

/// Every occurrence of an outcome sentence in the data; summaries of reached states where there are no sentences.
fn marginal(trajectories: &[Trajectory]) -> Result<Vec<&str>> {
    let steps = || trajectories.iter().flat_map(|one| &one.steps);
    let sentences: Vec<&str> = steps().flat_map(Step::said).collect();
    if !sentences.is_empty() {
        return Ok(sentences);
    }
    let summaries: Vec<&str> =
        steps().map(|step| step.next_state.as_str()).filter(|text| !text.is_empty()).collect();
    if summaries.is_empty() {
        return Err(Error::input(
            "no step of the data names an outcome or a next state: there is nothing to evaluate",
        ));
    }
    Ok(summaries)
}

/// Questions about each step: outcomes from the marginal, true if a later state of the same trajectory holds all that
/// the outcome means.
fn triples<'a>(
    trajectories: &[&'a Trajectory],
    marginal: &[&'a str],
    meanings: &'a Meanings,
    draw: &mut Draw,
) -> Vec<Triple<'a>> {
    let mut triples = Vec::new();
    for (trajectory, recorded) in trajectories.iter().enumerate() {
        for (index, step) in recorded.steps.iter().enumerate() {
            for _ in 0..OUTCOMES_PER_STEP {
                let said = marginal[draw.below(marginal.len())];
                let meant = meanings.outcome(said);
                let holds = |later: &Step| meant.iter().all(|outcome| meanings.holds(later, outcome));
                let after = recorded.steps[index..].iter().position(holds).filter(|_| !meant.is_empty());
                triples.push(Triple {
                    trajectory,
                    step,
                    said,
                    thought: meanings.thought(&step.thought),
                    outcome: if let [outcome] = meant[..] { outcome } else { said },
                    reached: (!meant.is_empty()).then_some(after.is_some()),
                    after,
                });
            }
        }
    }
    triples
}

/// A predictor's measures, and two of them in each resample.
struct Measured {
    report: PredictorReport,
    auc: Vec<f64>,
    brier: Vec<f64>,
}

impl Measured {
    /// Where a rival is better, if anywhere.
    fn beaten_by(&self, rival: &Self) -> Option<String> {
        let mut better = Vec::new();
        // `sign` is -1 where less is better.
        let mut compare = |name, sign: f64, own: f64, other: f64, pairs: (&[f64], &[f64])| {
            if sign * other > sign * own {
                let wins =
                    pairs.0.iter().zip(pairs.1).filter(|(own, other)| sign * **other > sign * **own).count();
                let share = 100.0 * wins as f64 / pairs.0.len().max(1) as f64;
                better.push(format!("{name} {other:.3} against {own:.3}, in {share:.0} % of the resamples"));
            }
        };
        if let (Some(own), Some(other)) = (self.report.auc, rival.report.auc) {
            compare("AUC", 1.0, own.value, other.value, (&self.auc, &rival.auc));
        }
        let (own, other) = (self.report.brier.value, rival.report.brier.value);
        compare("Brier", -1.0, own, other, (&self.brier, &rival.brier));
        (!better.is_empty()).then(|| {
            format!("a {} on the same embeddings beats this critic: {}", rival.report.name, better.join("; "))
        })
    }
}

fn measure(name: &str, answers: &[f64], questions: &[Triple], resamples: &[Vec<f64>]) -> Measured {
    // Sorted by the answer, so that the resamples need not sort.
    let mut order: Vec<usize> = (0..answers.len()).collect();
    order.sort_by(|&a, &b| answers[a].total_cmp(&answers[b]));
    let mut scored: Vec<Scored> =
        order.iter().map(|&index| Scored::new(answers[index], questions[index].reached())).collect();
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
    let report = PredictorReport {
        name: name.into(),
        auc: whole.0.map(|value| interval(value, auc.clone())),
        brier: interval(whole.1, brier.clone()),
        ece: interval(whole.2, ece),
        ..PredictorReport::default()
    };
    Measured { report, auc, brier }
}

impl fmt::Display for CriticReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of {} trajectories evaluated; left out: {} that the critic learned from, {} that tuned it.",
            self.evaluated, self.trajectories, self.left_out_train, self.left_out_validation
        )?;
        if self.left_out_rivals > 0 {
            writeln!(f, "Also left out: {} that the others have seen.", self.left_out_rivals)?;
        }
        if let Some(meanings) = self.meanings {
            writeln!(
                f,
                "Outcomes count as reached by what they mean ({meanings} meanings); {:.1} % of the questions are outside \
                 the critic's data.",
                100.0 * self.outside
            )?;
        }
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
        if self.predictors.iter().any(|one| one.thought_spread.is_some()) {
            writeln!(f, "\n{:<22}{:>16}{:>16}{:>16}", "", "thought_spread", "thought_gain", "advantage_auc")?;
            let own = (self.thought_spread, self.thought_gain, self.advantage_auc);
            let of = |one: &PredictorReport| (one.thought_spread, one.thought_gain, one.advantage_auc);
            let rivals = self.predictors.iter().map(|one| (&*one.name, of(one)));
            for (name, (spread, gain, auc)) in std::iter::once(("critic", own)).chain(rivals) {
                let (Some(spread), Some(gain)) = (spread, gain) else { continue };
                let auc = auc.map_or("undefined".to_owned(), |auc| format!("{auc:.3}"));
                writeln!(f, "{name:<22}{spread:>16.3}{gain:>16.4}{auc:>16}")?;
            }
        } else if let (Some(spread), Some(gain)) = (self.thought_spread, self.thought_gain) {
            let auc = self.advantage_auc.map_or("undefined".to_owned(), |auc| format!("{auc:.3}"));
            write!(f, "\nThoughts of one state: thought_spread {spread:.3}, thought_gain {gain:.4}, ")?;
            writeln!(f, "advantage_auc {auc}.")?;
        }
        if let Some(excess) = self.contradiction {
            writeln!(f, "Outcomes that exclude each other: two exceed 1 by {excess:.3} on average.")?;
        }
        closer::show(f, &self.classes, &self.uses)?;
        let refined = self.predictors.iter().filter_map(|one| Some((&*one.name, one.refinement?)));
        refinement::show(f, &refined.collect::<Vec<_>>())?;
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
    use forethought_api::critic::{Estimate, KnownOutcome, Meaning, StyleCard};
    use forethought_api::encoder::{EncoderSpec, Matrix};
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
        Seen { train: names(train), validation: names(validation), ..Seen::default() }
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
        // Of one state, so that a thought is compared with the other one.
        let spread = report.thought_spread.unwrap();
        assert!((spread - 0.25).abs() < 1e-9 && report.advantage_auc.unwrap() > 0.7, "{report:?}");
        assert!(report.warnings.iter().all(|text| text.contains("beats this critic")), "{report:?}");
        assert_eq!(report, evaluate(&data, &seen(0..80, 80..120), &Oracle, &Words, 7).await.unwrap());

        let table = report.to_string();
        assert!(table.starts_with("80 of 200 trajectories evaluated; left out: 80"), "{table}");
        for part in ["logistic regression", "0.2-0.3", "0.7-0.8"] {
            assert!(table.contains(part), "{table}");
        }
    }

    /// Says the same of everything.
    struct Flat;

    #[async_trait]
    impl Critic for Flat {
        async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
            Ok(vec![Estimate::of(0.5); queries.len()])
        }
    }

    #[tokio::test]
    async fn a_closer_look_says_what_a_critic_uses_and_what_it_is_worth() {
        let mut data = episodes(200);
        for step in data.iter_mut().flat_map(|one| &mut one.steps) {
            step.reward = f64::from(u8::from(step.outcomes[0] == "arrived left"));
        }
        let rivals = vec![Rival { name: "flat".into(), critic: Arc::new(Flat), seen: seen(0..0, 190..200) }];
        let look = Look { rivals, closer: true, most: None };
        let seen = seen(0..80, 80..120);
        let report = evaluate_closer(&data, &seen, &Oracle, &Words, 7, &look).await.unwrap();
        assert_eq!((report.evaluated, report.left_out_rivals), (70, 10));
        let [critic, _, _, flat] = &report.predictors[..] else { panic!("{report:?}") };
        assert_eq!(
            (flat.name.as_str(), flat.auc.unwrap().value, flat.thought_spread),
            ("flat", 0.5, Some(0.0))
        );

        // Those that arrive left have the reward, and the truth depends on thought and outcome together.
        let class = |by: &str, name: &str| {
            let found = report.classes.iter().find(|one| (one.by.as_str(), one.name.as_str()) == (by, name));
            found.unwrap_or_else(|| panic!("no {by} {name} in {:?}", report.classes)).clone()
        };
        let good = class("polarity", "good");
        assert_eq!(good.triples, class("outcome", "arrived left").triples);
        assert!(good.gain.value > 0.02 && (good.stated - 0.5).abs() < 0.1, "{good:?}");
        assert_eq!(class("place", "ending").triples, report.triples);
        assert_eq!(class("horizon", "at once").triples, report.triples);
        let kept = |parts: &[&str]| report.uses.iter().find(|one| one.kept == parts).unwrap().auc.unwrap();
        assert!(kept(&["state", "thought", "outcome"]) > 0.7 && kept(&["thought", "outcome"]) > 0.7);
        assert!(
            (kept(&["outcome"]) - 0.5).abs() < 0.1 && (kept(&["thought"]) - 0.5).abs() < 0.1,
            "{report:?}"
        );

        // Half of the thoughts lead left one time in four, and would be revised to those that do three times in four.
        let worth = critic.refinement.unwrap();
        assert!((worth.revised - 0.5).abs() < 0.1 && (worth.score - 0.5).abs() < 0.1, "{worth:?}");
        assert!((worth.gain.value - 0.25).abs() < 0.1 && worth.gain.low > 0.05, "{worth:?}");
        let nothing = flat.refinement.unwrap();
        assert_eq!((nothing.revised, nothing.gain.value), (0.0, 0.0));
        let shown = report.to_string();
        for part in ["Also left out: 10", "polarity: good", "thought, outcome", "Would it help", "flat"] {
            assert!(shown.contains(part), "{shown}");
        }

        let few = Look { most: Some(100), ..Look::default() };
        let few = evaluate_closer(&data, &seen, &Oracle, &Words, 7, &few).await.unwrap();
        assert_eq!((few.triples, few.classes.len()), (13 * OUTCOMES_PER_STEP, 0));
        let all = Rival { name: "all".into(), critic: Arc::new(Flat), seen: self::seen(100..200, 0..0) };
        let look = Look { rivals: vec![all], ..Look::default() };
        let error = evaluate_closer(&data, &seen, &Oracle, &Words, 7, &look).await.unwrap_err().to_string();
        assert!(error.contains("all 80 trajectories") && error.contains("the same seed"), "{error}");
    }

    #[test]
    fn a_critic_of_several_has_seen_what_any_of_them_has() {
        let mut all = seen(0..3, 3..5);
        all.join(seen(2..4, 5..6));
        assert_eq!((all.train, all.validation), (seen(0..4, 0..0).train, vec!["e4".into(), "e5".into()]));
        let data = episodes(100);
        let some = |share| -> Vec<String> {
            seen(0..60, 60..80).share(&data, share).into_iter().map(|one| one.episode).collect()
        };
        let (less, more) = (some(0.25), some(0.5));
        assert_eq!((less.len(), &more[..20]), (20, &less[..]));
        assert!(more.iter().all(|episode| episode[1..].parse::<usize>().unwrap() < 80));
    }

    /// Knows the same in any words, and what it does not know; says this where thought and outcome agree, and else
    /// that.
    struct Reader([f64; 2]);

    #[async_trait]
    impl Critic for Reader {
        async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
            let way = |text: &str| ["left", "right"].into_iter().position(|way| text.contains(way));
            let estimate = |query: &CriticQuery| {
                let (thought, outcome) = (way(&query.thought), way(&query.outcome));
                Estimate {
                    known: outcome.map(|way| way as u32),
                    outside: outcome.is_none(),
                    ..Estimate::of(self.0[usize::from(thought != outcome)])
                }
            };
            Ok(queries.iter().map(estimate).collect())
        }
        async fn style_card(&self) -> Result<StyleCard> {
            let outcome =
                |way: &str| KnownOutcome { text: format!("arrived {way}"), ..KnownOutcome::default() };
            Ok(StyleCard { outcomes: ["left", "right"].map(outcome).into(), ..StyleCard::default() })
        }
    }

    #[tokio::test]
    async fn a_critic_that_knows_meanings_is_judged_by_meaning() {
        // Nobody says an outcome twice in the same words, and every fifth is fog.
        let mut data = episodes(400);
        for (episode, one) in data.iter_mut().enumerate() {
            let said = &mut one.steps[0].outcomes[0];
            *said =
                if episode % 5 == 0 { format!("fog {episode}") } else { format!("{said}, day {episode}") };
        }
        let seen = seen(0..160, 160..240);
        let literal = evaluate(&data, &seen, &Oracle, &Words, 7).await.unwrap();
        assert!(literal.base_rate < 0.02 && literal.meanings.is_none(), "{literal:?}");
        let warned = |report: &CriticReport, part| report.warnings.iter().any(|text| text.contains(part));
        assert!(
            warned(&literal, "forethought label") && warned(&literal, "beats this critic"),
            "{literal:?}"
        );

        let report = evaluate(&data, &seen, &Reader([0.75, 0.25]), &Words, 7).await.unwrap();
        assert!(report.meanings == Some(2) && !warned(&report, "forethought label"), "{report:?}");
        assert!((report.outside - 0.2).abs() < 0.05, "{report:?}");
        // The others are measured. A fifth of what they ask about was reached in fog, which nobody reads.
        let auc = report.predictors[0].auc.unwrap();
        assert!(report.base_rate > 0.3 && auc.value > 0.65 && auc.low > 0.55, "{report:?}");
        assert!((report.thought_spread.unwrap() - 0.25).abs() < 1e-9, "{report:?}");
        assert!(report.advantage_auc.unwrap() > 0.6, "{report:?}");
        // Nobody arrives left and right.
        assert_eq!(report.contradiction, Some(0.0));
        let eager = evaluate(&data, &seen, &Reader([0.9, 0.4]), &Words, 7).await.unwrap();
        assert!((eager.contradiction.unwrap() - 0.3).abs() < 1e-9, "{eager:?}");
        for part in [
            "(2 meanings)",
            "outside the critic's data",
            "thought_spread 0.250, thought_gain 0.",
            "exceed 1 by 0.000",
        ] {
            assert!(report.to_string().contains(part), "{report}");
        }
        // A sentence that the checkpoint lists is not left to the critic.
        let fog =
            Meaning { text: "arrived left".into(), sentences: vec!["fog 250".into()], ..Meaning::default() };
        let vocabulary = Vocabulary { outcomes: vec![fog], ..Vocabulary::default() };
        let meanings = Meanings::of(&Reader([0.75, 0.25]), &vocabulary, &data).await.unwrap();
        let [listed, read] = [meanings.outcome("fog 250"), meanings.outcome("arrived right, day 251")];
        assert_eq!(
            (listed, read, meanings.outcome("fog 255")),
            (vec!["arrived left"], vec!["arrived right"], vec![])
        );
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
        let expected = Seen { train: vec!["e1".into()], validation: vec!["e2".into()], ..Seen::default() };
        let split = r#""split": { "train": ["e1"], "validation": ["e2"], "test": ["e3"] }"#;
        for config in [format!("{{ {split} }}"), format!(r#"{{ "training": {{ {split} }} }}"#)] {
            write(&config);
            assert_eq!(Seen::read(folder.path()).unwrap(), expected);
        }
        // The vocabulary is found where a trainer writes it, and where `goal-q` does.
        let words = r#""vocabulary": { "thoughts": [{ "text": "go", "sentences": ["off"] }] }"#;
        for config in [words.to_owned(), format!(r#""understanding": {{ {words} }}"#)] {
            write(&format!("{{ {split}, {config} }}"));
            assert_eq!(Seen::read(folder.path()).unwrap().vocabulary.thoughts[0].sentences, ["off"]);
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
