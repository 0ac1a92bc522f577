//! Whether revising thoughts by a critic would help, estimated from recorded episodes alone.
//!
//! The policy: at each recorded decision, the critic weighs the thought that was followed and up to [`ALTERNATIVES`]
//! thoughts of recorded decisions in the most similar states, by the mean probability of good outcomes less that of bad
//! ones. A thought below the mean of its alternatives is revised to the best of them. Its value is that of fitted-Q
//! evaluation with a kernel average in the place of the fit: no weights to learn, and no divergence.
//!
//! ```text
//! V_m = Q(s_m, a_m) where the thought is revised to a_m, else r_m + V_(m+1)
//! Q(s, t) = mean over the nearest recorded (s_j, t_j) of other episodes of r_j + V_(j+1)
//! ```
//!
//! It is compared with the same evaluation of the recorded thoughts, smoothed at the same places: Q(s_m, t_m) where the
//! thought would be revised. What the average does to both cancels. All values are means of recorded returns, so they
//! stay among them. (A value of the difference alone, which adds up changes along an episode, diverges.)
//!
//! The policy is chosen by the critic, and Q knows nothing of the critic: the estimate does not favour what the critic
//! likes. It is as good as three assumptions: states that are near under the encoder are alike, recorded thoughts can
//! be followed in similar states, and the model would come up with them.

use std::collections::HashMap;
use std::fmt;

use forethought_api::Result;
use forethought_api::critic::{Critic, CriticQuery, Estimate};
use forethought_api::encoder::TextEncoder;
use forethought_api::metrics::evenly;
use forethought_api::trajectory::{Step, Trajectory};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluate::draw::Draw;
use crate::evaluate::meaning::{Meanings, answers, query};
use crate::evaluate::questions::{Embedded, Interval, interval};

/// Other thoughts that a thought is compared with.
pub const ALTERNATIVES: usize = 8;
/// Recorded decisions that a value is the mean of.
const NEIGHBOURS: usize = 16;
/// Weight of the thought's distance next to the state's.
const THOUGHT: f32 = 4.0;
/// Decisions that are looked at, in whole episodes.
const DECISIONS: usize = 800;
/// Good outcomes, and bad ones.
const OUTCOMES: usize = 4;
const RESAMPLES: usize = 200;
/// Rounds of the evaluation: as many steps ahead are looked at.
const ROUNDS: usize = 30;

/// The estimate for one critic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Refinement {
    /// Recorded decisions that were looked at.
    pub decisions: usize,
    /// Share of them whose thought would have been revised.
    pub revised: f64,
    /// Mean score of their episodes.
    pub score: f64,
    /// By how much the score would have changed.
    pub gain: Interval,
}

/// Recorded episodes: those that the critic has not seen, and those that it learned from.
#[derive(Clone, Copy)]
pub(crate) struct Data<'a> {
    pub(crate) unseen: &'a [&'a Trajectory],
    pub(crate) learned: &'a [&'a Trajectory],
    pub(crate) meanings: &'a Meanings,
}

/// A recorded decision.
struct Decision<'a> {
    trajectory: usize,
    step: &'a Step,
    last: bool,
    /// Thoughts of other episodes in the most similar states.
    alternatives: Vec<usize>,
}

/// A weighted mean over decisions.
type Kernel = Vec<(usize, f64)>;

/// Recorded decisions, and how far they are from each other: the same for every critic.
pub(crate) struct World<'a> {
    decisions: Vec<Decision<'a>>,
    episodes: usize,
    score: f64,
    /// Good outcomes and bad ones.
    outcomes: Vec<(bool, String)>,
    /// The distinct states, and of each decision its place among them; the same of thoughts.
    states: Distinct,
    thoughts: Distinct,
    /// The mean over decisions like each of them.
    own: Vec<Kernel>,
}

/// Distinct texts.
struct Distinct {
    texts: Vec<String>,
    places: Vec<usize>,
    /// Squared distances between them.
    apart: Vec<Vec<f32>>,
}

impl Distinct {
    fn new(all: impl Iterator<Item = String>, embedded: &Embedded<'_>) -> Self {
        let mut found: HashMap<String, usize> = HashMap::new();
        let (mut texts, mut places) = (Vec::new(), Vec::new());
        for text in all {
            let place = *found.entry(text).or_insert_with_key(|text| {
                texts.push(text.clone());
                texts.len() - 1
            });
            places.push(place);
        }
        let rows: Vec<&[f32]> = texts.iter().map(|text| embedded.row(text)).collect();
        let apart = rows.iter().map(|own| rows.iter().map(|other| squared(own, other)).collect()).collect();
        Self { texts, places, apart }
    }
}

