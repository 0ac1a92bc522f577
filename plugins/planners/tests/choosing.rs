//! Planners that choose among a model's own proposals, here with models and critics that do as the test says.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use forethought_planners::{
    act::Act, dots::Dots, grounded_decoding::GroundedDecoding, inner::Inner, plangen::PlanGen, react::React,
    read::Read, saycan::saycan, self_consistency::self_consistency,
};
use forethought_sdk::{
    api::{critic::KnownOutcome, llm::TokenLogprob},
    prelude::*,
    seed::{IndexedRandom, RngExt},
    serde::de::DeserializeOwned,
    serde_json::{Value, from_value, json},
};
use futures::executor::block_on;

/// A model that gives listed answers in order, and then those of `rule`; and a critic that values by `value`.
struct World {
    answers: Mutex<VecDeque<String>>,
    rule: fn(&ChatRequest) -> String,
    value: fn(&CriticQuery) -> f64,
    asked: Mutex<Vec<ChatRequest>>,
    card: StyleCard,
}

impl World {
    fn says(answers: &[&str]) -> Self {
        Self {
            answers: Mutex::new(answers.iter().map(ToString::to_string).collect()),
            rule: |_| panic!("the script is over"),
            value: |_| 0.5,
            asked: Mutex::default(),
            card: StyleCard::default(),
        }
    }
}

#[async_trait]
impl LlmBackend for World {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let told = self.answers.lock().unwrap().pop_front();
        let said = told.unwrap_or_else(|| (self.rule)(&request));
        // `Action: left @ -1.5`: said with this log-probability.
        let (text, logprob) = said.split_once(" @ ").unwrap_or((&said, ""));
        let logprob = logprob.parse().ok().filter(|_| request.logprobs);
        let token = |logprob| TokenLogprob { token: text.into(), logprob };
        let choice = Choice {
            text: text.into(),
            logprobs: logprob.map(token).into_iter().collect(),
            ..Default::default()
        };
        self.asked.lock().unwrap().push(request);
        Ok(Completion { choices: vec![choice], ..Completion::default() })
    }
}

#[async_trait]
impl Critic for World {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let estimate = |query: &CriticQuery| {
            let probability = (self.value)(query);
            // A negative value: it is outside the data.
            Estimate { outside: probability < 0.0, known: Some(0), ..Estimate::of(probability) }
        };
        Ok(queries.iter().map(estimate).collect())
    }
    async fn style_card(&self) -> Result<StyleCard> {
        Ok(self.card.clone())
    }
}

/// A world, and the calls that a decision may make in it.
struct Cast(Arc<World>, Option<u64>);

#[async_trait]
impl Models for Cast {
    async fn allowance(&self) -> Result<Allowance> {
        let asked = self.0.asked.lock().unwrap().len() as u64;
        Ok(Allowance { calls: self.1.map(|calls| calls.saturating_sub(asked)), ..Allowance::default() })
    }
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(self.0.clone())
    }
}

fn settings<T: DeserializeOwned>(more: Value) -> T {
    let mut settings = json!({ "llm": "actor" });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    from_value(settings).unwrap()
}

/// At a crossing, with these legal actions.
fn crossing(legal: &[&str]) -> DecisionContext {
    DecisionContext {
        turn: Turn {
            observation: Observation::text("A crossing."),
            legal_actions: legal.iter().map(ToString::to_string).collect(),
            ..Turn::default()
        },
        ..DecisionContext::default()
    }
}

fn decide(planner: &dyn Planner, world: World, context: DecisionContext) -> (Decision, Vec<ChatRequest>) {
    decide_within(planner, world, context, None)
}

fn decide_within(
    planner: &dyn Planner,
    world: World,
    context: DecisionContext,
    calls: Option<u64>,
) -> (Decision, Vec<ChatRequest>) {
    let world = Arc::new(world);
    let decision = block_on(planner.decide(context, Arc::new(Cast(world.clone(), calls)))).unwrap();
    assert!(world.answers.lock().unwrap().is_empty(), "all answers are used");
    let asked = std::mem::take(&mut *world.asked.lock().unwrap());
    (decision, asked)
}

fn purposes(asked: &[ChatRequest]) -> Vec<Purpose> {
    asked.iter().map(|request| request.purpose).collect()
}

fn prompt(request: &ChatRequest) -> &str {
    &request.messages[1].content
}

