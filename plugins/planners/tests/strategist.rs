//! Strategist in a game small enough to check by hand: whom to trust if one of two others is a spy.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use forethought_planners::strategist::{Strategist, StrategistConfig};
use forethought_sdk::{
    prelude::*,
    seed::{self, RngExt},
    serde_json::{self, Value, json},
};
use futures::executor::block_on;

/// Seat 0 trusts one of the others, who then keeps faith or betrays; spies gain by betrayal alone.
#[derive(Clone)]
struct Spies {
    roles: Vec<String>,
    trusted: Arc<Mutex<Option<usize>>>,
}

const KEEP: &str = "keep faith";
const BETRAY: &str = "betray";

fn trusting() -> Turn {
    let data = json!({ "hidden": {
        "roles": { "friend": { "side": "good", "count": 2 }, "spy": { "side": "evil", "count": 1 } },
        "possible": [["friend"], ["friend", "spy"], ["friend", "spy"]],
    }});
    let observation = Observation { text: "One of player 1 and player 2 is a spy. Trust one.".into(), data };
    Turn { seat: 0, observation, legal_actions: vec!["trust 1".into(), "trust 2".into()], ..Turn::default() }
}

#[async_trait]
impl Environment for Spies {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let seat = |n| SeatSpec { name: format!("player {n}"), ..SeatSpec::default() };
        Ok(EnvironmentSpec {
            name: "spies".into(),
            seats: (0..3).map(seat).collect(),
            ..EnvironmentSpec::default()
        })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(self.clone()))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        Ok(trusting())
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let mut trusted = self.trusted.lock().unwrap();
        if trusted.is_none() {
            let seat = if action.text == "trust 1" { 1 } else { 2 };
            *trusted = Some(seat);
            let turn = Turn { seat, legal_actions: vec![KEEP.into(), BETRAY.into()], ..Turn::default() };
            return Ok(Transition { turn, rewards: vec![0.0; 3], ..Transition::default() });
        }
        let good = f64::from(u8::from(action.text == KEEP));
        let reward = |role: &String| if role == "spy" { 1.0 - good } else { good };
        Ok(Transition {
            rewards: self.roles.iter().map(reward).collect(),
            terminated: true,
            ..Transition::default()
        })
    }
}

/// A scripted model, and the worlds that were requested.
#[derive(Default)]
struct Mind {
    answers: Mutex<VecDeque<&'static str>>,
    asked: Mutex<Vec<ChatRequest>>,
    imagined: Mutex<Vec<Value>>,
    /// A seating that what happened has ruled out.
    ruled_out: Option<Vec<&'static str>>,
}

#[async_trait]
impl LlmBackend for Mind {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.asked.lock().unwrap().push(request);
        let text =
            self.answers.lock().unwrap().pop_front().ok_or_else(|| Error::other("the script is over"))?;
        Ok(Completion {
            choices: vec![Choice { text: text.into(), ..Choice::default() }],
            ..Completion::default()
        })
    }
}

/// A fork in the road without end: nothing is hidden, nothing is ever won.
struct Road;

#[async_trait]
impl Environment for Road {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(EnvironmentSpec { seats: vec![SeatSpec::default()], ..EnvironmentSpec::default() })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Road))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        Ok(Turn { legal_actions: vec!["left".into(), "right".into()], ..Turn::default() })
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let mut turn = self.reset(Reset::default()).await?;
        turn.observation.text = format!("You went {}.", action.text);
        Ok(Transition { turn, rewards: vec![0.0], ..Transition::default() })
    }
}

/// A critic that knows the right road.
struct Wanderer;

#[async_trait]
impl Critic for Wanderer {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        assert_eq!((queries.len(), &*queries[0].outcome), (1, "Home is reached."));
        let probability = if queries[0].thought == "right" { 0.8 } else { 0.1 };
        Ok(vec![Estimate { probability, ..Estimate::default() }])
    }
}

struct Traveller(Arc<Mind>);

#[async_trait]
impl Models for Traveller {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(Arc::new(Wanderer))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        self.imagine(Value::Null, 0).await
    }
    async fn imagine(&self, _: Value, _: u64) -> Result<Option<Arc<dyn Environment>>> {
        Ok(Some(Arc::new(Road)))
    }
}

struct Models0(Arc<Mind>);

