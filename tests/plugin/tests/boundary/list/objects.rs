//! Objects and binary data that cross: 13, 14 and 27.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use forethought_sdk::{api::wire::Interface, prelude::*, serde_json::json};

use super::items;
use crate::way::{Way, say, until};

items! {
    "13" streams_come_in_batches_and_end,
    "13" a_model_that_does_not_stream_says_so,
    "14" a_plugin_calls_what_it_is_handed,
    "14" a_plugin_calls_what_it_asks_for,
    "14" calls_may_go_back_and_forth,
    "14" an_object_that_comes_back_is_itself,
    "14" objects_are_released,
    "14" progress_is_reported,
    "27" numbers_cross_as_they_are,
}

fn request(text: &str) -> ChatRequest {
    ChatRequest::new(Purpose::Other, vec![Message::user(text)])
}

async fn streams_come_in_batches_and_end(way: Way) {
    let model = way.plugin().await.make::<dyn LlmBackend>("count", json!({ "tokens": 10 })).await;
    let stream = model.stream(request("count")).await.unwrap();
    let mut batches = Vec::new();
    loop {
        let batch = stream.next(4).await.unwrap();
        if batch.is_empty() {
            break;
        }
        batches.push(batch);
    }
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
    assert_eq!(batches.concat().concat(), " 0 1 2 3 4 5 6 7 8 9");
    assert_eq!(stream.finish().await.unwrap().usage.output_tokens, 10);
    // The stream outlives the model.
    let stream = model.stream(request("count")).await.unwrap();
    drop(model);
    assert_eq!(stream.next(2).await.unwrap(), [" 0", " 1"]);
}

async fn a_model_that_does_not_stream_says_so(way: Way) {
    let model = way.plugin().await.make::<dyn LlmBackend>("plain", json!({})).await;
    let error = model.stream(request("count")).await.err().expect("it does not stream");
    assert_eq!(error.code, Code::Unimplemented);
    assert!(error.message.contains("use `complete`"), "{error}");
    assert_eq!(model.complete(request("hi")).await.unwrap().text(), "hi");
}

/// A language model of this side, which repeats one text and counts its calls.
struct Parrot {
    says: &'static str,
    asked: Arc<AtomicUsize>,
}

impl Parrot {
    fn new(says: &'static str) -> (Arc<Self>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        (Arc::new(Self { says, asked: asked.clone() }), asked)
    }
}

#[async_trait]
impl LlmBackend for Parrot {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, _: ChatRequest) -> Result<Completion> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let choice = Choice { text: self.says.into(), ..Choice::default() };
        Ok(Completion { choices: vec![choice], ..Completion::default() })
    }
}

struct Shelf {
    llm: Arc<dyn LlmBackend>,
    world: Arc<dyn Environment>,
}

#[async_trait]
impl Models for Shelf {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.llm.clone())
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        self.world.fork().await
    }
}

async fn a_plugin_calls_what_it_is_handed(way: Way) {
    let plugin = way.plugin().await;
    let planner = plugin.make::<dyn Planner>("tries", json!({})).await;
    assert_eq!(planner.requires().await.unwrap().llms, ["actor"]);
    // A model of this side, and a world of another plugin.
    let (llm, asked) = Parrot::new("click[buy now]");
    let world = way.plugin().await.make::<dyn Environment>("echo", json!({})).await;
    let models = Arc::new(Shelf { llm, world });
    let decision = planner.decide(DecisionContext::default(), models.clone()).await.unwrap();
    assert_eq!(decision.action.text, "click[buy now]");
    assert_eq!(decision.thought, "it led to: click[buy now]");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    until("the plugin releases the models", || async { Arc::strong_count(&models) == 1 }).await;
}

async fn a_plugin_calls_what_it_asks_for(way: Way) {
    let plugin = way.plugin().await;
    let world = plugin.make::<dyn Environment>("works", json!({})).await;
    let error = say(&world, "ask for help").await.unwrap_err();
    assert_eq!(error, Error::not_found("nothing is called `actor` here"));
    let (llm, asked) = Parrot::new("no");
    plugin.desk.offer("actor", llm);
    assert_eq!(say(&world, "ask for help").await.unwrap(), "no");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // A model of another plugin.
    let other = way.plugin().await;
    plugin.desk.offer("actor", other.make("plain", json!({})).await);
    assert_eq!(say(&world, "ask and be asked").await.unwrap(), "and be asked");
}

/// A language model that calls a world during a call of that world.
struct Returns(Mutex<Option<Arc<dyn Environment>>>);

#[async_trait]
impl LlmBackend for Returns {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let depth: u32 = request.messages[0].content.parse()?;
        let world = self.0.lock().unwrap().clone();
        let text = match (depth, world) {
            (1.., Some(world)) => say(&world, &(depth - 1).to_string()).await? + "!",
            _ => "the bottom".into(),
        };
        Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], ..Completion::default() })
    }
}

