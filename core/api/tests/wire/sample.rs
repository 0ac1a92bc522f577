//! One component of every interface, and calls of every method.
//!
//! Every field of every type is set to something other than its default, so that the checked-in messages show them all.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    behaviour::{Bank, BehaviourPrompt, ScriptedBehaviour, Wordings},
    critic::{
        Critic, CriticQuery, CriticTrainer, Estimate, Evidence, Explanation, KnownOutcome, LabelRequest,
        Meaning, Progress, StyleCard, TrainingReport, TrainingRequest, Vocabulary,
    },
    encoder::{EncoderSpec, Matrix, TextEncoder},
    environment::{
        Action, CallRule, Environment, EnvironmentSpec, Imagine, Observation, Recovery, Reset, SeatSpec,
        Transition, Turn,
    },
    error::Code,
    host::{Host, ModelFiles},
    importer::{Imported, Importer},
    llm::{
        ChatRequest, Choice, Completion, FinishReason, LlmBackend, LlmCapabilities, Message, Purpose, Role,
        TokenLogprob, TokenStream, Tool, ToolCall, Usage,
    },
    module::{Create, Described, Description, Module},
    planner::{
        Allowance, Decision, DecisionContext, Exchange, InnerDecision, LargestCall, Models, Planner,
        Requirements, Round, Summariser, Summary, Trace, ValuedOutcome,
    },
    raw::{OPENAI_CHAT, RawBytes, RawHead, RawRequest, RawStream},
    registry::Component,
    trajectory::{Step, Trajectory},
    verifier::{Check, Verifier},
    wire::Interface,
};
use serde_json::{Map, Value, json};

/// A component of every interface.
pub(crate) struct Sample;

/// An interface with a component to test it with.
pub(crate) trait Tried: Interface {
    fn sample() -> Arc<Self>;
    /// Calls every method, and returns the results as text.
    #[allow(async_fn_in_trait)]
    async fn calls(it: Arc<Self>) -> Vec<String>;
}

/// Runs a generic function for every interface.
#[macro_export]
macro_rules! for_every_interface {
    ($run:ident) => {{
        use forethought_api::*;
        $run::<dyn encoder::TextEncoder>();
        $run::<dyn environment::Environment>();
        $run::<dyn host::Host>();
        $run::<dyn importer::Importer>();
        $run::<dyn llm::LlmBackend>();
        $run::<dyn llm::TokenStream>();
        $run::<dyn module::Module>();
        $run::<dyn planner::Models>();
        $run::<dyn planner::Planner>();
        $run::<dyn planner::Summariser>();
        $run::<dyn raw::RawStream>();
        $run::<dyn behaviour::ScriptedBehaviour>();
        $run::<dyn critic::Progress>();
        $run::<dyn critic::Critic>();
        $run::<dyn critic::CriticTrainer>();
        $run::<dyn verifier::Verifier>();
    }};
}

macro_rules! tried {
    ($interface:ident, |$it:ident| [$($call:expr),* $(,)?]) => {
        impl Tried for dyn $interface {
            fn sample() -> Arc<Self> {
                Arc::new(Sample)
            }
            async fn calls($it: Arc<Self>) -> Vec<String> {
                vec![$(format!("{:?}", $call)),*]
            }
        }
    };
}

fn anything() -> Value {
    json!({ "nested": [{ "deep": ["Größe", "大", "🌊", "\u{0}"] }], "most": u64::MAX, "least": i64::MIN, "none": null })
}

fn world() -> EnvironmentSpec {
    EnvironmentSpec {
        name: "tide-pools".into(),
        version: "2".into(),
        seats: vec![SeatSpec { name: "agent".into(), instructions: "collect".into() }],
        tasks: Some(u64::MAX),
        instructions: "wade[pool]".into(),
        fork: true,
        recovery: Recovery::Restart,
        max_steps: Some(9),
        ..EnvironmentSpec::default()
    }
}

fn turn() -> Turn {
    let observation = Observation { text: "low tide".into(), data: anything() };
    Turn { seat: 1, observation, legal_actions: vec!["wade[1]".into()], ..Turn::default() }
}

