//! How thoughts are weighed: a critic's words and yardsticks in the prompts, abstention, comparison, gates, and the
//! control without a critic.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use forethought_planners::{
    imagine::ImagineOnly,
    pnlc::{Pnlc, PnlcPrompts},
    prompts::Prompts,
};
use forethought_sdk::{
    api::critic::KnownOutcome,
    prelude::*,
    serde_json::{Value, from_value, json},
};
use futures::executor::block_on;

/// A model that gives listed answers in order and keeps the prompts, and a critic with a style card or without.
struct World {
    answers: Mutex<VecDeque<String>>,
    asked: Mutex<Vec<(Purpose, String)>>,
    card: StyleCard,
}

#[async_trait]
impl LlmBackend for World {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.asked.lock().unwrap().push((request.purpose, request.messages[1].content.clone()));
        let text = self.answers.lock().unwrap().pop_front();
        let text = text.ok_or_else(|| Error::other("the script is over"))?;
        Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], ..Completion::default() })
    }
}

/// It knows of treasures, likelier with a torch, and of bears; pits are outside its data.
#[async_trait]
impl Critic for World {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let estimate = |query: &CriticQuery| {
            let known = ["treasure", "bear"].iter().position(|word| query.outcome.contains(word));
            let probability = if known == Some(0) && query.thought.contains("torch") { 0.9 } else { 0.25 };
            let known = known.map(|known| known as u32);
            let distance = Some(if query.outcome.contains("dragon") { 0.97 } else { 0.2 });
            let outside = known.is_none() && !query.outcome.contains("dragon");
            Estimate { known, outside, distance, uncertainty: 0.03, ..Estimate::of(probability) }
        };
        Ok(queries.iter().map(estimate).collect())
    }
    async fn style_card(&self) -> Result<StyleCard> {
        Ok(self.card.clone())
    }
}

struct Cast(Arc<World>);

#[async_trait]
impl Models for Cast {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(self.0.clone())
    }
}

fn card() -> StyleCard {
    let known = |text: &str, usual, mean_return| KnownOutcome { text: text.into(), usual, mean_return };
    StyleCard {
        outcomes: vec![known("The treasure is found.", 0.31, Some(0.74)), known("A bear comes.", 0.2, None)],
        states: vec!["I am before a cave.".into()],
        thoughts: vec!["Light a torch.".into()],
    }
}

/// A decision in a cave with these answers, and the prompts that were sent.
fn decide(
    planner: &dyn Planner,
    card: StyleCard,
    context: DecisionContext,
    answers: &[&str],
) -> (Decision, Vec<(Purpose, String)>) {
    let answers = Mutex::new(answers.iter().map(|answer| (*answer).to_owned()).collect());
    let world = Arc::new(World { answers, asked: Mutex::default(), card });
    let decision = block_on(planner.decide(context, Arc::new(Cast(world.clone())))).unwrap();
    assert!(world.answers.lock().unwrap().is_empty(), "all answers are used");
    let asked = std::mem::take(&mut *world.asked.lock().unwrap());
    (decision, asked)
}

fn cave() -> DecisionContext {
    DecisionContext {
        environment: EnvironmentSpec { instructions: "Find the treasure.".into(), ..Default::default() },
        turn: Turn { observation: Observation::text("A cave."), ..Turn::default() },
        ..DecisionContext::default()
    }
}

fn pnlc(config: Value) -> Pnlc {
    let mut settings = json!({ "llm": "actor", "critic": "critic" });
    settings.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    Pnlc::new(from_value(settings).unwrap()).unwrap()
}

fn faults(decision: &Decision) -> Vec<(&str, u32)> {
    decision.trace.faults.iter().map(|(key, count)| (key.as_str(), *count)).collect()
}

const SUMMARY: &str = "State: I am before a cave.\nOutcome: A cave was found.";
const OUTCOMES: &str = "Good: The treasure is found.\nBad: A bear comes.";
const KEEP: &str = "Decision: keep\nThought: rush in";
const CANDIDATES: &str =
    "Thought: rush in\nThought: light a torch\nGood: treasure is found\nGood: A pit.\nBad: A bear comes.";

