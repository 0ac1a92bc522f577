//! Prompt templates: shipped in `prompts/*.md`; the config can replace each one by a file.

use forethought_sdk::{
    api::text::unmarked,
    prelude::*,
    serde_json::{Value, json},
};
use minijinja::{Environment as Templates, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};

/// Files that replace the shipped prompt templates. Every template is given `environment`, `seat`, `first` (the first
/// observation, empty at the beginning), `observation`, `refused` (actions that the world refused, and why) and
/// `tools`.
#[config]
#[derive(Debug, Clone, Default, Serialize)]
#[serde(default)]
pub struct PromptFiles {
    /// The system prompt of every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<ConfigPath>,
    /// What was seen, included by the other templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<ConfigPath>,
    /// Asks for the problem in PDDL, given `domain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ConfigPath>,
    /// Asks for a plan, given `domain` and `problem`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<ConfigPath>,
    /// Asks for the domain in PDDL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<ConfigPath>,
    /// Asks for a heuristic, given `domain` and `problem`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heuristic: Option<ConfigPath>,
    /// Asks for thought and action, where there is no plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<ConfigPath>,
}

/// The templates, ready to render.
#[derive(Debug)]
pub(crate) struct Prompts(Templates<'static>);

impl Prompts {
    /// The shipped templates, with `files` in place of some.
    ///
    /// # Errors
    /// A file that cannot be read or does not parse; the error names it.
    pub(crate) fn new(files: &PromptFiles) -> Result<Self> {
        let mut templates = Templates::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        templates.set_syntax(syntax.expect("the default delimiters are valid"));
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, shipped, file) in [
            ("agent", include_str!("prompts/agent.md"), &files.agent),
            ("seen", include_str!("prompts/seen.md"), &files.seen),
            ("problem", include_str!("prompts/problem.md"), &files.problem),
            ("plan", include_str!("prompts/plan.md"), &files.plan),
            ("domain", include_str!("prompts/domain.md"), &files.domain),
            ("heuristic", include_str!("prompts/heuristic.md"), &files.heuristic),
            ("act", include_str!("prompts/act.md"), &files.act),
        ] {
            let (source, origin) = match file {
                None => (shipped.to_owned(), format!("the shipped template {name:?}")),
                Some(path) => {
                    let origin = format!("the {name} template {}", path.display());
                    let source = std::fs::read_to_string(&path.0)
                        .map_err(|error| Error::config(format!("cannot read {origin}: {error}")))?;
                    (unmarked(&source).to_owned(), origin)
                }
            };
            templates
                .add_template_owned(name, source)
                .map_err(|error| Error::config(format!("{origin} does not parse: {error:#}")))?;
        }
        Ok(Self(templates))
    }

    /// The messages of a request: the system prompt (`agent`), then template `name`, with what a decision knows and
    /// `more`.
    ///
    /// # Errors
    /// A template that cannot be rendered, such as one with an unknown variable.
    pub(crate) fn messages(
        &self,
        name: &str,
        context: &DecisionContext,
        refused: &[String],
        more: Value,
    ) -> Result<Vec<Message>> {
        let seat = context.environment.seats.get(context.seat).cloned().unwrap_or_default();
        let tool = |tool: &forethought_sdk::api::llm::Tool| {
            format!("- {}({}): {}", tool.name, tool.parameters["properties"], tool.description)
        };
        let mut variables = json!({
            "environment": context.environment,
            "seat": seat,
            "first": context.history.first().map_or("", |first| first.observation.trim_end()),
            "observation": context.turn.observation.text.trim_end(),
            "refused": refused,
            "tools": context.turn.tools.iter().map(tool).collect::<Vec<_>>(),
        });
        if let (Value::Object(variables), Value::Object(more)) = (&mut variables, more) {
            variables.extend(more);
        }
        let variables = minijinja::Value::from(Serde(&variables));
        let render = |name: &str| {
            self.0
                .get_template(name)
                .and_then(|template| template.render(&variables))
                .map_err(|error| Error::config(format!("the {name} template cannot be rendered: {error:#}")))
        };
        Ok(vec![Message::system(render("agent")?.trim()), Message::user(render(name)?.trim())])
    }
}
