//! An episode as something to read: what each seat saw, thought, imagined and did, and what happened then.

use std::collections::BTreeMap;

use forethought_api::planner::{InnerDecision, Summary, Trace, ValuedOutcome};
use forethought_runtime::run::{episode::EpisodeStatus, events::Event};
use serde::Serialize;
use serde_json::Value;

use crate::svg::Curves;
use crate::text::{MOST, cut, new_since};
use crate::world::{World, draw};

/// An episode.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Story {
    pub(crate) environment: String,
    pub(crate) version: String,
    /// Seats and their planners.
    pub(crate) seats: Vec<String>,
    pub(crate) steps: Vec<StoryStep>,
    /// How it ended, in words.
    pub(crate) end: String,
    pub(crate) success: Option<bool>,
    pub(crate) error: String,
    pub(crate) scores: Vec<(String, f64)>,
    pub(crate) metrics: Vec<(String, f64)>,
    /// What the critic said of the hopes and fears, decision by decision: a picture.
    pub(crate) curve: Option<String>,
}

/// A turn of a seat and its decision.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct StoryStep {
    /// The number of the event, by which its whole text can be requested.
    pub(crate) event: usize,
    pub(crate) step: u32,
    pub(crate) seat: usize,
    pub(crate) name: String,
    /// Whether its planner is the one that the run is about.
    pub(crate) own: bool,
    /// What is new since this seat's last turn.
    pub(crate) sees: Long,
    /// Whether lines that this seat saw before are left out.
    pub(crate) repeats: bool,
    pub(crate) world: Option<World>,
    pub(crate) decision: Option<StoryDecision>,
    /// Rewards that are not 0.
    pub(crate) rewards: Vec<(String, f64)>,
}

/// A text that may be too long to show.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Long {
    pub(crate) text: String,
    /// The number of its characters, if some are left out.
    pub(crate) of: Option<usize>,
}

impl Long {
    fn new(text: &str) -> Self {
        let (text, of) = cut(text.trim_end(), MOST);
        Self { text, of }
    }
}

/// A decision, or that of a planner which another planner asked.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct StoryDecision {
    /// The planner that was asked; empty for the seat's own.
    pub(crate) planner: String,
    pub(crate) taken: bool,
    pub(crate) error: String,
    pub(crate) thought: Long,
    pub(crate) action: Long,
    pub(crate) summary: String,
    pub(crate) rounds: Vec<StoryRound>,
    pub(crate) search: Option<Search>,
    /// Other details, as JSON.
    pub(crate) details: String,
    pub(crate) recoveries: Vec<String>,
    /// What could not be read, by kind.
    pub(crate) faults: Vec<(String, u32)>,
    pub(crate) inner: Vec<StoryDecision>,
}

/// A round of refinement.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct StoryRound {
    pub(crate) number: usize,
    pub(crate) thought: String,
    pub(crate) kept: bool,
    pub(crate) outcomes: Vec<StoryOutcome>,
}

/// An imagined outcome, the critic's word on it, and whether it happened.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct StoryOutcome {
    pub(crate) text: String,
    pub(crate) good: bool,
    /// In percent.
    pub(crate) percent: f64,
    pub(crate) uncertainty: f64,
    pub(crate) usual: Option<f64>,
    pub(crate) known_as: Option<String>,
    pub(crate) outside: bool,
    /// The step at which a summary of what was reached said the same.
    pub(crate) reached: Option<u32>,
}

/// What a tree search found.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Search {
    pub(crate) nodes: Option<u64>,
    /// How many of them the log has, if it has not all.
    pub(crate) shown: Option<u64>,
    pub(crate) iterations: Option<u64>,
    pub(crate) solved: bool,
    pub(crate) moves: Vec<Move>,
    pub(crate) reflections: Vec<String>,
}

