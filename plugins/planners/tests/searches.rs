//! Searches in copies of the vault, or in what the model expects of it: take the key, open the door, take the gold, and
//! leave the chest, which is a trap.

mod worlds;

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
};

use forethought_planners::{
    agent_q::AgentQ, lats::Lats, q_star::QStar, rafa::Rafa, random::Random, rap::Rap,
    tree_of_thoughts::TreeOfThoughts,
};
use forethought_sdk::{
    prelude::*,
    serde_json::{Map, Value, from_value, json},
};
use futures::executor::block_on;
use worlds::{ACTIONS, Model, STEPS, Vault, any, play, text};

/// A host of planners that are called by what they do.
struct Names;

#[async_trait]
impl Host for Names {
    async fn planner(&self, name: String) -> Result<Arc<dyn Planner>> {
        Ok(Arc::new(Does(name)))
    }
}

struct Does(String);

#[async_trait]
impl Planner for Does {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    async fn decide(&self, _: DecisionContext, _: Arc<dyn Models>) -> Result<Decision> {
        Ok(Decision { action: Action::new(&self.0), ..Decision::default() })
    }
}

/// A planner of this kind, with these settings.
fn planner(kind: &str, settings: Value) -> Result<Arc<dyn Planner>> {
    let host: Arc<dyn Host> = Arc::new(Names);
    let mut config = json!({ "llm": "actor" });
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    block_on(async {
        Ok(match kind {
            "lats" => Arc::new(Lats::new(from_value(config)?, &host).await?) as _,
            "agent-q" => Arc::new(AgentQ::new(from_value(config)?, &host).await?) as _,
            "rap" => Arc::new(Rap::new(from_value(config)?, &host).await?) as _,
            "rafa" => Arc::new(Rafa::new(from_value(config)?, &host).await?) as _,
            "q-star" => Arc::new(QStar::new(from_value(config)?, &host).await?) as _,
            "tree-of-thoughts" => Arc::new(TreeOfThoughts::new(from_value(config)?)?) as _,
            other => panic!("no search is called {other}"),
        })
    })
}

const SEES: [&str; 4] =
    ["A key, a chest and a door.", "A chest and a door; you have the key.", "Gold!", "You have the gold."];

/// How far the last observation of a text is from the gold.
fn stage(text: &str) -> usize {
    let last = |sees: &&str| text.rfind(*sees);
    let seen = (0..4).filter_map(|stage| Some((last(&SEES[stage])?, stage))).max();
    seen.map_or(0, |(_, stage)| stage)
}

/// A model that says and does anything, knows what actions lead to, and judges by how far it has come.
fn mind(request: &ChatRequest) -> String {
    let text = text(request);
    let action = any(&ACTIONS, request);
    match request.purpose {
        Purpose::Action if text.contains("Current thought: ") => {
            let thought = text.rsplit("Current thought: ").next().and_then(|rest| rest.lines().next());
            format!("Action: {}", thought.unwrap_or_default())
        }
        Purpose::Action => format!("Thought: I want to {action}.\nAction: {action}"),
        Purpose::Thought => format!("Thought: {action}"),
        Purpose::Summarise => format!("State: {}\nOutcome: so far", SEES[stage(&text)]),
        Purpose::Reflect => "Reflection: the chest is a trap".into(),
        Purpose::Outcomes if text.contains("Good: <") => "Good: gold\nBad: no gold".into(),
        Purpose::Outcomes => {
            let (at, action) = (stage(&text), text.rsplit("Next action: ").next().unwrap_or_default());
            let next = if action.starts_with("open chest") {
                "A trap!"
            } else if at < 3 && action.starts_with(STEPS[at]) {
                SEES[at + 1]
            } else {
                "Nothing of use."
            };
            format!("Result: {next}")
        }
        // Which proposal is the next step.
        Purpose::Judge if text.contains("Proposal 1: ") => {
            let at = stage(text.split("Proposal 1: ").next().unwrap_or_default());
            let lines = text.lines().filter(|line| line.starts_with("Proposal "));
            let best = lines
                .enumerate()
                .find(|(_, line)| line.split(": ").nth(1).is_some_and(|plan| plan.starts_with(STEPS[at])))
                .map_or(1, |(index, _)| index + 1);
            format!("Ranking: {best}\nVote: {best}")
        }
        _ if text.contains("Step 1: ") => {
            let (before, plan) = text.split_once("Step 1: ").unwrap_or_default();
            format!("Grade: {}", if plan.starts_with(STEPS[stage(before)]) { 9 } else { 2 })
        }
        _ if text.contains("A trap!") => "Grade: 1".into(),
        _ => format!("Grade: {}", 1 + 3 * stage(&text)),
    }
}

