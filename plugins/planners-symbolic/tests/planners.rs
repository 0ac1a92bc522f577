//! Planners that write PDDL, in worlds of kind `pddl`: with listed answers, and with a model of stated error rates.

use std::collections::VecDeque;
use std::sync::Mutex;

use forethought_pddl::{Pddl, Scripted, ScriptedConfig};
use forethought_planners_symbolic::{
    isr_llm::IsrLlm, llm_heuristic::LlmHeuristic, llm_p::LlmP, world_model::WorldModel,
};
use forethought_sdk::{
    prelude::*,
    serde_json::{Value, from_value, json},
};
use forethought_testkit::block_on;

/// A model with listed answers, and what it was asked.
#[derive(Default)]
struct Listed {
    answers: Mutex<VecDeque<String>>,
    asked: Mutex<Vec<ChatRequest>>,
}

#[async_trait]
impl LlmBackend for Listed {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let mut answers = self.answers.lock().unwrap();
        let next = || answers.pop_front().unwrap_or_else(|| panic!("one more answer, to {}", last(&request)));
        let choices = std::iter::repeat_with(next).take(request.samples as usize);
        let choices = choices.map(|text| Choice { text, ..Choice::default() }).collect();
        self.asked.lock().unwrap().push(request);
        Ok(Completion { choices, ..Completion::default() })
    }
}

/// The last message of a request.
fn last(request: &ChatRequest) -> &str {
    request.messages.last().map_or("", |message| &message.content)
}

struct Here(Arc<dyn LlmBackend>);

#[async_trait]
impl Models for Here {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
}

#[derive(Default)]
struct Played {
    decisions: Vec<Decision>,
    solved: bool,
    metrics: Value,
}

impl Played {
    fn actions(&self) -> Vec<&str> {
        self.decisions.iter().map(|decision| decision.action.text.as_str()).collect()
    }
}

/// An episode of a planner with a model.
fn play(planner: &dyn Planner, llm: Arc<dyn LlmBackend>, world: &Pddl, task: u64) -> Result<Played> {
    block_on(async {
        let models = Arc::new(Here(llm));
        let turn = world.reset(Reset { task, seed: 1 }).await?;
        let mut context =
            DecisionContext { environment: world.spec().await?, turn, ..DecisionContext::default() };
        let mut played = Played::default();
        loop {
            context.seed = seed::derive(task, &format!("step {}", context.step));
            let decision = planner.decide(context.clone(), models.clone()).await?;
            let after = world.step(decision.action.clone()).await?;
            let observation = std::mem::replace(&mut context.turn, after.turn).observation.text;
            let (thought, action) = (decision.thought.clone(), decision.action.text.clone());
            context.history.push(Exchange { observation, thought, action });
            context.step += 1;
            played.decisions.push(decision);
            if after.terminated || after.truncated {
                (played.solved, played.metrics) =
                    (after.success == Some(true), after.info["metrics"].clone());
                return Ok(played);
            }
        }
    })
}

/// The same with listed answers, all of which are used; and what the model was asked.
fn listed(planner: &dyn Planner, world: &Pddl, answers: &[&str]) -> (Played, Vec<ChatRequest>) {
    let model = Arc::new(Listed::default());
    model.answers.lock().unwrap().extend(answers.iter().map(|&answer| answer.to_owned()));
    let played = play(planner, model.clone(), world, 0).unwrap();
    assert_eq!(model.answers.lock().unwrap().len(), 0, "answers are left");
    let asked = std::mem::take(&mut *model.asked.lock().unwrap());
    (played, asked)
}

/// A planner's settings: these, and the model.
fn settings<T: forethought_sdk::serde::de::DeserializeOwned>(more: Value) -> T {
    let mut settings = json!({ "llm": "actor" });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    from_value(settings).unwrap()
}

const SWAP: &str = "(define (problem swap) (:domain blocksworld) (:objects a b)
  (:init (handempty) (ontable b) (on a b) (clear a)) (:goal (on b a)))";
const STEPS: [&str; 4] = ["unstack a b", "put-down a", "pick-up b", "stack b a"];

/// Two blocks to be exchanged.
fn swap(more: Value) -> Pddl {
    let folder = tempfile::tempdir().unwrap();
    let (domain, problem) = (folder.path().join("domain.pddl"), folder.path().join("swap.pddl"));
    std::fs::write(&domain, forethought_strips::generate::Known::Blocksworld.text()).unwrap();
    std::fs::write(&problem, SWAP).unwrap();
    let mut config = json!({ "domain": domain, "problems": [problem], "max_steps": 12 });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Pddl::new(from_value(config).unwrap()).unwrap()
}

fn generated(sizes: &[u32]) -> Pddl {
    let config = json!({ "generate": { "sizes": sizes, "seed": 5 }, "optimum": 20000 });
    Pddl::new(from_value(config).unwrap()).unwrap()
}