/// An action in a search's tree.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Move {
    pub(crate) action: String,
    pub(crate) visits: u64,
    pub(crate) value: Option<f64>,
    pub(crate) estimate: Option<f64>,
    /// Of the most visits of an action in the same state, in percent.
    pub(crate) share: f64,
    /// What follows it on the best path, where the log has no tree; only the best move has it.
    pub(crate) path: Vec<String>,
    /// Whether it is on the best path.
    pub(crate) best: bool,
    /// The actions after it.
    pub(crate) next: Vec<Move>,
}

/// Sentences on the states that an episode reached, with the step of each.
pub(crate) fn reached(events: &[Event]) -> Vec<(u32, usize, &str)> {
    let said = events.iter().filter_map(|event| match event {
        Event::Decision { step, seat, summary: Some(Summary { outcome, .. }), .. } => {
            Some((*step, *seat, outcome.trim()))
        }
        _ => None,
    });
    said.filter(|(.., sentence)| !sentence.is_empty()).collect()
}

impl Story {
    /// Reads an episode's log, of a run that is about `planner`.
    pub(crate) fn of(events: &[Event], planner: &str) -> Self {
        let mut story = Self::default();
        let (mut names, mut before) = (Vec::new(), BTreeMap::<usize, (&str, &Value)>::new());
        let mut planners: &[String] = &[];
        let own = |planners: &[String], seat: usize| planners.get(seat).is_none_or(|other| other == planner);
        let reached = reached(events);
        let mut hopes: Vec<(f64, f64)> = Vec::new();
        let mut fears: Vec<(f64, f64)> = Vec::new();
        for (index, event) in events.iter().enumerate() {
            match event {
                Event::Episode { environment, version, seats, seat_names, .. } => {
                    planners = seats;
                    (story.environment, story.version) = (environment.clone(), version.clone());
                    names = (0..seats.len())
                        .map(|seat| seat_names.get(seat).cloned().unwrap_or_else(|| format!("seat {seat}")))
                        .collect();
                    story.seats = names
                        .iter()
                        .zip(seats)
                        .map(|(name, planner)| format!("{name} ({planner})"))
                        .collect();
                }
                Event::Turn { step, turn } => {
                    let action = match events.get(index + 1) {
                        Some(Event::Decision { action, .. }) => action.as_str(),
                        _ => "",
                    };
                    let (text, data) = (turn.observation.text.as_str(), &turn.observation.data);
                    let (old, old_data) =
                        before.insert(turn.seat, (text, data)).unwrap_or(("", &Value::Null));
                    let new = new_since(old, text);
                    story.steps.push(StoryStep {
                        event: index,
                        step: *step,
                        seat: turn.seat,
                        name: names.get(turn.seat).cloned().unwrap_or_default(),
                        own: own(planners, turn.seat),
                        sees: Long::new(new),
                        repeats: new.len() < text.len(),
                        world: draw(text, data, old_data, turn.seat, &names, action),
                        ..StoryStep::default()
                    });
                }
                Event::Decision { step, seat, thought, action, summary, trace, calls: _ } => {
                    let later = |outcome: &ValuedOutcome| came_true(outcome, *step, *seat, &reached);
                    let mut decision = StoryDecision::of(trace, thought, action, &later);
                    decision.summary = summary
                        .as_ref()
                        .map(|summary| crate::text::visible(&summary.state).into_owned())
                        .unwrap_or_default();
                    if let Some(round) = trace.rounds.iter().rfind(|round| !round.outcomes.is_empty()) {
                        for (side, curve) in [(true, &mut hopes), (false, &mut fears)] {
                            let of_side = round
                                .outcomes
                                .iter()
                                .filter(|outcome| outcome.good == side && !outcome.outside);
                            let (count, sum) =
                                of_side.fold((0.0, 0.0), |(n, sum), one| (n + 1.0, sum + one.probability));
                            if count > 0.0 {
                                curve.push((f64::from(*step), sum / count));
                            }
                        }
                    }
                    match story.steps.last_mut() {
                        Some(last) if last.step == *step && last.seat == *seat => {
                            last.decision = Some(decision)
                        }
                        _ => story.steps.push(StoryStep {
                            event: index,
                            step: *step,
                            seat: *seat,
                            name: names.get(*seat).cloned().unwrap_or_default(),
                            own: own(planners, *seat),
                            decision: Some(decision),
                            ..StoryStep::default()
                        }),
                    }
                }
                Event::Transition { rewards, terminated, truncated, success, info, .. } => {
                    let paid = rewards.iter().enumerate().filter(|(_, reward)| **reward != 0.0);
                    let paid =
                        paid.map(|(seat, reward)| (names.get(seat).cloned().unwrap_or_default(), *reward));
                    if let Some(last) = story.steps.last_mut() {
                        last.rewards = paid.collect();
                    }
                    if *terminated || *truncated {
                        story.end = if *terminated { "ended by the rules" } else { "cut off" }.into();
                        story.success = *success;
                        let metrics = info["metrics"].as_object().into_iter().flatten();
                        story.metrics = metrics
                            .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
                            .collect();
                    }
                }
                Event::End { status, error, scores } => {
                    if *status != EpisodeStatus::Done {
                        story.end = format!("{status:?}").to_lowercase();
                    }
                    story.error = error.as_deref().map(|error| cut(error, MOST).0).unwrap_or_default();
                    story.scores = names.iter().cloned().zip(scores.iter().copied()).collect();
                }
            }
        }
        if hopes.len() + fears.len() > 2 {
            let curves = vec![("hoped for".to_owned(), hopes), ("feared".to_owned(), fears)];
            let title = "What the critic said of the last round's outcomes, on average";
            story.curve = Some(
                Curves { title, x: "step", y: "probability", curves, y_range: Some((0.0, 1.0)), low: true }
                    .svg(),
            );
        }
        story
    }
}

