//! Language models behind an HTTP API: OpenAI and servers compatible with it, Anthropic, Gemini, Ollama.
//!
//! A provider is named in the configuration, never guessed from a model's name. Each of the four wire formats is
//! written here after the provider's documentation, over one HTTP client: what the crates for many providers make of
//! an answer leaves out samples beyond the first and log-probabilities, so their parsing would have to be done again.
//!
//! One request is one attempt: repeating failed ones, budgets and rate limits are layers around any backend. What they
//! need to know is in the [`Error`]: whether to repeat, and when.
//!
//! May depend on `forethought-sdk` alone, and opens sockets.
//!
//! # Reading order
//! [`config`] and [`provider`] (what there is, and what each one can do), this file (one request), `http` (sent and
//! answered, with every fault on the way), `format` (the four ways to write it), `stream` and `events` (answers in
//! pieces), `key` (secrets).

pub mod config;
mod events;
mod format;
mod http;
mod key;
pub mod provider;
mod stream;

use forethought_sdk::{futures::future::try_join_all, prelude::*, serde_json::Value};

pub use config::RemoteConfig;
use format::{Ask, Format};
use http::Http;
pub use provider::Provider;
use stream::Stream;

/// A model of a provider.
pub struct Remote {
    config: RemoteConfig,
    format: &'static dyn Format,
    http: Arc<Http>,
}

impl Remote {
    /// The model that `config` names. Reads the key; sends nothing.
    ///
    /// # Errors
    /// If no base URL is known, the key cannot be read, or a setting cannot be used.
    pub fn new(config: RemoteConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { format: config.provider.traits().format, http: Arc::new(Http::new(&config)?), config })
    }

    /// What the request asks for and this provider has not, told before anything is sent.
    fn check(&self, request: &ChatRequest) -> Result<()> {
        let provider = self.config.provider;
        if request.logprobs && !provider.traits().logprobs {
            return Err(Error::config(format!(
                "{provider} gives no log-probabilities; use a provider that does, or a planner that needs none"
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
                        "a tool's result answers call {id:?}, which nobody made"
                    )));
                }
                (other, _) => return Err(Error::input(format!("no provider knows the role {other:?}"))),
            }
        }
        Ok(())
    }

    /// The body for `samples` answers, of which `earlier` were had before.
    fn body(&self, request: &ChatRequest, samples: u32, earlier: u64, streaming: bool) -> Value {
        let mut body = self.format.body(&Ask {
            model: &self.config.model,
            request,
            samples,
            max_tokens: request.max_tokens.or(self.config.max_tokens),
            // 31 bits are all that every provider takes. Calls for one request differ in it, or their answers would not.
            seed: request.seed.map(|seed| seed.wrapping_add(earlier) & 0x7fff_ffff),
            streaming,
        });
        merge(&mut body, &Value::Object(self.config.extra.clone()));
        body
    }

    async fn ask(&self, request: &ChatRequest, samples: u32, earlier: u64) -> Result<Completion> {
        let completion = if self.config.streaming {
            self.begin(request, earlier).await?.finish().await?
        } else {
            let path = self.format.path(&self.config.model, false);
            let answer = self.http.ask(&path, &self.body(request, samples, earlier, false)).await?;
            let completion = self.format.read(&answer).map_err(|error| self.http.place(error))?;
            Completion { raw: answer, ..completion }
        };
        let withheld = |choice: &Choice| choice.logprobs.is_empty() && !choice.text.is_empty();
        if request.logprobs && completion.choices.iter().any(withheld) {
            return Err(self.http.place(Error::new(
                Code::Provider,
                format!("model {:?} gave no log-probabilities, though asked to", self.config.model),
            )));
        }
        Ok(completion)
    }

    async fn begin(&self, request: &ChatRequest, earlier: u64) -> Result<Stream> {
        let path = self.format.path(&self.config.model, true);
        let response = self.http.send(&path, &self.body(request, 1, earlier, true)).await?;
        Ok(Stream::new(self.http.clone(), self.format, response))
    }

    /// Answers that one call gives at most.
    fn samples(&self) -> u32 {
        if self.config.streaming { 1 } else { self.config.provider.traits().samples }
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
            tools: true,
            json_schema: true,
            logprobs: traits.logprobs,
            seed: traits.seed,
            // Servers that people run themselves: an address is known and no key is usual.
            free: traits.base_url.is_some() && traits.usual_key.is_none(),
            samples: self.samples(),
        })
    }

    /// Where a provider gives fewer answers a call than are wanted, it is called again for the rest.
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
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

    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        self.check(&request)?;
        if request.samples > 1 {
            return Err(Error::input("a stream carries one answer; ask `complete` for several samples"));
        }
        Ok(Arc::new(self.begin(&request, 0).await?))
    }
}

register! {
    interface: dyn LlmBackend, kind: "remote",
    summary: "a model behind an HTTP API: OpenAI and compatible servers, Anthropic, Gemini, Ollama",
    config: RemoteConfig,
    new: |config, _host| async move { Ok(Arc::new(Remote::new(config)?) as _) },
}
