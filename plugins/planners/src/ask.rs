//! Asks a model for an answer, as text or in a form that its provider enforces, and asks once more with the error if
//! the answer cannot be read.

use forethought_sdk::{
    answers::{Answer, Complaint, Fault, Fields, Sections, Unread, ask_again, written},
    api::llm::{Tool, ToolCall},
    prelude::*,
    serde_json::{self, Map, Value, json},
};

use crate::{
    prompts::{PromptFiles, Prompts},
    toolbox,
};

/// How a language model is asked: part of the config of every planner that reads labelled answers.
#[config]
#[derive(Debug, Clone)]
pub struct AskConfig {
    /// Name of the language model under `[llm]`.
    #[schemars(with = "LlmName")]
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
    /// Cut longer histories in blocks of a quarter of that length, so that prompts begin alike for many steps, and say so
    /// where the gap is.
    #[serde(default)]
    pub history_blocks: bool,
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
        Ok(Prompts::new(files, self.history_chars)?.in_blocks(self.history_blocks))
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
    /// The arguments of a tool that the model calls. An action in a world with tools is a call of these.
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

/// What an answer says under its labels, in the form that it has.
#[derive(Debug)]
pub enum Said<'a> {
    /// Labelled text.
    Text(Sections<'a>),
    /// JSON, or the arguments of a tool call.
    Object(Fields),
    /// Calls of a turn's own tools, and what was said next to them; or words without a label, and no calls.
    Called(Called<'a>),
}

/// What a model answered that was offered a turn's tools.
#[derive(Debug)]
pub struct Called<'a> {
    calls: &'a [ToolCall],
    answer: &'a Answer,
    sections: Sections<'a>,
}

impl Called<'_> {
    /// What is said under a label. All that is said next to calls is the thought, if nothing is labelled.
    fn text(&self, label: &str) -> Result<String, Complaint> {
        if !self.sections.is_empty() || label != "Thought" {
            return self.sections.text(label);
        }
        let said = if self.calls.is_empty() { "" } else { self.answer.text().trim() };
        Some(said.to_owned()).filter(|said| !said.is_empty()).ok_or_else(|| must_be(label, "text"))
    }

    /// The calls, if they fit the turn's tools; without calls, what the words write.
    fn action(&self, turn: &Turn) -> Result<Action, Complaint> {
        if self.calls.is_empty() {
            let text = self.answer.text().trim();
            return match text {
                "" => Err(self.answer.complaint("there is no call of a tool")),
                text => written(text, turn).map_err(|why| self.answer.complaint(why.text)),
            };
        }
        let action = Action::of_calls(self.calls.iter().cloned().map(with_arguments).collect());
        action.calls(turn).map_err(Complaint::unreadable)?;
        Ok(action)
    }
}

/// A call whose arguments are an object, if they were given as text, or not at all.
fn with_arguments(mut call: ToolCall) -> ToolCall {
    let none =
        |text: &str| if text.trim().is_empty() { Some(Map::new()) } else { serde_json::from_str(text).ok() };
    let object = match &call.arguments {
        Value::Null => Some(Map::new()),
        Value::String(text) => none(text),
        _ => None,
    };
    call.arguments = object.map_or(call.arguments, Value::Object);
    call
}

