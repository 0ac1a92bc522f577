//! The kit finds breaches: for each of its rules, a component that breaks only that one.
//!
//! Each component here is built with the name of the rule that it breaks; without one, it follows them all.

use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use std::time::Duration;

use forethought_api::{Error, Result, host::ModelFiles, registry::Pluggable};
use forethought_conformance::{Options, Outcome, Report, Rule, Subject, check, rules};
use serde_json::{Value, json};

mod worlds {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use async_trait::async_trait;
    use forethought_api::environment::{
        Action, Environment, EnvironmentSpec, Imagine, Observation, Reset, SeatSpec, Transition, Turn,
    };
    use forethought_api::llm::Tool;

    use super::*;

    /// Two seats walk along a line, in turn: by words, or by calls of a tool.
    pub(super) struct Line {
        broken: &'static str,
        state: Arc<Mutex<State>>,
        shared: Arc<Shared>,
    }

    /// What worlds of one component share, and should not change.
    #[derive(Default)]
    struct Shared {
        steps: AtomicU64,
        scratch: AtomicU64,
        log: Mutex<Vec<Vec<u8>>>,
    }

    #[derive(Clone, Default)]
    struct State {
        noise: u64,
        place: i64,
        steps: u32,
        halfway: bool,
    }

    impl Line {
        pub(super) fn breaking(broken: &'static str) -> Arc<dyn Environment> {
            Arc::new(Self { broken, state: Arc::default(), shared: Arc::default() })
        }
        fn turn(&self, state: &State) -> Turn {
            let mut legal: Vec<String> = vec!["left".into(), "right".into()];
            if self.broken == "environment/legal-actions" {
                legal.push("jump".into());
            }
            let mut text = format!("place {}, weather {}", state.place, state.noise % 100);
            if state.halfway {
                text += ", one foot in the air";
            }
            let seat = if self.broken == "environment/seat" { 2 } else { state.steps as usize % 2 };
            Turn {
                seat,
                observation: Observation { text, data: Value::Null },
                legal_actions: legal,
                tools: vec![Tool {
                    name: "go".into(),
                    parameters: json!({ "properties": { "to": { "enum": ["left", "right"] } }, "required": ["to"] }),
                    ..Tool::default()
                }],
                ..Turn::default()
            }
        }
    }

