//! What a critic says of imagined outcomes, and what a prompt shows of it.

use forethought_sdk::{
    prelude::*,
    serde_json::{Value, json},
};

use crate::deliberate::{Mode, Outside, Weighing};

/// Sentences of a style card that a prompt lists at most: outcomes, thoughts, states.
const LISTED: [usize; 3] = [40, 24, 16];

/// A critic, and how its data speak.
pub(crate) struct Scales<'a> {
    config: &'a Weighing,
    critic: Arc<dyn Critic>,
    card: StyleCard,
}

impl<'a> Scales<'a> {
    pub(crate) async fn of(config: &'a Weighing, models: &Arc<dyn Models>) -> Result<Self> {
        let critic = models.critic(config.critic.clone()).await?;
        let card = critic.style_card().await?;
        Ok(Self { config, critic, card })
    }

    /// The sentences that prompts show as `style`: an object, or null if nothing is to be shown.
    pub(crate) fn style(&self) -> Value {
        let StyleCard { outcomes, states, thoughts } = &self.card;
        if !self.config.style || (outcomes.is_empty() && states.is_empty() && thoughts.is_empty()) {
            return Value::Null;
        }
        let [most_outcomes, most_thoughts, most_states] = LISTED;
        let outcomes: Vec<_> = outcomes.iter().take(most_outcomes).map(|one| &one.text).collect();
        json!({
            "outcomes": outcomes, "thoughts": &thoughts[..thoughts.len().min(most_thoughts)],
            "states": &states[..states.len().min(most_states)],
        })
    }

    /// Weighs every thought against every outcome, in one batch: a round per thought. `Ok(Err(_))` if the critic asks a
    /// model whose answer could not be read.
    pub(crate) async fn weigh(
        &self,
        state: &str,
        thoughts: &[String],
        outcomes: &[(bool, String)],
    ) -> Result<Result<Vec<Round>, String>> {
        let query = |thought: &String, outcome: &String| CriticQuery {
            state: state.to_owned(),
            thought: thought.clone(),
            outcome: outcome.clone(),
        };
        let queries: Vec<_> = thoughts
            .iter()
            .flat_map(|thought| outcomes.iter().map(move |(_, outcome)| query(thought, outcome)))
            .collect();
        let wanted = queries.len();
        let estimates = match self.critic.estimate(queries).await {
            Err(error) if error.code == Code::Malformed => {
                return Ok(Err(format!("the critic {:?} gave no values ({error})", self.config.critic)));
            }
            estimates => estimates?,
        };
        if estimates.len() != wanted {
            let (name, given) = (&self.config.critic, estimates.len());
            let what = format!("the critic {name:?} answered {given} of {wanted} queries");
            return Err(Error::new(Code::Plugin, what));
        }
        let round = |(thought, estimates): (&String, &[Estimate])| Round {
            thought: thought.clone(),
            outcomes: outcomes
                .iter()
                .zip(estimates)
                .map(|(one, estimate)| self.valued(one, estimate))
                .collect(),
            kept: false,
        };
        Ok(Ok(thoughts.iter().zip(estimates.chunks(outcomes.len().max(1))).map(round).collect()))
    }

    fn valued(&self, (good, text): &(bool, String), estimate: &Estimate) -> ValuedOutcome {
        let known = estimate.known.and_then(|index| self.card.outcomes.get(index as usize));
        let Weighing { abstain, furthest, outside, .. } = self.config;
        let far = estimate.distance.zip(*furthest).is_some_and(|(distance, most)| distance > most);
        let strange = (estimate.outside || far) && *abstain;
        ValuedOutcome {
            text: text.clone(),
            good: *good,
            probability: estimate.probability,
            raw: estimate.raw,
            uncertainty: estimate.uncertainty,
            known_as: known.map(|known| known.text.clone()).filter(|known| known != text),
            usual: known.map(|known| known.usual),
            mean_return: known.and_then(|known| known.mean_return),
            outside: strange && *outside != Outside::Show,
            strange: strange && *outside == Outside::Show,
            distance: estimate.distance,
        }
    }

    /// The outcomes of the critic's data that have a score: good ones, above the mean of what usually happens, and bad
    /// ones, below it. `None` if one side is empty.
    pub(crate) fn recorded(&self) -> Option<Vec<(bool, String)>> {
        let scored = self.card.outcomes.iter().filter_map(|one| Some((one, one.mean_return?)));
        let scored: Vec<_> = scored.filter(|(_, score)| score.is_finite()).collect();
        let usual = |(one, _): &(&KnownOutcome, f64)| one.usual;
        let total: f64 = scored.iter().map(usual).sum();
        let mean = scored.iter().map(|one| usual(one) * one.1).sum::<f64>() / total;
        let side =
            |(one, score): &(&KnownOutcome, f64)| (*score != mean).then(|| (*score > mean, one.text.clone()));
        let sides: Vec<_> = scored.iter().filter_map(side).collect();
        let both = sides.iter().any(|(good, _)| *good) && sides.iter().any(|(good, _)| !good);
        (both && mean.is_finite()).then_some(sides)
    }

