//! A conversation of an agent, and its steps. Must not know any format.
//!
//! An action is what the agent did at once: its calls in their canonical text, or its words if it called nothing. What
//! it saw since its last action is the observation, in the form that `forethought serve` records: one message as it is;
//! of several, results under the call that they answer. The thought is its reasoning, and what it said before its
//! calls; where neither is recorded, the action is described, after a leading `Derived:`.

use std::collections::HashMap;

use forethought_sdk::api::{
    llm::{Tool, ToolCall},
    tools,
};
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Map, Value};

use crate::report::Report;

/// Marks a thought that is not recorded, but describes the action.
pub(crate) const DERIVED: &str = "Derived: ";
/// Characters of an argument or answer in a derived thought.
const SHOWN: usize = 100;

/// Who says something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Speaker {
    /// The author of the instructions.
    System,
    User,
    Agent,
    /// The result of a call.
    Tool,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) by: Speaker,
    pub(crate) text: String,
    /// The agent's reasoning, where it is recorded apart from its words.
    pub(crate) reasoning: String,
    /// What the agent calls.
    pub(crate) calls: Vec<ToolCall>,
    /// The call that this is the result of.
    pub(crate) call: String,
    /// Name of the user or tool, if it is given.
    pub(crate) name: String,
    /// The call failed.
    pub(crate) failed: bool,
    /// Not done by the agent in this episode: an example, or a copy of earlier work. The agent saw it.
    pub(crate) context: bool,
    /// Identifies the message, if it is given.
    pub(crate) id: String,
    /// What else is known of it.
    pub(crate) info: Map<String, Value>,
}

impl Said {
    pub(crate) fn new(by: Speaker, text: impl Into<String>) -> Self {
        Self {
            by,
            text: text.into(),
            reasoning: String::new(),
            calls: Vec::new(),
            call: String::new(),
            name: String::new(),
            failed: false,
            context: false,
            id: String::new(),
            info: Map::new(),
        }
    }

    /// Whether both say the same. Reasoning does not count, because it is often left out of a history, nor do ids.
    pub(crate) fn repeats(&self, other: &Said) -> bool {
        let calls =
            |said: &Said| said.calls.iter().map(|call| (call.name.clone(), call.arguments.clone())).collect();
        let (ours, theirs): (Vec<_>, Vec<_>) = (calls(self), calls(other));
        self.by == other.by && self.text.trim() == other.text.trim() && ours == theirs
    }
}

/// How an episode ended.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    /// By its own rules.
    #[default]
    Terminated,
    /// Cut off.
    Truncated,
}

/// A conversation, and what its file says of it.
#[derive(Default)]
pub(crate) struct Conversation {
    /// Everything but the steps, the instructions and the reward.
    pub(crate) of: Trajectory,
    pub(crate) messages: Vec<Said>,
    pub(crate) reward: Option<f64>,
    pub(crate) end: End,
}

