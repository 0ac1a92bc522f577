//! Whether revising thoughts by a critic would help, estimated from recorded episodes alone.
//!
//! The policy: at each recorded decision, the critic weighs the thought that was followed and up to [`ALTERNATIVES`]
//! thoughts of recorded decisions in the most similar states, by the mean probability of good outcomes less that of bad
//! ones. A thought below the mean of its alternatives is revised to the best of them. Its value is that of fitted-Q
//! evaluation with a kernel average in the place of the fit: no weights to learn, and no divergence.
//!
//! ```text
//! V_m = r_m + V_(m+1) + [revised] (Q(s_m, a_m) - Q(s_m, t_m))
//! Q(s, t) = mean over the nearest recorded (s_j, t_j) of other episodes of r_j + V_(j+1)
//! ```
//!
//! Both Qs of a difference are smoothed alike, so what only depends on the state cancels. The policy is chosen by the
//! critic, and Q knows nothing of the critic: the estimate does not favour what the critic likes. It is as good as three
//! assumptions: states that are near under the encoder are alike, recorded thoughts can be followed in similar states, and
//! the model would come up with them.

use std::collections::HashMap;
use std::fmt;

use forethought_api::Result;
use forethought_api::critic::{Critic, CriticQuery};
use forethought_api::encoder::TextEncoder;
use forethought_api::metrics::evenly;
use forethought_api::trajectory::{Step, Trajectory};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluate::closer::held;
use crate::evaluate::critic::{Embedded, Interval, PredictorReport, interval};
use crate::evaluate::draw::Draw;
use crate::evaluate::meaning::{Meanings, answers, query};

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
}

/// A weighted mean over decisions.
type Kernel = Vec<(usize, f64)>;