#[test]
fn without_a_card_the_prompts_are_those_of_release_0_1_0() {
    let answers = [SUMMARY, "Thought: rush in", OUTCOMES, KEEP, "Action: enter"];
    let (decision, asked) =
        decide(&pnlc(json!({ "abstain": false })), StyleCard::default(), cave(), &answers);
    let prompts: Vec<_> = asked.iter().map(|(_, prompt)| prompt.as_str()).collect();
    assert_eq!(
        prompts,
        [
            "Observation:\nA cave.\nDescribe where things stand in \
             short: only what matters for what to do next. Then say \
             in one sentence what has been reached, as if it were an outcome imagined beforehand. Reply with two \
             lines:\nState: <a compact description>\nOutcome: <one sentence>",
            "Observation:\nA cave.\nWhat is your strategy now? Do not act yet. Reply with one line:\nThought: <a short \
             private strategy>",
            "Observation:\nA cave.\nIn short: I am before a cave.\n\nCurrent thought: rush in\n\nImagine 4 outcomes that \
             following this thought may lead to, in this state or later: 2 good and 2 bad ones. Describe each as a state \
             of affairs, in one short sentence. Reply with one line an outcome:\nGood: <a desirable outcome>\nBad: <an \
             undesirable outcome>",
            "Observation:\nA cave.\nIn short: I am before a cave.\n\nCurrent thought: rush in\nHow likely a critic that \
             has seen many episodes holds its outcomes to be:\nGood outcomes:\n0.25: The treasure is found.\nBad \
             outcomes:\n0.25: A bear comes.\n\nGiven this evaluation, keep the current thought or write a better one. \
             Reply with two lines:\nDecision: <keep or revise>\nThought: <the thought that you will follow>",
            "Observation:\nA cave.\nCurrent thought: rush in\n\nCarry out this thought. Reply with one line:\nAction: <one \
             action, exactly in the grammar given>",
        ]
    );
    assert_eq!(decision.summary.unwrap().outcome, "A cave was found.");
    assert_eq!(decision.trace.details, Value::Null);
}

#[test]
fn a_style_card_is_shown_where_the_model_speaks_to_the_critic() {
    let answers = [
        "State: I am before a cave.",
        "Thought: Light a torch.",
        "Good: All the treasure is mine.\nGood: A pit.\nBad: A bear comes.",
        "Decision: keep\nThought: Light a torch.",
        "Action: light torch",
    ];
    let (decision, asked) = decide(&pnlc(json!({})), card(), cave(), &answers);
    let [summarise, thought, outcomes, refine, action] = &asked[..] else { panic!("{asked:?}") };
    // One blank line between what is seen and what is asked.
    let begins = |prompt: &str, list: &str| {
        let list = format!("Observation:\nA cave.\n\nWords of earlier episodes, for {list}\n\n");
        assert!(prompt.starts_with(&list), "{prompt}");
    };
    begins(&summarise.1, "states:\n- I am before a cave.");
    begins(&thought.1, "strategies:\n- Light a torch.");
    assert!(summarise.1.ends_with("Reply with one line:\nState: <a compact description>"), "{}", summarise.1);
    assert!(
        outcomes.1.contains("for outcomes:\n- The treasure is found.\n- A bear comes.\n\nImagine 4 outcomes")
    );
    assert!(outcomes.1.contains("Leave out what is already so."), "{}", outcomes.1);
    // Yardsticks where they are known, and no number where it would mean nothing.
    let numbers = "Good outcomes:\n0.90 (usual here 0.31, episodes that reached it scored 0.74 on average): All the \
                   treasure is mine.\nno data: A pit.\nBad outcomes:\n0.25 (usual here 0.20): A bear comes.\n";
    assert!(refine.1.contains(numbers), "{}", refine.1);
    assert!(!action.1.contains("Words of earlier"));

    let [round] = &decision.trace.rounds[..] else { panic!("one round") };
    assert_eq!(round.outcomes[0].known_as.as_deref(), Some("The treasure is found."));
    assert_eq!((round.outcomes[2].known_as.as_deref(), round.outcomes[2].usual), (None, Some(0.2)));
    assert!(round.outcomes[1].outside && round.kept);
    // A collector makes a summary with an outcome of its own; the critic's state is in the trace.
    assert_eq!(decision.summary, None);
    assert_eq!(decision.trace.details, json!({ "state": "I am before a cave." }));

    // Each part has its key.
    let off = pnlc(json!({ "style": false, "yardstick": false, "abstain": false }));
    let (_, asked) = decide(&off, card(), cave(), &[SUMMARY, answers[1], answers[2], answers[3], answers[4]]);
    assert!(asked.iter().all(|(_, prompt)| !prompt.contains("Words of earlier")));
    assert!(
        asked[3].1.contains("0.90: All the treasure is mine.\n0.25: A pit.\nBad outcomes:\n0.25: A bear")
    );
}