/// The later step of the same seat at which a summary said literally this.
pub(crate) fn came_true(
    outcome: &ValuedOutcome,
    step: u32,
    seat: usize,
    reached: &[(u32, usize, &str)],
) -> Option<u32> {
    let sentence = outcome.known_as.as_deref().unwrap_or(&outcome.text).trim();
    let later = |(at, who, said): &&(u32, usize, &str)| *at > step && *who == seat && *said == sentence;
    reached.iter().find(later).map(|(at, ..)| *at)
}

impl StoryDecision {
    fn of(
        trace: &Trace,
        thought: &str,
        action: &str,
        later: &impl Fn(&ValuedOutcome) -> Option<u32>,
    ) -> Self {
        let Trace { rounds, recoveries, faults, details, decisions } = trace;
        let shown = |text: &str| cut(text, 2000).0;
        let outcome = |outcome: &ValuedOutcome| StoryOutcome {
            text: shown(&outcome.text),
            good: outcome.good,
            percent: (100.0 * outcome.probability).clamp(0.0, 100.0),
            uncertainty: 100.0 * outcome.uncertainty,
            usual: outcome.usual.map(|usual| 100.0 * usual),
            known_as: outcome.known_as.as_deref().map(shown),
            outside: outcome.outside,
            reached: later(outcome),
        };
        let round = |(index, round): (usize, &forethought_api::planner::Round)| StoryRound {
            number: index + 1,
            thought: shown(&round.thought),
            kept: round.kept,
            outcomes: round.outcomes.iter().map(outcome).collect(),
        };
        let inner = |inner: &InnerDecision| Self {
            planner: shown(&inner.planner),
            taken: inner.taken,
            error: inner.error.as_deref().map(shown).unwrap_or_default(),
            ..Self::of(&inner.trace, &inner.thought, &inner.action, later)
        };
        let (search, rest) = search(details, action);
        Self {
            thought: Long::new(thought),
            action: Long::new(action),
            rounds: rounds.iter().enumerate().map(round).collect(),
            search,
            details: rest,
            recoveries: recoveries.iter().map(|text| shown(text)).collect(),
            faults: faults.iter().map(|(name, count)| (name.clone(), *count)).collect(),
            inner: decisions.iter().map(inner).collect(),
            ..Self::default()
        }
    }
}