async fn calls_may_go_back_and_forth(way: Way) {
    let plugin = way.plugin().await;
    let returns = Arc::new(Returns(Mutex::default()));
    plugin.desk.offer("actor", returns.clone());
    let world = plugin.make::<dyn Environment>("stress", json!({ "mode": "reenter" })).await;
    *returns.0.lock().unwrap() = Some(world.clone());
    assert_eq!(say(&world, "20").await.unwrap(), format!("the bottom{}", "!".repeat(20)));
    returns.0.lock().unwrap().take(); // They own each other.
}

async fn an_object_that_comes_back_is_itself(way: Way) {
    let plugin = way.plugin().await;
    let (parrot, _) = Parrot::new("me");
    let parrot: Arc<dyn LlmBackend> = parrot;
    plugin.desk.offer("mine", parrot.clone());
    let relay = plugin.make::<dyn LlmBackend>("relay", json!({ "llm": "mine" })).await;
    assert!(Arc::ptr_eq(&relay, &parrot), "it was wrapped");
    // The same for a model of another plugin: its calls do not go through this one.
    let other = way.plugin().await.make::<dyn LlmBackend>("plain", json!({})).await;
    plugin.desk.offer("theirs", other.clone());
    let relay = plugin.make::<dyn LlmBackend>("relay", json!({ "llm": "theirs" })).await;
    assert_eq!(<dyn LlmBackend>::serve(relay).origin(), <dyn LlmBackend>::serve(other).origin());
}

async fn objects_are_released(way: Way) {
    let plugin = way.plugin().await;
    let (parrot, _) = Parrot::new("hm");
    let weak = Arc::downgrade(&parrot);
    plugin.desk.offer("actor", parrot);
    let world = plugin.make::<dyn Environment>("works", json!({})).await;
    for _ in 0..10 {
        say(&world, "ask").await.unwrap();
    }
    plugin.desk.llms.lock().unwrap().clear();
    until("the plugin releases the model", || async { weak.strong_count() == 0 }).await;
    // The world owns its host until it is dropped.
    assert!(Arc::strong_count(&plugin.desk) > 1);
    drop(world);
    until("the plugin releases the host", || async { Arc::strong_count(&plugin.desk) == 1 }).await;
}

#[derive(Default)]
struct Watch(Mutex<Vec<(String, u64, u64)>>);

#[async_trait]
impl Progress for Watch {
    async fn report(&self, stage: String, done: u64, total: u64, _: String) -> Result<()> {
        self.0.lock().unwrap().push((stage, done, total));
        Ok(())
    }
}

async fn progress_is_reported(way: Way) {
    let trainer = way.plugin().await.make::<dyn CriticTrainer>("reports", json!({})).await;
    let watch = Arc::new(Watch::default());
    let fit = TrainingRequest {
        trajectories: vec![Trajectory::default(); 3],
        out: "nowhere".into(),
        ..TrainingRequest::default()
    };
    let report = trainer.fit(fit, watch.clone()).await.unwrap();
    assert_eq!((report.steps, report.train_trajectories), (10, 3));
    let expected: Vec<_> = (1..=10).map(|done| ("fit".to_owned(), done, 10)).collect();
    assert_eq!(*watch.0.lock().unwrap(), expected);
}

async fn numbers_cross_as_they_are(way: Way) {
    let plugin = way.plugin().await;
    let encoder = plugin.make::<dyn TextEncoder>("axes", json!({})).await;
    let texts: Vec<String> = (0..1000).map(|length| "x".repeat(length % 500)).collect();
    let matrix = encoder.encode(texts).await.unwrap();
    assert_eq!((matrix.rows(), matrix.columns()), (1000, 384));
    for row in 0..1000 {
        let axis = matrix.row(row).iter().position(|number| *number == 1.0);
        assert_eq!(axis, Some(row % 500 % 384));
        assert_eq!(matrix.row(row).iter().sum::<f32>(), 1.0);
    }
    // JSON cannot represent this.
    let wrong = plugin.make::<dyn TextEncoder>("stress", json!({ "mode": "nan" })).await;
    assert!(wrong.encode(vec!["x".into()]).await.unwrap().data()[0].is_nan());
    let empty = encoder.encode(Vec::new()).await.unwrap();
    assert_eq!((empty.rows(), empty.columns(), empty.data()), (0, 384, &[][..]));
    let critic = plugin.make::<dyn Critic>("stress", json!({ "mode": "out_of_range" })).await;
    assert_eq!(critic.estimate(vec![CriticQuery::default()]).await.unwrap()[0].probability, 7.0);
}