    #[async_trait]
    impl Environment for Line {
        async fn spec(&self) -> Result<EnvironmentSpec> {
            let seat = |name: &str| SeatSpec { name: name.into(), instructions: String::new() };
            let mut spec = EnvironmentSpec { name: "line".into(), fork: true, ..EnvironmentSpec::default() };
            spec.seats = vec![seat("first"), seat("second")];
            if self.broken == "environment/spec" {
                spec.instructions = format!("{} steps were taken.", self.shared.steps.load(Relaxed));
            }
            match self.broken {
                "environment/nameless" => spec.name.clear(),
                "environment/no-steps" => spec.max_steps = Some(0),
                _ => {}
            }
            Ok(spec)
        }
        async fn spawn(&self) -> Result<Arc<dyn Environment>> {
            let state = if self.broken == "environment/spawn" { self.state.clone() } else { Arc::default() };
            Ok(Arc::new(Self { broken: self.broken, state, shared: self.shared.clone() }))
        }
        async fn reset(&self, reset: Reset) -> Result<Turn> {
            let mut hasher = DefaultHasher::new();
            reset.hash(&mut hasher);
            let mut state = self.state.lock().unwrap();
            let State { steps, halfway, .. } = *state;
            *state = State { noise: hasher.finish(), ..State::default() };
            match self.broken {
                "environment/reset" => state.steps = steps,
                "environment/same-seed" => state.noise = self.shared.steps.load(Relaxed),
                "common/cancelled" => state.halfway = halfway,
                _ => {}
            }
            Ok(self.turn(&state))
        }
        async fn step(&self, action: Action) -> Result<Transition> {
            self.shared.steps.fetch_add(1, Relaxed);
            match self.broken {
                "common/cancelled" => {
                    self.state.lock().unwrap().halfway = true;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    self.state.lock().unwrap().halfway = false;
                }
                "common/concurrent" => {
                    let noise = self.state.lock().unwrap().noise;
                    self.shared.scratch.store(noise, Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    self.state.lock().unwrap().noise = self.shared.scratch.load(Relaxed);
                }
                "common/memory" => self.shared.log.lock().unwrap().push(vec![1; 64 << 10]),
                _ => {}
            }
            let mut state = self.state.lock().unwrap();
            let calls = match self.broken {
                "environment/tools" => Ok(action.calls),
                _ => action.calls(&self.turn(&state)),
            };
            let illegal = calls.is_err();
            let to = calls.unwrap_or_default().first().map(|call| call.arguments["to"].clone());
            match to.as_ref().and_then(Value::as_str).unwrap_or(&action.text) {
                "left" => state.place -= 1,
                "right" => state.place += 1,
                "jump" if self.broken == "environment/legal-actions" => {
                    return Err(Error::other("too heavy"));
                }
                _ if self.broken == "environment/illegal-actions" => panic!("that is not in the grammar"),
                _ => {}
            }
            state.noise = state.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.steps += 1;
            let endless = self.broken == "environment/endless";
            let (terminated, cut) = (!endless && state.place.abs() == 3, !endless && state.steps >= 10);
            let metrics = if self.broken == "environment/metrics" { json!(true) } else { json!(0.5) };
            let both = self.broken == "environment/end" && terminated;
            let mut rewards = vec![if terminated { 1.0 } else { 0.0 }, 0.0];
            if self.broken == "environment/rewards" {
                rewards.pop();
            }
            Ok(Transition {
                turn: self.turn(&state),
                rewards,
                terminated,
                truncated: cut && !terminated || both,
                illegal,
                info: json!({ "metrics": { "far": metrics } }),
                ..Transition::default()
            })
        }
        async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
            let mut state = self.state.lock().unwrap().clone();
            match self.broken {
                "common/answered" => return Err(Error::other("no copies today")),
                "environment/fork-told" => return Ok(None),
                "environment/fork" => state.steps = 0,
                _ => {}
            }
            let state = Arc::new(Mutex::new(state));
            Ok(Some(Arc::new(Self { broken: self.broken, state, shared: self.shared.clone() })))
        }
        async fn imagine(&self, imagine: Imagine) -> Result<Option<Arc<dyn Environment>>> {
            if !imagine.hidden.is_null() {
                return Err(Error::input("nothing is hidden here"));
            }
            let state = match self.broken {
                "environment/imagine" => self.state.clone(),
                _ => Arc::new(Mutex::new(self.state.lock().unwrap().clone())),
            };
            Ok(Some(Arc::new(Self { broken: self.broken, state, shared: self.shared.clone() })))
        }
    }
}

mod models {
    use async_trait::async_trait;
    use forethought_api::{
        critic::{Critic, CriticQuery, Estimate},
        encoder::{EncoderSpec, Matrix, TextEncoder},
        llm::{
            ChatRequest, Choice, Completion, LlmBackend, LlmCapabilities, TokenLogprob, TokenStream, ToolCall,
        },
        planner::{Models, Requirements},
    };

    use super::*;

    /// Gives fixed answers; breaks a rule by name. `asked` counts calls, for rules about repeated calls.
    pub(super) struct Fixed {
        pub(super) broken: &'static str,
        pub(super) asked: AtomicU64,
    }

    impl Fixed {
        /// A number that differs from call to call if `rule` is to be broken, and 0 otherwise.
        fn unsteady(&self, rule: &str) -> u64 {
            if self.broken == rule { self.asked.fetch_add(1, Relaxed) } else { 0 }
        }
    }

