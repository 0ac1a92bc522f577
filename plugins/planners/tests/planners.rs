//! Planners against scripted models: what they ask, how they read the answers, and what they do with broken ones.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use forethought_planners::{
    best_of_n::BestOfN,
    budgeted::Budgeted,
    gdp_zero::{GdpZeroConfig, GdpZeroPrompts},
    inner::Inner,
    pnlc::{Pnlc, PnlcConfig, PnlcPrompts},
    ppdpp::{PpdppConfig, PpdppPrompts},
    prompts::{PromptFiles, Prompts},
    random::Random,
    react::{React, ReactConfig, ReactPrompts},
    self_plan::SelfPlan,
    strategist::{StrategistConfig, StrategistPrompts},
    summarise::{SummariserConfig, SummariserPrompts},
    vote::Vote,
};
use forethought_sdk::{
    api::llm::ToolCall,
    prelude::*,
    serde::de::DeserializeOwned,
    serde_json::{Map, Value, from_value, json},
};
use futures::executor::block_on;

/// A model that gives listed answers in order, in the requested form, and keeps the requests.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<String>>,
    asked: Mutex<Vec<ChatRequest>>,
}

#[async_trait]
impl LlmBackend for Script {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.asked.lock().unwrap().push(request.clone());
        let text =
            self.answers.lock().unwrap().pop_front().ok_or_else(|| Error::other("the script is over"))?;
        let choice = match (&request.json_schema, &request.tools[..]) {
            (Some(schema), _) => Choice { text: object(&text, schema).to_string(), ..Choice::default() },
            (_, [tool]) => {
                let arguments = object(&text, &tool.parameters);
                let call = ToolCall { id: "call_1".into(), name: tool.name.clone(), arguments };
                Choice { tool_calls: vec![call], finish: FinishReason::ToolCalls, ..Choice::default() }
            }
            _ => Choice { text, ..Choice::default() },
        };
        Ok(Completion { choices: vec![choice], ..Completion::default() })
    }
}

/// Labelled lines as the object that `schema` describes; a missing line is a missing key.
fn object(lines: &str, schema: &Value) -> Value {
    let texts = |key: &str| -> Vec<Value> {
        let of = |line: &str| {
            line.split_once(": ")
                .filter(|(label, _)| label.to_lowercase() == key)
                .map(|(_, text)| text.into())
        };
        lines.lines().filter_map(of).collect()
    };
    let properties = schema["properties"].as_object().unwrap().iter();
    let value = |(key, kind): (&String, &Value)| match kind["type"].as_str() {
        Some("array") => Some((key.clone(), texts(key).into())),
        _ => Some((key.clone(), texts(key).pop()?)),
    };
    properties.filter_map(value).collect()
}

/// A model that gives listed choices in order, whatever form is requested.
#[derive(Default)]
struct Free {
    choices: Mutex<VecDeque<Choice>>,
    asked: Mutex<Vec<ChatRequest>>,
}

#[async_trait]
impl LlmBackend for Free {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.asked.lock().unwrap().push(request);
        let choice = self.choices.lock().unwrap().pop_front().expect("one more answer");
        Ok(Completion { choices: vec![choice], ..Completion::default() })
    }
}

fn wrote(text: &str) -> Choice {
    Choice { text: text.into(), ..Choice::default() }
}

fn ended(text: &str, finish: FinishReason) -> Choice {
    Choice { text: text.into(), finish, ..Choice::default() }
}

fn called(id: &str, arguments: Value) -> Choice {
    let call = ToolCall { id: id.into(), name: "answer".into(), arguments };
    Choice { tool_calls: vec![call], finish: FinishReason::ToolCalls, ..Choice::default() }
}

/// A decision of ReAct, and what was asked for it.
fn react(answers: &str, choices: impl IntoIterator<Item = Choice>) -> (Decision, Vec<ChatRequest>) {
    let planner = React::new(from_value(json!({ "llm": "actor", "answers": answers })).unwrap()).unwrap();
    let model = Arc::new(Free::default());
    model.choices.lock().unwrap().extend(choices);
    let decision = block_on(planner.decide(context(), Arc::new(World(model.clone())))).unwrap();
    let asked = std::mem::take(&mut *model.asked.lock().unwrap());
    (decision, asked)
}

fn faults(decision: &Decision) -> Vec<(&str, u32)> {
    decision.trace.faults.iter().map(|(key, count)| (key.as_str(), *count)).collect()
}

/// A model that ignores the requested form.
struct Wordy;

#[async_trait]
impl LlmBackend for Wordy {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, _: ChatRequest) -> Result<Completion> {
        let choice = Choice { text: "Let us see.\nenter".into(), ..Choice::default() };
        Ok(Completion { choices: vec![choice], ..Completion::default() })
    }
}

