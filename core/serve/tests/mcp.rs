//! Questions over the Model Context Protocol: to a critic, also where it has no data, and to a planner.

use std::path::Path;
use std::sync::Arc;

use forethought_runtime::{
    cancel::Cancel,
    config::{Config, Sources},
    host::RuntimeHost,
    registry::Registry,
};
use forethought_sdk::{
    api::llm::ToolCall,
    prelude::*,
    serde_json::{self, Value, json},
};
use forethought_serve::Advisor;
use rmcp::{
    RoleClient, ServiceExt as _,
    model::{CallToolRequestParams, CallToolResult},
    service::RunningService,
};

/// Knows nothing of the moon; otherwise, the longer the thought, the better.
struct Earthly;

#[async_trait]
impl Critic for Earthly {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let estimate = |query: &CriticQuery| Estimate {
            outside: query.outcome.contains("moon"),
            known: Some(0),
            ..Estimate::of(query.thought.len() as f64 / 100.0)
        };
        Ok(queries.iter().map(estimate).collect())
    }
    async fn style_card(&self) -> Result<StyleCard> {
        let text = "It is done.".into();
        Ok(StyleCard { outcomes: vec![KnownOutcome { text, ..Default::default() }], ..Default::default() })
    }
}

register! {
    interface: dyn Critic, kind: "earthly", summary: "knows nothing of the moon", config: NoConfig,
    new: |_config: NoConfig, _host| async move { Ok(Arc::new(Earthly) as _) },
}

/// Repeats the last message.
struct Echo;

#[async_trait]
impl LlmBackend for Echo {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "echo".into(), ..Default::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let text = request.messages.last().map(|message| message.content.clone()).unwrap_or_default();
        Ok(Completion { choices: vec![Choice { text, ..Default::default() }], ..Default::default() })
    }
}

register! {
    interface: dyn LlmBackend, kind: "echo", summary: "repeats the last message", config: NoConfig,
    new: |_config: NoConfig, _host| async move { Ok(Arc::new(Echo) as _) },
}

/// Calls the first tool with what it saw and did last; asks a model once.
struct Caller;

#[async_trait]
impl Planner for Caller {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec!["echo".into()], ..Default::default() })
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let seen = context.turn.observation.text;
        let asked = ChatRequest::new(Purpose::Thought, vec![Message::user(seen)]);
        let thought = models.llm("echo".into()).await?.complete(asked).await?.text().to_owned();
        let done =
            context.history.iter().map(|exchange| exchange.action.clone()).collect::<Vec<_>>().join("; ");
        let action = match context.turn.tools.first() {
            Some(tool) => Action::of_calls(vec![ToolCall {
                name: tool.name.clone(),
                arguments: json!({ "done": done, "task": context.environment.instructions }),
                ..Default::default()
            }]),
            None => Action::new(format!("after {done}")),
        };
        Ok(Decision { thought, action, ..Default::default() })
    }
}

register! {
    interface: dyn Planner, kind: "caller", summary: "calls the first tool", config: NoConfig,
    new: |_config: NoConfig, _host| async move { Ok(Arc::new(Caller) as _) },
}

/// The last thing that was seen and what was done.
struct Last;

#[async_trait]
impl Summariser for Last {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    async fn summarise(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Summary> {
        let done = context.history.last().map(|exchange| exchange.action.clone()).unwrap_or_default();
        Ok(Summary {
            state: format!("{} after {done}", context.turn.observation.text),
            outcome: String::new(),
        })
    }
}

register! {
    interface: dyn Summariser, kind: "last", summary: "the last thing seen and done", config: NoConfig,
    new: |_config: NoConfig, _host| async move { Ok(Arc::new(Last) as _) },
}

const ALL: &str = "[critic.earthly]\nkind = \"earthly\"\n[llm.echo]\nkind = \"echo\"\n\
                   [planner.caller]\nkind = \"caller\"\n[summariser]\nkind = \"last\"\n";

async fn advisor(folder: &Path, toml: &str) -> Result<Advisor> {
    std::fs::write(folder.join("forethought.toml"), toml).unwrap();
    let registry = Registry::linked().unwrap();
    let config = Config::load(&Sources::new(folder), &registry)?;
    Advisor::open(&RuntimeHost::new(Arc::new(config), Arc::new(registry)), Cancel::new()).await
}

/// A client of an advisor that serves it.
async fn client(advisor: &Advisor) -> RunningService<RoleClient, ()> {
    let (here, there) = tokio::io::duplex(1 << 16);
    let advisor = advisor.clone();
    tokio::spawn(async move {
        let (input, output) = tokio::io::split(there);
        advisor.speak(input, output, &Cancel::new()).await.unwrap();
    });
    ().serve(here).await.unwrap()
}

async fn ask(
    client: &RunningService<RoleClient, ()>,
    tool: &'static str,
    arguments: Value,
) -> CallToolResult {
    let mut request = CallToolRequestParams::new(tool);
    request.arguments = arguments.as_object().cloned();
    client.call_tool(request).await.unwrap()
}

fn text(result: &CallToolResult) -> String {
    serde_json::to_value(&result.content[0]).unwrap()["text"].as_str().unwrap().to_owned()
}

fn history() -> Value {
    json!([
        { "observation": "a door", "action": "knock" },
        { "observation": "no answer", "thought": "try", "calls": [{ "name": "open", "arguments": { "key": 1 } }] },
    ])
}

#[tokio::test]
async fn a_critic_says_how_likely_outcomes_are_and_where_it_has_no_data() {
    let folder = tempfile::tempdir().unwrap();
    let advisor = advisor(folder.path(), ALL).await.unwrap();
    let client = client(&advisor).await;
    let tools: Vec<_> = client.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name).collect();
    assert_eq!(tools, ["evaluate_thought", "plan"]);

