//! Prompt templates: shipped in `prompts/*.md`, rendered by minijinja, each replaceable by a file in config.

use forethought_sdk::{
    prelude::*,
    serde_json::{Value, json},
};
use minijinja::{Environment as Templates, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};

/// Files that replace shipped templates. Variables: `environment`, `seat`, `history`, `observation`, `omitted`,
/// `ended`, and what the template's own step adds (`state`, `thought`, `outcomes`, `rounds`, `statements`; in dialogues
/// `turns`, `speaker`, `acts`, `act`, `replies`).
#[config]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct PromptFiles {
    /// The system prompt of every request.
    pub agent: Option<ConfigPath>,
    /// The history, included by the other templates.
    pub history: Option<ConfigPath>,
    /// Thought and action in one answer.
    pub react: Option<ConfigPath>,
    /// A thought.
    pub thought: Option<ConfigPath>,
    /// Imagined outcomes of a thought.
    pub outcomes: Option<ConfigPath>,
    /// Keeping or rewriting a thought.
    pub refine: Option<ConfigPath>,
    /// The action that carries out a thought.
    pub action: Option<ConfigPath>,
    /// The history in short.
    pub summarise: Option<ConfigPath>,
    /// How likely statements about the others are.
    pub believe: Option<ConfigPath>,
    /// Words that serve a plan.
    pub speak: Option<ConfigPath>,
    /// What was said so far, included by the templates of dialogues.
    pub dialogue: Option<ConfigPath>,
    /// The choice of a dialogue act.
    pub act: Option<ConfigPath>,
    /// An utterance that carries out an act.
    pub utter: Option<ConfigPath>,
    /// The other side's answer.
    pub respond: Option<ConfigPath>,
}

/// The templates of one planner, ready to render.
#[derive(Debug)]
pub struct Prompts {
    templates: Templates<'static>,
    history_chars: usize,
}

impl Prompts {
    /// The shipped templates with `files` in place of those that they name. Histories are cut to about
    /// `history_chars` characters: the first observation, which carries the task, always stays.
    ///
    /// # Errors
    /// A template file that cannot be read or does not parse, naming it.
    pub fn new(files: &PromptFiles, history_chars: usize) -> Result<Self> {
        let mut templates = Templates::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        templates.set_syntax(syntax.expect("the default delimiters are valid"));
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, shipped, file) in [
            ("agent", include_str!("prompts/agent.md"), &files.agent),
            ("history", include_str!("prompts/history.md"), &files.history),
            ("react", include_str!("prompts/react.md"), &files.react),
            ("thought", include_str!("prompts/thought.md"), &files.thought),
            ("outcomes", include_str!("prompts/outcomes.md"), &files.outcomes),
            ("refine", include_str!("prompts/refine.md"), &files.refine),
            ("action", include_str!("prompts/action.md"), &files.action),
            ("summarise", include_str!("prompts/summarise.md"), &files.summarise),
            ("believe", include_str!("prompts/believe.md"), &files.believe),
            ("speak", include_str!("prompts/speak.md"), &files.speak),
            ("dialogue", include_str!("prompts/dialogue.md"), &files.dialogue),
            ("act", include_str!("prompts/act.md"), &files.act),
            ("utter", include_str!("prompts/utter.md"), &files.utter),
            ("respond", include_str!("prompts/respond.md"), &files.respond),
        ] {
            let (source, origin) = match file {
                None => (shipped.to_owned(), format!("the shipped template {name:?}")),
                Some(path) => {
                    let origin = format!("the {name} template {}", path.display());
                    let source = std::fs::read_to_string(&path.0)
                        .map_err(|error| Error::config(format!("cannot read {origin}: {error}")))?;
                    (source, origin)
                }
            };
            templates
                .add_template_owned(name, source)
                .map_err(|error| Error::config(format!("{origin} does not parse: {error:#}")))?;
        }
        Ok(Self { templates, history_chars })
    }

    /// The messages of a request: the agent's system prompt, then template `name` over the decision's context and
    /// the step's own variables.
    pub fn messages(&self, name: &str, context: &DecisionContext, step: Value) -> Result<Vec<Message>> {
        let (history, omitted) = self.recent(context);
        let seat = context.environment.seats.get(context.seat).cloned().unwrap_or_default();
        let mut variables = json!({
            "environment": context.environment,
            "seat": seat,
            "history": history,
            "omitted": omitted,
            "observation": context.turn.observation.text.trim_end(),
            "ended": context.ended,
        });
        if let (Value::Object(variables), Value::Object(step)) = (&mut variables, step) {
            variables.extend(step);
        }
        let variables = minijinja::Value::from(Serde(&variables));
        let render = |name: &str| {
            self.templates
                .get_template(name)
                .and_then(|template| template.render(&variables))
                .map_err(|error| Error::config(format!("the {name} template cannot be rendered: {error:#}")))
        };
        Ok(vec![Message::system(render("agent")?.trim()), Message::user(render(name)?.trim())])
    }

    /// The first exchange and the latest ones that fit, and how many in between were left out.
    fn recent<'a>(&self, context: &'a DecisionContext) -> (Vec<&'a Exchange>, usize) {
        let Some((first, rest)) = context.history.split_first() else { return (Vec::new(), 0) };
        let size =
            |exchange: &Exchange| exchange.observation.len() + exchange.thought.len() + exchange.action.len();
        let mut left = self.history_chars.saturating_sub(size(first) + context.turn.observation.text.len());
        let fits = |exchange: &&Exchange| {
            let cost = size(exchange);
            let fits = cost <= left;
            left = left.saturating_sub(cost);
            fits
        };
        let kept = rest.iter().rev().take_while(fits).count();
        let omitted = rest.len() - kept;
        (std::iter::once(first).chain(&rest[omitted..]).collect(), omitted)
    }
}