#[test]
fn without_any_data_refinement_is_skipped_and_counted() {
    let pits = "Good: No pit.\nBad: A pit.";
    let (decision, asked) =
        decide(&pnlc(json!({})), StyleCard::default(), cave(), &[SUMMARY, "Thought: a", pits, "Action: act"]);
    assert_eq!((asked.len(), faults(&decision)), (4, vec![("abstained", 1)]));
    assert!(decision.trace.rounds[0].kept);
    let candidates = format!("Thought: a\nThought: b\n{pits}");
    let compare = pnlc(json!({ "mode": "compare" }));
    let (decision, _) =
        decide(&compare, StyleCard::default(), cave(), &[SUMMARY, &candidates, "Action: act"]);
    assert_eq!((decision.thought.as_str(), faults(&decision)), ("a", vec![("abstained", 1)]));
}

#[test]
fn thoughts_are_compared_by_one_list_of_outcomes() {
    let compare = pnlc(json!({ "mode": "compare", "thoughts": 2, "outcomes": 3 }));
    let answers = ["State: I am before a cave.", CANDIDATES, "Choice: 2\nAction: light torch"];
    let (decision, asked) = decide(&compare, card(), cave(), &answers);
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("light a torch", "light torch"));
    let rounds = &decision.trace.rounds;
    let seen: Vec<_> = rounds.iter().map(|round| (round.thought.as_str(), round.kept)).collect();
    assert_eq!(seen, [("rush in", false), ("light a torch", true)]);
    let values: Vec<_> = rounds.iter().map(|round| round.outcomes[0].probability).collect();
    assert_eq!(values, [0.25, 0.9]);

    let purposes: Vec<_> = asked.iter().map(|(purpose, _)| *purpose).collect();
    assert_eq!(purposes, [Purpose::Summarise, Purpose::Outcomes, Purpose::Action]);
    assert!(asked[1].1.contains("Consider 2 strategies") && asked[1].1.contains("Imagine 3 outcomes"));
    let table = "Thought 1: rush in\nThought 2: light a torch\n\nHow likely a critic that has seen many episodes holds \
                 each outcome to be, with one column for each thought, in order:\nGood outcomes:\n| 0.25 | 0.90 | treasure \
                 is found (usual here 0.31, episodes that reached it scored 0.74 on average) |\n| no data | no data | A \
                 pit. |\nBad outcomes:\n| 0.25 | 0.25 | A bear comes. (usual here 0.20) |\n\nChoose";
    assert!(asked[2].1.contains(table), "{}", asked[2].1);

    // A choice that cannot be read twice: the first thought, and an action for it.
    let answers = [SUMMARY, CANDIDATES, "Choice: 7\nAction: x", "Sure!", "Action: enter"];
    let (decision, asked) = decide(&compare, StyleCard::default(), cave(), &answers);
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("rush in", "enter"));
    assert!(asked[3].0 == Purpose::Action && asked[4].1.contains("Current thought: rush in"));
    assert_eq!(faults(&decision), [("repeated", 1), ("unread", 1), ("unreadable", 2)]);
    // Outcomes that cannot be read twice: nothing is weighed.
    let answers = [SUMMARY, "Thought: a\nThought: b", "Thought: c\nThought: d", "Action: act"];
    let (decision, _) = decide(&compare, StyleCard::default(), cave(), &answers);
    assert_eq!((decision.thought.as_str(), decision.trace.faults["unevaluated"]), ("c", 1));
}

