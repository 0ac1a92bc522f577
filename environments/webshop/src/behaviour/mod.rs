//! What the simulated LLM knows of shopping: a mediocre shopper's habits, drawn from the text of a request.
//!
//! A behaviour is handed text and a seed, so it cannot know which product the goal was made from, which attributes count,
//! or what a purchase would score: [`view`] reads what any reader could, [`moves`] holds the prior over strategies,
//! [`words`] the sentences for outcomes and summaries. The habits are biased as real agents' are: it opens the first
//! result too readily, buys before it has chosen every option, and seldom reads the features.

pub mod moves;
pub mod view;
pub mod words;

use forethought_sdk::prelude::*;
use moves::Move;
use view::View;

/// Settings of the shopper: none.
#[config]
#[derive(Debug, Clone, Default)]
#[serde(default)]
pub struct ShopperConfig {}

/// The mediocre shopper.
pub struct Shopper;

#[async_trait]
impl ScriptedBehaviour for Shopper {
    /// By the first line of the environment's instructions, in the ReAct dialect alone.
    async fn recognises(&self, text: String) -> Result<bool> {
        Ok(text.contains(crate::INSTRUCTIONS_OPENING) && !text.contains(" [SEP] "))
    }

    async fn thought(&self, prompt: BehaviourPrompt) -> Result<String> {
        let view = View::read(&prompt.text);
        let mut rng = seed::stream(prompt.seed, "thought");
        Ok(moves::draw(&view, &mut rng).wording(&mut rng).to_owned())
    }

    async fn action(&self, prompt: BehaviourPrompt) -> Result<String> {
        let view = View::read(&prompt.text);
        let mut rng = seed::stream(prompt.seed, "action");
        // A thought that is not one of the shopper's own is taken for whatever it would do anyway.
        let chosen = Move::read(&prompt.thought).unwrap_or_else(|| moves::draw(&view, &mut rng));
        Ok(chosen.action(&view))
    }

    async fn outcomes(&self, prompt: BehaviourPrompt) -> Result<Vec<String>> {
        let view = View::read(&prompt.text);
        Ok(words::imagine(&view, prompt.count, &mut seed::stream(prompt.seed, "outcomes")))
    }

    async fn summary(&self, prompt: BehaviourPrompt) -> Result<(String, String)> {
        let view = View::read(&prompt.text);
        let outcome =
            words::Outcome::reached(&view).wording(&mut seed::stream(prompt.seed, "summary")).to_owned();
        Ok((words::state(&view), outcome))
    }
}

register! {
    interface: dyn ScriptedBehaviour, kind: "webshop", summary: "a mediocre shopper: what the simulated LLM knows of WebShop",
    config: ShopperConfig,
    new: |_config, _host| async move { Ok(Arc::new(Shopper) as _) },
}
