//! Chats as the text that a model was trained on: the chat template of its own files, rendered as in transformers
//! (`chat_template_utils.py`): Jinja with trimmed blocks, loop controls, Python's methods, `raise_exception` and a
//! `tojson` with Python's spacing. `strftime_now` gives the date in the configuration. Without one it is left out, because
//! the same chat must always give the same prompt; templates check for it with `is defined`, and use a fixed date
//! otherwise.

use forethought_sdk::{
    api::llm::{Tool, ToolCall},
    prelude::*,
    serde_json::{Map, Value as Json, json},
};
use minijinja::{
    Environment as Jinja, ErrorKind, Output, State, UndefinedBehavior, Value,
    syntax::SyntaxConfig,
    value::{Kwargs, Serde, ValueKind},
};

use crate::config::LocalConfig;

/// A model's chat template.
pub(crate) struct Template {
    jinja: Jinja<'static>,
    /// How the model calls tools; `None` if it does not.
    pub(crate) tools: Option<ToolForm>,
    has_tool_template: bool,
    /// Special tokens by name, and the user's own variables.
    variables: Map<String, Json>,
    /// Whether the template refuses the system's role, so that its words go in front of the user's.
    folds: bool,
}

/// Steps of a template's execution, far above what any chat needs: a template is a stranger's program.
const FUEL: u64 = 50_000_000;

/// How a model calls tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolForm {
    /// `<tool_call>{"name": ..., "arguments": ...}</tool_call>`, as in Qwen.
    Tagged,
    /// `{"name": ..., "parameters": ...}` and nothing else, as in Llama 3.
    Bare,
}

const CHAT: &str = "chat_template";
const TOOL_USE: &str = "chat_template for tools";

impl Template {
    /// The template of a `tokenizer_config.json`, or of its own file, which takes precedence.
    pub(crate) fn new(own: Option<String>, config: &Json, settings: &LocalConfig) -> Result<Option<Self>> {
        let (plain, with_tools) = match (own, &config[CHAT]) {
            (Some(own), _) => (own, None),
            (None, Json::String(template)) => (template.clone(), None),
            (None, Json::Array(several)) => {
                let named = |name: &str| {
                    let found = several.iter().find(|one| one["name"] == name)?;
                    found["template"].as_str().map(str::to_owned)
                };
                match named("default") {
                    Some(default) => (default, named("tool_use")),
                    None => return Err(Error::config("`chat_template` lists no template named \"default\"")),
                }
            }
            _ => return Ok(None),
        };
        let tools = tool_form(with_tools.as_ref().unwrap_or(&plain));
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        let syntax = syntax.map_err(|error| explain(&error))?;
        let mut jinja = Jinja::new();
        jinja.set_syntax(syntax);
        jinja.set_undefined_behavior(UndefinedBehavior::Lenient);
        jinja.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        jinja.set_formatter(format);
        jinja.set_fuel(Some(FUEL));
        jinja.add_filter("tojson", tojson);
        jinja.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        if let Some(date) = &settings.date {
            let date = Date::parse(date)?;
            jinja.add_function("strftime_now", move |format: String| date.format(&format));
        }
        let has_tool_template = with_tools.is_some();
        for (name, source) in [(CHAT, Some(plain)), (TOOL_USE, with_tools)] {
            if let Some(source) = source {
                jinja
                    .add_template_owned(name, formatted(&without_generation(&source)))
                    .map_err(|error| explain(&error))?;
            }
        }
        let mut all = Map::new();
        for (name, token) in
            config.as_object().into_iter().flatten().filter(|(name, _)| name.ends_with("_token"))
        {
            // Written as a string, or as an object with the string in it.
            if let Some(text) = token.as_str().or_else(|| token["content"].as_str()) {
                all.insert(name.clone(), text.into());
            }
        }
        all.extend(settings.template.clone());
        let mut template = Self { jinja, tools, has_tool_template, variables: all, folds: false };
        let user = Message::user("hello");
        let with_system = [Message::new(Role::System, "Be brief."), user.clone()];
        template.folds = template.render(&with_system, &[]).is_err() && template.render(&[user], &[]).is_ok();
        Ok(Some(template))
    }

