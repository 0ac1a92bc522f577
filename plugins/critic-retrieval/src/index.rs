//! The search: recorded steps by the distance of their state and thought, and what became of them.

use std::collections::{BTreeSet, HashMap};

use forethought_sdk::api::metrics::evenly;
use forethought_sdk::prelude::*;
use forethought_sdk::seed::SliceRandom;

use crate::data::{Corpus, TextId};

/// Recorded steps over which the usual value of an outcome is averaged.
const USUAL: usize = 256;
/// Recorded outcomes that one in other words is compared with.
const ALIKE: usize = 32;
/// Weight of the usual value, in steps.
const PRIOR: f64 = 1.0;

/// Recorded steps that can be searched.
pub(crate) struct Index {
    pub(crate) corpus: Corpus,
    /// One row per text of the corpus.
    pub(crate) vectors: Vec<f32>,
    pub(crate) dimension: usize,
    states: Column,
    thoughts: Column,
    /// Distinct outcomes.
    outcomes: Vec<TextId>,
    /// Those that two trajectories have: only the same words count as them.
    recurring: BTreeSet<TextId>,
    /// Steps that give the usual value of an outcome.
    usual: Vec<usize>,
    ids: HashMap<String, TextId>,
    /// An order of the steps that has nothing to do with them, for ties.
    order: Vec<u32>,
}

/// The distinct texts of one kind, and the place of each step's text among them.
struct Column {
    texts: Vec<TextId>,
    places: Vec<u32>,
}

impl Column {
    fn new(texts: impl Iterator<Item = TextId>) -> Self {
        let mut found: HashMap<TextId, u32> = HashMap::new();
        let mut distinct = Vec::new();
        let place = |text| {
            *found.entry(text).or_insert_with(|| {
                distinct.push(text);
                distinct.len() as u32 - 1
            })
        };
        let places = texts.map(place).collect();
        Self { texts: distinct, places }
    }
}

/// How distances count: `lambda` and `h` of the crate's documentation.
#[data]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Scales {
    /// Weight of the thought's distance.
    pub(crate) thought: f32,
    /// The distance at which a weight is 1/e.
    pub(crate) width: f32,
}

/// A recorded step near a question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Near {
    pub(crate) distance: f32,
    pub(crate) step: usize,
}

/// What an outcome is compared with.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    /// How far it is like each of these recorded texts.
    alike: HashMap<TextId, f64>,
    /// The squared distance to the nearest recorded outcome.
    pub(crate) distance: f32,
    /// Its value over all recorded steps.
    pub(crate) usual: f64,
}

/// A value, and what it rests on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Valued {
    pub(crate) value: f64,
    /// As how many independent episodes its neighbours count, the usual value included.
    pub(crate) count: f64,
}

impl Index {
    pub(crate) fn new(corpus: Corpus, vectors: Vec<f32>, dimension: usize) -> Self {
        let states = Column::new(corpus.steps.iter().map(|step| step.state));
        let thoughts = Column::new(corpus.steps.iter().map(|step| step.thought));
        let mut first: HashMap<TextId, usize> = HashMap::new();
        let (mut outcomes, mut recurring) = (Vec::new(), BTreeSet::new());
        for step in &corpus.steps {
            for &outcome in &step.outcomes {
                let trajectory = *first.entry(outcome).or_insert_with(|| {
                    outcomes.push(outcome);
                    step.trajectory
                });
                if trajectory != step.trajectory {
                    recurring.insert(outcome);
                }
            }
        }
        let all: Vec<usize> = (0..corpus.steps.len()).collect();
        let mut order: Vec<u32> = (0..corpus.steps.len() as u32).collect();
        order.shuffle(&mut seed::stream(0, "retrieval/ties"));
        Self {
            usual: evenly(&all, USUAL).collect(),
            ids: corpus.texts.iter().cloned().zip(0..).collect(),
            corpus,
            vectors,
            dimension,
            states,
            thoughts,
            outcomes,
            recurring,
            order,
        }
    }

    pub(crate) fn row(&self, text: TextId) -> &[f32] {
        &self.vectors[text as usize * self.dimension..][..self.dimension]
    }

    /// Squared distances of a vector to the distinct states.
    pub(crate) fn to_states(&self, vector: &[f32]) -> Vec<f32> {
        self.states.texts.iter().map(|&text| squared(vector, self.row(text))).collect()
    }

    /// Squared distances of a vector to the distinct thoughts.
    pub(crate) fn to_thoughts(&self, vector: &[f32]) -> Vec<f32> {
        self.thoughts.texts.iter().map(|&text| squared(vector, self.row(text))).collect()
    }

    /// The distance of each step's state, from those of the distinct states.
    pub(crate) fn of_steps(&self, to_states: &[f32]) -> Vec<f32> {
        self.states.places.iter().map(|&place| to_states[place as usize]).collect()
    }