/// A turn that offers tools.
fn offering(legal_actions: Vec<String>) -> Turn {
    let call_rule = CallRule { required: true, single: true };
    Turn { legal_actions, tools: request().tools, call_rule, ..turn() }
}

fn request() -> ChatRequest {
    let call = ToolCall { id: "c1".into(), name: "look".into(), arguments: json!({ "at": 1 }) };
    let message = Message {
        role: Role::Assistant,
        content: "Ebbe — 引き潮".into(),
        tool_calls: vec![call],
        tool_call_id: Some("c0".into()),
    };
    ChatRequest {
        purpose: Purpose::Refine,
        messages: vec![message],
        samples: 2,
        temperature: Some(0.1),
        max_tokens: Some(64),
        stop: vec!["\n".into()],
        seed: Some(u64::MAX),
        tools: vec![Tool {
            name: "look".into(),
            description: "looks".into(),
            parameters: json!({ "type": "object" }),
        }],
        json_schema: Some(json!({ "type": "string" })),
        logprobs: true,
    }
}

fn completion() -> Completion {
    let choice = Choice {
        text: "wade[1]".into(),
        finish: FinishReason::Length,
        logprobs: vec![TokenLogprob { token: "wade".into(), logprob: -0.1 }],
        tool_calls: vec![ToolCall { id: "c1".into(), name: "look".into(), arguments: json!([]) }],
        ..Choice::default()
    };
    Completion { choices: vec![choice], usage: Usage { input_tokens: 7, output_tokens: 3 }, raw: anything() }
}

fn requirements() -> Requirements {
    Requirements {
        llms: vec!["big".into()],
        critics: vec!["critic".into()],
        fork: true,
        logprobs: true,
        tools: true,
        json_schema: true,
        summariser: false,
        planners: vec![("inner".into(), Requirements::default())],
    }
}

fn context() -> DecisionContext {
    let exchange = Exchange { observation: "o".into(), thought: "t".into(), action: "a".into() };
    DecisionContext {
        environment: world(),
        seat: 1,
        step: 2,
        history: vec![exchange],
        turn: turn(),
        ended: true,
        seed: 5,
    }
}

fn summary() -> Summary {
    Summary { state: "knee-deep".into(), outcome: "The crab is found.".into() }
}

fn query() -> CriticQuery {
    CriticQuery { state: "s".into(), thought: "t".into(), outcome: "o".into() }
}

fn estimate() -> Estimate {
    let (known, distance) = (Some(3), Some(0.75));
    Estimate { probability: 0.1 + 0.2, raw: -1e-300, uncertainty: 5e-324, distance, known, outside: true }
}

fn trajectory() -> Trajectory {
    let step = Step {
        observation: "o".into(),
        state: "s".into(),
        thought: "t".into(),
        action: "a".into(),
        next_state: "n".into(),
        outcomes: vec!["g".into()],
        reward: -0.5,
        terminated: true,
        truncated: true,
        ..Step::default()
    };
    Trajectory {
        episode: "e".into(),
        environment: "tide-pools".into(),
        task: 1,
        seed: 2,
        seat: 3,
        source: "import".into(),
        steps: vec![step],
        ..Trajectory::default()
    }
}

fn prompt() -> BehaviourPrompt {
    BehaviourPrompt { text: "text".into(), thought: "t".into(), count: 2, seed: 3 }
}

#[async_trait]
impl Environment for Sample {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(world())
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Sample))
    }
    async fn reset(&self, reset: Reset) -> Result<Turn> {
        Ok(Turn { legal_actions: vec![format!("{reset:?}")], ..turn() })
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        Ok(Transition {
            turn: match action.calls.is_empty() {
                true => Turn { legal_actions: vec![action.text], ..turn() },
                false => offering(vec![action.text]),
            },
            rewards: vec![0.1, -1.5],
            terminated: true,
            truncated: true,
            success: Some(false),
            info: anything(),
            ..Transition::default()
        })
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(Some(Arc::new(Sample)))
    }
    async fn imagine(&self, imagine: Imagine) -> Result<Option<Arc<dyn Environment>>> {
        Ok((imagine.hidden != Value::Null).then(|| Arc::new(Sample) as _))
    }
}

