//! Language models behind one chat interface.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, Result,
    error::Code,
    interface,
    raw::{RawRequest, RawStream, not_passed_on},
};

/// A language model that completes chats.
///
/// ```
/// use forethought_api::{Result, llm::*};
///
/// /// Repeats the last message.
/// struct Echo;
///
/// #[async_trait::async_trait]
/// impl LlmBackend for Echo {
///     async fn capabilities(&self) -> Result<LlmCapabilities> {
///         Ok(LlmCapabilities { model: "echo".into(), free: true, ..Default::default() })
///     }
///     async fn complete(&self, request: ChatRequest) -> Result<Completion> {
///         let text = request.messages.last().map(|message| message.content.clone()).unwrap_or_default();
///         let choice = Choice { text, ..Default::default() };
///         Ok(Completion { choices: vec![choice; request.samples as usize], ..Default::default() })
///     }
/// }
///
/// # futures::executor::block_on(async {
/// let request = ChatRequest::new(Purpose::Other, vec![Message::user("Hello?")]);
/// assert_eq!(Echo.complete(request).await?.text(), "Hello?");
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
#[interface("forethought.llm/1")]
pub trait LlmBackend: Send + Sync {
    /// What this backend can do, and the name of its model.
    async fn capabilities(&self) -> Result<LlmCapabilities>;
    /// A completion with [`ChatRequest::samples`] choices.
    async fn complete(&self, request: ChatRequest) -> Result<Completion>;
    /// The completion as a stream.
    ///
    /// # Errors
    /// [`Code::Unimplemented`], by default, from backends that do not stream.
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        let _ = request;
        Err(Error::new(Code::Unimplemented, "this backend does not stream; use `complete`"))
    }
    /// The wire formats that [`forward`](Self::forward) passes on, such as [`OPENAI_CHAT`](crate::raw::OPENAI_CHAT).
    async fn formats(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    /// Passes a client's own request on to the provider, and the provider's answer back, both byte for byte. Only the
    /// model's name is put in, and what the configuration adds or leaves out. A refusal of the provider's is an answer,
    /// too: its head says so.
    ///
    /// # Errors
    /// If there is no answer; [`Code::Unimplemented`] for formats that are not among [`formats`](Self::formats).
    async fn forward(&self, request: RawRequest) -> Result<Arc<dyn RawStream>> {
        Err(not_passed_on(&request.format))
    }
}

/// A pull-based stream: the caller sets the pace, and cancels by dropping it.
#[interface("forethought.token_stream/1")]
pub trait TokenStream: Send + Sync {
    /// Up to `max` more pieces; empty only at the end.
    async fn next(&self, max: u32) -> Result<Vec<String>>;
    /// The whole answer, with its usage, once the stream has ended.
    async fn finish(&self) -> Result<Completion>;
}

/// What a backend can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LlmCapabilities {
    /// The provider's name of the model; part of episode ids and cache keys.
    pub model: String,
    /// Token streams.
    pub streaming: bool,
    /// Tool calls.
    pub tools: bool,
    /// Answers that follow a JSON schema.
    pub json_schema: bool,
    /// Log-probabilities of tokens.
    pub logprobs: bool,
    /// Seeds are honoured.
    pub seed: bool,
    /// Calls cost no money, as with a model on this machine: a spending limit needs no price for it.
    pub free: bool,
    /// Most answers per call of the provider; more samples take several calls, each with its own charge and its own
    /// failures. 0 for no limit.
    #[serde(skip_serializing_if = "none")]
    pub samples: u32,
}

impl LlmCapabilities {
    /// What both can do, under this one's name.
    pub fn and(self, other: &Self) -> Self {
        Self {
            model: self.model,
            streaming: self.streaming && other.streaming,
            tools: self.tools && other.tools,
            json_schema: self.json_schema && other.json_schema,
            logprobs: self.logprobs && other.logprobs,
            seed: self.seed && other.seed,
            free: self.free && other.free,
            samples: match (self.samples, other.samples) {
                (0, any) | (any, 0) => any,
                (one, other) => one.min(other),
            },
        }
    }
}

fn none(number: &u32) -> bool {
    *number == 0
}

/// Why a request is made: selects a model, a budget and a line of the trace. Never sent to a provider.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Purpose {
    /// A private strategy before acting.
    Thought,
    /// An action in the environment's grammar.
    Action,
    /// Imagined outcomes of a thought.
    Outcomes,
    /// Keep or rewrite a thought, given an evaluation.
    Refine,
    /// A summary of a history.
    Summarise,
    /// What to do differently next time.
    Reflect,
    /// A numeric judgement.
    Judge,
    /// Speaking as a person (a simulated user).
    Persona,
    /// Anything else.
    #[default]
    #[serde(other)]
    Other,
}

/// The author of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Instructions.
    System,
    /// The asking side.
    #[default]
    User,
    /// The model.
    Assistant,
    /// A tool's result.
    Tool,
    /// A role newer than this program.
    #[serde(other)]
    Unknown,
}

/// One message of a chat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Message {
    /// The author.
    pub role: Role,
    /// The text.
    pub content: String,
    /// Tool calls that the assistant makes in this message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// For a tool's result, the id of the call that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    /// A message with text only.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), ..Self::default() }
    }
    /// Instructions.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new(Role::System, content)
    }
    /// The asking side.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new(Role::User, content)
    }
    /// The model's answer.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new(Role::Assistant, content)
    }
}

/// A tool that a model may call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// A call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ToolCall {
    /// Identifies the call within the chat.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// Its arguments.
    pub arguments: Value,
}

/// A request for a completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ChatRequest {
    /// Why the request is made.
    pub purpose: Purpose,
    /// The chat so far.
    pub messages: Vec<Message>,
    /// Number of answers requested.
    pub samples: u32,
    /// Sampling temperature; `None` leaves it to the backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Maximum length of an answer, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Strings that end an answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Seed, for backends that honour seeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Tools that the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// JSON Schema that the answer must follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<Value>,
    /// Whether to return log-probabilities.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub logprobs: bool,
}

impl Default for ChatRequest {
    fn default() -> Self {
        Self {
            purpose: Purpose::default(),
            messages: Vec::new(),
            samples: 1,
            temperature: None,
            max_tokens: None,
            stop: Vec::new(),
            seed: None,
            tools: Vec::new(),
            json_schema: None,
            logprobs: false,
        }
    }
}

impl ChatRequest {
    /// A request with these messages, and defaults for everything else.
    pub fn new(purpose: Purpose, messages: Vec<Message>) -> Self {
        Self { purpose, messages, ..Self::default() }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model finished, or reached a stop string.
    #[default]
    Stop,
    /// The token limit was reached.
    Length,
    /// The model calls tools.
    ToolCalls,
    /// The provider withheld the answer.
    ContentFilter,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Choice {
    /// The text.
    pub text: String,
    /// The reasoning before it, if the provider keeps it apart; no part of the answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// Natural logarithms of token probabilities, if requested and supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprob>,
    /// Tool calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
}

/// A token and its log-probability.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenLogprob {
    /// The token's text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// Token counts by the provider's own tokenizer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of all answers together.
    pub output_tokens: u64,
}

impl Usage {
    /// Input and output tokens together.
    pub fn total(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
    }
}

/// The response to a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Completion {
    /// The answers, as many as samples were requested.
    pub choices: Vec<Choice>,
    /// Tokens used.
    pub usage: Usage,
    /// The provider's response body, if kept.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub raw: Value,
}

impl Completion {
    /// The first answer's text, or an empty one.
    pub fn text(&self) -> &str {
        self.choices.first().map_or("", |choice| choice.text.as_str())
    }
}
