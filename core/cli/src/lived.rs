//! Episodes of a run as trajectories, from their logs: without the summaries that training needs, for those who read them
//! elsewhere.

use forethought_api::{
    Result,
    trajectory::{Step, Trajectory},
};
use forethought_runtime::run::{
    episode::EpisodeStatus,
    events::{self, Event},
    folder::events_path,
};
use serde_json::{Map, Value, json};

use crate::played::Played;

/// The trajectories of every seat that acted, of all episodes that ended well.
pub(crate) fn trajectories(run: &Played) -> Result<Vec<Trajectory>> {
    let mut all = Vec::new();
    for summary in run.episodes.iter().filter(|one| one.status == EpisodeStatus::Done) {
        let mut seats = seats(&events::read(&events_path(&run.folder, &summary.episode))?);
        for one in seats.iter_mut().filter(|one| one.source == run.info.planner) {
            // What is known of the whole episode is known of the planner that was measured.
            one.info.insert("llm_calls".into(), summary.llm_calls.into());
            one.info.insert("tokens".into(), summary.tokens.into());
            if !summary.metrics.is_empty() {
                one.info.insert("metrics".into(), json!(summary.metrics));
            }
        }
        all.append(&mut seats);
    }
    Ok(all)
}

/// The seats of one episode that acted.
fn seats(events: &[Event]) -> Vec<Trajectory> {
    let mut seats: Vec<Trajectory> = Vec::new();
    // What a seat saw last, and has not acted on.
    let mut seen: Vec<String> = Vec::new();
    for event in events {
        match event {
            Event::Episode { episode, environment, reset, seats: planners, seat_names, .. } => {
                seats = (0..)
                    .zip(planners)
                    .map(|(seat, planner)| {
                        let name =
                            seat_names.get(seat).map(|name| ("seat_name".to_owned(), name.as_str().into()));
                        Trajectory {
                            episode: episode.clone(),
                            environment: environment.clone(),
                            task: reset.task,
                            seed: reset.seed,
                            seat,
                            source: planner.clone(),
                            info: name
                                .filter(|_| planners.len() > 1)
                                .into_iter()
                                .collect::<Map<String, Value>>(),
                            ..Trajectory::default()
                        }
                    })
                    .collect();
                seen = vec![String::new(); seats.len()];
            }
            Event::Turn { turn, .. } => {
                if let (Some(one), Some(seen)) = (seats.get_mut(turn.seat), seen.get_mut(turn.seat)) {
                    seen.clone_from(&turn.observation.text);
                    for tool in &turn.tools {
                        if one.tools.iter().all(|known| known.name != tool.name) {
                            one.tools.push(tool.clone());
                        }
                    }
                }
            }
            Event::Decision { seat, thought, action, .. } => {
                if let (Some(one), Some(seen)) = (seats.get_mut(*seat), seen.get_mut(*seat)) {
                    one.steps.push(Step {
                        observation: std::mem::take(seen),
                        thought: thought.clone(),
                        action: action.clone(),
                        ..Step::default()
                    });
                }
            }
            Event::Transition { rewards, terminated, truncated, success, .. } => {
                for (one, reward) in seats.iter_mut().zip(rewards) {
                    if let Some(success) = success {
                        one.info.insert("success".into(), (*success).into());
                    }
                    if let Some(step) = one.steps.last_mut() {
                        step.reward += reward;
                        (step.terminated, step.truncated) = (*terminated, *truncated);
                    }
                }
            }
            Event::End { .. } => {}
        }
    }
    for (one, seen) in seats.iter_mut().zip(seen).filter(|(_, seen)| !seen.is_empty()) {
        one.info.insert("after".into(), seen.into());
    }
    seats.retain(|one| !one.steps.is_empty());
    seats
}
