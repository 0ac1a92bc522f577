//! A conversation of an agent, and its steps. Must not know any format.
//!
//! An action is what the agent did at once: its calls in their canonical text, or its words if it called nothing. What
//! it saw since its last action is the observation: words of users as they are, results under the name of their tool
//! (`[search] ...`), anything else under the name of its kind. The thought is its reasoning, and what it said before its
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
        let mut names: HashMap<String, String> = HashMap::new();
        let (mut seen, mut thinking) = (Vec::new(), Vec::new());
        for said in messages {
            for call in said.calls.iter().filter(|call| !call.id.is_empty()) {
                names.insert(call.id.clone(), call.name.clone());
            }
            match said.by {
                Speaker::System if trajectory.steps.is_empty() => {
                    let between = if trajectory.instructions.is_empty() { "" } else { "\n\n" };
                    trajectory.instructions += between;
                    trajectory.instructions += &said.text;
                }
                Speaker::Agent if said.context => {
                    let (_, action) = acts(&said);
                    seen.push(labelled("earlier", &action));
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
                    let observation = std::mem::take(&mut seen).join("\n\n");
                    trajectory.steps.push(step(said, observation, std::mem::take(&mut thinking)));
                }
                Speaker::System => seen.push(labelled("system", &said.text)),
                Speaker::User if said.name.is_empty() => seen.push(said.text),
                Speaker::User => seen.push(format!("{}: {}", said.name, said.text)),
                Speaker::Tool => {
                    let called = names.get(&said.call).map_or("", String::as_str);
                    let name = [called, &said.name, "tool"].into_iter().find(|name| !name.is_empty());
                    let failed = if said.failed { " failed" } else { "" };
                    seen.push(labelled(&format!("{}{failed}", name.unwrap_or_default()), &said.text));
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
            trajectory.info.insert("after".into(), seen.join("\n\n").into());
        }
        report.push(trajectory);
    }
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

/// A text under a label; on lines of its own if it has several.
fn labelled(label: &str, text: &str) -> String {
    let text = text.trim_end();
    let between = if text.contains('\n') { '\n' } else { ' ' };
    format!("[{label}]{between}{text}").trim_end().to_owned()
}

/// A tool of which only the names of its arguments need be known.
pub(crate) fn tool(name: &str, description: &str, parameters: Value) -> Tool {
    Tool { name: name.into(), description: description.into(), parameters }
}
