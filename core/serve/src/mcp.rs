//! Critics and planners as tools of an MCP server, for agents that cannot change their model: `evaluate_thought` and
//! `plan`.
//!
//! A question is an episode of one decision: what the agent did before is repeated, then it is asked. So budgets,
//! prices, retries and the journal are those of any run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    critic::{CriticQuery, Estimate},
    environment::{
        Action, Environment, EnvironmentSpec, Observation, Recovery, Reset, SeatSpec, Transition, Turn,
    },
    error::Code,
    host::Host as _,
    llm::{Tool, ToolCall},
    planner::{Decision, DecisionContext, Models, Planner, Requirements},
    seed, tools,
};
use forethought_runtime::{
    cancel::Cancel,
    host::{RuntimeHost, assemble::LiveOptions},
    run::{
        NoopObserver,
        episode::Seat,
        live::{LiveEpisode, LiveOutcome, LiveRun},
    },
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool as Offer,
    },
    service::RequestContext,
    transport::async_rw::AsyncRwTransport,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};

const EVALUATE: &str = "evaluate_thought";
const PLAN: &str = "plan";

/// Answers an agent's questions by the critics and planners of a configuration.
#[derive(Clone)]
pub struct Advisor(Arc<Inner>);

struct Inner {
    run: LiveRun,
    planners: BTreeMap<String, Arc<dyn Planner>>,
    critics: Vec<String>,
    missing: BTreeMap<String, String>,
    slots: Semaphore,
    max_body: usize,
    seed: u64,
    asked: AtomicU64,
}

/// What the questions need. It never decides.
struct Needs(Requirements);

#[async_trait]
impl Planner for Needs {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.0.clone())
    }
    async fn decide(&self, _: DecisionContext, _: Arc<dyn Models>) -> Result<Decision> {
        Err(Error::new(Code::Unimplemented, "no episode is played by all planners"))
    }
}

/// What an agent saw and did, and sees now.
struct Asked {
    history: Vec<Past>,
    turn: Turn,
    at: Mutex<usize>,
}

impl Asked {
    fn turn(&self, at: usize) -> Turn {
        match self.history.get(at) {
            Some(past) => {
                Turn { observation: Observation::text(past.observation.clone()), ..self.turn.clone() }
            }
            None => self.turn.clone(),
        }
    }
}

fn world() -> EnvironmentSpec {
    EnvironmentSpec {
        name: "questions".into(),
        version: "1".into(),
        seats: vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }],
        // The client cannot be asked the same again.
        recovery: Recovery::Restart,
        ..EnvironmentSpec::default()
    }
}

#[async_trait]
impl Environment for Asked {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(world())
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Err(Error::new(Code::Unimplemented, "a question is asked once"))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        Ok(self.turn(0))
    }
    async fn step(&self, _: Action) -> Result<Transition> {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        *at += 1;
        let terminated = *at > self.history.len();
        Ok(Transition { turn: self.turn(*at), rewards: vec![0.0], terminated, ..Transition::default() })
    }
}

/// The seat of a question: it repeats what the agent did, then asks.
struct Repeating {
    history: Vec<Past>,
    ask: Ask,
    answer: Mutex<Option<Answer>>,
}

enum Ask {
    Plan(Arc<dyn Planner>),
    Evaluate { critic: String, state: Option<String>, thought: String, outcomes: Vec<String> },
}

enum Answer {
    Plan(Box<Decision>),
    Values { state: String, values: Vec<(Estimate, Option<String>)> },
}

#[async_trait]
impl Planner for Repeating {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        if let Some(past) = self.history.get(context.step as usize) {
            return Ok(Decision {
                thought: past.thought.clone(),
                action: Action::new(past.action()),
                ..Decision::default()
            });
        }
        let (decision, answer) = match &self.ask {
            Ask::Plan(planner) => {
                let decision = planner.decide(context, models).await?;
                (decision.clone(), Answer::Plan(Box::new(decision)))
            }
            Ask::Evaluate { critic, state, thought, outcomes } => {
                let state = match state {
                    Some(state) => state.clone(),
                    None => models.summarise(context).await?.state,
                };
                let critic = models.critic(critic.clone()).await?;
                let known = critic.style_card().await?.outcomes;
                let query = |outcome: &String| CriticQuery {
                    state: state.clone(),
                    thought: thought.clone(),
                    outcome: outcome.clone(),
                };
                let estimates = critic.estimate(outcomes.iter().map(query).collect()).await?;
                let name = |estimate: Estimate| {
                    let known = estimate.known.and_then(|index| known.get(index as usize));
                    (estimate, known.map(|known| known.text.clone()))
                };
                let values = estimates.into_iter().map(name).collect();
                let decision = Decision {
                    thought: thought.clone(),
                    action: Action::new("(a question about this thought)"),
                    ..Decision::default()
                };
                (decision, Answer::Values { state, values })
            }
        };
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        Ok(decision)
    }
}