#[test]
fn gates_save_calls_and_are_named_in_the_trace() {
    // One legal action: nothing is asked.
    let mut single = cave();
    single.turn.legal_actions = vec!["enter".into()];
    let (decision, asked) = decide(&pnlc(json!({ "skip_single": true })), card(), single.clone(), &[]);
    assert_eq!((decision.action.text.as_str(), asked.len()), ("enter", 0));
    assert_eq!(decision.trace.details["gate"], "skip_single");
    single.turn.legal_actions.push("leave".into());
    let full = [SUMMARY, "Thought: rush in", OUTCOMES, KEEP, "Action: enter"];
    let skip = pnlc(json!({ "skip_single": true, "style": false }));
    assert_eq!(decide(&skip, card(), single, &full).0.trace.details, Value::Null);

    // A thought that is not carried out yet is followed, as often as allowed.
    let followed = |times: usize| {
        let step =
            Exchange { thought: "go in, then left".into(), action: "enter".into(), ..Exchange::default() };
        DecisionContext { history: vec![step; times], ..cave() }
    };
    let keep = pnlc(json!({ "keep_plan": 2 }));
    let resume = "Plan: unfinished\nAction: go left";
    let (decision, _) = decide(&keep, StyleCard::default(), followed(2), &[resume]);
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("go in, then left", "go left"));
    assert_eq!(decision.trace.details["gate"], "keep_plan");
    let (decision, _) = decide(&keep, StyleCard::default(), followed(3), &full);
    assert_eq!((decision.thought.as_str(), &decision.trace.details), ("rush in", &Value::Null));
    let done = ["Plan: done", SUMMARY, "Thought: rush in", OUTCOMES, KEEP, "Action: enter"];
    assert_eq!(decide(&keep, StyleCard::default(), followed(1), &done).0.thought, "rush in");

    // A first thought that is good enough.
    let confident = pnlc(json!({ "confident": 0.5 }));
    let torch = [SUMMARY, "Thought: light a torch", OUTCOMES, "Action: light torch"];
    let (decision, _) = decide(&confident, StyleCard::default(), cave(), &torch);
    assert_eq!((decision.trace.details["gate"].as_str(), faults(&decision)), (Some("confident"), vec![]));
    assert!(decision.trace.rounds[0].kept);
    assert_eq!(decide(&confident, StyleCard::default(), cave(), &full).0.trace.details, Value::Null);
}

#[test]
fn the_control_imagines_and_sees_no_numbers() {
    let imagine = |mode: &str| {
        ImagineOnly::new(from_value(json!({ "llm": "actor", "mode": mode, "thoughts": 2 })).unwrap()).unwrap()
    };
    assert_eq!(block_on(imagine("refine").requires()).unwrap().critics, [""; 0]);
    let answers = [SUMMARY, "Thought: rush in", OUTCOMES, KEEP, "Action: enter"];
    let (decision, asked) = decide(&imagine("refine"), card(), cave(), &answers);
    let seen = "What it may lead to:\nGood outcomes:\n- The treasure is found.\nBad outcomes:\n- A bear comes.\n\nGiven these";
    assert!(asked[3].1.contains(seen), "{}", asked[3].1);
    assert!(decision.trace.rounds[0].outcomes[0].outside && faults(&decision).is_empty());
    let answers = [SUMMARY, CANDIDATES, "Choice: thought 2\nAction: light torch"];
    let (decision, asked) = decide(&imagine("compare"), card(), cave(), &answers);
    assert_eq!((decision.thought.as_str(), faults(&decision)), ("light a torch", vec![]));
    assert!(
        asked[2].1.contains("What they may lead to:\nGood outcomes:\n- treasure is found\n- A pit.\nBad")
    );
}

