//! Worlds with tools: how planners offer them to models that can call tools and to those that can only write.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use forethought_planners::{
    imagine::ImagineOnly,
    inner::Inner,
    random::Random,
    react::{React, ReactConfig},
    vote::Vote,
};
use forethought_sdk::{
    api::{
        environment::CallRule,
        llm::{Role, Tool, ToolCall},
    },
    prelude::*,
    serde_json::{Value, from_value, json},
};
use futures::executor::block_on;

/// A model that gives listed choices in order, and can call tools or not.
#[derive(Default)]
struct Model {
    tools: bool,
    choices: Mutex<VecDeque<Choice>>,
    asked: Mutex<Vec<ChatRequest>>,
}

#[async_trait]
impl LlmBackend for Model {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { tools: self.tools, ..LlmCapabilities::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.asked.lock().unwrap().push(request);
        let choice = self.choices.lock().unwrap().pop_front().expect("one more answer");
        Ok(Completion { choices: vec![choice], ..Completion::default() })
    }
}

struct World(Arc<Model>);

#[async_trait]
impl Models for World {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(self.0.clone())
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Err(Error::other("no critic"))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(None)
    }
}

const MUST: CallRule = CallRule { required: true, single: true };

/// A turn with two tools.
fn turn(call_rule: CallRule) -> Turn {
    let tool = |name: &str, argument: &str| Tool {
        name: name.into(),
        description: format!("A {name}."),
        parameters: json!({ "type": "object", "properties": { argument: {} }, "required": [argument] }),
    };
    Turn {
        observation: Observation::text("A cave."),
        tools: vec![tool("search", "query"), tool("mail", "to")],
        call_rule,
        ..Turn::default()
    }
}

fn wrote(text: &str) -> Choice {
    Choice { text: text.into(), ..Choice::default() }
}

fn calls(text: &str, calls: &[(&str, &str, Value)]) -> Choice {
    let call = |(id, name, arguments): &(&str, &str, Value)| ToolCall {
        id: (*id).into(),
        name: (*name).into(),
        arguments: arguments.clone(),
    };
    let tool_calls = calls.iter().map(call).collect();
    Choice { text: text.into(), tool_calls, finish: FinishReason::ToolCalls, ..Choice::default() }
}

/// A decision, and what was asked for it.
fn decide(
    planner: &dyn Planner,
    call_rule: CallRule,
    tools: bool,
    choices: impl IntoIterator<Item = Choice>,
) -> (Decision, Vec<ChatRequest>) {
    let choices = Mutex::new(choices.into_iter().collect());
    let model = Arc::new(Model { tools, choices, ..Model::default() });
    let context = DecisionContext {
        environment: EnvironmentSpec { instructions: "Find it.".into(), ..Default::default() },
        turn: turn(call_rule),
        ..DecisionContext::default()
    };
    let decision = block_on(planner.decide(context, Arc::new(World(model.clone())))).unwrap();
    (decision, std::mem::take(&mut *model.asked.lock().unwrap()))
}

fn react(answers: &str) -> React {
    React::new(from_value::<ReactConfig>(json!({ "llm": "actor", "answers": answers })).unwrap()).unwrap()
}

fn shown(decision: &Decision) -> (&str, &str) {
    (&decision.thought, &decision.action.text)
}

const RED: &str = r#"search({"query":"red"})"#;

#[test]
fn a_model_that_calls_tools_is_offered_those_of_the_world() {
    let said = ["I look first.", "Thought: I look first."];
    for (answers, said) in [("text", said[0]), ("text", said[1]), ("tool", said[0])] {
        let choice = calls(said, &[("c7", "search", json!({ "query": "red" }))]);
        let (decision, asked) = decide(&react(answers), MUST, true, [choice]);
        assert_eq!(shown(&decision), ("I look first.", RED));
        assert_eq!(decision.action.calls[0].id, "c7");
        let [ChatRequest { tools, messages, .. }] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(tools, &turn(MUST).tools);
        assert_eq!(messages[0].content, "Find it.", "offered once");
        let last = "\n\nIn place of the line that starts with \"Action:\", call a tool.";
        assert!(messages[1].content.ends_with(last), "{}", messages[1].content);
    }
    // It may write its call all the same.
    let (decision, _) = decide(&react("text"), MUST, true, [wrote("Thought: look\nAction: search[red]")]);
    assert_eq!(shown(&decision), ("look", RED));
}

#[test]
fn a_model_that_only_writes_is_told_the_tools_and_their_grammar() {
    let written = [
        ("text", "Thought: look\nAction: search[red]"),
        ("text", "Thought: look\nAction: search({\"query\": \"red\"})"),
        ("json", "{\"thought\": \"look\", \"action\": \"search(query='red')\"}"),
    ];
    for (answers, text) in written {
        let (decision, asked) = decide(&react(answers), MUST, answers == "json", [wrote(text)]);
        assert_eq!(shown(&decision), ("look", RED));
        assert_eq!(decision.action.calls.len(), 1);
        assert!(asked[0].tools.is_empty());
        let system = "Find it.\n\nTools:\n- search: A search.\n  Arguments: {\"";
        assert!(asked[0].messages[0].content.starts_with(system), "{}", asked[0].messages[0].content);
        let grammar = "An action is one call of a tool, written as `name({\"argument\": value})`. Nothing else is an action.";
        assert!(asked[0].messages[0].content.ends_with(grammar), "{}", asked[0].messages[0].content);
    }
}