impl Said<'_> {
    /// The text of a label.
    ///
    /// # Errors
    /// If it is missing, empty, or cut by the token limit.
    pub fn text(&self, label: &str) -> Result<String, Complaint> {
        match self {
            Self::Text(sections) => sections.text(label),
            Self::Object(fields) => {
                let text = fields.text(&key(label)).filter(|text| !text.is_empty());
                text.ok_or_else(|| must_be(label, "text"))
            }
            Self::Called(called) => called.text(label),
        }
    }

    /// The action in this turn; see [`Sections::action_in`].
    ///
    /// # Errors
    /// Those of [`Said::text`]; several different actions; calls that do not fit the turn's tools.
    pub fn action(&self, turn: &Turn) -> Result<Action, Complaint> {
        match self {
            Self::Text(sections) => sections.action_in(turn),
            Self::Object(fields) => {
                let text = match turn.tools.is_empty() {
                    true => fields.action(&key("Action"), &turn.legal_actions),
                    false => fields.text(&key("Action")).filter(|text| !text.is_empty()),
                };
                let text = text.ok_or_else(|| must_be("Action", "text"))?;
                if turn.tools.is_empty() { Ok(Action::new(text)) } else { written(&text, turn) }
            }
            Self::Called(called) => called.action(turn),
        }
    }

    /// All texts of these labels, each with the index of its label.
    ///
    /// # Errors
    /// A label that is missing from an object, or that has no list of texts there.
    pub fn texts(&self, labels: &[&str]) -> Result<Vec<(usize, String)>, Complaint> {
        let fields = match self {
            Self::Text(sections) | Self::Called(Called { sections, .. }) => return Ok(sections.texts(labels)),
            Self::Object(fields) => fields,
        };
        let mut all = Vec::new();
        for (index, label) in labels.iter().enumerate() {
            let texts = fields.texts(&key(label)).ok_or_else(|| must_be(label, "a list of texts"))?;
            all.extend(texts.into_iter().filter(|text| !text.is_empty()).map(|text| (index, text)));
        }
        Ok(all)
    }

    /// A complaint about what is missing, which names the limit or silence if that is the reason.
    pub fn complaint(&self, why: String) -> Complaint {
        match self {
            Self::Text(sections) | Self::Called(Called { sections, .. }) => sections.complaint(why),
            Self::Object(_) => Complaint::unreadable(why),
        }
    }
}

fn key(label: &str) -> String {
    label.to_lowercase()
}

fn must_be(label: &str, kind: &str) -> Complaint {
    Complaint::unreadable(format!("`{}` must be {kind}", key(label)))
}

/// One decision's conversation with one model.
pub struct Asker {
    llm: Arc<dyn LlmBackend>,
    seed: u64,
    temperature: Option<f64>,
    answers: Answers,
    asked: u32,
    /// Names whose lines end a text, because another seat is imagined to speak there.
    speakers: Vec<String>,
    /// Whether log-probabilities are requested.
    pub(crate) logprobs: bool,
    /// The log-probability of the last answer, if it was requested and is known.
    pub(crate) likelihood: Option<f64>,
    /// Answers that could not be read, and what was done about them; for the trace.
    pub unread: Unread,
}

impl Asker {
    /// Asks `llm` for answers as text; each request gets its own seed, derived from `seed`.
    pub fn new(llm: Arc<dyn LlmBackend>, seed: u64, temperature: Option<f64>) -> Self {
        let (answers, asked, speakers, logprobs, likelihood, unread) = Default::default();
        Self { llm, seed, temperature, answers, asked, speakers, logprobs, likelihood, unread }
    }

    /// Asks for an answer in words of any form; if `read` refuses it, asks once more with its complaint.
    /// `Ok(Err(answer))` if the second answer cannot be read either: the caller continues with what it has, and the
    /// trace records it.
    ///
    /// # Errors
    /// Only those of the backend itself.
    pub async fn ask<T>(
        &mut self,
        purpose: Purpose,
        messages: Vec<Message>,
        read: impl Fn(&Answer) -> Result<T, Complaint>,
    ) -> Result<Result<T, Unreadable>> {
        self.converse(ChatRequest::new(purpose, messages), |_, answer| read(answer)).await
    }

