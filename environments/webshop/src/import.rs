//! Real LLM episodes into trajectories: ReAct's published WebShop log (Yao et al., 2023).
//!
//! The log has one episode per line: `{"id", "reward", "finished", "steps": [{"action", "observation"}]}`, with `reset`
//! first and thoughts as `think[...]`. States and outcomes are written by the same reader that summarises for the
//! simulated LLM, so that they are in one style; it reads only the log's text. An action without a recorded thought
//! gets a plain description of the action as its thought, marked with a leading `Derived:`.

use std::path::PathBuf;

use forethought_sdk::api::text::unmarked;
use forethought_sdk::simulated::{Outcome as _, Worded};
use forethought_sdk::{prelude::*, serde_json};

use crate::behaviour::{
    view::View,
    words::{self, Outcome},
};

/// Reads ReAct's WebShop log.
pub struct ReactLog;

#[data]
struct Episode {
    id: String,
    reward: f64,
    finished: bool,
    steps: Vec<Logged>,
}

#[data]
struct Logged {
    action: String,
    observation: String,
}

#[async_trait]
impl Importer for ReactLog {
    async fn import(&self, path: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Trajectory>> {
        let file = if path.is_dir() { path.join("trajectories.jsonl") } else { path };
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Error::input(format!("cannot read {}: {error}; give ReAct's log or its folder", file.display()))
        })?;
        let total = text.lines().count() as u64;
        let mut trajectories = Vec::new();
        for (line, text) in unmarked(&text).lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let at = || format!("{}:{}", file.display(), line + 1);
            let episode: Episode =
                serde_json::from_str(text).map_err(|error| Error::input(format!("{}: {error}", at())))?;
            trajectories
                .push(trajectory(episode).map_err(|error| Error::input(format!("{}: {error}", at())))?);
            progress.report("import".into(), line as u64 + 1, total, String::new()).await?;
        }
        Ok(trajectories)
    }
}

fn trajectory(episode: Episode) -> Result<Trajectory> {
    let Some((first, rest)) = episode.steps.split_first().filter(|(first, _)| first.action == "reset") else {
        return Err(Error::input("the first action of an episode must be \"reset\""));
    };
    if !(0.0..=1.0).contains(&episode.reward) {
        return Err(Error::input(format!("the reward {} is not from 0 to 1", episode.reward)));
    }
    let task = episode.id.rsplit('_').next().and_then(|number| number.parse().ok());
    let mut trajectory = Trajectory {
        task: task
            .ok_or_else(|| Error::input(format!("id {:?} does not end in a task number", episode.id)))?,
        episode: episode.id,
        environment: "webshop".into(),
        source: "react-webshop".into(),
        ..Trajectory::default()
    };
    let mut view = View::default();
    view.observe("", &first.observation.lines().collect::<Vec<_>>());
    let mut observation = first.observation.as_str();
    let mut thoughts: Vec<&str> = Vec::new();
    for step in rest {
        if let Some(thought) = step.action.strip_prefix("think[") {
            thoughts.push(thought.strip_suffix(']').unwrap_or(thought).trim());
            continue;
        }
        let thought = if thoughts.is_empty() { derived(&step.action) } else { thoughts.join(" ") };
        thoughts.clear();
        let state = words::state(&view);
        view.act(&step.action, &step.observation.lines().collect::<Vec<_>>());
        trajectory.steps.push(Step {
            observation: observation.to_owned(),
            state,
            thought,
            action: step.action.clone(),
            ..Step::default()
        });
        observation = &step.observation;
        describe(trajectory.steps.last_mut(), &view);
    }
    if let Some(last) = trajectory.steps.last_mut() {
        last.reward = episode.reward;
        last.terminated = episode.finished;
        last.truncated = !episode.finished;
        if last.truncated {
            view.over = true;
            describe(Some(last), &view);
        }
    }
    Ok(trajectory)
}

fn describe(step: Option<&mut Step>, view: &View) {
    if let Some(step) = step {
        step.next_state = words::state(view);
        step.outcomes =
            Outcome::reached(view).wordings().iter().map(|wording| (*wording).to_owned()).collect();
    }
}

/// A plain description of an action, for actions without a recorded thought.
fn derived(action: &str) -> String {
    let argument = action.split_once('[').map_or(action, |(_, rest)| rest.trim_end_matches(']'));
    let reading = match (action.split('[').next().unwrap_or_default(), argument) {
        ("search", query) => format!("Search for {query}."),
        ("click", "Buy Now") => "Buy this product.".to_owned(),
        ("click", "< Prev" | "Back to Search") => "Go back.".to_owned(),
        ("click", "Description" | "Features" | "Reviews") => format!("Read the {}.", argument.to_lowercase()),
        ("click", target) if target.len() == 10 && target.starts_with('B') => "Open a product.".to_owned(),
        ("click", target) => format!("Choose {target}."),
        _ => action.to_owned(),
    };
    format!("Derived: {reading}")
}

register! {
    interface: dyn Importer, kind: "react-webshop", summary: "ReAct's published WebShop log: real LLM episodes with thoughts",
    config: NoConfig,
    new: |_config, _host| async move { Ok(Arc::new(ReactLog) as _) },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(steps: &str) -> Result<Trajectory> {
        let line = format!(r#"{{"id": "fixed_7", "reward": 0.5, "finished": true, "steps": [{steps}]}}"#);
        trajectory(serde_json::from_str(&line)?)
    }

    const START: &str = r#"{"action": "reset", "observation": "Webshop \nInstruction:  \ni need a red lamp, and price lower than 20.00 dollars \n[Search] "}"#;

    #[test]
    fn thoughts_belong_to_the_action_that_follows() {
        let trajectory = episode(&format!(
            r#"{START}, {{"action": "search[lamp]", "observation": "[Back to Search] \nPage 1 (Total results: 1) \n[Next >] \n[B08H5DCD65] \nLamp \n$9.98 "}},
            {{"action": "think[This one.]", "observation": "OK."}},
            {{"action": "click[B08H5DCD65]", "observation": "[Back to Search] \n[< Prev] \ncolor [red][blue]\nLamp \nPrice: $9.98 \nRating: N.A. \n[Buy Now] "}},
            {{"action": "click[Buy Now]", "observation": "Your score (min 0.0, max 1.0): 0.5"}}"#
        ))
        .unwrap();
        let thoughts: Vec<_> = trajectory.steps.iter().map(|step| step.thought.as_str()).collect();
        assert_eq!(thoughts, ["Derived: Search for lamp.", "This one.", "Derived: Buy this product."]);
        let last = trajectory.steps.last().unwrap();
        assert!(last.terminated && last.state.contains("not chosen yet: color"), "{}", last.state);
        assert_eq!(last.outcomes, Outcome::OptionMissed.wordings());
        assert_eq!((trajectory.task, trajectory.score()), (7, 0.5));
        assert_eq!(trajectory.steps[0].next_state, trajectory.steps[1].state);
    }

    #[test]
    fn an_episode_must_begin_with_a_reset() {
        let error = episode(r#"{"action": "search[x]", "observation": ""}"#).unwrap_err();
        assert!(error.message.contains("must be \"reset\""), "{error}");
    }
}