/// The same, without any idea of what is good.
fn blind(request: &ChatRequest) -> String {
    match request.purpose {
        Purpose::Judge => "Grade: 5\nRanking: 1\nVote: 1".into(),
        _ => mind(request),
    }
}

/// Episodes of 10 that reach the gold, with at most 6 decisions each.
fn won(
    planner: &dyn Planner,
    model: impl Fn(&ChatRequest) -> String + Send + Sync + Clone + 'static,
) -> usize {
    let won = |seed: &u64| play(planner, Model::new(model.clone()), &Vault::world(6), *seed).unwrap().solved;
    (0..10).filter(won).count()
}

/// The world and its model, as a planner gets them; the critic knows how far a thought leads.
struct Offered {
    llm: Arc<dyn LlmBackend>,
    world: Option<Arc<dyn Environment>>,
}

#[async_trait]
impl Models for Offered {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.llm.clone())
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(Arc::new(Offered { llm: self.llm.clone(), world: None }))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        match &self.world {
            Some(world) => world.fork().await,
            None => Ok(None),
        }
    }
    async fn imagine(&self, _: Value, _: u64) -> Result<Option<Arc<dyn Environment>>> {
        self.fork().await
    }
}

#[async_trait]
impl Critic for Offered {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let value = |query: &CriticQuery| match query.thought.contains(STEPS[stage(&query.state).min(2)]) {
            true => 0.9,
            false if query.thought.contains("chest") => f64::NAN,
            false => 0.2,
        };
        Ok(queries.iter().map(|query| Estimate::of(value(query))).collect())
    }
}

/// One decision at the beginning of an episode in this world.
fn decide_in(
    planner: &dyn Planner,
    llm: Arc<dyn LlmBackend>,
    world: Arc<dyn Environment>,
) -> Result<Decision> {
    block_on(async {
        let turn = world.reset(Reset::default()).await?;
        let environment = world.spec().await?;
        let world = environment.fork.then_some(world);
        let context = DecisionContext { environment, turn, seed: 1, ..DecisionContext::default() };
        planner.decide(context, Arc::new(Offered { llm, world })).await
    })
}

/// One decision in the vault, and the purposes of all calls.
fn decide(kind: &str, settings: Value) -> (Decision, Vec<Purpose>) {
    let model = Model::new(mind);
    let decision = decide_in(&*planner(kind, settings).unwrap(), model.clone(), Vault::world(6)).unwrap();
    (decision, model.take_asked())
}

use Purpose::{Action as Act, Judge, Outcomes, Summarise, Thought};

#[test]
fn each_search_asks_in_the_order_of_its_paper() {
    let (a, j) = (Act, Judge);
    for (kind, settings, expected) in [
        // Three proposals. What ends the episode needs no judgement.
        ("lats", json!({ "iterations": 1, "breadth": 3, "rollout": 0 }), vec![a, a, a, j, j]),
        // A roll-out by single samples, judged at the limit of depth.
        (
            "lats",
            json!({ "iterations": 1, "breadth": 3, "rollout": 1, "depth": 3 }),
            vec![a, a, a, j, j, a, a, j],
        ),
        ("agent-q", json!({ "iterations": 1, "breadth": 3, "depth": 3 }), vec![a, a, a, j, a, a]),
        ("q-star", json!({ "iterations": 1, "breadth": 3 }), vec![a, a, a, j, j]),
        // A critic values proposals where they are made: a summary, and nothing about where they lead.
        (
            "q-star",
            json!({ "iterations": 1, "breadth": 2, "critic": "critic", "goal": "gold" }),
            vec![a, a, Summarise],
        ),
        (
            "lats",
            json!({ "iterations": 1, "breadth": 2, "rollout": 0, "critic": "critic", "goal": "gold" }),
            vec![a, a, Summarise],
        ),
        ("rap", json!({ "iterations": 1, "breadth": 2, "depth": 1 }), vec![a, a, Outcomes, Outcomes, j, j]),
        ("rafa", json!({ "breadth": 1 }), vec![a, Outcomes, j, a, Outcomes, j]),
        (
            "tree-of-thoughts",
            json!({ "samples": 2, "evaluations": 1 }),
            vec![Thought, Thought, j, Thought, Thought, j, a],
        ),
        // Another planner proposes; this one asks nothing.
        ("agent-q", json!({ "iterations": 3, "inner": "take key" }), vec![]),
    ] {
        let (decision, asked) = decide(kind, settings.clone());
        assert_eq!(asked, expected, "{kind} {settings}");
        assert!(ACTIONS.contains(&&*decision.action.text), "{kind} {settings}");
    }
}

