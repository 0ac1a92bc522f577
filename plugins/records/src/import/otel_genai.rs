//! OpenTelemetry GenAI spans in OTLP's JSON encoding: documents with `resourceSpans` and `resourceLogs`, one in a file or
//! one per line (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>), with attributes and events of the
//! semantic conventions for generative AI (<https://opentelemetry.io/docs/specs/semconv/gen-ai/>): messages as the
//! attributes `gen_ai.input.messages` and `gen_ai.output.messages` of spans or of the event
//! `gen_ai.client.inference.operation.details`, or as the events `gen_ai.*.message` and `gen_ai.choice` of conventions up
//! to 1.36.
//!
//! Model calls are grouped by `gen_ai.conversation.id`, or else by trace, and in it by the agent whose span they are in;
//! calls of which each repeats the history of the one before are one conversation. Recording messages is optional in these
//! conventions: calls without them are dropped. The reward is the value of `gen_ai.evaluation.result`: the only one, the
//! one named `reward`, or the one that is configured.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use forethought_sdk::api::llm::Tool;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{self, Map, Value, json};

use crate::{
    RecordConfig, chat,
    conversation::{Conversation, End, Said, Speaker},
    files::{self, Lines},
    growth::{Call, Growth},
    json::{self as documents, At},
    report::Report,
};

super::importer! {
    OtelGenai, "Reads OpenTelemetry GenAI spans.", "otel-genai",
    "OpenTelemetry GenAI spans with recorded messages, OTLP as JSON: a file, or a folder of them"
}

/// Spans above a span that are looked at.
const DEPTH: usize = 256;

async fn read(
    path: &Path,
    config: &RecordConfig,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    let mut spans = Spans::default();
    let files =
        files::files(path, |name| [".json", ".jsonl", ".ndjson"].iter().any(|end| name.ends_with(end)))?;
    let total = files.len() as u64;
    for (done, file) in (1..).zip(files) {
        spans.file = file.display().to_string().into();
        // Written whole or one document per line, under any of these names.
        let whole = if file.extension().is_some_and(|end| end == "json") {
            documents::parse(&files::bytes(&file)?).ok()
        } else {
            None
        };
        match whole {
            Some(document) => spans
                .document(&At::root(&document), report)
                .map_err(|error| files::at(file.display(), error))?,
            None => {
                let mut lines = Lines::open(&file)?;
                while let Some(line) = lines.next()? {
                    spans.document(&At::root(&line), report).map_err(|error| lines.at(error))?;
                }
            }
        }
        progress.report("import".into(), done, total, String::new()).await?;
    }
    spans.conversations(config, report)
}

/// A span of generative AI.
#[derive(Default)]
struct Span {
    file: Arc<str>,
    trace: String,
    id: String,
    parent: String,
    start: u64,
    end: u64,
    attributes: Map<String, Value>,
    /// Name and attributes of events, of the span or of logs.
    events: Vec<(String, Map<String, Value>)>,
    failed: bool,
    service: String,
}

