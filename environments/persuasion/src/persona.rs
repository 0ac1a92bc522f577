//! A language model in the second seat, as a person of some kind.

use forethought_sdk::{
    answers::{Answer, Unread, ask_again},
    api::text::unmarked,
    prelude::*,
    seed::IndexedRandom,
    serde_json::json,
};
use minijinja::{Environment as Templates, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};

use crate::donor::elsewhere;

/// Settings of a persona.
#[config]
#[derive(Debug, Clone, Serialize)]
pub struct PersonaConfig {
    /// The language model that plays it: a name under `[llm]`.
    #[schemars(with = "LlmName")]
    pub llm: String,
    /// Who it may be; one is drawn for each whole episode.
    #[serde(default = "people")]
    pub personas: Vec<String>,
    /// A file to use instead of the shipped template. Variables: `environment`, `seat`, `persona`, `history`,
    /// `observation`.
    #[serde(default)]
    pub template: Option<ConfigPath>,
    /// Sampling temperature.
    #[serde(default = "temperature")]
    #[schemars(range(min = 0.0))]
    pub temperature: f64,
    /// Longest answer, in tokens.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1))]
    pub max_tokens: u32,
}

fn people() -> Vec<String> {
    [
        "A retired bookkeeper who has read of charities that wasted their money, and wants to see where each dollar goes.",
        "A student who counts every dollar, feels for others, and seldom gives.",
        "A nurse who has seen much need close by, and asks why one should give to people far away.",
        "An engineer who believes in numbers and doubts that a small sum changes anything.",
        "A parent of two who is touched by children's fates, and weary of being asked for money.",
        "A shop worker who thinks that helping is the state's task, and says so.",
    ]
    .map(str::to_owned)
    .into()
}

fn temperature() -> f64 {
    1.0
}

fn max_tokens() -> u32 {
    128
}

register! {
    interface: dyn Planner,
    kind: "persona",
    summary: "a language model in the second seat of a dialogue, as a person with doubts",
    config: PersonaConfig,
    new: |config: PersonaConfig, _host| async move { Ok(Arc::new(Persona::new(config)?) as _) },
}

/// A language model that plays a person.
pub struct Persona {
    config: PersonaConfig,
    templates: Templates<'static>,
}

impl Persona {
    /// A persona with these settings.
    ///
    /// # Errors
    /// A template that cannot be read or does not parse; no personas.
    pub fn new(config: PersonaConfig) -> Result<Self> {
        if config.personas.is_empty() {
            return Err(Error::config("personas is empty; add at least one, or remove the key"));
        }
        let source = match &config.template {
            None => include_str!("prompts/persona.md").to_owned(),
            Some(path) => {
                let text = std::fs::read_to_string(&path.0).map_err(|error| {
                    Error::config(format!("cannot read the template {}: {error}", path.display()))
                })?;
                unmarked(&text).to_owned()
            }
        };
        let mut templates = Templates::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        templates.set_syntax(syntax.expect("the default delimiters are valid"));
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates
            .add_template_owned("persona", source)
            .map_err(|error| Error::config(format!("the persona template does not parse: {error:#}")))?;
        Ok(Self { config, templates })
    }
}

#[async_trait]
impl Planner for Persona {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec![self.config.llm.clone()], ..Requirements::default() })
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let data = &context.turn.observation.data;
        if !data["dialogue"].is_object() {
            return elsewhere(&context);
        }
        let person = data["token"].as_u64().unwrap_or_default();
        let persona = self.config.personas.choose(&mut seed::stream(person, "persona"));
        let variables = json!({
            "environment": context.environment,
            "seat": context.environment.seats.get(context.seat),
            "persona": persona,
            "history": context.history,
            "observation": context.turn.observation.text,
        });
        let prompt = self
            .templates
            .get_template("persona")
            .and_then(|template| template.render(minijinja::Value::from(Serde(&variables))))
            .map_err(|error| Error::config(format!("the persona template cannot be rendered: {error:#}")))?;
        let mut request = ChatRequest {
            temperature: Some(self.config.temperature),
            max_tokens: Some(self.config.max_tokens),
            seed: Some(seed::derive(context.seed, "persona")),
            ..ChatRequest::new(Purpose::Persona, vec![Message::user(prompt.trim())])
        };
        let llm = models.llm(self.config.llm.clone()).await?;
        let names: Vec<_> = context.environment.seats.iter().map(|seat| seat.name.as_str()).collect();
        let mut unread = Unread::default();
        // Models leave the label out, or go on to speak for the other side.
        let said = loop {
            let choice = llm.complete(request.clone()).await?.choices.into_iter().next().unwrap_or_default();
            let answer = Answer::of(&choice);
            match answer.utterance(&names) {
                Ok(said) => break said,
                Err(complaint) if unread.faults.is_empty() => {
                    unread.repeated("Persona", &complaint);
                    ask_again(&mut request.messages, choice, &complaint);
                    request.seed = Some(seed::derive(context.seed, "persona again"));
                }
                Err(complaint) => {
                    unread.given_up("Persona", &complaint);
                    break String::new();
                }
            }
        };
        Ok(Decision { action: Action::new(said), trace: unread.trace(), ..Decision::default() })
    }
}
