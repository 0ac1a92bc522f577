//! What the simulated LLM knows of persuading: a mediocre persuader's habits, drawn from the text of a request.
//!
//! A behaviour is handed text and a seed, so it cannot know who the donor is or what moves it: [`view`] reads what any reader
//! could, [`moves`] holds the prior over strategies and the utterances, [`words`] the sentences for states and outcomes.
//! The habits are biased as real agents' are: it asks for money too soon and too often, insists when it should listen,
//! and prefers feelings to reasons. It also answers as a donor where a prompt asks it to: its own idea of one, with
//! nothing in it of the donors that are fitted to data.

pub mod moves;
pub mod view;
pub mod words;

use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, RngExt},
};

use self::{
    moves::Move,
    view::{Side, View},
};
use crate::observe::INSTRUCTIONS_OPENING;

/// Settings of the persuader: none.
#[config]
#[derive(Debug, Clone, Default)]
#[serde(default)]
pub struct PersuaderConfig {}

/// The mediocre persuader.
pub struct Persuader;

#[async_trait]
impl ScriptedBehaviour for Persuader {
    /// By the first line of the environment's instructions.
    async fn recognises(&self, text: String) -> Result<bool> {
        Ok(text.lines().any(|line| {
            line.strip_prefix(INSTRUCTIONS_OPENING).is_some_and(|title| title.starts_with("persuasion"))
        }))
    }

    async fn thought(&self, prompt: BehaviourPrompt) -> Result<String> {
        let view = View::read(&prompt.text);
        if view.side == Side::Donor {
            return Ok("I will see what they have to say.".into());
        }
        let mut rng = seed::stream(prompt.seed, "thought");
        Ok(moves::draw(&view, &mut rng).wording(&mut rng).to_owned())
    }

    async fn action(&self, prompt: BehaviourPrompt) -> Result<String> {
        let view = View::read(&prompt.text);
        let mut rng = seed::stream(prompt.seed, "action");
        if view.side == Side::Donor {
            return Ok(donor(&prompt.text, &view, &mut rng));
        }
        // A thought that is not one of the persuader's own is taken for whatever it would do anyway.
        let chosen = Move::read(&prompt.thought).unwrap_or_else(|| moves::draw(&view, &mut rng));
        // The prompt wants the act itself, not words for it.
        Ok(match prompt.text.contains("<the name of the act, in brackets>") {
            true => format!("[{}]", chosen.act()),
            false => chosen.utterance(&view, &mut rng),
        })
    }

    async fn outcomes(&self, prompt: BehaviourPrompt) -> Result<Vec<String>> {
        Ok(words::imagine(
            &View::read(&prompt.text),
            prompt.count,
            &mut seed::stream(prompt.seed, "outcomes"),
        ))
    }

    async fn summary(&self, prompt: BehaviourPrompt) -> Result<(String, String)> {
        let view = View::read(&prompt.text);
        let mut rng = seed::stream(prompt.seed, "summary");
        Ok((words::state(&view), words::Outcome::reached(&view).wording(&mut rng).to_owned()))
    }
}

/// An answer as a donor, with how it is taken in front where that is asked for.
fn donor(text: &str, view: &View, rng: &mut ChaCha8Rng) -> String {
    let (reply, words) = words::answer(view, rng);
    if view.closing {
        let sum = match reply {
            "donate" | "positive reaction" => rng.random_range(1..=8) as f64 * 0.25,
            "neutral" if rng.random::<f64>() < 0.5 => 0.25,
            _ => 0.0,
        };
        return format!("[DONATE ${sum:.2}]");
    }
    if text.contains("[positive reaction]") { format!("[{reply}] {words}") } else { words.to_owned() }
}

register! {
    interface: dyn ScriptedBehaviour, kind: "persuasion", summary: "a mediocre persuader: what the simulated LLM knows of asking for donations",
    config: PersuaderConfig,
    new: |_config, _host| async move { Ok(Arc::new(Persuader) as _) },
}