#[test]
fn steps_left_are_shown_on_request() {
    let mut context = cave();
    (context.environment.max_steps, context.step) = (Some(20), 13);
    let answers = [SUMMARY, "Thought: rush in", OUTCOMES, KEEP, "Action: enter"];
    let (_, asked) = decide(&pnlc(json!({ "steps_left": true })), StyleCard::default(), context, &answers);
    assert!(asked[1].1.contains("A cave.\n\n(Steps left: 7.)\nWhat is"), "{}", asked[1].1);
    assert!(asked[3].1.contains("cave.\nSteps left: 7.\n\nCurrent thought"), "{}", asked[3].1);
}

#[test]
fn histories_can_be_cut_in_blocks_that_leave_the_beginning_alone() {
    let exchange = |index| Exchange {
        observation: format!("page {index:02} {}", "x".repeat(92)),
        ..Exchange::default()
    };
    let prompts = Prompts::new(&PnlcPrompts::default(), 2000).unwrap().in_blocks(true);
    let gaps = (1..60).map(|steps| {
        let context = DecisionContext { history: (0..steps).map(exchange).collect(), ..cave() };
        let prompt = prompts.messages("thought", &context, json!({})).unwrap()[1].content.clone();
        assert!(prompt.len() < 3500 && prompt.contains("page 00 ") && !prompt.contains("earlier exchanges"));
        let gap = prompt.split_once(" exchanges are left out here.)");
        gap.map(|(before, _)| {
            before.rsplit_once("Action: \n\n(").expect("after the first exchange").1.to_owned()
        })
    });
    let mut gaps: Vec<_> = gaps.collect();
    gaps.dedup();
    // A quarter is five exchanges.
    let gaps: Vec<_> = gaps.iter().map(|gap| gap.as_deref().map_or(0, |gap| gap.parse().unwrap())).collect();
    assert_eq!(gaps, [0, 5, 10, 15, 20, 25, 30, 35, 40]);
}

#[test]
fn a_rewritten_thought_is_followed_only_if_it_is_better() {
    let accept = pnlc(json!({ "accept": true }));
    let revise = |thought: &str| format!("Decision: revise\nThought: {thought}");
    let (torch, sneak) = (revise("light a torch"), revise("sneak in"));
    use Purpose::{Action, Outcomes, Refine, Summarise, Thought};
    let says = |answers: &[&str]| {
        let all = [&[SUMMARY, "Thought: rush in", OUTCOMES], answers].concat();
        let (decision, asked) = decide(&accept, StyleCard::default(), cave(), &all);
        let kept: Vec<_> = decision.trace.rounds.iter().map(|round| round.kept).collect();
        let purposes: Vec<_> = asked[3..].iter().map(|(purpose, _)| *purpose).collect();
        (decision.thought, kept, purposes, decision.trace.details["gate"].clone())
    };
    // Better: the model is asked on. What the last round leads to is weighed, and is worse.
    let (thought, kept, purposes, gate) = says(&[&torch, OUTCOMES, &sneak, OUTCOMES, "Action: a"]);
    assert_eq!((&*thought, kept, gate), ("light a torch", vec![false, true, false], json!("rejected")));
    assert_eq!(purposes, [Refine, Outcomes, Refine, Outcomes, Action]);
    // Not better: the refinement ends.
    let (thought, kept, purposes, _) = says(&[&sneak, OUTCOMES, "Action: a"]);
    assert_eq!((&*thought, kept), ("rush in", vec![true, false]));
    assert_eq!(purposes, [Refine, Outcomes, Action]);
    // Outcomes that cannot be read do not show that it is better.
    let (thought, _, purposes, gate) = says(&[&torch, "?", "?", "Action: a"]);
    assert_eq!(
        (&*thought, purposes, gate),
        ("rush in", vec![Refine, Outcomes, Outcomes, Action], json!("rejected"))
    );
    // Better in the last round: it is followed without another question.
    let (thought, kept, _, gate) = says(&[&torch, OUTCOMES, KEEP, "Action: a"]);
    assert_eq!((&*thought, kept, gate), ("light a torch", vec![false, true], Value::Null));

    // Off, the last rewriting is followed without being weighed, as in the paper.
    let answers = [SUMMARY, "Thought: rush in", OUTCOMES, &torch, OUTCOMES, &sneak, "Action: a"];
    let (decision, asked) = decide(&pnlc(json!({})), StyleCard::default(), cave(), &answers);
    assert_eq!((&*decision.thought, decision.trace.faults["unevaluated"]), ("sneak in", 1));
    let purposes: Vec<_> = asked.iter().map(|(purpose, _)| *purpose).collect();
    assert_eq!(purposes, [Summarise, Thought, Outcomes, Refine, Outcomes, Refine, Action]);
}

