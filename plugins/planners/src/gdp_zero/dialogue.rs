//! What an environment declares in `observation.data["dialogue"]`: the acts to choose from, how the other side may
//! reply, and what was said.

use forethought_sdk::{
    prelude::*,
    serde_json::{Value, from_value, json},
};

/// A dialogue that declares acts.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dialogue {
    /// What the seat can do in an utterance.
    pub(crate) acts: Vec<Act>,
    /// Names of the acts to choose from before anything is said; empty means all.
    #[serde(default)]
    first_acts: Vec<String>,
    /// How the other side may reply.
    #[serde(default)]
    pub(crate) replies: Vec<Reply>,
    /// What was said, oldest first.
    #[serde(default)]
    pub(crate) turns: Vec<Said>,
    /// The question whose answers value the dialogue.
    #[serde(default)]
    pub(crate) question: String,
    /// What this seat may know about the other side.
    #[serde(default)]
    pub(crate) partner: String,
}

/// An act: what an utterance does.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Act {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) instruction: String,
}

/// A kind of reply, and its value.
#[data]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Reply {
    pub(crate) name: String,
    pub(crate) value: f64,
}

/// An utterance.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) seat: usize,
    pub(crate) text: String,
}

impl Dialogue {
    /// The dialogue of the deciding seat; `planner` is the planner's kind, for errors.
    ///
    /// # Errors
    /// An environment that declares no acts, or a malformed dialogue.
    pub(crate) fn of(context: &DecisionContext, planner: &str) -> Result<Self> {
        let name = &context.environment.name;
        let declared = context.turn.observation.data.get("dialogue").filter(|data| !data.is_null());
        let dialogue: Self = match declared {
            Some(data) => from_value(data.clone()).map_err(|error| {
                Error::malformed(format!("`{name}` declares a malformed dialogue: {error}"))
            })?,
            None => {
                return Err(Error::config(format!(
                    "`{name}` declares no dialogue acts, and planner.{planner} chooses among them; use another planner"
                )));
            }
        };
        if dialogue.acts.is_empty() {
            return Err(Error::config(format!(
                "the dialogue of `{name}` has no acts, and planner.{planner} chooses among them; configure some"
            )));
        }
        Ok(dialogue)
    }

    /// Indices of the acts that can be chosen after `said` utterances.
    pub(crate) fn allowed(&self, said: usize) -> Vec<usize> {
        let first = |act: &Act| said > 0 || self.first_acts.is_empty() || self.first_acts.contains(&act.name);
        let allowed: Vec<_> = (0..self.acts.len()).filter(|act| first(&self.acts[*act])).collect();
        if allowed.is_empty() { (0..self.acts.len()).collect() } else { allowed }
    }
}

/// The utterances as templates show them, with the names of the seats.
pub(crate) fn transcript(turns: &[Said], environment: &EnvironmentSpec) -> Value {
    turns.iter().map(|said| json!({ "speaker": name(environment, said.seat), "text": said.text })).collect()
}

/// A seat's name, with a capital.
pub(crate) fn name(environment: &EnvironmentSpec, seat: usize) -> String {
    let name = environment.seats.get(seat).map_or("speaker", |seat| seat.name.as_str());
    name.chars().take(1).flat_map(char::to_uppercase).chain(name.chars().skip(1)).collect()
}

/// The text in the first pair of brackets.
pub(crate) fn bracketed(answer: &str) -> Option<&str> {
    let (inside, _) = answer.split_once('[')?.1.split_once(']')?;
    Some(inside.trim())
}
