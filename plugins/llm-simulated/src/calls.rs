//! Requests with tools: answers become calls, and the chats of agents that know nothing of our prompts become prompts.

use forethought_sdk::{
    api::{
        llm::{Role, Tool, ToolCall},
        tools,
    },
    prelude::*,
    serde_json::{self, Map, Value},
};

use crate::request::Ask;

/// Whether a request with tools is not one of our prompts, which end with the lines that they request.
pub(crate) fn foreign(request: &ChatRequest) -> bool {
    let ours = |message: &Message| message.role == Role::User && Ask::read(&message.content).is_ok();
    !request.tools.is_empty() && !request.messages.iter().any(ours)
}

/// An agent's chat in the form of ReAct's prompt: what a reader of such prompts sees is all that the chat says.
pub(crate) fn as_prompt(messages: &[Message]) -> String {
    let mut text = String::new();
    for Message { role, content, tool_calls, .. } in messages {
        match role {
            Role::System | Role::Unknown => text += &format!("{content}\n\n"),
            Role::Assistant => {
                let thought = content.split_whitespace().collect::<Vec<_>>().join(" ");
                if !thought.is_empty() {
                    text += &format!("Thought: {thought}\n");
                }
                let action =
                    |call: &ToolCall| format!("Action: {}\n", tools::write(std::slice::from_ref(call)));
                text.extend(tool_calls.iter().map(action));
                text.push('\n');
            }
            // Some frameworks write results as JSON.
            _ => {
                let content = serde_json::from_str::<String>(content).unwrap_or_else(|_| content.clone());
                text += &format!("Observation:\n{}\n\n", content.trim_end());
            }
        }
    }
    text + "Think about what to do next, then act. Reply with two lines:\nThought: <a short private strategy>\n\
            Action: <one action, exactly in the grammar given>"
}

/// An answer to a request: where that offers tools, the action of the answer as a call, or the whole answer as the
/// arguments of the only tool that takes them.
pub(crate) fn choice(answer: String, request: &ChatRequest, seed: u64) -> Choice {
    let words = |text: String| Choice { text, ..Choice::default() };
    let Some((text, calls)) = called(&answer, &request.tools) else { return words(answer) };
    // In a chat without our labels a thought is what is said.
    let said = text.strip_prefix("Thought: ").filter(|_| foreign(request)).unwrap_or(&text);
    let id = |index: usize| format!("call_{:016x}", seed::derive(seed, &format!("call {index}")));
    let tool_calls = calls.into_iter().enumerate().map(|(index, call)| ToolCall { id: id(index), ..call });
    let (text, tool_calls) = (said.to_owned(), tool_calls.collect());
    Choice { text, tool_calls, finish: FinishReason::ToolCalls, ..Choice::default() }
}

/// The calls in a labelled answer, and its other lines; `None` if it makes no call.
fn called(answer: &str, tools: &[Tool]) -> Option<(String, Vec<ToolCall>)> {
    if let [tool] = tools
        && let Some(arguments) = arguments(answer, &tool.parameters)
    {
        let call = ToolCall { name: tool.name.clone(), arguments, ..ToolCall::default() };
        return Some((String::new(), vec![call]));
    }
    let (action, rest): (Vec<_>, Vec<_>) = answer.lines().partition(|line| line.starts_with("Action: "));
    let [action] = action[..] else { return None };
    let calls = tools::read(action.strip_prefix("Action: ")?, tools).ok()?;
    (!calls.is_empty()).then(|| (rest.join("\n"), calls))
}

/// A labelled answer as the object that a schema describes; `None` if one of its keys is no label of the answer.
fn arguments(answer: &str, schema: &Value) -> Option<Value> {
    let properties = schema["properties"].as_object().filter(|properties| !properties.is_empty())?;
    let value = |(key, kind): (&String, &Value)| {
        let label = |line: &str| {
            let (label, text) = line.split_once(": ")?;
            (label.to_lowercase() == *key).then(|| Value::from(text))
        };
        let mut texts: Vec<Value> = answer.lines().filter_map(label).collect();
        let value = if kind["type"] == "array" { texts.clone().into() } else { texts.pop()? };
        Some((key.clone(), value))
    };
    properties.iter().map(value).collect::<Option<Map<_, _>>>().map(Value::Object)
}

#[cfg(test)]
mod tests {
    use forethought_sdk::serde_json::json;

    use super::*;

    fn tool(name: &str, properties: Value) -> Tool {
        Tool { name: name.into(), parameters: json!({ "properties": properties }), ..Tool::default() }
    }

    fn read(answer: &str, tools: Vec<Tool>) -> (String, String) {
        let request = ChatRequest { tools, ..ChatRequest::new(Purpose::Action, Vec::new()) };
        let choice = choice(answer.into(), &request, 1);
        (choice.text, tools::write(&choice.tool_calls))
    }

    #[test]
    fn an_action_becomes_a_call_and_the_rest_is_said() {
        let tools = || vec![tool("search", json!({ "query": {} })), tool("wait", json!({}))];
        let search = "search({\"query\":\"red\"})";
        let both = |text: &str, calls: &str| (text.to_owned(), calls.to_owned());
        assert_eq!(read("Thought: look\nAction: search[red]", tools()), both("look", search));
        assert_eq!(read("Choice: 2\nAction: search[red]", tools()), both("Choice: 2", search));
        assert_eq!(read("Sure! look search[red]", tools()), both("Sure! look search[red]", ""));
        assert_eq!(read("Action: open[x]", tools()), both("Action: open[x]", ""));
        let answer = tool("answer", json!({ "good": { "type": "array" }, "thought": {} }));
        let arguments = "answer({\"good\":[\"a\",\"b\"],\"thought\":\"t\"})";
        assert_eq!(read("Thought: t\nGood: a\nGood: b", vec![answer]), both("", arguments));
    }

    #[test]
    fn a_chat_is_read_as_observations_thoughts_and_actions() {
        let call = ToolCall { id: "1".into(), name: "go".into(), arguments: json!({ "to": "x" }) };
        let messages = vec![
            Message::system("You are an agent."),
            Message::user("Find it."),
            Message { tool_calls: vec![call], ..Message::assistant("I go\nthere.") },
            Message { tool_call_id: Some("1".into()), ..Message::new(Role::Tool, "\"A\\nB\"") },
        ];
        let tools = vec![tool("go", json!({ "to": {} }))];
        let request = ChatRequest { tools, ..ChatRequest::new(Purpose::Other, messages) };
        assert!(foreign(&request));
        let expected = "You are an agent.\n\nObservation:\nFind it.\n\nThought: I go there.\nAction: go({\"to\":\"x\"})\n\n\
                        Observation:\nA\nB\n\nThink about";
        assert!(as_prompt(&request.messages).starts_with(expected), "{}", as_prompt(&request.messages));
        let ours = Message::user("A\n\nThought: <a short private strategy>\nAction: <one action>");
        let request = ChatRequest { messages: vec![ours], ..request };
        assert!(!foreign(&request));
    }
}