impl Conversation {
    /// Adds its trajectory to the report, unless the agent did nothing in it.
    pub(crate) fn import(self, report: &mut Report) {
        let Self { of: mut trajectory, messages, reward, end } = self;
        let mut called: HashMap<String, String> = HashMap::new();
        let (mut seen, mut thinking) = (Vec::new(), Vec::new());
        for said in messages {
            for call in said.calls.iter().filter(|call| !call.id.is_empty()) {
                called.insert(call.id.clone(), tools::write(std::slice::from_ref(call)));
            }
            match said.by {
                Speaker::System if trajectory.steps.is_empty() => {
                    let between = if trajectory.instructions.is_empty() { "" } else { "\n\n" };
                    trajectory.instructions += between;
                    trajectory.instructions += &said.text;
                }
                Speaker::Agent if said.context => {
                    let (_, action) = acts(&said);
                    seen.push(Seen { label: Some("earlier".into()), text: action, marked: true });
                }
                Speaker::Agent => {
                    if !said.reasoning.trim().is_empty() {
                        thinking.push(said.reasoning.trim().to_owned());
                    }
                    if said.text.trim().is_empty() && said.calls.is_empty() {
                        // Its reasoning belongs to what it does next.
                        if said.reasoning.trim().is_empty() {
                            report.dropped("answers without words or calls");
                        }
                        continue;
                    }
                    let observation = observation(std::mem::take(&mut seen));
                    trajectory.steps.push(step(said, observation, std::mem::take(&mut thinking)));
                }
                Speaker::System => {
                    seen.push(Seen { label: Some("instructions".into()), text: said.text, marked: true });
                }
                Speaker::User => {
                    let label = Some(said.name).filter(|name| !name.is_empty());
                    seen.push(Seen { label, text: said.text, marked: false });
                }
                Speaker::Tool => {
                    let name = if said.name.is_empty() { "tool" } else { &said.name };
                    let unknown = || format!("{name} {}", said.call).trim_end().to_owned();
                    let call = called.get(&said.call).cloned().unwrap_or_else(unknown);
                    let label = Some(if said.failed { format!("{call} failed") } else { call });
                    seen.push(Seen { label, text: said.text, marked: said.failed });
                }
            }
        }
        if !thinking.is_empty() {
            report.dropped("reasoning without an action after it");
        }
        let Some(last) = trajectory.steps.last_mut() else {
            return report.dropped("conversations without an action of the agent");
        };
        match reward {
            Some(reward) => last.reward = reward,
            None => report.note("trajectories have no reward in the file, and get 0"),
        }
        last.terminated = end == End::Terminated;
        last.truncated = end == End::Truncated;
        if !seen.is_empty() {
            // There is no step that begins with it.
            trajectory.info.insert("after".into(), observation(seen).into());
        }
        report.push(trajectory);
    }
}

/// One message that the agent saw.
struct Seen {
    /// Who said it, or what it answers.
    label: Option<String>,
    text: String,
    /// The label is needed even where there is nothing else.
    marked: bool,
}

/// Messages as one text, with labels where there are several.
fn observation(mut seen: Vec<Seen>) -> String {
    if seen.len() == 1 && !seen[0].marked {
        return seen.remove(0).text;
    }
    let text = |one: Seen| match one.label {
        Some(label) => format!("{label}:\n{}", one.text),
        None => one.text,
    };
    seen.into_iter().map(text).collect::<Vec<_>>().join("\n\n")
}

/// Whether the message calls tools, and the text of its action.
fn acts(said: &Said) -> (bool, String) {
    let calls = !said.calls.is_empty();
    (calls, if calls { tools::write(&said.calls) } else { said.text.trim().to_owned() })
}

fn step(said: Said, observation: String, mut thinking: Vec<String>) -> Step {
    let (calls, action) = acts(&said);
    let mut info = said.info;
    let words = said.text.trim();
    if calls && !words.is_empty() {
        info.insert("said".into(), words.into());
        thinking.push(words.to_owned());
    }
    let ids: Vec<Value> = said.calls.iter().map(|call| call.id.as_str().into()).collect();
    if said.calls.iter().any(|call| !call.id.is_empty()) {
        info.insert("calls".into(), ids.into());
    }
    let thought = if thinking.is_empty() { derived(&said.calls, words) } else { thinking.join("\n\n") };
    Step { observation, thought, action, info, ..Step::default() }
}

/// A description of an action, for one without a recorded thought.
fn derived(calls: &[ToolCall], words: &str) -> String {
    if calls.is_empty() {
        return format!("{DERIVED}Answer: {}", shown(words));
    }
    let described = calls.iter().map(|call| match &call.arguments {
        Value::Object(arguments) if !arguments.is_empty() => {
            let arguments = arguments.iter().map(|(name, value)| match value {
                Value::String(text) => format!("{name}: {}", shown(text)),
                value => format!("{name}: {}", shown(&value.to_string())),
            });
            format!("{} ({})", call.name, arguments.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => format!("{} ({})", call.name, shown(text)),
        _ => call.name.clone(),
    });
    format!("{DERIVED}Call {}.", described.collect::<Vec<_>>().join(", "))
}

/// The beginning of a text, on one line.
fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// A tool of which only the names of its arguments need be known.
pub(crate) fn tool(name: &str, description: &str, parameters: Value) -> Tool {
    Tool { name: name.into(), description: description.into(), parameters }
}
