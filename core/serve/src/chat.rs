//! A request of OpenAI's chat completions, read and checked: `POST /v1/chat/completions`.

use axum::http::StatusCode;
use forethought_api::environment::CallRule;
use forethought_api::llm::{Message, Role, Tool, ToolCall};
use serde_json::{Map, Value, json};

use crate::answer::Refusal;

/// A request.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    /// The messages, as they were sent.
    pub(crate) messages: Vec<Said>,
    /// The tools that may be called.
    pub(crate) tools: Vec<Tool>,
    /// How they may be called.
    pub(crate) rule: CallRule,
    /// What the answer must look like, if it is words.
    pub(crate) format: Option<Format>,
    /// Whether the answer is a stream.
    pub(crate) stream: bool,
    /// Whether the stream ends with the usage.
    pub(crate) include_usage: bool,
    pub(crate) temperature: Option<f64>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) stop: Vec<String>,
    pub(crate) seed: Option<u64>,
    /// Answers requested.
    pub(crate) n: u32,
}

/// A message.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) message: Message,
    /// Who speaks, where several users do.
    pub(crate) name: Option<String>,
    /// The first part of it that is not text, such as `image_url`.
    pub(crate) other: Option<String>,
}

/// `response_format`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Format {
    /// Any JSON object.
    Json,
    /// JSON that follows this schema.
    Schema(Value),
}

impl Format {
    /// The schema of the answer.
    pub(crate) fn schema(&self) -> Value {
        match self {
            Self::Json => json!({ "type": "object" }),
            Self::Schema(schema) => schema.clone(),
        }
    }
    /// What the one who answers is told.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Json => "When you answer in words, answer with one JSON object and nothing else.".into(),
            Self::Schema(schema) => format!(
                "When you answer in words, answer with JSON that follows this JSON schema, and nothing else:\n{schema}"
            ),
        }
    }
}

/// Something wrong at `param`.
fn wrong(param: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, message).at(param)
}

type Read<T> = Result<T, Refusal>;

/// The fields of a body.
pub(crate) fn fields(body: &[u8]) -> Read<Map<String, Value>> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")))?;
    match body {
        Value::Object(body) => Ok(body),
        _ => Err(Refusal::new(StatusCode::BAD_REQUEST, "the body must be a JSON object")),
    }
}

/// The requested model.
pub(crate) fn model(body: &Map<String, Value>) -> Read<&str> {
    let model = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
    model.ok_or_else(|| wrong("model", "`model` must be the name of a model; GET /v1/models lists them"))
}

/// An error for what is offered by no planner.
fn offered(body: &Map<String, Value>) -> Read<()> {
    let get = |key: &str| body.get(key).filter(|value| !value.is_null());
    if get("n").is_some_and(|n| n.as_u64() != Some(1)) {
        return Err(wrong("n", "only n = 1 is offered: a decision is one answer; send several requests"));
    }
    for key in ["functions", "function_call"] {
        if get(key).is_some() {
            return Err(wrong(key, format!("`{key}` is not offered; use `tools` and `tool_choice`")));
        }
    }
    for key in ["logprobs", "audio", "web_search_options", "prediction"] {
        if get(key).is_some_and(|value| *value != json!(false)) {
            return Err(wrong(key, format!("`{key}` is not offered here")));
        }
    }
    if get("modalities").is_some_and(|value| *value != json!(["text"])) {
        return Err(wrong("modalities", "only text is offered here"));
    }
    Ok(())
}

impl Chat {
    /// Reads the body of a request.
    #[cfg(test)]
    pub(crate) fn read(body: &[u8]) -> Read<Self> {
        let fields = fields(body)?;
        model(&fields)?;
        Self::of(&fields, false)
    }

