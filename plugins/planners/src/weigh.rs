//! What a critic says of imagined outcomes, and what a prompt shows of it.

use forethought_sdk::{
    prelude::*,
    serde_json::{Value, json},
};

use crate::deliberate::Weighing;

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
        ValuedOutcome {
            text: text.clone(),
            good: *good,
            probability: estimate.probability,
            raw: estimate.raw,
            uncertainty: estimate.uncertainty,
            known_as: known.map(|known| known.text.clone()).filter(|known| known != text),
            usual: known.map(|known| known.usual),
            mean_return: known.and_then(|known| known.mean_return),
            outside: estimate.outside && self.config.abstain,
        }
    }

    /// Whether the first round is so good that refining it is not worth the calls.
    pub(crate) fn confident(&self, round: &Round) -> bool {
        self.config.confident.is_some_and(|least| hope(round).is_some_and(|hope| hope > least))
    }

    /// Whether the yardstick of a probability is shown.
    pub(crate) fn yardstick(&self) -> bool {
        self.config.yardstick
    }
}

/// Rounds for a template: every outcome with all its keys, absent ones as null.
pub(crate) fn shown(rounds: &[Round], yardstick: bool) -> Value {
    let outcome = |outcome: &ValuedOutcome| {
        let (usual, mean_return) =
            if yardstick { (outcome.usual, outcome.mean_return) } else { Default::default() };
        json!({
            "text": outcome.text, "good": outcome.good, "probability": outcome.probability, "raw": outcome.raw,
            "uncertainty": outcome.uncertainty, "usual": usual, "mean_return": mean_return,
            "outside": outcome.outside,
        })
    };
    let round = |round: &Round| {
        let outcomes: Vec<_> = round.outcomes.iter().map(outcome).collect();
        json!({ "thought": round.thought, "outcomes": outcomes, "kept": round.kept })
    };
    rounds.iter().map(round).collect()
}

/// Whether the critic has data on none of the outcomes.
pub(crate) fn abstained(rounds: &[Round]) -> bool {
    rounds.iter().flat_map(|round| &round.outcomes).all(|outcome| outcome.outside)
}

/// Mean probability of the good outcomes less that of the bad ones; `None` if there is no data on one side.
fn hope(round: &Round) -> Option<f64> {
    let mean = |good: bool| {
        let side = round.outcomes.iter().filter(|outcome| outcome.good == good && !outcome.outside);
        let side: Vec<_> = side.map(|outcome| outcome.probability).collect();
        (!side.is_empty()).then(|| side.iter().sum::<f64>() / side.len() as f64)
    };
    Some(mean(true)? - mean(false)?)
}