impl Span {
    fn text(&self, key: &str) -> &str {
        self.attributes.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

#[derive(Default)]
struct Spans {
    /// The file that is being read.
    file: Arc<str>,
    all: Vec<Span>,
    /// The parents of all spans, those of other instrumentations too.
    parents: HashMap<String, String>,
    /// Events from logs, by trace and span.
    logs: Vec<(String, String, String, Map<String, Value>)>,
}

impl Spans {
    fn document(&mut self, at: &At<'_>, report: &mut Report) -> Result<()> {
        let (spans, logs) = (at.get("resourceSpans")?, at.get("resourceLogs")?);
        if spans.is_none() && logs.is_none() {
            if at.get("resourceMetrics")?.is_some() {
                report.dropped("documents of metrics");
                return Ok(());
            }
            return Err(at.unfit("it has neither `resourceSpans` nor `resourceLogs`, so it is not OTLP"));
        }
        for resource in spans.map(|found| found.list()).transpose()?.unwrap_or_default() {
            let attributes =
                resource.get("resource")?.map(|found| attributes(&found)).transpose()?.unwrap_or_default();
            let service = attributes.get("service.name").and_then(Value::as_str).unwrap_or_default();
            for scope in resource.get_list("scopeSpans")? {
                for span in scope.get_list("spans")? {
                    self.span(&span, service, report)?;
                }
            }
        }
        for resource in logs.map(|found| found.list()).transpose()?.unwrap_or_default() {
            for scope in resource.get_list("scopeLogs")? {
                for record in scope.get_list("logRecords")? {
                    self.log(&record)?;
                }
            }
        }
        Ok(())
    }

    fn span(&mut self, at: &At<'_>, service: &str, report: &mut Report) -> Result<()> {
        let (trace, id) = (at.field("traceId")?.text()?, at.field("spanId")?.text()?);
        let parent = at.get_text("parentSpanId")?.unwrap_or_default();
        self.parents.insert(format!("{trace}/{id}"), parent.to_owned());
        let attributes = attributes(at)?;
        if !attributes.keys().any(|key| key.starts_with("gen_ai.")) {
            report.dropped("spans that are not of generative AI");
            return Ok(());
        }
        let time = |key: &str| at.get(key).and_then(|found| found.map_or(Ok(0), |found| nanoseconds(&found)));
        let mut span = Span {
            file: self.file.clone(),
            trace: trace.into(),
            id: id.into(),
            parent: parent.into(),
            start: time("startTimeUnixNano")?,
            end: time("endTimeUnixNano")?,
            attributes,
            service: service.into(),
            ..Span::default()
        };
        if let Some(status) = at.get("status")?
            && let Some(code) = status.get("code")?
        {
            span.failed = code.value == 2 || code.value == "STATUS_CODE_ERROR";
        }
        for event in at.get_list("events")? {
            span.events.push((event.field("name")?.text()?.into(), self::attributes(&event)?));
        }
        self.all.push(span);
        Ok(())
    }

    fn log(&mut self, at: &At<'_>) -> Result<()> {
        let mut attributes = attributes(at)?;
        let named = attributes.get("event.name").and_then(Value::as_str).unwrap_or_default();
        let name = at.get_text("eventName")?.filter(|name| !name.is_empty()).unwrap_or(named).to_owned();
        if !name.starts_with("gen_ai.") {
            return Ok(());
        }
        if let Some(body) = at.get("body")?
            && let Value::Object(body) = any(&body)?
        {
            attributes.extend(body);
        }
        let id = |key: &str| at.get_text(key).map(|id| id.unwrap_or_default().to_owned());
        self.logs.push((id("traceId")?, id("spanId")?, name, attributes));
        Ok(())
    }

    fn conversations(mut self, config: &RecordConfig, report: &mut Report) -> Result<()> {
        let places: HashMap<(String, String), usize> = self
            .all
            .iter()
            .enumerate()
            .map(|(index, span)| ((span.trace.clone(), span.id.clone()), index))
            .collect();
        let mut scores = BTreeMap::new();
        for (trace, span, name, attributes) in std::mem::take(&mut self.logs) {
            match places.get(&(trace.clone(), span)) {
                Some(index) => self.all[*index].events.push((name, attributes)),
                // An evaluation may come later, outside of any span of the trace.
                None if name == EVALUATION => score(&mut scores, trace, &attributes, report),
                None => report.dropped("events of spans that are missing"),
            }
        }
        self.all.sort_by_key(|span| (span.start, span.end));
        let agents = self.agents();
        // Groups in the order of their first spans.
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (index, span) in self.all.iter().enumerate() {
            let conversation = span.text("gen_ai.conversation.id");
            let name = if conversation.is_empty() { &span.trace } else { conversation };
            let group = *known.entry(name.to_owned()).or_insert(groups.len());
            if group == groups.len() {
                groups.push((name.to_owned(), Vec::new()));
            }
            groups[group].1.push(index);
            for (_, attributes) in span.events.iter().filter(|(name, _)| name == EVALUATION) {
                score(&mut scores, name.to_owned(), attributes, report);
            }
        }
        for (task, (name, members)) in (0..).zip(groups) {
            let members: Vec<&Span> = members.iter().map(|index| &self.all[*index]).collect();
            let mut found = scores.remove(&name).unwrap_or_default();
            for trace in members.iter().map(|span| &span.trace).collect::<HashSet<_>>() {
                found.extend(scores.remove(trace).unwrap_or_default());
            }
            group(task, &name, &members, &agents, &found, config, report)?;
        }
        Ok(())
    }

    /// For each span, by trace and id, what tells the agent that it belongs to from others.
    fn agents(&self) -> HashMap<(String, String), String> {
        let agents: HashMap<String, String> = self
            .all
            .iter()
            .filter(|span| span.text("gen_ai.operation.name") == "invoke_agent")
            .map(|span| {
                let names = [span.text("gen_ai.agent.id"), span.text("gen_ai.agent.name"), &span.id];
                let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
                (format!("{}/{}", span.trace, span.id), name.to_owned())
            })
            .collect();
        let nearest = |span: &Span| {
            let mut place = format!("{}/{}", span.trace, span.parent);
            for _ in 0..DEPTH {
                if let Some(agent) = agents.get(&place) {
                    return Some(agent.clone());
                }
                place = format!("{}/{}", span.trace, self.parents.get(&place)?);
            }
            None
        };
        let of = |span: &Span| ((span.trace.clone(), span.id.clone()), nearest(span).unwrap_or_default());
        self.all.iter().map(of).collect()
    }
}

const EVALUATION: &str = "gen_ai.evaluation.result";

/// Scores by group or trace, and by name; the last of a name wins.
type Scores = BTreeMap<String, BTreeMap<String, f64>>;

fn score(scores: &mut Scores, of: String, attributes: &Map<String, Value>, report: &mut Report) {
    let name = attributes.get("gen_ai.evaluation.name").and_then(Value::as_str).unwrap_or("evaluation");
    let value = ["gen_ai.evaluation.score.value", "gen_ai.evaluation.score.label"]
        .iter()
        .find_map(|key| chat::score(&At::root(attributes.get(*key)?)).ok());
    match value {
        Some(value) => {
            report.reward(name, false);
            scores.entry(of).or_default().insert(name.into(), value);
        }
        None => report.dropped("evaluations without a number"),
    }
}

/// The conversations of spans that belong together.
fn group(
    task: u64,
    name: &str,
    spans: &[&Span],
    agents: &HashMap<(String, String), String>,
    scores: &BTreeMap<String, f64>,
    config: &RecordConfig,
    report: &mut Report,
) -> Result<()> {
    let (mut growths, mut order): (HashMap<&str, Growth>, Vec<&str>) = (HashMap::new(), Vec::new());
    let (mut model, mut results) = ("", HashMap::new());
    for span in spans {
        let place =
            |error| files::at(format!("{}, trace {}, span {}", span.file, span.trace, span.id), error);
        let operation = span.text("gen_ai.operation.name");
        if operation == "execute_tool" {
            if let Some(result) = span.attributes.get("gen_ai.tool.call.result") {
                let text = result.as_str().map_or_else(|| result.to_string(), str::to_owned);
                results.insert(span.text("gen_ai.tool.call.id"), text);
            }
            continue;
        }
        if ["embeddings", "create_agent", "invoke_agent", "invoke_workflow", "retrieval"].contains(&operation)
        {
            continue;
        }
        let Some(call) = call(span, report).map_err(place)? else {
            if !span.events.iter().any(|(name, _)| name == EVALUATION) {
                report.dropped("model calls without recorded messages");
            }
            continue;
        };
        if let Some(name) = [span.text("gen_ai.response.model"), span.text("gen_ai.request.model")]
            .into_iter()
            .find(|name| !name.is_empty())
        {
            model = name;
        }
        let agent = agents.get(&(span.trace.clone(), span.id.clone())).map_or("", String::as_str);
        if !growths.contains_key(agent) {
            order.push(agent);
        }
        growths.entry(agent).or_default().add(call);
    }
    let wanted = match scores.keys().next() {
        Some(only) if config.reward.is_empty() && scores.len() == 1 => only.as_str(),
        _ if config.reward.is_empty() => "reward",
        _ => &config.reward,
    };
    let reward = scores.get(wanted).copied();
    report.reward(wanted, reward.is_some());
    // The name that a service without one gets says nothing.
    let service = spans.first().map_or("", |span| span.service.as_str());
    let service = if service.starts_with("unknown_service") { "" } else { service };
    let environment =
        [config.environment.as_str(), service, "otel-genai"].into_iter().find(|name| !name.is_empty());
    let mut seat = 0;
    for agent in order {
        for grown in growths.remove(agent).unwrap_or_default().conversations() {
            let mut messages = grown.messages;
            // No further call was given the results of the last ones, but their own spans may have them.
            let last = messages.last().map(|said| said.calls.clone()).unwrap_or_default();
            for call in last {
                if let Some(text) = results.get(call.id.as_str()).filter(|_| !call.id.is_empty()) {
                    messages.push(Said { call: call.id, ..Said::new(Speaker::Tool, text) });
                }
            }
            let mut of = Trajectory {
                episode: name.into(),
                environment: environment.unwrap_or_default().into(),
                task,
                seat,
                source: if model.is_empty() { "otel-genai".into() } else { format!("otel-genai/{model}") },
                tools: grown.tools,
                ..Trajectory::default()
            };
            if !agent.is_empty() {
                of.info.insert("agent".into(), agent.into());
            }
            if !scores.is_empty() {
                of.info.insert("scores".into(), json!(scores));
            }
            seat += 1;
            let end = if grown.cut { End::Truncated } else { End::Terminated };
            Conversation { of, messages, reward, end }.import(report);
        }
    }
    Ok(())
}

/// What a span says of a model call; `None` if its messages are not recorded.
fn call(span: &Span, report: &mut Report) -> Result<Option<Call>> {
    // Messages are attributes of the span, or of an event.
    let find = |key: &str| {
        let of_events = span.events.iter().map(|(_, attributes)| attributes);
        let found =
            std::iter::once(&span.attributes).chain(of_events).find_map(|attributes| attributes.get(key));
        found
            .map(|found| structured(found).map_err(|error| Error::input(format!("`{key}`: {error}"))))
            .transpose()
    };
    let (mut input, mut output) = (Vec::new(), None);
    if let Some(parts) = find("gen_ai.system_instructions")? {
        let message = json!({ "role": "system", "parts": parts });
        input.extend(message_of(&At::root(&message), report)?);
    }
    if let Some(messages) = find("gen_ai.input.messages")? {
        let messages = json!({ "gen_ai.input.messages": messages });
        for at in At::root(&messages).field("gen_ai.input.messages")?.list()? {
            input.extend(message_of(&at, report)?);
        }
    }
    if let Some(messages) = find("gen_ai.output.messages")? {
        let messages = json!({ "gen_ai.output.messages": messages });
        let answers = At::root(&messages).field("gen_ai.output.messages")?.list()?;
        report.drop_many("further answers to the same request", answers.len().saturating_sub(1) as u64);
        if let Some(answer) = answers.first() {
            // What the model said, and the results of tools that ran at the provider.
            let said = message_of(answer, report)?;
            report.drop_many("results of the provider's tools", said.len().saturating_sub(1) as u64);
            output = said.into_iter().find(|said| said.by == Speaker::Agent);
        }
    }
    for (name, attributes) in &span.events {
        let role = match name.as_str() {
            "gen_ai.system.message" => "system",
            "gen_ai.user.message" => "user",
            "gen_ai.assistant.message" => "assistant",
            "gen_ai.tool.message" => "tool",
            "gen_ai.choice" => "choice",
            _ => continue,
        };
        let (message, role) = match role {
            "choice" if output.is_some() => {
                report.dropped("further answers to the same request");
                continue;
            }
            "choice" => match attributes.get("message").map(structured).transpose()? {
                Some(Value::Object(message)) => (message, "assistant"),
                _ => (attributes.clone(), "assistant"),
            },
            role => (attributes.clone(), role),
        };
        let said =
            event(role, &message, report).map_err(|error| files::at(format!("event `{name}`"), error))?;
        if name == "gen_ai.choice" { output = Some(said) } else { input.push(said) }
    }
    let Some(mut output) = output else { return Ok(None) };
    for (key, name) in [
        ("gen_ai.usage.input_tokens", "input_tokens"),
        ("gen_ai.usage.output_tokens", "output_tokens"),
        ("gen_ai.response.id", "response"),
        ("gen_ai.response.model", "model"),
    ] {
        if let Some(value) = span.attributes.get(key) {
            output.info.insert(name.into(), value.clone());
        }
    }
    output.info.insert("started_ns".into(), span.start.into());
    let reasons = span.attributes.get("gen_ai.response.finish_reasons").map(structured).transpose()?;
    let cut = reasons
        .is_some_and(|reasons| reasons.as_array().is_some_and(|list| list.iter().any(|one| one == "length")));
    let mut tools: Vec<Tool> = Vec::new();
    if let Some(defined) = find("gen_ai.tool.definitions")? {
        let defined = json!({ "gen_ai.tool.definitions": defined });
        tools = chat::tools(At::root(&defined).field("gen_ai.tool.definitions")?.list()?, report)?;
    }
    Ok(Some(Call { input, output, tools, cut: cut || span.failed }))
}

/// A message of parts. One of a tool may have several results, which are a message each.
fn message_of(at: &At<'_>, report: &mut Report) -> Result<Vec<Said>> {
    let role = at.field("role")?;
    let by = match role.text()? {
        "system" | "developer" => Speaker::System,
        "user" => Speaker::User,
        "assistant" | "model" => Speaker::Agent,
        "tool" => Speaker::Tool,
        other => {
            return Err(
                role.unfit(format!("`{other}` is not a role; there are system, user, assistant, tool"))
            );
        }
    };
    let mut said = Said::new(by, "");
    said.name = at.get_text("name")?.unwrap_or_default().into();
    let (mut texts, mut reasoning, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for part in at.field("parts")?.list()? {
        match part.field("type")?.text()? {
            "text" => texts.push(part.field("content")?.text()?.to_owned()),
            "reasoning" => reasoning.push(part.field("content")?.text()?.to_owned()),
            "tool_call" => said.calls.push(chat::call_of(&part, report)?),
            "tool_call_response" => {
                let result = part.get("response")?.or(part.get("result")?);
                let text = result.map_or_else(String::new, |found| match found.value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                let call = part.get("id")?.map(|id| id.id()).transpose()?.unwrap_or_default();
                results.push(Said { call: call.trim().to_owned(), ..Said::new(Speaker::Tool, text) });
            }
            other => {
                let kind = part.get_text("modality")?.unwrap_or(other);
                report.dropped(format!("content of type {kind}"));
                texts.push(format!("[{kind}]"));
            }
        }
    }
    (said.text, said.reasoning) = (texts.join("\n"), reasoning.join("\n\n"));
    let empty = said.text.is_empty() && said.reasoning.is_empty() && said.calls.is_empty();
    Ok(if empty && !results.is_empty() { results } else { results.into_iter().chain([said]).collect() })
}

/// A message as an event of conventions up to 1.36.
fn event(role: &str, attributes: &Map<String, Value>, report: &mut Report) -> Result<Said> {
    let mut message = Map::from_iter([("role".to_owned(), role.into())]);
    for key in ["content", "tool_calls", "id", "name"] {
        let Some(value) = attributes.get(key) else { continue };
        let (key, value) = match key {
            "id" if role == "tool" => ("tool_call_id", value.clone()),
            "tool_calls" => (key, structured(value)?),
            // Text that is JSON is still text.
            _ => (key, value.clone()),
        };
        message.insert(key.into(), value);
    }
    let message = Value::Object(message);
    chat::message(&At::root(&message), report)
}

/// A structure that may be recorded as its text.
fn structured(value: &Value) -> Result<Value> {
    match value {
        Value::String(text) => {
            serde_json::from_str(text).map_err(|error| Error::input(format!("it is not JSON: {error}")))
        }
        value => Ok(value.clone()),
    }
}

/// The attributes of a span, event, log or resource.
fn attributes(at: &At<'_>) -> Result<Map<String, Value>> {
    let pair = |pair: At<'_>| {
        let value = pair.get("value")?.map(|value| any(&value)).transpose()?.unwrap_or_default();
        Ok((pair.field("key")?.text()?.to_owned(), value))
    };
    at.get_list("attributes")?.into_iter().map(pair).collect()
}

/// A value of any type.
fn any(at: &At<'_>) -> Result<Value> {
    let Some((kind, value)) = at.object()?.iter().next() else { return Ok(Value::Null) };
    let found = at.field(kind).unwrap_or_else(|_| at.clone());
    Ok(match kind.as_str() {
        "intValue" => match value.as_str().map(str::parse::<i64>) {
            Some(Ok(number)) => number.into(),
            None if value.is_number() => value.clone(),
            _ => return Err(found.wrong("a whole number")),
        },
        "arrayValue" => found.get_list("values")?.iter().map(any).collect::<Result<Vec<_>>>()?.into(),
        "kvlistValue" => {
            let pairs = found.get_list("values")?.into_iter().map(|pair| {
                let value = pair.get("value")?.map(|value| any(&value)).transpose()?.unwrap_or_default();
                Ok((pair.field("key")?.text()?.to_owned(), value))
            });
            Value::Object(pairs.collect::<Result<_>>()?)
        }
        "stringValue" | "boolValue" | "doubleValue" | "bytesValue" => value.clone(),
        _ => return Err(at.unfit(format!("`{kind}` is not a type of value"))),
    })
}

/// A time, which JSON has as text because it has more digits than a number may have.
fn nanoseconds(at: &At<'_>) -> Result<u64> {
    match at.value {
        Value::String(text) => text.parse().map_err(|_| at.wrong("a number of nanoseconds")),
        _ => at.whole(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tests::{check, refused};

    /// A document of spans: `(id, parent, start, attributes, events)`.
    fn spans(all: &[(&str, &str, u64, Value, Value)]) -> String {
        let value = |value: &Value| match value {
            Value::String(text) => json!({ "stringValue": text }),
            Value::Number(number) if number.is_u64() => json!({ "intValue": number.to_string() }),
            other => json!({ "stringValue": other.to_string() }),
        };
        let attributes = |of: &Value| -> Value {
            of.as_object()
                .unwrap()
                .iter()
                .map(|(key, found)| json!({ "key": key, "value": value(found) }))
                .collect()
        };
        let span = |(id, parent, start, of, events): &(&str, &str, u64, Value, Value)| {
            let events: Value = events
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, of)| json!({ "name": name.trim_end_matches('+'), "attributes": attributes(of) }))
                .collect();
            json!({ "traceId": "t1", "spanId": id, "parentSpanId": parent, "startTimeUnixNano": start.to_string(),
                "attributes": attributes(of), "events": events })
        };
        let all: Vec<_> = all.iter().map(span).collect();
        let resource =
            json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }] });
        json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "spans": all }] }] }).to_string()
    }

    fn said(role: &str, text: &str) -> Value {
        json!({ "role": role, "parts": [{ "type": "text", "content": text }] })
    }

    #[tokio::test]
    async fn calls_that_repeat_their_history_are_one_conversation() {
        let look = json!({ "role": "assistant", "finish_reason": "tool_call", "parts": [
            { "type": "reasoning", "content": "A lamp." },
            { "type": "tool_call", "id": "c1", "name": "search", "arguments": { "query": "lamp" } }] });
        let found = json!({ "role": "tool", "parts": [{ "type": "tool_call_response", "id": "c1", "response": "B01" }] });
        let chat = |input: Value, output: Value| {
            json!({ "gen_ai.operation.name": "chat", "gen_ai.response.model": "m",
            "gen_ai.usage.input_tokens": 7, "gen_ai.system_instructions": [{ "type": "text", "content": "You shop." }],
            "gen_ai.tool.definitions": [{ "type": "function", "name": "search" }],
            "gen_ai.input.messages": input, "gen_ai.output.messages": [output] })
        };
        let user = said("user", "Find a lamp");
        let text = spans(&[
            (
                "a",
                "",
                1,
                json!({ "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "shopper" }),
                json!({ "gen_ai.evaluation.result": { "gen_ai.evaluation.name": "taste", "gen_ai.evaluation.score.value": "0.5" } }),
            ),
            ("c", "a", 9, chat(json!([user, look, found]), said("assistant", "B01")), json!({})),
            ("b", "a", 2, chat(json!([user]), look.clone()), json!({})),
            (
                "d",
                "a",
                3,
                json!({ "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "looker" }),
                json!({}),
            ),
            ("e", "d", 4, chat(json!([said("user", "Which?")]), said("assistant", "Red.")), json!({})),
            ("f", "", 5, json!({ "gen_ai.operation.name": "chat" }), json!({})),
        ]);
        let imported = check(&OtelGenai(RecordConfig::default()), "spans.json", &text).await;
        let [main, sub] = &imported.trajectories[..] else { panic!("{imported:?}") };
        assert_eq!(
            (main.episode.as_str(), main.environment.as_str(), main.source.as_str()),
            ("t1", "shop", "otel-genai/m")
        );
        assert_eq!((main.instructions.as_str(), main.tools[0].name.as_str()), ("You shop.", "search"));
        let [search, answer] = &main.steps[..] else { panic!("{main:?}") };
        assert_eq!(
            (search.thought.as_str(), search.action.as_str()),
            ("A lamp.", r#"search({"query":"lamp"})"#)
        );
        assert_eq!((answer.observation.as_str(), answer.reward), ("B01", 0.5));
        assert_eq!(
            (sub.seat, sub.steps[0].action.as_str(), &sub.info["agent"]),
            (1, "Red.", &"looker".into())
        );
        assert_eq!(imported.dropped["model calls without recorded messages"], 1);
    }

    #[tokio::test]
    async fn messages_may_be_events() {
        let text = spans(&[
            (
                "a",
                "",
                1,
                json!({ "gen_ai.system": "openai", "gen_ai.operation.name": "chat" }),
                json!({
                    "gen_ai.system.message": { "content": "You shop." },
                    "gen_ai.user.message": { "content": "Find a lamp" },
                    "gen_ai.choice": { "index": 0, "message": { "role": "assistant", "tool_calls": [
                        { "id": "c1", "type": "function", "function": { "name": "search", "arguments": "{}" } }] } },
                }),
            ),
            (
                "b",
                "",
                2,
                json!({ "gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": "c1", "gen_ai.tool.call.result": "B01" }),
                json!({}),
            ),
        ]);
        // As the collector writes it: a document per line.
        let text = format!("{text}\n{{\"resourceMetrics\": []}}\n");
        let imported = check(&OtelGenai(RecordConfig::default()), "spans.json", &text).await;
        let [only] = &imported.trajectories[..] else { panic!("{imported:?}") };
        assert_eq!(
            (only.steps[0].observation.as_str(), only.steps[0].action.as_str()),
            ("Find a lamp", "search({})")
        );
        assert_eq!((only.instructions.as_str(), &only.info["after"]), ("You shop.", &"B01".into()));
    }

    #[tokio::test]
    async fn broken_documents_are_refused_by_field() {
        for (text, why) in [
            ("{\"spans\": []}".to_owned(), "neither `resourceSpans` nor `resourceLogs`"),
            (
                spans(&[("a", "", 1, json!({}), json!({}))]).replace("\"spanId\"", "\"id\""),
                "`resourceSpans[0].scopeSpans[0].spans[0].spanId` is missing",
            ),
            (
                spans(&[("a", "", 1, json!({ "gen_ai.input.messages": "[{" }), json!({}))]),
                "spans.json, trace t1, span a: `gen_ai.input.messages`: it is not JSON",
            ),
            (
                spans(&[(
                    "a",
                    "",
                    1,
                    json!({ "gen_ai.output.messages": [{ "role": "assistant" }] }),
                    json!({}),
                )]),
                "`gen_ai.output.messages[0].parts` is missing",
            ),
            (
                spans(&[("a", "", 1, json!({}), json!({}))]).replace("stringValue", "thing"),
                "`thing` is not a type of value",
            ),
        ] {
            let error = refused(&OtelGenai(RecordConfig::default()), "spans.json", &text).await;
            assert!(error.contains(why), "{error}");
        }
    }
}