#[test]
fn searches_in_copies_find_the_gold_more_often_than_chance() {
    assert_eq!(won(&Random, mind), 0);
    let wins = |kind, settings, model: fn(&ChatRequest) -> String| {
        let mut all = json!({ "iterations": 8, "breadth": 4, "depth": 6 });
        all.as_object_mut().unwrap().extend(Map::from_iter(settings));
        won(&*planner(kind, all).unwrap(), model)
    };
    // Where the model knows nothing, true rewards tell.
    assert!(wins("lats", vec![("rollout".into(), json!(1))], blind) >= 8);
    assert!(wins("agent-q", vec![], blind) >= 7);
    // And where no rewards are seen, the judge.
    let judged = || vec![("rewards".into(), json!(0.0)), ("rollout".into(), json!(0))];
    assert!(wins("lats", judged(), blind) <= 3);
    assert!(wins("lats", judged(), mind) >= 9);
    assert!(wins("q-star", vec![("rewards".into(), json!(0.0))], mind) >= 9);
}

#[test]
fn searches_without_copies_find_the_gold_more_often_than_chance() {
    let wins = |kind, settings| won(&*planner(kind, settings).unwrap(), mind);
    assert!(wins("rap", json!({ "alpha": 0.1, "iterations": 6 })) >= 8);
    assert!(wins("rafa", json!({ "breadth": 4 })) >= 6);
    let thoughts = |evaluate, breadth| json!({ "samples": 8, "evaluations": 1, "evaluate": evaluate, "breadth": breadth });
    assert!(wins("tree-of-thoughts", thoughts("vote", 1)) >= 9);
    assert!(wins("tree-of-thoughts", thoughts("value", 2)) >= 9);
}

