//! PNLC, Planning with a Natural Language Critic (arXiv 2505.18098): imagine outcomes of a thought, let the critic say
//! how likely they are, and refine the thought before acting. No search, no change to the language model.
//!
//! ```text
//! s       <- summarise(history)
//! thought <- LLM: propose
//! repeat at most m times:
//!     G       <- LLM: n imagined outcomes of the thought, half good, half bad
//!     p_g     <- Q(s, thought, g) for every g in G            one batch
//!     thought <- LLM: given the values in words, keep the thought or write a better one
//!     stop when it was kept
//! action  <- LLM: act on the final thought
//! ```
//!
//! This is the paper's form, `mode = "refine"`. With `mode = "compare"`, thoughts are weighed against each other:
//!
//! ```text
//! s              <- summarise(history)
//! thoughts, G    <- LLM: k thoughts, and n outcomes for all of them
//! p_t,g          <- Q(s, t, g) for every thought t and g in G    one batch
//! thought, action <- LLM: given the table, choose a thought and act
//! ```
//!
//! A critic that knows how its data speak ([`StyleCard`]) is heeded: see `style`, `yardstick` and `abstain`. Both forms
//! are in [`deliberate`](crate::deliberate), for they are the same without a critic.

use forethought_sdk::prelude::*;

use crate::{
    ask::AskConfig,
    deliberate::{Deliberation, Extensions, Imagining, Weighing},
    prompts::prompt_files,
};

/// Settings of PNLC.
#[config]
#[derive(Debug, Clone)]
pub struct PnlcConfig {
    /// How the acting and the summarising language model are asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// What is imagined, and when.
    #[serde(flatten)]
    pub imagining: Imagining,
    /// How the critic is used.
    #[serde(flatten)]
    pub weighing: Weighing,
    /// What goes beyond the paper.
    #[serde(flatten)]
    pub extensions: Extensions,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: PnlcPrompts,
}

prompt_files! {
    /// Files that replace PNLC's prompt templates.
    PnlcPrompts: agent, history, summarise, thought, outcomes, refine, candidates, choose, resume, action
}

/// The PNLC planner.
pub struct Pnlc(Deliberation);

impl Pnlc {
    /// A planner with these settings.
    ///
    /// # Errors
    /// Fewer than two outcomes or thoughts, an extension that does not go with the mode, or a template that cannot be used.
    pub fn new(config: PnlcConfig) -> Result<Self> {
        let prompts = config.ask.prompts(&config.prompts)?;
        let pnlc = Deliberation::new(config.ask, config.imagining, Some(config.weighing), prompts)?;
        Ok(Self(pnlc.extended(config.extensions)?))
    }
}

#[async_trait]
impl Planner for Pnlc {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.0.requires())
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        self.0.decide(context, models).await
    }
}

register! {
    interface: dyn Planner, kind: "pnlc", summary: "refines each thought using a critic's outcome probabilities (PNLC)",
    config: PnlcConfig,
    new: |config, _host| async move { Ok(Arc::new(Pnlc::new(config)?) as _) },
}
