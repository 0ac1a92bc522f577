//! Rules for language models: they keep what their capabilities claim.

use std::sync::Arc;

use forethought_api::llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, Message, Purpose, Tool};
use serde_json::{Value, json};

use crate::{
    common::Work,
    trial::{Fault, Rule, Trial, Verdict, ensure, skip},
};

const CAPABILITIES: Rule = Rule {
    id: "llm/capabilities",
    says: "it names its model, and its capabilities never change",
    fix: "make the capabilities from the configuration alone; the name of the model is part of cache keys",
    needs: &[],
};
const SAMPLES: Rule = Rule {
    id: "llm/samples",
    says: "it gives as many choices as samples are requested",
    fix: "if the provider gives one answer per request, send one request per sample",
    needs: &["common/answered"],
};
const SEED: Rule = Rule {
    id: "llm/seed",
    says: "if it claims to honour seeds, the same request gives the same answer",
    fix: "derive every draw from the request's seed and text, or set `seed: false` in the capabilities",
    needs: &["common/answered"],
};
const STREAMING: Rule = Rule {
    id: "llm/streaming",
    says: "if it claims to stream, the pieces make up the answer of `finish`, which is that of `complete`",
    fix: "return at most `max` pieces from `next`, none only at the end, and the whole answer from `finish`; or set \
          `streaming: false`",
    needs: &["common/answered", "llm/samples", "llm/seed"],
};
const LOGPROBS: Rule = Rule {
    id: "llm/logprobs",
    says: "if it claims log-probabilities, every answer has them on request, and none is above 0",
    fix: "return one natural logarithm per token when `logprobs` is requested, or set `logprobs: false`",
    needs: &["common/answered", "llm/samples"],
};
const JSON_SCHEMA: Rule = Rule {
    id: "llm/json-schema",
    says: "if it claims that answers follow a JSON Schema, they do",
    fix: "pass `json_schema` to the provider's structured output, or set `json_schema: false`",
    needs: &["common/answered", "llm/samples"],
};
const TOOLS: Rule = Rule {
    id: "llm/tools",
    says: "if it claims tools, it calls only offered ones, with arguments that follow their schema",
    fix: "pass `tools` to the provider and return its calls in `tool_calls`, with arguments as JSON and not as text, \
          or set `tools: false`",
    needs: &["common/answered", "llm/samples"],
};

pub(crate) const RULES: &[&Rule] =
    &[&CAPABILITIES, &SAMPLES, &SEED, &STREAMING, &LOGPROBS, &JSON_SCHEMA, &TOOLS];

type Llm = Arc<dyn LlmBackend>;

pub(crate) async fn check(trial: &Trial<'_>, llm: Llm) -> Option<Work> {
    let can = trial.gather(trial.call("capabilities", llm.capabilities())).await?;
    trial.rule(&CAPABILITIES, capabilities(trial, &llm, &can)).await;
    trial.rule(&SAMPLES, samples(trial, &llm)).await;
    trial.rule(&SEED, seed(trial, &llm, &can)).await;
    trial.rule(&STREAMING, streaming(trial, &llm, &can)).await;
    trial.rule(&LOGPROBS, logprobs(trial, &llm, &can)).await;
    trial.rule(&JSON_SCHEMA, json_schema(trial, &llm, &can)).await;
    trial.rule(&TOOLS, tools(trial, &llm, &can)).await;
    Some(Work::new(move |n| {
        let (llm, seeded) = (llm.clone(), can.seed);
        async move {
            let completion = llm.complete(request(n)).await?;
            // Without seeds answers differ, so only their number is compared.
            Ok(if seeded { words(&completion) } else { completion.choices.len().to_string() })
        }
    }))
}

/// A request like those of planners, to be answered in one labelled line.
fn request(n: u64) -> ChatRequest {
    let system = "You stand at the corner of a field with a treasure in it. Take one action a turn.";
    let user = format!(
        "Observation:\nYou stand at {},{} of a field of 4 by 4.\n\nWhat is your strategy now? Do not act yet. Reply with \
         one line:\nThought: <a short private strategy>",
        n % 4,
        n / 4 % 4
    );
    let mut request = ChatRequest::new(Purpose::Thought, vec![Message::system(system), Message::user(user)]);
    request.seed = Some(n);
    request.max_tokens = Some(200);
    request
}

/// A completion's answers, without its cost and the provider's body.
fn words(completion: &Completion) -> String {
    format!("{:?}", completion.choices)
}

async fn complete(trial: &Trial<'_>, llm: &Llm, request: ChatRequest) -> Result<Completion, Fault> {
    trial.call("complete", llm.complete(request)).await
}

async fn capabilities(trial: &Trial<'_>, llm: &Llm, can: &LlmCapabilities) -> Verdict {
    ensure!(!can.model.trim().is_empty(), "the model has no name");
    complete(trial, llm, request(0)).await?;
    let now = trial.call("capabilities", llm.capabilities()).await?;
    ensure!(now == *can, "first {can:?}, then {now:?}");
    Ok(())
}

