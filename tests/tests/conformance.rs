//! The kit over what ships: every built-in component keeps the rules that plugins are checked by.

use std::path::PathBuf;
use std::sync::Arc;

use forethought_conformance::{Options, Outcome, Subject, check};
use forethought_sdk::{
    api::{
        critic::NoProgress,
        registry::{Pluggable, linked},
    },
    checkpoint::Manifest,
    prelude::*,
    serde_json::{Value, from_slice, json},
};
use tokio::sync::OnceCell;
use {
    forethought_avalon as _, forethought_critic_acts as _, forethought_critic_ensemble as _,
    forethought_critic_goal_q as _, forethought_critic_judge as _, forethought_critic_retrieval as _,
    forethought_encoder_hash as _, forethought_llm_simulated as _, forethought_pddl as _,
    forethought_persuasion as _, forethought_planners as _, forethought_planners_symbolic as _,
    forethought_records as _, forethought_webshop as _,
};

/// Settings under which a component is small and quick; its defaults otherwise.
fn settings(name: &str) -> Value {
    match name {
        "environment.webshop" => json!({ "products": 60 }),
        // The kit's own planner within it asks no model.
        "planner.best-of-n" | "planner.persona" => json!({ "llm": "actor" }),
        // Searches at full size make hundreds of calls.
        "planner.lats" => json!({ "iterations": 2, "breadth": 2, "rollout": 1, "depth": 2 }),
        "planner.agent-q" | "planner.rap" => json!({ "iterations": 2, "breadth": 2, "depth": 2 }),
        "planner.q-star" => json!({ "iterations": 2, "breadth": 2 }),
        "planner.rafa" => json!({ "depth": 1 }),
        "planner.tree-of-thoughts" => json!({ "samples": 2, "evaluations": 1 }),
        "planner.cpl" => json!({ "simulations": 2, "length": 2 }),
        // The kit's world shows no domain.
        "planner.isr-llm" | "planner.llm+p" | "planner.llm-heuristic" => json!({ "domain": "blocksworld" }),
        "trainer.acts" => json!({ "steps": 40 }),
        "trainer.goal-q" => json!({ "hidden": [8], "batch": 16, "steps": 40, "evaluate_every": 20 }),
        // Where the checkpoint lies is seen to when the critic is built.
        "critic.acts"
        | "critic.goal-q"
        | "critic.regression"
        | "critic.retrieval"
        | "critic.reward-model" => {
            json!({ "model": "", "encoder": "default" })
        }
        // The kit's own critic, by any name.
        "critic.ensemble" => json!({ "members": ["critic"] }),
        "trainer.regression" | "trainer.reward-model" => json!({ "epochs": 2 }),
        _ => json!({}),
    }
}

/// Each linked component; trained critics with a checkpoint that their own trainers make first.
fn subjects() -> Vec<Subject> {
    let mut subjects = Subject::all_linked();
    for kind in ["acts", "goal-q", "regression", "retrieval", "reward-model"] {
        let name = format!("critic.{kind}");
        let trained = subjects.iter_mut().find(|subject| subject.name() == name).expect("it is linked");
        let create = trained.create.clone();
        let folder = Arc::new(tempfile::tempdir().expect("a folder can be made"));
        let model = Arc::new(OnceCell::new());
        trained.create = Arc::new(move |mut config, host| {
            let (create, folder, model) = (create.clone(), folder.clone(), model.clone());
            Box::pin(async move {
                let out = folder.path().join("critic");
                config["model"] = json!(model.get_or_try_init(|| train(kind, out, host.clone())).await?);
                create(config, host).await
            })
        });
    }
    subjects
}

async fn train(kind: &str, out: PathBuf, host: Arc<dyn Host>) -> Result<PathBuf> {
    let registration = linked()
        .find(|one| one.kind == kind && one.interface.starts_with("forethought.value_trainer"))
        .expect("it is linked");
    let trainer = (registration.create)(settings(&format!("trainer.{kind}")), host).await?;
    let trainer = <dyn CriticTrainer>::unwrap(trainer).expect("it is a trainer");
    let walk = |episode: usize| Trajectory {
        episode: format!("episode {episode}"),
        task: episode as u64,
        steps: (0..3)
            .map(|step| Step {
                state: format!("step {step}"),
                // As annotated dialogues have it, for what learns acts.
                thought: ["Derived: [left] left", "Derived: [right] right"][episode % 2].into(),
                next_state: format!("step {}", step + 1),
                outcomes: vec![["lost", "found"][episode % 2].into()],
                // For what learns from better and worse episodes.
                reward: if step == 2 { (episode % 2) as f64 } else { 0.0 },
                terminated: step == 2,
                ..Step::default()
            })
            .collect(),
        ..Trajectory::default()
    };
    let fit = TrainingRequest {
        trajectories: (0..12).map(walk).collect(),
        out: out.clone(),
        configuration: Some("a world".into()),
        ..TrainingRequest::default()
    };
    trainer.fit(fit.clone(), Arc::new(NoProgress)).await?;
    let config = from_slice(&std::fs::read(out.join("config.json"))?)?;
    let Manifest { split, trained_on, .. } = Manifest::of(&config)?;
    assert_eq!(trained_on, fit.trained_on(&split));
    let tasks = trained_on.expect("the request names a world").tasks;
    assert_eq!(tasks[""].len(), 12 - split.test.len(), "what is only measured on is not learned from");
    Ok(out)
}

#[tokio::test(flavor = "multi_thread")]
async fn built_in_components_conform() {
    let mut broken = Vec::new();
    for subject in subjects() {
        let Value::Object(config) = settings(&subject.name()) else { unreachable!("settings are objects") };
        // Ten thousand decisions of a planner take half a minute unoptimised; `plugin check` makes them.
        let steps = if subject.name().starts_with("planner.") { 100 } else { 1000 };
        let options = Options { config, steps, ..Options::default() };
        let begun = std::time::Instant::now();
        let report = check(&subject, &options).await;
        println!("{report}  in {:?}\n", begun.elapsed());
        let kept = report.checked.iter().filter(|checked| checked.outcome == Outcome::Passed).count();
        assert!(kept > 5, "hardly a rule was checked: {report}");
        broken.extend((!report.passed()).then(|| report.to_string()));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_built_in_world_of_tools_conforms() {
    let webshop = subjects().into_iter().find(|subject| subject.name() == "environment.webshop");
    let Value::Object(config) = json!({ "products": 60, "actions": "tools" }) else {
        unreachable!("an object")
    };
    let options = Options { config, steps: 100, ..Options::default() };
    let report = check(&webshop.expect("it is linked"), &options).await;
    let tools = report.checked.iter().find(|checked| checked.rule == "environment/tools").expect("a rule");
    assert!(report.passed() && tools.outcome == Outcome::Passed, "{report}");
}
