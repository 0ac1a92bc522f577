//! What is offered as a model, and how each decides: planners, and language models that requests are passed on to.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use forethought_api::{
    Error, Result,
    environment::{Action, EnvironmentSpec},
    llm::{ChatRequest, Choice, FinishReason, Message, Purpose, Role, Tool},
    planner::{Decision, DecisionContext, Models, Planner, Requirements},
    raw::OPENAI_CHAT,
    tools,
};
use forethought_runtime::host::RuntimeHost;
use serde_json::Value;

use crate::answer::Refusal;
use crate::chat::Chat;
use crate::history::json_in;
use crate::passed::Relays;
use crate::session::Ask;

/// The model that passes requests on and records.
pub(crate) const RECORD: &str = "record";

/// What is offered.
#[derive(Clone)]
pub(crate) struct Offered {
    /// By name, and by the name with its section where that is not the same, such as `planner.react`.
    models: BTreeMap<String, Arc<Model>>,
    /// What is configured and cannot be offered, and why.
    missing: BTreeMap<String, String>,
    /// The language model that answers are asked of again.
    record: Option<String>,
    needs: Requirements,
}

/// A model.
pub(crate) struct Model {
    /// Its own name.
    pub(crate) name: String,
    pub(crate) how: How,
}

/// How a model decides.
pub(crate) enum How {
    /// A planner plans.
    Plan(Arc<dyn forethought_api::planner::Planner>),
    /// The language model or role of this name answers.
    Pass {
        llm: String,
        /// Whether requests and answers are passed on byte for byte.
        raw: bool,
    },
}

impl How {
    /// Whether requests and answers are passed on byte for byte.
    pub(crate) fn raw(&self) -> bool {
        matches!(self, Self::Pass { raw: true, .. })
    }

    async fn pass(host: &RuntimeHost, llm: &str) -> Result<Self> {
        let backend = forethought_api::host::Host::llm(host, llm.into()).await?;
        let raw = backend.formats().await?.iter().any(|format| format == OPENAI_CHAT);
        Ok(Self::Pass { llm: llm.into(), raw })
    }
}

impl Offered {
    /// Everything in the configuration that can be offered in a world like `environment`.
    ///
    /// # Errors
    /// If there is nothing.
    pub(crate) async fn of(host: &RuntimeHost, environment: &EnvironmentSpec) -> Result<Self> {
        let config = host.config();
        let mut offered = Self {
            models: BTreeMap::new(),
            missing: BTreeMap::new(),
            record: None,
            needs: Requirements::default(),
        };
        let mut askers = Vec::new();
        for name in config.planners() {
            match host.offer(environment, "planner", name).await {
                Ok(needs) => {
                    askers.push((name.to_owned(), needs));
                    let planner = forethought_api::host::Host::planner(host, name.into()).await?;
                    offered.add("planner", name, How::Plan(planner));
                }
                Err(error) => drop(offered.missing.insert(name.into(), error.to_string())),
            }
        }
        let mut passes = Vec::new();
        for name in config.llm.keys() {
            match host.offer(environment, "llm", name).await {
                Ok(_) => {
                    passes.push(name.clone());
                    offered.add("llm", name, How::pass(host, name).await?);
                }
                Err(error) => drop(offered.missing.insert(name.clone(), error.to_string())),
            }
        }
        match record(host) {
            Ok(name) => match host.offer(environment, "llm", &name).await {
                Ok(_) => {
                    passes.push(name.clone());
                    offered.record = Some(name.clone());
                    // The name is ours, so a component of the same name is found by its section.
                    let how = How::pass(host, &name).await?;
                    let model = Model { name: RECORD.into(), how };
                    offered.models.insert(RECORD.into(), Arc::new(model));
                }
                Err(error) => drop(offered.missing.insert(RECORD.into(), error.to_string())),
            },
            Err(error) if config.serve.record.is_some() => return Err(error),
            Err(error) => drop(offered.missing.insert(RECORD.into(), error.to_string())),
        }
        if offered.models.is_empty() {
            let mut error =
                Error::config("the configuration has no planner and no model that could be served");
            for (name, why) in offered.missing {
                error = error.because(Error::other(format!("{name}: {why}")));
            }
            return Err(error);
        }
        passes.sort();
        passes.dedup();
        offered.needs = Requirements::over(askers).and(Requirements { llms: passes, ..Default::default() });
        Ok(offered)
    }