    /// Like [`Asker::ask`], for an answer with these labels. A model that gives it in another form than the requested
    /// one is understood: labelled text, JSON in the text, and a tool call, made or written, all count.
    ///
    /// # Errors
    /// Only those of the backend itself.
    pub async fn ask_for<T>(
        &mut self,
        labels: &[Label],
        purpose: Purpose,
        messages: Vec<Message>,
        read: impl Fn(&Said<'_>) -> Result<T, Complaint>,
    ) -> Result<Result<T, Unreadable>> {
        self.ask_in(self.answers, labels, ChatRequest::new(purpose, messages), read).await
    }

    async fn ask_in<T>(
        &mut self,
        form: Answers,
        labels: &[Label],
        mut request: ChatRequest,
        read: impl Fn(&Said<'_>) -> Result<T, Complaint>,
    ) -> Result<Result<T, Unreadable>> {
        let speakers = std::mem::take(&mut self.speakers);
        set_form(&mut request, form, labels);
        self.converse(request, |choice, answer| understand(choice, answer, form, labels, &speakers, &read))
            .await
    }

    /// Like [`Asker::ask_for`], for `samples` answers to one request: those that can be read. If none can be read, asks
    /// once more.
    ///
    /// # Errors
    /// Only those of the backend itself.
    pub async fn sample_for<T>(
        &mut self,
        labels: &[Label],
        purpose: Purpose,
        messages: Vec<Message>,
        samples: u32,
        read: impl Fn(&Said<'_>) -> Result<T, Complaint>,
    ) -> Result<Vec<T>> {
        let what = format!("{purpose:?}");
        let mut request =
            ChatRequest { samples, temperature: self.temperature, ..ChatRequest::new(purpose, messages) };
        set_form(&mut request, self.answers, labels);
        for last in [false, true] {
            request.seed = Some(seed::derive(self.seed, &format!("request {}", self.asked)));
            self.asked += 1;
            let choices = self.llm.complete(request.clone()).await?.choices;
            let (mut readable, mut complaints) = (Vec::new(), Vec::new());
            for choice in &choices {
                match understand(choice, &Answer::of(choice), self.answers, labels, &[], &read) {
                    Ok(read) => readable.push(read),
                    Err(complaint) => complaints.push(complaint),
                }
            }
            if !readable.is_empty() {
                complaints.iter().for_each(|complaint| self.unread.count(complaint.fault.key()));
                return Ok(readable);
            }
            let nothing = || Complaint { fault: Fault::Empty, text: "there is no answer".into() };
            let complaint = complaints.into_iter().next().unwrap_or_else(nothing);
            if last {
                self.unread.given_up(&what, &complaint);
            } else {
                self.unread.repeated(&what, &complaint);
                ask_again(&mut request.messages, choices.into_iter().next().unwrap_or_default(), &complaint);
            }
        }
        Ok(Vec::new())
    }

    /// Asks for an action, alone or next to a thought; gives both. If it cannot be read twice, the last line that says something
    /// is taken, or the first of several different actions, or the calls as they were made; the environment refuses what
    /// it does not understand. Nothing is taken from an answer that was cut, refused, or holds only syntax: then the
    /// action is empty.
    ///
    /// # Errors
    /// Only those of the backend itself.
    pub async fn ask_for_action(
        &mut self,
        labels: &[Label],
        messages: Vec<Message>,
        context: &DecisionContext,
    ) -> Result<(String, Action)> {
        let turn = &context.turn;
        let read = |said: &Said<'_>| {
            let action = said.action(turn)?;
            Ok((said.text("Thought").unwrap_or_default(), action))
        };
        Ok(match self.ask_to_act(labels, messages, context, read).await? {
            Ok(read) => read,
            Err(Unreadable { answer, fault: Fault::Several, .. }) => {
                let sections = answer.sections(&["Thought", "Action"]);
                let thought = sections.first("Thought").unwrap_or_default();
                (thought, sections.first_action_in(turn).unwrap_or_default())
            }
            Err(Unreadable { calls, fault, .. }) if !calls.is_empty() && fault != Fault::Cut => {
                (String::new(), Action::of_calls(calls))
            }
            Err(unreadable) => (String::new(), toolbox::action(&unreadable.last_resort("Action"), turn)),
        })
    }

    /// Like [`Asker::ask_for`], for an answer with an action. In a dialogue the other seats' words end it. A turn's tools
    /// are offered to the model as such, if it can call tools and answers are not requested as JSON.
    ///
    /// # Errors
    /// Only those of the backend itself.
    pub async fn ask_to_act<T>(
        &mut self,
        labels: &[Label],
        messages: Vec<Message>,
        context: &DecisionContext,
        read: impl Fn(&Said<'_>) -> Result<T, Complaint>,
    ) -> Result<Result<T, Unreadable>> {
        let turn = &context.turn;
        if turn.observation.data["dialogue"].is_object() {
            self.speakers = context.environment.seats.iter().map(|seat| seat.name.clone()).collect();
        }
        let mut request = ChatRequest::new(Purpose::Action, messages);
        if turn.tools.is_empty() {
            return self.ask_in(self.answers, labels, request, read).await;
        }
        // Log-probabilities are those of words.
        if self.answers == Answers::Json || self.logprobs || !self.llm.capabilities().await?.tools {
            toolbox::list(&mut request.messages, turn);
            let form = if self.answers == Answers::Json { Answers::Json } else { Answers::Text };
            return self.ask_in(form, labels, request, read).await;
        }
        toolbox::offer(&mut request, turn);
        let speakers = std::mem::take(&mut self.speakers);
        self.converse(request, |choice, answer| called(choice, answer, labels, &speakers, &read)).await
    }

    async fn converse<T>(
        &mut self,
        mut request: ChatRequest,
        read: impl Fn(&Choice, &Answer) -> Result<T, Complaint>,
    ) -> Result<Result<T, Unreadable>> {
        let what = format!("{:?}", request.purpose);
        request.temperature = self.temperature;
        request.logprobs = self.logprobs;
        let mut refused: Option<(Answer, Vec<ToolCall>, Complaint)> = None;
        loop {
            request.seed = Some(seed::derive(self.seed, &format!("request {}", self.asked)));
            self.asked += 1;
            let completion = match (self.llm.complete(request.clone()).await, refused) {
                // What a budget does not pay is not asked again.
                (Err(error), Some((answer, calls, complaint))) if error.code == Code::Budget => {
                    self.unread.given_up(&what, &complaint);
                    return Ok(Err(Unreadable { answer, calls, fault: complaint.fault }));
                }
                (completion, before) => {
                    refused = before;
                    completion?
                }
            };
            let choice = completion.choices.into_iter().next().unwrap_or_default();
            let answer = Answer::of(&choice);
            let logprobs = choice.logprobs.iter().map(|token| token.logprob);
            self.likelihood = logprobs.reduce(std::ops::Add::add).filter(|sum| sum.is_finite());
            let complaint = match read(&choice, &answer) {
                Ok(value) => return Ok(Ok(value)),
                Err(complaint) => complaint,
            };
            if refused.is_some() {
                self.unread.given_up(&what, &complaint);
                return Ok(Err(Unreadable { answer, calls: choice.tool_calls, fault: complaint.fault }));
            }
            self.unread.repeated(&what, &complaint);
            let calls = choice.tool_calls.clone();
            ask_again(&mut request.messages, choice, &complaint);
            refused = Some((answer, calls, complaint));
        }
    }
}

/// Labels of the planners' answers, apart from numbers.
const LABELS: [&str; 17] = [
    "Thought",
    "Action",
    "Decision",
    "State",
    "Outcome",
    "Good",
    "Bad",
    "Choice",
    "Plan",
    "Reflection",
    "Step",
    "Needs",
    "Status",
    "Grade",
    "Ranking",
    "Result",
    "Vote",
];

/// The second answer that could not be read.
#[derive(Debug)]
pub struct Unreadable {
    answer: Answer,
    calls: Vec<ToolCall>,
    fault: Fault,
}

impl Unreadable {
    /// [`Answer::last_resort`], or nothing where that line is about something else than `label`.
    pub fn last_resort(&self, label: &str) -> String {
        let line = self.answer.last_resort().unwrap_or_default();
        let labelled = Answer::new(&line, &FinishReason::Stop);
        let others: Vec<_> = LABELS.into_iter().filter(|other| *other != label).collect();
        if labelled.sections(&others).is_empty() { line } else { String::new() }
    }

    /// The first text of `label`, or else its [last resort](Self::last_resort).
    pub fn first(&self, label: &str) -> String {
        self.answer.sections(&LABELS).first(label).unwrap_or_else(|_| self.last_resort(label))
    }
}

/// The sections of an answer, which end where another seat is imagined to speak.
///
/// # Errors
/// A complaint about an answer that was refused.
fn labelled<'a>(
    answer: &'a Answer,
    labels: &[Label],
    speakers: &'a [String],
) -> Result<Sections<'a>, Complaint> {
    if answer.refused() {
        return Err(answer.complaint("there is no answer"));
    }
    let names = labels.iter().map(|label| label.name()).chain(speakers.iter().map(String::as_str));
    Ok(answer.sections(&names.collect::<Vec<_>>()))
}

/// Reads the answer in the requested form, or else in another one that it has.
///
/// # Errors
/// The complaint about the first form that is there, or about the answer as a whole: cut, refused, several actions.
fn understand<T>(
    choice: &Choice,
    answer: &Answer,
    form: Answers,
    labels: &[Label],
    speakers: &[String],
    read: &impl Fn(&Said<'_>) -> Result<T, Complaint>,
) -> Result<T, Complaint> {
    let sections = labelled(answer, labels, speakers)?;
    let keys: Vec<_> = labels.iter().map(|label| label.key()).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let called = choice.tool_calls.iter().filter_map(|call| Fields::of(&call.arguments));
    let called = called.filter(|fields| keys.iter().any(|key| fields.get(key).is_some()));
    let mut objects: Vec<_> = called.chain(answer.object(&keys).ok()).map(Said::Object).collect();
    let missing = match form {
        Answers::Text => None,
        Answers::Json => Some("this is not a JSON object with the requested keys".to_owned()),
        Answers::Tool => Some(format!("the tool `{TOOL}` was not called with the requested arguments")),
    };
    match missing {
        None => objects.insert(0, Said::Text(sections)),
        Some(_) if sections.is_empty() => {}
        Some(_) => objects.push(Said::Text(sections)),
    }
    let mut complaint = None;
    for said in &objects {
        match read(said) {
            Err(why) if matches!(why.fault, Fault::Unreadable | Fault::Empty) => {
                complaint = complaint.or(Some(why));
            }
            read => return read,
        }
    }
    let missing = missing.unwrap_or_default();
    let called = !choice.tool_calls.is_empty() && choice.finish != FinishReason::Length;
    // A call without text is not an empty answer.
    let whole = || if called { Complaint::unreadable(missing) } else { answer.complaint(missing) };
    Err(complaint.unwrap_or_else(whole))
}

/// Reads the answer of a model that was offered a turn's tools: its calls, with labels in the words next to them; or an
/// action that it wrote.
///
/// # Errors
/// The complaint about the calls, or about the words.
fn called<T>(
    choice: &Choice,
    answer: &Answer,
    labels: &[Label],
    speakers: &[String],
    read: &impl Fn(&Said<'_>) -> Result<T, Complaint>,
) -> Result<T, Complaint> {
    let sections = labelled(answer, labels, speakers)?;
    let calls = &choice.tool_calls;
    match calls.is_empty() {
        // The last of them may be incomplete.
        false if choice.finish == FinishReason::Length => Err(Complaint {
            fault: Fault::Cut,
            text: "the token limit cut the answer; answer more briefly".into(),
        }),
        true if !sections.is_empty() => read(&Said::Text(sections)),
        _ => read(&Said::Called(Called { calls, answer, sections })),
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
