//! Language models behind an HTTP API: OpenAI and servers compatible with it, Anthropic, Gemini, Ollama. And text
//! encoders: OpenAI's embeddings and text-embeddings-inference.
//!
//! The config names the provider; it is never guessed from a model's name. The four wire formats are written here from
//! the providers' documentation, over one HTTP client: crates for many providers drop samples beyond the first and
//! log-probabilities, so their parsing would have to be redone.
//!
//! One request is one attempt: retries, budgets and rate limits are layers around any backend. The [`Error`] tells them
//! whether to retry, and when.
//!
//! May depend on `forethought-sdk` alone, and opens sockets.
//!
//! # Reading order
//! [`mod@config`] and [`provider`] (the providers and what each can do), this file (one request), `http` (sending, and
//! every fault), `tls` (trust), `format` (the four wire formats), `stream` and `events` (streamed answers), `forward` and
//! `patch` (requests and answers that are passed on), `key` and `redact` (secrets), [`encoder`] (text encoders).

pub mod config;
pub mod encoder;
mod events;
mod format;
mod forward;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod key;
mod patch;
pub mod provider;
mod redact;
mod stream;
mod tls;

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

use forethought_sdk::{
    api::raw::{RawRequest, RawStream, not_passed_on},
    futures::future::try_join_all,
    prelude::*,
    serde_json::Value,
};

use bytes::Bytes;
pub use config::RemoteConfig;
pub use encoder::{EncoderConfig, EncoderProvider, RemoteEncoder};
use format::{Ask, Format, UNNAMED};
use forward::Forwarded;
use http::Http;
use patch::Changes;
pub use provider::Provider;
use stream::Stream;

/// A model of a provider.
pub struct Remote {
    config: RemoteConfig,
    format: &'static dyn Format,
    http: Arc<Http>,
    /// What changes in requests that are passed on.
    changes: Changes,
    /// Whether a warning said that the provider withholds answers.
    warned: AtomicBool,
}

impl Remote {
    /// The model that `config` names. Reads the key; sends nothing.
    ///
    /// # Errors
    /// If no base URL is known, the key cannot be read, or a setting cannot be used.
    pub fn new(config: RemoteConfig) -> Result<Self> {
        config.check()?;
        let http = Arc::new(Http::new(&config)?);
        let changes = Changes::new(&config.model, &config.omit, &config.extra);
        let format = config.provider.traits().format;
        Ok(Self { format, http, config, changes, warned: AtomicBool::new(false) })
    }

    /// Refuses a request that this provider cannot answer, before anything is sent.
    fn check(&self, request: &ChatRequest) -> Result<()> {
        let provider = self.config.provider;
        if request.logprobs && self.omits(&["logprobs", "responseLogprobs"]) {
            return Err(Error::config(
                "log-probabilities are needed, but omit leaves their field out of every request",
            ));
        }
        if request.logprobs && !provider.traits().logprobs {
            return Err(Error::config(format!(
                "{provider} returns no log-probabilities; use a provider that does, or a planner that needs none"
            )));
        }
        let mut calls = Vec::new();
        for message in &request.messages {
            calls.extend(message.tool_calls.iter().map(|call| call.id.as_str()));
            match (message.role, message.tool_call_id.as_deref()) {
                (Role::System | Role::User | Role::Assistant, _) => {}
                (Role::Tool, Some(id)) if calls.contains(&id) => {}
                (Role::Tool, id) => {
                    let id = id.unwrap_or_default();
                    return Err(Error::input(format!(
                        "a tool result is for call {id:?}, which does not exist"
                    )));
                }
                (other, _) => {
                    return Err(Error::input(format!("the role {other:?} is not supported by any provider")));
                }
            }
        }
        Ok(())
    }

    /// The body for `samples` answers, after `earlier` ones from other calls.
    fn body(&self, request: &ChatRequest, samples: u32, earlier: u64, streaming: bool) -> Value {
        let mut body = self.format.body(&Ask {
            model: &self.config.model,
            request,
            samples,
            max_tokens: request.max_tokens.or(self.config.max_tokens),
            // Every provider accepts 31 bits. Calls of one request need different seeds to get different answers.
            seed: request.seed.map(|seed| seed.wrapping_add(earlier) & 0x7fff_ffff),
            streaming,
        });
        self.config.omit.iter().for_each(|name| omit(&mut body, name));
        merge(&mut body, &Value::Object(self.config.extra.clone()));
        body
    }