    fn add(&mut self, section: &str, name: &str, how: How) {
        let long = format!("{section}.{name}");
        let short = !self.models.contains_key(name) && name != RECORD;
        let model = Arc::new(Model { name: if short { name.into() } else { long.clone() }, how });
        if short {
            self.models.insert(name.into(), model.clone());
        }
        self.models.insert(long, model);
    }

    /// The language models and roles that requests are passed on to byte for byte.
    pub(crate) fn relayed(&self) -> impl Iterator<Item = &String> {
        self.models.values().filter_map(|model| match &model.how {
            How::Pass { llm, raw: true } => Some(llm),
            _ => None,
        })
    }

    /// The names of all models.
    pub(crate) fn names(&self) -> Vec<String> {
        self.models
            .iter()
            .filter(|(name, model)| **name == model.name)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// What is configured and cannot be offered, and why.
    pub(crate) fn missing(&self) -> &BTreeMap<String, String> {
        &self.missing
    }

    /// The model of this name.
    pub(crate) fn find(&self, name: &str) -> std::result::Result<Arc<Model>, Refusal> {
        if let Some(model) = self.models.get(name) {
            return Ok(model.clone());
        }
        let names = self.names().join(", ");
        let message = match self.missing.get(name) {
            Some(why) => format!("the model `{name}` is configured and cannot be offered: {why}"),
            None => format!("there is no model `{name}`; the models are {names}"),
        };
        Err(Refusal::new(StatusCode::NOT_FOUND, message).at("model").code("model_not_found"))
    }
}

/// The model or role that `record` passes on to.
fn record(host: &RuntimeHost) -> Result<String> {
    let config = host.config();
    let known = |name: &str| config.llm.contains_key(name) || config.roles.contains_key(name);
    if let Some(name) = &config.serve.record {
        let all: Vec<_> = config.llm.keys().chain(config.roles.keys()).map(String::as_str).collect();
        return match known(name) {
            true => Ok(name.clone()),
            false => Err(Error::config(config.document().at(
                &["serve".into(), "record".into()],
                format!("there is no [llm.{name}] and no such role; there are {}", all.join(", ")),
            ))),
        };
    }
    if let (1, Some(only)) = (config.llm.len(), config.llm.keys().next()) {
        return Ok(only.clone());
    }
    let usual = ["main", "actor"].into_iter().find(|name| known(name));
    usual.map(String::from).ok_or_else(|| {
        Error::config("it is not clear which model to pass on to; set record = \"...\" under [serve]")
    })
}

/// Says what the models need. It never decides.
#[async_trait]
impl Planner for Offered {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.needs.clone())
    }
    async fn decide(&self, _: DecisionContext, _: Arc<dyn Models>) -> Result<Decision> {
        Err(Error::other("no episode is played by all models"))
    }
}

impl Offered {
    /// A model's decision on a request.
    pub(crate) async fn decide(
        &self,
        ask: &Ask,
        mut context: DecisionContext,
        models: Arc<dyn Models>,
        relays: &Relays,
    ) -> Result<Decision> {
        match &ask.model.how {
            How::Plan(planner) => {
                // They may have changed since the session began.
                context.environment.instructions = ask.instructions.clone();
                let turn = context.turn.clone();
                let mut decision = planner.decide(context, models.clone()).await?;
                // What is no valid call is the world's to answer.
                if ask.chat.format.is_some()
                    && decision.action.calls(&turn).is_ok_and(|calls| calls.is_empty())
                {
                    decision.action = self.formatted(ask, decision.action, models).await?;
                }
                Ok(decision)
            }
            How::Pass { llm, .. } => {
                if let (Some(relay), Some(raw)) = (relays.get(llm), ask.raw()) {
                    ask.pass_on(relay.pass(raw));
                }
                pass(llm, ask, models).await
            }
        }
    }

