//! WebShop by calls of tools, end to end: planners and a foreign agent over the simulated model shop as well as by text.

use std::sync::Arc;

use async_trait::async_trait;
use forethought_critic_judge::random::{Random, RandomConfig};
use forethought_llm_simulated::{Simulated, SimulatedConfig};
use forethought_planners::{
    inner::Inner, lats::Lats, pnlc::Pnlc, react::React, reflexion::Reflexion, vote::Vote,
};
use forethought_sdk::{api::llm::Role, prelude::*, seed, serde::de::DeserializeOwned};
use forethought_testkit::StubHost;
use forethought_webshop::{behaviour::Shopper, environment::WebShop};

use serde_json::{Value, from_value, json};

/// Decisions in an episode, which the shop also limits.
const STEPS: u32 = 15;

fn read<T: DeserializeOwned>(config: Value) -> T {
    from_value(config).expect("a configuration")
}

fn shop(actions: &str) -> WebShop {
    WebShop::new(read(json!({ "products": 200, "actions": actions }))).expect("a shop")
}

fn simulated(config: Value) -> Arc<dyn LlmBackend> {
    let behaviours: Vec<(String, Arc<dyn ScriptedBehaviour>)> =
        vec![("webshop".into(), Arc::new(Shopper::default()))];
    Arc::new(Simulated::new(read::<SimulatedConfig>(config), behaviours).expect("a backend"))
}

fn react(settings: Value) -> Arc<dyn Planner> {
    Arc::new(React::new(read(settings)).expect("a planner"))
}

/// What a decision may use.
struct Desk(Arc<dyn LlmBackend>, Arc<dyn Environment>);

#[async_trait]
impl Models for Desk {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(Arc::new(Random::new(RandomConfig { seed: 7 })))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        self.1.fork().await
    }
}

/// An episode: its actions with the turns in which they were taken, and its score.
async fn play(
    shop: &WebShop,
    planner: &Arc<dyn Planner>,
    llm: &Arc<dyn LlmBackend>,
    task: u64,
) -> Result<(Vec<(Action, Turn)>, f64)> {
    let world = shop.spawn().await?;
    let seed = seed::derive(7, &format!("episode {task}"));
    let turn = world.reset(Reset { task, seed }).await?;
    let mut context = DecisionContext { environment: shop.spec().await?, turn, ..DecisionContext::default() };
    let (mut taken, mut score) = (Vec::new(), 0.0);
    while context.step < STEPS {
        context.seed = seed::derive(seed, &format!("step {}", context.step));
        let models = Arc::new(Desk(llm.clone(), world.clone()));
        let Decision { thought, action, .. } = planner.decide(context.clone(), models).await?;
        let after = world.step(action.clone()).await?;
        let turn = std::mem::replace(&mut context.turn, after.turn);
        let observation = turn.observation.text.clone();
        context.history.push(Exchange { observation, thought, action: action.text.clone() });
        taken.push((action, turn));
        context.step += 1;
        score += after.rewards[0];
        if after.terminated || after.truncated {
            break;
        }
    }
    Ok((taken, score))
}

/// An agent that knows nothing of this project: it passes on what the model calls and what the shop answers.
async fn chat(shop: &WebShop, llm: &Arc<dyn LlmBackend>, system: &str, task: u64) -> Result<f64> {
    let world = shop.spawn().await?;
    let seed = seed::derive(7, &format!("episode {task}"));
    let turn = world.reset(Reset { task, seed }).await?;
    let mut messages = vec![Message::system(system), Message::user(turn.observation.text)];
    let (mut score, tools) = (0.0, turn.tools);
    for step in 0..STEPS {
        let seed = Some(seed::derive(seed, &format!("step {step}")));
        let (tools, messages_now) = (tools.clone(), messages.clone());
        let request = ChatRequest { tools, seed, ..ChatRequest::new(Purpose::Other, messages_now) };
        let Choice { text, tool_calls, .. } = llm.complete(request).await?.choices.remove(0);
        messages.push(Message { tool_calls: tool_calls.clone(), ..Message::assistant(text) });
        let Some(id) = tool_calls.first().map(|call| call.id.clone()) else {
            messages.push(Message::user("Please call a tool."));
            continue;
        };
        let after = world.step(Action::of_calls(tool_calls)).await?;
        let page = after.turn.observation.text;
        messages.push(Message { tool_call_id: Some(id), ..Message::new(Role::Tool, page) });
        score += after.rewards[0];
        if after.terminated || after.truncated {
            break;
        }
    }
    Ok(score)
}