    async fn ask(&self, request: &ChatRequest, samples: u32, earlier: u64) -> Result<Completion> {
        let completion = if self.config.streaming {
            self.begin(request, earlier).await?.finish().await?
        } else {
            let path = self.format.path(&self.config.model, false);
            let body = self.body(request, samples, earlier, false);
            let answer = self.http.ask(&path, &body, self.format.framing()).await?;
            stream::whole(&self.http, self.format, &answer)?
        };
        if completion.choices.iter().any(|choice| choice.finish == FinishReason::ContentFilter) {
            self.warn(&completion);
        }
        let withheld = |choice: &Choice| choice.logprobs.is_empty() && !choice.text.is_empty();
        if request.logprobs && completion.choices.iter().any(withheld) {
            return Err(self.http.place(Error::new(
                Code::Provider,
                format!(
                    "model {:?} returned no log-probabilities, though they were requested",
                    self.config.model
                ),
            )));
        }
        Ok(completion)
    }

    async fn begin(&self, request: &ChatRequest, earlier: u64) -> Result<Stream> {
        let path = self.format.path(&self.config.model, true);
        let response = self.http.send(&path, &self.body(request, 1, earlier, true)).await?;
        Ok(Stream::new(self.http.clone(), self.format, response))
    }

    /// Most answers that one call returns.
    fn samples(&self) -> u32 {
        let one = self.config.streaming || self.omits(&["n", "candidateCount", "generationConfig"]);
        if one { 1 } else { self.config.provider.traits().samples }
    }

    /// Whether one of these fields is left out of every request.
    fn omits(&self, names: &[&str]) -> bool {
        self.config.omit.iter().any(|omitted| names.contains(&omitted.rsplit('.').next().unwrap_or_default()))
    }

    /// Says that an answer was withheld, and why: the first time as a warning.
    fn warn(&self, completion: &Completion) {
        let reason = withheld(completion);
        let model = &self.config.model;
        if self.warned.swap(true, Ordering::Relaxed) {
            tracing::debug!(model, reason, "the answer was withheld");
        } else {
            tracing::warn!(model, reason, "the answer was withheld by the model or its provider; said once");
        }
    }
}

/// Why an answer was withheld, in the provider's words.
fn withheld(completion: &Completion) -> String {
    let events = completion.raw.as_array().map_or(std::slice::from_ref(&completion.raw), Vec::as_slice);
    let places = [
        "/promptFeedback/blockReasonMessage",
        "/promptFeedback/blockReason",
        "/candidates/0/finishMessage",
        "/candidates/0/finishReason",
        "/stop_details/explanation",
        "/delta/stop_details/explanation",
        "/stop_reason",
        "/delta/stop_reason",
        "/choices/0/message/refusal",
        "/choices/0/finish_reason",
    ];
    let reasons: Vec<_> = places
        .iter()
        .flat_map(|place| events.iter().filter_map(|event| event.pointer(place)?.as_str()))
        .collect();
    match completion.text() {
        "" => reasons.join(", "),
        text => text.chars().take(200).collect(),
    }
}

/// Removes a field from a request's body: `name` from its top level and from the settings that Gemini and Ollama keep in
/// an object, `outer.name` from the object `outer`.
fn omit(body: &mut Value, name: &str) {
    if let Some((outer, name)) = name.split_once('.') {
        if let Some(outer) = body.get_mut(outer) {
            omit(outer, name);
        }
        return;
    }
    for place in ["", "/options", "/generationConfig"] {
        if let Some(Value::Object(fields)) = body.pointer_mut(place) {
            fields.remove(name);
        }
    }
}

