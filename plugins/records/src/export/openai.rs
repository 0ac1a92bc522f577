//! OpenAI chat messages, JSON Lines: the form that `import openai-chat` reads.

use forethought_sdk::api::llm::ToolCall;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{self, Value, json};

use super::{Document, about, definition, messages, truncated};

pub(super) fn lines(trajectories: &[Trajectory]) -> Result<Document> {
    let mut bytes = Vec::new();
    for one in trajectories {
        let seat = if one.seat == 0 { String::new() } else { format!("/{}", one.seat) };
        let tools: Vec<Value> = one.tools.iter().map(definition).collect();
        let mut line = json!({ "id": format!("{}{seat}", one.episode), "messages": messages(one) });
        if !tools.is_empty() {
            line["tools"] = tools.into();
        }
        line["reward"] = one.score().into();
        line["truncated"] = truncated(one).into();
        line["metadata"] = about(one).into();
        serde_json::to_writer(&mut bytes, &line)?;
        bytes.push(b'\n');
    }
    Ok(Document { name: "conversations.jsonl".into(), bytes })
}

/// A call, whose arguments are text.
pub(super) fn call(call: &ToolCall) -> Value {
    let arguments = match &call.arguments {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
}
