//! What an environment says of its dialogue in `observation.data["dialogue"]`: the acts to choose from, how the other
//! side may take them, and what was said.

use forethought_sdk::{
    prelude::*,
    serde_json::{Value, from_value, json},
};

/// A dialogue that declares acts.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dialogue {
    /// What the seat may be up to in an utterance.
    pub(crate) acts: Vec<Act>,
    /// Names of the acts to choose from before anything was said; all, if empty.
    #[serde(default)]
    first_acts: Vec<String>,
    /// How the other side may take it.
    #[serde(default)]
    pub(crate) replies: Vec<Reply>,
    /// What was said, oldest first.
    #[serde(default)]
    pub(crate) turns: Vec<Said>,
    /// What to ask to learn where the other side stands.
    #[serde(default)]
    pub(crate) question: String,
    /// Who the other side is, as far as this seat may know.
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

/// A way to take what was said, and what it is worth.
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
    /// The dialogue that the seat which decides is in; `planner` is the kind that asks.
    ///
    /// # Errors
    /// An environment that declares no acts.
    pub(crate) fn of(context: &DecisionContext, planner: &str) -> Result<Self> {
        let name = &context.environment.name;
        let declared = context.turn.observation.data.get("dialogue").filter(|data| !data.is_null());
        let dialogue: Self = match declared {
            Some(data) => from_value(data.clone()).map_err(|error| {
                Error::malformed(format!("`{name}` declares its dialogue wrongly: {error}"))
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

    /// The acts that may be chosen after `said` utterances: indices.
    pub(crate) fn allowed(&self, said: usize) -> Vec<usize> {
        let first = |act: &Act| said > 0 || self.first_acts.is_empty() || self.first_acts.contains(&act.name);
        let allowed: Vec<_> = (0..self.acts.len()).filter(|act| first(&self.acts[*act])).collect();
        if allowed.is_empty() { (0..self.acts.len()).collect() } else { allowed }
    }
}

/// The utterances as templates show them, with the seats' names in front.
pub(crate) fn told(turns: &[Said], environment: &EnvironmentSpec) -> Value {
    turns.iter().map(|said| json!({ "speaker": name(environment, said.seat), "text": said.text })).collect()
}

/// A seat's name, with a capital.
pub(crate) fn name(environment: &EnvironmentSpec, seat: usize) -> String {
    let name = environment.seats.get(seat).map_or("speaker", |seat| seat.name.as_str());
    name.chars().take(1).flat_map(char::to_uppercase).chain(name.chars().skip(1)).collect()
}

/// What stands in the first pair of brackets.
pub(crate) fn bracketed(answer: &str) -> Option<&str> {
    let (inside, _) = answer.split_once('[')?.1.split_once(']')?;
    Some(inside.trim())
}