/// Whether all of these are refused when the planner is built, with the key.
fn refused<T>(built: &[(&str, Result<T>)]) {
    for (key, planner) in built {
        let error = planner.as_ref().err().unwrap_or_else(|| panic!("{key} is accepted"));
        assert!(error.code == Code::Config && error.message.contains(key), "{key}: {error}");
    }
}

const SUMMARY: &str = "State: at a crossing\nOutcome: A crossing is reached.";

/// A number that a request's seed decides.
fn drawn_by(request: &ChatRequest) -> f64 {
    seed::stream(request.seed.unwrap(), "test").random()
}

/// How many of 40 decisions, each from its own seed, are `right`; and the calls of one of them.
fn wins(planner: &dyn Planner, world: fn() -> World, legal: &[&str]) -> (usize, usize) {
    let mut calls = 0;
    let won = |seed| {
        let (decision, asked) = decide(planner, world(), DecisionContext { seed, ..crossing(legal) });
        calls = asked.len();
        decision.action.text == "right"
    };
    ((0..40).map(won).filter(|won| *won).count(), calls)
}

/// What drawing from three legal actions wins of 40.
fn random_wins() -> usize {
    let legal = ["left", "right", "ahead"];
    (0..40).filter(|seed| legal.choose(&mut seed::stream(*seed, "random")) == Some(&"right")).count()
}

#[test]
fn act_asks_for_an_action_and_nothing_else() {
    let act = Act::new(settings(json!({}))).unwrap();
    let (decision, asked) = decide(&act, World::says(&["Action: left"]), crossing(&[]));
    assert_eq!((&*decision.thought, &*decision.action.text), ("", "left"));
    assert_eq!(purposes(&asked), [Purpose::Action]);
    assert_eq!(
        prompt(&asked[0]),
        "Observation:\nA crossing.\nAct. Reply with one line:\nAction: <one action, exactly in the grammar given>"
    );
    // Asked once more, then recorded.
    let (decision, asked) = decide(&act, World::says(&["", ""]), crossing(&[]));
    assert_eq!((&*decision.action.text, asked.len(), decision.trace.faults["unread"]), ("", 2, 1));
}

#[test]
fn self_consistency_takes_the_action_of_most_samples() {
    let planner = |more| self_consistency(settings(more));
    let three = planner(json!({ "samples": 3 })).unwrap();
    let answers = ["Thought: a\nAction: left", "Thought: b\nAction: right", "Thought: c\nAction: right"];
    let (decision, asked) = decide(&three, World::says(&answers), crossing(&[]));
    assert_eq!((&*decision.thought, &*decision.action.text), ("b", "right"));
    assert_eq!(purposes(&asked), [Purpose::Action; 3]);
    assert!(asked.iter().all(|request| request.temperature == Some(0.7)));
    assert_ne!(asked[0].seed, asked[1].seed);
    refused(&[("temperature = 0", planner(json!({ "temperature": 0.0 })))]);
    assert!(
        from_value::<forethought_planners::self_consistency::SelfConsistencyConfig>(
            json!({ "llm": "actor", "samples": 0 })
        )
        .is_err()
    );

    // A model that is right half of the time, and else wrong in two ways.
    let half = || World {
        rule: |request| {
            let action = ["right", "right", "left", "ahead"][(drawn_by(request) * 4.0) as usize];
            format!("Thought: {action} it is\nAction: {action}")
        },
        ..World::says(&[])
    };
    let (one, _) = wins(&planner(json!({ "samples": 1 })).unwrap(), half, &[]);
    let (forty, calls) = wins(&planner(json!({})).unwrap(), half, &[]);
    assert!(calls == 40 && random_wins() < one && one < 30 && forty >= 38, "{one} {forty}");
}

