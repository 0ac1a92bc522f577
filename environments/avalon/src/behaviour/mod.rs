//! What the simulated LLM knows of Avalon: a mediocre player's habits, drawn from the text of a request.
//!
//! A behaviour is handed text and a seed, so it cannot know a role, a vote or a card that its seat was not told of: [`view`]
//! reads what any reader could, [`moves`] holds the prior over strategies, [`words`] the sentences for outcomes and
//! summaries. The habits are biased as real players' are: Merlin accuses too openly and lets teams pass that it knows to
//! be bad, Servants take people at their word, and evil fails quests too early.

pub mod moves;
pub mod view;
pub mod words;

use forethought_sdk::prelude::*;
use moves::Plan;
use view::View;

/// Settings of the player: none.
#[config]
#[derive(Debug, Clone, Default)]
#[serde(default)]
pub struct PlayerConfig {}

/// The mediocre player.
pub struct Player;

#[async_trait]
impl ScriptedBehaviour for Player {
    async fn recognises(&self, text: String) -> Result<bool> {
        Ok(text.contains(crate::observe::INSTRUCTIONS_OPENING))
    }

    async fn thought(&self, prompt: BehaviourPrompt) -> Result<String> {
        let view = View::read(&prompt.text);
        let mut rng = seed::stream(prompt.seed, "thought");
        Ok(moves::draw(&view, &mut rng).wording(&mut rng).to_owned())
    }

    async fn action(&self, prompt: BehaviourPrompt) -> Result<String> {
        let view = View::read(&prompt.text);
        let mut rng = seed::stream(prompt.seed, "action");
        // A thought that is none of the player's own, or no answer to what is asked, is taken for whatever it would do
        // anyway.
        let plan = Plan::read(&prompt.thought).filter(|plan| Some(plan.answers()) == view.ask);
        let plan = plan.unwrap_or_else(|| moves::draw(&view, &mut rng));
        Ok(plan.action(&view, &mut rng).to_string())
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
    interface: dyn ScriptedBehaviour, kind: "avalon", summary: "a mediocre player: what the simulated LLM knows of Avalon",
    config: PlayerConfig,
    new: |_config, _host| async move { Ok(Arc::new(Player) as _) },
}
