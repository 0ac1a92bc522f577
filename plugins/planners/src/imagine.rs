//! The control for critics: [PNLC](crate::pnlc) without numbers. The model imagines outcomes in the same words and then
//! refines or chooses by itself, so what remains of a gain is what imagining alone is worth.

use forethought_sdk::prelude::*;

use crate::{
    ask::AskConfig,
    deliberate::{Deliberation, Imagining},
    pnlc::PnlcPrompts,
};

/// Settings of the control.
#[config]
#[derive(Debug, Clone)]
pub struct ImagineConfig {
    /// How the acting and the summarising language model are asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// What is imagined, and when.
    #[serde(flatten)]
    pub imagining: Imagining,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: PnlcPrompts,
}

/// PNLC without a critic.
pub struct ImagineOnly(Deliberation);

impl ImagineOnly {
    /// A planner with these settings.
    ///
    /// # Errors
    /// Those of [`Pnlc::new`](crate::pnlc::Pnlc::new).
    pub fn new(config: ImagineConfig) -> Result<Self> {
        let prompts = config.ask.prompts(&config.prompts)?;
        Ok(Self(Deliberation::new(config.ask, config.imagining, None, prompts)?))
    }
}

#[async_trait]
impl Planner for ImagineOnly {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.0.requires())
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        self.0.decide(context, models).await
    }
}

register! {
    interface: dyn Planner, kind: "imagine-only", summary: "PNLC without a critic: outcomes are imagined, and no numbers shown",
    config: ImagineConfig,
    new: |config, _host| async move { Ok(Arc::new(ImagineOnly::new(config)?) as _) },
}