    #[async_trait]
    impl LlmBackend for Fixed {
        async fn capabilities(&self) -> Result<LlmCapabilities> {
            Ok(LlmCapabilities {
                model: format!("fixed-{}", self.unsteady("llm/capabilities")),
                streaming: true,
                tools: true,
                json_schema: true,
                logprobs: true,
                seed: true,
                free: true,
                samples: 0,
            })
        }
        async fn complete(&self, request: ChatRequest) -> Result<Completion> {
            let breaks = |rule| self.broken == rule;
            let mut choice =
                Choice { text: format!("Thought: {}", self.unsteady("llm/seed")), ..Choice::default() };
            if request.json_schema.is_some() {
                choice.text =
                    json!({ "direction": "north", "steps": if breaks("llm/json-schema") { 0 } else { 1 } })
                        .to_string();
            }
            if request.logprobs {
                let logprob = if breaks("llm/logprobs") { 0.5 } else { -0.5 };
                choice.logprobs = vec![TokenLogprob { token: choice.text.clone(), logprob }];
            }
            if let Some(tool) = request.tools.first() {
                let steps = if breaks("llm/tools") { json!("two") } else { json!(2) };
                let arguments = json!({ "direction": "north", "steps": steps });
                choice.tool_calls.push(ToolCall { id: "1".into(), name: tool.name.clone(), arguments });
            }
            let samples = if breaks("llm/samples") { 1 } else { request.samples };
            Ok(Completion { choices: vec![choice; samples as usize], ..Completion::default() })
        }
        async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
            let mut completion = self.complete(request).await?;
            let pieces = completion.text().chars().map(String::from).collect();
            if self.broken == "llm/streaming" {
                completion.choices[0].text.clear();
            }
            Ok(Arc::new(Letters(Mutex::new(pieces), completion)))
        }
    }

    struct Letters(Mutex<Vec<String>>, Completion);

    #[async_trait]
    impl TokenStream for Letters {
        async fn next(&self, max: u32) -> Result<Vec<String>> {
            let mut left = self.0.lock().unwrap();
            let count = left.len().min(max as usize);
            Ok(left.drain(..count).collect())
        }
        async fn finish(&self) -> Result<Completion> {
            Ok(self.1.clone())
        }
    }

    #[async_trait]
    impl TextEncoder for Fixed {
        async fn spec(&self) -> Result<EncoderSpec> {
            let id = if self.broken == "encoder/spec" { "" } else { "length" };
            Ok(EncoderSpec { id: id.into(), revision: None, dimension: 5 })
        }
        async fn encode(&self, mut texts: Vec<String>) -> Result<Matrix> {
            if texts.is_empty() && self.broken == "encoder/empty" {
                std::future::pending::<()>().await;
            }
            if self.broken == "encoder/shape" {
                texts.retain(|text| !text.trim().is_empty());
            }
            let count = texts.len();
            let row = |text: &String| {
                let beside = if self.broken == "encoder/batch" { count } else { 0 };
                let column = (text.len() + beside + self.unsteady("encoder/deterministic") as usize) % 5;
                let mut row = [0.0_f32; 5];
                row[column] = if self.broken == "encoder/unit-norm" { 2.0 } else { 1.0 };
                row
            };
            let data = texts.iter().flat_map(row).collect();
            Matrix::new(count, 5, data)
        }
    }

    #[async_trait]
    impl Critic for Fixed {
        async fn estimate(&self, _: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
            Err(Error::other("it asks a model, see `requires`"))
        }
        async fn requires(&self) -> Result<Requirements> {
            Ok(Requirements { llms: vec!["llm".into()], ..Requirements::default() })
        }
        async fn estimate_with(
            &self,
            queries: Vec<CriticQuery>,
            models: Arc<dyn Models>,
        ) -> Result<Vec<Estimate>> {
            let name = if self.broken == "critic/requirements" { "another" } else { "llm" };
            models.llm(name.into()).await?;
            if queries.is_empty() && self.broken == "critic/empty" {
                return Err(Error::other("an empty batch"));
            }
            let mut answered = queries.len();
            let beside = if self.broken == "critic/batch" { answered as f64 } else { 0.0 };
            answered -= usize::from(self.broken == "critic/count" && answered > 1);
            let estimate = |query: &CriticQuery| {
                let raw = query.outcome.len() as f64 + beside + self.unsteady("critic/deterministic") as f64;
                let probability = raw / (1.0 + raw) + if self.broken == "critic/range" { 0.5 } else { 0.0 };
                Estimate { probability, raw, ..Estimate::default() }
            };
            Ok(queries.iter().take(answered).map(estimate).collect())
        }
    }
}

mod planners {
    use async_trait::async_trait;
    use forethought_api::{
        behaviour::{BehaviourPrompt, ScriptedBehaviour},
        environment::Action,
        llm::{ChatRequest, Message},
        planner::{Decision, DecisionContext, Models, Planner, Requirements, Summariser, Summary},
    };

    use super::{models::Fixed, *};

    const PROMPT: &str = "Reply with two lines:\nDecision: <keep or revise>\nAction: <one action>";