async fn samples(trial: &Trial<'_>, llm: &Llm) -> Verdict {
    for samples in [1, 3] {
        let completion = complete(trial, llm, ChatRequest { samples, ..request(1) }).await?;
        ensure!(
            completion.choices.len() == samples as usize,
            "{samples} samples were requested, {} choices returned",
            completion.choices.len()
        );
    }
    Ok(())
}

async fn seed(trial: &Trial<'_>, llm: &Llm, can: &LlmCapabilities) -> Verdict {
    if !can.seed {
        skip!("it does not claim to honour seeds");
    }
    for n in 0..trial.options.episodes {
        let request = ChatRequest { samples: 2, ..request(n) };
        let first = words(&complete(trial, llm, request.clone()).await?);
        complete(trial, llm, self::request(n + 1)).await?;
        let second = words(&complete(trial, llm, request).await?);
        ensure!(first == second, "seed {n}: first {first}, then {second}");
    }
    Ok(())
}

async fn streaming(trial: &Trial<'_>, llm: &Llm, can: &LlmCapabilities) -> Verdict {
    const MOST: u32 = 2;
    if !can.streaming {
        skip!("it does not claim to stream");
    }
    let stream = match trial.attempt(llm.stream(request(1))).await {
        Ok(stream) => stream,
        Err(failure) => return Err(Fault::Broken(format!("it claims to stream, but `stream` {failure}"))),
    };
    let mut text = String::new();
    loop {
        let pieces = trial.call("next", stream.next(MOST)).await?;
        ensure!(pieces.len() <= MOST as usize, "`next({MOST})` returned {} pieces", pieces.len());
        if pieces.is_empty() {
            break;
        }
        text.extend(pieces);
        ensure!(text.len() < 1 << 20, "the stream has no end");
    }
    ensure!(trial.call("next", stream.next(MOST)).await?.is_empty(), "the stream continues after its end");
    let finished = trial.call("finish", stream.finish()).await?;
    ensure!(finished.choices.len() == 1, "`finish` returns {} choices", finished.choices.len());
    ensure!(
        finished.text() == text,
        "the pieces make up {text:?}, but `finish` returns {:?}",
        finished.text()
    );
    if can.seed {
        let (streamed, whole) = (words(&finished), words(&complete(trial, llm, request(1)).await?));
        ensure!(streamed == whole, "streamed {streamed}, but `complete` with the same seed returns {whole}");
    }
    Ok(())
}

async fn logprobs(trial: &Trial<'_>, llm: &Llm, can: &LlmCapabilities) -> Verdict {
    if !can.logprobs {
        skip!("it does not claim log-probabilities");
    }
    let completion = complete(trial, llm, ChatRequest { logprobs: true, ..request(1) }).await?;
    for choice in &completion.choices {
        ensure!(!choice.logprobs.is_empty(), "{:?} has no log-probabilities", choice.text);
        // Rounding may put a certain token slightly above 0.
        let bad = choice.logprobs.iter().find(|token| token.logprob.is_nan() || token.logprob > 1e-6);
        if let Some(token) = bad {
            ensure!(false, "token {:?} has the log-probability {}", token.token, token.logprob);
        }
    }
    Ok(())
}

/// A schema for answers of a model and for arguments of a tool.
fn wanted() -> Value {
    json!({
        "type": "object",
        "properties": { "direction": { "enum": ["north", "south"] }, "steps": { "type": "integer", "minimum": 1 } },
        "required": ["direction", "steps"],
        "additionalProperties": false,
    })
}

async fn json_schema(trial: &Trial<'_>, llm: &Llm, can: &LlmCapabilities) -> Verdict {
    if !can.json_schema {
        skip!("it does not claim that answers follow a schema");
    }
    let completion = complete(trial, llm, ChatRequest { json_schema: Some(wanted()), ..request(1) }).await?;
    for choice in &completion.choices {
        match serde_json::from_str(&choice.text) {
            Ok(answer) => {
                ensure!(jsonschema::is_valid(&wanted(), &answer), "{answer} does not follow {}", wanted())
            }
            Err(error) => ensure!(false, "{:?} is not JSON: {error}", choice.text),
        }
    }
    Ok(())
}

async fn tools(trial: &Trial<'_>, llm: &Llm, can: &LlmCapabilities) -> Verdict {
    const WALK: &str = "walk";
    if !can.tools {
        skip!("it does not claim tools");
    }
    let walk = Tool { name: WALK.into(), description: "Walks over the field.".into(), parameters: wanted() };
    let messages = vec![Message::user("Use the tool `walk` to walk two steps to the north.")];
    let request = ChatRequest { messages, tools: vec![walk], ..request(1) };
    let completion = complete(trial, llm, request).await?;
    let calls: Vec<_> = completion.choices.iter().flat_map(|choice| &choice.tool_calls).collect();
    if calls.is_empty() {
        skip!("when asked to call a tool, it answered with text: {:?}", completion.text());
    }
    for call in calls {
        ensure!(call.name == WALK, "it calls {:?}, which was not offered", call.name);
        let valid = jsonschema::is_valid(&wanted(), &call.arguments);
        ensure!(valid, "its arguments {} do not follow {}", call.arguments, wanted());
    }
    Ok(())
}