/// A critic that believes in every outcome that mentions treasure.
struct Treasure;

#[async_trait]
impl Critic for Treasure {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let value = |query: &CriticQuery| if query.outcome.contains("treasure") { 0.9 } else { 0.25 };
        let estimate =
            |query| Estimate { probability: value(query), raw: value(query) / 2.0, ..Estimate::default() };
        Ok(queries.iter().map(estimate).collect())
    }
}

struct World(Arc<dyn LlmBackend>);

#[async_trait]
impl Models for World {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(Arc::new(Treasure))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(None)
    }
}

fn context() -> DecisionContext {
    DecisionContext {
        environment: EnvironmentSpec { instructions: "Find the treasure.".into(), ..Default::default() },
        history: vec![Exchange {
            observation: "A fork.".into(),
            thought: "Left.".into(),
            action: "go left".into(),
        }],
        turn: Turn { observation: Observation::text("A cave."), ..Turn::default() },
        step: 1,
        ..DecisionContext::default()
    }
}

fn pnlc(config: Value) -> Result<Pnlc> {
    let mut settings = json!({ "llm": "actor", "critic": "critic" });
    settings.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    Pnlc::new(from_value::<PnlcConfig>(settings)?)
}

fn decide(planner: &dyn Planner, answers: &[&str]) -> (Result<Decision>, Arc<Script>) {
    let script = Arc::new(Script::default());
    script.answers.lock().unwrap().extend(answers.iter().map(|answer| (*answer).to_owned()));
    let decision = block_on(planner.decide(context(), Arc::new(World(script.clone()))));
    (decision, script)
}

const SUMMARY: &str = "State: before a cave\nOutcome: a cave was found";
const OUTCOMES: &str = "Good: treasure\nGood: a torch\nBad: a bear\nBad: a pit";

#[test]
fn react_thinks_and_acts_in_one_answer() {
    let planner = React::new(from_value(json!({ "llm": "actor" })).unwrap()).unwrap();
    let (decision, script) = decide(&planner, &["Thought: go in\nAction: enter"]);
    let decision = decision.unwrap();
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("go in", "enter"));
    let asked = script.asked.lock().unwrap();
    assert_eq!(asked[0].messages[0].content, "Find the treasure.");
    let prompt = &asked[0].messages[1].content;
    assert!(
        prompt
            .starts_with("Observation:\nA fork.\nThought: Left.\nAction: go left\n\nObservation:\nA cave.\n"),
        "{prompt}"
    );
}

#[test]
fn a_vote_takes_the_most_frequent_action() {
    let vote = |votes: u32, answers: &[&str]| {
        let config = json!({ "llm": "actor", "votes": votes });
        let (decision, script) = decide(&Vote::of_reacts(from_value(config).unwrap()).unwrap(), answers);
        let seeds: std::collections::BTreeSet<_> =
            script.asked.lock().unwrap().iter().map(|request| request.seed).collect();
        (decision.unwrap(), seeds.len())
    };
    let left = "Thought: a hunch\nAction: go left";
    let enter = ["Thought: go in\nAction: enter", "Thought: inside is better\nAction: enter"];
    let (decision, seeds) = vote(3, &[left, enter[0], enter[1]]);
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("go in", "enter"));
    assert_eq!(seeds, 3, "each ReAct has its own seed");
    // Of equals, the first.
    assert_eq!(vote(4, &[left, enter[0], enter[1], left]).0.action.text, "go left");
    // An answer that cannot be read is asked again, and counted.
    let (decision, _) = vote(2, &["Well.", left, left]);
    assert_eq!(faults(&decision), [("repeated", 1), ("unreadable", 1)]);
}