tried!(Environment, |it| [
    it.spec().await,
    it.spawn().await.unwrap().spec().await,
    it.reset(Reset { task: u64::MAX, seed: 1 }).await,
    it.step(Action { calls: request().messages[0].tool_calls.clone(), ..Action::new("wade[大]") }).await,
    it.fork().await.unwrap().unwrap().step(Action::new("wade[2]")).await,
    it.imagine(Imagine { seat: 1, seed: u64::MAX, hidden: anything() }).await.map(|copy| copy.is_some()),
    it.imagine(Imagine::default()).await.map(|copy| copy.is_some()),
]);

#[async_trait]
impl LlmBackend for Sample {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities {
            model: "sample".into(),
            streaming: true,
            tools: true,
            json_schema: true,
            logprobs: true,
            seed: true,
            free: true,
            samples: 1,
        })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        Ok(Completion { raw: json!(format!("{request:?}")), ..completion() })
    }
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        Ok(Arc::new(Pieces(Mutex::new(
            request.messages.into_iter().map(|message| message.content).collect(),
        ))))
    }
    async fn formats(&self) -> Result<Vec<String>> {
        Ok(vec![OPENAI_CHAT.into()])
    }
    async fn forward(&self, request: RawRequest) -> Result<Arc<dyn RawStream>> {
        Ok(Arc::new(Pieces(Mutex::new(vec![format!("{request:?}")]))))
    }
}

fn raw() -> RawRequest {
    let body = r#"{ "model": "a", "stream": true }"#.into();
    RawRequest { format: OPENAI_CHAT.into(), body, streaming: true, request: request() }
}

tried!(LlmBackend, |it| [
    it.capabilities().await,
    it.complete(request()).await,
    {
        let stream = it.stream(request()).await.unwrap();
        (stream.next(2).await, stream.next(2).await, stream.finish().await)
    },
    it.formats().await,
    {
        let answer = it.forward(raw()).await.unwrap();
        (answer.head().await, answer.next().await, answer.next().await, answer.finish().await)
    }
]);

/// Returns what it holds.
struct Pieces(Mutex<Vec<String>>);

#[async_trait]
impl TokenStream for Pieces {
    async fn next(&self, max: u32) -> Result<Vec<String>> {
        let mut left = self.0.lock().unwrap();
        let count = left.len().min(max as usize);
        Ok(left.drain(..count).collect())
    }
    async fn finish(&self) -> Result<Completion> {
        Ok(completion())
    }
}

impl Tried for dyn TokenStream {
    fn sample() -> Arc<Self> {
        Arc::new(Pieces(Mutex::new(["The", " tide", " turns"].map(String::from).into())))
    }
    async fn calls(it: Arc<Self>) -> Vec<String> {
        let pulled = [it.next(2).await, it.next(2).await, it.next(2).await];
        vec![format!("{pulled:?}"), format!("{:?}", it.finish().await)]
    }
}

#[async_trait]
impl RawStream for Pieces {
    async fn head(&self) -> Result<RawHead> {
        Ok(RawHead {
            status: 429,
            content_type: "text/event-stream".into(),
            headers: vec![("x-request-id".into(), "r1".into())],
            failure: Some(Error::new(Code::Provider, "too many").overloaded()),
        })
    }
    async fn next(&self) -> Result<RawBytes> {
        Ok(RawBytes(self.0.lock().unwrap().pop().unwrap_or_default().into()))
    }
    async fn finish(&self) -> Result<Completion> {
        Ok(completion())
    }
}

impl Tried for dyn RawStream {
    fn sample() -> Arc<Self> {
        Arc::new(Pieces(Mutex::new(vec!["data: tide\n\n".into()])))
    }
    async fn calls(it: Arc<Self>) -> Vec<String> {
        let head = it.head().await;
        let read = [it.next().await, it.next().await];
        vec![format!("{head:?}"), format!("{read:?}"), format!("{:?}", it.finish().await)]
    }
}

#[async_trait]
impl TextEncoder for Sample {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: "sample".into(), revision: Some("r1".into()), dimension: 2 })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        Matrix::new(texts.len(), 2, texts.iter().flat_map(|text| [text.len() as f32, 0.1]).collect())
    }
}

tried!(TextEncoder, |it| [it.spec().await, it.encode(vec!["a".into(), "大".into()]).await]);

