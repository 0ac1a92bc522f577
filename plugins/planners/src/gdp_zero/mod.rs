//! GDP-Zero (Yu et al., 2023): open-loop tree search over dialogue acts, with the language model as prior, speaker and
//! other side.
//!
//! ```text
//! repeat n times:
//!     walk down the sequences of acts by PUCT; if an act has fewer than 3 realisations, the model writes an
//!     utterance for it and the other side's answer
//!     a new sequence: prior    <- 15 acts that the model would choose, add-one smoothing        one request
//!                     value    <- 10 answers to the closing question, mean value                one request
//! say the best realisation of the most visited act
//! ```
//!
//! It works in any environment whose observations declare acts (`data["dialogue"]`, see `dialogue`). It never asks the
//! environment for an answer: the model plays the other side.

mod config;
pub(crate) mod dialogue;
mod search;
pub(crate) mod talk;

use forethought_sdk::{answers::Unread, prelude::*, serde_json::json};

pub use self::config::{GdpZeroConfig, GdpZeroPrompts};
use self::{dialogue::Dialogue, search::Search, talk::Talk};
use crate::prompts::Prompts;

/// The GDP-Zero planner.
pub struct GdpZero {
    config: GdpZeroConfig,
    prompts: Prompts,
}

impl GdpZero {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A number out of range, or a template that cannot be used.
    pub fn new(config: GdpZeroConfig) -> Result<Self> {
        let counts = [
            ("simulations", u64::from(config.simulations)),
            ("realisations", config.realisations as u64),
            ("prior_samples", u64::from(config.prior_samples)),
            ("value_samples", u64::from(config.value_samples)),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::config(format!("{key} = 0: must be at least 1")));
        }
        if !config.exploration.is_finite() || config.exploration < 0.0 {
            return Err(Error::config(format!(
                "exploration = {}: must be a finite number from 0 up",
                config.exploration
            )));
        }
        // 0: its templates show the dialogue, not the history of observations.
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
                "the dialogue of `{}` has no replies with values or no question, and planner.gdp-zero needs both; use \
                 planner.ppdpp, which needs neither",
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
            unread: Unread::default(),
        };
        let (act, said, edges, talk) = Search::new(&self.config, talk, context.seed).run().await?;
        let tried = |edge: &search::Edge| {
            json!({
                "act": dialogue.acts[edge.act].name, "prior": edge.prior, "visits": edge.visits, "value": edge.value,
            })
        };
        let details =
            json!({ "acts": edges.iter().map(tried).collect::<Vec<_>>(), "requests": talk.requests });
        let act = &dialogue.acts[act];
        Ok(Decision {
            thought: format!("[{}] {}", act.name, act.instruction),
            action: Action::new(said),
            trace: Trace { details, ..talk.unread.trace() },
            ..Decision::default()
        })
    }
}

register! {
    interface: dyn Planner, kind: "gdp-zero", summary: "open-loop tree search over dialogue acts (GDP-Zero)",
    config: GdpZeroConfig,
    new: |config, _host| async move { Ok(Arc::new(GdpZero::new(config)?) as _) },
}
