//! Calls that succeed: 3, 4, 8, 9, 10, 11, 15 and 16.

use std::future::Future;

use forethought_sdk::{
    api::wire::{self, Codec, Interface, Object},
    prelude::*,
    serde_json::{self, Value, json},
};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};

use super::items;
use crate::way::{Way, heard, say, until};

items! {
    "03" values_come_back_as_they_went,
    "03" any_json_comes_back_as_it_went,
    "04" async_rust_works_as_anywhere,
    "08" calls_overlap,
    "09" a_large_answer_arrives,
    "10" events_reach_the_programs_log,
    "11" what_one_side_does_not_know_does_no_harm,
    "11" rubbish_is_refused,
    "15" both_codecs_carry_everything,
    "16" inline_and_spawned_answer_alike,
}

/// Values that are easily damaged.
fn treasures() -> Value {
    json!({
        "text": "Grüße, 世界, \u{1F9ED}, \u{0}, \u{202E}, \"\\\n",
        "largest": u64::MAX,
        "smallest": i64::MIN,
        "rewards": [0.1, -0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1.0, 1e300, 0.1 + 0.2],
        "nested": [[[[{"a": [null, true, {"b": []}], "": {}}]]]],
        "2^53 + 1": 9_007_199_254_740_993_u64,
    })
}

async fn echo(world: &Arc<dyn Environment>, value: &Value) {
    let text = serde_json::to_string(value).unwrap();
    let transition = world.step(Action::new(&text)).await.unwrap();
    assert_eq!(transition.turn.observation.text, text);
    assert_eq!(&transition.turn.observation.data, value);
    let rewards = value.get("rewards").and_then(Value::as_array).into_iter().flatten();
    let sent: Vec<u64> = rewards.filter_map(Value::as_f64).map(f64::to_bits).collect();
    assert_eq!(transition.rewards.iter().map(|reward| reward.to_bits()).collect::<Vec<_>>(), sent);
}

async fn values_come_back_as_they_went(way: Way) {
    let world = way.plugin().await.make::<dyn Environment>("echo", json!({})).await;
    echo(&world, &treasures()).await;
    let turn = world.reset(Reset { task: u64::MAX, seed: 1 << 63 }).await.unwrap();
    assert_eq!(turn.observation.data, json!({ "task": u64::MAX, "seed": 1_u64 << 63 }));
}

async fn any_json_comes_back_as_it_went(way: Way) {
    let world = way.plugin().await.make::<dyn Environment>("echo-inline", json!({})).await;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((any::<String>(), inner), 0..6).prop_map(|all| all.into_iter().collect()),
        ]
    });
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() });
    let handle = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&tree, |value| {
            handle.block_on(echo(&world, &value));
            Ok(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

async fn async_rust_works_as_anywhere(way: Way) {
    let world = way.plugin().await.make::<dyn Environment>("works", json!({})).await;
    for (action, answer) in [
        ("sleep 5", "slept"),
        ("yield", "yielded"),
        ("spawn a task", "a task"),
        ("spawn_blocking work", "work"),
        ("tcp through the wire", "through the wire"),
    ] {
        assert_eq!(say(&world, action).await.unwrap(), answer, "{action}");
    }
}

async fn calls_overlap(way: Way) {
    let world = way.plugin().await.make::<dyn Environment>("works", json!({ "meet": 200 })).await;
    // None of them ends before all of them have started.
    let calls = (0..200).map(|_| {
        let world = world.clone();
        tokio::spawn(async move { say(&world, "meet").await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap(), "met");
    }
}

async fn a_large_answer_arrives(way: Way) {
    let world = way.plugin().await.make::<dyn Environment>("echo", json!({})).await;
    let large = "0123456789abcdef".repeat(4 << 16);
    assert_eq!(large.len(), 4 << 20);
    assert!(say(&world, &large).await.unwrap() == large, "4 MiB came back changed");
}

async fn events_reach_the_programs_log(way: Way) {
    let world = way.plugin().await.make::<dyn Environment>("works", json!({})).await;
    let words = format!("the tide is high at {}", way.name);
    say(&world, &format!("log {words}")).await.unwrap();
    until("the event is logged", || async { heard(&["WARN", &way.name, "::works", &words, "answer=42"]) })
        .await;
}

/// A call without a proxy.
async fn ask(object: &Arc<dyn Object>, method: &str, codec: Codec, arguments: &Value) -> Result<Value> {
    object.invoke(method, wire::Message::encode(codec, arguments)?).await?.decode()
}

async fn what_one_side_does_not_know_does_no_harm(way: Way) {
    let plugin = way.plugin().await;
    let world = <dyn Environment>::serve(plugin.make("echo", json!({})).await);
    let error = ask(&world, "levitate", Codec::Json, &json!({})).await.unwrap_err();
    assert_eq!(error.code, Code::Unimplemented);
    assert!(error.message.contains("has no method `levitate`"), "{error}");
    let newer = json!({ "action": { "text": "hi", "mood": "good" }, "hurry": true });
    assert_eq!(ask(&world, "step", Codec::Json, &newer).await.unwrap()["turn"]["observation"]["text"], "hi");
    // A method for which the plugin has only the default body.
    let works = plugin.make::<dyn Environment>("works", json!({})).await;
    assert!(works.fork().await.unwrap().is_none());
}

async fn rubbish_is_refused(way: Way) {
    let plugin = way.plugin().await;
    let world = <dyn Environment>::serve(plugin.make("echo", json!({})).await);
    for body in
        [&b""[..], b"{", b"[]", b"null", b"{\"action\":7}", b"\xff\xfe", b"{\"action\":{\"text\":\"\xff\"}}"]
    {
        for codec in [Codec::Json, Codec::MessagePack] {
            let request = wire::Message { codec, body: body.to_vec().into(), ..Default::default() };
            let error = world.invoke("step", request).await.expect_err("a refusal");
            assert_eq!(error.code, Code::BadRequest, "{codec:?} {body:?}: {error}");
            assert!(!error.message.is_empty());
        }
    }
    assert!(ask(&world, "step", Codec::Json, &json!({ "action": { "text": "still here" } })).await.is_ok());
}

async fn both_codecs_carry_everything(way: Way) {
    let world = <dyn Environment>::serve(way.plugin().await.make("echo", json!({})).await);
    let codecs = [Codec::Json, Codec::MessagePack];
    for codec in codecs.into_iter().filter(|codec| world.understands(*codec)) {
        let world = <dyn Environment>::connect(Arc::new(InOneCodec(world.clone(), codec)));
        echo(&world, &treasures()).await;
    }
}

/// An object that understands only one codec.
struct InOneCodec(Arc<dyn Object>, Codec);

impl Object for InOneCodec {
    fn interface(&self) -> &str {
        self.0.interface()
    }
    fn invoke(&self, method: &str, request: wire::Message) -> wire::Reply {
        assert_eq!(request.codec, self.1);
        self.0.invoke(method, request)
    }
    fn understands(&self, codec: Codec) -> bool {
        codec == self.1
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

async fn inline_and_spawned_answer_alike(way: Way) {
    let plugin = way.plugin().await;
    let inline = plugin.make::<dyn Environment>("echo-inline", json!({})).await;
    let spawned = plugin.make::<dyn Environment>("echo", json!({})).await;
    for world in
        [inline.clone(), spawned.clone(), inline.spawn().await.unwrap(), spawned.spawn().await.unwrap()]
    {
        echo(&world, &treasures()).await;
    }
    if way.in_process() {
        // The first poll has the answer, so no wake-up was needed.
        let mut call = std::pin::pin!(inline.step(Action::new("now")));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_ready());
    }
}