#[async_trait]
impl Critic for Sample {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        Ok(vec![estimate(); queries.len()])
    }
    async fn requires(&self) -> Result<Requirements> {
        Ok(requirements())
    }
    async fn explain(&self, query: CriticQuery) -> Result<Explanation> {
        let outcome = query.outcome;
        let evidence = Evidence {
            weight: 0.5,
            reached: 1.0,
            episode: "e".into(),
            step: 2,
            outcome,
            ..Evidence::default()
        };
        Ok(Explanation { text: "seen before".into(), evidence: vec![evidence] })
    }
    async fn style_card(&self) -> Result<StyleCard> {
        let known = KnownOutcome { text: "o".into(), usual: 0.75, mean_return: Some(0.5) };
        Ok(StyleCard { outcomes: vec![known], states: vec!["s".into()], thoughts: vec!["t".into()] })
    }
    async fn estimate_with(
        &self,
        queries: Vec<CriticQuery>,
        models: Arc<dyn Models>,
    ) -> Result<Vec<Estimate>> {
        let judged = models.llm("judge".into()).await?.complete(request()).await?;
        Ok(vec![Estimate { raw: judged.usage.total() as f64, ..estimate() }; queries.len()])
    }
}

tried!(Critic, |it| [
    it.estimate(vec![query()]).await,
    it.style_card().await,
    it.requires().await,
    it.estimate_with(vec![query(), query()], Arc::new(Sample)).await,
    it.explain(query()).await,
]);

#[async_trait]
impl CriticTrainer for Sample {
    async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
        progress.report("train".into(), 1, fit.trajectories.len() as u64, "loss 0.1".into()).await?;
        Ok(TrainingReport {
            steps: 5,
            best_step: 4,
            train_trajectories: 3,
            validation_trajectories: 2,
            metrics: BTreeMap::from([("auc".into(), 0.75)]),
            details: json!({ "out": fit.out, "seed": fit.seed, "shuffled": fit.shuffle_outcomes }),
        })
    }
    async fn label(&self, request: LabelRequest, progress: Arc<dyn Progress>) -> Result<Vocabulary> {
        progress.report("label".into(), 1, request.trajectories.len() as u64, request.about.clone()).await?;
        let meaning = Meaning { text: request.about, sentences: vec!["s".into()], ..Meaning::default() };
        Ok(Vocabulary {
            outcomes: vec![meaning.clone()],
            thoughts: vec![meaning.clone()],
            states: vec![meaning],
        })
    }
}

fn training() -> TrainingRequest {
    let (trajectories, out) = (vec![trajectory()], "/päth".into());
    TrainingRequest { trajectories, out, seed: 3, shuffle_outcomes: true, ..TrainingRequest::default() }
}

fn labelling() -> LabelRequest {
    LabelRequest { trajectories: vec![trajectory()], about: "a".into(), out: "/päth".into() }
}

tried!(CriticTrainer, |it| [
    it.fit(training(), Arc::new(Sample)).await,
    it.label(labelling(), Arc::new(Sample)).await,
]);

#[async_trait]
impl Progress for Sample {
    async fn report(&self, _: String, _: u64, _: u64, _: String) -> Result<()> {
        Ok(())
    }
}

tried!(Progress, |it| [it.report("train".into(), 1, u64::MAX, "loss 0.1".into()).await]);

#[async_trait]
impl Planner for Sample {
    async fn requires(&self) -> Result<Requirements> {
        Ok(requirements())
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let thought = models.llm("big".into()).await?.complete(request()).await?;
        let copy = models.fork().await?.expect("a copy").step(Action::new("look")).await?;
        let outcome = ValuedOutcome {
            text: "o".into(),
            good: true,
            probability: 0.25,
            raw: -1.0,
            uncertainty: 0.5,
            known_as: Some("k".into()),
            usual: Some(0.75),
            mean_return: Some(0.5),
            outside: true,
            strange: true,
            distance: Some(1.0),
        };
        Ok(Decision {
            thought: thought.text().into(),
            action: Action::new(copy.turn.legal_actions.concat()),
            summary: Some(summary()),
            trace: Trace {
                rounds: vec![Round { thought: "t".into(), outcomes: vec![outcome], kept: true }],
                recoveries: vec!["asked again".into()],
                faults: [("repeated".to_owned(), 1)].into(),
                details: json!(context),
                decisions: vec![InnerDecision {
                    planner: "p".into(),
                    taken: true,
                    error: Some("e".into()),
                    ..Default::default()
                }],
            },
        })
    }
}