#[test]
fn planners_stop_in_time_where_a_decision_has_a_budget() {
    use Purpose::*;
    let within = |calls: u64, planner: Arc<dyn Planner>, answers: &[&str]| {
        let inner = Inner { name: Some("inner".into()), planner };
        let (decision, script) = decide(&Budgeted::over(inner, calls, None, None), answers);
        let asked = script.asked.lock().unwrap();
        (decision, asked.iter().map(|request| request.purpose).collect::<Vec<_>>())
    };
    // A second round and the action would be calls 5 to 7.
    let revised = "Decision: revise\nThought: light a torch";
    let answers = [SUMMARY, "Thought: rush in", OUTCOMES, revised, "Action: light torch"];
    let (decision, asked) = within(6, Arc::new(pnlc(json!({ "rounds": 3 })).unwrap()), &answers);
    let decision = decision.unwrap();
    assert_eq!(asked, [Summarise, Thought, Outcomes, Refine, Action]);
    let details = &decision.trace.decisions[0].trace.details;
    assert_eq!((&*decision.action.text, &details["gate"]), ("light torch", &json!("budget")));

    // An answer that cannot be read is not asked for again with the call that is left for acting.
    let answers = [SUMMARY, "Thought: rush in", OUTCOMES, "Well.", "Action: enter"];
    let (decision, asked) = within(5, Arc::new(pnlc(json!({})).unwrap()), &answers);
    assert_eq!((&*decision.unwrap().action.text, asked.len()), ("enter", 5));

    // Fewer votes.
    let vote = Vote::of_reacts(from_value(json!({ "llm": "actor", "votes": 9 })).unwrap()).unwrap();
    let (decision, asked) = within(3, Arc::new(vote), &["Thought: a hunch\nAction: go left"; 3]);
    assert_eq!((decision.unwrap().action.text.as_str(), asked.len()), ("go left", 3));

    // Fewer samples: two, a summary, and an imagination of each.
    let best = || {
        let react = React::new(from_value(json!({ "llm": "actor" })).unwrap()).unwrap();
        let config = json!({ "inner": "react", "n": 9, "critic": "critic", "llm": "actor" });
        let inner = Inner { name: Some("react".into()), planner: Arc::new(react) };
        Arc::new(block_on(BestOfN::over(inner, from_value(config).unwrap())).unwrap())
    };
    let acts = ["Thought: rush in\nAction: enter", "Thought: a hunch\nAction: go left"];
    let (decision, asked) = within(6, best(), &[acts[0], acts[1], SUMMARY, OUTCOMES, OUTCOMES]);
    assert_eq!(decision.unwrap().action.text, "enter");
    assert_eq!(asked, [Action, Action, Summarise, Outcomes, Outcomes]);
    // One, and nothing to choose from.
    let (decision, asked) = within(2, best(), &acts[..1]);
    let decision = decision.unwrap();
    assert_eq!((&*decision.action.text, faults(&decision)), ("enter", vec![("unevaluated", 1)]));
    assert_eq!(asked, [Action]);
}

#[test]
fn an_answer_that_cannot_be_read_is_used_as_it_is_where_nothing_pays_a_second_one() {
    struct Once(Mutex<Option<Choice>>);
    #[async_trait]
    impl LlmBackend for Once {
        async fn capabilities(&self) -> Result<LlmCapabilities> {
            Ok(LlmCapabilities::default())
        }
        async fn complete(&self, _: ChatRequest) -> Result<Completion> {
            let choice = self.0.lock().unwrap().take();
            let choice = choice.ok_or_else(|| Error::new(Code::Budget, "nothing is left"))?;
            Ok(Completion { choices: vec![choice], ..Completion::default() })
        }
    }
    let planner = React::new(from_value(json!({ "llm": "actor" })).unwrap()).unwrap();
    let models = World(Arc::new(Once(Mutex::new(Some(wrote("I should go left"))))));
    let decision = block_on(planner.decide(context(), Arc::new(models))).unwrap();
    assert_eq!(decision.action.text, "I should go left");
    assert_eq!(faults(&decision), [("repeated", 1), ("unread", 1), ("unreadable", 2)]);
}

#[test]
fn pnlc_refines_until_the_thought_is_kept() {
    let planner = pnlc(json!({})).unwrap();
    let (decision, script) = decide(
        &planner,
        &[
            SUMMARY,
            "Thought: rush in",
            OUTCOMES,
            "Decision: revise\nThought: light a torch",
            OUTCOMES,
            "Decision: keep\nThought: light a torch",
            "Action: light torch",
        ],
    );
    let decision = decision.unwrap();
    assert_eq!(decision.action.text, "light torch");
    assert_eq!(decision.summary.unwrap().state, "before a cave");
    let rounds = &decision.trace.rounds;
    let seen: Vec<_> = rounds.iter().map(|round| (round.thought.as_str(), round.kept)).collect();
    assert_eq!(seen, [("rush in", false), ("light a torch", true)]);
    assert_eq!(rounds[0].outcomes.len(), 4);
    assert_eq!((rounds[0].outcomes[0].good, rounds[0].outcomes[0].probability), (true, 0.9));

    let asked = script.asked.lock().unwrap();
    let purposes: Vec<_> = asked.iter().map(|request| request.purpose).collect();
    use Purpose::*;
    assert_eq!(purposes, [Summarise, Thought, Outcomes, Refine, Outcomes, Refine, Action]);
    // The critic's probabilities reach the model, number and text, and the second refinement sees both thoughts.
    let refine = &asked[5].messages[1].content;
    assert!(refine.contains("Earlier thought: rush in") && refine.contains("Current thought: light a torch"));
    assert!(
        refine.contains("Good outcomes:\n0.90: treasure\n0.25: a torch\nBad outcomes:\n0.25: a bear"),
        "{refine}"
    );
}

