//! A person as a component: the planner `person`, and the model `terminal` that it asks.
//!
//! A model, because answers of models are journaled: a person's words are kept like those of any model, an interrupted
//! game continues where it stopped without asking twice, and a finished one can be replayed. The dialogue uses standard
//! error and standard input; standard output is for data.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex as Shared, PoisonError};

use async_trait::async_trait;
use console::Term;
use forethought_api::{
    Error, Result,
    environment::Action,
    error::{Code, Context as _},
    host::Host,
    llm::{ChatRequest, Choice, Completion, LlmBackend, LlmCapabilities, Message, Purpose, Role, Tool},
    module::Described,
    planner::{Decision, DecisionContext, Models, Planner, Requirements},
    registry::Pluggable,
};
use forethought_runtime::{
    cancel::Cancel,
    registry::{ComponentOrigin, RegistryEntry},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use crate::{
    streams::{tell, tell_styled},
    transcript::{Page, new_since},
};

/// The components of this file.
pub(crate) fn entries(terminal: &Terminal) -> Result<Vec<RegistryEntry>> {
    let llm = json!({ "type": "string", "default": "person", "description":
        "Name of the model that answers for the person, of kind `terminal`." });
    let terminal = terminal.clone();
    Ok(vec![
        entry(
            "person",
            "a person: asks the model of kind `terminal`",
            json!({ "llm": llm }),
            |config: Value| {
                let llm = config["llm"].as_str().unwrap_or("person").to_string();
                Arc::new(Person { llm }) as Arc<dyn Planner>
            },
        )?,
        entry("terminal", "the person at this terminal, asked like a model", json!({}), move |_| {
            Arc::new(terminal.clone()) as Arc<dyn LlmBackend>
        })?,
    ])
}

fn entry<I: Pluggable + ?Sized>(
    kind: &str,
    summary: &str,
    properties: Value,
    create: impl Fn(Value) -> Arc<I> + Send + Sync + 'static,
) -> Result<RegistryEntry> {
    let described = Described {
        interface: I::NAME.into(),
        kind: kind.into(),
        summary: summary.into(),
        schema: json!({ "type": "object", "properties": properties, "additionalProperties": false }),
    };
    let create = move |config: Value, _: Arc<dyn Host>| -> Pin<Box<dyn Future<Output = _> + Send>> {
        let component = I::wrap(create(config));
        Box::pin(async move { Ok(component) })
    };
    let (package, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    RegistryEntry::new(described, package, version, ComponentOrigin::Linked, Arc::new(create))
}

/// The planner.
struct Person {
    llm: String,
}

/// The answer of a person, as the journal holds it.
#[derive(Serialize, Deserialize)]
struct Answer {
    thought: String,
    action: String,
}

#[async_trait]
impl Planner for Person {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec![self.llm.clone()], ..Requirements::default() })
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm(self.llm.clone()).await?;
        let completion = llm.complete(ChatRequest::new(Purpose::Action, conversation(&context))).await?;
        let Answer { thought, action } = serde_json::from_str(completion.text())
            .context("a person's answer; the planner `person` needs a model of kind `terminal`")?;
        let action = Action::new(action);
        // What is not a call is left to the environment.
        let calls = action.calls(&context.turn).unwrap_or_default();
        let action = if calls.is_empty() { action } else { Action::of_calls(calls) };
        Ok(Decision { thought, action, ..Decision::default() })
    }
}

