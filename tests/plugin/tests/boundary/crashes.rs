//! Crashes (25): they end the plugin's own process, which is restarted. And the guard around every plugin: a deadline,
//! and no second call for an object that panicked.

use std::time::Duration;

use forethought_plugin_host::guard::{self, Policy, Recipe};
use forethought_sdk::{
    api::{
        module::{Create, Module},
        wire::{self, Interface, Object},
    },
    prelude::*,
    serde_json::json,
};
use libtest_mimic::Trial;

use crate::way::{Desk, Way, say, test_plugin, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let ends = [
        ("exit", "exit status: 3"),
        ("abort", "signal: 6"),
        ("kill", "signal: 9"),
        ("segfault", "signal: 11"),
        ("stack_overflow", "signal: "),
        ("memory", "signal: 6"),
    ];
    let ends = ends.into_iter().map(|(mode, end)| {
        trial(format!("process/25_{mode}_ends_the_plugin_alone"), move || ends_the_plugin_alone(mode, end))
    });
    let ways = [Way::library("library", test_plugin()), Way::process("process", test_plugin())];
    let guarded = ways.into_iter().flat_map(|way| {
        [("panic_after_await", "after an await"), ("never", "no answer within 0.3 s")].map(|(mode, words)| {
            let own = way.clone();
            trial(format!("{}/25_{mode}_is_built_again", way.name), move || is_built_again(own, mode, words))
        })
    });
    ends.chain(guarded).collect()
}

/// A world that is rebuilt after a failure, by the program's rules.
async fn guarded(way: Way, mode: &'static str) -> Arc<dyn Environment> {
    let recipe: Recipe = Arc::new(move || {
        let way = way.clone();
        Box::pin(async move {
            let mut start = way.start();
            start.memory_mb = Some(512);
            let root: Arc<dyn Object> =
                if way.in_process() { way.root().await? } else { start.start().await? };
            let module = wire::connect::<dyn Module>(root)?;
            let (interface, kind) = (<dyn Environment>::NAME.into(), "stress".into());
            let create = Create { interface, kind, config: json!({ "mode": mode }) };
            Ok(module.create(create, Arc::new(Desk::default())).await?.serve())
        })
    });
    let deadline = Duration::from_millis(if mode == "never" { 300 } else { 60_000 });
    let policy = Policy { plugin: "stress 0.1.0".into(), deadline, restarts: 1, max_answer_mb: 256 };
    <dyn Environment>::connect(guard::component(recipe, policy).await.unwrap())
}

async fn ends_the_plugin_alone(mode: &'static str, end: &str) {
    let way = Way::process("process", test_plugin());
    let sound = way.plugin().await.make::<dyn Environment>("echo", json!({})).await;
    let world = guarded(way, mode).await;
    let error = say(&world, "").await.unwrap_err();
    assert_eq!(error.code, Code::Shutdown);
    let error = error.to_string();
    assert!(error.contains("plugin stress 0.1.0: forethought.environment/1.step"), "{error}");
    assert!(error.contains(end), "{error}");
    // Restarted once; the other process is not affected.
    assert_eq!(world.spec().await.unwrap().name, "stress");
    assert!(say(&world, "").await.is_err());
    let error = world.spec().await.unwrap_err();
    assert!(error.message.contains("not started again after 1 restarts"), "{error}");
    assert_eq!(say(&sound, "well").await.unwrap(), "well");
}

async fn is_built_again(way: Way, mode: &'static str, words: &str) {
    let together = way.process && mode == "never";
    let world = guarded(way, mode).await;
    let before = world.spawn().await.unwrap();
    let error = say(&world, "").await.unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(world.spec().await.unwrap().name, "stress");
    // A world spawned earlier is another object, which works until it fails itself. A process that hangs is killed,
    // and takes it along.
    if !together {
        assert_eq!(before.spec().await.unwrap().name, "stress");
        assert!(say(&before, "").await.is_err());
    }
    let error = before.spec().await.unwrap_err();
    assert!(error.message.contains("was not called: this object failed before"), "{error}");
}