#[test]
fn a_success_is_done_to_its_end_without_calls_and_failures_teach() {
    let lats =
        |follow: bool| planner("lats", json!({ "rollout": 1, "follow": follow, "breadth": 3 })).unwrap();
    let model = Model::new(blind);
    let played = play(&*lats(true), model.clone(), &Vault::world(9), 3).unwrap();
    let calls = model.take_asked().len();
    let gates = played.decisions.iter().map(|decision| decision.trace.details["gate"] == "solution");
    assert!(played.solved && gates.clone().skip(1).all(|gate| gate), "{:?}", gates.collect::<Vec<_>>());
    let thoughts: Vec<_> = played.decisions.iter().map(|decision| decision.thought.as_str()).collect();
    assert_eq!(thoughts.last(), Some(&"I want to take gold."));
    assert_eq!(played.actions().last(), Some(&"take gold"));
    assert!(thoughts[0].ends_with(r#""take gold"]]"#), "{}", thoughts[0]);
    // Without it each decision searches again.
    play(&*lats(false), model.clone(), &Vault::world(9), 3).unwrap();
    assert!(model.take_asked().len() > calls);

    // What a failed attempt taught is in the prompts that follow.
    let told = Arc::new(Mutex::new(Vec::new()));
    let listens = {
        let told = told.clone();
        move |request: &ChatRequest| {
            told.lock().unwrap().push((request.purpose, text(request).contains("- the chest is a trap")));
            blind(request)
        }
    };
    let decision = decide_in(
        &*planner("lats", json!({ "iterations": 8, "reflections": 1, "rollout": 0 })).unwrap(),
        Model::new(listens),
        Vault::world(6),
    );
    assert_eq!(decision.unwrap().trace.details["reflections"], json!(["the chest is a trap"]));
    let told = told.lock().unwrap();
    let at = told.iter().position(|(purpose, _)| *purpose == Purpose::Reflect).expect("a reflection");
    assert!(told[..=at].iter().all(|(_, told)| !told) && told[at + 1..].iter().all(|(_, told)| *told));
}

/// A model whose answers come late, in another order than they were asked for.
struct Late<M>(M, AtomicU32);

#[async_trait]
impl<M: LlmBackend> LlmBackend for Late<M> {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.0.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        // Calls of a batch wait for 7, 6, 5 ... polls.
        let mut left = 7 - self.1.fetch_add(1, Ordering::Relaxed) % 7;
        poll_fn(|context| {
            left -= 1;
            context.waker().wake_by_ref();
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.0.complete(request).await
    }
}

/// A model that is shared.
struct Shared(Arc<dyn LlmBackend>);

#[async_trait]
impl LlmBackend for Shared {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.0.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.0.complete(request).await
    }
}

#[test]
fn a_wave_has_the_same_result_in_any_order_of_answers() {
    for kind in ["lats", "agent-q", "q-star"] {
        let wave =
            planner(kind, json!({ "parallel": 4, "iterations": 12, "rewards": 0.0, "depth": 3 })).unwrap();
        let at_once = decide_in(&*wave, Model::new(mind), Vault::world(6)).unwrap();
        let late = Arc::new(Late(Shared(Model::new(mind)), AtomicU32::new(0)));
        assert_eq!(decide_in(&*wave, late, Vault::world(6)).unwrap(), at_once, "{kind}");
        assert_eq!(at_once.trace.details["iterations"], 12);
        assert_eq!(at_once.action.text, "take key", "{kind}");
    }
}

#[test]
fn a_critic_values_leaves_and_one_without_a_value_is_noted() {
    let settings = json!({ "critic": "critic", "goal": "gold", "rollout": 0, "iterations": 3, "breadth": 8 });
    let (decision, _) = decide("lats", settings);
    assert_eq!(decision.action.text, "take key");
    assert_eq!(decision.summary.unwrap().state, SEES[0]);
    let valued = decision.trace.rounds.iter().find(|round| round.kept).unwrap();
    assert_eq!((&*valued.thought, valued.outcomes[0].probability), ("I want to take key.", 0.9));
    // Its value of the chest is not a number.
    let noted =
        decision.trace.recoveries.iter().any(|noted| noted.contains("no value of \"I want to open chest.\""));
    assert!(noted, "{:?}", decision.trace.recoveries);
    // Others may be asked to imagine what it values.
    let (_, asked) =
        decide("agent-q", json!({ "critic": "critic", "iterations": 1, "breadth": 1, "depth": 1 }));
    assert_eq!(asked, [Act, Summarise, Outcomes]);
}

/// Two take turns; who says "mine" first has the gold. The second seat does what it lists, or nothing that is listed.
#[derive(Clone, Default)]
struct Race {
    lists: bool,
    moves: Arc<AtomicU32>,
}

#[async_trait]
impl Environment for Race {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let seat = |name: &str| SeatSpec { name: name.into(), ..SeatSpec::default() };
        let seats = vec![seat("you"), seat("rival")];
        Ok(EnvironmentSpec { name: "race".into(), seats, fork: true, ..EnvironmentSpec::default() })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self { lists: self.lists, ..Self::default() }))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        Ok(Turn { legal_actions: vec!["wait".into(), "mine".into()], ..Turn::default() })
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let seat = self.moves.fetch_add(1, Ordering::Relaxed) as usize % 2;
        let mut rewards = vec![0.0, 0.0];
        let terminated = action.text == "mine";
        rewards[seat] = f64::from(u8::from(terminated));
        let legal_actions =
            if self.lists || seat == 1 { vec!["wait".into(), "mine".into()] } else { Vec::new() };
        let turn = Turn { seat: 1 - seat, legal_actions, ..Turn::default() };
        Ok(Transition { turn, rewards, terminated, ..Transition::default() })
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        let moves = Arc::new(AtomicU32::new(self.moves.load(Ordering::Relaxed)));
        Ok(Some(Arc::new(Self { moves, lists: self.lists })))
    }
}

#[test]
fn other_seats_are_played_in_copies() {
    let says = |request: &ChatRequest| match request.purpose {
        Purpose::Action => format!("Action: {}", any(&["wait", "mine"], request)),
        _ => "Grade: 5".into(),
    };
    let decide = |settings, lists| {
        let lats = planner("lats", settings)?;
        decide_in(&*lats, Model::new(says), Arc::new(Race { lists, ..Race::default() }))
    };
    // The rival takes what is left: waiting is worth nothing.
    let settings = |more: (&str, &str)| {
        let mut settings = json!({ "iterations": 4, "depth": 4 });
        settings[more.0] = more.1.into();
        settings
    };
    for (settings, lists) in
        [(settings(("others", "mine")), false), (settings(("filler", "mine")), false), (json!({}), true)]
    {
        assert_eq!(decide(settings, lists).unwrap().action.text, "mine");
    }
    let error = decide(json!({ "iterations": 1, "rollout": 0 }), false).unwrap_err().message;
    assert!(error.contains("of rival") && error.contains("`others` of planner.lats"), "{error}");
}