/// One earlier step of the agent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Past {
    observation: String,
    #[serde(default)]
    thought: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    calls: Vec<Call>,
}

impl Past {
    /// Calls as text, or the text itself.
    fn action(&self) -> String {
        if self.calls.is_empty() {
            return self.action.clone();
        }
        let call = |call: &Call| ToolCall {
            id: String::new(),
            name: call.name.clone(),
            arguments: Value::Object(call.arguments.clone()),
        };
        tools::write(&self.calls.iter().map(call).collect::<Vec<_>>())
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// A tool of the agent, as MCP and as OpenAI call its parts.
#[derive(Debug, Clone, Deserialize)]
struct Owned {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default, alias = "inputSchema", alias = "input_schema")]
    parameters: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    #[serde(default)]
    task: String,
    #[serde(default)]
    history: Vec<Past>,
    observation: String,
    #[serde(default)]
    tools: Vec<Owned>,
    #[serde(default)]
    actions: Vec<String>,
    planner: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Evaluate {
    thought: String,
    outcomes: Vec<String>,
    state: Option<String>,
    #[serde(default)]
    task: String,
    #[serde(default)]
    history: Vec<Past>,
    observation: Option<String>,
    critic: Option<String>,
}

impl Advisor {
    /// Everything in the configuration that can be asked, in a new run.
    ///
    /// # Errors
    /// A configuration with neither a critic nor a planner that can be asked.
    pub async fn open(host: &RuntimeHost, cancel: Cancel) -> Result<Self> {
        let config = host.config();
        let (mut planners, mut critics, mut missing) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let mut askers = Vec::new();
        for name in config.planners() {
            match host.offer(&world(), "planner", name).await {
                Ok(needs) => {
                    askers.push((name.to_owned(), needs));
                    planners.insert(name.to_owned(), host.planner(name.into()).await?);
                }
                Err(error) => drop(missing.insert(format!("planner.{name}"), error.to_string())),
            }
        }
        for name in config.critic.keys() {
            match host.critic(name.clone()).await {
                Ok(_) => critics.push(name.clone()),
                Err(error) => drop(missing.insert(format!("critic.{name}"), error.to_string())),
            }
        }
        if planners.is_empty() && critics.is_empty() {
            let none = Error::config("the configuration has no critic and no planner that could be asked");
            return Err(missing
                .into_iter()
                .fold(none, |error, (name, why)| error.because(Error::other(format!("{name}: {why}")))));
        }
        // The summariser puts a history into a critic's words; without one, only states can be asked about.
        let summariser = !critics.is_empty() && config.summariser.is_some();
        let own = Requirements { critics: critics.clone(), summariser, ..Requirements::default() };
        let needs = Requirements::over(askers).and(own);
        let spec = host
            .live_spec(LiveOptions {
                environment: Arc::new(Asked {
                    history: Vec::new(),
                    turn: Turn::default(),
                    at: Mutex::default(),
                }),
                name: "mcp".into(),
                planner: Arc::new(Needs(needs)),
                collect: false,
                cancel,
            })
            .await?;
        let inner = Inner {
            run: LiveRun::open(spec, Arc::new(NoopObserver)).await?,
            planners,
            critics,
            missing,
            slots: Semaphore::new(config.serve.concurrency),
            max_body: config.serve.max_body,
            seed: config.seed,
            asked: AtomicU64::new(0),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The names of planners and critics that can be asked, with their sections.
    pub fn offered(&self) -> Vec<String> {
        let planners = self.0.planners.keys().map(|name| format!("planner.{name}"));
        planners.chain(self.0.critics.iter().map(|name| format!("critic.{name}"))).collect()
    }

    /// What is configured and cannot be asked, and why.
    pub fn missing(&self) -> &BTreeMap<String, String> {
        &self.0.missing
    }

    /// The folder of the run.
    pub fn folder(&self) -> &Path {
        self.0.run.folder()
    }

    /// Speaks MCP until the client closes its side, or `stop` is raised.
    ///
    /// # Errors
    /// If the other side does not speak MCP.
    pub async fn speak(
        &self,
        input: impl AsyncRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
        stop: &Cancel,
    ) -> Result<()> {
        let transport = AsyncRwTransport::new_server(input, output).with_max_line_length(self.0.max_body);
        let service = tokio::select! {
            service = self.clone().serve(transport) => service
                .map_err(|error| Error::input(format!("the other side does not speak MCP: {error}")))?,
            () = stop.cancelled() => return Ok(()),
        };
        tokio::select! {
            _ = service.waiting() => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    }

    /// Closes the run's folder.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub async fn close(&self) -> Result<LiveOutcome> {
        self.0.run.close().await
    }

    async fn plan(&self, plan: Plan) -> Result<(String, Value)> {
        let planner = choose("planner", plan.planner, self.0.planners.keys().map(String::as_str))?;
        let tool = |tool: Owned| Tool {
            name: tool.name,
            description: tool.description,
            parameters: if tool.parameters.is_null() { json!({ "type": "object" }) } else { tool.parameters },
        };
        let turn = Turn {
            observation: Observation::text(plan.observation),
            legal_actions: plan.actions,
            tools: plan.tools.into_iter().map(tool).collect(),
            ..Turn::default()
        };
        let ask = Ask::Plan(self.0.planners[&planner].clone());
        let Answer::Plan(decision) = self.ask(planner, plan.task, plan.history, turn.clone(), ask).await?
        else {
            unreachable!("a plan was asked for")
        };
        // What is not a call of these tools is shown as it is.
        let calls = decision.action.calls(&turn).unwrap_or_default();
        let calls: Vec<_> =
            calls.iter().map(|call| json!({ "name": call.name, "arguments": call.arguments })).collect();
        let last = decision.trace.rounds.last();
        let values: Vec<_> = last
            .iter()
            .flat_map(|round| &round.outcomes)
            .map(|outcome| {
                value(&outcome.text, outcome.probability, outcome.outside, outcome.known_as.as_deref())
            })
            .collect();
        let mut text = String::new();
        if !decision.thought.trim().is_empty() {
            text += &format!("Thought: {}\n", decision.thought.trim());
        }
        text += &format!("Action: {}", decision.action.text);
        let data = json!({
            "thought": decision.thought, "action": decision.action.text, "calls": calls, "values": values,
        });
        Ok((text, data))
    }

    async fn evaluate(&self, question: Evaluate) -> Result<(String, Value)> {
        let Evaluate { thought, outcomes, state, task, history, observation, critic } = question;
        let critic = choose("critic", critic, self.0.critics.iter().map(String::as_str))?;
        if outcomes.is_empty() {
            return Err(Error::input("`outcomes` is empty: name at least one sentence to judge"));
        }
        let seen = match (&state, observation) {
            (Some(state), None) if history.is_empty() => state.clone(),
            (None, Some(observation)) => observation,
            _ => {
                return Err(Error::input(
                    "give either `state`, a summary of the situation, or `history` and `observation`",
                ));
            }
        };
        let turn = Turn { observation: Observation::text(seen), ..Turn::default() };
        let ask = Ask::Evaluate { critic: critic.clone(), state, thought, outcomes: outcomes.clone() };
        let Answer::Values { state, values } = self.ask(critic, task, history, turn, ask).await? else {
            unreachable!("values were asked for")
        };
        let mut text = String::new();
        let mut data = Vec::new();
        for (outcome, (estimate, known)) in outcomes.iter().zip(values) {
            let read = known.as_deref().filter(|known| *known != outcome.trim());
            let shown = match estimate.outside {
                true => "no data".to_owned(),
                false => format!("{:.3}", estimate.probability),
            };
            let read_as = read.map(|known| format!("  (read as: {known})")).unwrap_or_default();
            text += &format!("{shown:7}  {}{read_as}\n", outcome.trim());
            data.push(value(outcome, estimate.probability, estimate.outside, read));
        }
        Ok((text.trim_end().to_owned(), json!({ "state": state, "values": data })))
    }

    async fn ask(
        &self,
        name: String,
        instructions: String,
        history: Vec<Past>,
        turn: Turn,
        ask: Ask,
    ) -> Result<Answer> {
        let inner = &self.0;
        let Ok(_slot) = inner.slots.try_acquire() else {
            return Err(Error::other("too many questions at once (`serve.concurrency`); ask again later")
                .overloaded());
        };
        let number = inner.asked.fetch_add(1, Relaxed);
        let seat = Arc::new(Repeating { history: history.clone(), ask, answer: Mutex::default() });
        let end = inner
            .run
            .play(LiveEpisode {
                id: crate::session::new_id(),
                instructions,
                reset: Reset { task: number, seed: seed::derive(inner.seed, &format!("question/{number}")) },
                seat: Seat { name, planner: seat.clone() },
                world: Arc::new(Asked { history, turn, at: Mutex::default() }),
                decided: None,
                llms: None,
            })
            .await?;
        let answer = seat.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (answer, end.error, end.summary.error) {
            (Some(answer), None, None) => Ok(answer),
            (_, Some(error), _) => Err(error),
            (_, None, error) => {
                Err(Error::other(error.unwrap_or_else(|| "the question was given up".into())))
            }
        }
    }

    async fn call(&self, request: CallToolRequestParams) -> Result<(String, Value)> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        match &*request.name {
            EVALUATE => self.evaluate(parse(arguments)?).await,
            PLAN => self.plan(parse(arguments)?).await,
            other => Err(Error::not_found(format!("there is no tool `{other}`"))),
        }
    }

    fn tools(&self) -> Vec<Offer> {
        let mut tools = Vec::new();
        let text = |about: &str| json!({ "type": "string", "description": about });
        let history = json!({
            "type": "array",
            "description": "What you saw and did before, oldest first. An action is text, or calls of tools.",
            "items": {
                "type": "object",
                "properties": {
                    "observation": { "type": "string" },
                    "thought": { "type": "string" },
                    "action": { "type": "string" },
                    "calls": { "type": "array", "items": {
                        "type": "object",
                        "properties": { "name": { "type": "string" }, "arguments": { "type": "object" } },
                        "required": ["name"],
                    } },
                },
                "required": ["observation"],
            },
        });
        let task = text("The task and its rules.");
        let which = |names: Vec<&String>| json!({ "type": "string", "enum": names });
        let mut offer = |name: &'static str, about: &'static str, properties: Value, required: Value| {
            let schema = json!({
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            });
            if let Value::Object(schema) = schema {
                tools.push(Offer::new(name, about, schema));
            }
        };
        if !self.0.critics.is_empty() {
            offer(
                EVALUATE,
                "Asks a critic that was trained on recorded episodes: if you follow this thought from here, how likely is \
                 each of these outcomes? Values are probabilities; \"no data\" means that nothing in the recorded \
                 episodes is like it. Give either `state` or `history` and `observation`.",
                json!({
                    "thought": text("The strategy in one sentence."),
                    "outcomes": {
                        "type": "array", "items": { "type": "string" }, "minItems": 1,
                        "description": "Sentences, each about one thing that may come out of it, good or bad.",
                    },
                    "state": text("A summary of the situation."),
                    "task": task,
                    "history": history,
                    "observation": text("What you see now."),
                    "critic": which(self.0.critics.iter().collect()),
                }),
                json!(["thought", "outcomes"]),
            );
        }
        if !self.0.planners.is_empty() {
            offer(
                PLAN,
                "Asks a planner what to do next: a thought, and the action or calls of your tools that it leads to. It \
                 calls nothing itself.",
                json!({
                    "task": task,
                    "history": history,
                    "observation": text("What you see now."),
                    "tools": {
                        "type": "array", "description": "Your tools, if actions are calls.",
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": { "type": "string" }, "description": { "type": "string" },
                                "parameters": { "type": "object", "description": "JSON schema of the arguments." },
                            },
                            "required": ["name"],
                        },
                    },
                    "actions": {
                        "type": "array", "items": { "type": "string" },
                        "description": "The possible actions, if they can be listed.",
                    },
                    "planner": which(self.0.planners.keys().collect()),
                }),
                json!(["observation"]),
            );
        }
        tools
    }
}