#[test]
fn saycan_multiplies_what_the_model_says_by_what_can_be_done() {
    let planner = |more: Value| {
        let mut all = json!({ "critic": "critic", "samples": 4 });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        saycan(settings(all))
    };
    // Left is twice as likely and hardly possible; a jump is not among the skills.
    let samples = ["Action: left", "Action: jump", "Action: left", "Action: right"];
    let possible = |query: &CriticQuery| if query.thought == "left" { 0.2 } else { 0.9 };
    let world = |more: &[&str]| World { value: possible, ..World::says(&[&samples[..], more].concat()) };
    let goal = planner(json!({ "goal": "The step succeeds." })).unwrap();
    let (decision, asked) = decide(&goal, world(&[SUMMARY]), crossing(&["left", "right"]));
    assert_eq!(
        (&*decision.action.text, decision.summary.unwrap().state.as_str()),
        ("right", "at a crossing")
    );
    assert_eq!(purposes(&asked), [[Purpose::Action; 4].as_slice(), &[Purpose::Summarise]].concat());
    assert!(
        prompt(&asked[0]).contains("Skills that can be tried now:\n- left\n- right\n"),
        "{}",
        prompt(&asked[0])
    );
    let [left, right] = decision.trace.details["actions"].as_array().unwrap().as_slice() else { panic!() };
    assert_eq!((&left["action"], &left["groundings"]), (&json!("left"), &json!([0.2])));
    assert!((right["product"].as_f64().unwrap() - 0.3).abs() < 1e-9, "{right}");
    let kept: Vec<_> = decision.trace.rounds.iter().map(|round| (&*round.thought, round.kept)).collect();
    assert_eq!(kept, [("left", false), ("right", true)]);

    // Without a goal, outcomes are imagined for each skill.
    let outcomes = "Good: on the way\nBad: lost";
    let imagine = planner(json!({})).unwrap();
    let (_, asked) = decide(&imagine, world(&[SUMMARY, outcomes, outcomes]), crossing(&["left", "right"]));
    assert_eq!(purposes(&asked)[4..], [Purpose::Summarise, Purpose::Outcomes, Purpose::Outcomes]);

    // A critic without data, or that gives no number: the model's own likelihood decides, and it is counted.
    for value in [|_: &CriticQuery| -1.0, |_: &CriticQuery| f64::NAN] {
        let world = World { value, ..World::says(&[&samples[..], &[SUMMARY]].concat()) };
        let (decision, _) = decide(&goal, world, crossing(&["left", "right"]));
        assert_eq!((&*decision.action.text, decision.trace.faults["unevaluated"]), ("left", 1));
    }
    // A model that never answers in form: nothing is weighed.
    let (decision, asked) = decide(&goal, World::says(&[""; 8]), crossing(&["left", "right"]));
    assert_eq!((&*decision.action.text, asked.len(), decision.trace.faults["unread"]), ("", 8, 1));

    // With log-probabilities, which the model must offer.
    let exact = planner(json!({ "goal": "ok", "likelihood": "logprobs", "samples": 2 })).unwrap();
    assert!(block_on(exact.requires()).unwrap().logprobs);
    let says = |answers: [&str; 3]| decide(&exact, World::says(&answers), crossing(&["left", "right"]));
    let (decision, asked) = says(["Action: left @ -3.0", "Action: right @ -1.0", SUMMARY]);
    assert!(asked[0].logprobs && !asked[2].logprobs);
    let likelihood = decision.trace.details["actions"][1]["likelihood"].as_f64().unwrap();
    assert!((&*decision.action.text, (likelihood - 0.8808).abs() < 1e-4) == ("right", true), "{likelihood}");
    let (decision, _) = says(["Action: left", "Action: right @ -1.0", SUMMARY]);
    assert_eq!((&*decision.action.text, decision.trace.faults["unread"]), ("left", 1));
    refused(&[
        ("samples = 1", planner(json!({ "samples": 1 }))),
        ("samples = 0", planner(json!({ "samples": 0 }))),
        ("outcomes = 1", planner(json!({ "outcomes": 1 }))),
    ]);

    // A model that prefers what cannot be done.
    let eager = || World {
        rule: |request| match request.purpose {
            Purpose::Action if drawn_by(request) < 0.6 => "Action: left".into(),
            Purpose::Action if drawn_by(request) < 0.8 => "Action: ahead".into(),
            Purpose::Action => "Action: right".into(),
            _ => SUMMARY.into(),
        },
        value: |query| if query.thought == "right" { 0.9 } else { 0.1 },
        ..World::says(&[])
    };
    let ten = planner(json!({ "samples": 10, "goal": "The step succeeds." })).unwrap();
    let (won, calls) = wins(&ten, eager, &["left", "right", "ahead"]);
    assert!(calls == 11 && won > 30 && won > random_wins(), "{won}");
}

