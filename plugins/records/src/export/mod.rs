//! Trajectories in the formats of others. What each can hold, and how it is read again, is in docs/recorded.md.
//!
//! A thought that only describes its action (`Derived:`) is not exported: the agent did
//! not think it.

mod atif;
mod inspect;
mod openai;
mod otel;

use forethought_sdk::api::{
    llm::{Tool, ToolCall},
    tools,
};
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Map, Value, json};

use crate::conversation::DERIVED;

/// A format that trajectories can be exported to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One document of ATIF 1.7 per trajectory.
    Atif,
    /// OpenAI chat messages, JSON Lines.
    Openai,
    /// One log of Inspect, JSON.
    Inspect,
    /// OpenTelemetry GenAI spans, OTLP in JSON Lines.
    Otel,
}

/// A file to be written.
pub struct Document {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What is said of all trajectories of an export.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// Version of the program that played them.
    pub program: String,
    /// When they were begun, in UTC, as RFC 3339 has it.
    pub started: String,
    /// Identifies the run.
    pub run: String,
}

/// The documents of these trajectories.
///
/// # Errors
/// If a value cannot be written as JSON.
pub fn export(format: Format, trajectories: &[Trajectory], about: &About) -> Result<Vec<Document>> {
    match format {
        Format::Atif => {
            (1..).zip(trajectories).map(|(number, one)| atif::document(number, one, about)).collect()
        }
        Format::Openai => Ok(vec![openai::lines(trajectories)?]),
        Format::Inspect => Ok(vec![inspect::log(trajectories, about)?]),
        Format::Otel => Ok(vec![otel::lines(trajectories, about)?]),
    }
}

/// A step as messages have it.
struct Spoken {
    /// What the agent saw that belongs to no call of the step before.
    heard: String,
    reasoning: String,
    /// Words: the action, or what was said before the calls.
    words: String,
    calls: Vec<ToolCall>,
    /// What each call led to.
    results: Vec<String>,
    /// What else the action led to, unless it was its calls.
    feedback: String,
}

/// The steps of a trajectory, each with what it led to.
fn spoken(trajectory: &Trajectory) -> Vec<Spoken> {
    let after = trajectory.info.get("after").and_then(Value::as_str).unwrap_or_default();
    let mut all: Vec<Spoken> = Vec::new();
    for (index, step) in trajectory.steps.iter().enumerate() {
        let calls = calls(index, step, &trajectory.tools);
        let (reasoning, said) = thought(step);
        let words = if calls.is_empty() { step.action.clone() } else { said };
        let next = trajectory.steps.get(index + 1).map_or(after, |next| next.observation.as_str());
        let (results, feedback) = match calls.is_empty() {
            true => (Vec::new(), next.to_owned()),
            false => (results(next, &calls), String::new()),
        };
        let heard = if index == 0 { step.observation.clone() } else { String::new() };
        all.push(Spoken { heard, reasoning, words, calls, results, feedback });
    }
    all
}

/// The calls of an action, with their ids; none if it is words.
fn calls(index: usize, step: &Step, tools: &[Tool]) -> Vec<ToolCall> {
    let ids = step.info.get("calls").and_then(Value::as_array);
    // Not every tool need be defined; then the text has its name, which was written from a call.
    let mut named = tools.to_vec();
    for line in step.action.lines().filter(|_| ids.is_some()) {
        let name = line.split('(').next().unwrap_or_default();
        if named.iter().all(|tool| tool.name != name) {
            named.push(Tool { name: name.into(), ..Tool::default() });
        }
    }
    let mut calls = tools::read(&step.action, &named).unwrap_or_default();
    for (place, call) in calls.iter_mut().enumerate() {
        let known = ids.and_then(|ids| ids.get(place)?.as_str()).filter(|id| !id.is_empty());
        call.id = known.map_or_else(|| format!("call_{}_{}", index + 1, place + 1), str::to_owned);
    }
    calls
}

