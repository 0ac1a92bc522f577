//! A dialogue about a bridge and a stand-in for a language model, for the planners that choose dialogue acts.

use std::sync::{Arc, Mutex};

use forethought_sdk::{
    prelude::*,
    seed::{self, ChaCha8Rng},
    serde_json::{Value, json},
};

/// What a seller of bridges can do, and how a buyer may reply.
pub(crate) fn context(turns: Value) -> DecisionContext {
    let data = json!({ "dialogue": {
        "acts": [
            { "name": "greeting", "instruction": "Say hello." },
            { "name": "appeal", "instruction": "Praise the bridge." },
            { "name": "offer", "instruction": "Name a price." },
        ],
        "first_acts": ["greeting"],
        "replies": [
            { "name": "walks away", "value": -1.0 }, { "name": "doubts", "value": -0.5 },
            { "name": "listens", "value": 0.5 }, { "name": "buys", "value": 1.0 },
        ],
        "turns": turns,
        "question": "Will you buy it?",
        "partner": "Somebody who likes bridges.",
    }});
    let seat = |name: &str| SeatSpec {
        name: name.into(),
        instructions: format!("You are the {name}, said the world."),
    };
    DecisionContext {
        environment: EnvironmentSpec {
            name: "bridges".into(),
            seats: vec![seat("seller"), seat("buyer")],
            ..EnvironmentSpec::default()
        },
        turn: Turn { observation: Observation { text: String::new(), data }, ..Turn::default() },
        seed: 11,
        ..DecisionContext::default()
    }
}

/// After a greeting.
pub(crate) fn underway() -> DecisionContext {
    context(json!([{ "seat": 0, "text": "Hello!" }, { "seat": 1, "text": "Good day." }]))
}

type Answer = dyn Fn(&str, &mut ChaCha8Rng) -> String + Send + Sync;

/// Answers each request by a function of its text.
pub(crate) struct Mind {
    pub(crate) answer: Box<Answer>,
    pub(crate) asked: Mutex<Vec<ChatRequest>>,
    pub(crate) policy: Mutex<Vec<CriticQuery>>,
}

impl Mind {
    pub(crate) fn new(answer: impl Fn(&str, &mut ChaCha8Rng) -> String + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), asked: Mutex::default(), policy: Mutex::default() })
    }
}

#[async_trait]
impl LlmBackend for Mind {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let text: Vec<_> = request.messages.iter().map(|message| message.content.clone()).collect();
        let text = text.join("\n\n");
        let mut rng = seed::stream(request.seed.unwrap_or(0), "mind");
        let choice =
            |_| Choice { text: format!("Action: {}", (self.answer)(&text, &mut rng)), ..Choice::default() };
        let choices = (0..request.samples).map(choice).collect();
        self.asked.lock().unwrap().push(request);
        Ok(Completion { choices, ..Completion::default() })
    }
}

/// A policy with fixed probabilities.
#[async_trait]
impl Critic for Mind {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let probability = |query: &CriticQuery| match &*query.outcome {
            "greeting" => 0.2,
            "appeal" => 0.5,
            "offer" => 0.3,
            other => panic!("there is no act {other}"),
        };
        let estimates =
            queries.iter().map(|query| Estimate { probability: probability(query), ..Estimate::default() });
        let estimates = estimates.collect();
        self.policy.lock().unwrap().extend(queries);
        Ok(estimates)
    }
}

pub(crate) struct World(pub(crate) Arc<Mind>);

#[async_trait]
impl Models for World {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(self.0.clone())
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(None)
    }
}