    /// What the body of a request asks. If it is passed on as it is, what is not offered here is the provider's matter.
    pub(crate) fn of(body: &Map<String, Value>, passed: bool) -> Read<Self> {
        let get = |key: &str| body.get(key).filter(|value| !value.is_null());
        let n = get("n").map_or(Some(1), Value::as_u64);
        if !passed {
            offered(body)?;
        }
        let messages = match get("messages") {
            Some(Value::Array(messages)) if !messages.is_empty() => messages,
            _ => return Err(wrong("messages", "`messages` must be a list with at least one message")),
        };
        let messages = messages.iter().enumerate().map(|(at, message)| said(at, message));
        let mut chat = Self {
            n: n.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            messages: messages.collect::<Read<_>>()?,
            stream: flag(body, "stream")?,
            temperature: number(body, "temperature", 0.0, 2.0)?,
            max_tokens: whole(body, "max_completion_tokens")?
                .or(whole(body, "max_tokens")?)
                .map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX)),
            seed: match get("seed") {
                None => None,
                // OpenAI's are signed.
                Some(seed) => match (seed.as_u64(), seed.as_i64()) {
                    (Some(seed), _) => Some(seed),
                    (_, Some(seed)) => Some(seed.cast_unsigned()),
                    _ => return Err(wrong("seed", "`seed` must be an integer")),
                },
            },
            format: match format(get("response_format")) {
                Err(_) if passed => None,
                format => format?,
            },
            ..Self::default()
        };
        chat.stop = match get("stop") {
            None => Vec::new(),
            Some(Value::String(stop)) => vec![stop.clone()],
            Some(stop) => serde_json::from_value(stop.clone())
                .map_err(|_| wrong("stop", "`stop` must be a text or a list of texts"))?,
        };
        if let Some(options) = get("stream_options") {
            let Value::Object(options) = options else {
                return Err(wrong("stream_options", "`stream_options` must be an object"));
            };
            chat.include_usage = flag(options, "include_usage")?;
        }
        if let Some(tools) = get("tools") {
            chat.tools = match read_tools(tools) {
                Err(_) if passed => Vec::new(),
                tools => tools?,
            };
        }
        chat.rule.single = get("parallel_tool_calls").is_some() && !flag(body, "parallel_tool_calls")?;
        match chat.choose(get("tool_choice")) {
            Err(_) if passed => {}
            chosen => chosen?,
        }
        Ok(chat)
    }

    /// Applies `tool_choice`.
    fn choose(&mut self, choice: Option<&Value>) -> Read<()> {
        let wrong = |message: String| wrong("tool_choice", message);
        let only = |tools: &mut Vec<Tool>, names: &[&str]| -> Read<()> {
            if let Some(name) = names.iter().find(|name| !tools.iter().any(|tool| tool.name == **name)) {
                return Err(wrong(format!("there is no tool `{name}` among `tools`")));
            }
            tools.retain(|tool| names.contains(&tool.name.as_str()));
            Ok(())
        };
        match choice {
            None => {}
            Some(Value::String(word)) => match word.as_str() {
                "auto" => {}
                "none" => self.tools.clear(),
                "required" => self.rule.required = true,
                other => {
                    return Err(wrong(format!("`{other}` is not one of `none`, `auto` and `required`")));
                }
            },
            Some(choice) => match choice["type"].as_str() {
                Some("function") => {
                    let Some(name) = choice["function"]["name"].as_str() else {
                        return Err(wrong("`tool_choice.function.name` must be the name of a tool".into()));
                    };
                    only(&mut self.tools, &[name])?;
                    self.rule.required = true;
                }
                Some("allowed_tools") => {
                    let allowed = &choice["allowed_tools"];
                    let names = allowed["tools"].as_array().into_iter().flatten();
                    let names: Vec<_> = names.filter_map(|tool| tool["function"]["name"].as_str()).collect();
                    only(&mut self.tools, &names)?;
                    self.rule.required = allowed["mode"] == "required";
                }
                _ => {
                    return Err(wrong(
                        "`tool_choice` must be `none`, `auto`, `required`, or a choice of type `function` or \
                         `allowed_tools`"
                            .into(),
                    ));
                }
            },
        }
        if self.rule.required && self.tools.is_empty() {
            return Err(wrong("a call is required, and there are no `tools`".into()));
        }
        Ok(())
    }

    /// The system prompt.
    pub(crate) fn system(&self) -> String {
        let leading = self.messages.iter().take_while(|said| said.message.role == Role::System);
        let texts = leading.map(|said| said.message.content.trim()).filter(|text| !text.is_empty());
        texts.collect::<Vec<_>>().join("\n\n")
    }

    /// The system prompt, and what must be said of the answer's form.
    pub(crate) fn instructions(&self) -> String {
        let texts = [self.system(), self.format.as_ref().map(Format::words).unwrap_or_default()];
        texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
    }

    /// An error if a message has something else than text.
    pub(crate) fn only_text(&self) -> Read<()> {
        match self.messages.iter().enumerate().find_map(|(at, said)| Some((at, said.other.as_ref()?))) {
            Some((at, other)) => Err(wrong(
                format!("messages.[{at}].content"),
                format!("this model reads text only, and a part of message {at} is `{other}`"),
            )),
            None => Ok(()),
        }
    }
}

fn flag(body: &Map<String, Value>, key: &str) -> Read<bool> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(wrong(key, format!("`{key}` must be true or false"))),
    }
}

fn number(body: &Map<String, Value>, key: &str, low: f64, high: f64) -> Read<Option<f64>> {
    let Some(value) = body.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
    match value.as_f64().filter(|number| (low..=high).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(wrong(key, format!("`{key}` must be a number from {low} to {high}"))),
    }
}