    /// The nearest `count` steps, the nearest first.
    pub(crate) fn nearest(
        &self,
        to_states: &[f32],
        to_thoughts: &[f32],
        thought: f32,
        count: usize,
    ) -> Vec<Near> {
        let places = self.states.places.iter().zip(&self.thoughts.places);
        let distance =
            |(&state, &said): (&u32, &u32)| to_states[state as usize] + thought * to_thoughts[said as usize];
        let mut all: Vec<(f32, u32, u32)> =
            places.map(distance).zip(&self.order).zip(0..).map(|((d, tie), step)| (d, *tie, step)).collect();
        let by = |a: &(f32, u32, u32), b: &(f32, u32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if count < all.len() {
            all.select_nth_unstable_by(count, by);
            all.truncate(count);
        }
        all.sort_unstable_by(by);
        all.into_iter().map(|(distance, _, step)| Near { distance, step: step as usize }).collect()
    }

    /// The recorded outcomes that a text means, and its embedding if it is in other words. `width` is the distance at
    /// which likeness is 1/e.
    pub(crate) fn goal(&self, text: &str, vector: &[f32], (width, gamma): (f32, f64)) -> Goal {
        let mut goal = self.alike(text, vector, width);
        let values = self.usual.iter().map(|&step| self.reached(step, &goal, gamma));
        goal.usual = values.sum::<f64>() / self.usual.len().max(1) as f64;
        goal
    }

    fn alike(&self, text: &str, vector: &[f32], width: f32) -> Goal {
        let own = self.ids.get(text.trim()).copied();
        if let Some(own) = own.filter(|own| self.recurring.contains(own)) {
            return Goal { alike: [(own, 1.0)].into(), distance: 0.0, usual: 0.0 };
        }
        let mut near: Vec<(f32, TextId)> =
            self.outcomes.iter().map(|&outcome| (squared(vector, self.row(outcome)), outcome)).collect();
        near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let distance = near.first().map_or(f32::MAX, |(distance, _)| *distance);
        let mut alike: HashMap<TextId, f64> = near
            .iter()
            .take(ALIKE)
            .map(|&(distance, outcome)| (outcome, f64::from(-distance / width).exp()))
            .filter(|(_, like)| *like > 0.01)
            .collect();
        alike.extend(own.map(|own| (own, 1.0)));
        Goal { alike, distance: if own.is_some() { 0.0 } else { distance }, usual: 0.0 }
    }

    /// The mean distance between an outcome and the nearest other one: what counts as near among outcomes.
    pub(crate) fn between_outcomes(&self) -> f32 {
        const COMPARED: usize = 200;
        let nearest = |own: TextId| {
            let others = self.outcomes.iter().filter(|other| **other != own);
            others.map(|&other| squared(self.row(own), self.row(other))).fold(f32::INFINITY, f32::min)
        };
        let all: Vec<f32> =
            evenly(&self.outcomes, COMPARED).map(nearest).filter(|one| one.is_finite()).collect();
        let mean = all.iter().sum::<f32>() / all.len().max(1) as f32;
        // A third, so that the nearest other outcome is hardly the same.
        (mean / 3.0).max(1e-3)
    }

    /// How soon a step reached the goal.
    pub(crate) fn reached(&self, step: usize, goal: &Goal, gamma: f64) -> f64 {
        self.corpus.value(step, gamma, |text| goal.alike.get(&text).copied().unwrap_or_default())
    }

    /// The value of a goal after the thought whose nearest steps are `near`.
    pub(crate) fn value(&self, near: &[Near], goal: &Goal, scales: Scales, gamma: f64) -> Valued {
        let (mut sum, mut total) = (PRIOR * goal.usual, PRIOR);
        let mut by_trajectory: HashMap<usize, f64> = HashMap::new();
        for one in near {
            let weight = weight(one, scales);
            sum += weight * self.reached(one.step, goal, gamma);
            total += weight;
            *by_trajectory.entry(self.corpus.steps[one.step].trajectory).or_default() += weight;
        }
        let mut squares: Vec<f64> = by_trajectory.into_values().map(|one| one * one).collect();
        // A fixed order: sums of the same numbers in another order differ in the last bit.
        squares.sort_by(f64::total_cmp);
        Valued { value: sum / total, count: total * total / (PRIOR * PRIOR + squares.iter().sum::<f64>()) }
    }
}

pub(crate) fn weight(near: &Near, scales: Scales) -> f64 {
    f64::from(-near.distance / scales.width).exp()
}

/// The squared Euclidean distance. In lanes, because the order of a sum is fixed otherwise, and none of it in parallel.
pub(crate) fn squared(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (whole_a, rest_a) = a.as_chunks::<LANES>();
    let (whole_b, rest_b) = b.as_chunks::<LANES>();
    for (a, b) in whole_a.iter().zip(whole_b) {
        for lane in 0..LANES {
            let apart = a[lane] - b[lane];
            sums[lane] += apart * apart;
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f32>() + rest
}