    async fn ask(models: &Arc<dyn Models>, context: &DecisionContext) -> Result<String> {
        let prompt = format!("{}\n{PROMPT}", context.turn.observation.text);
        let mut request = ChatRequest { messages: vec![Message::user(prompt)], ..ChatRequest::default() };
        request.seed = Some(context.seed);
        Ok(models.llm("llm".into()).await?.complete(request).await?.text().to_owned())
    }

    fn requirements() -> Requirements {
        Requirements { llms: vec!["llm".into()], ..Requirements::default() }
    }

    #[async_trait]
    impl Planner for Fixed {
        async fn requires(&self) -> Result<Requirements> {
            Ok(requirements())
        }
        async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
            if self.broken == "planner/requirements" {
                models.critic("secret".into()).await?;
            }
            let mut answer = ask(&models, &context).await?;
            while self.broken == "planner/bounded" && answer.contains("revise") {
                answer = ask(&models, &context).await?;
            }
            let mut action =
                answer.lines().find_map(|line| line.strip_prefix("Action: ")).unwrap_or("rest").to_owned();
            if self.broken == "planner/legal-actions" {
                action = format!("`{action}`");
            }
            let mut thought = String::new();
            if self.broken == "planner/deterministic" {
                thought = format!("thought number {}", self.asked.fetch_add(1, Relaxed));
            }
            Ok(Decision { thought, action: Action::new(action), ..Decision::default() })
        }
    }

    #[async_trait]
    impl Summariser for Fixed {
        async fn requires(&self) -> Result<Requirements> {
            Ok(requirements())
        }
        async fn summarise(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Summary> {
            if self.broken == "summariser/requirements" {
                models.fork().await?;
            }
            let mut answer = ask(&models, &context).await?;
            while self.broken == "summariser/bounded" && !answer.contains("Action") {
                answer = ask(&models, &context).await?;
            }
            let mut summary = Summary { state: answer, outcome: "nothing yet".into() };
            match self.broken {
                "summariser/filled" if context.ended => summary.outcome.clear(),
                "summariser/same-words" => summary.outcome += &self.asked.fetch_add(1, Relaxed).to_string(),
                _ => {}
            }
            Ok(summary)
        }
    }

    #[async_trait]
    impl ScriptedBehaviour for Fixed {
        async fn recognises(&self, text: String) -> Result<bool> {
            Ok(self.broken == "behaviour/recognises" || text.contains("field"))
        }
        async fn thought(&self, _: BehaviourPrompt) -> Result<String> {
            let asked = self.asked.fetch_add(1, Relaxed);
            Ok(if self.broken == "behaviour/deterministic" {
                format!("thought {asked}")
            } else {
                "go on".into()
            })
        }
        async fn action(&self, prompt: BehaviourPrompt) -> Result<String> {
            Ok(prompt.thought)
        }
        async fn outcomes(&self, prompt: BehaviourPrompt) -> Result<Vec<String>> {
            let count = if self.broken == "behaviour/outcomes" { 4 } else { prompt.count };
            Ok((0..count).map(|index| format!("outcome {index}")).collect())
        }
        async fn summary(&self, prompt: BehaviourPrompt) -> Result<(String, String)> {
            Ok((prompt.text, "in progress".into()))
        }
    }
}

mod work {
    use std::path::PathBuf;

    use async_trait::async_trait;
    use forethought_api::{
        critic::{CriticTrainer, Progress, TrainingReport, TrainingRequest},
        importer::Importer,
        trajectory::Trajectory,
        verifier::{Check, Verifier},
    };

    use super::{models::Fixed, *};

    #[async_trait]
    impl CriticTrainer for Fixed {
        async fn fit(&self, fit: TrainingRequest, progress: Arc<dyn Progress>) -> Result<TrainingReport> {
            let total = if self.broken == "trainer/progress" { 0 } else { 1 };
            std::fs::create_dir_all(&fit.out)?;
            let write = |name: &str, text: String| std::fs::write(fit.out.join(name), text);
            if self.broken == "trainer/cancelled" {
                write("model.safetensors", "half of it".into())?;
                progress.report("train".into(), 1, total, String::new()).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            } else {
                // Everything is awaited before the first file is written.
                progress.report("train".into(), 1, total, String::new()).await?;
            }
            let asked = self.asked.fetch_add(1, Relaxed);
            let noise = if self.broken == "trainer/same-seed" { asked } else { 0 };
            write("model.safetensors", format!("weights {} {noise}", fit.seed))?;
            write("config.json", "{}".into())?;
            if self.broken != "trainer/files" {
                write("README.md", "A critic.".into())?;
            }
            let steps = if self.broken == "trainer/report" { 0 } else { 5 };
            Ok(TrainingReport {
                steps,
                train_trajectories: 8,
                validation_trajectories: 8,
                ..TrainingReport::default()
            })
        }
    }

