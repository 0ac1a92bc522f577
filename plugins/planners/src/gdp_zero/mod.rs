//! GDP-Zero (Yu et al., 2023): open-loop tree search over dialogue acts, with the language model as prior, as speaker and
//! as the other side.
//!
//! ```text
//! repeat n times:
//!     walk down the sequences of acts by PUCT; where an act has fewer than 3 realisations yet, the model speaks
//!     for it and answers as the other side
//!     a new sequence: prior    <- 15 acts that the model would choose, add-one smoothing        one request
//!                     value    <- 10 answers to the closing question, mean worth                 one request
//! say the best realisation of the act most often visited
//! ```
//!
//! It serves any environment whose observations declare acts (`data["dialogue"]`, see `dialogue`). What the environment
//! would answer is never looked at: the other side is the model's own idea of it.

pub(crate) mod dialogue;
mod search;
pub(crate) mod talk;

use forethought_sdk::{prelude::*, serde_json::json};

use self::{dialogue::Dialogue, search::Search, talk::Talk};
use crate::prompts::{PromptFiles, Prompts};

/// Settings of GDP-Zero.
#[config]
#[derive(Debug, Clone)]
pub struct GdpZeroConfig {
    /// Name of the language model under `[llm]`: chooses acts and speaks.
    pub llm: String,
    /// Name of the model that answers as the other side; the same if not given.
    #[serde(default)]
    pub partner: Option<String>,
    /// Simulations a decision (n); the first one looks at the present state alone.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    pub simulations: u32,
    /// Weight of the prior against what was found (c of PUCT).
    #[serde(default = "one")]
    pub exploration: f64,
    /// What an act is worth before it was tried (Q0).
    #[serde(default)]
    pub initial_value: f64,
    /// Exchanges kept for a sequence of acts at most.
    #[serde(default = "three")]
    #[schemars(range(min = 1))]
    pub realisations: usize,
    /// Acts sampled for a prior, in one request.
    #[serde(default = "fifteen")]
    pub prior_samples: u32,
    /// Answers sampled for a value, in one request.
    #[serde(default = "ten")]
    pub value_samples: u32,
    /// Temperature of utterances.
    #[serde(default = "speaking")]
    pub temperature: Option<f64>,
    /// Temperature of acts.
    #[serde(default = "choosing")]
    pub prior_temperature: Option<f64>,
    /// Temperature of the other side's answers.
    #[serde(default = "answering")]
    pub partner_temperature: Option<f64>,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: PromptFiles,
}

fn one() -> f64 {
    1.0
}

fn three() -> usize {
    3
}

fn ten() -> u32 {
    10
}

fn fifteen() -> u32 {
    15
}

fn speaking() -> Option<f64> {
    Some(0.7)
}

fn choosing() -> Option<f64> {
    Some(1.0)
}

fn answering() -> Option<f64> {
    Some(1.1)
}

/// The GDP-Zero planner.
pub struct GdpZero {
    config: GdpZeroConfig,
    prompts: Prompts,
}

impl GdpZero {
    /// A planner of these settings.
    ///
    /// # Errors
    /// A number that cannot work, or a template that cannot be used.
    pub fn new(config: GdpZeroConfig) -> Result<Self> {
        let counts = [
            ("simulations", u64::from(config.simulations)),
            ("realisations", config.realisations as u64),
            ("prior_samples", u64::from(config.prior_samples)),
            ("value_samples", u64::from(config.value_samples)),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::config(format!("{key} = 0: the search needs at least one")));
        }
        if !config.exploration.is_finite() || config.exploration < 0.0 {
            return Err(Error::config(format!(
                "exploration = {}: a weight is a number from 0 on",
                config.exploration
            )));
        }
        // Its templates show the dialogue, not the history of observations: nothing is cut.
        Ok(Self { prompts: Prompts::new(&config.prompts, 0)?, config })
    }

    fn partner(&self) -> &String {
        self.config.partner.as_ref().unwrap_or(&self.config.llm)
    }
}

#[async_trait]
impl Planner for GdpZero {
    async fn requires(&self) -> Result<Requirements> {
        let names = |name: &String| Requirements { llms: vec![name.clone()], ..Requirements::default() };
        Ok(names(&self.config.llm).and(names(self.partner())))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let dialogue = Dialogue::of(&context, "gdp-zero")?;
        if dialogue.replies.is_empty() || dialogue.question.is_empty() {
            return Err(Error::config(format!(
                "the dialogue of `{}` has no replies with values or no question, by which planner.gdp-zero values it; \
                 use planner.ppdpp, which needs neither",
                context.environment.name
            )));
        }
        let talk = Talk {
            context: &context,
            dialogue: &dialogue,
            prompts: &self.prompts,
            llm: models.llm(self.config.llm.clone()).await?,
            partner: models.llm(self.partner().clone()).await?,
            rng: seed::stream(context.seed, "gdp-zero/requests"),
            requests: 0,
        };
        let (act, said, edges, requests) = Search::new(&self.config, talk, context.seed).run().await?;
        let tried = |edge: &search::Edge| {
            json!({
                "act": dialogue.acts[edge.act].name, "prior": edge.prior, "visits": edge.visits, "value": edge.value,
            })
        };
        let details = json!({ "acts": edges.iter().map(tried).collect::<Vec<_>>(), "requests": requests });
        let act = &dialogue.acts[act];
        Ok(Decision {
            thought: format!("[{}] {}", act.name, act.instruction),
            action: Action::new(said),
            trace: Trace { details, ..Trace::default() },
            ..Decision::default()
        })
    }
}

register! {
    interface: dyn Planner, kind: "gdp-zero", summary: "open-loop tree search over dialogue acts (GDP-Zero)",
    config: GdpZeroConfig,
    new: |config, _host| async move { Ok(Arc::new(GdpZero::new(config)?) as _) },
}
