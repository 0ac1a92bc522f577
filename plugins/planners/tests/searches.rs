//! Searches in copies of the vault, or in what the model expects of it: take the key, open the door, take the gold, and
//! leave the chest, which is a trap.

mod worlds;

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use forethought_planners::{
    agent_q::AgentQ, lats::Lats, q_star::QStar, rafa::Rafa, random::Random, rap::Rap,
    tree_of_thoughts::TreeOfThoughts,
};
use forethought_sdk::{
    prelude::*,
    serde_json::{Value, from_value, json},
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
        Purpose::Action => format!("Thought: I want to {action}.\nAction: {action}"),
        Purpose::Thought => format!("Thought: {action}"),
        Purpose::Reflect => "Reflection: the chest is a trap".into(),
        Purpose::Outcomes => {
            let (at, action) = (stage(&text), text.rsplit("Next action: ").next().unwrap_or_default());
            let next = if at < 3 && action.starts_with(STEPS[at]) { SEES[at + 1] } else { "Nothing of use." };
            format!("Result: {next}")
        }
        // Which proposal is the next step.
        Purpose::Judge if text.contains("Proposal 1: ") => {
            let at = stage(text.split("Proposal 1: ").next().unwrap_or_default());
            let lines = text.lines().filter(|line| line.starts_with("Proposal "));
            let best = lines
                .enumerate()
                .find(|(_, line)| line.contains(STEPS[at]))
                .map_or(1, |(index, _)| index + 1);
            format!("Ranking: {best}\nVote: {best}")
        }
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

/// Episodes of 20 that reach the gold, with at most 6 decisions each.
fn won(
    planner: &dyn Planner,
    model: impl Fn(&ChatRequest) -> String + Send + Sync + Clone + 'static,
) -> usize {
    let won = |seed: &u64| play(planner, Model::new(model.clone()), &Vault::world(6), *seed).unwrap().solved;
    (0..20).filter(won).count()
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
fn lats_expands_judges_and_rolls_out() {
    // Three proposals, two of them different.
    let (decision, asked) = decide("lats", json!({ "iterations": 1, "breadth": 3, "rollout": 0 }));
    let moves = decision.trace.details["moves"].as_array().unwrap().iter();
    let moves: Vec<_> = moves.map(|tried| (&tried["action"], &tried["estimate"])).collect();
    // What ends the episode needs no judgement.
    assert_eq!(moves, [(&json!(""), &json!(1.0))]);
    assert_eq!(asked, [Act, Act, Act, Judge, Judge]);
    // A roll-out goes on in the same way to the limit of depth, or to an end.
    let (_, asked) =
        decide("lats", json!({ "iterations": 1, "breadth": 2, "rollout": 1, "depth": 2, "lambda": 1.0 }));
    assert_eq!(asked[..2], [Act, Act]);
    assert_eq!(asked[asked.len() - 2..], [Act, Judge]);
    let (decision, _) = decide("lats", json!({ "iterations": 30, "breadth": 4 }));
    assert_eq!((&*decision.action.text, &*decision.thought), ("take key", "I want to take key."));
    assert_eq!(decision.trace.details["solved"], true);
}

#[test]
fn searches_in_copies_find_the_gold_more_often_than_chance() {
    let settings = |more: Value| {
        let mut settings = json!({ "iterations": 12, "breadth": 4, "depth": 6 });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    };
    for n in [12, 20, 30] {
        println!("{n} {}", won(&*planner("lats", settings(json!({ "rollout": 1, "iterations": n }))).unwrap(), blind));
        println!("{n} {}", won(&*planner("agent-q", settings(json!({ "iterations": n }))).unwrap(), blind));
        println!("{n} {}", won(&*planner("q-star", settings(json!({ "iterations": n }))).unwrap(), blind));
        println!("{n} {}", won(&*planner("lats", settings(json!({ "iterations": n, "rewards": 0.0, "rollout": 0 }))).unwrap(), blind));
        println!("{n} {}", won(&*planner("lats", settings(json!({ "iterations": n, "rewards": 0.0, "rollout": 0 }))).unwrap(), mind));
        println!("{n} {}", won(&*planner("q-star", settings(json!({ "iterations": n, "rewards": 0.0 }))).unwrap(), mind));
    }
    assert_eq!(won(&Random, mind), 2);
    // What the judge does not know, true rewards tell.
    assert_eq!(won(&*planner("lats", settings(json!({ "rollout": 1 }))).unwrap(), blind), 20);
    assert_eq!(won(&*planner("agent-q", settings(json!({}))).unwrap(), blind), 20);
    // And where no rewards are seen, the judge.
    let judged = json!({ "rewards": 0.0, "rollout": 0 });
    assert_eq!(won(&*planner("lats", settings(judged.clone())).unwrap(), blind), 3);
    assert_eq!(won(&*planner("lats", settings(judged)).unwrap(), mind), 20);
    assert_eq!(won(&*planner("q-star", settings(json!({ "rewards": 0.0 }))).unwrap(), mind), 20);
}

#[test]
fn searches_without_copies_find_the_gold_more_often_than_chance() {
        println!("{}", won(&*planner("rap", json!({"alpha": 0.0})).unwrap(), mind));
        println!("{}", won(&*planner("rap", json!({"alpha": 0.1})).unwrap(), mind));
        println!("{}", won(&*planner("rap", json!({"alpha": 0.5})).unwrap(), mind));
        println!("{}", won(&*planner("rafa", json!({"breadth": 2})).unwrap(), mind));
        println!("{}", won(&*planner("rafa", json!({"breadth": 4})).unwrap(), mind));
        println!("{}", won(&*planner("tree-of-thoughts", json!({"samples": 5})).unwrap(), mind));
        println!("{}", won(&*planner("tree-of-thoughts", json!({"samples": 8})).unwrap(), mind));
        println!("{}", won(&*planner("tree-of-thoughts", json!({"samples": 8, "evaluate": "value"})).unwrap(), mind));
    assert_eq!(won(&*planner("rap", json!({ "alpha": 0.1 })).unwrap(), mind), 20);
    assert_eq!(won(&*planner("rafa", json!({ "breadth": 4 })).unwrap(), mind), 20);
    assert_eq!(won(&*planner("tree-of-thoughts", json!({ "samples": 8 })).unwrap(), mind), 20);
}
