//! Planners over other planners, which here do as they are told.

use std::sync::{Arc, Mutex};

use forethought_planners::{
    best_of_n::BestOfN,
    budgeted::Budgeted,
    cached::Cached,
    fallback::{Fallback, Trouble},
    inner::Inner,
    switch::Switch,
    vote::Vote,
};
use forethought_sdk::{
    prelude::*,
    serde_json::{Value, from_value, json},
};
use futures::executor::block_on;

/// A planner that gives listed answers in order, the last one forever: actions, or errors.
struct Told {
    answers: Vec<Result<&'static str>>,
    /// Requests that it makes of its model first, for summaries.
    summaries: u32,
    /// The seeds that it was given.
    seeds: Mutex<Vec<u64>>,
}

#[async_trait]
impl Planner for Told {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec!["actor".into()], ..Requirements::default() })
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let mut request = ChatRequest::new(Purpose::Summarise, vec![Message::user("Where are we?")]);
        request.seed = Some(context.seed);
        for _ in 0..self.summaries {
            models.llm("actor".into()).await?.complete(request.clone()).await?;
        }
        let mut seeds = self.seeds.lock().unwrap();
        seeds.push(context.seed);
        let action = Action::new(self.answers[(seeds.len() - 1).min(self.answers.len() - 1)].clone()?);
        let mut trace = Trace { recoveries: vec!["asked again".into()], ..Trace::default() };
        trace.faults.insert("repeated".into(), 1);
        if action.text == "a guess" {
            trace.faults.insert("unread".into(), 1);
        }
        Ok(Decision { thought: format!("{} it is", action.text), action, trace, ..Decision::default() })
    }
}

fn told<const N: usize>(answers: [Result<&'static str>; N]) -> Arc<Told> {
    Arc::new(Told { answers: answers.into(), summaries: 0, seeds: Mutex::default() })
}

fn named(name: &str, planner: &Arc<Told>) -> Inner {
    Inner { name: Some(name.into()), planner: planner.clone() }
}

fn seeds(planner: &Told) -> Vec<u64> {
    planner.seeds.lock().unwrap().clone()
}

/// A model that summarises and imagines, and keeps the requests; a critic that likes what mentions the right.
#[derive(Default)]
struct World(Mutex<Vec<ChatRequest>>);

#[async_trait]
impl LlmBackend for World {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let text = match request.purpose {
            Purpose::Summarise => "State: at a fork\nOutcome: a fork is reached",
            _ => "Good: out of the wood\nBad: lost",
        };
        self.0.lock().unwrap().push(request);
        let usage = Usage { input_tokens: 90, output_tokens: 10 };
        let choices = vec![Choice { text: text.into(), ..Choice::default() }];
        Ok(Completion { choices, usage, ..Completion::default() })
    }
}

#[async_trait]
impl Critic for World {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let value = |query: &CriticQuery| match (query.thought.as_str(), query.outcome.as_str()) {
            ("who knows it is", _) => f64::NAN,
            ("right it is", "out of the wood") | ("left it is", "lost") => 0.75,
            _ => 0.25,
        };
        Ok(queries.iter().map(|query| Estimate::of(value(query))).collect())
    }
}

struct Offered(Arc<World>);

#[async_trait]
impl Models for Offered {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(self.0.clone())
    }
}

#[async_trait]
impl Host for World {
    async fn planner(&self, name: String) -> Result<Arc<dyn Planner>> {
        // A planner that does what it is called.
        Ok(told([Ok(&*Box::leak(name.into_boxed_str()))]))
    }
}

const SEED: u64 = 5;

fn decide_in(planner: &dyn Planner, context: DecisionContext) -> (Result<Decision>, Vec<ChatRequest>) {
    let world = Arc::new(World::default());
    let context = DecisionContext { seed: SEED, ..context };
    let decision = block_on(planner.decide(context, Arc::new(Offered(world.clone()))));
    let asked = std::mem::take(&mut *world.0.lock().unwrap());
    (decision, asked)
}

fn decide(planner: &dyn Planner) -> Result<Decision> {
    decide_in(planner, DecisionContext::default()).0
}

/// The inner decisions in a trace: planner, action or error, and `*` if it was taken.
fn asked(decision: &Decision) -> Vec<String> {
    let said = |inner: &InnerDecision| inner.error.clone().unwrap_or_else(|| inner.action.clone());
    let star = |inner: &InnerDecision| if inner.taken { "*" } else { "" };
    let all = decision.trace.decisions.iter();
    all.map(|inner| format!("{}: {}{}", inner.planner, said(inner), star(inner))).collect()
}

fn broken() -> Result<&'static str> {
    Err(Error::other("no answer"))
}

