//! A closer look at a critic: how good it is by class of outcome, and which parts of a question it uses.
//!
//! One calibration for all outcomes can be right on the whole and wrong for each: endings are rarer than what happens
//! on the way. And a critic that ranks outcomes well may look at nothing but the outcome: each part of a question is
//! replaced by that of another question, and what is left of the measures is what the other parts give.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use forethought_api::Result;
use forethought_api::critic::{Critic, CriticQuery};
use forethought_api::metrics::{self, Scored, evenly};
use forethought_api::trajectory::Trajectory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluate::draw::Draw;
use crate::evaluate::meaning::{Meanings, answers};
use crate::evaluate::questions::{Interval, Triple, interval, scored};

/// Classes with fewer questions say nothing.
const ENOUGH: usize = 30;
/// Single outcomes that are listed at most.
const OUTCOMES: usize = 20;
/// Questions whose parts are replaced.
const REPLACED: usize = 2000;

/// A critic's measures on one class of outcomes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Class {
    /// What the classes differ in: `horizon`, `polarity`, `place`, `outcome`.
    pub by: String,
    /// Which one it is.
    pub name: String,
    /// Questions.
    pub triples: usize,
    /// Share that was reached.
    pub base_rate: f64,
    /// Mean probability that the critic gave.
    pub stated: f64,
    /// Area under the ROC curve; absent where all were reached, or none.
    pub auc: Option<f64>,
    /// Brier score.
    pub brier: f64,
    /// Expected calibration error over ten bins.
    pub ece: f64,
    /// By how much the critic's Brier score is below that of the class's own base rate in the data that it learned
    /// from; above 0 is better.
    pub gain: Interval,
}

/// What is left of a critic's measures if parts of the questions are those of other questions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Use {
    /// The parts that are left: some of `state`, `thought` and `outcome`.
    pub kept: Vec<String>,
    /// Area under the ROC curve.
    pub auc: Option<f64>,
    /// Brier score.
    pub brier: f64,
}

/// What the data that a critic learned from say of each outcome.
pub(crate) struct Outcomes<'a> {
    /// Whether the episodes that reached it scored above the mean, where some did and some did not.
    polarity: HashMap<&'a str, bool>,
    /// Whether it mostly comes with the end of an episode.
    ending: HashMap<&'a str, bool>,
}

impl<'a> Outcomes<'a> {
    pub(crate) fn new(learned: &[&'a Trajectory], meanings: &'a Meanings) -> Self {
        let mut found: HashMap<&str, (HashSet<usize>, usize, usize)> = HashMap::new();
        for (index, one) in learned.iter().enumerate() {
            for (place, step) in one.steps.iter().enumerate() {
                for outcome in meanings.held(step) {
                    let (within, last, all) = found.entry(outcome).or_default();
                    within.insert(index);
                    *last += usize::from(place + 1 == one.steps.len());
                    *all += 1;
                }
            }
        }
        let scores: Vec<f64> = learned.iter().map(|one| one.score()).collect();
        let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        let mut polarity = HashMap::new();
        for (outcome, (within, ..)) in &found {
            let own = within.iter().map(|&one| scores[one]).sum::<f64>() / within.len() as f64;
            if (own - mean).abs() > 1e-9 && within.len() < learned.len() {
                polarity.insert(*outcome, own > mean);
            }
        }
        let ending = found.iter().map(|(outcome, (_, last, all))| (*outcome, 2 * last >= *all)).collect();
        Self { polarity, ending }
    }
}

/// The class of a question by each way to class them. The horizon is known only of what was reached.
fn classes_of<'a>(
    one: &Triple<'a>,
    outcomes: &Outcomes<'_>,
) -> impl Iterator<Item = (&'static str, &'a str)> {
    let polarity = outcomes.polarity.get(one.outcome).map(|good| if *good { "good" } else { "bad" });
    let place = outcomes.ending.get(one.outcome).map(|last| if *last { "ending" } else { "on the way" });
    let classes = [("polarity", polarity), ("place", place), ("outcome", Some(one.outcome))];
    classes.into_iter().filter_map(|(by, class)| Some((by, class?)))
}

