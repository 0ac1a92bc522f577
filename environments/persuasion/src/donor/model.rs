//! The donor as a probabilistic model: which act comes next, and what is given in the end, from the path so far.
//!
//! Acts are drawn sentence by sentence from a log-linear model, until it says stop. Whether something is given is
//! logistic in what happened; how much is a draw from what real donors gave. Both depend on a doubt that each donor has
//! about one concern, and that halves with every turn in which the persuader addresses it. docs/persuasion-donor.md
//! describes what is assumed and what is fitted.

use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, IndexedRandom, RngExt},
};

use super::acts::{
    ACTS, AGREE, APPROACHES, CREDIBILITY, Concern, DISAGREE, EMOTION, GROUPS, INFORMATION, NEGATIVE, PROVIDE,
    REASON, REQUEST, STOP, concern, group, valence,
};
use super::reader::Reader;

/// How much a full doubt weighs in the choice of acts, in nats.
pub const DOUBT_IN_ACTS: f64 = 1.0;
/// How much it weighs in the decision to give, in nats.
pub const DOUBT_IN_GIFT: f64 = 2.0;
/// How much a doubt below the mean of the three concerns moves the amount: the quantile `u` of what donors give
/// becomes `u^exp(-this * difference)`.
pub const DOUBT_IN_AMOUNT: f64 = 1.0;
/// Features of the choice of the next act.
pub const FEATURES: usize = 1 + 6 + APPROACHES + 4 + 1 + 4 + (GROUPS + 1) + 1;
/// Features of the gift.
pub const GIFT_FEATURES: usize = 11;
/// Most sentences of a turn.
const SENTENCES: usize = 7;

/// The fitted numbers.
#[data]
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Reads approaches from words.
    pub reader: Reader,
    /// For each act, and for stopping, the weight of each feature.
    pub acts: Vec<Vec<f64>>,
    /// Weights of the gift's features.
    pub gift: Vec<f64>,
    /// What donors who give something give, in dollars, ascending, with the share of each.
    pub amounts: Vec<(f64, f64)>,
}

/// Who a donor is: drawn once per episode, never shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traits {
    /// What this donor doubts.
    pub concern: Concern,
    /// How much, at first; 1 on average.
    pub doubt: f64,
    /// Its quantile among donors in what it gives, within (0, 1).
    pub generosity: f64,
}

impl Traits {
    /// The traits of a person; `scepticism` scales the doubt.
    pub fn draw(rng: &mut ChaCha8Rng, scepticism: f64) -> Self {
        Self {
            concern: *Concern::ALL.choose(rng).expect("three concerns"),
            doubt: scepticism * rng.random_range(0.5..1.5),
            generosity: rng.random(),
        }
    }
}

/// What has happened so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Path {
    /// Turns begun.
    turns: usize,
    /// Turns with each approach.
    made: [u32; APPROACHES],
    /// Turns that spoke to each concern.
    met: [u32; 3],
    /// The approaches of this turn.
    now: [bool; APPROACHES],
    agreed: bool,
    named: bool,
    refused: bool,
    doubted: bool,
}

impl Path {
    /// The persuader speaks: a turn begins.
    pub fn hear(&mut self, approaches: &[usize]) {
        self.turns += 1;
        self.now = [false; APPROACHES];
        for &approach in approaches {
            self.now[approach] = true;
        }
        for (made, now) in self.made.iter_mut().zip(self.now) {
            *made += u32::from(now);
        }
        for (met, one) in self.met.iter_mut().zip(Concern::ALL) {
            *met += u32::from(
                (0..APPROACHES).any(|approach| self.now[approach] && concern(approach) == Some(one)),
            );
        }
    }

    /// The donor's acts of this turn become history.
    pub fn answer(&mut self, acts: &[usize]) {
        let did = |wanted: usize| acts.contains(&wanted);
        self.agreed |= did(AGREE);
        self.named |= did(PROVIDE);
        self.refused |= did(DISAGREE);
        self.doubted |= did(NEGATIVE);
    }

    /// The share of a doubt about `concern` that is left.
    fn left(&self, concern: Concern) -> f64 {
        0.5_f64.powi(self.met[concern as usize].min(30) as i32)
    }

    /// The mean over the concerns of the doubt that is left: the doubt of an unknown donor.
    pub fn mean_doubt(&self) -> f64 {
        Concern::ALL.iter().map(|&concern| self.left(concern)).sum::<f64>() / 3.0
    }

    /// What is left of this donor's doubt.
    pub fn doubt(&self, traits: &Traits) -> f64 {
        traits.doubt * self.left(traits.concern)
    }

