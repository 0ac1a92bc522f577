//! Episodes from JSON Lines, one step per line: an importer to start from.

use std::path::PathBuf;

use forethought_sdk::api::text::unmarked;
use forethought_sdk::prelude::*;

/// An importer has no section in a configuration, so it is built from defaults.
#[config]
#[derive(Default)]
#[serde(default)]
struct Config {}

/// A line of the file. The steps of an episode are on consecutive lines.
#[data]
#[serde(deny_unknown_fields)]
struct Line {
    episode: String,
    task: u64,
    observation: String,
    thought: String,
    action: String,
    outcome: String,
    reward: f64,
}

struct StepsByLine;

#[async_trait]
impl Importer for StepsByLine {
    async fn import(&self, path: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Trajectory>> {
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::input(format!("cannot read {}: {error}", path.display())))?;
        let mut trajectories: Vec<Trajectory> = Vec::new();
        for (index, line) in unmarked(&text).lines().enumerate() {
            // An error names the file and the line: data sets are large.
            let line: Line = forethought_sdk::serde_json::from_str(line).map_err(|error| {
                Error::input(format!("{}:{}: {error}", path.display(), index + 1))
            })?;
            if trajectories.last().is_none_or(|last| last.episode != line.episode) {
                trajectories.push(Trajectory {
                    episode: line.episode.clone(),
                    environment: "{{name}}".into(),
                    source: "{{name}}".into(),
                    task: line.task,
                    ..Default::default()
                });
            }
            let Some(trajectory) = trajectories.last_mut() else { continue };
            if let Some(before) = trajectory.steps.last_mut() {
                before.next_state = line.observation.clone();
            }
            trajectory.steps.push(Step {
                // Critics learn from states; a summary of the history would be a better one.
                state: line.observation.clone(),
                next_state: line.outcome.clone(),
                observation: line.observation,
                thought: line.thought,
                action: line.action,
                outcomes: vec![line.outcome],
                reward: line.reward,
                ..Default::default()
            });
        }
        for trajectory in &mut trajectories {
            if let Some(last) = trajectory.steps.last_mut() {
                last.terminated = true;
            }
        }
        let count = trajectories.len() as u64;
        progress.report("importing".into(), count, count, String::new()).await?;
        Ok(trajectories)
    }
}

register! {
    interface: dyn Importer, kind: "{{name}}", summary: "episodes from JSON Lines, one step per line",
    config: Config,
    new: |_config: Config, _host| async move { Ok(Arc::new(StepsByLine) as _) },
}
