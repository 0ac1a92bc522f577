//! A log of Inspect as one document of JSON: see the importer of the same name. Samples are episodes, with the task as
//! their id; several episodes of a task are epochs.

use std::collections::HashMap;

use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{self, Value, json};

use super::{About, Document, about, messages, model, number, truncated};

/// The scorer's name, and that of the score.
const SCORE: &str = "score";

pub(super) fn log(trajectories: &[Trajectory], of: &About) -> Result<Document> {
    let (mut samples, mut epochs, mut ids) = (Vec::new(), HashMap::new(), Vec::new());
    for one in trajectories {
        let seat = if one.seat == 0 { String::new() } else { format!("/{}", one.seat) };
        let id = format!("{}{seat}", one.task);
        let epoch = epochs.entry(id.clone()).or_insert(0u64);
        *epoch += 1;
        if *epoch == 1 {
            ids.push(id.clone());
        }
        samples.push(sample(one, id, *epoch));
    }
    let scores: f64 = trajectories.iter().map(Trajectory::score).sum();
    let mean = scores / trajectories.len().max(1) as f64;
    let first = trajectories.first();
    let started = if of.started.is_empty() { "1970-01-01T00:00:00+00:00" } else { &of.started };
    let model = first.and_then(model).unwrap_or("unknown");
    let solver = first.map_or("", |one| one.source.as_str());
    let document = json!({
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": of.run,
            "run_id": of.run,
            "created": started,
            "task": first.map_or("", |one| one.environment.as_str()),
            "task_id": of.run,
            "solver": solver,
            "dataset": { "samples": ids.len(), "sample_ids": ids, "shuffled": false },
            "model": model,
            "config": { "epochs": epochs.values().max().copied().unwrap_or(1) },
            "packages": { "forethought": of.program },
        },
        "plan": { "name": "plan", "steps": [{ "solver": solver, "params": {} }], "config": {} },
        "results": {
            "total_samples": samples.len(),
            "completed_samples": samples.len(),
            "scores": [{
                "name": SCORE, "scorer": SCORE, "params": {}, "scored_samples": samples.len(), "unscored_samples": 0,
                "metrics": { "mean": { "name": "mean", "value": mean, "params": {} } },
            }],
        },
        "stats": { "started_at": started, "completed_at": started, "model_usage": {} },
        "samples": samples,
    });
    Ok(Document { name: "inspect.json".into(), bytes: serde_json::to_vec_pretty(&document)? })
}

fn sample(one: &Trajectory, id: String, epoch: u64) -> Value {
    let model = model(one).unwrap_or("unknown");
    let messages: Vec<Value> =
        messages(one).into_iter().enumerate().map(|(index, message)| own(message, index, model)).collect();
    let last =
        messages.iter().rev().find(|message| message["role"] == "assistant").cloned().unwrap_or_default();
    let said = last["content"].as_str().unwrap_or_default().to_owned();
    let reason = if last["tool_calls"].is_array() { "tool_calls" } else { "stop" };
    let total = |key| one.steps.iter().filter_map(|step| number(&step.info, key)).sum::<u64>();
    let (input, output) = (total("input_tokens"), total("output_tokens"));
    let mut usage = json!({});
    if input + output > 0 {
        usage[model] =
            json!({ "input_tokens": input, "output_tokens": output, "total_tokens": input + output });
    }
    let mut scores = json!({ SCORE: { "value": one.score(), "history": [] } });
    if let Some(success) = one.info.get("success").and_then(Value::as_bool) {
        scores["success"] = json!({ "value": if success { "C" } else { "I" }, "history": [] });
    }
    let mut sample = json!({
        "id": id,
        "epoch": epoch,
        "uuid": format!("{}/{}", one.episode, one.seat),
        "input": one.steps.first().map_or("", |step| step.observation.as_str()),
        "target": "",
        "messages": messages,
        "output": { "model": model, "choices": [{ "message": last, "stop_reason": reason }], "completion": said },
        "scores": scores,
        "metadata": about(one),
        "store": {},
        "events": [],
        "model_usage": usage,
        "attachments": {},
    });
    if truncated(one) {
        sample["limit"] = json!({ "type": "message", "limit": one.steps.len() });
    }
    sample
}

/// A message of OpenAI's form in Inspect's: reasoning is a part of the content, arguments are an object, tools are named.
fn own(mut message: Value, index: usize, model: &str) -> Value {
    message["id"] = format!("m{index}").into();
    let Some(object) = message.as_object_mut() else { return message };
    if object.get("content").is_none_or(Value::is_null) {
        object.insert("content".into(), "".into());
    }
    if let Some(reasoning) = object.shift_remove("reasoning_content") {
        let text = object.get("content").cloned().unwrap_or_default();
        let parts =
            json!([{ "type": "reasoning", "reasoning": reasoning }, { "type": "text", "text": text }]);
        object.insert("content".into(), parts);
    }
    if object["role"] == "assistant" {
        object.insert("source".into(), "generate".into());
        object.insert("model".into(), model.into());
    }
    for call in object.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_else(|_| arguments.into());
        let arguments = if arguments.is_object() { arguments } else { json!({ "": arguments }) };
        *call = json!({ "id": call["id"], "function": call["function"]["name"], "arguments": arguments, "type": "function" });
    }
    message
}