    /// The prompt: the chat so far, and the beginning of the model's turn.
    pub(crate) fn render(&self, messages: &[Message], tools: &[Tool]) -> Result<String> {
        let folded;
        let messages = if self.folds {
            folded = fold(messages);
            &folded
        } else {
            messages
        };
        let mut variables = self.variables.clone();
        variables.insert("messages".into(), messages.iter().map(message).collect());
        variables.insert("add_generation_prompt".into(), true.into());
        let offered = tools.iter().map(|tool| {
            let Tool { name, description, parameters } = tool;
            let function = json!({ "name": name, "description": description, "parameters": parameters });
            json!({ "type": "function", "function": function })
        });
        if !tools.is_empty() {
            variables.insert("tools".into(), offered.collect());
        }
        let name = if self.has_tool_template && !tools.is_empty() { TOOL_USE } else { CHAT };
        let template = self.jinja.get_template(name).map_err(|error| explain(&error))?;
        template.render(Value::from(Serde(&variables))).map_err(|error| explain(&error))
    }
}

/// How a template expects tools to be called.
fn tool_form(template: &str) -> Option<ToolForm> {
    if !template.contains("tools") {
        None
    } else if template.contains("<tool_call>") {
        Some(ToolForm::Tagged)
    } else if template.contains("\"parameters\"") {
        Some(ToolForm::Bare)
    } else {
        None
    }
}

fn explain(error: &minijinja::Error) -> Error {
    let place = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    let mut text = format!("the model's chat template{place}: {error}");
    if text.contains("strftime_now") {
        text += "; set `date` to one, as \"2026-11-30\": without it the time is not available, because the same chat must \
                 always give the same prompt";
    }
    Error::input(text)
}

/// A message as templates expect it.
fn message(message: &Message) -> Json {
    let role = match message.role {
        Role::System => "system",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        _ => "user",
    };
    let mut all = json!({ "role": role, "content": message.content });
    if !message.tool_calls.is_empty() {
        all["tool_calls"] = message.tool_calls.iter().map(call).collect();
    }
    if let Some(id) = &message.tool_call_id {
        all["tool_call_id"] = id.as_str().into();
    }
    all
}

fn call(call: &ToolCall) -> Json {
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": call.arguments } })
}

/// The system's messages in front of the words of the user's first message.
fn fold(messages: &[Message]) -> Vec<Message> {
    let (systems, mut others): (Vec<_>, Vec<_>) =
        messages.iter().cloned().partition(|message| message.role == Role::System);
    let words: Vec<_> =
        systems.iter().map(|message| message.content.trim()).filter(|text| !text.is_empty()).collect();
    if !words.is_empty() {
        let words = words.join("\n\n");
        match others.iter_mut().find(|message| message.role == Role::User) {
            Some(first) => first.content = format!("{words}\n\n{}", first.content),
            None => others.insert(0, Message::user(words)),
        }
    }
    others
}

/// The template with each tag (`{% ... %}`, `{{ ... }}` or `{# ... #}`, with its ends) replaced by what `change` makes of
/// it.
fn with_tags(template: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let (mut text, mut rest) = (String::new(), template);
    while let Some(start) = ["{%", "{{", "{#"].iter().filter_map(|open| rest.find(open)).min() {
        let close = match &rest[start..start + 2] {
            "{%" => "%}",
            "{{" => "}}",
            _ => "#}",
        };
        let Some(end) = rest[start + 2..].find(close).map(|at| start + 2 + at + 2) else { break };
        let tag = &rest[start..end];
        text += &rest[..start];
        text += &change(tag).unwrap_or_else(|| tag.to_owned());
        rest = &rest[end..];
    }
    text + rest
}

/// Marks of what to train on, which transformers supports and Jinja does not, become blocks without effect.
fn without_generation(template: &str) -> String {
    with_tags(template, |tag| {
        let inner = tag.strip_prefix("{%")?.strip_suffix("%}")?;
        let block = match inner.trim_matches(['-', '+']).trim() {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => return None,
        };
        let mark = |found: Option<char>| {
            found.filter(|mark| "-+".contains(*mark)).map_or(String::new(), String::from)
        };
        let (open, close) = (mark(inner.chars().next()), mark(inner.chars().next_back()));
        Some(format!("{{%{open} {block} {close}%}}"))
    })
}