tried!(Planner, |it| [it.requires().await, it.decide(context(), Arc::new(Sample)).await]);

#[async_trait]
impl Summariser for Sample {
    async fn requires(&self) -> Result<Requirements> {
        Ok(requirements())
    }
    async fn summarise(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Summary> {
        let values = models.critic("critic".into()).await?.estimate(vec![query()]).await?;
        let Estimate { probability, raw, uncertainty, .. } = values[0];
        let value = format!("probability: {probability:?}, raw: {raw:?}, uncertainty: {uncertainty:?}");
        Ok(Summary { state: format!("[Estimate {{ {value} }}] at step {}", context.step), ..summary() })
    }
}

tried!(Summariser, |it| [it.requires().await, it.summarise(context(), Arc::new(Sample)).await]);

#[async_trait]
impl Models for Sample {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(Arc::new(Sample))
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(Arc::new(Sample))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(Some(Arc::new(Sample)))
    }
    async fn imagine(&self, hidden: Value, seed: u64) -> Result<Option<Arc<dyn Environment>>> {
        Environment::imagine(self, Imagine { seat: 1, seed, hidden }).await
    }
    async fn note(&self, recoveries: Vec<String>, _: BTreeMap<String, u32>) -> Result<()> {
        assert_eq!(recoveries, ["asked once more"]);
        Ok(())
    }
    async fn summarise(&self, context: DecisionContext) -> Result<Summary> {
        Ok(Summary { state: format!("summarised at step {}", context.step), ..summary() })
    }
    async fn allowance(&self) -> Result<Allowance> {
        let largest = LargestCall { tokens: 350, usd: 0.001, seconds: 1.5 };
        Ok(Allowance { calls: Some(6), tokens: Some(4000), usd: Some(0.01), seconds: Some(20.0), largest })
    }
}

tried!(Models, |it| [
    it.llm("big".into()).await.unwrap().capabilities().await,
    it.critic("critic".into()).await.unwrap().estimate(vec![query()]).await,
    it.fork().await.unwrap().unwrap().spec().await,
    it.imagine(anything(), 3).await.map(|copy| copy.is_some()),
    it.note(vec!["asked once more".into()], BTreeMap::from([("repeated".into(), 1)])).await,
    it.summarise(context()).await,
    it.allowance().await,
]);

#[async_trait]
impl ScriptedBehaviour for Sample {
    async fn recognises(&self, text: String) -> Result<bool> {
        Ok(text.contains("tide"))
    }
    async fn thought(&self, prompt: BehaviourPrompt) -> Result<String> {
        let BehaviourPrompt { text, thought, count, seed } = prompt;
        // By the type's name in release 0.1.0, from which the checked-in messages are.
        Ok(format!("SkillPrompt {{ text: {text:?}, thought: {thought:?}, count: {count}, seed: {seed} }}"))
    }
    async fn action(&self, prompt: BehaviourPrompt) -> Result<String> {
        Ok(prompt.thought)
    }
    async fn outcomes(&self, prompt: BehaviourPrompt) -> Result<Vec<String>> {
        Ok(vec!["good".into(); prompt.count])
    }
    async fn summary(&self, prompt: BehaviourPrompt) -> Result<(String, String)> {
        Ok((prompt.text, "outcome".into()))
    }
    async fn bank(&self) -> Result<Bank> {
        let wordings = |text: &str| Wordings {
            outcomes: vec![("Ebb".to_owned(), vec![text.to_owned()])],
            ..Wordings::default()
        };
        Ok(Bank { regular: wordings("It ebbs."), free: wordings("The water leaves.") })
    }
}

tried!(ScriptedBehaviour, |it| [
    it.recognises("low tide".into()).await,
    it.thought(prompt()).await,
    it.action(prompt()).await,
    it.outcomes(prompt()).await,
    it.summary(prompt()).await,
    it.bank().await,
]);