#[test]
fn a_vote_takes_the_action_of_most_planners_and_shows_them_all() {
    let (left, right) = (told([Ok("left")]), told([Ok("right")]));
    let vote = Vote::over(vec![named("a", &left), named("b", &right), named("b", &right)]).unwrap();
    let decision = decide(&vote).unwrap();
    assert_eq!((&*decision.action.text, &*decision.thought), ("right", "right it is"));
    assert_eq!(asked(&decision), ["a: left", "b: right*", "b: right"]);
    // Each is drawn from its own seed, and all difficulties count.
    assert_ne!(seeds(&right)[0], seeds(&right)[1]);
    assert_eq!((decision.trace.faults["repeated"], decision.trace.recoveries.len()), (3, 0));
    // What a run must offer is checked planner by planner.
    let needs = block_on(vote.requires()).unwrap();
    assert_eq!((needs.llms, needs.planners.len()), (vec!["actor".to_string()], 2));
    // The one that fails is named.
    let error = decide(&Vote::over(vec![named("c", &told([broken()]))]).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "planner `c`: no answer");
}

#[test]
fn a_fallback_asks_the_next_planner_where_one_gives_nothing_to_act_on() {
    let says = |answers: &[Result<&'static str>], on: Vec<Trouble>| {
        let planners: Vec<_> = answers.iter().map(|answer| named("p", &told([answer.clone()]))).collect();
        decide(&Fallback::over(planners, on).unwrap()).map(|decision| asked(&decision))
    };
    let all = || vec![Trouble::Failure, Trouble::Budget, Trouble::Unreadable];
    assert_eq!(says(&[Ok("left"), Ok("right")], all()).unwrap(), ["p: left*"]);
    assert_eq!(
        says(&[broken(), Ok("a guess"), Ok("right"), Ok("left")], all()).unwrap(),
        ["p: planner `p`: no answer", "p: a guess", "p: right*"]
    );
    // A guess is better than nothing.
    assert_eq!(
        says(&[Ok("a guess"), broken()], all()).unwrap(),
        ["p: a guess*", "p: planner `p`: no answer"]
    );
    assert_eq!(says(&[broken(), broken()], all()).unwrap_err().to_string(), "planner `p`: no answer");
    // Only for the reasons that are given, and never for an interruption.
    assert_eq!(says(&[Ok("a guess"), Ok("left")], vec![Trouble::Failure]).unwrap(), ["p: a guess*"]);
    assert!(says(&[broken(), Ok("left")], vec![Trouble::Budget]).is_err());
    let stop = Err(Error::new(Code::Cancelled, "interrupted"));
    assert_eq!(says(&[stop, Ok("left")], all()).unwrap_err().code, Code::Cancelled);
    // The first planner decides as it would by itself; a second attempt has another seed.
    let twice = told([broken(), Ok("left")]);
    decide(&Fallback::over(vec![named("p", &twice), named("p", &twice)], all()).unwrap()).unwrap();
    assert_eq!(seeds(&twice)[0], SEED);
    assert_ne!(seeds(&twice)[1], SEED);
}

#[test]
fn the_best_of_n_is_what_the_critic_likes_best() {
    let best = |config: Value, answers| {
        let mut settings = json!({ "inner": "p", "n": 3, "critic": "critic" });
        settings.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let planner = block_on(BestOfN::over(named("p", &answers), from_value(settings).unwrap())).unwrap();
        let (decision, requests) = decide_in(&planner, DecisionContext::default());
        let purposes: Vec<_> = requests.iter().map(|request| request.purpose).collect();
        (decision.unwrap(), purposes)
    };
    let answers = || told([Ok("left"), Ok("right"), Ok("left")]);
    let (decision, purposes) = best(json!({}), answers());
    assert_eq!(asked(&decision), ["p: left", "p: right*", "p: left"]);
    // Equal thoughts are judged once.
    assert_eq!(purposes, [Purpose::Summarise, Purpose::Outcomes, Purpose::Outcomes]);
    let shown = &decision.trace.rounds[1];
    assert_eq!((&*shown.thought, shown.outcomes[0].probability, shown.kept), ("right it is", 0.75, true));
    assert_eq!(decision.summary.unwrap().state, "at a fork");
    // None is so good that the first is left.
    assert_eq!(asked(&best(json!({ "threshold": 0.9 }), answers()).0)[0], "p: left*");
    // An outcome that is given is not imagined.
    let (decision, purposes) = best(json!({ "goal": "out of the wood" }), answers());
    assert_eq!((asked(&decision)[1].as_str(), purposes.len()), ("p: right*", 1));
    // Values that are no numbers decide nothing, and are counted.
    let (decision, _) = best(json!({ "n": 1 }), told([Ok("who knows")]));
    assert_eq!((asked(&decision)[0].as_str(), decision.trace.faults["unevaluated"]), ("p: who knows*", 1));
}

