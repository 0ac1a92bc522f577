//! Asks a model for an answer, as text or in a form that its provider enforces, and asks once more with the error if
//! the answer cannot be read.

use forethought_sdk::{
    api::llm::Tool,
    prelude::*,
    serde_json::{Map, Value, from_str, json},
};

use crate::prompts::{PromptFiles, Prompts};

/// How a language model is asked: part of the config of every planner that reads labelled answers.
#[config]
#[derive(Debug, Clone)]
pub struct AskConfig {
    /// Name of the language model under `[llm]`.
    pub llm: String,
    /// Sampling temperature.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// The form in which it answers.
    #[serde(default)]
    pub answers: Answers,
    /// Longest history shown to the model, in characters.
    #[serde(default = "default_history_chars")]
    pub history_chars: usize,
}

/// LATS and ReAct cut WebShop prompts to 6,400 characters; current models take more.
pub(crate) fn default_history_chars() -> usize {
    16_000
}

impl AskConfig {
    /// What these settings require of models.
    pub(crate) fn requires(&self) -> Requirements {
        Requirements {
            llms: vec![self.llm.clone()],
            json_schema: self.answers == Answers::Json,
            tools: self.answers == Answers::Tool,
            ..Requirements::default()
        }
    }

    pub(crate) fn prompts(&self, files: &impl PromptFiles) -> Result<Prompts> {
        Prompts::new(files, self.history_chars)
    }

    /// A decision's conversation with `llm`; see [`Asker::new`].
    pub(crate) fn asker(&self, llm: Arc<dyn LlmBackend>, seed: u64) -> Asker {
        Asker { answers: self.answers, ..Asker::new(llm, seed, self.temperature) }
    }
}

/// The form in which a model answers.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// Labelled lines, which every model can write.
    #[default]
    Text,
    /// JSON; the provider enforces a schema.
    Json,
    /// The arguments of a tool that the model calls.
    Tool,
}

/// A label in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// On one line.
    One(&'static str),
    /// On any number of lines.
    Many(&'static str),
}

impl Label {
    fn name(self) -> &'static str {
        let (Self::One(name) | Self::Many(name)) = self;
        name
    }
    /// Its key where an answer is JSON.
    fn key(self) -> String {
        self.name().to_lowercase()
    }
}

/// The tool whose arguments are the answer.
const TOOL: &str = "answer";

/// One decision's conversation with one model.
pub struct Asker {
    llm: Arc<dyn LlmBackend>,
    seed: u64,
    temperature: Option<f64>,
    answers: Answers,
    asked: u32,
    /// Answers that could not be read, and what was done about them; for the trace.
    pub recoveries: Vec<String>,
}

impl Asker {
    /// Asks `llm` for answers as text; each request gets its own seed, derived from `seed`.
    pub fn new(llm: Arc<dyn LlmBackend>, seed: u64, temperature: Option<f64>) -> Self {
        Self { llm, seed, temperature, answers: Answers::Text, asked: 0, recoveries: Vec::new() }
    }