#[test]
fn calls_that_do_not_fit_are_asked_for_again_and_then_left_to_the_world() {
    let no_such_tool = || calls("", &[("c1", "fly", json!({}))]);
    let (decision, asked) = decide(
        &react("text"),
        MUST,
        true,
        [no_such_tool(), calls("", &[("c2", "mail", json!({ "to": 1 }))])],
    );
    assert_eq!(decision.action.text, r#"mail({"to":1})"#);
    let complaint = asked[1].messages.last().unwrap();
    assert_eq!((complaint.role, complaint.tool_call_id.as_deref()), (Role::Tool, Some("c1")));
    assert!(
        complaint.content.contains("there is no tool `fly`; the tools are search, mail"),
        "{complaint:?}"
    );

    let (decision, _) = decide(&react("text"), MUST, true, [no_such_tool(), no_such_tool()]);
    assert_eq!((decision.action.text.as_str(), decision.trace.faults["unreadable"]), ("fly({})", 2));

    for (wrong, why) in [
        ("Action: mail({})", "`mail` needs the argument `to`"),
        ("Action: fly({})", "there is no tool `fly`"),
        ("Action: Hello!", "an action is a call of a tool here"),
        ("Action: mail[a]\nmail[b]", "only one call"),
    ] {
        let (decision, asked) =
            decide(&react("text"), MUST, false, [wrote(wrong), wrote("Action: mail[me]")]);
        assert_eq!(decision.action.text, r#"mail({"to":"me"})"#, "{wrong}");
        let complaint = &asked[1].messages.last().unwrap().content;
        assert!(complaint.contains(why), "{wrong}: {complaint}");
    }
}

#[test]
fn several_calls_and_words_are_actions_where_the_rule_allows_them() {
    let both = [("a", "search", json!({ "query": "red" })), ("b", "mail", json!({ "to": "me" }))];
    let canonical = format!("{RED}\nmail({{\"to\":\"me\"}})");
    let free = CallRule::default();
    let (decision, _) = decide(&react("text"), free, true, [calls("Both.", &both)]);
    assert_eq!((shown(&decision), decision.action.calls.len()), (("Both.", canonical.as_str()), 2));
    let (decision, _) =
        decide(&react("text"), free, false, [wrote("Thought: both\nAction:\nsearch[red]\nmail[me]")]);
    assert_eq!(shown(&decision), ("both", canonical.as_str()));
    let (decision, asked) = decide(&react("text"), free, true, [wrote("What is\nyour name?")]);
    assert_eq!((shown(&decision), asked.len()), (("", "What is\nyour name?"), 1));
}

#[test]
fn a_choice_is_read_from_the_words_next_to_a_call() {
    let config = json!({ "llm": "actor", "mode": "compare", "thoughts": 2, "outcomes": 2 });
    let planner = ImagineOnly::new(from_value(config).unwrap()).unwrap();
    let (decision, asked) = decide(
        &planner,
        MUST,
        true,
        [
            wrote("State: a cave\nOutcome: a cave was found"),
            wrote("Thought: search\nThought: write\nGood: found\nBad: lost"),
            calls("Choice: 2", &[("c", "mail", json!({ "to": "me" }))]),
        ],
    );
    assert_eq!(shown(&decision), ("write", r#"mail({"to":"me"})"#));
    // A strategy is asked for in words, with the tools to think of.
    assert!(asked[1].tools.is_empty() && asked[1].messages[0].content.contains("- search: A search."));
}

#[test]
fn equal_calls_are_equal_votes_whatever_their_ids() {
    let vote = Vote::over(vec![Inner::part(Arc::new(react("text"))); 3]).unwrap();
    let call = |id, to: &str| calls("", &[(id, "mail", json!({ "to": to }))]);
    let (decision, _) = decide(&vote, MUST, true, [call("1", "you"), call("2", "me"), call("3", "me")]);
    assert_eq!(decision.action.text, r#"mail({"to":"me"})"#);
    assert_eq!(decision.action.calls[0].id, "2");
}

#[test]
fn legal_calls_are_drawn_by_their_text() {
    let turn = Turn { legal_actions: vec![RED.into()], ..turn(MUST) };
    let context = DecisionContext { turn: turn.clone(), ..DecisionContext::default() };
    let decision = block_on(Random.decide(context, Arc::new(World(Arc::default())))).unwrap();
    assert_eq!(decision.action.calls(&turn).unwrap()[0].arguments, json!({ "query": "red" }));
}