#[async_trait]
impl Models for Models0 {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        panic!("a plain copy holds what the seat must not know")
    }
    async fn imagine(&self, hidden: Value, world: u64) -> Result<Option<Arc<dyn Environment>>> {
        if self.0.ruled_out.as_ref().is_some_and(|roles| hidden["roles"] == json!(roles)) {
            return Err(Error::input("this is not how it was"));
        }
        self.0.imagined.lock().unwrap().push(hidden["roles"].clone());
        let roles = match hidden {
            Value::Null if seed::stream(world, "roles").random::<bool>() => {
                json!(["friend", "friend", "spy"])
            }
            Value::Null => json!(["friend", "spy", "friend"]),
            hidden => hidden["roles"].clone(),
        };
        let roles = serde_json::from_value(roles).unwrap();
        Ok(Some(Arc::new(Spies { roles, trusted: Arc::default() })))
    }
}

fn planner(settings: Value) -> Strategist {
    let mut config = json!({ "llm": "actor", "simulations": 200 });
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let config: StrategistConfig = serde_json::from_value(config).unwrap();
    Strategist::new(config, None).unwrap()
}

fn context(turn: Turn) -> DecisionContext {
    let environment = block_on(Spies { roles: vec![], trusted: Arc::default() }.spec()).unwrap();
    DecisionContext { environment, turn, seed: 3, ..DecisionContext::default() }
}

fn decide(mind: &Arc<Mind>, settings: Value, turn: Turn) -> Decision {
    block_on(planner(settings).decide(context(turn), Arc::new(Models0(mind.clone())))).unwrap()
}

#[test]
fn the_judges_reading_of_the_talk_decides_whom_to_trust() {
    for (judged, action) in [("1: 0.9\n2: 0.1", "trust 1"), ("1: 0.1\n2: 0.9", "trust 2")] {
        let mind = Arc::new(Mind { answers: Mutex::new([judged].into()), ..Mind::default() });
        let decision = decide(&mind, json!({}), trusting());
        assert_eq!(decision.action.text, action);
        assert!(decision.thought.contains(action), "{}", decision.thought);
        let asked = mind.asked.lock().unwrap();
        assert_eq!((asked.len(), asked[0].purpose), (1, Purpose::Judge));
        assert!(asked[0].messages[1].content.contains("2: player 2 is on the side of good."));
        assert_eq!(mind.imagined.lock().unwrap().len(), 200);
    }
}

#[test]
fn without_trust_in_words_no_model_is_asked_and_worlds_are_even() {
    let mind = Arc::new(Mind::default());
    decide(&mind, json!({ "trust": 0.0 }), trusting());
    let imagined = mind.imagined.lock().unwrap();
    let spies = imagined.iter().filter(|roles| **roles == json!(["friend", "spy", "friend"])).count();
    // 200 fair draws: standard deviation 7.
    assert!((70..=130).contains(&spies), "{spies}");
}

#[test]
fn seatings_that_the_world_refuses_are_drawn_again() {
    let ruled_out = Some(vec!["friend", "spy", "friend"]);
    let mind = Arc::new(Mind { ruled_out, ..Mind::default() });
    let decision = decide(&mind, json!({ "trust": 0.0 }), trusting());
    assert_eq!(decision.action.text, "trust 1", "player 2 must be the spy");
}

#[test]
fn on_a_turn_to_talk_the_model_speaks_for_the_plan() {
    let mind = Arc::new(Mind { answers: Mutex::new(["Action: say Trust me."].into()), ..Mind::default() });
    let decision = decide(&mind, json!({ "trust": 0.0 }), Turn { legal_actions: vec![], ..trusting() });
    assert_eq!(decision.action.text, "say Trust me.");
    let asked = mind.asked.lock().unwrap();
    assert!(asked[0].messages[1].content.contains("Your plan"), "{:?}", asked[0]);
}

#[test]
fn a_critic_may_value_the_leaves_and_each_costs_a_summary() {
    let mind = Arc::new(Mind {
        answers: Mutex::new(vec!["State: on the road\nOutcome: Nothing yet."; 12].into()),
        ..Mind::default()
    });
    let planner = planner(
        json!({ "simulations": 12, "critic": "critic", "goal": "Home is reached.", "exploration": 0.5 }),
    );
    let turn = block_on(Road.reset(Reset::default())).unwrap();
    let context =
        DecisionContext { environment: block_on(Road.spec()).unwrap(), turn, ..DecisionContext::default() };
    let decision = block_on(planner.decide(context, Arc::new(Traveller(mind.clone())))).unwrap();
    assert_eq!(decision.action.text, "right");
    let asked = mind.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|request| request.purpose == Purpose::Summarise).count(), 12);
}

#[test]
fn counts_and_weights_out_of_range_are_refused() {
    for settings in [json!({ "simulations": 0 }), json!({ "exploration": -1.0 }), json!({ "trust": -0.5 })] {
        let mut config = json!({ "llm": "actor" });
        config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        assert!(Strategist::new(serde_json::from_value(config).unwrap(), None).is_err(), "{settings}");
    }
}