#[test]
fn self_plan_is_pnlc_with_the_models_own_probabilities() {
    let planner = |config: Value| {
        let mut settings = json!({ "llm": "actor" });
        settings.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        SelfPlan::new(from_value(settings).unwrap())
    };
    let own = planner(json!({})).unwrap();
    let needs = block_on(own.requires()).unwrap();
    assert_eq!((needs.llms, needs.critics.len()), (vec!["actor".to_string()], 0));
    let probabilities = "1: 0.7\n2: 0.1\n3: 0.6\n4: 20%";
    let answers = [SUMMARY, "Thought: rush in", OUTCOMES, "Surely.", probabilities];
    let keeps = ["Decision: keep\nThought: rush in", "Action: run"];
    let (decision, script) = decide(&own, &[&answers[..], &keeps].concat());
    let decision = decision.unwrap();
    assert_eq!(decision.action.text, "run");
    let values: Vec<_> = decision.trace.rounds[0].outcomes.iter().map(|one| one.probability).collect();
    assert_eq!(values, [0.7, 0.1, 0.6, 0.2]);
    let asked = script.asked.lock().unwrap();
    let purposes: Vec<_> = asked.iter().map(|request| request.purpose).collect();
    use Purpose::*;
    assert_eq!(purposes, [Summarise, Thought, Outcomes, Judge, Judge, Refine, Action]);
    // It judges what a critic would: the summary and the thought, and no history.
    let judged = &asked[3].messages[0].content;
    assert!(judged.contains("before a cave\n\nCurrent thought: rush in\n"), "{judged}");
    assert!(!judged.contains("A fork."), "{judged}");

    // Without numbers, twice, the thought is followed as it is.
    let (decision, script) = decide(&own, &[&answers[..4], &["No idea.", "Action: run"]].concat());
    let decision = decision.unwrap();
    assert_eq!((decision.trace.rounds.len(), script.asked.lock().unwrap().len()), (0, 6));
    assert_eq!(decision.trace.faults["unevaluated"], 1);

    // Compared thoughts are judged apart.
    let compare = planner(json!({ "mode": "compare", "thoughts": 2, "outcomes": 2 })).unwrap();
    let candidates = "Thought: rush in\nThought: light a torch\nGood: treasure\nBad: a bear";
    let answers = [SUMMARY, candidates, "1: 0.1\n2: 0.8", "1: 0.6\n2: 0.2", "Choice: 2\nAction: light torch"];
    let rounds = decide(&compare, &answers).0.unwrap().trace.rounds;
    assert_eq!(rounds.iter().map(|round| round.outcomes[1].probability).collect::<Vec<_>>(), [0.8, 0.2]);
    assert!(planner(json!({ "outcomes": 1 })).is_err());
}

#[test]
fn the_form_of_answers_is_a_setting_and_changes_nothing_else() {
    let script = [
        SUMMARY,
        "Thought: rush in",
        OUTCOMES,
        "Thought: nothing decided",
        "Decision: revise\nThought: light a torch",
        OUTCOMES,
        "Decision: keep\nThought: light a torch",
        "Action: light torch",
    ];
    let decisions = ["text", "json", "tool"].map(|answers| {
        let planner = pnlc(json!({ "answers": answers })).unwrap();
        let requires = block_on(planner.requires()).unwrap();
        assert_eq!((requires.json_schema, requires.tools), (answers == "json", answers == "tool"));
        let (decision, model) = decide(&planner, &script);
        let asked = model.asked.lock().unwrap();
        let outcomes = &asked[2];
        let end = outcomes.messages[1].content.rsplit("\n\n").next().unwrap();
        let list = json!({ "type": "array", "items": { "type": "string" } });
        let schema = json!({
            "type": "object", "properties": { "good": list, "bad": list }, "required": ["good", "bad"],
            "additionalProperties": false
        });
        let retry = &asked[4].messages[2..];
        match answers {
            "text" => {
                assert!(end.starts_with("Imagine 4 outcomes"), "{end}");
                assert_eq!((&outcomes.json_schema, outcomes.tools.len()), (&None, 0));
            }
            "json" => {
                assert_eq!(end, "In place of these lines, give a JSON object with `good` and `bad`.");
                assert_eq!(outcomes.json_schema, Some(schema));
                assert!(retry[1].content.contains("`decision` must be text"), "{}", retry[1].content);
            }
            _ => {
                assert_eq!(end, "In place of these lines, call the tool `answer` with `good` and `bad`.");
                assert_eq!(outcomes.tools[0].parameters, schema);
                // The call gets a result: what is wrong with it.
                assert_eq!((retry[0].tool_calls[0].id.as_str(), retry[1].role), ("call_1", Role::Tool));
                assert_eq!(retry[1].tool_call_id.as_deref(), Some("call_1"));
            }
        }
        let decision = decision.unwrap();
        assert_eq!(decision.trace.recoveries.len(), 1);
        Decision { trace: Trace { recoveries: Vec::new(), ..decision.trace }, ..decision }
    });
    assert_eq!(decisions[0].action.text, "light torch");
    assert_eq!(decisions[0].trace.rounds.len(), 2);
    assert!(decisions.iter().all(|decision| *decision == decisions[0]), "{decisions:#?}");
}