const HORIZONS: [(&str, std::ops::Range<usize>); 4] = [
    ("at once", 0..1),
    ("after 1 to 2 steps", 1..3),
    ("after 3 to 5 steps", 3..6),
    ("after 6 or more", 6..usize::MAX),
];

/// Whether a question belongs to this horizon: reached then, or never.
fn within(one: &Triple<'_>, range: &std::ops::Range<usize>) -> bool {
    one.after.is_none_or(|after| range.contains(&after))
}

/// The critic's measures by class; `lessons` are questions about the data that it learned from.
pub(crate) fn classes(
    questions: &[Triple<'_>],
    values: &[f64],
    lessons: &[Triple<'_>],
    outcomes: &Outcomes<'_>,
    resamples: &[Vec<f64>],
) -> Vec<Class> {
    let mut members: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (index, one) in questions.iter().enumerate() {
        classes_of(one, outcomes).for_each(|class| members.entry(class).or_default().push(index));
    }
    let mut learned: HashMap<(&str, &str), (f64, f64)> = HashMap::new();
    for one in lessons {
        for class in classes_of(one, outcomes) {
            let (reached, all) = learned.entry(class).or_default();
            *reached += f64::from(u8::from(one.reached()));
            *all += 1.0;
        }
    }
    let mut found = Vec::new();
    for (name, range) in &HORIZONS {
        let of = |all: &[Triple<'_>]| -> Vec<usize> {
            (0..all.len()).filter(|&index| within(&all[index], range)).collect()
        };
        let (own, lessons_in) = (of(questions), of(lessons));
        if own.iter().filter(|&&index| questions[index].reached()).count() < ENOUGH {
            continue;
        }
        let reached = lessons_in.iter().filter(|&&index| lessons[index].reached()).count();
        let base = reached as f64 / lessons_in.len().max(1) as f64;
        found.push(class(("horizon", name), (&own, base), questions, values, resamples));
    }
    let mut single: Vec<Class> = Vec::new();
    for (key, own) in members.into_iter().filter(|(_, own)| own.len() >= ENOUGH) {
        let Some((reached, all)) = learned.get(&key) else { continue };
        let one = class(key, (&own, reached / all), questions, values, resamples);
        if key.0 == "outcome" { single.push(one) } else { found.push(one) }
    }
    single.sort_by(|a, b| b.triples.cmp(&a.triples).then(a.name.cmp(&b.name)));
    single.truncate(OUTCOMES);
    found.extend(single);
    found
}

fn class(
    (by, name): (&str, &str),
    (own, base): (&[usize], f64),
    questions: &[Triple<'_>],
    values: &[f64],
    resamples: &[Vec<f64>],
) -> Class {
    let triples: Vec<Triple<'_>> = own.iter().map(|&index| questions[index]).collect();
    let values: Vec<f64> = own.iter().map(|&index| values[index]).collect();
    let shown = scored(&values, &triples);
    // Sums by trajectory: a resample is then a weighted sum of them.
    let mut gains: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (one, triple) in shown.iter().zip(&triples) {
        let truth = if one.reached { 1.0 } else { 0.0 };
        let (gain, count) = gains.entry(triple.trajectory).or_default();
        *gain += (truth - base).powi(2) - (truth - one.probability).powi(2);
        *count += 1.0;
    }
    let mean = |weight: &dyn Fn(usize) -> f64| {
        let (mut sum, mut total) = (0.0, 0.0);
        for (&trajectory, (gain, count)) in &gains {
            sum += weight(trajectory) * gain;
            total += weight(trajectory) * count;
        }
        (total > 0.0).then(|| sum / total)
    };
    let resampled = resamples.iter().filter_map(|weights| mean(&|trajectory| weights[trajectory])).collect();
    Class {
        by: by.into(),
        name: name.into(),
        triples: triples.len(),
        base_rate: metrics::base_rate(&shown),
        stated: values.iter().sum::<f64>() / values.len().max(1) as f64,
        auc: metrics::auc(&shown),
        brier: metrics::brier(&shown),
        ece: metrics::ece(&shown, 10),
        gain: interval(mean(&|_| 1.0).unwrap_or_default(), resampled),
    }
}

/// Which outcomes the critic judges worse than their own base rate does.
pub(crate) fn doubts(classes: &[Class]) -> Option<String> {
    let single: Vec<&Class> = classes.iter().filter(|one| one.by == "outcome").collect();
    let worse: Vec<&&Class> = single.iter().filter(|one| one.gain.high < 0.0).collect();
    let names: Vec<String> = worse.iter().take(3).map(|one| format!("{:?}", one.name)).collect();
    (!worse.is_empty()).then(|| {
        let more = if worse.len() > names.len() { ", ..." } else { "" };
        format!(
            "of {} outcomes with at least {ENOUGH} questions, {} are judged worse by the critic than by their own base rate: \
             {}{more}. All outcomes share one calibration",
            single.len(),
            worse.len(),
            names.join(", ")
        )
    })
}

/// The critic's measures with some parts of each question replaced by those of another.
pub(crate) async fn uses(questions: &[Triple<'_>], critic: &dyn Critic, draw: &mut Draw) -> Result<Vec<Use>> {
    const PARTS: [&str; 3] = ["state", "thought", "outcome"];
    let asked: Vec<Triple<'_>> = evenly(questions, REPLACED).collect();
    let mut found = Vec::new();
    let kept = [&[0, 1, 2][..], &[1, 2], &[0, 2], &[0, 1], &[2], &[1], &[0]];
    for kept in kept {
        let mut query = |own: &Triple<'_>| {
            let mut part = |index: usize| match kept.contains(&index) {
                true => *own,
                false => asked[draw.below(asked.len())],
            };
            let [state, thought, outcome] = [part(0), part(1), part(2)];
            CriticQuery {
                state: state.step.state.clone(),
                thought: thought.step.thought.clone(),
                outcome: outcome.said.to_owned(),
            }
        };
        let estimates = answers(critic, asked.iter().map(&mut query).collect()).await?;
        let shown: Vec<Scored> = estimates
            .iter()
            .zip(&asked)
            .map(|(estimate, one)| Scored::new(estimate.probability, one.reached()))
            .collect();
        let kept = kept.iter().map(|&part| PARTS[part].to_owned()).collect();
        found.push(Use { kept, auc: metrics::auc(&shown), brier: metrics::brier(&shown) });
    }
    Ok(found)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn none(count: &usize) -> bool {
    *count == 0
}

pub(crate) fn show(f: &mut fmt::Formatter<'_>, classes: &[Class], uses: &[Use]) -> fmt::Result {
    if !classes.is_empty() {
        let heads = ["count", "reached", "stated", "AUC", "Brier", "ECE", "gain over its base rate"];
        write!(f, "\n{:<34}", "by class of outcome")?;
        heads[..6].iter().try_for_each(|head| write!(f, "{head:>8}"))?;
        writeln!(f, "  {}", heads[6])?;
    }
    for one in classes {
        let name = if one.by == "outcome" { one.name.clone() } else { format!("{}: {}", one.by, one.name) };
        let short: String = name.chars().take(32).collect();
        let auc = one.auc.map_or("-".to_owned(), |auc| format!("{auc:.3}"));
        write!(f, "{short:<34}{:>8}{:>8.3}{:>8.3}{auc:>8}", one.triples, one.base_rate, one.stated)?;
        let Interval { value, low, high } = one.gain;
        writeln!(f, "{:>8.3}{:>8.3}  {value:+.3} [{low:+.3}, {high:+.3}]", one.brier, one.ece)?;
    }
    if !uses.is_empty() {
        writeln!(f, "\n{:<34}{:>8}{:>8}", "with the rest of other questions", "AUC", "Brier")?;
    }
    for Use { kept, auc, brier } in uses {
        let auc = auc.map_or("-".to_owned(), |auc| format!("{auc:.3}"));
        writeln!(f, "{:<34}{auc:>8}{brier:>8.3}", kept.join(", "))?;
    }
    Ok(())
}
