//! OpenTelemetry GenAI spans, one trace per trajectory: see the importer `otel-genai`. Each line is the body of an
//! OTLP/HTTP request in JSON, so it can be posted to a collector as it is.
//!
//! A span for the agent, one for each step (`chat`), one for each call with its result (`execute_tool`). A run's log
//! has no clock: step n is the n-th second after the run's start.

use chrono::DateTime;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{self, Value, json};

use super::{About, Document, Spoken, about, definition, model, number, spoken};

/// As OTLP numbers them.
const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;

pub(super) fn lines(trajectories: &[Trajectory], of: &About) -> Result<Document> {
    let mut bytes = Vec::new();
    for one in trajectories {
        let resource = attributes([
            ("service.name", json!(one.environment)),
            ("service.version", json!(of.program)),
            ("service.instance.id", json!(of.run)),
        ]);
        let scope = json!({ "name": "forethought", "version": of.program });
        let spans = spans(one, of);
        let line = json!({ "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": scope, "spans": spans }],
        }] });
        serde_json::to_writer(&mut bytes, &line)?;
        bytes.push(b'\n');
    }
    Ok(Document { name: "spans.jsonl".into(), bytes })
}

fn spans(of: &Trajectory, about_run: &About) -> Vec<Value> {
    let trace = Trace::new(of, about_run);
    let conversation = format!("{}/{}", of.episode, of.seat);
    let mut extra: Vec<(String, Value)> =
        about(of).into_iter().map(|(key, value)| (format!("forethought.{key}"), value)).collect();
    for (key, value) in [
        ("gen_ai.operation.name", json!("invoke_agent")),
        ("gen_ai.agent.name", json!(of.source)),
        ("gen_ai.conversation.id", json!(conversation)),
    ] {
        extra.push((key.into(), value));
    }
    let mut agent = trace.span(0, 0, INTERNAL, format!("invoke_agent {}", of.source), [0, of.steps.len()]);
    agent["attributes"] = attributes(extra);
    agent["events"] = json!([{
        "timeUnixNano": trace.time(of.steps.len()),
        "name": "gen_ai.evaluation.result",
        "attributes": attributes([
            ("gen_ai.evaluation.name", json!("reward")),
            ("gen_ai.evaluation.score.value", json!(of.score())),
        ]),
    }]);
    let mut spans = vec![agent];
    let system = (!of.instructions.is_empty()).then(|| json!({ "type": "text", "content": of.instructions }));
    let tools: Vec<Value> = of.tools.iter().map(|tool| definition(tool)["function"].clone()).collect();
    let mut messages: Vec<Value> = Vec::new();
    for (at, (spoken, step)) in spoken(of).into_iter().zip(&of.steps).enumerate() {
        if !spoken.heard.is_empty() {
            messages.push(text("user", &spoken.heard));
        }
        let said = said(&spoken);
        let mut known = vec![
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.conversation.id", json!(conversation)),
            ("gen_ai.input.messages", json!(messages).to_string().into()),
            ("gen_ai.output.messages", json!([said]).to_string().into()),
        ];
        let texts = [
            ("gen_ai.system_instructions", system.as_ref().map(|system| json!([system]).to_string())),
            ("gen_ai.tool.definitions", (!tools.is_empty()).then(|| json!(tools).to_string())),
            ("gen_ai.request.model", model(of).map(str::to_owned)),
        ];
        known.extend(texts.into_iter().filter_map(|(key, value)| Some((key, value?.into()))));
        for key in ["input_tokens", "output_tokens"] {
            let name = if key == "input_tokens" {
                "gen_ai.usage.input_tokens"
            } else {
                "gen_ai.usage.output_tokens"
            };
            known.extend(number(&step.info, key).map(|count| (name, json!(count))));
        }
        let mut chat = trace.span(
            spans.len(),
            1,
            CLIENT,
            format!("chat {}", model(of).unwrap_or_default()),
            [at, at + 1],
        );
        chat["attributes"] = attributes(known);
        spans.push(chat);
        messages.push(said);
        for (call, result) in spoken.calls.iter().zip(spoken.results) {
            let name = format!("execute_tool {}", call.name);
            let mut tool = trace.span(spans.len(), 1, INTERNAL, name, [at, at + 1]);
            tool["attributes"] = attributes([
                ("gen_ai.operation.name", json!("execute_tool")),
                ("gen_ai.conversation.id", json!(conversation)),
                ("gen_ai.tool.name", json!(call.name)),
                ("gen_ai.tool.call.id", json!(call.id)),
                ("gen_ai.tool.call.arguments", call.arguments.to_string().into()),
                ("gen_ai.tool.call.result", json!(result)),
            ]);
            spans.push(tool);
            let part = json!({ "type": "tool_call_response", "id": call.id, "response": result });
            messages.push(json!({ "role": "tool", "parts": [part] }));
        }
        if !spoken.feedback.is_empty() {
            messages.push(text("user", &spoken.feedback));
        }
    }
    spans
}