/// `"..." % (...)`, Python's formatting of text, in the words of this Jinja: `"..."|format(...)`.
fn formatted(template: &str) -> String {
    with_tags(template, |tag| {
        let (mut text, mut rest) = (String::new(), tag);
        while let Some(at) = rest.find(['\'', '"']) {
            let quote = rest[at..].chars().next()?;
            let close = at + 1 + rest[at + 1..].find(quote)? + 1;
            text += &rest[..close];
            rest = &rest[close..];
            let after = rest.trim_start().strip_prefix('%').filter(|after| !after.starts_with('}'));
            if let Some(arguments) = after.map(str::trim_start) {
                let length = argument(arguments);
                let inner = arguments[..length].strip_prefix('(').and_then(|inner| inner.strip_suffix(')'));
                text += &format!("|format({})", inner.unwrap_or(&arguments[..length]).trim_end_matches(','));
                rest = &arguments[length..];
            }
        }
        Some(text + rest)
    })
}

/// The length of the name, call or parenthesised list at the start of `text`.
fn argument(text: &str) -> usize {
    let mut depth = 0_i32;
    let end = text.char_indices().find(|(_, c)| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => return depth == 0 && !c.is_alphanumeric() && !"_.'\"".contains(*c),
        }
        depth < 0
    });
    end.map_or(text.len(), |(at, _)| at)
}

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy)]
struct Date {
    year: u32,
    month: usize,
    day: u32,
}

impl Date {
    fn parse(text: &str) -> Result<Self> {
        let parts: Vec<u32> = text.split('-').filter_map(|part| part.parse().ok()).collect();
        match parts[..] {
            [year, month @ 1..=12, day @ 1..=31] if text.len() == 10 => {
                Ok(Self { year, month: month as usize, day })
            }
            _ => Err(Error::config(format!("`date` is {text:?}; it must be a day such as \"2026-11-30\""))),
        }
    }

    /// 0 on Sundays (Sakamoto's method).
    fn weekday(self) -> usize {
        const SHIFTS: [u32; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let year = self.year - u32::from(self.month < 3);
        ((year + year / 4 - year / 100 + year / 400 + SHIFTS[self.month - 1] + self.day) % 7) as usize
    }

    /// As C's `strftime` writes it, at midnight.
    fn format(self, format: &str) -> String {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        const DAYS: [&str; 7] =
            ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
        let (month, day) = (MONTHS[self.month - 1], DAYS[self.weekday()]);
        let mut text = String::new();
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                text.push(letter);
                continue;
            }
            text += &match letters.next() {
                Some('Y') => self.year.to_string(),
                Some('y') => format!("{:02}", self.year % 100),
                Some('m') => format!("{:02}", self.month),
                Some('d') => format!("{:02}", self.day),
                Some('e') => format!("{:>2}", self.day),
                Some('B') => month.into(),
                Some('b') => month[..3].into(),
                Some('A') => day.into(),
                Some('a') => day[..3].into(),
                Some('H' | 'M' | 'S') => "00".into(),
                Some('F') => format!("{}-{:02}-{:02}", self.year, self.month, self.day),
                Some('%') => "%".into(),
                Some(other) => format!("%{other}"),
                None => "%".into(),
            };
        }
        text
    }
}

/// Values as Python prints them.
fn format(out: &mut Output, _: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    match value.kind() {
        ValueKind::None => out.write_str("None")?,
        ValueKind::Bool => out.write_str(if value.is_true() { "True" } else { "False" })?,
        _ => write!(out, "{value}")?,
    }
    Ok(())
}