/// What revising by this critic would have changed; `None` if all episodes scored alike, so that no outcome is good or
/// bad, or if no decision has alternatives.
pub(crate) async fn estimate(
    data: Data<'_>,
    critic: &dyn Critic,
    encoder: &dyn TextEncoder,
    seed: u64,
) -> Result<Option<Refinement>> {
    let Some(outcomes) = good_and_bad(data) else { return Ok(None) };
    let all: usize = data.unseen.iter().map(|one| one.steps.len()).sum();
    let count = (data.unseen.len() * DECISIONS).div_ceil(all.max(1)).min(data.unseen.len());
    let episodes: Vec<&Trajectory> = evenly(data.unseen, count).collect();
    let decisions: Vec<Decision<'_>> = episodes
        .iter()
        .enumerate()
        .flat_map(|(trajectory, one)| {
            let last = one.steps.len().saturating_sub(1);
            one.steps.iter().enumerate().map(move |(at, step)| Decision {
                trajectory,
                step,
                last: at == last,
            })
        })
        .collect();
    let thought = |one: &Decision<'_>| data.meanings.thought(&one.step.thought).to_owned();
    let thoughts: Vec<String> = decisions.iter().map(thought).collect();
    let texts = decisions.iter().map(|one| &*one.step.state).chain(thoughts.iter().map(String::as_str));
    let embedded = Embedded::new(encoder, texts).await?;
    let world = World::new(&decisions, &thoughts, &embedded);

    let mut revised: Vec<Option<(Kernel, Kernel)>> = Vec::with_capacity(decisions.len());
    for (at, decision) in decisions.iter().enumerate() {
        let to_states = world.to_states(at);
        let alternatives = world.alternatives(at, &to_states);
        let mut weighed = Vec::new();
        if !alternatives.is_empty() {
            let thoughts = std::iter::once(&*decision.step.thought).chain(alternatives.iter().copied());
            let queries: Vec<CriticQuery> = thoughts
                .flat_map(|thought| {
                    outcomes.iter().map(move |(_, outcome)| query(decision.step, thought, outcome))
                })
                .collect();
            let estimates = answers(critic, queries).await?;
            let worth = |estimates: &[forethought_api::critic::Estimate]| {
                let side = |good: bool| {
                    let all = outcomes
                        .iter()
                        .zip(estimates)
                        .filter(|((side, _), one)| *side == good && !one.outside);
                    let all: Vec<f64> = all.map(|(_, one)| one.probability).collect();
                    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
                };
                Some(side(true)? - side(false)?)
            };
            weighed = estimates.chunks(outcomes.len()).map(worth).collect();
        }
        revised.push(chosen(&weighed).map(|best| {
            let instead = alternatives[best];
            (world.kernel(at, &to_states, instead), world.kernel(at, &to_states, &thoughts[at]))
        }));
    }
    let share = revised.iter().flatten().count() as f64 / revised.len().max(1) as f64;
    if world.decisions.is_empty() || !world.any_alternatives {
        return Ok(None);
    }
    let ones = vec![1.0; episodes.len()];
    let value = world.gain(&revised, &ones);
    let mut draw = Draw::new(seed, "critic eval refinement");
    let resampled: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut weights = vec![0.0; episodes.len()];
            (0..episodes.len()).for_each(|_| weights[draw.below(episodes.len())] += 1.0);
            world.gain(&revised, &weights)
        })
        .collect();
    let score = episodes.iter().map(|one| one.score()).sum::<f64>() / episodes.len().max(1) as f64;
    Ok(Some(Refinement {
        decisions: decisions.len(),
        revised: share,
        score,
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

/// The most frequent outcomes of the data that the critic learned from, half of them good: their episodes scored above the
/// mean.
fn good_and_bad(data: Data<'_>) -> Option<Vec<(bool, String)>> {
    let mut found: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, one) in data.learned.iter().enumerate() {
        for outcome in one.steps.iter().flat_map(|step| held(step, data.meanings)) {
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

/// Recorded decisions, and how far they are from each other.
struct World<'a> {
    decisions: &'a [Decision<'a>],
    thoughts: &'a [String],
    embedded: &'a Embedded<'a>,
    any_alternatives: bool,
}

impl<'a> World<'a> {
    fn new(decisions: &'a [Decision<'a>], thoughts: &'a [String], embedded: &'a Embedded<'a>) -> Self {
        let any_alternatives = thoughts.windows(2).any(|pair| pair[0] != pair[1]);
        Self { decisions, thoughts, embedded, any_alternatives }
    }

    /// Squared distances of the states of all decisions to that of one.
    fn to_states(&self, at: usize) -> Vec<f32> {
        let own = self.embedded.row(&self.decisions[at].step.state);
        let mut known: HashMap<&str, f32> = HashMap::new();
        let distance = |one: &'a Decision<'a>| {
            let state = one.step.state.as_str();
            *known.entry(state).or_insert_with(|| squared(own, self.embedded.row(state)))
        };
        self.decisions.iter().map(distance).collect()
    }

    /// Thoughts of other episodes in the most similar states.
    fn alternatives(&self, at: usize, to_states: &[f32]) -> Vec<&'a str> {
        let mut order: Vec<usize> = (0..self.decisions.len())
            .filter(|&other| self.decisions[other].trajectory != self.decisions[at].trajectory)
            .collect();
        order.sort_by(|&a, &b| to_states[a].total_cmp(&to_states[b]));
        let mut taken = vec![self.thoughts[at].as_str()];
        for other in order {
            if taken.len() > ALTERNATIVES {
                break;
            }
            let thought = self.thoughts[other].as_str();
            if !taken.contains(&thought) {
                taken.push(thought);
            }
        }
        taken.split_off(1)
    }

    /// The mean over the decisions of other episodes that are nearest to a thought in the state of one.
    fn kernel(&self, at: usize, to_states: &[f32], thought: &str) -> Kernel {
        let own = self.embedded.row(thought);
        let mut known: HashMap<&str, f32> = HashMap::new();
        let mut near: Vec<(f32, usize)> = Vec::new();
        for (other, decision) in self.decisions.iter().enumerate() {
            if decision.trajectory == self.decisions[at].trajectory {
                continue;
            }
            let said = self.thoughts[other].as_str();
            let apart = *known.entry(said).or_insert_with(|| squared(own, self.embedded.row(said)));
            near.push((to_states[other] + THOUGHT * apart, other));
        }
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        near.truncate(NEIGHBOURS);
        let width = near.iter().map(|(distance, _)| distance).sum::<f32>() / near.len().max(1) as f32;
        let width = (width / 2.0).max(1e-6);
        near.into_iter().map(|(distance, other)| (other, f64::from(-distance / width).exp())).collect()
    }

    /// The mean change of an episode's score, its episodes counting `weights` times.
    fn gain(&self, revised: &[Option<(Kernel, Kernel)>], weights: &[f64]) -> f64 {
        // Of each decision: what comes after it, and the sum of the changes from it on.
        let count = self.decisions.len();
        let mut changes = vec![0.0; count + 1];
        let mut returns = vec![0.0; count + 1];
        for at in (0..count).rev() {
            let after = if self.decisions[at].last { 0.0 } else { returns[at + 1] };
            returns[at] = self.decisions[at].step.reward + after;
        }
        for _ in 0..ROUNDS {
            let before = changes.clone();
            // Of the recorded decision `j`: its reward and the value of the next state.
            let target = |j: usize| returns[j] + if self.decisions[j].last { 0.0 } else { before[j + 1] };
            let mean = |kernel: &Kernel| {
                let (mut sum, mut total) = (0.0, 0.0);
                for &(j, weight) in kernel {
                    let weight = weight * weights[self.decisions[j].trajectory];
                    sum += weight * target(j);
                    total += weight;
                }
                (total > 0.0).then(|| sum / total)
            };
            for at in (0..count).rev() {
                let after = if self.decisions[at].last { 0.0 } else { changes[at + 1] };
                let own = revised[at].as_ref().and_then(|(new, old)| Some(mean(new)? - mean(old)?));
                changes[at] = after + own.unwrap_or_default();
            }
            let moved = changes.iter().zip(&before).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            if moved < 1e-9 {
                break;
            }
        }
        let (mut sum, mut total, mut before) = (0.0, 0.0, usize::MAX);
        for (at, decision) in self.decisions.iter().enumerate() {
            if decision.trajectory != before {
                before = decision.trajectory;
                sum += weights[before] * changes[at];
                total += weights[before];
            }
        }
        if total > 0.0 { sum / total } else { 0.0 }
    }
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

pub(crate) fn show(f: &mut fmt::Formatter<'_>, predictors: &[PredictorReport]) -> fmt::Result {
    let estimates: Vec<_> =
        predictors.iter().filter_map(|one| Some((&one.name, one.refinement.as_ref()?))).collect();
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