#[test]
fn an_answer_outside_of_its_form_is_asked_for_once_more() {
    let react = |answers: &str| {
        let config = json!({ "llm": "actor", "answers": answers });
        React::new(from_value(config).unwrap()).unwrap()
    };
    for (answers, complaint) in
        [("json", "this is not a JSON object"), ("tool", "the tool `answer` was not called")]
    {
        let decision = block_on(react(answers).decide(context(), Arc::new(World(Arc::new(Wordy))))).unwrap();
        assert_eq!(decision.action.text, "enter", "the last words are acted on");
        assert!(decision.trace.recoveries[0].contains(complaint), "{:?}", decision.trace.recoveries);
    }
}

#[test]
fn rounds_are_a_limit_and_none_is_allowed() {
    let planner = pnlc(json!({ "rounds": 1 })).unwrap();
    let (decision, _) =
        decide(&planner, &[SUMMARY, "Thought: a", OUTCOMES, "Decision: revise\nThought: b", "Action: act"]);
    let decision = decision.unwrap();
    assert_eq!((decision.thought.as_str(), decision.trace.rounds.len()), ("b", 1));

    let planner = pnlc(json!({ "rounds": 0 })).unwrap();
    let (decision, _) = decide(&planner, &[SUMMARY, "Thought: a", "Action: act"]);
    assert_eq!(decision.unwrap().thought, "a");
}

#[test]
fn revising_to_the_same_words_is_not_keeping() {
    let planner = pnlc(json!({})).unwrap();
    let again = "Decision: revise\nThought: a";
    let (decision, _) = decide(
        &planner,
        &[SUMMARY, "Thought: a", OUTCOMES, again, OUTCOMES, "Decision: keep\nThought: a", "Action: act"],
    );
    let rounds = decision.unwrap().trace.rounds;
    let seen: Vec<_> = rounds.iter().map(|round| (round.thought.as_str(), round.kept)).collect();
    assert_eq!(seen, [("a", false), ("a", true)]);
}

#[test]
fn an_answer_in_the_wrong_form_is_asked_for_once_more() {
    let planner = pnlc(json!({})).unwrap();
    let (decision, script) = decide(
        &planner,
        &[
            SUMMARY,
            "I would rush in",
            "Thought: rush in",
            OUTCOMES,
            "Decision: keep\nThought: x",
            "Action: run",
        ],
    );
    let decision = decision.unwrap();
    assert_eq!(decision.thought, "rush in");
    assert_eq!(decision.trace.recoveries.len(), 1);
    assert!(decision.trace.recoveries[0].contains("asked once more"), "{:?}", decision.trace.recoveries);
    let asked = script.asked.lock().unwrap();
    let retry = &asked[2].messages;
    assert_eq!(retry[2].role, Role::Assistant);
    assert!(retry[3].content.contains("no line that starts with \"Thought:\""), "{}", retry[3].content);
    assert_ne!(asked[1].seed, asked[2].seed, "the second try must not repeat the first draw");
}

#[test]
fn broken_answers_never_end_an_episode() {
    // Outcomes twice unreadable: the thought is kept, and the trace says so.
    let planner = pnlc(json!({})).unwrap();
    let (decision, _) = decide(&planner, &[SUMMARY, "Thought: a", "Good: only good", "", "Action: act"]);
    let decision = decision.unwrap();
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("a", "act"));
    assert_eq!(decision.trace.recoveries.len(), 2);

    // Refinement unreadable: the evaluated thought is kept.
    let (decision, _) = decide(&planner, &[SUMMARY, "Thought: a", OUTCOMES, "hm", "hm", "Action: act"]);
    let decision = decision.unwrap();
    assert_eq!((decision.thought.as_str(), decision.trace.rounds[0].kept), ("a", true));

    // Everything unreadable: the last words are an action, which the environment answers.
    let (decision, script) = decide(&planner, &["Hm, so?"; 10]);
    let decision = decision.unwrap();
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("Hm, so?", "Hm, so?"));
    assert_eq!(script.asked.lock().unwrap().len(), 8);
    assert_eq!(faults(&decision), [("repeated", 4), ("unevaluated", 1), ("unread", 1), ("unreadable", 8)]);
    let summary = decision.summary.unwrap();
    assert_eq!((summary.state.as_str(), summary.outcome.as_str()), ("A cave.", "A cave."));
    // Without a word there is neither a thought, which nothing could be imagined of, nor an action.
    let (decision, script) = decide(&planner, &["```"; 10]);
    let decision = decision.unwrap();
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("", ""));
    let asked: Vec<_> = script.asked.lock().unwrap().iter().map(|request| request.purpose).collect();
    use Purpose::*;
    assert_eq!(asked, [Summarise, Summarise, Thought, Thought, Action, Action]);
}