fn tojson(value: Value, options: Kwargs) -> Result<Value, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let sorted: Option<bool> = options.get("sort_keys")?;
    // Accepted and ignored: characters outside ASCII are kept, as is transformers' default.
    options.get::<Option<bool>>("ensure_ascii")?;
    options.assert_all_used()?;
    let between = if indent.is_some() { "," } else { ", " };
    let [between, after_key] = match separators.as_deref() {
        Some([between, after_key]) => [between.as_str(), after_key.as_str()],
        _ => [between, ": "],
    };
    let value = forethought_sdk::serde_json::to_value(&value)
        .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    let mut text = String::new();
    Dump { indent, between, after_key, sorted: sorted == Some(true) }.write(&value, 0, &mut text);
    Ok(Value::from(text))
}

/// `json.dumps` of Python.
struct Dump<'a> {
    indent: Option<usize>,
    between: &'a str,
    after_key: &'a str,
    sorted: bool,
}

impl Dump<'_> {
    fn write(&self, value: &Json, depth: usize, text: &mut String) {
        match value {
            Json::Array(items) if !items.is_empty() => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.line(index, depth + 1, text);
                    self.write(item, depth + 1, text);
                }
                self.line(0, depth, text);
                text.push(']');
            }
            Json::Object(entries) if !entries.is_empty() => {
                text.push('{');
                let mut entries: Vec<_> = entries.iter().collect();
                if self.sorted {
                    entries.sort_by_key(|(key, _)| *key);
                }
                for (index, (key, item)) in entries.into_iter().enumerate() {
                    self.line(index, depth + 1, text);
                    *text += &Json::from(key.as_str()).to_string();
                    text.push_str(self.after_key);
                    self.write(item, depth + 1, text);
                }
                self.line(0, depth, text);
                text.push('}');
            }
            Json::Number(number) if number.is_f64() => {
                *text += &python_float(number.as_f64().unwrap_or_default())
            }
            other => *text += &other.to_string(),
        }
    }

    /// The separator and indentation before the item of that index.
    fn line(&self, index: usize, depth: usize, text: &mut String) {
        if index > 0 {
            text.push_str(self.between);
        }
        if let Some(indent) = self.indent {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }
}

