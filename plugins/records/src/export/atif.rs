//! ATIF 1.7: see the importer of the same name.

use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{self, Map, Value, json};

use super::{About, Document, Spoken, about, definition, model, number, spoken};

pub(super) fn document(place: usize, trajectory: &Trajectory, of: &About) -> Result<Document> {
    let mut steps: Vec<Value> = Vec::new();
    if !trajectory.instructions.is_empty() {
        steps.push(json!({ "source": "system", "message": trajectory.instructions }));
    }
    for (spoken, step) in spoken(trajectory).into_iter().zip(&trajectory.steps) {
        if !spoken.heard.is_empty() {
            steps.push(json!({ "source": "user", "message": spoken.heard }));
        }
        steps.push(agent(spoken, step));
    }
    for (index, step) in steps.iter_mut().enumerate() {
        step["step_id"] = (index + 1).into();
    }
    let mut agent = json!({ "name": trajectory.source, "version": of.program });
    if let Some(model) = model(trajectory) {
        agent["model_name"] = model.into();
    }
    let tools: Vec<Value> = trajectory.tools.iter().map(definition).collect();
    if !tools.is_empty() {
        agent["tool_definitions"] = tools.into();
    }
    let mut extra = about(trajectory);
    extra.insert("reward".into(), trajectory.score().into());
    let total =
        |key| trajectory.steps.iter().filter_map(|step| number(&step.info, key)).reduce(u64::saturating_add);
    let mut metrics = json!({ "total_steps": steps.len() });
    for (name, key) in [("total_prompt_tokens", "input_tokens"), ("total_completion_tokens", "output_tokens")]
    {
        if let Some(total) = total(key) {
            metrics[name] = total.into();
        }
    }
    let document = json!({
        "schema_version": "ATIF-v1.7",
        "session_id": trajectory.episode,
        "trajectory_id": format!("{}/{}", trajectory.episode, trajectory.seat),
        "agent": agent,
        "steps": steps,
        "final_metrics": metrics,
        "extra": extra,
    });
    let fine = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let id: String = trajectory.episode.chars().take(40).map(fine).collect();
    Ok(Document {
        name: format!("trajectory-{place:05}-{id}.json"),
        bytes: serde_json::to_vec_pretty(&document)?,
    })
}

fn agent(spoken: Spoken, step: &Step) -> Value {
    let mut agent = json!({ "source": "agent", "message": spoken.words });
    if !spoken.reasoning.is_empty() {
        agent["reasoning_content"] = spoken.reasoning.into();
    }
    if !spoken.calls.is_empty() {
        let calls = spoken.calls.iter().map(|call| {
            // Arguments must be an object here.
            let arguments = if call.arguments.is_object() {
                call.arguments.clone()
            } else {
                json!({ "": call.arguments })
            };
            json!({ "tool_call_id": call.id, "function_name": call.name, "arguments": arguments })
        });
        agent["tool_calls"] = calls.collect::<Vec<_>>().into();
    }
    let of_calls = spoken.calls.iter().zip(spoken.results);
    let mut results: Vec<Value> =
        of_calls.map(|(call, result)| json!({ "source_call_id": call.id, "content": result })).collect();
    if !spoken.feedback.is_empty() {
        results.push(json!({ "content": spoken.feedback }));
    }
    if !results.is_empty() {
        agent["observation"] = json!({ "results": results });
    }
    let mut metrics = Map::new();
    for (name, key) in [("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")] {
        if let Some(count) = number(&step.info, key) {
            metrics.insert(name.into(), count.into());
        }
    }
    if !metrics.is_empty() {
        agent["metrics"] = metrics.into();
    }
    for key in ["timestamp", "model_name"] {
        if let Some(text) = step.info.get(key).filter(|value| value.is_string()) {
            agent[key] = text.clone();
        }
    }
    agent
}