fn parse<T: DeserializeOwned>(arguments: Value) -> Result<T> {
    serde_json::from_value(arguments)
        .map_err(|error| Error::input(format!("the arguments are not right: {error}")))
}

/// One value as data: null where it is unknown.
fn value(outcome: &str, probability: f64, outside: bool, read_as: Option<&str>) -> Value {
    let probability = (!outside).then_some(probability);
    json!({ "outcome": outcome, "value": probability, "no_data": outside, "read_as": read_as })
}

/// The one that is named, or the only one.
fn choose<'a>(what: &str, named: Option<String>, known: impl Iterator<Item = &'a str>) -> Result<String> {
    let known: Vec<_> = known.collect();
    let all = known.join(", ");
    match (named, &known[..]) {
        (_, []) => Err(Error::not_found(format!("there is no {what} to ask"))),
        (Some(name), known) if known.contains(&&*name) => Ok(name),
        (Some(name), _) => Err(Error::not_found(format!("there is no {what} `{name}`; known: {all}"))),
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => Err(Error::input(format!("say which {what} to ask: {all}"))),
    }
}

impl ServerHandler for Advisor {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("forethought", env!("CARGO_PKG_VERSION")))
            .with_instructions(
                "Before an important step, ask how likely the outcomes of your thought are, or what a planner would do.",
            )
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !self.tools().iter().any(|tool| tool.name == request.name) {
            return Err(ErrorData::invalid_params(format!("there is no tool `{}`", request.name), None));
        }
        let answer = tokio::select! {
            answer = self.call(request) => answer,
            // The client withdrew its question: calls in flight are given up.
            () = context.ct.cancelled() => Err(Error::new(Code::Cancelled, "the question was withdrawn")),
        };
        let result = match answer {
            Ok((text, data)) => {
                let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
                result.structured_content = Some(data);
                result
            }
            Err(error) => CallToolResult::error(vec![ContentBlock::text(error.to_string())]),
        };
        Ok(result.into())
    }
}