#[test]
fn grounded_decoding_heeds_several_critics() {
    let planner = |groundings: Value| {
        GroundedDecoding::new(settings(json!({ "samples": 2, "groundings": groundings })))
    };
    let grounding = |goal: &str, weight: f64| json!({ "critic": "critic", "goal": goal, "weight": weight });
    let says = |planner: &GroundedDecoding| {
        let value = |query: &CriticQuery| match (&*query.thought, &*query.outcome) {
            ("left", "safe") | ("right", "quick") => 0.2,
            ("left", "quick") => 0.9,
            _ => 0.6,
        };
        let world = World { value, ..World::says(&["Action: left", "Action: right", SUMMARY]) };
        // Summarised once, for both.
        let (decision, asked) = decide(planner, world, crossing(&["left", "right"]));
        assert_eq!(purposes(&asked), [Purpose::Action, Purpose::Action, Purpose::Summarise]);
        decision.action.text
    };
    let both = planner(json!([grounding("safe", 1.0), grounding("quick", 1.0)])).unwrap();
    assert_eq!(says(&both), "left");
    let careful = planner(json!([grounding("safe", 2.0), grounding("quick", 1.0)])).unwrap();
    assert_eq!(says(&careful), "right");
    refused(&[
        ("groundings = []", planner(json!([]))),
        ("groundings[0].weight = -1", planner(json!([grounding("safe", -1.0)]))),
    ]);
}

#[test]
fn read_proposes_again_until_the_advantage_is_high_enough() {
    let planner = |more: Value| {
        let mut all = json!({ "critic": "critic", "threshold": 0.2, "wait": "wait", "gamma": 1.0 });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Read::new(settings(all))
    };
    let value = |query: &CriticQuery| match (&*query.thought, &*query.outcome) {
        ("run right", "found") => 0.9,
        ("run left", "found") => 0.3,
        (_, "found") => 0.25,
        (_, _) => 0.5,
    };
    let outcomes = "Good: found\nBad: lost";
    let answers = [SUMMARY, "Thought: run left", outcomes, "Thought: run right", outcomes, "Action: right"];
    let world = |answers: &[&str]| World { value, ..World::says(answers) };
    let (decision, asked) = decide(&planner(json!({})).unwrap(), world(&answers), crossing(&[]));
    use Purpose::{Action, Judge, Outcomes, Summarise, Thought};
    assert_eq!(purposes(&asked), [Summarise, Thought, Outcomes, Thought, Outcomes, Action]);
    assert_eq!((&*decision.thought, &*decision.action.text), ("run right", "right"));
    assert!(prompt(&asked[3]).contains("than with waiting.\n+0.05: run left\n"), "{}", prompt(&asked[3]));
    let kept: Vec<_> = decision.trace.rounds.iter().map(|round| round.kept).collect();
    assert_eq!(kept, [false, true]);
    assert!(!purposes(&asked).contains(&Judge));

    // With a goal nothing is imagined. When the rounds are spent, the best is acted on.
    let goal = planner(json!({ "goal": "found", "rounds": 2, "threshold": 0.9 })).unwrap();
    let answers = [SUMMARY, "Thought: run right", "Thought: run left", "Action: right"];
    let (decision, asked) = decide(&goal, world(&answers), crossing(&[]));
    assert_eq!(
        (purposes(&asked), &*decision.thought),
        (vec![Summarise, Thought, Thought, Action], "run right")
    );

    // V by what is usual, which a style card knows.
    let usual = planner(json!({ "goal": "found", "baseline": "usual" })).unwrap();
    let known = KnownOutcome { text: "found".into(), usual: 0.6, mean_return: None };
    let card = StyleCard { outcomes: vec![known], ..StyleCard::default() };
    let answers = ["State: x", "Thought: run right", "Action: right"];
    let (decision, _) = decide(&usual, World { card, ..world(&answers) }, crossing(&[]));
    assert!((decision.trace.details["advantages"][0].as_f64().unwrap() - 0.3).abs() < 1e-9);

    // No data, or no number: the proposal is followed, and counted.
    for value in [|_: &CriticQuery| -1.0, |_: &CriticQuery| f64::NAN] {
        let world = World { value, ..World::says(&[SUMMARY, "Thought: a", outcomes, "Action: b"]) };
        let (decision, _) = decide(&planner(json!({})).unwrap(), world, crossing(&[]));
        assert_eq!((&*decision.thought, decision.trace.faults["unevaluated"]), ("a", 1));
    }
    let (decision, asked) =
        decide(&planner(json!({})).unwrap(), World::says(&[SUMMARY, "", "", "Action: b"]), crossing(&[]));
    assert_eq!((&*decision.action.text, asked.len(), decision.trace.rounds.len()), ("b", 4, 0));
    refused(&[
        ("rounds = 0", planner(json!({ "rounds": 0 }))),
        ("gamma = 0", planner(json!({ "gamma": 0.0 }))),
        ("outcomes = 1", planner(json!({ "outcomes": 1 }))),
    ]);

    // A model whose proposals know nothing.
    let guessing = || World {
        rule: |request| match request.purpose {
            Summarise => SUMMARY.into(),
            Thought => {
                let way = ["left", "right", "ahead"][(drawn_by(request) * 3.0) as usize];
                format!("Thought: run {way}")
            }
            _ => format!(
                "Action: {}",
                prompt(request).split_once("thought: run ").unwrap().1.lines().next().unwrap()
            ),
        },
        value: |query| if query.thought == "run right" { 0.9 } else { 0.25 },
        ..World::says(&[])
    };
    let (won, calls) = wins(&planner(json!({ "goal": "found" })).unwrap(), guessing, &[]);
    assert!(calls <= 6 && won > 27 && won > random_wins(), "{won}");
}

