//! The file of tasks: JSON Lines, refused by line.

use forethought_sdk::{
    api::{llm::ToolCall, text::unmarked},
    prelude::*,
    scoring::JsonPath,
    serde_json::{self, Map, Value},
};

use crate::config::McpConfig;

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    /// Where it is written, for errors.
    pub(crate) place: String,
    /// What the agent is asked to do: the first observation.
    pub(crate) prompt: String,
    /// Calls made before the first turn.
    pub(crate) setup: Vec<ToolCall>,
    /// A call made at the end, whose result is scored.
    pub(crate) check: Option<ToolCall>,
    pub(crate) scorer: Option<Scorer>,
    /// Anything that a script needs to know; nobody else sees it.
    pub(crate) data: Value,
}

/// How a task is scored.
#[derive(Debug, Clone)]
pub(crate) enum Scorer {
    /// The check's result, or else the answer, is this.
    Exact(Value),
    /// A value inside of it is this.
    Path { path: JsonPath, equals: Value },
    /// The script of this name decides.
    Script(String),
    /// A language model decides by this rubric.
    Judge(String),
}

/// A line of the file.
#[data]
#[derive(Default)]
#[serde(default, deny_unknown_fields)]
struct Line {
    /// What the agent is asked to do.
    prompt: String,
    /// Calls made before.
    setup: Vec<Call>,
    /// A call made at the end.
    check: Option<Call>,
    /// How the task is scored.
    scorer: Option<Map<String, Value>>,
    /// For scripts.
    data: Value,
}

#[data]
#[serde(deny_unknown_fields)]
struct Call {
    /// The tool.
    name: String,
    /// Its arguments.
    #[serde(default)]
    arguments: Map<String, Value>,
}

impl From<Call> for ToolCall {
    fn from(call: Call) -> Self {
        Self { id: String::new(), name: call.name, arguments: Value::Object(call.arguments) }
    }
}

/// The tasks of the configured file.
///
/// # Errors
/// A file that cannot be read or has no tasks; each error in a line names the line.
pub(crate) fn read(config: &McpConfig) -> Result<Vec<Task>> {
    let path = config.tasks.display();
    if config.tasks.as_os_str().is_empty() {
        return Err(Error::config("`tasks` is missing: a file of JSON Lines, each with a `prompt`"));
    }
    let text = std::fs::read_to_string(&config.tasks.0)
        .map_err(|error| Error::config(format!("the tasks {path} cannot be read: {error}")))?;
    let lines = unmarked(&text).lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let tasks = lines.map(|(index, line)| {
        let place = format!("{path}:{}", index + 1);
        task(line, place.clone(), config).map_err(|why| Error::input(format!("{place}: {why}")))
    });
    let tasks = tasks.collect::<Result<Vec<_>>>()?;
    if tasks.is_empty() { Err(Error::input(format!("{path} has no tasks"))) } else { Ok(tasks) }
}

fn task(line: &str, place: String, config: &McpConfig) -> Result<Task, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if line.prompt.trim().is_empty() {
        return Err("`prompt` is missing or empty: what the agent is asked to do".into());
    }
    let scorer = line.scorer.map(|scorer| self::scorer(scorer, config)).transpose()?;
    let setup = line.setup.into_iter().map(ToolCall::from).collect();
    let check = line.check.map(ToolCall::from);
    Ok(Task { place, prompt: line.prompt, setup, check, scorer, data: line.data })
}

