//! Calls that fail, hang or are cancelled: 5, 6, 7, 23 (a call that never ends) and 24.

use std::time::Duration;

use forethought_sdk::{prelude::*, serde_json::json};
use tokio::time::timeout;

use super::items;
use crate::way::{Plugin, Way, heard, runtime, say, until};

items! {
    "05" panics_are_contained,
    "05" panics_while_something_is_dropped_are_contained,
    "06" errors_keep_their_code_and_causes,
    "07" withdrawn_calls_are_dropped,
    "07" a_storm_of_withdrawals_leaves_nothing_behind,
    "23" a_call_that_never_ends_can_be_given_up,
    "24" the_programs_runtime_may_end_during_calls,
    "24" a_plugin_may_be_told_to_end_during_calls,
}

async fn stress(plugin: &Plugin, mode: &str) -> Arc<dyn Environment> {
    plugin.make("stress", json!({ "mode": mode })).await
}

async fn panics_are_contained(way: Way) {
    let plugin = way.plugin().await;
    let sound = plugin.make::<dyn Environment>("echo", json!({})).await;
    for (mode, words) in [
        ("panic_before_await", "before the first await"),
        ("panic_after_await", "after an await"),
        ("panic_in_payload", "a panic without a message"),
    ] {
        let error = say(&stress(&plugin, mode).await, "").await.unwrap_err();
        assert_eq!(error.code, Code::Panic, "{mode}: {error}");
        let error = error.to_string();
        assert!(error.contains(words) && error.contains("stress.rs:"), "{mode}: {error}");
        until("the panic is logged", || async { heard(&["ERROR", &way.name, words, "stress.rs:"]) }).await;
        assert_eq!(say(&sound, mode).await.unwrap(), mode);
    }
    // The author handles a panicked task, here with `?`.
    let error = say(&stress(&plugin, "panic_in_task").await, "").await.unwrap_err();
    assert_eq!(error.code, Code::Other);
    assert!(error.message.contains("panicked"), "{error}");
    assert_eq!(say(&sound, "well").await.unwrap(), "well");
}

async fn panics_while_something_is_dropped_are_contained(way: Way) {
    let plugin = way.plugin().await;
    let world = stress(&plugin, "panic_in_drop").await;
    say(&world, "").await.unwrap();
    drop(world);
    until("the panic is logged", || async {
        heard(&["ERROR", &way.name, "does not end well", "stress.rs:"])
    })
    .await;
    // The call is cancelled; dropping its local variable panics.
    let world = stress(&plugin, "panic_in_future").await;
    assert!(timeout(Duration::from_millis(50), say(&world, "")).await.is_err());
    until("the panic is logged", || async { heard(&["ERROR", &way.name, "what was left", "stress.rs:"]) })
        .await;
    let sound = plugin.make::<dyn Environment>("echo", json!({})).await;
    assert_eq!(say(&sound, "well").await.unwrap(), "well");
}

async fn errors_keep_their_code_and_causes(way: Way) {
    let world = way.plugin().await.make::<dyn Environment>("works", json!({})).await;
    let error = say(&world, "refuse").await.unwrap_err();
    let expected = Error::new(Code::NotFound, "no such thing").because(Error::other("the shelf is empty"));
    assert_eq!(error, expected.retryable());
    // Any standard error, with `?`.
    let error = say(&world, "parse seven").await.unwrap_err();
    assert_eq!(error, Error::other("invalid digit found in string"));
}

async fn live(world: &Arc<dyn Environment>) -> String {
    say(world, "live").await.unwrap()
}

async fn withdrawn_calls_are_dropped(way: Way) {
    let world = way.plugin().await.make::<dyn Environment>("works", json!({})).await;
    let calls = (0..8).map(|_| {
        let world = world.clone();
        tokio::spawn(async move { say(&world, "wait").await })
    });
    let calls: Vec<_> = calls.collect();
    until("all wait", || async { live(&world).await == "8" }).await;
    assert!(timeout(Duration::from_millis(20), say(&world, "sleep 60000")).await.is_err());
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    until("all are dropped", || async { live(&world).await == "0" }).await;
}

async fn a_storm_of_withdrawals_leaves_nothing_behind(way: Way) {
    let world = way.plugin().await.make::<dyn Environment>("works", json!({})).await;
    let calls = (0..3000).map(|number| {
        let world = world.clone();
        tokio::spawn(async move {
            // Some are cancelled before they start, some during their work, some at their end.
            let action = ["sleep 1", "sleep 3", "yield", "wait", "spawn x"][number as usize % 5];
            let limit = Duration::from_micros(u64::wrapping_mul(number, 2_654_435_761) % 4000);
            let _ = timeout(limit, say(&world, action)).await;
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    until("all are dropped", || async { live(&world).await == "0" }).await;
}

async fn a_call_that_never_ends_can_be_given_up(way: Way) {
    let plugin = way.plugin().await;
    let world = stress(&plugin, "never").await;
    assert!(timeout(Duration::from_millis(50), say(&world, "")).await.is_err());
    assert_eq!(world.spec().await.unwrap().name, "stress");
}

async fn the_programs_runtime_may_end_during_calls(way: Way) {
    let plugin = way.plugin().await;
    let world = plugin.make::<dyn Environment>("works", json!({})).await;
    let other = tokio::task::spawn_blocking({
        let world = world.clone();
        move || {
            let runtime = runtime();
            for number in 0..20 {
                let world = world.clone();
                runtime.spawn(async move { say(&world, ["wait", "sleep 5"][number % 2]).await });
            }
            std::thread::sleep(Duration::from_millis(5));
            runtime.shutdown_background();
        }
    });
    other.await.unwrap();
    until("all are dropped", || async { live(&world).await == "0" }).await;
}

async fn a_plugin_may_be_told_to_end_during_calls(way: Way) {
    let plugin = way.plugin().await;
    let world = plugin.make::<dyn Environment>("works", json!({})).await;
    let waiting = tokio::spawn({
        let world = world.clone();
        async move { say(&world, "wait").await }
    });
    until("it waits", || async { live(&world).await == "1" }).await;
    plugin.module.shutdown().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().code, Code::Shutdown);
    assert_eq!(say(&world, "yield").await.unwrap_err().code, Code::Shutdown);
}