/// A planner that acts in one way.
struct Always(&'static str);

#[async_trait]
impl Planner for Always {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    async fn decide(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Decision> {
        let thought = context.environment.instructions;
        Ok(Decision { thought, action: Action::new(self.0), ..Decision::default() })
    }
}

#[test]
fn plangen_chooses_a_planner_by_its_bound_and_verifies_what_it_proposes() {
    let planner = |more: Value| {
        let of = ["left", "right", "ahead"]
            .map(|way| Inner { name: Some(way.into()), planner: Arc::new(Always(way)) });
        let mut all = json!({ "of": ["left", "right", "ahead"] });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        PlanGen::over(of.to_vec(), settings(all))
    };
    let answers = [
        "Constraint: Bears live on the left.\nConstraint: Be quick.",
        "1: 0.9\n2: 0.5\n3: 0.1",
        "Feedback: Bears.\nScore: -80",
        "Feedback: Fine.\nScore: 97",
    ];
    let (decision, asked) = decide(&planner(json!({})).unwrap(), World::says(&answers), crossing(&[]));
    assert_eq!(purposes(&asked), [Purpose::Thought, Purpose::Judge, Purpose::Judge, Purpose::Judge]);
    let decisions: Vec<_> =
        decision.trace.decisions.iter().map(|inner| (&*inner.planner, inner.taken)).collect();
    assert_eq!(decisions, [("left", false), ("right", true)]);
    assert_eq!(&*decision.action.text, "right");
    // The second was told what is wrong with the first.
    assert_eq!(
        decision.thought,
        "Constraint: Bears live on the left.\nConstraint: Be quick.\nRejected with a score of -80: left (Bears.)"
    );
    assert!(
        prompt(&asked[2]).contains("- Be quick.\n\nProposed thought: Constraint:"),
        "{}",
        prompt(&asked[2])
    );
    assert_eq!(decision.trace.details["proposals"][0]["score"], -80.0);

    // A proposal that cannot be verified has no score; the first is taken if none has.
    let never = planner(json!({ "rounds": 2, "prior": 0.0, "feedback": false })).unwrap();
    let (decision, asked) = decide(&never, World::says(&["?"; 6]), crossing(&[]));
    assert_eq!((&*decision.action.text, asked.len()), ("left", 6));
    assert_eq!((decision.trace.faults["unevaluated"], decision.trace.faults["unread"]), (1, 1));
    refused(&[
        ("of = []", PlanGen::over(Vec::new(), settings(json!({ "of": [] })))),
        ("rounds = 0", planner(json!({ "rounds": 0 }))),
        ("threshold = 101", planner(json!({ "threshold": 101.0 }))),
        ("exploration = -1", planner(json!({ "exploration": -1.0 }))),
    ]);

    // A verifier whose scores are rough: right is 40 better, and the noise is 60 wide.
    let rough = || World {
        rule: |request| {
            if request.purpose == Purpose::Thought {
                return "Constraint: Go the right way.".into();
            }
            if prompt(request).contains("suitability") {
                return "1: 0.5\n2: 0.5\n3: 0.5".into();
            }
            let right = if prompt(request).contains("Proposed action: right") { 40.0 } else { 0.0 };
            format!("Feedback: Hm.\nScore: {:.0}", right + 60.0 * drawn_by(request) - 30.0)
        },
        ..World::says(&[])
    };
    let (won, calls) = wins(&planner(json!({})).unwrap(), rough, &[]);
    assert!(calls == 7 && won > 30 && won > random_wins(), "{won}");
}

#[test]
fn dots_chooses_how_to_reason_and_then_reasons_so() {
    let dots = Dots::new(settings(json!({}))).unwrap();
    let answers =
        ["Analysis: 2 (decomposition)\nSolution: 1\nVerification: none", "Thought: so\nAction: left"];
    let (decision, asked) = decide(&dots, World::says(&answers), crossing(&[]));
    assert_eq!(purposes(&asked), [Purpose::Judge, Purpose::Action]);
    assert!(prompt(&asked[0]).contains("\nAnalysis modules:\n1: rewriting - say"), "{}", prompt(&asked[0]));
    assert!(prompt(&asked[0]).ends_with("Verification: <the number of a module, or none>"));
    assert!(prompt(&asked[1]).contains("1. decomposition: break"), "{}", prompt(&asked[1]));
    assert_eq!((&*decision.thought, &*decision.action.text), ("so", "left"));
    assert_eq!(decision.trace.details, json!({ "modules": ["decomposition", "step by step"] }));
    // No readable choice: the first module that solves, and it is recorded.
    let answers = ["Solution: 9", "Solution: none", "Thought: so\nAction: left"];
    let (decision, _) = decide(&dots, World::says(&answers), crossing(&[]));
    assert_eq!(decision.trace.details, json!({ "modules": ["step by step"] }));
    assert_eq!(decision.trace.faults["unread"], 1);
    let analysis = json!([{ "name": "a", "layer": "analysis", "instruction": "b" }]);
    refused(&[("layer = \"solution\"", Dots::new(settings(json!({ "modules": analysis }))))]);

    // A model that finds the trap only when it verifies, and knows that.
    let hasty = || World {
        rule: |request| match prompt(request).contains("self-verification: check") {
            _ if request.purpose == Purpose::Judge => "Analysis: none\nSolution: 1\nVerification: 1".into(),
            true => "Thought: the left is a trap\nAction: right".into(),
            false => "Thought: left\nAction: left".into(),
        },
        ..World::says(&[])
    };
    let (won, calls) = wins(&dots, hasty, &[]);
    assert!(calls == 2 && won == 40 && won > random_wins());
}

#[test]
fn all_of_them_stop_in_time_within_a_budget() {
    let world = || World {
        rule: |request| match (request.purpose, prompt(request)) {
            (Purpose::Summarise, _) => SUMMARY.into(),
            (Purpose::Outcomes, _) => "Good: found\nBad: lost".into(),
            (Purpose::Thought, text) if text.contains("Constraint: <") => "Constraint: Be quick.".into(),
            (Purpose::Thought, _) => "Thought: a way".into(),
            (Purpose::Judge, text) if text.contains("suitability") => "1: 0.5\n2: 0.5".into(),
            (Purpose::Judge, text) if text.contains("Solution") => {
                "Analysis: 1\nSolution: 1\nVerification: 1".into()
            }
            (Purpose::Judge, _) => "Feedback: no\nScore: 0".into(),
            _ => "Thought: a way\nAction: left".into(),
        },
        ..World::says(&[])
    };
    let critic = |more: Value| {
        let mut all = json!({ "critic": "critic" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let react =
        || Inner { name: Some("react".into()), planner: Arc::new(React::new(settings(json!({}))).unwrap()) };
    let plangen = settings(json!({ "of": ["react", "react"] }));
    let planners: [(&str, Box<dyn Planner>, usize); 6] = [
        ("act", Box::new(Act::new(settings(json!({}))).unwrap()), 1),
        ("self-consistency", Box::new(self_consistency(settings(json!({}))).unwrap()), 6),
        ("saycan", Box::new(saycan(settings(critic(json!({ "goal": "found" })))).unwrap()), 6),
        ("read", Box::new(Read::new(settings(critic(json!({ "threshold": 0.9 })))).unwrap()), 6),
        ("plangen", Box::new(PlanGen::over(vec![react(), react()], plangen).unwrap()), 6),
        ("dots", Box::new(Dots::new(settings(json!({}))).unwrap()), 2),
    ];
    for (name, planner, most) in planners {
        let (decision, asked) = decide_within(&*planner, world(), crossing(&[]), Some(6));
        assert_eq!((&*decision.action.text, asked.len()), ("left", most), "{name}");
    }
}