/// What revising by this critic would have changed; `None` if no decision has alternatives.
pub(crate) async fn estimate(
    world: &World<'_>,
    critic: &dyn Critic,
    seed: u64,
) -> Result<Option<Refinement>> {
    let mut revised: Vec<Option<Kernel>> = Vec::with_capacity(world.decisions.len());
    for (at, decision) in world.decisions.iter().enumerate() {
        let said = |place: &usize| world.thoughts.texts[*place].as_str();
        let thoughts = std::iter::once(&*decision.step.thought).chain(decision.alternatives.iter().map(said));
        let queries: Vec<CriticQuery> = thoughts
            .flat_map(|thought| {
                world.outcomes.iter().map(move |(_, outcome)| query(decision.step, thought, outcome))
            })
            .collect();
        let estimates = answers(critic, queries).await?;
        let worth = |estimates: &[Estimate]| {
            let side = |good: bool| {
                let all = world.outcomes.iter().zip(estimates);
                let all = all.filter(|((side, _), one)| *side == good && !one.outside);
                let all: Vec<f64> = all.map(|(_, one)| one.probability).collect();
                (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
            };
            Some(side(true)? - side(false)?)
        };
        let weighed: Vec<Option<f64>> = estimates.chunks(world.outcomes.len()).map(worth).collect();
        revised.push(chosen(&weighed).map(|best| world.kernel(at, decision.alternatives[best])));
    }
    if world.decisions.iter().all(|one| one.alternatives.is_empty()) {
        return Ok(None);
    }
    let share = revised.iter().flatten().count() as f64 / revised.len() as f64;
    let value = world.gain(&revised, &vec![1.0; world.episodes]);
    let mut draw = Draw::new(seed, "critic eval refinement");
    let resampled: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut weights = vec![0.0; world.episodes];
            (0..world.episodes).for_each(|_| weights[draw.below(world.episodes)] += 1.0);
            world.gain(&revised, &weights)
        })
        .collect();
    Ok(Some(Refinement {
        decisions: world.decisions.len(),
        revised: share,
        score: world.score,
        gain: interval(value, resampled),
    }))
}

/// The alternative that replaces the first of these: the best one, if the first is below the mean of the others.
fn chosen(weighed: &[Option<f64>]) -> Option<usize> {
    let (own, others) = weighed.split_first()?;
    let own = (*own)?;
    let known: Vec<(usize, f64)> =
        others.iter().enumerate().filter_map(|(at, worth)| Some((at, (*worth)?))).collect();
    let mean = known.iter().map(|(_, worth)| worth).sum::<f64>() / known.len() as f64;
    // The first of equals: `max_by` would return the last.
    let best = known.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (own < mean && best.1 > own).then_some(best.0)
}

/// The most frequent outcomes of the data that the critic learned from, half of them good: their episodes scored above
/// the mean.
fn good_and_bad(data: Data<'_>) -> Option<Vec<(bool, String)>> {
    let mut found: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, one) in data.learned.iter().enumerate() {
        for outcome in one.steps.iter().flat_map(|step| data.meanings.held(step)) {
            let within = found.entry(outcome).or_default();
            if within.last() != Some(&index) {
                within.push(index);
            }
        }
    }
    let scores: Vec<f64> = data.learned.iter().map(|one| one.score()).collect();
    let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
    let mut all: Vec<(&str, Vec<usize>)> = found.into_iter().collect();
    all.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then(a.0.cmp(b.0)));
    let side = |good: bool| {
        let of = |(outcome, within): &(&str, Vec<usize>)| {
            let own = within.iter().map(|&one| scores[one]).sum::<f64>() / within.len() as f64;
            let sided = if good { own > mean + 1e-9 } else { own < mean - 1e-9 };
            sided.then(|| (good, (*outcome).to_owned()))
        };
        all.iter().filter_map(of).take(OUTCOMES).collect::<Vec<_>>()
    };
    let (good, bad) = (side(true), side(false));
    (!good.is_empty() && !bad.is_empty()).then(|| [good, bad].concat())
}

impl<'a> World<'a> {
    /// That of some of the unseen episodes; `None` if all episodes scored alike, so that no outcome is good or bad.
    pub(crate) async fn new(data: Data<'a>, encoder: &dyn TextEncoder) -> Result<Option<Self>> {
        let Some(outcomes) = good_and_bad(data) else { return Ok(None) };
        let all: usize = data.unseen.iter().map(|one| one.steps.len()).sum();
        let count = (data.unseen.len() * DECISIONS).div_ceil(all.max(1)).min(data.unseen.len());
        let episodes: Vec<&Trajectory> = evenly(data.unseen, count).collect();
        let mut decisions = Vec::new();
        for (trajectory, one) in episodes.iter().enumerate() {
            for (at, step) in one.steps.iter().enumerate() {
                let last = at + 1 == one.steps.len();
                decisions.push(Decision { trajectory, step, last, alternatives: Vec::new() });
            }
        }
        let states = || decisions.iter().map(|one| one.step.state.clone());
        let thoughts = || decisions.iter().map(|one| data.meanings.thought(&one.step.thought).to_owned());
        let texts: Vec<String> = states().chain(thoughts()).collect();
        let embedded = Embedded::new(encoder, texts.iter().map(String::as_str)).await?;
        let (states, thoughts) = (Distinct::new(states(), &embedded), Distinct::new(thoughts(), &embedded));
        let score = episodes.iter().map(|one| one.score()).sum::<f64>() / episodes.len().max(1) as f64;
        let episodes = episodes.len();
        let mut world = Self { decisions, episodes, score, outcomes, states, thoughts, own: Vec::new() };
        let alternatives: Vec<_> = (0..world.decisions.len()).map(|at| world.alternatives(at)).collect();
        world.own =
            (0..world.decisions.len()).map(|at| world.kernel(at, world.thoughts.places[at])).collect();
        for (decision, alternatives) in world.decisions.iter_mut().zip(alternatives) {
            decision.alternatives = alternatives;
        }
        Ok(Some(world))
    }