    /// Reads a text file.
    fn read(broken: &str, interface: &str, path: PathBuf) -> Result<()> {
        let breaks = |rule: &str| broken == format!("{interface}/{rule}");
        let named = |error: std::io::Error| Error::input(format!("{}: {error}", path.display()));
        match std::fs::read_to_string(&path) {
            Err(error) if !path.exists() && breaks("missing") => Err(error.into()),
            Err(_) if path.exists() && breaks("malformed") => Ok(()),
            read => read.map(drop).map_err(named),
        }
    }

    #[async_trait]
    impl Importer for Fixed {
        async fn import(&self, path: PathBuf, _: Arc<dyn Progress>) -> Result<Vec<Trajectory>> {
            read(self.broken, "importer", path).map(|()| Vec::new())
        }
    }

    #[async_trait]
    impl Verifier for Fixed {
        async fn verify(&self, path: PathBuf, _: Arc<dyn Progress>) -> Result<Vec<Check>> {
            read(self.broken, "verifier", path).map(|()| Vec::new())
        }
    }
}

/// A component with one key, `size`, and another that is required, `name`.
fn subject<I: Pluggable + ?Sized>(broken: &'static str, build: fn(&'static str) -> Arc<I>) -> Subject {
    let mut schema = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "description": "Any name." },
            "size": { "type": "integer", "minimum": 1, "default": 3, "description": "How large." },
        },
        "required": ["name"],
        "additionalProperties": false,
    });
    match broken {
        "config/schema" => schema["properties"]["size"]["type"] = json!("whole number"),
        "config/documented" => {
            drop(schema["properties"]["size"].as_object_mut().unwrap().remove("description"))
        }
        "config/builds" => schema["required"] = json!([]),
        "config/defaults" => schema["properties"]["size"]["default"] = json!(0),
        _ => {}
    }
    let interface = if broken == "config/interface" { "forethought.skill/1" } else { I::NAME };
    Subject {
        interface: interface.into(),
        kind: "fixed".into(),
        package: "tests".into(),
        schema,
        create: Arc::new(move |config: Value, _| {
            Box::pin(async move {
                let known = |key: &String| ["name", "size"].contains(&key.as_str());
                let stranger = config.as_object().and_then(|config| config.keys().find(|key| !known(key)));
                match stranger {
                    Some(key) if broken != "config/typos" => {
                        Err(Error::config(format!("unknown field `{key}`")))
                    }
                    _ if config["name"].is_string() => Ok(I::wrap(build(broken))),
                    _ => Err(Error::config("missing field `name`")),
                }
            })
        }),
    }
}

/// The component that breaks only `rule`.
fn breaking(rule: &'static str) -> Subject {
    fn fixed(broken: &'static str) -> Arc<models::Fixed> {
        Arc::new(models::Fixed { broken, asked: AtomicU64::new(0) })
    }
    match rule.split('/').next().unwrap() {
        "llm" => subject::<dyn forethought_api::llm::LlmBackend>(rule, |rule| fixed(rule)),
        "encoder" => subject::<dyn forethought_api::encoder::TextEncoder>(rule, |rule| fixed(rule)),
        "critic" => subject::<dyn forethought_api::critic::Critic>(rule, |rule| fixed(rule)),
        "trainer" => subject::<dyn forethought_api::critic::CriticTrainer>(rule, |rule| fixed(rule)),
        "planner" => subject::<dyn forethought_api::planner::Planner>(rule, |rule| fixed(rule)),
        "summariser" => subject::<dyn forethought_api::planner::Summariser>(rule, |rule| fixed(rule)),
        "behaviour" => subject::<dyn forethought_api::behaviour::ScriptedBehaviour>(rule, |rule| fixed(rule)),
        "importer" => subject::<dyn forethought_api::importer::Importer>(rule, |rule| fixed(rule)),
        "verifier" => subject::<dyn forethought_api::verifier::Verifier>(rule, |rule| fixed(rule)),
        _ => subject(rule, worlds::Line::breaking),
    }
}

