//! What the simulated LLM knows of finding crabs: a behaviour to start from, beside its environment.
//!
//! A behaviour makes an environment playable offline. It is given the text of a request and nothing
//! else, so it knows no more than a language model would; and its habits are mediocre on purpose,
//! or there would be nothing for a planner to gain.

mod environment;

use forethought_sdk::{prelude::*, seed::IndexedRandom, seed::RngExt};

/// A behaviour has no section in a configuration, so it is built from defaults.
#[config]
#[derive(Default)]
#[serde(default)]
struct Config {}

struct Beachcomber;

const HALVE: &str = "Look in the middle of where the crab may be.";
const ANYWHERE: &str = "Look into any pool and hope.";
const GOOD: [&str; 2] = ["The crab is found early.", "The crab is found with the last look."];
const BAD: [&str; 2] = ["The tide comes in before the crab is found.", "The looks are wasted."];

/// The pools where the crab may be, first and last, as far as the text tells.
fn pools(text: &str) -> (u64, u64) {
    let (mut first, mut last, mut looked) = (1, 9, None);
    for line in text.lines() {
        if let Some(action) = line.strip_prefix("Action: look ") {
            looked = action.parse::<u64>().ok().filter(|pool| (1..=9).contains(pool));
        }
        match looked {
            Some(pool) if line.contains("further right") => first = first.max(pool + 1).min(9),
            Some(pool) if line.contains("further left") => last = last.min(pool - 1).max(first),
            _ => {}
        }
    }
    (first, last)
}

#[async_trait]
impl ScriptedBehaviour for Beachcomber {
    async fn recognises(&self, text: String) -> Result<bool> {
        Ok(text.contains("Find the crab before the tide comes"))
    }

    async fn thought(&self, prompt: BehaviourPrompt) -> Result<String> {
        let mut draws = seed::stream(prompt.seed, "thought");
        let habit = [HALVE, ANYWHERE, ANYWHERE].choose(&mut draws);
        Ok((*habit.unwrap_or(&HALVE)).into())
    }

    async fn action(&self, prompt: BehaviourPrompt) -> Result<String> {
        let (first, last) = pools(&prompt.text);
        let pool = match prompt.thought == HALVE {
            true => first.midpoint(last),
            false => seed::stream(prompt.seed, "action").random_range(1..=9),
        };
        Ok(format!("look {pool}"))
    }

    async fn outcomes(&self, prompt: BehaviourPrompt) -> Result<Vec<String>> {
        let good = prompt.count.div_ceil(2);
        let good = GOOD.iter().cycle().take(good);
        let outcomes = good.chain(BAD.iter().cycle()).take(prompt.count);
        Ok(outcomes.map(|outcome| (*outcome).into()).collect())
    }

    async fn summary(&self, prompt: BehaviourPrompt) -> Result<(String, String)> {
        let (first, last) = pools(&prompt.text);
        let state = format!("The crab sits in a pool from {first} to {last}.");
        let found = prompt.text.contains("There it is!");
        Ok((state, if found { "The crab is found." } else { "The crab still hides." }.into()))
    }
}

register! {
    interface: dyn ScriptedBehaviour, kind: "{{name}}", summary: "how a beachcomber looks for crabs", config: Config,
    new: |_config: Config, _host| async move { Ok(Arc::new(Beachcomber) as _) },
}