#[test]
fn a_switch_chooses_by_what_the_seat_sees_and_a_critic_doubts() {
    let switch = |config: Value| {
        let host: Arc<dyn Host> = Arc::new(World::default());
        block_on(Switch::new(from_value(config).unwrap(), &host)).unwrap()
    };
    let cases = switch(json!({ "otherwise": "think", "cases": [
        { "planner": "vote", "data": { "phase": ["vote", "quest"] } },
        { "planner": "buy", "offers": ["buy"], "until": 1 },
        { "planner": "sail", "sees": ["river", "lake"], "seats": ["captain"] },
    ] }));
    let turn = |text: &str, legal: &str, phase: &str| Turn {
        observation: Observation { text: text.into(), data: json!({ "phase": phase }) },
        legal_actions: vec![legal.into()],
        ..Turn::default()
    };
    let at = |turn: Turn, decisions: usize, seat: &str| {
        let seats = vec![SeatSpec { name: seat.into(), ..SeatSpec::default() }];
        let environment = EnvironmentSpec { seats, ..EnvironmentSpec::default() };
        let history = vec![Exchange::default(); decisions];
        let context = DecisionContext { environment, history, turn, ..DecisionContext::default() };
        decide_in(&cases, context).0.unwrap().action.text
    };
    assert_eq!(at(turn("a river", "click[buy]", "quest"), 0, "captain"), "vote");
    assert_eq!(at(turn("a river", "click[buy]", "talk"), 0, "captain"), "buy");
    assert_eq!(at(turn("a river", "click[buy]", "talk"), 1, "captain"), "sail");
    assert_eq!(at(turn("a wood", "wait", "talk"), 0, "captain"), "think");
    assert_eq!(at(turn("a lake", "wait", "talk"), 0, "mate"), "think");

    let doubts = |first: &str| {
        let unsure = json!({ "planner": "right", "critic": "critic", "below": 0.0 });
        decide(&switch(json!({ "otherwise": first, "unsure": unsure }))).unwrap()
    };
    assert_eq!(asked(&doubts("left")), ["left: left", "right: right*"]);
    assert_eq!(asked(&doubts("ahead")), ["ahead: ahead*"]);
}

#[test]
fn a_planner_that_needs_more_than_its_budget_is_left() {
    let thinks = |summaries| Arc::new(Told { summaries, ..Arc::into_inner(told([Ok("left")])).unwrap() });
    let says = |summaries, calls, tokens, otherwise: bool| {
        let otherwise = otherwise.then(|| named("quick", &told([Ok("right")])));
        let (decision, asked) = decide_in(
            &Budgeted::over(named("slow", &thinks(summaries)), calls, tokens, otherwise),
            Default::default(),
        );
        (decision, asked.len())
    };
    let (decision, calls) = says(3, 3, None, true);
    assert_eq!((asked(&decision.unwrap()), calls), (vec!["slow: left*".to_string()], 3));
    let (decision, calls) = says(4, 3, None, true);
    let spent = "slow: the budget of the decision is spent (calls = 3)";
    assert_eq!((asked(&decision.unwrap()), calls), (vec![spent.to_string(), "quick: right*".into()], 3));
    // Each call uses 100 tokens.
    assert_eq!(says(3, 9, Some(200), false).0.unwrap_err().code, Code::Budget);
    assert!(says(2, 9, Some(200), false).0.is_ok());
}

#[test]
fn planners_share_the_answers_to_equal_requests() {
    let both = |order: [&str; 2]| {
        let voter = |name: &&str| {
            let told = Told { summaries: 1, ..Arc::into_inner(told([Ok("left")])).unwrap() };
            named(name, &Arc::new(told))
        };
        let vote = Vote::over(order.iter().map(voter).collect()).unwrap();
        let cached = |purposes| {
            let inner = Inner {
                name: Some("vote".into()),
                planner: Arc::new(Vote::over(order.iter().map(voter).collect()).unwrap()),
            };
            decide_in(&Cached::over(inner, purposes), Default::default()).1
        };
        assert_eq!(decide_in(&vote, Default::default()).1.len(), 2);
        assert_eq!(cached(vec![Purpose::Thought]).len(), 2);
        cached(vec![Purpose::Summarise])
    };
    let asked = both(["a", "b"]);
    assert_eq!(asked.len(), 1);
    // Who asks first makes no difference.
    assert_eq!(asked[0].seed, both(["b", "a"])[0].seed);
}