    /// Decisions of other episodes than that of this one.
    fn others(&self, at: usize) -> impl Iterator<Item = usize> {
        let own = self.decisions[at].trajectory;
        (0..self.decisions.len()).filter(move |&other| self.decisions[other].trajectory != own)
    }

    /// Thoughts of other episodes in the most similar states.
    fn alternatives(&self, at: usize) -> Vec<usize> {
        let apart = &self.states.apart[self.states.places[at]];
        let mut order: Vec<usize> = self.others(at).collect();
        order.sort_by(|&a, &b| apart[self.states.places[a]].total_cmp(&apart[self.states.places[b]]));
        let mut taken = vec![self.thoughts.places[at]];
        for other in order {
            if taken.len() > ALTERNATIVES {
                break;
            }
            if !taken.contains(&self.thoughts.places[other]) {
                taken.push(self.thoughts.places[other]);
            }
        }
        taken.split_off(1)
    }

    /// The mean over the decisions of other episodes that are nearest to a thought in the state of one.
    fn kernel(&self, at: usize, thought: usize) -> Kernel {
        let (states, thoughts) = (&self.states.apart[self.states.places[at]], &self.thoughts.apart[thought]);
        let distance = |other: usize| {
            states[self.states.places[other]] + THOUGHT * thoughts[self.thoughts.places[other]]
        };
        let mut near: Vec<(f32, usize)> = self.others(at).map(|other| (distance(other), other)).collect();
        let by = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if near.len() > NEIGHBOURS {
            near.select_nth_unstable_by(NEIGHBOURS, by);
            near.truncate(NEIGHBOURS);
        }
        near.sort_by(by);
        let width = near.iter().map(|(distance, _)| distance).sum::<f32>() / near.len().max(1) as f32;
        let width = (width / 2.0).max(1e-6);
        near.into_iter().map(|(distance, other)| (other, f64::from(-distance / width).exp())).collect()
    }

    /// The mean change of an episode's score, episodes counting `weights` times.
    fn gain(&self, revised: &[Option<Kernel>], weights: &[f64]) -> f64 {
        let new = self.values(|at| revised[at].as_ref(), weights);
        let old = self.values(|at| revised[at].as_ref().map(|_| &self.own[at]), weights);
        let (mut sum, mut total, mut before) = (0.0, 0.0, usize::MAX);
        for (at, decision) in self.decisions.iter().enumerate() {
            if decision.trajectory != before {
                before = decision.trajectory;
                sum += weights[before] * (new[at] - old[at]);
                total += weights[before];
            }
        }
        if total > 0.0 { sum / total } else { 0.0 }
    }

    /// The value of each decision, where that of some is the mean over others.
    fn values<'k>(&self, kernel: impl Fn(usize) -> Option<&'k Kernel>, weights: &[f64]) -> Vec<f64> {
        let count = self.decisions.len();
        let after = |values: &[f64], at: usize| if self.decisions[at].last { 0.0 } else { values[at + 1] };
        let mut values = vec![0.0; count];
        for at in (0..count).rev() {
            values[at] = self.decisions[at].step.reward + after(&values, at);
        }
        for _ in 0..ROUNDS {
            let mut moved = 0.0_f64;
            for at in (0..count).rev() {
                let mean = kernel(at).and_then(|kernel| {
                    let (mut sum, mut total) = (0.0, 0.0);
                    for &(other, weight) in kernel {
                        let weight = weight * weights[self.decisions[other].trajectory];
                        sum += weight * (self.decisions[other].step.reward + after(&values, other));
                        total += weight;
                    }
                    (total > 0.0).then(|| sum / total)
                });
                let value = mean.unwrap_or_else(|| self.decisions[at].step.reward + after(&values, at));
                moved = moved.max((value - values[at]).abs());
                values[at] = value;
            }
            if moved < 1e-4 {
                break;
            }
        }
        values
    }
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

pub(crate) fn show(f: &mut fmt::Formatter<'_>, estimates: &[(&str, Refinement)]) -> fmt::Result {
    if estimates.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "\nWould it help to revise a thought where the critic likes others better? Estimated from the"
    )?;
    writeln!(
        f,
        "recorded episodes, if their thoughts can be followed in similar states, and if the model has them:"
    )?;
    for (name, Refinement { decisions, revised, score, gain }) in estimates {
        writeln!(
            f,
            "{name:<22}score {score:.3} {:+.3} [{:+.3}, {:+.3}], {:.0} % of {decisions} decisions revised",
            gain.value,
            gain.low,
            gain.high,
            100.0 * revised
        )?;
    }
    Ok(())
}
