//! Gemini: `generateContent` ("Generating content", "Function calling with the Gemini API", "Structured output").

use forethought_api::llm::{
    ChatRequest, Choice, Completion, FinishReason, Message, Purpose, Role, Tool, ToolCall,
};
use serde_json::{Value, json};

use super::{Parsed, Reason, Reported, items, list, said, schema, stops, string, tokens};
use crate::parrot::words;

pub(super) fn read(path: &str, body: &Value) -> Result<Parsed, Reason> {
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let (model, method) = path
        .rsplit_once("/models/")
        .and_then(|(_, model)| model.rsplit_once(':'))
        .ok_or("the path names no model")?;
    let mut request = ChatRequest::new(Purpose::Other, Vec::new());
    let system = items(&body["systemInstruction"], "parts");
    request.messages.extend(system.iter().map(|part| said(Role::System, &part["text"])));
    for entry in list(body, "contents")? {
        let role = match entry["role"].as_str() {
            Some("user") | None => Role::User,
            Some("model") => Role::Assistant,
            Some(other) => return Err(format!("Please use a valid role: user, model, not {other:?}")),
        };
        for part in list(entry, "parts")? {
            if part["text"].is_string() {
                request.messages.push(said(role, &part["text"]));
            } else if part["functionCall"].is_object() {
                let call = &part["functionCall"];
                let name = string(call, "name")?;
                let id = call["id"].as_str().unwrap_or(&name).to_owned();
                let call = ToolCall { id, name, arguments: call["args"].clone() };
                match request.messages.last_mut() {
                    Some(message) if message.role == role => message.tool_calls.push(call),
                    _ => {
                        request.messages.push(Message { role, tool_calls: vec![call], ..Message::default() })
                    }
                }
            } else {
                let result = &part["functionResponse"];
                let name = string(result, "name")?;
                let response = result["response"].as_object().ok_or("`response` must be an object")?;
                let content = response.get("result").cloned().unwrap_or_else(|| response.clone().into());
                let content = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
                let id = result["id"].as_str().unwrap_or(&name).to_owned();
                let message = Message { tool_call_id: Some(id), ..Message::new(Role::Tool, content) };
                request.messages.push(message);
            }
        }
    }
    let config = &body["generationConfig"];
    request.samples = tokens(&config["candidateCount"]).unwrap_or(1);
    request.temperature = config["temperature"].as_f64();
    request.max_tokens = tokens(&config["maxOutputTokens"]);
    request.stop = stops(&config["stopSequences"]);
    // A 32-bit integer there: larger seeds are refused.
    request.seed = match &config["seed"] {
        Value::Null => None,
        seed => {
            Some(seed.as_i64().and_then(|seed| i32::try_from(seed).ok()).ok_or("seed: TYPE_INT32")? as u64)
        }
    };
    request.logprobs = config["responseLogprobs"] == true;
    request.json_schema = schema(&config["responseJsonSchema"]);
    if request.json_schema.is_some() && config["responseMimeType"] != "application/json" {
        return Err("a schema needs responseMimeType: application/json".into());
    }
    for entry in items(body, "tools").iter().flat_map(|tool| items(tool, "functionDeclarations")) {
        request.tools.push(Tool {
            name: string(entry, "name")?,
            description: entry["description"].as_str().unwrap_or_default().into(),
            parameters: schema(&entry["parametersJsonSchema"]).unwrap_or_else(|| entry["parameters"].clone()),
        });
    }
    Ok(Parsed { model: model.into(), request, streaming: method == "streamGenerateContent" })
}

fn finish(choice: &Choice) -> Value {
    let reason = match choice.finish {
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ContentFilter => "SAFETY",
        _ => "STOP", // Of tool calls as well.
    };
    reason.into()
}

fn answer(model: &str, candidates: Vec<Value>, reported: &Reported) -> Value {
    let total = reported.input.as_u64().unwrap_or(0) + reported.output.as_u64().unwrap_or(0);
    json!({
        "candidates": candidates,
        "usageMetadata": {
            "promptTokenCount": reported.input, "candidatesTokenCount": reported.output, "totalTokenCount": total
        },
        "modelVersion": model, "responseId": "mock"
    })
}

fn candidate(
    index: usize,
    parts: Vec<Value>,
    choice: &Choice,
    tokens: &[forethought_api::llm::TokenLogprob],
) -> Value {
    let mut candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": index });
    if choice.finish != FinishReason::Other {
        candidate["finishReason"] = finish(choice);
    }
    if !tokens.is_empty() {
        let chosen: Vec<_> = tokens
            .iter()
            .map(|token| json!({ "token": token.token, "tokenId": 1, "logProbability": token.logprob }))
            .collect();
        candidate["logprobsResult"] = json!({ "topCandidates": [], "chosenCandidates": chosen });
    }
    candidate
}

fn calls(choice: &Choice) -> impl Iterator<Item = Value> {
    choice.tool_calls.iter().map(|call| {
        let called = json!({ "id": call.id, "name": call.name, "args": call.arguments });
        json!({ "functionCall": called, "thoughtSignature": "bW9jaw==" })
    })
}

pub(super) fn whole(model: &str, completion: &Completion, reported: &Reported) -> Value {
    let candidates = completion.choices.iter().enumerate().map(|(index, choice)| {
        let text = (!choice.text.is_empty()).then(|| json!({ "text": choice.text }));
        candidate(index, text.into_iter().chain(calls(choice)).collect(), choice, &choice.logprobs)
    });
    answer(model, candidates.collect(), reported)
}

pub(super) fn stream(model: &str, completion: &Completion, reported: &Reported) -> Vec<String> {
    let Some(choice) = completion.choices.first() else { return Vec::new() };
    // Only the last piece says why it is the last.
    let going = Choice { finish: FinishReason::Other, ..Choice::default() };
    let event = |candidate: Value| format!("data: {}\r\n\r\n", answer(model, vec![candidate], reported));
    let mut events = Vec::new();
    for (place, word) in words(&choice.text).enumerate() {
        let token = choice.logprobs.get(place).map(std::slice::from_ref).unwrap_or_default();
        events.push(event(candidate(0, vec![json!({ "text": word })], &going, token)));
    }
    events.extend(calls(choice).map(|call| event(candidate(0, vec![call], &going, &[]))));
    events.push(event(candidate(0, vec![json!({ "text": "" })], choice, &[])));
    events
}

pub(super) fn error(status: u16, reason: &str) -> Value {
    let (name, details) = match status {
        400 => ("INVALID_ARGUMENT", json!([])),
        401 => ("UNAUTHENTICATED", json!([])),
        403 => ("PERMISSION_DENIED", json!([])),
        404 => ("NOT_FOUND", json!([])),
        429 => {
            let retry = json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s" });
            ("RESOURCE_EXHAUSTED", json!([retry]))
        }
        503 => ("UNAVAILABLE", json!([])),
        _ => ("INTERNAL", json!([])),
    };
    json!({ "error": { "code": status, "message": reason, "status": name, "details": details } })
}
