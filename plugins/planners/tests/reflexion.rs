//! Reflexion against scripted models: trials in copies of the world, and what is remembered of them.

use std::sync::Arc;

use forethought_planners::{
    inner::Inner,
    react::React,
    reflexion::{MARKER, Reflexion},
};
use forethought_sdk::{
    prelude::*,
    serde_json::{Value, from_value, json},
};
use worlds::{ACTIONS, Model, STEPS, Vault, any, play, play_within, text};

mod worlds;

/// Reflexion over ReAct.
fn reflexion(config: Value) -> Result<Reflexion> {
    let react = React::new(from_value(json!({ "llm": "actor" })).unwrap())?;
    let mut settings = json!({ "inner": "react", "llm": "actor" });
    settings.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    Reflexion::over(
        Inner { name: Some("react".into()), planner: Arc::new(react) },
        from_value(settings).unwrap(),
    )
}

/// What a prompt says was learned.
fn lessons(prompt: &str) -> Vec<&str> {
    prompt.lines().filter_map(|line| line.strip_prefix("- ")).collect()
}

#[test]
fn after_a_failed_trial_the_model_reflects_and_the_episode_follows_the_reflection() {
    // It opens the chest, unless it has learned what is in there.
    let model = Model::new(|request| {
        let prompt = text(request);
        match request.purpose {
            Purpose::Reflect => "Reflection: The chest is a trap.\nTake the key first.".into(),
            _ if lessons(&prompt).is_empty() => "Thought: gold!\nAction: open chest".into(),
            _ => {
                assert_eq!(
                    lessons(&prompt),
                    ["The chest is a trap. Take the key first."],
                    "said once: {prompt}"
                );
                let done = prompt.matches("\nAction: ").count() - 1;
                format!("Thought: step {done}\nAction: {}", STEPS[done])
            }
        }
    });
    let played = play(&reflexion(json!({})).unwrap(), model.clone(), &Vault::world(9), 1).unwrap();
    assert_eq!((played.actions(), played.solved), (STEPS.to_vec(), true));
    // A trial that fails, one that succeeds, and the episode.
    use Purpose::*;
    let trials = [vec![Action, Reflect], vec![Action; 3]].concat();
    assert_eq!(model.take_asked(), [trials, vec![Action; 3]].concat());
    let first = &played.decisions[0];
    assert_eq!(
        first.trace.details["trials"],
        json!([
            { "actions": ["open chest"], "solved": false, "reflection": "The chest is a trap. Take the key first." },
            { "actions": STEPS, "solved": true },
        ])
    );
    // The reflections are kept in the first thought, and are read from there.
    assert_eq!(first.thought, format!("step 0\n\n{MARKER}\n- The chest is a trap. Take the key first."));
    assert_eq!(played.decisions[1].thought, "step 1");
    let asked: Vec<_> = first.trace.decisions.iter().map(|inner| &*inner.action).collect();
    assert_eq!(asked, ["take key"]);
}

#[test]
fn trials_and_memory_are_limited_and_a_reflection_that_cannot_be_read_is_left_out() {
    let played = |config: Value, reflection: &'static str| {
        let model = Model::new(move |request| match request.purpose {
            Purpose::Reflect => format!("{reflection}{}", text(request).matches("\n- ").count()),
            _ => "Thought: wait\nAction: wait".into(),
        });
        let played = play(&reflexion(config).unwrap(), model.clone(), &Vault::world(2), 1).unwrap();
        (played, model.take_asked().len())
    };
    let (all, calls) = played(json!({ "trials": 4, "memory": 2 }), "Reflection: number ");
    assert_eq!(calls, 3 * (2 + 1) + 2);
    // Each says how many it was shown; the first one is forgotten.
    assert_eq!(all.decisions[0].thought, format!("wait\n\n{MARKER}\n- number 1\n- number 2"));
    let (short, calls) = played(json!({ "trials": 2, "max_steps": 1 }), "Reflection: number ");
    assert_eq!((calls, short.decisions[0].thought.lines().count()), (1 + 1 + 2, 4));
    assert_eq!(played(json!({ "trials": 1 }), "").1, 2);
    let (unread, calls) = played(json!({ "trials": 2 }), "Well. ");
    assert_eq!((calls, &*unread.decisions[0].thought), (2 + 2 + 2, "wait"));
    assert_eq!(unread.decisions[0].trace.faults["unread"], 1);

    for (config, key) in [(json!({ "trials": 0 }), "trials"), (json!({ "memory": 0 }), "memory")] {
        let error = reflexion(config).err().unwrap();
        assert!(error.code == Code::Config && error.message.starts_with(key), "{error}");
    }
}

#[test]
fn reflections_win_where_acting_at_random_does_not() {
    // A model that knows nothing but what it has learned: it does not repeat what a reflection names.
    let wins = |trials: usize| {
        let planner = reflexion(json!({ "trials": trials })).unwrap();
        let won = |seed: &u64| {
            let model = Model::new(|request| {
                let prompt = text(request);
                if request.purpose == Purpose::Reflect {
                    let fatal = prompt.lines().rev().find_map(|line| line.strip_prefix("Action: "));
                    return format!("Reflection: never {}", fatal.unwrap_or_default());
                }
                let known = lessons(&prompt);
                let open = |action: &&str| !known.contains(&&*format!("never {action}"));
                let open: Vec<_> = ACTIONS.into_iter().filter(open).collect();
                format!("Thought: a guess\nAction: {}", any(&open, request))
            });
            play(&planner, model, &Vault::world(12), *seed).unwrap().solved
        };
        (0..40).filter(won).count()
    };
    let (random, reflected) = (wins(1), wins(3));
    assert!(reflected >= 20 && random <= 10, "{reflected} against {random} of 40");
}

#[test]
fn trials_end_in_time_to_act_within_the_budget() {
    let played = |calls: u64| {
        let model = Model::new(|request| match request.purpose {
            Purpose::Reflect => "Reflection: look before you leap".into(),
            _ => "Thought: wait\nAction: wait".into(),
        });
        let planner = reflexion(json!({})).unwrap();
        let played = play_within(Some(calls), &planner, model.clone(), &Vault::world(3), 1).unwrap();
        // Of the first decision: the rest is ReAct's.
        (played.decisions[0].trace.details.clone(), model.take_asked().len() - 2)
    };
    // Every answer may have to be asked for twice, and a decision is left at the end.
    assert_eq!(played(4), (Value::Null, 1));
    let cut = json!({ "actions": ["wait", "wait"], "solved": false, "reflection": "look before you leap" });
    assert_eq!(played(6), (json!({ "trials": [cut] }), 4));
    assert_eq!(played(20).1, 2 * (3 + 1) + 1);
}

#[test]
fn a_world_of_several_seats_or_without_copies_is_refused() {
    let needs = futures::executor::block_on(reflexion(json!({})).unwrap().requires()).unwrap();
    assert!(needs.fork && needs.planners.len() == 1);
    let seats = vec![SeatSpec::default(); 2];
    let environment = EnvironmentSpec { name: "avalon".into(), seats, ..EnvironmentSpec::default() };
    let context = DecisionContext { environment, ..DecisionContext::default() };
    struct None;
    impl Models for None {}
    let refused = |context| {
        let planner = reflexion(json!({})).unwrap();
        futures::executor::block_on(planner.decide(context, Arc::new(None))).unwrap_err().to_string()
    };
    assert!(refused(context).contains("`avalon` has 2"));
    assert!(refused(DecisionContext::default()).contains("cannot be copied"));
}