#[async_trait]
impl Importer for Sample {
    async fn import(&self, path: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Trajectory>> {
        progress.report("read".into(), 1, 1, String::new()).await?;
        Ok(vec![Trajectory { source: path.display().to_string(), ..trajectory() }])
    }
    async fn read(&self, path: PathBuf, _: Arc<dyn Progress>) -> Result<Imported> {
        let mut trajectory = Trajectory { instructions: "wade".into(), ..trajectory() };
        trajectory.tools = request().tools;
        trajectory.info = Map::from_iter([("model".to_owned(), "m".into())]);
        trajectory.steps[0].info = Map::from_iter([("source".to_owned(), path.display().to_string().into())]);
        let count = |what: &str| BTreeMap::from([(what.to_owned(), 2)]);
        Ok(Imported { trajectories: vec![trajectory], dropped: count("images"), notes: count("unrewarded") })
    }
}

tried!(Importer, |it| [
    it.import("/data/Ebbe".into(), Arc::new(Sample)).await,
    it.read("/data/Ebbe".into(), Arc::new(Sample)).await,
]);

#[async_trait]
impl Verifier for Sample {
    async fn verify(&self, data: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Check>> {
        progress.report("check".into(), 1, 1, String::new()).await?;
        Ok(vec![Check {
            name: data.display().to_string(),
            total: 3,
            passed: 2,
            failures: vec!["1 != 2".into()],
        }])
    }
}

tried!(Verifier, |it| [it.verify("/data/golden".into(), Arc::new(Sample)).await]);

#[async_trait]
impl Module for Sample {
    async fn describe(&self) -> Result<Description> {
        let described = Described {
            interface: "forethought.encoder/1".into(),
            kind: "sample".into(),
            summary: "for tests".into(),
            schema: json!({ "type": "object" }),
        };
        Ok(Description::new("sample", "1.2.3", vec![described]))
    }
    async fn create(&self, create: Create, host: Arc<dyn Host>) -> Result<Component> {
        if create.config != anything() {
            return Err(Error::config("another configuration"));
        }
        assert_eq!(host.encoder("e".into()).await?.spec().await?.dimension, 2);
        Ok(Component::Encoder(Arc::new(Sample)))
    }
    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

tried!(Module, |it| [
    it.describe().await,
    {
        let create =
            Create { interface: "forethought.encoder/1".into(), kind: "sample".into(), config: anything() };
        match it.create(create, Arc::new(Sample)).await {
            Ok(Component::Encoder(encoder)) => encoder.encode(vec!["a".into()]).await,
            Ok(_) => panic!("another component"),
            Err(error) => Err(error),
        }
    },
    it.shutdown().await,
]);

#[async_trait]
impl Host for Sample {
    async fn planner(&self, _: String) -> Result<Arc<dyn Planner>> {
        Ok(Arc::new(Sample))
    }
    async fn encoder(&self, _: String) -> Result<Arc<dyn TextEncoder>> {
        Ok(Arc::new(Sample))
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(Arc::new(Sample))
    }
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(Arc::new(Sample))
    }
    async fn behaviours(&self) -> Result<Vec<(String, Arc<dyn ScriptedBehaviour>)>> {
        Ok(vec![("one".into(), Arc::new(Sample)), ("zwei".into(), Arc::new(Sample))])
    }
    async fn model_files(&self, request: ModelFiles) -> Result<PathBuf> {
        Ok(PathBuf::from("/models").join(format!("{request:?}")))
    }
}

tried!(Host, |it| [
    it.planner("p".into()).await.unwrap().requires().await,
    it.encoder("e".into()).await.unwrap().spec().await,
    it.critic("v".into()).await.unwrap().requires().await,
    it.llm("l".into()).await.unwrap().capabilities().await,
    {
        let mut said = Vec::new();
        for (name, behaviour) in it.behaviours().await.unwrap() {
            said.push((name, behaviour.recognises("tide".into()).await));
        }
        said
    },
    it.model_files(ModelFiles {
        source: "hf:a/b@r".into(),
        required: vec!["m".into()],
        optional: vec!["o".into()],
        aside: vec!["a".into()],
    })
    .await,
]);