#[test]
fn reasoning_is_not_acted_on() {
    let (decision, _) =
        react("text", [wrote("<think>\nAction: click[Buy Now]\n</think>\nThought: look\nAction: search[x]")]);
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("look", "search[x]"));
    assert_eq!(decision.trace, Trace::default());
    // Not closed: once more, naming the reason, without an empty turn of the model.
    let open = ended("<think>I could.\nAction: click[Buy Now]\nBut", FinishReason::Length);
    let (decision, asked) = react("text", [open.clone(), wrote("Action: search[x]")]);
    assert_eq!(decision.action.text, "search[x]");
    assert_eq!(faults(&decision), [("cut", 1), ("repeated", 1)]);
    assert_eq!(asked[1].messages.len(), 2);
    assert!(asked[1].messages[1].content.contains("ended within its reasoning"));
    let (decision, _) = react("text", [open.clone(), open]);
    assert_eq!(decision.action.text, "");
    assert_eq!(faults(&decision), [("cut", 2), ("repeated", 1), ("unread", 1)]);
    // Reasoning apart, and no answer.
    let (_, asked) = react("text", [wrote(""), wrote("Action: search[x]")]);
    let roles: Vec<_> = asked[1].messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User]);
    assert!(asked[1].messages[1].content.contains("the answer is empty"));
}

#[test]
fn fiction_cut_and_refused_answers_are_not_acted_on() {
    let fiction =
        "Thought: a\nAction: search[x]\nObservation: Found.\nThought: Done.\nAction: click[Buy Now]";
    let (decision, _) = react("text", [wrote(fiction)]);
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("a", "search[x]"));
    for (choice, fault) in [
        (ended("Thought: a\nAction: search[wool scarf in dark gre", FinishReason::Length), "cut"),
        (ended("Thought: a\nAction: click[Buy Now]", FinishReason::ContentFilter), "refused"),
        (ended("I cannot help with that.", FinishReason::ContentFilter), "refused"),
    ] {
        let (decision, _) = react("text", [choice.clone(), choice.clone()]);
        assert_eq!(decision.action.text, "", "{choice:?}");
        assert_eq!(decision.trace.faults[fault], 2);
        assert_eq!(decision.trace.faults["unread"], 1);
        assert_eq!(decision.trace.recoveries.len(), 2);
    }
    // Several actions: a complaint; then the first.
    let several = || wrote("Thought: a\nAction: search[x]\nAction: click[Buy Now]");
    let (decision, asked) = react("text", [several(), several()]);
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("a", "search[x]"));
    assert!(asked[1].messages[3].content.contains("2 different actions"));
    assert_eq!(faults(&decision), [("repeated", 1), ("several", 2)]);
    // A thought alone is not an action.
    let (decision, _) = react("text", [wrote("Thought: I will buy"), wrote("Thought: I will buy")]);
    assert_eq!(decision.action.text, "");
}