/// Identifiers and times of one trajectory's spans.
struct Trace {
    id: String,
    seed: u64,
    /// Unix time in seconds; 1 if it is not known, because readers take 0 for missing.
    start: u64,
}

impl Trace {
    fn new(of: &Trajectory, about: &About) -> Self {
        let name = format!("{}/{}/{}", about.run, of.episode, of.seat);
        let [high, low] = [0, 1].map(|half| seed::derive(half, &name));
        let started = DateTime::parse_from_rfc3339(&about.started).map_or(1, |time| time.timestamp());
        Self { id: format!("{high:016x}{low:016x}"), seed: low, start: u64::try_from(started).unwrap_or(1) }
    }

    /// Before step `at`, in nanoseconds, as text because JSON's numbers are too short.
    fn time(&self, at: usize) -> String {
        ((self.start + at as u64) * 1_000_000_000).to_string()
    }

    /// Number `number` of the trace; number 0 is the parent of all `level` 1.
    fn span(&self, number: usize, level: u8, kind: u8, name: String, steps: [usize; 2]) -> Value {
        let id = |number: usize| format!("{:016x}", seed::derive(self.seed, &format!("span {number}")));
        let [start, end] = steps.map(|at| self.time(at));
        let mut span = json!({
            "traceId": self.id,
            "spanId": id(number),
            "name": name.trim_end(),
            "kind": kind,
            "startTimeUnixNano": start,
            "endTimeUnixNano": end,
        });
        if level > 0 {
            span["parentSpanId"] = id(0).into();
        }
        span
    }
}

/// What the agent answered.
fn said(spoken: &Spoken) -> Value {
    let mut parts = Vec::new();
    if !spoken.reasoning.is_empty() {
        parts.push(json!({ "type": "reasoning", "content": spoken.reasoning }));
    }
    if !spoken.words.is_empty() || spoken.calls.is_empty() {
        parts.push(json!({ "type": "text", "content": spoken.words }));
    }
    parts.extend(spoken.calls.iter().map(
        |call| json!({ "type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments }),
    ));
    let reason = if spoken.calls.is_empty() { "stop" } else { "tool_call" };
    json!({ "role": "assistant", "parts": parts, "finish_reason": reason })
}

fn text(role: &str, content: &str) -> Value {
    json!({ "role": role, "parts": [{ "type": "text", "content": content }] })
}

/// Attributes in OTLP's form. Lists and tables are written as JSON, because few tools show structured attributes.
fn attributes<K: Into<String>>(of: impl IntoIterator<Item = (K, Value)>) -> Value {
    let attribute = |(key, value): (K, Value)| {
        let value = match value {
            Value::Bool(value) => json!({ "boolValue": value }),
            Value::String(value) => json!({ "stringValue": value }),
            Value::Number(value) if value.is_i64() => json!({ "intValue": value.to_string() }),
            Value::Number(value) if value.is_f64() => json!({ "doubleValue": value }),
            other => json!({ "stringValue": other.to_string() }),
        };
        json!({ "key": key.into(), "value": value })
    };
    of.into_iter().map(attribute).collect()
}