/// A float as Python prints it: the shortest digits, with an exponent below 1e-4 and from 1e16 on.
fn python_float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, tools: &[Tool]) -> Result<String> {
        template_of(template, None)?.render(&[Message::user("hello")], tools)
    }

    fn template_of(template: &str, date: Option<&str>) -> Result<Template> {
        let config =
            json!({ "chat_template": template, "bos_token": "<s>", "eos_token": { "content": "</s>" } });
        let settings = LocalConfig { date: date.map(str::to_owned), ..LocalConfig::default() };
        Ok(Template::new(None, &config, &settings)?.expect("there is one"))
    }

    #[test]
    fn a_system_that_the_template_refuses_speaks_through_the_user() {
        let alternating = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}\
            {% endif %}[{{ m.role }}] {{ m.content }}{% endfor %}";
        let chat = [
            Message::new(Role::System, "You shop."),
            Message::user("Find shoes."),
            Message::user("Red ones."),
        ];
        let prompt = template_of(alternating, None).unwrap().render(&chat, &[]).unwrap();
        assert_eq!(prompt, "[user] You shop.\n\nFind shoes.[user] Red ones.");
        // A template that takes the role gets it.
        let plain = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}";
        let prompt = template_of(plain, None).unwrap().render(&chat[..2], &[]).unwrap();
        assert_eq!(prompt, "[system] You shop.[user] Find shoes.");
    }

    #[test]
    fn a_date_comes_from_the_configuration() {
        let dated = "{{ strftime_now('%A, %d %B %Y (%a %b %e %y) %F %H:%M 100%%') }}";
        let prompt = template_of(dated, Some("2024-02-29")).unwrap().render(&[], &[]).unwrap();
        assert_eq!(prompt, "Thursday, 29 February 2024 (Thu Feb 29 24) 2024-02-29 00:00 100%");
        let error = template_of(dated, Some("29.2.2024")).err().unwrap().to_string();
        assert!(error.contains("29.2.2024") && error.contains("2026-11-30"), "{error}");
    }

    #[test]
    fn text_is_formatted_as_in_python() {
        for (template, text) in [
            ("{{ '%s wants %d' % (messages[0].role, 3) }}!", "user wants 3!"),
            ("{{ \"[%s]\" % messages[0]['content'] }}", "[hello]"),
            ("{% if 7 % 2 == 1 %}odd{% endif %} 50 % off", "odd 50 % off"),
            ("{{ 'a' ~ '%s' % 'b' }}", "ab"),
        ] {
            assert_eq!(render(template, &[]).unwrap(), text, "{template}");
        }
    }

    #[test]
    fn a_template_that_never_ends_is_stopped() {
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x\
            {% endfor %}{% endfor %}{% endfor %}";
        assert!(render(endless, &[]).unwrap_err().to_string().contains("fuel"));
    }

    #[test]
    fn values_are_printed_as_python_prints_them() {
        assert_eq!(
            render("{{ bos_token }}{{ true }}{{ none }}{{ nothing }}{{ eos_token }}", &[]).unwrap(),
            "<s>TrueNone</s>"
        );
        let tool = Tool {
            name: "buy".into(),
            parameters: json!({ "b": [1, 2.0], "a": { "least": 1e-5, "most": 1e16, "some": 0.0001 }, "c": "<é>" }),
            ..Tool::default()
        };
        let parameters = "{{ tools[0].function.parameters | tojson";
        assert_eq!(
            render(&format!("{parameters} }}}}"), std::slice::from_ref(&tool)).unwrap(),
            r#"{"b": [1, 2.0], "a": {"least": 1e-05, "most": 1e+16, "some": 0.0001}, "c": "<é>"}"#
        );
        assert_eq!(
            render(&format!("{parameters}(indent=2, sort_keys=true) }}}}"), std::slice::from_ref(&tool))
                .unwrap(),
            "{\n  \"a\": {\n    \"least\": 1e-05,\n    \"most\": 1e+16,\n    \"some\": 0.0001\n  },\n  \"b\": [\n    1,\n    2.0\n  ],\n  \"c\": \"<é>\"\n}"
        );
        assert_eq!(
            render("{{ messages | tojson(separators=(',', ':')) }}", &[]).unwrap(),
            r#"[{"role":"user","content":"hello"}]"#
        );
    }

    #[test]
    fn a_template_can_refuse_a_chat_and_cannot_read_the_time() {
        let error = render("{{ raise_exception('only systems here') }}", &[]).unwrap_err().to_string();
        assert!(error.contains("chat template") && error.contains("only systems here"), "{error}");
        let dated = "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}2024{% endif %}";
        assert_eq!(render(dated, &[]).unwrap(), "2024");
        let error = render("{{ strftime_now('%Y') }}", &[]).unwrap_err().to_string();
        assert!(error.contains("strftime_now") && error.contains("the same prompt"), "{error}");
        let error = render("{% for %}", &[]).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }

    #[test]
    fn marks_of_what_to_train_on_are_ignored() {
        let marked = "a\n{% for m in messages %}\n  {%-generation-%}  {{ m.content }}\n  {%endgeneration%}\n{% break %}{% endfor %}";
        assert_eq!(render(marked, &[]).unwrap(), "a\nhello\n");
    }

    #[test]
    fn a_list_of_templates_has_one_for_tools() {
        let config = json!({ "chat_template": [
            { "name": "default", "template": "plain" },
            { "name": "tool_use", "template": "{{ tools | length }} tools: <tool_call>" },
        ] });
        let settings = LocalConfig::default();
        let template = Template::new(None, &config, &settings).unwrap().unwrap();
        assert_eq!(template.tools, Some(ToolForm::Tagged));
        assert_eq!(template.render(&[], &[]).unwrap(), "plain");
        assert_eq!(template.render(&[], &[Tool::default()]).unwrap(), "1 tools: <tool_call>");
        let own = Template::new(Some("own".into()), &config, &settings).unwrap().unwrap();
        assert_eq!(own.render(&[], &[Tool::default()]).unwrap(), "own");
        let error = Template::new(None, &json!({ "chat_template": [] }), &settings).err().unwrap();
        assert!(error.message.contains("default"), "{error}");
        assert!(Template::new(None, &json!({}), &settings).unwrap().is_none());
    }
}