#[test]
fn an_answer_in_another_form_than_the_requested_one_is_understood() {
    let object = json!({ "thought": "a", "action": "search[x]" });
    let lines = "Thought: a\nAction: search[x]";
    for (answers, choice) in [
        ("text", wrote(&object.to_string())),
        (
            "text",
            wrote(&format!("<tool_call>\n{{\"name\": \"answer\", \"arguments\": {object}}}\n</tool_call>")),
        ),
        ("text", wrote("**Thought:** a\n**Action:**\n```\nsearch[x]\n```")),
        ("json", wrote(&format!("```json\n{object}\n```"))),
        ("json", wrote("Sure!\n{\n  \"Thought\": \"a\",\n  \"Action\": \"search[x]\",\n}\nThat is it.")),
        ("json", wrote(&format!("<think>{{\"action\": \"no\"}}</think>{object}"))),
        ("json", wrote(lines)),
        ("tool", called("1", object.clone())),
        ("tool", called("1", object.to_string().into())),
        ("tool", called("1", json!(json!(object.to_string()).to_string()))),
        ("tool", wrote(&format!("<tool_call>{{\"name\": \"answer\", \"arguments\": {object}}}</tool_call>"))),
        ("tool", wrote(lines)),
    ] {
        let (decision, _) = react(answers, [choice.clone()]);
        let read = (decision.thought.as_str(), decision.action.text.as_str());
        assert_eq!(read, ("a", "search[x]"), "{answers}: {choice:?}");
    }
    // Neither JSON nor fences are an action.
    for text in ["```json\n{\"thought\": null}\n```", "{\n\"act\": 1\n}", "</tool_call>"] {
        let (decision, _) = react("json", [wrote(text), wrote(text)]);
        assert_eq!(decision.action.text, "", "{text}");
    }
}

#[test]
fn a_second_request_is_one_that_strict_servers_take() {
    // A call without an id gets no result.
    let (_, asked) = react("tool", [called("", json!({})), wrote("Action: x")]);
    let again = &asked[1].messages;
    assert!(again.iter().all(|message| message.role != Role::Tool && message.tool_calls.is_empty()));
    for (answers, first) in [("text", wrote("")), ("json", wrote(" \n")), ("tool", called("", json!({})))] {
        let (_, asked) = react(answers, [first, wrote("Action: x")]);
        let full = |message: &Message| !message.content.trim().is_empty() || !message.tool_calls.is_empty();
        assert!(asked[1].messages.iter().all(full), "{answers}: {:?}", asked[1].messages);
    }
}

#[test]
fn whole_texts_arrive() {
    let thought = "compare:\n- price\n- size\n\nThen decide.";
    let (decision, _) = react("text", [wrote(&format!("Thought: {thought}\nAction: search[x]"))]);
    assert_eq!(decision.thought, thought);
    let (decision, _) =
        react("text", [wrote("Thought: greet\nAction: Dear friend,\n\nhow are you?\n\nYours")]);
    assert_eq!(decision.action.text, "Dear friend,\n\nhow are you?\n\nYours");
    // In a dialogue the other seat's words are fiction.
    let planner = React::new(from_value(json!({ "llm": "actor" })).unwrap()).unwrap();
    let model = Arc::new(Free::default());
    model
        .choices
        .lock()
        .unwrap()
        .push_back(wrote("Thought: t\nAction: Hello!\n\nWell?\nDonor: Take it all."));
    let mut context = context();
    let seat = |name: &str| SeatSpec { name: name.into(), ..SeatSpec::default() };
    context.environment.seats = vec![seat("persuader"), seat("donor")];
    context.turn.observation.data = json!({ "dialogue": {} });
    let decision = block_on(planner.decide(context, Arc::new(World(model)))).unwrap();
    assert_eq!(decision.action.text, "Hello!\n\nWell?");
}

/// A critic whose model gives no numbers.
struct Mute(Arc<dyn LlmBackend>);

#[async_trait]
impl Models for Mute {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(Arc::new(Mute(self.0.clone())))
    }
}

#[async_trait]
impl Critic for Mute {
    async fn estimate(&self, _: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        Err(Error::malformed("no probabilities"))
    }
}

#[test]
fn a_critic_whose_model_cannot_be_read_leaves_the_round_out() {
    let script = Arc::new(Script::default());
    script.answers.lock().unwrap().extend([SUMMARY, "Thought: a", OUTCOMES, "Action: act"].map(String::from));
    let decision = block_on(pnlc(json!({})).unwrap().decide(context(), Arc::new(Mute(script)))).unwrap();
    assert_eq!((decision.thought.as_str(), decision.action.text.as_str()), ("a", "act"));
    assert!(decision.trace.rounds.is_empty());
    assert!(decision.trace.recoveries[0].contains("no probabilities"), "{:?}", decision.trace.recoveries);
    assert_eq!(faults(&decision), [("unevaluated", 1), ("unread", 1)]);
}

#[test]
fn the_last_revision_is_counted_where_no_critic_weighed_it() {
    let planner = pnlc(json!({ "rounds": 1 })).unwrap();
    let revise = "Decision: revise\nThought: b";
    let (decision, _) = decide(&planner, &[SUMMARY, "Thought: a", OUTCOMES, revise, "Action: act"]);
    assert_eq!(faults(&decision.unwrap()), [("unevaluated", 1)]);
    let (decision, _) =
        decide(&planner, &[SUMMARY, "Thought: a", OUTCOMES, "Decision: I would keep it", "Action: act"]);
    assert_eq!(faults(&decision.unwrap()), []);
}