/// How deep a tree is shown.
const DEPTH: usize = 32;

/// The actions of one state, with all that follows them; `path` is what the best path has from here on.
fn branches(
    nodes: &[(u64, &Value)],
    path: &[String],
    below: &BTreeMap<u64, Vec<&Value>>,
    depth: usize,
) -> Vec<Move> {
    let visits = |one: &Value| one["visits"].as_u64().unwrap_or(0);
    let most = nodes.iter().map(|(_, one)| visits(one)).max().unwrap_or(0).max(1);
    let mut taken = false;
    let branch = |&(number, one): &(u64, &Value)| {
        let action = cut(one["action"].as_str().unwrap_or_default(), 500).0;
        // Two nodes of the same action can be next to each other; one of them is on the path.
        let best = !taken && path.first().is_some_and(|first| *first == action);
        taken |= best;
        // A number is greater than its parent's, so this ends even in a log that somebody wrote by hand.
        let next = below.get(&number).into_iter().flatten();
        let next = next.map(|one| (one["node"].as_u64().unwrap_or(0), *one));
        let next: Vec<_> = next.filter(|(after, _)| *after > number && depth < DEPTH).collect();
        Move {
            next: branches(&next, if best { &path[1..] } else { &[] }, below, depth + 1),
            path: Vec::new(),
            best,
            visits: visits(one),
            value: one["value"].as_f64(),
            estimate: one["estimate"].as_f64(),
            share: 100.0 * visits(one) as f64 / most as f64,
            action,
        }
    };
    nodes.iter().map(branch).collect()
}

/// The tree of a search: `moves`, and the best `path` through it; and all other details as text.
fn search(details: &Value, action: &str) -> (Option<Search>, String) {
    let mut rest = details.clone();
    let found = details["moves"].as_array().filter(|moves| moves.iter().all(|one| one["action"].is_string()));
    let search = found.map(|moves| {
        let texts = |list: &Value| -> Vec<String> {
            let list = list.as_array().into_iter().flatten().filter_map(Value::as_str);
            list.map(|text| cut(text, 500).0).collect()
        };
        if let Value::Object(rest) = &mut rest {
            ["moves", "path", "nodes", "tree", "iterations", "solved", "reflections"]
                .iter()
                .for_each(|key| _ = rest.shift_remove(*key));
        }
        let mut path = texts(&details["path"]);
        if path.is_empty() {
            path.push(cut(action, 500).0);
        }
        let mut below = BTreeMap::<u64, Vec<&Value>>::new();
        for node in details["tree"].as_array().into_iter().flatten() {
            below.entry(node["parent"].as_u64().unwrap_or(0)).or_default().push(node);
        }
        let roots = moves.len() as u64 + 1;
        // The root's children have the numbers after its own.
        let numbered: Vec<_> = (1..).zip(moves.iter()).collect();
        let mut moves = branches(&numbered, &path, &below, 0);
        if below.is_empty() {
            moves.iter_mut().filter(|one| one.best).for_each(|one| one.path = path[1..].to_vec());
        }
        Search {
            nodes: details["nodes"].as_u64(),
            shown: details["tree"]
                .as_array()
                .map(|deeper| deeper.len() as u64 + roots)
                .filter(|&shown| details["nodes"].as_u64().is_some_and(|nodes| shown < nodes)),
            iterations: details["iterations"].as_u64(),
            solved: details["solved"].as_bool().unwrap_or_default(),
            moves,
            reflections: texts(&details["reflections"]),
        }
    });
    let empty = rest.is_null() || rest.as_object().is_some_and(serde_json::Map::is_empty);
    let text = if empty { String::new() } else { serde_json::to_string_pretty(&rest).unwrap_or_default() };
    (search, cut(&text, MOST).0)
}