fn whole(body: &Map<String, Value>, key: &str) -> Read<Option<u64>> {
    let Some(value) = body.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
    match value.as_u64().filter(|number| *number > 0) {
        Some(number) => Ok(Some(number)),
        None => Err(wrong(key, format!("`{key}` must be a whole number from 1"))),
    }
}

fn format(format: Option<&Value>) -> Read<Option<Format>> {
    let Some(format) = format else { return Ok(None) };
    let param = "response_format";
    match format["type"].as_str() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => {
            let schema = &format["json_schema"]["schema"];
            let place = "response_format.json_schema.schema";
            if !schema.is_object() {
                return Err(wrong(place, "`response_format.json_schema.schema` must be a JSON schema"));
            }
            // Without a resolver: a schema that refers to a file or an address is refused, and nothing is read.
            jsonschema::validator_for(schema)
                .map_err(|error| wrong(place, format!("this is not a JSON schema: {error}")))?;
            Ok(Some(Format::Schema(schema.clone())))
        }
        _ => Err(wrong(param, "`response_format.type` must be `text`, `json_object` or `json_schema`")),
    }
}

fn read_tools(tools: &Value) -> Read<Vec<Tool>> {
    let Value::Array(tools) = tools else { return Err(wrong("tools", "`tools` must be a list")) };
    let mut read: Vec<Tool> = Vec::with_capacity(tools.len());
    for (at, tool) in tools.iter().enumerate() {
        let place = format!("tools.[{at}]");
        if tool["type"] != "function" {
            return Err(wrong(place + ".type", "only tools of type `function` are offered"));
        }
        let function = &tool["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
            let message = "a tool's name must have 1 to 128 letters, digits, `_`, `-` and `.`";
            return Err(wrong(place + ".function.name", message));
        }
        if read.iter().any(|tool| tool.name == name) {
            return Err(wrong(place + ".function.name", format!("there are two tools called `{name}`")));
        }
        let parameters = match &function["parameters"] {
            Value::Null => json!({ "type": "object", "properties": {} }),
            schema @ Value::Object(_) => schema.clone(),
            _ => return Err(wrong(place + ".function.parameters", "must be a JSON schema")),
        };
        let description = function["description"].as_str().unwrap_or_default().into();
        read.push(Tool { name: name.into(), description, parameters });
    }
    Ok(read)
}

fn said(at: usize, message: &Value) -> Read<Said> {
    let place = format!("messages.[{at}]");
    let Value::Object(fields) = message else { return Err(wrong(place, "a message must be an object")) };
    let role = match fields.get("role").and_then(Value::as_str) {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        other => {
            let message = format!(
                "`{}` is not one of the roles `system`, `developer`, `user`, `assistant` and `tool`",
                other.unwrap_or_default()
            );
            return Err(wrong(place + ".role", message));
        }
    };
    let (content, other) = content(&place, fields.get("content").unwrap_or(&Value::Null))?;
    let mut tool_calls = Vec::new();
    match fields.get("tool_calls") {
        None | Some(Value::Null) => {}
        Some(Value::Array(calls)) if role == Role::Assistant => {
            for (index, call) in calls.iter().enumerate() {
                tool_calls.push(read_call(&format!("{place}.tool_calls.[{index}]"), call)?);
            }
        }
        Some(_) => {
            return Err(wrong(place + ".tool_calls", "must be a list, of a message of the role `assistant`"));
        }
    }
    let tool_call_id = fields.get("tool_call_id").and_then(Value::as_str).map(String::from);
    if role == Role::Tool && tool_call_id.is_none() {
        return Err(wrong(place + ".tool_call_id", "the result of a tool names the call that it answers"));
    }
    let name = fields.get("name").and_then(Value::as_str).map(String::from);
    Ok(Said { message: Message { role, content, tool_calls, tool_call_id }, name, other })
}

/// The text of a message, and the type of its first part that is not text.
fn content(place: &str, content: &Value) -> Read<(String, Option<String>)> {
    let wrong = || wrong(format!("{place}.content"), "`content` must be a text or a list of parts");
    match content {
        Value::Null => Ok((String::new(), None)),
        Value::String(text) => Ok((text.clone(), None)),
        Value::Array(parts) => {
            let (mut texts, mut other) = (Vec::new(), None);
            for part in parts {
                let kind = part["type"].as_str().ok_or_else(wrong)?;
                match (kind, &part[if kind == "refusal" { "refusal" } else { "text" }]) {
                    ("text" | "input_text" | "output_text" | "refusal", Value::String(text)) => {
                        texts.push(text.as_str());
                    }
                    ("text" | "input_text" | "output_text" | "refusal", _) => return Err(wrong()),
                    _ => {
                        texts.push("[something that is not text]");
                        other.get_or_insert_with(|| kind.to_owned());
                    }
                }
            }
            Ok((texts.join("\n"), other))
        }
        _ => Err(wrong()),
    }
}