#[test]
fn a_backend_that_fails_is_an_error() {
    let planner = pnlc(json!({})).unwrap();
    let (decision, _) = decide(&planner, &[SUMMARY]);
    assert_eq!(decision.unwrap_err().message, "the script is over");
}

fn files(thought: std::path::PathBuf) -> PnlcPrompts {
    PnlcPrompts { thought: Some(ConfigPath(thought)), ..PnlcPrompts::default() }
}

#[test]
fn settings_are_checked() {
    assert!(pnlc(json!({ "outcomes": 1 })).err().unwrap().message.contains("at least 2"));
    let error = Prompts::new(&files("/no/such/template.md".into()), 1000).unwrap_err();
    assert!(error.message.contains("thought template /no/such/template.md"), "{error}");
}

#[test]
fn a_template_can_be_replaced_and_says_where_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("thought.md");
    let prompts = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Prompts::new(&files(path.clone()), 1000)
    };
    let messages =
        prompts("You see: {{ observation }}").unwrap().messages("thought", &context(), json!({})).unwrap();
    assert_eq!(messages[1].content, "You see: A cave.");
    assert!(prompts("{% if %}").unwrap_err().message.contains("thought.md does not parse"));
    let error = prompts("{{ nonsense }}").unwrap().messages("thought", &context(), json!({})).unwrap_err();
    assert!(error.message.contains("thought template cannot be rendered"), "{error}");
}

#[test]
fn a_planner_has_the_templates_that_it_uses_and_refuses_others() {
    fn check<C: DeserializeOwned, P: PromptFiles + Default>(required: &[&str], foreign: &str) {
        let with = |template: &str, key: &str| {
            let mut config: Map<_, _> = required.iter().map(|key| ((*key).into(), "name".into())).collect();
            config.insert(key.into(), json!({ template: "file.md" }));
            from_value::<C>(config.into()).err().map(|error| error.to_string())
        };
        assert_eq!(with("agent", "prompts"), None);
        assert!(with(foreign, "prompts").unwrap().contains(&format!("unknown field `{foreign}`")));
        assert!(with("agent", "promts").unwrap().contains("unknown field `promts`"));

        let files = P::default();
        let templates = files.templates();
        for (name, text, _) in &templates {
            let included: Vec<_> = text.split("{% include \"").skip(1).collect();
            let known =
                |rest: &&str| templates.iter().any(|(name, ..)| rest.starts_with(&format!("{name}\"")));
            assert!(included.iter().all(known), "{name} includes a template that is missing");
        }
    }
    check::<ReactConfig, ReactPrompts>(&["llm"], "utter");
    check::<SummariserConfig, SummariserPrompts>(&["llm"], "react");
    check::<PnlcConfig, PnlcPrompts>(&["llm", "critic"], "react");
    check::<StrategistConfig, StrategistPrompts>(&["llm"], "refine");
    check::<GdpZeroConfig, GdpZeroPrompts>(&["llm"], "history");
    check::<PpdppConfig, PpdppPrompts>(&["llm", "critic"], "respond");
}

#[test]
fn long_histories_keep_the_task_and_the_latest() {
    let mut context = context();
    let exchange =
        |index| Exchange { observation: format!("page {index} {}", "x".repeat(100)), ..Exchange::default() };
    context.history = (0..50).map(exchange).collect();
    let prompts = Prompts::new(&PnlcPrompts::default(), 1000).unwrap();
    let prompt = &prompts.messages("thought", &context, json!({})).unwrap()[1].content;
    assert!(prompt.len() < 2000, "{}", prompt.len());
    assert!(prompt.contains("page 0 ") && prompt.contains("page 49 ") && !prompt.contains("page 10 "));
    assert!(prompt.contains("earlier exchanges are left out"));
}

#[test]
fn random_actions_are_legal_and_follow_the_seed() {
    let actions = ["left", "right", "wait"].map(String::from);
    let decide = |seed, legal_actions: &[String]| {
        let turn = Turn { legal_actions: legal_actions.to_vec(), ..Turn::default() };
        let context = DecisionContext { seed, turn, ..context() };
        block_on(Random.decide(context, Arc::new(World(Arc::new(Wordy)))))
            .map(|decision| decision.action.text)
    };
    let drawn: Vec<_> = (0..300).map(|seed| decide(seed, &actions).unwrap()).collect();
    for action in &actions {
        let times = drawn.iter().filter(|one| *one == action).count();
        assert!((70..130).contains(&times), "{action}: {times} of 300");
    }
    assert_eq!(drawn[7], decide(7, &actions).unwrap());
    assert!(decide(7, &[]).unwrap_err().message.contains("does not list its legal actions"));
}