#[test]
fn bad_input_is_refused_and_garbled_answers_are_noted() {
    for (kind, key, value) in [
        ("lats", "iterations", json!(0)),
        ("lats", "lambda", json!(1.5)),
        ("lats", "exploration", json!(-1)),
        ("lats", "rewards", json!(2)),
        ("agent-q", "breadth", json!(0)),
        ("agent-q", "alpha", json!(-0.5)),
        ("rap", "depth", json!(0)),
        ("rap", "alpha", json!(7)),
        ("rafa", "breadth", json!(0)),
        ("q-star", "parallel", json!(0)),
        ("q-star", "lambda", json!(-1)),
        ("tree-of-thoughts", "samples", json!(0)),
    ] {
        let error = planner(kind, json!({ key: value })).err().expect("it is refused");
        assert_eq!(error.code, Code::Config, "{kind}: {error}");
        assert!(error.message.starts_with(&format!("{key} = {value}")), "{kind}: {error}");
    }
    for kind in ["lats", "agent-q", "rap", "rafa", "q-star", "tree-of-thoughts"] {
        let small = if kind == "tree-of-thoughts" { json!({}) } else { json!({ "breadth": 2, "depth": 2 }) };
        let search = planner(kind, small).unwrap();
        let decision = decide_in(&*search, Model::new(|_| "?!".into()), Vault::world(6)).unwrap();
        assert_eq!(
            (&*decision.action.text, decision.trace.faults.contains_key("repeated")),
            ("", true),
            "{kind}"
        );
        // Copies are needed, and said to be.
        let copies = ["lats", "agent-q", "q-star"].contains(&kind);
        assert_eq!(block_on(search.requires()).unwrap().fork, copies, "{kind}");
        let decision = decide_in(&*search, Model::new(mind), Arc::new(Sealed(Vault::world(6))));
        assert_eq!(decision.map_err(|error| error.code).err(), copies.then_some(Code::Config), "{kind}");
    }
}

/// A model with a budget of calls, beyond which it refuses.
struct Purse(Arc<dyn LlmBackend>, AtomicU32);

#[async_trait]
impl LlmBackend for Purse {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.0.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let paid = self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        paid.map_err(|_| Error::new(Code::Budget, "the budget of the decision is spent"))?;
        self.0.complete(request).await
    }
}

/// What a decision gets that has a budget.
struct Budgeted(Arc<Purse>, Arc<dyn Environment>);

#[async_trait]
impl Models for Budgeted {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        self.1.fork().await
    }
    async fn allowance(&self) -> Result<Allowance> {
        Ok(Allowance { calls: Some(self.0.1.load(Ordering::Relaxed).into()), ..Allowance::default() })
    }
}

#[test]
fn a_search_stops_in_time_and_acts_on_what_it_has() {
    for kind in ["lats", "agent-q", "rap", "rafa", "q-star", "tree-of-thoughts"] {
        let search = planner(kind, json!({})).unwrap();
        for calls in [2, 4, 7, 20, 50] {
            let world = Vault::world(6);
            let turn = block_on(world.reset(Reset::default())).unwrap();
            let context = DecisionContext { turn, seed: 3, ..DecisionContext::default() };
            let purse = Arc::new(Purse(Model::new(mind), AtomicU32::new(calls)));
            let decision = block_on(search.decide(context, Arc::new(Budgeted(purse, world)))).unwrap();
            assert!(ACTIONS.contains(&&*decision.action.text), "{kind} with {calls} calls");
        }
    }
    // Whichever call is refused: with little sight, attempts fail, and are reflected on.
    let search = planner("lats", json!({ "iterations": 8, "rollout": 0, "breadth": 2 })).unwrap();
    for calls in 2..40 {
        let world = Vault::world(6);
        let turn = block_on(world.reset(Reset::default())).unwrap();
        let context = DecisionContext { turn, seed: 3, ..DecisionContext::default() };
        let purse = Arc::new(Purse(Model::new(blind), AtomicU32::new(calls)));
        let decision = block_on(search.decide(context, Arc::new(Budgeted(purse, world))));
        assert!(decision.is_ok(), "{calls} calls: {decision:?}");
    }
}

/// A world that cannot be copied.
struct Sealed(Arc<dyn Environment>);

#[async_trait]
impl Environment for Sealed {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(EnvironmentSpec { fork: false, ..self.0.spec().await? })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        self.0.spawn().await
    }
    async fn reset(&self, reset: Reset) -> Result<Turn> {
        self.0.reset(reset).await
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        self.0.step(action).await
    }
}