/// Outcomes with scores, of which two are good and two are bad.
fn scored_card() -> StyleCard {
    let known = |text: &str, usual, mean_return: f64| KnownOutcome {
        text: text.into(),
        usual,
        mean_return: Some(mean_return),
    };
    let outcomes = vec![
        known("The treasure is found.", 0.3, 0.9),
        known("A bear comes.", 0.2, 0.1),
        known("Some treasure is lost.", 0.1, 0.2),
        known("A pit.", 0.1, 0.0),
        known("The treasure is mine.", 0.1, 1.0),
    ];
    StyleCard { outcomes, ..StyleCard::default() }
}

#[test]
fn outcomes_can_be_those_of_the_critics_data() {
    let recorded = |more: Value| {
        let mut all = json!({ "outcomes_from": "recorded", "outcomes": 2, "yardstick": false });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        pnlc(all)
    };
    // None is imagined: one call less. The likeliest of each side is shown; a pit is outside the data.
    let answers = ["State: x", "Thought: light a torch", "Decision: keep\nThought: x", "Action: a"];
    let (decision, asked) = decide(&recorded(json!({})), scored_card(), cave(), &answers);
    let purposes: Vec<_> = asked.iter().map(|(purpose, _)| *purpose).collect();
    assert_eq!(purposes, [Purpose::Summarise, Purpose::Thought, Purpose::Refine, Purpose::Action]);
    let shown =
        "Good outcomes:\n0.90: The treasure is found.\nBad outcomes:\n0.90: Some treasure is lost.\n\nGiven";
    assert!(asked[2].1.contains(shown), "{}", asked[2].1);
    assert_eq!(decision.trace.rounds[0].outcomes.len(), 2);
    // A critic that knows no scores: they are imagined, and that is recorded.
    let answers = [SUMMARY, "Thought: rush in", OUTCOMES, KEEP, "Action: a"];
    let (decision, _) = decide(&recorded(json!({})), StyleCard::default(), cave(), &answers);
    assert_eq!((decision.trace.recoveries.len(), faults(&decision).len()), (1, 0));
}