fn run(subject: &Subject, steps: u64) -> Report {
    // Memory is measured for the whole process, so a check of memory runs alone, and all others in parallel.
    static ALONE: RwLock<()> = RwLock::new(());
    let (_alone, _shared);
    match steps {
        0 => _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner),
        _ => _alone = ALONE.write().unwrap_or_else(PoisonError::into_inner),
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = Options { steps, timeout: Duration::from_secs(2), calls: 50, ..Options::default() };
    runtime.block_on(check(subject, &options))
}

#[test]
fn each_rule_is_found_broken_by_itself() {
    let is_found = |rule: &Rule| {
        let steps = if rule.id == "common/memory" { 300 } else { 0 };
        let report = run(&breaking(rule.id), steps);
        let found: Vec<_> = report.findings.iter().map(|finding| finding.rule.as_str()).collect();
        assert_eq!(found, [rule.id], "{report}");
        assert!(!report.passed() && report.to_string().contains(rule.fix), "{report}");
    };
    // Most of their time is spent waiting.
    std::thread::scope(|scope| rules().for_each(|rule| drop(scope.spawn(move || is_found(rule)))));
}

#[test]
fn a_component_that_follows_every_rule_passes() {
    let interfaces = [
        "environment",
        "llm",
        "encoder",
        "critic",
        "trainer",
        "planner",
        "summariser",
        "behaviour",
        "importer",
        "verifier",
    ];
    let mut kept = Vec::new();
    for interface in interfaces {
        let none: &'static str = Box::leak(format!("{interface}/").into_boxed_str());
        let report = run(&breaking(none), 500);
        assert!(report.passed(), "{report}");
        let passed = report.checked.iter().filter(|checked| checked.outcome == Outcome::Passed);
        kept.extend(passed.map(|checked| checked.rule.clone()));
    }
    // Every rule is checked for some component.
    let missed: Vec<_> =
        rules().filter(|rule| !kept.iter().any(|kept| kept == rule.id)).map(|rule| rule.id).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn what_would_fail_at_a_run_is_found() {
    for (broken, rule, says) in [
        ("environment/endless", "environment/end", "no end after 2000 steps"),
        ("environment/metrics", "environment/end", "`info.metrics` is {\"far\":true}"),
        ("environment/nameless", "environment/spec", "it has no name"),
        ("environment/no-steps", "environment/spec", "`max_steps` is 0"),
    ] {
        let report = run(&breaking(broken), 0);
        let finding = &report.findings[0];
        assert!(finding.rule == rule && report.to_string().contains(says), "{broken}: {report}");
    }
}

#[test]
fn a_report_survives_json() {
    let report = run(&breaking("environment/end"), 0);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["findings"][0]["rule"], "environment/end");
    assert!(
        json["checked"].as_array().unwrap().iter().any(|checked| checked["outcome"] == "failed"),
        "{json}"
    );
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}

#[test]
fn a_required_value_that_cannot_be_invented_is_requested() {
    let mut subject = breaking("encoder/");
    let model = json!({ "type": "string", "format": "path", "description": "A file." });
    subject.schema["properties"]["model"] = model;
    subject.schema["required"] = json!(["model"]);
    subject.create = Arc::new(|_, _| Box::pin(async { Err(Error::config("missing field `model`")) }));
    let report = run(&subject, 0);
    assert!(report.passed(), "{report}");
    assert!(report.to_string().contains("without [\"model\"]"), "{report}");

    // A model from a hub is not fetched either.
    subject.schema["required"] = json!([]);
    subject.create = Arc::new(|_, host| {
        let request =
            ModelFiles { source: "hf:a/b".into(), required: vec!["c".into()], ..Default::default() };
        Box::pin(async move { host.model_files(request).await.map(|_| unreachable!("it is not there")) })
    });
    let report = run(&subject, 0);
    assert!(report.passed(), "{report}");
    assert!(report.to_string().contains("the files of \"hf:a/b\""), "{report}");
}

#[test]
#[should_panic(expected = "use its_crate as _;")]
fn a_component_that_is_not_linked_is_named() {
    forethought_conformance::assert_conforms("environment", "atlantis", json!({}));
}