/// The instructions, and the episode so far as this seat saw it: each time only what was new.
fn conversation(context: &DecisionContext) -> Vec<Message> {
    let (environment, mut seen) = (&context.environment, "");
    let seat = &environment.seats[context.seat];
    let told = [environment.instructions.trim(), seat.instructions.trim()].join("\n");
    let mut told = told.trim().to_owned();
    let form = |tool: &Tool| {
        let properties = tool.parameters["properties"].as_object().into_iter().flatten();
        format!("{}({})", tool.name, properties.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "))
    };
    for tool in &context.turn.tools {
        told += &format!("\n{}: {}", form(tool), tool.description);
    }
    let mut messages =
        vec![Message::system(format!("{} · {}\n{}", environment.name, seat.name, told.trim()))];
    for past in &context.history {
        messages.push(Message::user(new_since(seen, &past.observation)));
        messages.push(Message::assistant(past.action.clone()));
        seen = &past.observation;
    }
    let mut now = new_since(seen, &context.turn.observation.text).trim_end().to_string();
    if !context.turn.tools.is_empty() {
        let forms: Vec<_> = context.turn.tools.iter().map(form).collect();
        now += &format!("\nTools: {}", forms.join(", "));
    }
    if !context.turn.legal_actions.is_empty() {
        now += &format!("\nActions: {}", context.turn.legal_actions.join(" | "));
    }
    messages.push(Message::user(now.trim_start_matches('\n')));
    messages
}

/// The person at the terminal of this process.
#[derive(Clone)]
pub(crate) struct Terminal(Arc<Desk>);

struct Desk {
    cancel: Cancel,
    /// Typed lines, read from when the first is needed. Locked by one question at a time.
    typed: Mutex<Option<mpsc::UnboundedReceiver<String>>>,
    /// How many messages of each conversation were shown, by its first message.
    shown: Shared<HashMap<String, usize>>,
}

const HELP: &str = "`?` shows the rules, `:thought ...` notes what you think, `:quit` saves and leaves.";

impl Terminal {
    /// `cancel` is raised when the person leaves, and ends an open question.
    pub(crate) fn new(cancel: Cancel) -> Self {
        Self(Arc::new(Desk { cancel, typed: Mutex::default(), shown: Shared::default() }))
    }

    /// Shows the part of this conversation that was not shown yet.
    fn show(&self, messages: &[Message]) {
        let mut shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shown.insert(messages[0].content.clone(), messages.len() + 1).unwrap_or_default();
        let mut page = Page::new(&Term::stderr());
        if before > 0 {
            tell("");
        }
        for (index, message) in messages.iter().enumerate().skip(before) {
            match message.role {
                Role::System => {
                    page.title(message.content.lines().next().unwrap_or_default());
                    page.part("", HELP);
                }
                Role::Assistant => page.part("you did", &message.content),
                _ => {
                    page.title(&format!("turn {}", index.div_ceil(2)));
                    page.part("you see", &message.content);
                }
            }
        }
        tell_styled(&page.take());
    }

    /// The next line that is typed; `None` once there are no more, or the program is interrupted.
    async fn line(&self, typed: &mut Option<mpsc::UnboundedReceiver<String>>) -> Option<String> {
        let lines = typed.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            // In its own thread, because a read of standard input cannot be cancelled, and nothing must wait for it.
            std::thread::spawn(move || {
                for line in
                    io::BufRead::split(std::io::stdin().lock(), b'\n').map_while(std::result::Result::ok)
                {
                    let Ok(line) = String::from_utf8(line) else {
                        tell("that line is not UTF-8 and was ignored; type it again");
                        continue;
                    };
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
            receiver
        });
        tokio::select! {
            line = lines.recv() => line,
            () = self.0.cancel.cancelled() => None,
        }
    }
}

#[async_trait]
impl LlmBackend for Terminal {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "person".into(), free: true, ..LlmCapabilities::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let Some(rules) = request.messages.first() else {
            return Err(Error::input("the request has no messages"));
        };
        let mut typed = self.0.typed.lock().await;
        self.show(&request.messages);
        let mut thoughts: Vec<String> = Vec::new();
        loop {
            tell_styled("> ");
            let line = self.line(&mut typed).await;
            match line.as_deref().map(str::trim) {
                None | Some(":quit") => {
                    self.0.cancel.cancel();
                    return Err(Error::new(Code::Cancelled, "the person left"));
                }
                Some("") => {}
                Some("?") => {
                    let mut page = Page::new(&Term::stderr());
                    page.part("rules", &rules.content);
                    page.part("", HELP);
                    tell_styled(&page.take());
                }
                Some(line) => match line.strip_prefix(":thought") {
                    Some(thought) => thoughts.push(thought.trim().into()),
                    None if line.starts_with(':') => tell(&format!("`{line}` is not a command. {HELP}")),
                    None => {
                        let answer = Answer { thought: thoughts.join("\n"), action: line.into() };
                        let text = serde_json::to_string(&answer)?;
                        let choices = vec![Choice { text, ..Choice::default() }];
                        return Ok(Completion { choices, ..Completion::default() });
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use forethought_api::{
        environment::{EnvironmentSpec, Observation, SeatSpec, Turn},
        planner::Exchange,
    };

    use super::*;

    #[test]
    fn a_person_is_told_the_rules_once_and_each_time_only_what_is_new() {
        let context = DecisionContext {
            environment: EnvironmentSpec {
                name: "duet".into(),
                instructions: "Take turns.".into(),
                seats: vec![SeatSpec { name: "first".into(), ..SeatSpec::default() }],
                ..EnvironmentSpec::default()
            },
            history: vec![Exchange {
                observation: "You\nA".into(),
                action: "go".into(),
                ..Exchange::default()
            }],
            turn: Turn {
                observation: Observation::text("You\nA\nB"),
                legal_actions: vec!["go".into(), "stay".into()],
                ..Turn::default()
            },
            ..DecisionContext::default()
        };
        let messages = conversation(&context);
        let texts: Vec<_> = messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(texts, ["duet · first\nTake turns.", "You\nA", "go", "B\nActions: go | stay"]);

        let parameters = json!({ "properties": { "what": {}, "how": {} } });
        let tool = Tool { name: "play".into(), description: "Plays it.".into(), parameters };
        let turn = Turn { tools: vec![tool], ..context.turn.clone() };
        let messages = conversation(&DecisionContext { turn, ..context });
        assert_eq!(messages[0].content, "duet · first\nTake turns.\nplay(what, how): Plays it.");
        assert_eq!(messages[3].content, "B\nTools: play(what, how)\nActions: go | stay");
    }
}