/// Makes a request one that strict servers accept: no turn of the assistant is empty, and every call has an identifier.
fn tidy(request: &mut ChatRequest) {
    let (mut count, mut unnamed, mut dropped) = (0, VecDeque::new(), false);
    for mut message in std::mem::take(&mut request.messages) {
        if message.role == Role::Assistant
            && message.tool_calls.is_empty()
            && message.content.trim().is_empty()
        {
            dropped = true;
            continue;
        }
        for call in message.tool_calls.iter_mut().filter(|call| call.id.is_empty()) {
            call.id = format!("{UNNAMED}{count}");
            count += 1;
            unnamed.push_back(call.id.clone());
        }
        if message.tool_call_id.as_deref() == Some("")
            && let Some(id) = unnamed.pop_front()
        {
            message.tool_call_id = Some(id);
        }
        match request.messages.last_mut() {
            // Two turns of the user in a row would be refused as well.
            Some(last) if dropped && last.role == Role::User && message.role == Role::User => {
                last.content += &format!("\n\n{}", message.content);
            }
            _ => request.messages.push(message),
        }
        dropped = false;
    }
}

/// `extra` over `body`: objects are merged, anything else is replaced.
fn merge(body: &mut Value, extra: &Value) {
    match (body, extra) {
        (Value::Object(body), Value::Object(extra)) => {
            for (key, value) in extra {
                merge(body.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (body, extra) => *body = extra.clone(),
    }
}

#[async_trait]
impl LlmBackend for Remote {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        let traits = self.config.provider.traits();
        Ok(LlmCapabilities {
            model: self.config.model.clone(),
            streaming: true,
            tools: !self.omits(&["tools"]),
            json_schema: !self.omits(&["response_format", "output_config", "responseJsonSchema", "format"]),
            logprobs: traits.logprobs && !self.omits(&["logprobs", "responseLogprobs"]),
            seed: traits.seed && !self.omits(&["seed"]),
            // Servers that people run themselves: those with a known address and without a key.
            free: traits.base_url.is_some() && traits.usual_key.is_none(),
            samples: self.samples(),
        })
    }

    /// If a provider returns fewer answers per call than requested, it is called again for the rest.
    async fn complete(&self, mut request: ChatRequest) -> Result<Completion> {
        tidy(&mut request);
        self.check(&request)?;
        let wanted = request.samples.max(1) as usize;
        let most = self.samples() as usize;
        let mut completion = Completion::default();
        let mut bodies = Vec::new();
        while completion.choices.len() < wanted {
            let have = completion.choices.len();
            let calls = (have..wanted)
                .step_by(most)
                .map(|first| self.ask(&request, most.min(wanted - first) as u32, first as u64));
            for answer in try_join_all(calls).await? {
                completion.choices.extend(answer.choices);
                completion.usage += answer.usage;
                bodies.push(answer.raw);
            }
        }
        completion.choices.truncate(wanted);
        completion.raw = if bodies.len() == 1 { bodies.remove(0) } else { bodies.into() };
        Ok(completion)
    }

    async fn stream(&self, mut request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        tidy(&mut request);
        self.check(&request)?;
        if request.samples > 1 {
            return Err(Error::input("a stream carries one answer; use `complete` for several samples"));
        }
        Ok(Arc::new(self.begin(&request, 0).await?))
    }

    async fn formats(&self) -> Result<Vec<String>> {
        Ok(self.format.forwards().into_iter().map(String::from).collect())
    }

    /// The client's bytes, with this model's name, and `omit` and `extra` of the configuration.
    async fn forward(&self, request: RawRequest) -> Result<Arc<dyn RawStream>> {
        if self.format.forwards() != Some(&*request.format) {
            return Err(not_passed_on(&request.format));
        }
        let body = Bytes::from(self.changes.apply(&request.body)?);
        let path = self.format.path(&self.config.model, request.streaming);
        let response = self.http.post(&path, body.clone()).await?;
        let kind = (request.streaming, request.request.samples);
        Ok(Arc::new(Forwarded::new(self.http.clone(), self.format, response, kind, &body).await))
    }
}

register! {
    interface: dyn LlmBackend, kind: "remote",
    summary: "a model behind an HTTP API: OpenAI and compatible servers, Anthropic, Gemini, Ollama",
    config: RemoteConfig,
    new: |config, _host| async move { Ok(Arc::new(Remote::new(config)?) as _) },
}
