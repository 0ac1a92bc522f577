//! GDP-Zero with stand-ins for language models.

mod dialogue;

use dialogue::{Mind, World, context, underway};
use forethought_planners::gdp_zero::{GdpZero, GdpZeroConfig};
use forethought_sdk::{
    prelude::*,
    serde_json::{self, Value, json},
};
use futures::executor::block_on;

fn decide(config: Value, context: DecisionContext, mind: &Arc<Mind>) -> Result<Decision> {
    let config: GdpZeroConfig = serde_json::from_value(config).expect("a configuration");
    let planner = GdpZero::new(config)?;
    block_on(planner.decide(context, Arc::new(World(mind.clone()))))
}

/// One of these at random.
fn one_of(choices: &[&str], rng: &mut seed::ChaCha8Rng) -> String {
    choices[seed::RngExt::random_range(rng, 0..choices.len())].to_owned()
}

/// A seller that prefers appeals, and a buyer that accepts an immediate offer in the right words.
fn eager() -> Arc<Mind> {
    Mind::new(|text, rng| {
        if text.contains("can choose from") {
            return one_of(&["[appeal]", "[appeal]", "[offer]", "no idea"], rng);
        }
        if text.contains("Current thought: [") {
            let act = text.split("Current thought: [").nth(1).and_then(|rest| rest.split(']').next());
            return format!("Seller: words of {} {}", act.expect("an act"), one_of(&["one", "two"], rng));
        }
        let convinced = text.contains("Good day.\nSeller: words of offer two");
        if convinced { "[buys] It is mine!" } else { "[doubts] Hm." }.into()
    })
}

#[test]
fn it_says_the_best_realisation_of_the_act_most_often_visited() {
    let mind = eager();
    let decision = decide(json!({ "llm": "actor", "simulations": 60 }), underway(), &mind).unwrap();
    assert_eq!(decision.thought, "[offer] Name a price.");
    assert_eq!(decision.action.text, "words of offer two");
    let acts = decision.trace.details["acts"].as_array().unwrap();
    assert_eq!(acts.len(), 3);
    let visits: u64 = acts.iter().map(|act| act["visits"].as_u64().unwrap()).sum();
    assert_eq!(visits, 59, "the first simulation looks at the root alone");
    let offer = &acts[2];
    assert!(offer["visits"].as_u64() > acts[1]["visits"].as_u64(), "{acts:?}");
}

