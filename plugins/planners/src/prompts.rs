//! Prompt templates: shipped in `prompts/*.md`, rendered by minijinja; the config can replace each one by a file.

use forethought_sdk::{
    api::text::unmarked,
    prelude::*,
    serde_json::{Value, json},
};
use minijinja::{Environment as Templates, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};

use crate::toolbox;

/// The `prompts` table of a planner's config: files that replace shipped templates.
/// It has a key for each template that the planner uses, and refuses others.
pub trait PromptFiles {
    /// Each template's name, its shipped text, and the file in place of it.
    fn templates(&self) -> Vec<(&'static str, &'static str, &Option<ConfigPath>)>;
}

/// Defines the [`PromptFiles`] of one planner, with a key for each template that it renders or includes.
macro_rules! prompt_files {
    ($(#[$doc:meta])* $table:ident: $($name:ident),+) => {
        $(#[$doc])*
        ///
        /// Every template is given `environment`, `seat`, `history`, `observation`, `omitted`, `ended` and `tools`.
        #[config]
        #[derive(Debug, Clone, Default, Serialize)]
        #[serde(default)]
        pub struct $table {
            $(
                #[doc = $crate::prompts::about!($name)]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<ConfigPath>,
            )+
        }

        impl $crate::prompts::PromptFiles for $table {
            fn templates(&self) -> Vec<(&'static str, &'static str, &Option<ConfigPath>)> {
                vec![$((stringify!($name), $crate::prompts::shipped!($name), &self.$name)),+]
            }
        }
    };
}

/// What a template is for: the help of its key.
#[rustfmt::skip]
macro_rules! about {
    (agent) => { "The system prompt of every request." };
    (history) => { "The history, included by the other templates." };
    (react) => { "Asks for thought and action in one answer." };
    (thought) => { "Asks for a thought, given `state`, the summary of the history, and `style`, the critic's words." };
    (outcomes) => { "Asks for a number (`outcomes`) of imagined outcomes of `thought`." };
    (refine) => { "Shows the evaluated thoughts (`rounds`) and asks to keep or rewrite the last one." };
    (candidates) => { "Asks for several `thoughts` and for `outcomes` that they share." };
    (choose) => { "Shows the evaluated thoughts (`rounds`) and asks for a choice and its action." };
    (resume) => { "Asks whether `thought`, a plan, is unfinished, and for its next action." };
    (action) => { "Asks for the action that carries out `thought`." };
    (summarise) => { "Asks for a summary of the history." };
    (reflexion) => { "Shows a failed attempt and asks for a reflection on it." };
    (probabilities) => { "Asks how likely `outcomes` of `thought` are, given `state` alone." };
    (next_step) => { "Asks for the next step of `plan`." };
    (whole_plan) => { "Asks for a plan of at most `length` actions." };
    (branch) => { "Asks which of the next `actions` of several plans fits what is seen." };
    (plan) => { "Asks for a plan of at most `length` steps, in place of `steps` if there was one." };
    (monitor) => { "Shows a plan (`steps`) and asks how far its step `at` is, and for the next action." };
    (precondition) => { "Asks whether what `thought` needs (`needs`) is so." };
    (mediator) => { "Asks whether an expert should be asked for another strategy than `thought`." };
    (believe) => { "Asks how likely `statements` about the other seats are." };
    (speak) => { "Asks for words that serve `thought`, a plan." };
    (value) => { "Asks how good the course of action is so far, or `plan`, its next steps: from 1 to 10." };
    (rank) => { "Asks for a ranking of `proposals`, each with `thought` and `action`." };
    (step) => { "Asks for the next step of `plan`." };
    (elect) => { "Asks for the best of several `proposals`, each a plan." };
    (predict) => { "Asks what is observed after `action`, which carries out `thought`." };
    (dialogue) => { "The dialogue so far (`turns`), included by the other templates; they also get `speaker`." };
    (act) => { "Asks for one of the dialogue `acts`." };
    (act_now) => { "Asks for an action without a thought." };
    (skills) => { "Lists the legal actions (`skills`) and asks for the next one." };
    (propose) => { "Shows the `proposals` with their advantages and asks for a better one." };
    (constraints) => { "Asks for the constraints of the next step." };
    (suitability) => { "Asks how suitable `planners` are, given `constraints`." };
    (verify) => { "Asks for a score of `thought` and `action`, given `constraints`." };
    (modules) => { "Asks for reasoning modules of several `layers`." };
    (solve) => { "Asks for thought and action along the chosen `modules`." };
    (utter) => { "Asks for an utterance that carries out `act`." };
    (respond) => { "Asks for the other side's answer, one of `replies`." };
}

/// The shipped text of a template.
macro_rules! shipped {
    ($name:ident) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/prompts/", stringify!($name), ".md"))
    };
}

pub(crate) use {about, prompt_files, shipped};

/// The templates of one planner, ready to render.
#[derive(Debug)]
pub struct Prompts {
    templates: Templates<'static>,
    history_chars: usize,
    blocks: bool,
}

impl Prompts {
    /// The planner's templates, with its `files` in place of the shipped ones. Histories are cut to about
    /// `history_chars` characters; the first observation always stays, because it carries the task.
    ///
    /// # Errors
    /// A template file that cannot be read or does not parse; the error names it.
    pub fn new(files: &impl PromptFiles, history_chars: usize) -> Result<Self> {
        let mut templates = Templates::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        templates.set_syntax(syntax.expect("the default delimiters are valid"));
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, shipped, file) in files.templates() {
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
        Ok(Self { templates, history_chars, blocks: false })
    }

    /// The same, with histories cut in blocks of a quarter if `blocks`: the beginning of a prompt then stays the same for
    /// many steps, and a provider's cache holds.
    #[must_use]
    pub fn in_blocks(self, blocks: bool) -> Self {
        Self { blocks, ..self }
    }

    /// The messages of a request: the system prompt (`agent`), then template `name`. Both see the decision's context
    /// and `step`, the variables of this request.
    ///
    /// # Errors
    /// A template that cannot be rendered, such as one with an unknown variable.
    pub fn messages(&self, name: &str, context: &DecisionContext, step: Value) -> Result<Vec<Message>> {
        let (history, omitted) = self.recent(context);
        let seat = context.environment.seats.get(context.seat).cloned().unwrap_or_default();
        let mut variables = json!({
            "environment": context.environment,
            "seat": seat,
            "history": history,
            "omitted": if self.blocks { 0 } else { omitted },
            // The same exchanges, for a note where they were rather than at the end.
            "gap": if self.blocks { omitted } else { 0 },
            "observation": context.turn.observation.text.trim_end(),
            "ended": context.ended,
            "tools": toolbox::listed(&context.turn),
            // For templates that show more where a planner has it.
            "style": null,
            "steps_left": null,
            "weighed": true,
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
        if self.blocks {
            let over = rest.iter().map(size).sum::<usize>().saturating_sub(left);
            let block = (self.history_chars / 4).max(1);
            left = left.saturating_sub(over.next_multiple_of(block) - over);
        }
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
