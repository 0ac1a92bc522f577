//! PPDPP with a known policy.

mod dialogue;

use dialogue::{Mind, World, context, underway};
use forethought_planners::ppdpp::{Ppdpp, PpdppConfig};
use forethought_sdk::{
    prelude::*,
    serde_json::{self, Value, json},
};
use futures::executor::block_on;

fn decide(sample: bool, context: DecisionContext, mind: &Arc<Mind>) -> Result<Decision> {
    let config = json!({ "llm": "actor", "critic": "policy", "sample": sample });
    let config: PpdppConfig = serde_json::from_value(config).expect("a configuration");
    block_on(Ppdpp::new(config)?.decide(context, Arc::new(World(mind.clone()))))
}

fn speaker() -> Arc<Mind> {
    Mind::new(|_, _| "It is a fine bridge.".into())
}

#[test]
fn the_policy_chooses_and_the_model_speaks() {
    let mind = speaker();
    let decision = decide(false, underway(), &mind).unwrap();
    assert_eq!(decision.thought, "[appeal] Praise the bridge.");
    assert_eq!(decision.action.text, "It is a fine bridge.");
    let queries = mind.policy.lock().unwrap();
    assert_eq!(queries.len(), 3);
    assert_eq!((&*queries[0].state, &*queries[0].thought), ("Seller: Hello!\nBuyer: Good day.", ""));
    let asked = mind.asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].messages[1].content.contains("Current thought: [appeal] Praise the bridge."));
}

#[test]
fn acts_are_drawn_by_their_probability_if_configured() {
    let mind = speaker();
    let mut counts = [0; 3];
    for seed in 0..300 {
        let decision = decide(true, DecisionContext { seed, ..underway() }, &mind).unwrap();
        counts[["[gre", "[app", "[off"].iter().position(|act| decision.thought.starts_with(act)).unwrap()] +=
            1;
    }
    // 60, 150 and 90 are expected; four standard deviations are 28, 35 and 32.
    assert!((32..88).contains(&counts[0]) && (115..185).contains(&counts[1]), "{counts:?}");
}

#[test]
fn silence_is_asked_about_once_and_counted() {
    let asked = std::sync::atomic::AtomicU32::new(0);
    let late = Mind::new(move |_, _| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => String::new(),
        _ => "It is a fine bridge.".into(),
    });
    let decision = decide(false, underway(), &late).unwrap();
    assert_eq!(decision.action.text, "It is a fine bridge.");
    assert_eq!(decision.trace.faults, [("repeated".to_owned(), 1), ("unreadable".to_owned(), 1)].into());
    let decision = decide(false, underway(), &Mind::new(|_, _| String::new())).unwrap();
    assert_eq!((decision.action.text.as_str(), decision.trace.faults["unread"]), ("", 1));
    assert_eq!(decision.trace.recoveries.len(), 2);
}

#[test]
fn an_opening_is_one_of_the_acts_for_it() {
    let decision = decide(false, context(json!([])), &speaker()).unwrap();
    assert_eq!(decision.thought, "[greeting] Say hello.");
}

#[test]
fn environments_without_acts_are_refused_by_name() {
    let mut mute = underway();
    mute.turn.observation.data = Value::Null;
    let said = decide(false, mute, &speaker()).unwrap_err().to_string();
    assert!(said.contains("`bridges` declares no dialogue acts, and planner.ppdpp"), "{said}");
}