    let thought = "x".repeat(25);
    let outcomes = ["The door opens.", "The moon rises.", "It is done."];
    let question = json!({ "state": "a door", "thought": thought, "outcomes": outcomes });
    let answer = ask(&client, "evaluate_thought", question).await;
    assert_eq!(
        text(&answer),
        "0.250    The door opens.  (read as: It is done.)\nno data  The moon rises.  (read as: It is done.)\n\
         0.250    It is done."
    );
    let data = answer.structured_content.unwrap();
    assert_eq!(data["values"][0]["value"], 0.25);
    assert_eq!((&data["values"][1]["value"], &data["values"][1]["no_data"]), (&Value::Null, &json!(true)));

    // The configured summariser puts a history into the critic's words.
    let question =
        json!({ "history": history(), "observation": "it opens", "thought": thought, "outcomes": ["a"] });
    let data = ask(&client, "evaluate_thought", question).await.structured_content.unwrap();
    assert_eq!(data["state"], "it opens after open({\"key\":1})");
}

#[tokio::test]
async fn a_planner_decides_on_a_history_and_the_clients_tools() {
    let folder = tempfile::tempdir().unwrap();
    let advisor = advisor(folder.path(), ALL).await.unwrap();
    let client = client(&advisor).await;
    let question = json!({
        "task": "Get in.", "history": history(), "observation": "it opens",
        "tools": [{ "name": "enter", "description": "Go in.", "inputSchema": { "type": "object" } }],
    });
    let answer = ask(&client, "plan", question).await;
    let data = answer.structured_content.as_ref().unwrap();
    let arguments = json!({ "done": "knock; open({\"key\":1})", "task": "Get in." });
    assert_eq!(data["thought"], "it opens");
    assert_eq!(data["calls"], json!([{ "name": "enter", "arguments": arguments }]));
    assert_eq!(text(&answer), format!("Thought: it opens\nAction: enter({arguments})"));
    let words = ask(&client, "plan", json!({ "observation": "a wall" })).await.structured_content.unwrap();
    assert_eq!((&words["action"], &words["calls"]), (&json!("after "), &json!([])));

    // Questions are episodes of a run.
    drop(client);
    let outcome = advisor.close().await.unwrap();
    assert_eq!(outcome.episodes, 2);
    assert!(outcome.folder.join("episodes.jsonl").is_file());
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let two = format!("{ALL}[critic.second]\nkind = \"earthly\"\n");
    let advisor = advisor(folder.path(), &two).await.unwrap();
    let client = client(&advisor).await;
    for (tool, arguments, why) in [
        ("plan", json!({}), "missing field `observation`"),
        ("plan", json!({ "observation": "a", "planer": "x" }), "unknown field `planer`"),
        ("plan", json!({ "observation": "a", "planner": "x" }), "there is no planner `x`; known: caller"),
        (
            "evaluate_thought",
            json!({ "thought": "a", "outcomes": ["b"], "state": "c" }),
            "say which critic to ask: earthly, second",
        ),
        (
            "evaluate_thought",
            json!({ "thought": "a", "outcomes": [], "state": "c", "critic": "second" }),
            "`outcomes` is empty",
        ),
        (
            "evaluate_thought",
            json!({ "thought": "a", "outcomes": ["b"], "critic": "second" }),
            "give either `state`",
        ),
    ] {
        let answer = ask(&client, tool, arguments).await;
        assert!(answer.is_error == Some(true) && text(&answer).contains(why), "{}", text(&answer));
    }
    let unknown = client.call_tool(CallToolRequestParams::new("fly")).await.unwrap_err();
    assert!(unknown.to_string().contains("there is no tool `fly`"), "{unknown}");
}

#[tokio::test]
async fn budgets_hold_for_all_questions_together() {
    let folder = tempfile::tempdir().unwrap();
    let advisor = advisor(folder.path(), &format!("{ALL}[run]\nmax_calls = 2\n")).await.unwrap();
    let client = client(&advisor).await;
    let mut failed = Vec::new();
    for _ in 0..3 {
        let answer = ask(&client, "plan", json!({ "observation": "a" })).await;
        failed.push(answer.is_error == Some(true));
        if failed.len() == 3 {
            assert!(text(&answer).contains("budget is reached"), "{}", text(&answer));
        }
    }
    assert_eq!(failed, [false, false, true]);
}

#[tokio::test]
async fn without_a_summariser_states_can_be_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    let advisor = advisor(folder.path(), "[critic.earthly]\nkind = \"earthly\"\n").await.unwrap();
    assert_eq!(advisor.offered(), ["critic.earthly"]);
    let client = client(&advisor).await;
    let question = json!({ "thought": "a", "outcomes": ["b"] });
    let with = |key: &str| {
        let mut question = question.clone();
        question[key] = "c".into();
        question
    };
    assert_eq!(ask(&client, "evaluate_thought", with("state")).await.is_error, Some(false));
    let answer = ask(&client, "evaluate_thought", with("observation")).await;
    assert!(text(&answer).contains("no summariser"), "{}", text(&answer));
    let none = self::advisor(folder.path(), "seed = 1\n").await.err().expect("nothing to ask");
    assert!(none.message.contains("neither") || none.message.contains("no critic and no planner"), "{none}");
}