#[test]
fn llm_p_asks_once_and_sends_back_what_cannot_be_read() {
    let planner = LlmP::new(settings(json!({}))).unwrap();
    let world = swap(json!({ "rules": "both" }));
    let broken = SWAP.replace("(clear a)", "(free a)");
    let (played, asked) = listed(&planner, &world, &[&broken, &format!("Problem:\n```pddl\n{SWAP}\n```")]);
    assert!(played.solved);
    assert_eq!(played.actions(), STEPS);
    assert!(last(&asked[0]).contains("(:action unstack") && last(&asked[0]).contains("Problem: <(define"));
    assert!(last(&asked[1]).contains("problem:2:44: there is no predicate `free`; there are on, ontable"));
    let thoughts: Vec<_> = played.decisions.iter().map(|decision| decision.thought.as_str()).collect();
    assert_eq!(
        thoughts[..2],
        [
            "Plan:\n1. unstack a b\n2. put-down a\n3. pick-up b\n4. stack b a\nStep 1 of 4: unstack a b",
            "Step 2 of 4: put-down a"
        ]
    );
    assert_eq!(played.decisions[0].trace.details["rounds"], 1);
    // What the world shows in PDDL needs no model; actions are made as calls where they are tools.
    let world = swap(json!({ "rules": "pddl", "state": "pddl", "actions": "tools" }));
    let (played, _) = listed(&planner, &world, &[]);
    assert!(played.solved && played.decisions[0].action.calls[0].name == "unstack");
}

#[test]
fn llm_p_translates_again_where_the_world_refuses_and_acts_without_a_plan() {
    let planner = LlmP::new(settings(json!({ "domain": "blocksworld", "rounds": 0 }))).unwrap();
    let wrong = SWAP.replace("(on a b)", "(clear b)").replace("(ontable b)", "(ontable a) (ontable b)");
    // A plan that begins with a step that is not possible; no problem at all; an action without a plan; the problem.
    let down = "(define (problem now) (:domain blocksworld) (:objects a b)
      (:init (ontable b) (holding a) (clear b)) (:goal (on b a)))";
    let (played, asked) = listed(
        &planner,
        &swap(json!({})),
        &[&wrong, "I am not sure.", "Thought: so?\nAction: unstack a b", down],
    );
    assert!(played.solved);
    assert_eq!(played.actions(), [&["pick-up b"][..], &STEPS].concat());
    assert!(last(&asked[1]).contains("- Not possible: `pick-up b` needs this, which is not so: b is clear."));
    let without = &played.decisions[1];
    assert_eq!(
        without.thought,
        "No plan (the translation cannot be read: there is no `(define (problem ...) ...)`): so?"
    );
    assert_eq!(without.trace.faults["unread"], 1);
    // Where no plan is found again and again, the model acts alone.
    let once = LlmP::new(settings(json!({ "domain": "blocksworld", "rounds": 0, "attempts": 1 }))).unwrap();
    let unsolvable = SWAP.replace("(handempty)", "");
    let acts = STEPS.map(|step| format!("Action: {step}"));
    let answers: Vec<&str> = std::iter::once(&*unsolvable).chain(acts.iter().map(String::as_str)).collect();
    let (played, _) = listed(&once, &swap(json!({})), &answers);
    assert!(played.solved && played.decisions[0].trace.details["no_plan"] == "the goal cannot be reached");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let world = swap(json!({}));
    let planner = LlmP::new(settings(json!({}))).unwrap();
    let error = play(&planner, Arc::new(Listed::default()), &world, 0).err().unwrap();
    assert!(error.code == Code::Config && error.message.contains("`rules = \"both\"`"), "{error}");
    for (more, why) in [
        (json!({ "solver": { "nodes": 0 } }), "solver.nodes = 0"),
        (json!({ "solver": { "command": ["fd", "{domain}", "{problem}"] } }), "solver.command has no {plan}"),
        (json!({ "domain": "no/such.pddl" }), "the domain no/such.pddl cannot be read"),
        (json!({ "attempts": 0 }), "attempts = 0"),
    ] {
        let error = LlmP::new(settings(more)).err().unwrap();
        assert!(error.code == Code::Config && error.message.contains(why), "{error}");
    }
}