fn scorer(mut given: Map<String, Value>, config: &McpConfig) -> Result<Scorer, String> {
    const FORMS: &str = "a `scorer` is {\"exact\": VALUE}, {\"path\": \"a.b[0]\", \"equals\": VALUE}, \
                         {\"script\": \"NAME\"} or {\"judge\": \"RUBRIC\"}";
    let text = |key: &str, value: Value| match value {
        Value::String(text) if !text.trim().is_empty() => Ok(text),
        _ => Err(format!("`scorer.{key}` must be a text; {FORMS}")),
    };
    let equals = given.remove("equals");
    let mut keys = given.into_iter();
    let (Some((key, value)), None) = (keys.next(), keys.next()) else { return Err(FORMS.into()) };
    match (key.as_str(), equals) {
        ("exact", None) => Ok(Scorer::Exact(value)),
        ("path", Some(equals)) => {
            let path = text("path", value)?.parse().map_err(|error: Error| error.message)?;
            Ok(Scorer::Path { path, equals })
        }
        ("script", None) => {
            let name = text("script", value)?;
            if config.scripts.contains_key(&name) {
                return Ok(Scorer::Script(name));
            }
            let known: Vec<_> = config.scripts.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "there is none".into()
            } else {
                format!("known: {}", known.join(", "))
            };
            // The file of tasks is data: it names no program itself.
            Err(format!(
                "there is no script `{name}` ({known}); add [environment.scripts.{name}] with its command"
            ))
        }
        ("judge", None) if config.judge.is_none() => {
            Err("a rubric needs a judge: set `environment.judge` to the name of a language model".into())
        }
        ("judge", None) => Ok(Scorer::Judge(text("judge", value)?)),
        _ => Err(FORMS.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::ScriptConfig;

    fn parse(text: &str) -> Result<Vec<Task>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let script = ScriptConfig {
            command: ConfigCommand(vec!["true".into()]),
            folder: None,
            variables: Vec::new(),
            timeout_s: 1.0,
        };
        read(&McpConfig {
            tasks: ConfigPath(file.path().into()),
            scripts: BTreeMap::from([("tests".into(), script)]),
            ..McpConfig::default()
        })
    }

    #[test]
    fn tasks_are_read_line_by_line() {
        let tasks = parse(
            "{\"prompt\": \"a\"}\n\n{\"prompt\": \"b\", \"setup\": [{\"name\": \"clear\"}], \"check\": {\"name\": \
             \"get\", \"arguments\": {\"key\": \"x\"}}, \"scorer\": {\"path\": \"$.x\", \"equals\": 1}}\n",
        )
        .unwrap();
        assert_eq!((tasks.len(), tasks[0].scorer.is_none()), (2, true));
        assert_eq!(tasks[1].setup[0].arguments, serde_json::json!({}));
        assert!(matches!(&tasks[1].scorer, Some(Scorer::Path { path, .. }) if path.to_string() == "$.x"));
        assert!(tasks[1].place.ends_with(":3"), "{}", tasks[1].place);
    }

    #[test]
    fn a_broken_line_is_named_with_the_way_out() {
        for (line, why) in [
            ("{}", "`prompt` is missing or empty"),
            ("{\"prompt\": \"a\", \"promt\": 1}", "unknown field `promt`"),
            ("{\"prompt\": \"a\", \"scorer\": {}}", "a `scorer` is {\"exact\": VALUE}"),
            ("{\"prompt\": \"a\", \"scorer\": {\"path\": \"a\"}}", "a `scorer` is {\"exact\": VALUE}"),
            (
                "{\"prompt\": \"a\", \"scorer\": {\"path\": \"a[\", \"equals\": 1}}",
                "`a[` is not a path into JSON",
            ),
            ("{\"prompt\": \"a\", \"scorer\": {\"script\": \"rm\"}}", "no script `rm` (known: tests); add"),
            ("{\"prompt\": \"a\", \"scorer\": {\"judge\": \"ok?\"}}", "set `environment.judge`"),
            ("{\"prompt\": \"a\", \"setup\": [{\"nam\": \"x\"}]}", "unknown field `nam`"),
        ] {
            let error = parse(&format!("{{\"prompt\": \"fine\"}}\n{line}\n")).unwrap_err();
            assert!(error.message.contains(":2: ") && error.message.contains(why), "{line}: {error}");
        }
        assert!(parse("\n").unwrap_err().message.contains("has no tasks"));
    }
}