    /// The features of the next act after `before` in this turn: places and values, the rest are 0.
    pub fn features(&self, before: &[usize]) -> Vec<(usize, f64)> {
        let mut features = vec![(0, 1.0)];
        let position = match self.turns {
            0 | 1 => 0,
            2 => 1,
            3 | 4 => 2,
            5..=7 => 3,
            8 | 9 => 4,
            _ => 5,
        };
        let mut next = 1;
        features.push((next + position, 1.0));
        next += 6;
        features.extend(
            (0..APPROACHES).filter(|&approach| self.now[approach]).map(|approach| (next + approach, 1.0)),
        );
        next += APPROACHES;
        features.extend(self.appeals().into_iter().enumerate().map(|(at, made)| (next + at, made)));
        next += 4;
        let asked_before = self.made[REQUEST] > u32::from(self.now[REQUEST]);
        let history = [asked_before, self.agreed, self.named, self.refused, self.doubted];
        features
            .extend(history.into_iter().enumerate().filter(|(_, is)| *is).map(|(at, _)| (next + at, 1.0)));
        next += history.len();
        features.push((next + before.last().map_or(GROUPS, |&last| group(last)), 1.0));
        next += GROUPS + 1;
        if before.len() > 1 {
            features.push((next, 1.0));
        }
        features
    }

    /// How much of each kind of appeal was made, within [0, 1): the first weighs most.
    fn appeals(&self) -> [f64; 4] {
        [CREDIBILITY, EMOTION, REASON, INFORMATION]
            .map(|kind| 1.0 - 0.5_f64.powi(self.made[kind].min(30) as i32))
    }

    /// The features of the gift.
    pub fn gift_features(&self) -> [f64; GIFT_FEATURES] {
        let flag = f64::from;
        let [credibility, emotion, reason, information] = self.appeals();
        [
            1.0,
            flag(self.agreed),
            flag(self.named),
            flag(self.refused),
            flag(self.doubted),
            f64::from(self.made[REQUEST].min(3)) / 3.0,
            credibility,
            emotion,
            reason,
            information,
            flag(self.made[6] + self.made[7] + self.made[8] > 0),
        ]
    }
}

/// Log-probabilities of the acts and, last, of stopping, from the features of the path; `first` means that nothing was
/// said yet in this turn, so that it cannot stop.
pub fn next_act(weights: &[Vec<f64>], features: &[(usize, f64)], first: bool, doubt: f64) -> Vec<f64> {
    let dot = |weights: &Vec<f64>| features.iter().map(|&(at, value)| weights[at] * value).sum();
    let mut scores: Vec<f64> = weights.iter().map(dot).collect();
    for (act, score) in scores.iter_mut().enumerate().take(ACTS) {
        *score -= DOUBT_IN_ACTS * doubt * valence(act);
    }
    if first {
        scores[STOP] = f64::NEG_INFINITY;
    }
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = top + scores.iter().map(|score| (score - top).exp()).sum::<f64>().ln();
    scores.iter().map(|score| score - total).collect()
}

impl Parameters {
    /// The shipped numbers.
    pub fn shipped() -> Self {
        forethought_sdk::serde_json::from_str(include_str!("fitted.json"))
            .expect("the shipped numbers are JSON")
    }

    /// The donor's acts in answer to what was just heard.
    pub fn acts(&self, path: &Path, traits: &Traits, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let doubt = path.doubt(traits);
        let mut acts = Vec::new();
        while acts.len() < SENTENCES {
            let logs = next_act(&self.acts, &path.features(&acts), acts.is_empty(), doubt);
            let mut left: f64 = rng.random();
            let drawn = logs.iter().position(|log| {
                left -= log.exp();
                left < 0.0
            });
            // Rounding can leave a tiny rest: it means to stop.
            match drawn.unwrap_or(STOP) {
                STOP => break,
                act => acts.push(act),
            }
        }
        acts
    }

    /// The probability that something is given if the dialogue ends here.
    pub fn gives(&self, path: &Path, doubt: f64) -> f64 {
        let score: f64 =
            self.gift.iter().zip(path.gift_features()).map(|(weight, feature)| weight * feature).sum();
        1.0 / (1.0 + (DOUBT_IN_GIFT * doubt - score).exp())
    }

    /// What this donor gives, if it gives, if the dialogue ends here.
    pub fn amount(&self, path: &Path, traits: &Traits) -> f64 {
        let moved = path.mean_doubt() - path.left(traits.concern);
        let mut quantile = traits.generosity.powf((-DOUBT_IN_AMOUNT * moved).exp());
        let found = self.amounts.iter().find(|(_, share)| {
            quantile -= share;
            quantile < 0.0
        });
        found.or(self.amounts.last()).map_or(0.0, |(amount, _)| *amount)
    }
}
