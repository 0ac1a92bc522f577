//! Configuration of the trainer and of the critic that it makes.

use forethought_sdk::config::obey;
use forethought_sdk::prelude::*;

/// Trains a classifier of dialogue acts on annotated dialogues.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct TrainerConfig {
    /// Name of the text encoder, as in `[encoder.<name>]`.
    #[schemars(with = "EncoderName")]
    pub encoder: String,
    /// What an act is predicted from.
    pub input: Input,
    /// The seat whose acts are learned.
    pub seat: usize,
    /// Utterances before the one in focus that are read as its context.
    #[schemars(range(max = 1000))]
    pub window: usize,
    /// Weight of the context relative to the utterance in focus; 0 ignores it.
    pub context: f32,
    /// Strength of the ridge penalty on the weights.
    pub l2: f64,
    /// Steps of accelerated gradient descent.
    pub steps: u64,
    /// Share of the dialogues that is held out for measuring.
    pub held_out: f64,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            encoder: "default".into(),
            input: Input::Utterance,
            seat: 0,
            window: 3,
            context: 0.5,
            l2: 1e-3,
            steps: 400,
            held_out: 0.2,
        }
    }
}

/// What an act is predicted from.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The utterance: which act it is.
    #[default]
    Utterance,
    /// The dialogue so far: which act comes next.
    State,
}

impl TrainerConfig {
    pub(crate) fn check(&self) -> Result<()> {
        let weight = |value: f64| value.is_finite() && value >= 0.0;
        let rules = [
            (weight(f64::from(self.context)), "context: must be 0 or more"),
            (weight(self.l2), "l2: must be 0 or more"),
            (self.steps > 0, "steps: must be above 0"),
            (self.held_out > 0.0 && self.held_out < 1.0, "held_out: must lie between 0 and 1"),
        ];
        obey("trainer acts", &rules)
    }
}

/// Serves a classifier that `trainer.acts` made. A query's outcome names an act, and the estimate is its probability: of
/// `thought`, said after the dialogue `state`; or, if it was trained with `input = "state"`, as the next act.
#[config]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CriticConfig {
    /// The checkpoint: a folder, or `hf:owner/name@revision`.
    pub model: ConfigPath,
    /// Name of the text encoder it was trained with, as in `[encoder.<name>]`.
    #[schemars(with = "EncoderName")]
    pub encoder: String,
}