/// A recorded thought: reasoning, and words before calls.
fn thought(step: &Step) -> (String, String) {
    if step.thought.starts_with(DERIVED) {
        return (String::new(), String::new());
    }
    let said = step.info.get("said").and_then(Value::as_str).unwrap_or_default();
    match step.thought.strip_suffix(said) {
        Some(reasoning) if !said.is_empty() => (reasoning.trim_end().to_owned(), said.to_owned()),
        _ => (step.thought.clone(), String::new()),
    }
}

/// What each call led to: all that was seen next, or what is under the label of each of several calls; without these,
/// the last call led to all of it.
fn results(observation: &str, calls: &[ToolCall]) -> Vec<String> {
    let label = |call: &ToolCall| format!("{}:\n", tools::write(std::slice::from_ref(call)));
    let (mut results, mut rest) = (Vec::new(), observation);
    for (place, call) in calls.iter().enumerate().filter(|_| calls.len() > 1) {
        let Some(begun) = rest.strip_prefix(&label(call)) else { break };
        let next = calls.get(place + 1).map(label);
        let end = next.and_then(|next| begun.find(&format!("\n\n{next}")));
        results.push(begun[..end.unwrap_or(begun.len())].to_owned());
        rest = end.map_or("", |end| &begun[end + 2..]);
    }
    if results.len() < calls.len() {
        results = vec![String::new(); calls.len() - 1];
        results.push(observation.to_owned());
    }
    results
}

/// Messages of OpenAI's form.
fn messages(trajectory: &Trajectory) -> Vec<Value> {
    let mut messages = Vec::new();
    if !trajectory.instructions.is_empty() {
        messages.push(json!({ "role": "system", "content": trajectory.instructions }));
    }
    for spoken in spoken(trajectory) {
        if !spoken.heard.is_empty() {
            messages.push(json!({ "role": "user", "content": spoken.heard }));
        }
        let mut message = Map::from_iter([("role".to_owned(), "assistant".into())]);
        let words = if spoken.words.is_empty() && !spoken.calls.is_empty() {
            Value::Null
        } else {
            spoken.words.into()
        };
        message.insert("content".into(), words);
        if !spoken.reasoning.is_empty() {
            message.insert("reasoning_content".into(), spoken.reasoning.into());
        }
        let calls: Vec<Value> = spoken.calls.iter().map(openai::call).collect();
        if !calls.is_empty() {
            message.insert("tool_calls".into(), calls.into());
        }
        messages.push(message.into());
        for (call, result) in spoken.calls.iter().zip(spoken.results) {
            messages.push(json!({ "role": "tool", "tool_call_id": call.id, "content": result }));
        }
        if !spoken.feedback.is_empty() {
            messages.push(json!({ "role": "user", "content": spoken.feedback }));
        }
    }
    messages
}

/// A tool's definition in OpenAI's form.
fn definition(tool: &Tool) -> Value {
    let parameters =
        if tool.parameters.is_null() { json!({ "type": "object" }) } else { tool.parameters.clone() };
    json!({ "type": "function", "function": { "name": tool.name, "description": tool.description, "parameters": parameters } })
}

/// What identifies a trajectory, and what else is known of it.
fn about(trajectory: &Trajectory) -> Map<String, Value> {
    let Trajectory { environment, task, seed, seat, source, info, .. } = trajectory;
    let mut about = info.clone();
    about.remove("after");
    for (key, value) in [
        ("environment", json!(environment)),
        ("task", json!(task)),
        ("seed", json!(seed)),
        ("seat", json!(seat)),
        ("source", json!(source)),
    ] {
        about.entry(key).or_insert(value);
    }
    about
}

/// Whether the last step was cut off.
fn truncated(trajectory: &Trajectory) -> bool {
    trajectory.steps.last().is_some_and(|step| step.truncated)
}

/// The model, as far as it is known.
fn model(trajectory: &Trajectory) -> Option<&str> {
    trajectory.info.get("model").and_then(Value::as_str)
}

/// A number of a step's or trajectory's info.
fn number(info: &Map<String, Value>, key: &str) -> Option<u64> {
    info.get(key).and_then(Value::as_u64)
}

#[cfg(test)]
mod tests {
    use forethought_sdk::api::critic::NoProgress;