fn read_call(place: &str, call: &Value) -> Read<ToolCall> {
    let function = &call["function"];
    let Some(name) = function["name"].as_str() else {
        return Err(wrong(format!("{place}.function.name"), "a call must name its tool"));
    };
    let arguments = match &function["arguments"] {
        Value::Null => json!({}),
        // Models also write what is not JSON; it was said all the same.
        Value::String(text) if text.trim().is_empty() => json!({}),
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| text.clone().into()),
        arguments => arguments.clone(),
    };
    let id = call["id"].as_str().unwrap_or_default();
    Ok(ToolCall { id: id.into(), name: name.into(), arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Value) -> Read<Chat> {
        Chat::read(body.to_string().as_bytes())
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let hello = json!([{ "role": "user", "content": "hello" }]);
        let tool = json!({ "type": "function", "function": { "name": "look" } });
        let with = |key: &str, value: Value| {
            let mut body = json!({ "model": "m", "messages": hello });
            body[key] = value;
            body
        };
        for (body, param, words) in [
            (json!([]), "", "a JSON object"),
            (json!({ "messages": hello }), "model", "GET /v1/models"),
            (json!({ "model": "m", "messages": [] }), "messages", "at least one"),
            (with("n", json!(2)), "n", "only n = 1"),
            (with("functions", json!([])), "functions", "use `tools`"),
            (with("temperature", json!("hot")), "temperature", "from 0 to 2"),
            (with("max_tokens", json!(-1)), "max_tokens", "from 1"),
            (with("stream", json!("yes")), "stream", "true or false"),
            (with("tools", json!([{ "type": "web_search" }])), "tools.[0].type", "`function`"),
            (with("tools", json!([tool, tool])), "tools.[1].function.name", "two tools called `look`"),
            (with("tool_choice", json!("required")), "tool_choice", "there are no `tools`"),
            (
                with("tool_choice", json!({ "type": "function", "function": { "name": "fly" } })),
                "tool_choice",
                "no tool `fly`",
            ),
            (with("response_format", json!({ "type": "xml" })), "response_format", "`json_schema`"),
            (
                with(
                    "response_format",
                    json!({ "type": "json_schema", "json_schema": { "schema": { "type": 7 } } }),
                ),
                "response_format.json_schema.schema",
                "not a JSON schema",
            ),
            (with("messages", json!([{ "role": "king" }])), "messages.[0].role", "`king`"),
            (with("messages", json!([{ "role": "user", "content": 7 }])), "messages.[0].content", "a list"),
            (
                with("messages", json!([{ "role": "tool", "content": "x" }])),
                "messages.[0].tool_call_id",
                "names the call",
            ),
            (
                with("messages", json!([{ "role": "user", "tool_calls": [{}] }])),
                "messages.[0].tool_calls",
                "`assistant`",
            ),
        ] {
            let refusal = read(&body).expect_err(words);
            assert_eq!(refusal.param.as_deref().unwrap_or_default(), param, "{}", refusal.message);
            assert!(refusal.message.contains(words), "{}", refusal.message);
        }
    }

    #[test]
    fn a_schema_that_refers_to_a_file_or_an_address_is_refused_and_read_nowhere() {
        for place in ["file:///etc/hostname", "http://127.0.0.1:1/schema.json"] {
            let schema = json!({ "$ref": place });
            let body = json!({
                "model": "m",
                "messages": [{ "role": "user", "content": "hello" }],
                "response_format": { "type": "json_schema", "json_schema": { "schema": schema } },
            });
            assert!(read(&body).is_err(), "{place}");
        }
    }

    #[test]
    fn a_choice_of_tools_leaves_those_that_may_be_called() {
        let tools: Vec<_> = ["look", "go"]
            .iter()
            .map(|name| json!({ "type": "function", "function": { "name": name } }))
            .collect();
        let chosen = |choice: Value| {
            let messages = json!([{ "role": "user", "content": [{ "type": "text", "text": "hello" }] }]);
            let chat =
                read(&json!({ "model": "m", "messages": messages, "tools": tools, "tool_choice": choice }));
            let chat = chat.unwrap_or_else(|refusal| panic!("{}", refusal.message));
            (chat.tools.into_iter().map(|tool| tool.name).collect::<Vec<_>>().join(" "), chat.rule.required)
        };
        assert_eq!(chosen(Value::Null), ("look go".into(), false));
        assert_eq!(chosen(json!("none")), (String::new(), false));
        assert_eq!(chosen(json!("required")), ("look go".into(), true));
        assert_eq!(chosen(json!({ "type": "function", "function": { "name": "go" } })), ("go".into(), true));
    }
}