#[tokio::test]
async fn shopping_by_calls_succeeds_as_often_as_by_text() {
    let tasks = forethought_testkit::slow(60, 1000);
    let (by_text, by_calls) = (shop("text"), shop("tools"));
    let (writes, calls) = (simulated(json!({})), simulated(json!({ "tools": true })));
    let react = react(json!({ "llm": "actor" }));
    let own = "You shop for a customer. Use the tools. You have 15 actions.";
    let mut successes = [0_u64; 4];
    for task in 0..tasks {
        let scores = [
            play(&by_text, &react, &writes, task).await.expect("an episode").1,
            play(&by_calls, &react, &writes, task).await.expect("an episode").1,
            play(&by_calls, &react, &calls, task).await.expect("an episode").1,
            chat(&by_calls, &writes, own, task).await.expect("an episode"),
        ];
        for (count, score) in successes.iter_mut().zip(scores) {
            *count += u64::from(score == 1.0);
        }
    }
    println!("of {tasks}: by text, calls as text, calls, and in a foreign agent's chat {successes:?}");
    let text = successes[0] as f64 / tasks as f64;
    for count in successes {
        // Three standard errors of the difference of two independent shares.
        let share = count as f64 / tasks as f64;
        let error = (2.0 * text * (1.0 - text) / tasks as f64).sqrt();
        assert!((share - text).abs() < 3.0 * error, "{successes:?} of {tasks}");
    }
}

#[tokio::test]
async fn planners_of_all_sorts_act_by_calls() {
    let by_calls = shop("tools");
    let host: Arc<dyn Host> = Arc::new(StubHost::default());
    let inner = || react(json!({ "llm": "actor" }));
    let pnlc = |settings: Value| Arc::new(Pnlc::new(read(settings)).expect("a planner"));
    let lats = json!({ "llm": "actor", "iterations": 2, "breadth": 2, "rollout": 1, "depth": 2 });
    let reflexion = read(json!({ "inner": "react", "llm": "actor", "trials": 2, "max_steps": 4 }));
    let planners: [(&str, Arc<dyn Planner>); 6] = [
        ("react", react(json!({ "llm": "actor", "answers": "tool" }))),
        ("pnlc", pnlc(json!({ "llm": "actor", "critic": "critic", "answers": "tool" }))),
        ("pnlc-compare", pnlc(json!({ "llm": "actor", "critic": "critic", "mode": "compare" }))),
        ("vote", Arc::new(Vote::over(vec![Inner::part(inner()); 3]).expect("a planner"))),
        ("lats", Arc::new(Lats::new(read(lats), &host).await.expect("a planner"))),
        ("reflexion", Arc::new(Reflexion::over(Inner::part(inner()), reflexion).expect("a planner"))),
    ];
    let llm = simulated(json!({ "tools": true, "malformed": 0.0 }));
    for (name, planner) in planners {
        for task in 0..2 {
            let (taken, _) = play(&by_calls, &planner, &llm, task).await.expect(name);
            for (action, turn) in &taken {
                let calls = action.calls(turn).unwrap_or_else(|why| panic!("{name}: {}: {why}", action.text));
                assert_eq!(action.text, Action::of_calls(calls).text, "{name}");
                assert_eq!(action.calls.len(), 1, "{name}");
            }
            let ids = taken.iter().all(|(action, _)| !action.calls[0].id.is_empty());
            // A search keeps the texts of what it found.
            assert!(ids || name == "lats", "{name}");
        }
    }
}