    /// Like [`Asker::ask_for`], but the answer is always text, which need not be labelled lines.
    ///
    /// # Errors
    /// Only those of the backend itself.
    pub async fn ask<T>(
        &mut self,
        purpose: Purpose,
        messages: Vec<Message>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Result<T, String>> {
        self.ask_for(&[], purpose, messages, read).await
    }

    /// Asks for lines with these labels and reads them; if `read` refuses the answer, asks once more with its
    /// complaint. `read` gets lines in every form of answer. `Ok(Err(answer))` if the second answer cannot be read
    /// either: the caller continues with what it has, and the trace records it.
    ///
    /// # Errors
    /// Only those of the backend itself.
    pub async fn ask_for<T>(
        &mut self,
        labels: &[Label],
        purpose: Purpose,
        messages: Vec<Message>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Result<T, String>> {
        let answers = if labels.is_empty() { Answers::Text } else { self.answers };
        let mut request = ChatRequest::new(purpose, messages);
        request.temperature = self.temperature;
        set_form(&mut request, answers, labels);
        for attempt in 1..=2 {
            request.seed = Some(seed::derive(self.seed, &format!("request {}", self.asked)));
            self.asked += 1;
            let completion = self.llm.complete(request.clone()).await?;
            let choice = completion.choices.into_iter().next().unwrap_or_default();
            let complaint = match lines(&choice, answers, labels).and_then(|lines| read(&lines)) {
                Ok(value) => return Ok(Ok(value)),
                Err(complaint) => complaint,
            };
            let then = if attempt == 1 { "asked once more" } else { "went on without it" };
            self.recoveries.push(format!("{purpose:?} could not be read ({complaint}): {then}"));
            if attempt == 2 {
                return Ok(Err(choice.text));
            }
            complain(&mut request.messages, choice, &complaint);
        }
        unreachable!("the second attempt returns")
    }
}

/// Requests the answer in this form. Prompts ask for lines, so the model is told after the prompt what to give instead.
fn set_form(request: &mut ChatRequest, answers: Answers, labels: &[Label]) {
    let keys: Vec<_> = labels.iter().map(|label| format!("`{}`", label.key())).collect();
    let keys = keys.join(" and ");
    let said = match answers {
        Answers::Text => return,
        Answers::Json => {
            request.json_schema = Some(schema(labels));
            format!("\n\nIn place of these lines, give a JSON object with {keys}.")
        }
        Answers::Tool => {
            let description = "Gives the answer that was asked for.".into();
            request.tools = vec![Tool { name: TOOL.into(), description, parameters: schema(labels) }];
            format!("\n\nIn place of these lines, call the tool `{TOOL}` with {keys}.")
        }
    };
    if let Some(last) = request.messages.last_mut() {
        last.content += &said;
    }
}

/// JSON Schema of an answer with these labels, in keywords that all providers support.
fn schema(labels: &[Label]) -> Value {
    let text = json!({ "type": "string" });
    let property = |label: &Label| match label {
        Label::One(_) => (label.key(), text.clone()),
        Label::Many(_) => (label.key(), json!({ "type": "array", "items": text })),
    };
    let required: Vec<_> = labels.iter().map(|label| label.key()).collect();
    json!({
        "type": "object", "properties": labels.iter().map(property).collect::<Map<_, _>>(), "required": required,
        "additionalProperties": false
    })
}

/// An answer of any form as labelled lines.
///
/// # Errors
/// What is missing. The text is sent to the model, which has to correct its answer.
fn lines(choice: &Choice, answers: Answers, labels: &[Label]) -> Result<String, String> {
    let object = match answers {
        Answers::Text => return Ok(choice.text.clone()),
        Answers::Json => {
            from_str(choice.text.trim()).map_err(|error| format!("this is no JSON object ({error})"))?
        }
        Answers::Tool => {
            let call = choice.tool_calls.iter().find(|call| call.name == TOOL);
            call.ok_or_else(|| format!("the tool `{TOOL}` was not called"))?.arguments.clone()
        }
    };
    let mut lines = String::new();
    for label in labels {
        let (name, key) = (label.name(), label.key());
        let texts: Option<Vec<&str>> = match (label, &object[&key]) {
            (Label::One(_), Value::String(text)) => Some(vec![text]),
            (Label::Many(_), Value::Array(texts)) => texts.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let kind = if matches!(label, Label::One(_)) { "text" } else { "a list of texts" };
        for text in texts.ok_or_else(|| format!("`{key}` must be {kind}"))? {
            let line: Vec<_> = text.lines().map(str::trim).collect();
            lines += &format!("{name}: {}\n", line.join(" "));
        }
    }
    Ok(lines)
}

/// Appends the answer and what is wrong with it.
fn complain(messages: &mut Vec<Message>, choice: Choice, complaint: &str) {
    let complaint =
        format!("That could not be read: {complaint}. Answer again, exactly in the form asked for.");
    let result =
        |id: String| Message { tool_call_id: Some(id), ..Message::new(Role::Tool, complaint.clone()) };
    // Providers require a result for every call, so the complaint is the result.
    let mut then: Vec<_> = choice.tool_calls.iter().map(|call| result(call.id.clone())).collect();
    if then.is_empty() {
        then.push(Message::user(complaint));
    }
    messages.push(Message { tool_calls: choice.tool_calls, ..Message::assistant(choice.text) });
    messages.extend(then);
}