#[test]
fn isr_llm_plans_until_the_validator_agrees() {
    let planner = IsrLlm::new(settings(json!({ "domain": "blocksworld", "rounds": 2 }))).unwrap();
    let plan = |steps: &[&str]| steps.iter().map(|step| format!("({step})\n")).collect::<String>();
    let answers = [SWAP.to_owned(), plan(&STEPS[..2]), plan(&STEPS[1..]), plan(&STEPS)];
    let answers: Vec<_> = answers.iter().map(String::as_str).collect();
    let (played, asked) = listed(&planner, &swap(json!({})), &answers);
    assert_eq!(played.actions(), STEPS);
    assert!(
        last(&asked[2]).contains("Every step is possible, and the goal is not reached: (on b a) is not so")
    );
    assert!(last(&asked[3]).contains("Step 1, (put-down a), is not possible: (holding a) is not so"));
    assert_eq!(played.decisions[0].trace.details["corrections"], 2);
    // What is still wrong is followed up to its first fault, and then another plan is made.
    let one = IsrLlm::new(settings(json!({ "domain": "blocksworld", "rounds": 0 }))).unwrap();
    let now = SWAP.replace("(handempty) (ontable b) (on a b) (clear a)", "(holding a) (ontable b) (clear b)");
    let (first, second) = (plan(&[STEPS[0], STEPS[2]]), plan(&STEPS[1..]));
    let (played, _) = listed(&one, &swap(json!({})), &[SWAP, &first, &now, &second]);
    assert_eq!(played.actions(), STEPS);
}

#[test]
fn a_written_domain_is_corrected_by_the_world() {
    let planner = WorldModel::new(settings(json!({}))).unwrap();
    let domain = forethought_strips::generate::Known::Blocksworld.text();
    let careless = domain.replace("(and (clear ?x) (ontable ?x) (handempty))", "(ontable ?x)");
    let stuck = domain.replace("(on ?x ?y)))\n  (:action unstack", "(clear ?x)))\n  (:action unstack");
    assert!(careless != domain && stuck != domain);
    // Rules by which the goal cannot be reached; rules that the world refuses; the rules.
    let (played, asked) = listed(&planner, &swap(json!({})), &[&stuck, SWAP, &careless, SWAP, domain, SWAP]);
    assert!(played.solved);
    assert_eq!(played.actions(), [&["pick-up b"][..], &STEPS].concat());
    assert!(last(&asked[2]).contains("With the rules that you wrote before, the goal cannot be reached."));
    assert!(
        last(&asked[4])
            .contains("refused:\n- Not possible: `pick-up b` needs this, which is not so: b is clear.")
    );
}

#[test]
fn the_best_of_several_written_heuristics_is_used() {
    let planner = LlmHeuristic::new(settings(json!({ "domain": "blocksworld", "candidates": 3 }))).unwrap();
    let answers =
        [SWAP, "Heuristic: (depth)", "Heuristic: (goals)", "Heuristic:\n(+ (goals) (count (on ?x ?y)))"];
    let (played, asked) = listed(&planner, &swap(json!({})), &answers);
    assert!(played.solved && asked.len() == 2 && asked[1].samples == 3);
    let tried = &played.decisions[0].trace.details["heuristics"];
    assert!(tried[0]["fault"].as_str().unwrap().starts_with("heuristic:1:1: `depth` is not an operation"));
    assert_eq!(tried[1]["result"]["steps"], 4);
}

#[test]
fn with_a_model_of_stated_error_rates_validators_and_searches_help() {
    let (world, tasks) = (generated(&[3, 4]), 12);
    let model = |more: Value| -> Arc<dyn LlmBackend> {
        Arc::new(Scripted::new(from_value::<ScriptedConfig>(more).unwrap()).unwrap())
    };
    let won = |planner: &dyn Planner, model: &Arc<dyn LlmBackend>| {
        (0..tasks).filter(|task| play(planner, model.clone(), &world, *task).unwrap().solved).count()
    };
    let base = |more: Value| {
        let mut all = json!({ "domain": "blocksworld" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let perfect = model(json!({ "facts": 0, "syntax": 0, "steps": 0, "rules": 0, "heuristics": 0 }));
    let llm_p = LlmP::new(settings(base(json!({})))).unwrap();
    let planners: [&dyn Planner; 4] = [
        &llm_p,
        &IsrLlm::new(settings(base(json!({})))).unwrap(),
        &WorldModel::new(settings(json!({}))).unwrap(),
        &LlmHeuristic::new(settings(base(json!({})))).unwrap(),
    ];
    for planner in planners {
        assert_eq!(won(planner, &perfect), tasks as usize);
    }
    // Plans of the search are shortest.
    let played = play(&llm_p, perfect, &world, 3).unwrap();
    assert_eq!(played.metrics["extra"], 0.0);
    // A translator that errs loses; a model that plans badly is helped by a validator.
    let bad = model(json!({ "facts": 0.5, "syntax": 0, "steps": 1 }));
    assert!(won(&llm_p, &bad) < tasks as usize / 2);
    let hasty = model(json!({ "facts": 0, "syntax": 0, "steps": 0.4, "corrected": 0.9 }));
    let [without, with] = [0, 3].map(|rounds| {
        let planner = IsrLlm::new(settings(base(json!({ "rounds": rounds })))).unwrap();
        let corrected = |task: u64| {
            play(&planner, hasty.clone(), &world, task).unwrap().decisions[0].trace.details.clone()
        };
        (0..tasks)
            .filter(|task| corrected(*task)["fault"].is_null() && corrected(*task)["no_plan"].is_null())
            .count()
    });
    assert!(with > without + 3, "{with} and {without}");
}