    use super::*;
    use crate::{RecordConfig, import};

    /// An episode with everything that an export can hold.
    pub(crate) fn shopping() -> Trajectory {
        let tool = |name: &str| Tool {
            name: name.into(),
            parameters: json!({ "type": "object" }),
            ..Tool::default()
        };
        let step = |observation: &str, thought: &str, action: &str| Step {
            observation: observation.into(),
            thought: thought.into(),
            action: action.into(),
            ..Step::default()
        };
        let mut steps = vec![
            step("Find a red lamp", "A lamp.\n\nI look first.", "search({\"query\":\"red lamp\"})"),
            step("[B01] Lamp\n[B02] Red lamp", "Both.", "open({\"item\":\"B01\"})\nopen({\"item\":\"B02\"})"),
            step(
                "open({\"item\":\"B01\"}):\nBlue.\n\nopen({\"item\":\"B02\"}):\nRed.",
                "Derived: Answer: B02?",
                "B02?",
            ),
            step("Yes.", "They agreed.", "open({\"item\":\"B02\"})"),
        ];
        steps[0].info =
            Map::from_iter([("said".into(), json!("I look first.")), ("calls".into(), json!(["c1"]))]);
        steps[0].info.insert("input_tokens".into(), 7.into());
        steps[3].reward = 0.5;
        steps[3].terminated = true;
        Trajectory {
            episode: "e1".into(),
            environment: "shop".into(),
            task: 3,
            source: "pnlc".into(),
            steps,
            instructions: "You shop.".into(),
            tools: vec![tool("search"), tool("open")],
            info: Map::from_iter([("after".into(), json!("Bought.")), ("success".into(), json!(true))]),
            ..Trajectory::default()
        }
    }

    #[tokio::test]
    async fn what_is_exported_is_imported_again() {
        let episode = shopping();
        let folder = tempfile::tempdir().unwrap();
        let config = RecordConfig::default;
        let importers: [(Format, Box<dyn Importer>); 4] = [
            (Format::Atif, Box::new(import::atif::Atif(config()))),
            (Format::Openai, Box::new(import::openai_chat::OpenaiChat(config()))),
            (Format::Inspect, Box::new(import::inspect::Inspect(config()))),
            (Format::Otel, Box::new(import::otel_genai::OtelGenai(config()))),
        ];
        for (format, importer) in importers {
            let documents = export(format, std::slice::from_ref(&episode), &About::default()).unwrap();
            let path = folder.path().join(&documents[0].name);
            std::fs::write(&path, &documents[0].bytes).unwrap();
            let imported = importer.read(path, Arc::new(NoProgress)).await.unwrap();
            let again = &imported.trajectories[0];
            let core = |of: &Trajectory| -> Vec<_> {
                let core = |step: &Step| {
                    (
                        step.observation.clone(),
                        step.thought.clone(),
                        step.action.clone(),
                        step.reward,
                        step.terminated,
                    )
                };
                of.steps.iter().map(core).collect()
            };
            assert_eq!(core(again), core(&episode), "{format:?}");
            assert_eq!(again.instructions, episode.instructions, "{format:?}");
            assert_eq!(again.info["after"], episode.info["after"], "{format:?}");
            assert!(imported.dropped.is_empty() && imported.notes.is_empty(), "{format:?}: {imported:?}");
            if format != Format::Inspect {
                // Inspect has them in the events of model calls.
                assert_eq!(again.tools, episode.tools, "{format:?}");
            }
        }
    }

    #[test]
    fn an_observation_without_labels_belongs_to_the_last_call() {
        let call = |name: &str| ToolCall { name: name.into(), ..ToolCall::default() };
        let calls = [call("a"), call("b")];
        assert_eq!(results("Two pages.", &calls), ["", "Two pages."]);
        assert_eq!(results("a({}):\n1\n\nb({}):\n2\n\n3", &calls), ["1", "2\n\n3"]);
        assert_eq!(results("a({}):\n1", &calls[..1]), ["a({}):\n1"], "one result has no label");
    }
}