#[test]
fn priors_are_smoothed_shares_of_what_the_model_would_choose() {
    let mind = eager();
    let decision = decide(json!({ "llm": "actor", "simulations": 1 }), underway(), &mind).unwrap();
    let priors: Vec<f64> = decision.trace.details["acts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|act| act["prior"].as_f64().unwrap())
        .collect();
    assert!((priors.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{priors:?}");
    // Nobody chose to greet again: one of the answers that could be read, and one for each of three acts.
    let read = 1.0 / priors[0] - 3.0;
    assert!(priors[0] > 0.0 && (read - read.round()).abs() < 1e-9 && read <= 15.0, "{priors:?}");
    assert!(priors[1] > priors[2]);
    // The most likely act, because one simulation visits none.
    assert!(decision.action.text.starts_with("words of appeal"), "{}", decision.action.text);
    let samples: Vec<u32> = mind.asked.lock().unwrap().iter().map(|request| request.samples).collect();
    assert_eq!(samples, [15, 10, 1], "prior, value, and an utterance");
}

#[test]
fn the_other_side_is_asked_as_what_this_seat_knows_of_it() {
    let mind = eager();
    decide(json!({ "llm": "actor", "simulations": 2 }), underway(), &mind).unwrap();
    let asked = mind.asked.lock().unwrap();
    let value = &asked[1];
    assert_eq!(
        (value.purpose, value.temperature, value.max_tokens),
        (Purpose::Persona, Some(1.1), Some(128))
    );
    assert!(value.messages[0].content.ends_with("You are the buyer. Somebody who likes bridges."));
    let prompt = &value.messages[1].content;
    assert!(prompt.contains("Seller: Hello!\nBuyer: Good day.\nSeller: Will you buy it?\n"), "{prompt}");
    assert!(prompt.contains("[walks away]\n[doubts]\n[listens]\n[buys]"), "{prompt}");
    assert!(
        !asked
            .iter()
            .any(|request| request.messages[0].content.contains("You are the buyer, said the world."))
    );
}

#[test]
fn only_the_acts_for_openings_are_tried_at_the_beginning() {
    let mind = eager();
    let decision = decide(json!({ "llm": "actor", "simulations": 5 }), context(json!([])), &mind).unwrap();
    assert_eq!(decision.thought, "[greeting] Say hello.");
    assert_eq!(decision.trace.details["acts"].as_array().unwrap().len(), 1);
    assert!(mind.asked.lock().unwrap()[0].messages[1].content.starts_with("Nothing has been said yet."));
}

/// With such a model the reference implementation makes 41.6 calls per turn at 10 simulations, and 232 at 50.
#[test]
fn requests_per_turn_are_about_as_many_as_the_reference_makes() {
    for (simulations, low, high) in [(10, 38, 45), (20, 80, 98), (50, 200, 260)] {
        let mind = Mind::new(|text, rng| {
            if text.contains("can choose from") {
                one_of(&["[greeting]", "[appeal]", "[offer]"], rng)
            } else if text.contains("Current thought: [") {
                rand_words(rng).to_string()
            } else {
                one_of(&["[walks away]", "[doubts]", "[listens]", "[doubts]", "[buys]"], rng)
            }
        });
        let mut requests = 0;
        for turn in 0..20 {
            let context = DecisionContext { seed: turn, ..underway() };
            let decision =
                decide(json!({ "llm": "actor", "simulations": simulations }), context, &mind).unwrap();
            requests += decision.trace.details["requests"].as_u64().unwrap();
        }
        assert_eq!(requests, mind.asked.lock().unwrap().len() as u64);
        let mean = requests as f64 / 20.0;
        println!("{simulations} simulations: {mean} requests per turn");
        assert!((f64::from(low)..f64::from(high)).contains(&mean), "{simulations}: {mean}");
    }
}

fn rand_words(rng: &mut seed::ChaCha8Rng) -> u64 {
    seed::RngExt::random(rng)
}

#[test]
fn sequences_of_acts_keep_three_realisations_at_most() {
    // Two acts and a partner who never decides: the same sequences come up again and again.
    let mind = Mind::new(|text, rng| {
        if text.contains("Current thought: [") { rand_words(rng).to_string() } else { "[doubts] Hm.".into() }
    });
    let config = json!({ "llm": "actor", "simulations": 200, "exploration": 50.0, "realisations": 3 });
    let mut context = underway();
    context.turn.observation.data["dialogue"]["acts"].as_array_mut().unwrap().truncate(2);
    decide(config, context, &mind).unwrap();
    let asked = mind.asked.lock().unwrap();
    let from_root = |request: &&ChatRequest| {
        let text = &request.messages[1].content;
        text.contains("Current thought: [appeal]") && text.matches("Seller: ").count() == 1
    };
    assert_eq!(asked.iter().filter(from_root).count(), 3);
}

#[test]
fn environments_without_acts_are_refused_by_name() {
    let mind = eager();
    let refused = |context| decide(json!({ "llm": "actor" }), context, &mind).unwrap_err().to_string();
    let mut mute = underway();
    mute.turn.observation.data = Value::Null;
    assert!(
        refused(mute)
            .contains("`bridges` declares no dialogue acts, and planner.gdp-zero chooses among them")
    );
    let mut valueless = underway();
    valueless.turn.observation.data["dialogue"]["replies"] = json!([]);
    assert!(refused(valueless).contains("planner.ppdpp"));
    let mut broken = underway();
    broken.turn.observation.data["dialogue"]["acts"] = json!("many");
    assert!(refused(broken).contains("declares a malformed dialogue"));
    let error = decide(json!({ "llm": "actor", "simulations": 0 }), underway(), &mind).unwrap_err();
    assert!(error.message.contains("simulations = 0"));
    assert!(mind.asked.lock().unwrap().is_empty());
}