#[test]
fn a_number_can_be_shown_in_place_of_outcomes_and_uncertainty_next_to_a_probability() {
    // Bears score .1 and come with .25; each of three treasures, which the critic reads as one, scores .9 and comes
    // with .9 by torchlight.
    let answers = ["State: x", "Thought: light a torch", "Decision: keep\nThought: x", "Action: a"];
    let (_, asked) = decide(&pnlc(json!({ "scalar": true })), scored_card(), cave(), &answers);
    let purposes: Vec<_> = asked.iter().map(|(purpose, _)| *purpose).collect();
    assert_eq!(purposes, [Purpose::Summarise, Purpose::Thought, Purpose::Refine, Purpose::Action]);
    let shown = "Current thought: light a torch\nThe score that a critic that has seen many episodes expects from here: \
                 0.83\n\nGiven";
    assert!(asked[2].1.contains(shown), "{}", asked[2].1);
    let goal = pnlc(json!({ "scalar": true, "goal": "The treasure is found." }));
    let answers = [SUMMARY, "Thought: rush in", KEEP, "Action: a"];
    let (_, asked) = decide(&goal, StyleCard::default(), cave(), &answers);
    assert!(asked[2].1.contains("expects from here: 0.25\n\nGiven"), "{}", asked[2].1);
    // A critic that knows no scores: as likely to end well, .9, as badly, .25.
    let answers = [SUMMARY, "Thought: light a torch", OUTCOMES, KEEP, "Action: a"];
    let (_, asked) = decide(&pnlc(json!({ "scalar": true })), StyleCard::default(), cave(), &answers);
    assert!(asked[3].1.contains("expects from here: 0.82\n\nGiven"), "{}", asked[3].1);

    let answers = [SUMMARY, "Thought: rush in", OUTCOMES, KEEP, "Action: a"];
    let (_, asked) = decide(&pnlc(json!({ "uncertainty": true })), StyleCard::default(), cave(), &answers);
    assert!(asked[3].1.contains("0.25 ± 0.03: The treasure is found.\n"), "{}", asked[3].1);
    let compare = pnlc(json!({ "uncertainty": true, "mode": "compare", "thoughts": 2, "outcomes": 3 }));
    let answers = [SUMMARY, CANDIDATES, "Choice: 2\nAction: light torch"];
    let (_, asked) = decide(&compare, StyleCard::default(), cave(), &answers);
    assert!(asked[2].1.contains("\n| 0.25 ± 0.03 | 0.90 ± 0.03 | treasure is found |"), "{}", asked[2].1);

    let refused = |more: Value| {
        let mut all = json!({ "llm": "actor", "critic": "critic" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Pnlc::new(from_value(all).unwrap()).err().unwrap().message
    };
    for key in ["accept", "scalar"] {
        assert!(refused(json!({ key: true, "mode": "compare" })).contains("needs `mode"));
    }
    assert!(refused(json!({ "goal": "x" })).contains("goal"));
}

#[test]
fn what_is_outside_the_data_can_be_left_out_or_shown_as_such() {
    let outcomes = "Good: The treasure is found.\nGood: A pit.\nBad: A bear comes.\nBad: A dragon comes.";
    let answers = [SUMMARY, "Thought: rush in", outcomes, KEEP, "Action: enter"];
    let evaluation = |config: Value| {
        let (decision, asked) = decide(&pnlc(config), StyleCard::default(), cave(), &answers);
        let [_, _, _, (Purpose::Refine, refine), _] = &asked[..] else { panic!("{asked:?}") };
        let (_, values) = refine.split_once("Good outcomes:\n").expect("values are shown");
        let values = values.split_once("\n\nGiven this").expect("a question follows").0.to_owned();
        (values.replace("\nBad outcomes:", ""), decision.trace.rounds[0].outcomes.clone())
    };
    // By default the critic alone says what is outside.
    let (plain, trace) = evaluation(json!({}));
    assert_eq!(
        plain,
        "0.25: The treasure is found.\nno data: A pit.\n0.25: A bear comes.\n0.25: A dragon comes."
    );
    assert_eq!((trace[1].outside, trace[3].outside, trace[3].distance), (true, false, Some(0.97)));
    let (far, _) = evaluation(json!({ "furthest": 0.9 }));
    assert_eq!(
        far,
        "0.25: The treasure is found.\nno data: A pit.\n0.25: A bear comes.\nno data: A dragon comes."
    );
    let (ignored, trace) = evaluation(json!({ "furthest": 0.9, "outside": "ignore" }));
    assert_eq!(ignored, "0.25: The treasure is found.\n0.25: A bear comes.");
    assert!(trace.len() == 4 && trace[3].outside, "the trace has all of them");
    let (shown, trace) = evaluation(json!({ "furthest": 0.9, "outside": "show" }));
    let strange = "0.25: A bear comes.\n0.25 (unlike its data): A dragon comes.";
    assert!(shown.ends_with(strange) && trace[3].strange && !trace[3].outside, "{shown}");

    let refused =
        from_value(json!({ "llm": "a", "critic": "c", "abstain": false, "furthest": 0.9 })).unwrap();
    let error = Pnlc::new(refused).err().expect("it contradicts itself").to_string();
    assert!(error.contains("abstain = false"), "{error}");
}