    /// Whether the first round is so good that refining it is not worth the calls.
    pub(crate) fn confident(&self, round: &Round) -> bool {
        self.config.confident.is_some_and(|least| hope(round).is_some_and(|hope| hope > least))
    }

    /// Whether outcomes outside the critic's data are left out of prompts.
    pub(crate) fn ignores(&self) -> bool {
        self.config.outside == Outside::Ignore
    }

    /// Whether the yardstick of a probability is shown.
    pub(crate) fn yardstick(&self) -> bool {
        self.config.yardstick
    }
}

/// What of a round is shown besides outcomes and probabilities.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) yardstick: bool,
    pub(crate) uncertainty: bool,
    /// One number in place of the outcomes.
    pub(crate) scalar: bool,
    /// Outcomes outside the critic's data are left out: each, or where thoughts are compared, those that are outside
    /// with all of them.
    pub(crate) ignore: Option<Mode>,
}

/// Rounds for a template: every outcome with all its keys, absent ones as null.
pub(crate) fn shown(rounds: &[Round], show: Shown) -> Value {
    let outcome = |outcome: &ValuedOutcome| {
        let (usual, mean_return) =
            if show.yardstick { (outcome.usual, outcome.mean_return) } else { Default::default() };
        let spread = Some(outcome.uncertainty).filter(|spread| show.uncertainty && *spread > 0.0);
        json!({
            "text": outcome.text, "good": outcome.good, "probability": outcome.probability, "raw": outcome.raw,
            "uncertainty": outcome.uncertainty, "usual": usual, "mean_return": mean_return,
            "outside": outcome.outside, "spread": spread.filter(|_| !outcome.outside),
            "strange": outcome.strange,
        })
    };
    let left_out = |at: usize, one: &ValuedOutcome| match show.ignore {
        None => false,
        Some(Mode::Refine) => one.outside,
        Some(Mode::Compare) => {
            rounds.iter().all(|round| round.outcomes.get(at).is_none_or(|other| other.outside))
        }
    };
    let round = |round: &Round| {
        let outcomes = round.outcomes.iter().enumerate().filter(|(at, one)| !left_out(*at, one));
        let outcomes: Vec<_> = outcomes.map(|(_, one)| outcome(one)).collect();
        let score = expected(round).filter(|_| show.scalar);
        json!({ "thought": round.thought, "outcomes": outcomes, "kept": round.kept, "score": score })
    };
    rounds.iter().map(round).collect()
}

/// Keeps the likeliest outcomes of a round, in their order: `n` of them, half good, half bad.
pub(crate) fn likeliest(round: &mut Round, n: usize) {
    let side = |good: bool, most: usize| {
        let mut side: Vec<_> =
            (0..round.outcomes.len()).filter(|&at| round.outcomes[at].good == good).collect();
        let probability =
            |at: usize| Some(&round.outcomes[at]).filter(|one| !one.outside).map(|one| one.probability);
        let probability = |at: usize| probability(at).unwrap_or(-1.0);
        side.sort_by(|&a, &b| probability(b).total_cmp(&probability(a)));
        side.truncate(most);
        side
    };
    let mut kept = [side(true, n / 2), side(false, n - n / 2)].concat();
    kept.sort_unstable();
    let mut index = 0;
    round.outcomes.retain(|_| {
        index += 1;
        kept.contains(&(index - 1))
    });
}

/// The score to be expected: that of the outcomes, weighted by their probabilities, or the probability of an only one.
/// Where no outcome has a score, how much the good ones exceed the bad ones, as a number from 0 to 1.
pub(crate) fn expected(round: &Round) -> Option<f64> {
    let known = round.outcomes.iter().filter(|outcome| !outcome.outside);
    if let [goal] = &round.outcomes[..] {
        return known.map(|_| goal.probability).next();
    }
    let scored: Vec<_> = known.filter_map(|one| Some((one.probability, one.mean_return?))).collect();
    if scored.is_empty() {
        return hope(round).map(|hope| f64::midpoint(hope, 1.0));
    }
    let total: f64 = scored.iter().map(|(probability, _)| probability).sum();
    let sum: f64 = scored.iter().map(|(probability, score)| probability * score).sum();
    Some(sum / total).filter(|expected| expected.is_finite())
}

/// Whether the critic has data on none of the outcomes.
pub(crate) fn abstained(rounds: &[Round]) -> bool {
    rounds.iter().flat_map(|round| &round.outcomes).all(|outcome| outcome.outside)
}

/// Mean probability of the good outcomes less that of the bad ones; `None` if there is no data on one side.
pub(crate) fn hope(round: &Round) -> Option<f64> {
    let mean = |good: bool| {
        let side = round.outcomes.iter().filter(|outcome| outcome.good == good && !outcome.outside);
        let side: Vec<_> = side.map(|outcome| outcome.probability).collect();
        (!side.is_empty()).then(|| side.iter().sum::<f64>() / side.len() as f64)
    };
    Some(mean(true)? - mean(false)?)
}