    /// Words in the requested format: as they are, or else as another call makes them.
    async fn formatted(&self, ask: &Ask, action: Action, models: Arc<dyn Models>) -> Result<Action> {
        let Some(format) = &ask.chat.format else { return Ok(action) };
        let schema = format.schema();
        let why = match follows(&action.text, &schema) {
            Ok(text) => return Ok(Action::new(text)),
            Err(why) => why,
        };
        let Some(record) = &self.record else {
            return Err(Error::malformed(format!("the answer does not have the requested format: {why}")));
        };
        let llm = models.llm(record.clone()).await?;
        let mut request = plain(&ask.chat, llm.capabilities().await?.tools);
        request.tools.clear();
        request.messages.push(Message::assistant(action.text));
        request.messages.push(Message::user(format!(
            "This is not in the requested format: {why}. Say the same again. {}",
            format.words()
        )));
        request.json_schema = llm.capabilities().await?.json_schema.then(|| schema.clone());
        let again = llm.complete(request).await?;
        follows(again.text(), &schema).map(Action::new).map_err(|why| {
            Error::malformed(format!("the answer does not have the requested format, asked twice: {why}"))
        })
    }
}

/// The JSON of a text that follows a schema, or why it does not.
fn follows(text: &str, schema: &Value) -> std::result::Result<String, String> {
    let value = json_in(text).ok_or("it is not JSON")?;
    let schema = jsonschema::validator_for(schema).map_err(|error| error.to_string())?;
    match schema.validate(&value) {
        Ok(()) => Ok(value.to_string()),
        Err(error) => Err(format!("at `{}`: {error}", error.instance_path())),
    }
}

/// Asks a language model what the client asks, with the client's own messages.
async fn pass(llm: &str, ask: &Ask, models: Arc<dyn Models>) -> Result<Decision> {
    let llm = models.llm(llm.into()).await?;
    let able = llm.capabilities().await?;
    let mut request = plain(&ask.chat, able.tools);
    if let Some(format) = &ask.chat.format {
        match able.json_schema {
            true => request.json_schema = Some(format.schema()),
            false => request.messages.insert(0, Message::system(format.words())),
        }
    }
    let completion = llm.complete(request).await?;
    let Choice { text, reasoning, finish, mut tool_calls, .. } =
        completion.choices.into_iter().next().unwrap_or_default();
    let mut content = text;
    if !able.tools && tool_calls.is_empty() {
        // What cannot be read as calls is words.
        tool_calls = tools::read(&content, &ask.chat.tools).unwrap_or_default();
        if !tool_calls.is_empty() {
            content.clear();
        }
    }
    let finish = match finish {
        _ if !tool_calls.is_empty() => "tool_calls",
        FinishReason::Length => "length",
        FinishReason::ContentFilter => "content_filter",
        _ => "stop",
    };
    let (thought, action) = match tool_calls.is_empty() {
        true => (reasoning, Action::new(content.clone())),
        false => {
            let thought = if content.is_empty() { reasoning } else { content.clone() };
            (thought, Action::of_calls(tool_calls))
        }
    };
    ask.say(content, finish);
    Ok(Decision { thought, action, ..Decision::default() })
}

/// The client's request as a chat. A model without tool calls gets calls and their results as text.
fn plain(chat: &Chat, able: bool) -> ChatRequest {
    let mut messages: Vec<Message> = chat.messages.iter().map(|said| said.message.clone()).collect();
    if !able && !chat.tools.is_empty() {
        for message in &mut messages {
            if !message.tool_calls.is_empty() {
                let calls = tools::write(&std::mem::take(&mut message.tool_calls));
                message.content = [std::mem::take(&mut message.content), calls].join("\n").trim().to_owned();
            }
            if message.role == Role::Tool {
                (message.role, message.tool_call_id) = (Role::User, None);
            }
        }
        messages.insert(0, Message::system(grammar(&chat.tools)));
    }
    ChatRequest {
        messages,
        temperature: chat.temperature,
        max_tokens: chat.max_tokens,
        stop: chat.stop.clone(),
        seed: chat.seed,
        tools: if able { chat.tools.clone() } else { Vec::new() },
        ..ChatRequest::new(Purpose::Action, Vec::new())
    }
}

/// How tools are called in words.
fn grammar(tools: &[Tool]) -> String {
    let mut text = String::from(
        "You have these tools. To call one, answer with the call alone, such as name({\"argument\": \"value\"}); \
         several calls on a line each. Otherwise answer in words.",
    );
    for Tool { name, description, parameters } in tools {
        text += &format!("\n\n{name}: {description}\nIts arguments, as JSON schema: {parameters}");
    }
    text
}
