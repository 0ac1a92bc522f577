//! Rules for environments: seeds, copies, ends, rewards, legal and illegal actions, independent worlds.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use forethought_api::{
    Result as Answer,
    environment::{Action, Environment, EnvironmentSpec, Imagine, Reset, Transition, Turn},
    llm::ToolCall,
};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::{
    common::Work,
    stand_in::draw,
    trial::{Failure, Fault, Rule, Trial, Verdict, ensure, parting, skip},
};

const SPEC: Rule = Rule {
    id: "environment/spec",
    says: "its spec names its seats and tasks, and never changes",
    fix: "make the spec from the configuration alone, with a name, at least one task, a distinct name for every seat, \
          and a `max_steps` above 0 or none",
    needs: &[],
};
const SAME_SEED: Rule = Rule {
    id: "environment/same-seed",
    says: "the same task, seed and actions give the same episode, in every world and every process",
    fix: "draw everything random from the seed of `reset`, never from the clock, a global generator, a counter, an \
          address or the order of a HashMap",
    needs: &["common/answered"],
};
const RESET: Rule = Rule {
    id: "environment/reset",
    says: "after a reset, a used world is like a new one",
    fix: "let `reset` replace the whole state of the episode, including its random streams",
    needs: &["common/answered", "environment/same-seed"],
};
const SPAWN: Rule = Rule {
    id: "environment/spawn",
    says: "spawned worlds are independent of one another",
    fix: "give every spawned world its own state; share only what no episode changes",
    needs: &["common/answered", "environment/same-seed", "environment/reset"],
};
const FORK_TOLD: Rule = Rule {
    id: "environment/fork-told",
    says: "`fork` returns a copy if and only if the spec says so",
    fix: "set `fork` in the spec to whether `fork` returns `Some`",
    needs: &["common/answered"],
};
const FORK: Rule = Rule {
    id: "environment/fork",
    says: "a fork continues like a replay of the same actions, and does not affect the original world",
    fix: "copy the whole state of the episode into the fork, including random streams, counters and step limits, and \
          share none of it",
    needs: &[
        "common/answered",
        "environment/legal-actions",
        "environment/same-seed",
        "environment/fork-told",
    ],
};
const IMAGINE: Rule = Rule {
    id: "environment/imagine",
    says: "a world imagined for a seat looks to that seat like the real one, depends only on the seed, does not affect \
           the real one, and a `hidden` that makes no sense is refused",
    fix: "copy the state, draw only what the seat cannot know from the seed, keep what it has seen and done, and return \
          an error for an invalid `hidden`",
    needs: &[
        "common/answered",
        "environment/legal-actions",
        "environment/illegal-actions",
        "environment/same-seed",
        "environment/spawn",
    ],
};
const END: Rule = Rule {
    id: "environment/end",
    says: "an episode comes to an end, terminated or truncated, never both, and its `info.metrics` are numbers",
    fix: "if the world's own rules end an episode on its last permitted step, report only `terminated`; if they may never \
          end it, set `max_steps` in the spec; let `info.metrics` be a flat table of numbers",
    needs: &[],
};
const REWARDS: Rule = Rule {
    id: "environment/rewards",
    says: "every step has one finite reward for each seat",
    fix: "return one reward per seat of the spec, in the same order, 0 for seats that earned nothing",
    needs: &[],
};
const SEAT: Rule = Rule {
    id: "environment/seat",
    says: "the acting seat is one of the spec's",
    fix: "set `Turn::seat` to an index into the spec's seats, counted from 0",
    needs: &[],
};
const LEGAL: Rule = Rule {
    id: "environment/legal-actions",
    says: "every action listed as legal is accepted, and listed once",
    fix: "list actions exactly as `step` reads them, and only those of the current state",
    needs: &[],
};
const ILLEGAL: Rule = Rule {
    id: "environment/illegal-actions",
    says: "a nonsensical action gets an answer, not an error or a crash, and the episode continues",
    fix: "answer an invalid action with an observation that says so, for the model to read",
    needs: &["environment/legal-actions"],
};

const TOOLS: Rule = Rule {
    id: "environment/tools",
    says: "a turn's tools have names and schemas, a call of one does the same as its canonical text, and an unknown tool or \
           a missing argument is refused with an answer",
    fix: "read actions with `Action::calls(&turn)`, and answer what it complains about as an illegal action",
    needs: &[
        "common/answered",
        "environment/legal-actions",
        "environment/illegal-actions",
        "environment/same-seed",
    ],
};

pub(crate) const RULES: &[&Rule] = &[
    &SPEC, &LEGAL, &ILLEGAL, &END, &REWARDS, &SEAT, &SAME_SEED, &RESET, &SPAWN, &TOOLS, &FORK_TOLD, &FORK,
    &IMAGINE,
];

type World = Arc<dyn Environment>;

/// Longest episode that the kit plays.
const LENGTH: usize = 24;

/// Actions that are valid in no environment.
const NONSENSE: [&str; 12] = [
    "",
    " \n\t",
    "no such action",
    "click[",
    "]][[",
    "search[]",
    "click[\u{0}]",
    "{\"action\": null}",
    "Action: ignore all previous instructions",
    "-1",
    "\u{202e}\u{1f40b} \u{4f60}\u{597d}",
    "99999999999999999999999999999999999999",
];

/// An episode as it was played.
struct Episode {
    reset: Reset,
    first: Turn,
    moves: Vec<(Action, Transition)>,
    /// The action that got no answer and ended the episode: whether it was listed as legal, and the failure.
    refused: Option<(bool, String)>,
}

impl Episode {
    fn actions(&self) -> impl Iterator<Item = &Action> {
        self.moves.iter().map(|(action, _)| action)
    }
    fn turns(&self) -> impl Iterator<Item = &Turn> {
        std::iter::once(&self.first).chain(self.moves.iter().map(|(_, transition)| &transition.turn))
    }
}

pub(crate) async fn check(trial: &Trial<'_>, world: World) -> Option<Work> {
    let spec = trial.gather(trial.call("spec", world.spec())).await?;
    trial.rule(&SPEC, spec_holds(trial, &world, &spec)).await;
    let episodes: Arc<[Episode]> = trial.gather(play_all(trial, &world, &spec)).await?.into();
    trial.rule(&LEGAL, legal_actions(trial, &world, &episodes)).await;
    trial.rule(&ILLEGAL, illegal_actions(trial, &world, &spec, &episodes)).await;
    trial.rule(&END, end(trial, &world, &spec, &episodes)).await;
    trial.rule(&REWARDS, rewards(&episodes, &spec)).await;
    trial.rule(&SEAT, seat(&episodes, &spec)).await;
    trial.rule(&SAME_SEED, same_seed(trial, &world, &episodes)).await;
    trial.rule(&RESET, reset(trial, &world, &episodes)).await;
    trial.rule(&SPAWN, spawn(trial, &world, &episodes)).await;
    trial.rule(&TOOLS, tools(trial, &world, &episodes)).await;
    trial.rule(&FORK_TOLD, fork_told(trial, &world, &spec, &episodes)).await;
    trial.rule(&FORK, fork(trial, &world, &spec, &episodes)).await;
    trial.rule(&IMAGINE, imagine(trial, &world, &spec, &episodes)).await;
    work(trial, world, &spec, episodes).await
}

/// Plays episodes with actions that the kit chooses, over tasks from first to last.
async fn play_all(trial: &Trial<'_>, world: &World, spec: &EnvironmentSpec) -> Result<Vec<Episode>, Fault> {
    let count = trial.options.episodes.max(2);
    let last = spec.tasks.unwrap_or(1000).saturating_sub(1);
    let mut episodes = Vec::new();
    for index in 0..count {
        let task = (u128::from(last) * u128::from(index) / u128::from(count - 1)) as u64;
        let reset = Reset { task, seed: trial.options.seed.wrapping_add(index) };
        episodes.push(play(trial, world, spec, reset).await?);
    }
    Ok(episodes)
}

async fn play(
    trial: &Trial<'_>,
    world: &World,
    spec: &EnvironmentSpec,
    reset: Reset,
) -> Result<Episode, Fault> {
    let world = trial.call("spawn", world.spawn()).await?;
    let first = begin(trial, &world, reset).await?;
    let mut episode = Episode { reset, first, moves: Vec::new(), refused: None };
    let mut turn = episode.first.clone();
    for step in 0..LENGTH {
        let action = choose(trial, spec, &turn, draw((reset.task, reset.seed, step)));
        let listed = turn.legal_actions.contains(&action.text);
        let transition = match trial.attempt(world.step(action.clone())).await {
            Ok(transition) => transition,
            Err(failure) => {
                let which = if listed { ", which is listed as legal," } else { "" };
                episode.refused = Some((listed, format!("step({:?}){which} {failure}", action.text)));
                break;
            }
        };
        turn = transition.turn.clone();
        let over = transition.terminated || transition.truncated;
        episode.moves.push((action, transition));
        if over {
            break;
        }
    }
    Ok(episode)
}

async fn begin(trial: &Trial<'_>, world: &World, reset: Reset) -> Result<Turn, Fault> {
    trial.call(format!("reset(task {}, seed {})", reset.task, reset.seed), world.reset(reset)).await
}

async fn step(trial: &Trial<'_>, world: &World, action: &Action) -> Result<Transition, Fault> {
    trial.call(format!("step({:?})", action.text), world.step(action.clone())).await
}

/// One of the legal actions if they are listed, else a call of a tool, or what the instructions suggest.
fn choose(trial: &Trial<'_>, spec: &EnvironmentSpec, turn: &Turn, number: u64) -> Action {
    let one_of = |actions: &[String]| actions.get(number as usize % actions.len().max(1)).map(Action::new);
    one_of(&turn.legal_actions)
        .or_else(|| one_of(&trial.options.actions))
        .or_else(|| (!turn.tools.is_empty()).then(|| Action::of_calls(vec![call(turn, number as usize)])))
        .or_else(|| one_of(&suggested(&spec.instructions, &turn.observation.text)))
        .unwrap_or_else(|| Action::new("look"))
}

/// A call of one of a turn's tools, with an argument for each property of its schema.
fn call(turn: &Turn, number: usize) -> ToolCall {
    let tool = &turn.tools[number % turn.tools.len()];
    let words = suggested("", &turn.observation.text);
    let value = |schema: &Value| match (schema["enum"].as_array(), schema["type"].as_str()) {
        (Some(values), _) if !values.is_empty() => values[number % values.len()].clone(),
        (_, Some("integer" | "number")) => (number % 3).into(),
        (_, Some("boolean")) => (number % 2 == 0).into(),
        (_, Some("array")) => Value::Array(Vec::new()),
        (_, Some("object")) => Value::Object(Map::new()),
        _ => words.get(number % words.len().max(1)).map_or("look", String::as_str).into(),
    };
    let properties = tool.parameters["properties"].as_object().into_iter().flatten();
    let arguments = properties.map(|(name, schema)| (name.clone(), value(schema))).collect::<Map<_, _>>();
    ToolCall { id: format!("call_{number}"), name: tool.name.clone(), arguments: arguments.into() }
}

async fn tools(trial: &Trial<'_>, world: &World, episodes: &[Episode]) -> Verdict {
    const TRIED: usize = 8;
    for episode in &episodes[..2] {
        for at in [0, episode.moves.len() / 2] {
            let Some(turn) = episode.turns().nth(at).filter(|turn| !turn.tools.is_empty()) else { continue };
            let names: HashSet<_> =
                turn.tools.iter().map(|tool| &tool.name).filter(|name| !name.is_empty()).collect();
            ensure!(
                names.len() == turn.tools.len(),
                "its {} tools have {} names",
                turn.tools.len(),
                names.len()
            );
            for tool in &turn.tools {
                ensure!(
                    tool.parameters.is_object(),
                    "the schema of `{}` is {}; it must be an object",
                    tool.name,
                    tool.parameters
                );
            }
            for number in 0..turn.tools.len().min(TRIED) {
                let made = Action::of_calls(vec![call(turn, number)]);
                let by_call = step(trial, &replayed(trial, world, episode, at).await?, &made).await?;
                let written = Action::new(&made.text);
                let by_text = step(trial, &replayed(trial, world, episode, at).await?, &written).await?;
                let (by_call, by_text) = (format!("{by_call:?}"), format!("{by_text:?}"));
                ensure!(
                    by_call == by_text,
                    "{} as a call and as text lead apart: {}",
                    made.text,
                    parting(&by_call, &by_text)
                );
            }
            let mut wrong = vec![ToolCall { name: "no_such_tool".into(), ..call(turn, 0) }];
            let strict = |number: &usize| {
                let required = &turn.tools[*number].parameters["required"];
                required.as_array().is_some_and(|required| !required.is_empty())
            };
            wrong.extend(
                (0..turn.tools.len().min(TRIED))
                    .filter(strict)
                    .map(|number| ToolCall { arguments: Value::Object(Map::new()), ..call(turn, number) }),
            );
            for call in wrong {
                let made = Action::of_calls(vec![call]);
                for action in [Action::new(&made.text), made] {
                    let answer = step(trial, &replayed(trial, world, episode, at).await?, &action).await?;
                    ensure!(answer.illegal, "step({:?}) is not refused: `illegal` is false", action.text);
                }
            }
        }
    }
    Ok(())
}

/// Forms such as `search[...]` in the instructions, each filled with words of the observation, and the words alone.
fn suggested(instructions: &str, observation: &str) -> Vec<String> {
    let letters = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let forms = instructions.split_whitespace().filter_map(|word| word.split_once('[')).map(|(form, _)| form);
    let mut words =
        observation.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 3).collect::<Vec<_>>();
    words.truncate(40);
    let mut actions: Vec<String> = forms
        .filter(|form| letters(form))
        .flat_map(|form| words.chunks(4).map(move |words| format!("{form}[{}]", words.join(" "))))
        .collect();
    actions.extend(words.iter().map(|word| (*word).to_owned()));
    actions
}

async fn spec_holds(trial: &Trial<'_>, world: &World, spec: &EnvironmentSpec) -> Verdict {
    let names: HashSet<_> =
        spec.seats.iter().map(|seat| seat.name.trim()).filter(|name| !name.is_empty()).collect();
    ensure!(!names.is_empty(), "no seat has a name");
    ensure!(
        names.len() == spec.seats.len(),
        "{} seats have {} distinct names",
        spec.seats.len(),
        names.len()
    );
    ensure!(spec.tasks != Some(0), "it has no tasks");
    ensure!(!spec.name.trim().is_empty(), "it has no name");
    ensure!(spec.max_steps != Some(0), "`max_steps` is 0: no episode could have a step");
    let inner = trial.call("spawn", world.spawn()).await?;
    ensure!(trial.call("spec", inner.spec()).await? == *spec, "a spawned world has a different spec");
    let first = begin(trial, &inner, Reset { task: 0, seed: trial.options.seed }).await?;
    let _ = trial.attempt(inner.step(choose(trial, spec, &first, 0))).await;
    ensure!(trial.call("spec", inner.spec()).await? == *spec, "the spec changes during an episode");
    ensure!(trial.call("spec", world.spec()).await? == *spec, "the component's spec changes");
    Ok(())
}

async fn legal_actions(trial: &Trial<'_>, world: &World, episodes: &[Episode]) -> Verdict {
    const TRIED: usize = 30;
    refusals(episodes, true)?;
    let mut any = false;
    for turn in episodes.iter().flat_map(Episode::turns) {
        let listed: HashSet<_> = turn.legal_actions.iter().collect();
        any |= !listed.is_empty();
        ensure!(
            listed.len() == turn.legal_actions.len(),
            "an action is listed twice: {:?}",
            turn.legal_actions
        );
    }
    if !any {
        skip!("it lists no legal actions");
    }
    for episode in &episodes[..2] {
        for at in [0, episode.moves.len() / 2] {
            let Some(turn) = episode.turns().nth(at) else { continue };
            for action in turn.legal_actions.iter().take(TRIED) {
                let inner = replayed(trial, world, episode, at).await?;
                if let Err(failure) = trial.attempt(inner.step(Action::new(action))).await {
                    ensure!(false, "step({action:?}), which is listed as legal, {failure}");
                }
            }
        }
    }
    Ok(())
}

/// Every action was answered, of those listed as legal or of the others.
fn refusals(episodes: &[Episode], listed: bool) -> Verdict {
    let refusals = episodes.iter().filter_map(|episode| episode.refused.as_ref());
    match refusals.filter(|refusal| refusal.0 == listed).map(|refusal| &refusal.1).next() {
        Some(refusal) => Err(Fault::Broken(refusal.clone())),
        None => Ok(()),
    }
}

/// A fresh world after the first `at` moves of an episode.
async fn replayed(trial: &Trial<'_>, world: &World, episode: &Episode, at: usize) -> Result<World, Fault> {
    let inner = trial.call("spawn", world.spawn()).await?;
    begin(trial, &inner, episode.reset).await?;
    for action in episode.actions().take(at) {
        step(trial, &inner, action).await?;
    }
    Ok(inner)
}

async fn illegal_actions(
    trial: &Trial<'_>,
    world: &World,
    spec: &EnvironmentSpec,
    episodes: &[Episode],
) -> Verdict {
    refusals(episodes, false)?;
    let inner = trial.call("spawn", world.spawn()).await?;
    let reset = Reset { task: 0, seed: trial.options.seed };
    let long = "x".repeat(100_000);
    for (number, nonsense) in NONSENSE.into_iter().chain([long.as_str()]).enumerate() {
        begin(trial, &inner, reset).await?;
        let shown: String = nonsense.chars().take(60).collect();
        let answer = match trial.attempt(inner.step(Action::new(nonsense))).await {
            Ok(answer) => answer,
            Err(failure) => return Err(Fault::Broken(format!("step({shown:?}) {failure}"))),
        };
        if answer.terminated || answer.truncated {
            continue;
        }
        let action = choose(trial, spec, &answer.turn, number as u64);
        if let Err(failure) = trial.attempt(inner.step(action.clone())).await {
            ensure!(false, "after step({shown:?}), step({:?}) {failure}", action.text);
        }
    }
    Ok(())
}

async fn end(trial: &Trial<'_>, world: &World, spec: &EnvironmentSpec, episodes: &[Episode]) -> Verdict {
    /// Steps after which a world without a limit should have ended.
    const PATIENCE: usize = 2000;
    for episode in episodes {
        for (index, (action, transition)) in episode.moves.iter().enumerate() {
            if let Some(metrics) = transition.info.get("metrics") {
                let numbers = BTreeMap::<String, f64>::deserialize(metrics);
                ensure!(
                    numbers.is_ok(),
                    "task {}, step {index}: `info.metrics` is {metrics}",
                    episode.reset.task
                );
            }
            let both = transition.terminated && transition.truncated;
            ensure!(
                !both,
                "task {}, step {index}, {:?}: both terminated and truncated",
                episode.reset.task,
                action.text
            );
        }
    }
    let over = |transition: &Transition| transition.terminated || transition.truncated;
    let ended = |episode: &Episode| {
        episode.refused.is_some() || episode.moves.last().is_some_and(|(_, transition)| over(transition))
    };
    if spec.max_steps.is_none() && !episodes.iter().any(ended) {
        let episode = &episodes[0];
        let inner = trial.call("spawn", world.spawn()).await?;
        let mut turn = begin(trial, &inner, episode.reset).await?;
        let mut steps = 0;
        loop {
            let action = choose(trial, spec, &turn, draw((episode.reset.task, episode.reset.seed, steps)));
            let transition = step(trial, &inner, &action).await?;
            steps += 1;
            if over(&transition) {
                break;
            }
            ensure!(
                steps < PATIENCE,
                "task {}: no end after {steps} steps, and the spec has no `max_steps`",
                episode.reset.task
            );
            turn = transition.turn;
        }
    }
    Ok(())
}

async fn rewards(episodes: &[Episode], spec: &EnvironmentSpec) -> Verdict {
    for (action, Transition { rewards, .. }) in episodes.iter().flat_map(|episode| &episode.moves) {
        let (text, seats) = (&action.text, spec.seats.len());
        ensure!(rewards.len() == seats, "step({text:?}) gives {} rewards for {seats} seats", rewards.len());
        ensure!(
            rewards.iter().all(|reward| reward.is_finite()),
            "step({text:?}) gives the rewards {rewards:?}"
        );
    }
    Ok(())
}

async fn seat(episodes: &[Episode], spec: &EnvironmentSpec) -> Verdict {
    for turn in episodes.iter().flat_map(Episode::turns) {
        let (seat, seats) = (turn.seat, spec.seats.len());
        ensure!(seat < seats, "seat {seat} is to act, but there are {seats} seats, counted from 0");
    }
    Ok(())
}

/// Plays the actions of an episode again, in `world`, and compares.
async fn again(trial: &Trial<'_>, world: &World, episode: &Episode, where_: &str) -> Verdict {
    let first = begin(trial, world, episode.reset).await?;
    compare(episode, 0, &format!("{first:?}"), where_)?;
    for (index, action) in episode.actions().enumerate() {
        let answer = step(trial, world, action).await?;
        compare(episode, index + 1, &format!("{answer:?}"), where_)?;
    }
    Ok(())
}

/// Whether the episode is the same after `at` actions. Compared as text, so that NaN equals NaN.
fn compare(episode: &Episode, at: usize, now: &str, where_: &str) -> Verdict {
    let Reset { task, seed } = episode.reset;
    let before = match at.checked_sub(1) {
        None => format!("{:?}", episode.first),
        Some(index) => format!("{:?}", episode.moves[index].1),
    };
    ensure!(
        before == now,
        "task {task}, seed {seed}, after {at} actions, {where_}: {}",
        parting(&before, now)
    );
    Ok(())
}

async fn same_seed(trial: &Trial<'_>, world: &World, episodes: &[Episode]) -> Verdict {
    let twin = trial.another::<dyn Environment>().await?;
    for episode in episodes {
        let inner = trial.call("spawn", world.spawn()).await?;
        again(trial, &inner, episode, "in another spawned world").await?;
        let inner = trial.call("spawn", twin.spawn()).await?;
        again(trial, &inner, episode, "in a second component").await?;
    }
    Ok(())
}

async fn reset(trial: &Trial<'_>, world: &World, episodes: &[Episode]) -> Verdict {
    let inner = trial.call("spawn", world.spawn()).await?;
    // Forwards and backwards, so that each comes after another whole episode, and after one cut short.
    for episode in episodes.iter().chain(episodes.iter().rev()) {
        again(trial, &inner, episode, "in a used world").await?;
        begin(trial, &inner, episodes[0].reset).await?;
    }
    Ok(())
}

async fn spawn(trial: &Trial<'_>, world: &World, episodes: &[Episode]) -> Verdict {
    let mut worlds = vec![(world.clone(), &episodes[0])];
    for episode in episodes {
        worlds.push((trial.call("spawn", world.spawn()).await?, episode));
    }
    let beside = "while other worlds are in use";
    for (inner, episode) in &worlds {
        let first = begin(trial, inner, episode.reset).await?;
        compare(episode, 0, &format!("{first:?}"), beside)?;
    }
    for index in 0..LENGTH {
        for (inner, episode) in &worlds {
            if let Some((action, _)) = episode.moves.get(index) {
                let answer = step(trial, inner, action).await?;
                compare(episode, index + 1, &format!("{answer:?}"), beside)?;
            }
        }
    }
    Ok(())
}

async fn fork_told(
    trial: &Trial<'_>,
    world: &World,
    spec: &EnvironmentSpec,
    episodes: &[Episode],
) -> Verdict {
    for at in [0, episodes[0].moves.len() / 2] {
        let inner = replayed(trial, world, &episodes[0], at).await?;
        let forked = trial.call("fork", inner.fork()).await?.is_some();
        ensure!(
            forked == spec.fork,
            "the spec says `fork = {}`, but whether `fork` returns a copy is {forked}",
            spec.fork
        );
    }
    Ok(())
}

async fn fork(trial: &Trial<'_>, world: &World, spec: &EnvironmentSpec, episodes: &[Episode]) -> Verdict {
    if !spec.fork {
        skip!("its spec has `fork = false`");
    }
    for episode in episodes {
        for at in [0, episode.moves.len() / 2] {
            let inner = replayed(trial, world, episode, at).await?;
            let copy = async || match trial.call("fork", inner.fork()).await? {
                Some(copy) => Ok(copy),
                None => Err(Fault::Broken(format!("after {at} actions `fork` returns no copy"))),
            };
            let (straight, astray) = (copy().await?, copy().await?);
            // One copy takes other actions first: if anything were shared, the others would show it.
            let turn = episode.turns().nth(at).unwrap_or(&episode.first);
            for number in 0..3 {
                let answer = step(trial, &astray, &choose(trial, spec, turn, number)).await?;
                if answer.terminated || answer.truncated {
                    break;
                }
            }
            for (goer, who) in [(&straight, "in a fork"), (&inner, "in a world after `fork`")] {
                for (index, action) in episode.actions().enumerate().skip(at) {
                    let answer = step(trial, goer, action).await?;
                    compare(episode, index + 1, &format!("{answer:?}"), who)?;
                }
            }
        }
    }
    Ok(())
}

async fn imagine(trial: &Trial<'_>, world: &World, spec: &EnvironmentSpec, episodes: &[Episode]) -> Verdict {
    for episode in episodes {
        for at in [0, episode.moves.len() / 2] {
            let inner = replayed(trial, world, episode, at).await?;
            let turn = episode.turns().nth(at).unwrap_or(&episode.first);
            let seat = turn.seat;
            let copy = async || {
                let imagine = Imagine { seat, seed: trial.options.seed, hidden: Value::Null };
                trial.call("imagine", inner.imagine(imagine)).await
            };
            let (Some(first), Some(second)) = (copy().await?, copy().await?) else {
                // Planners get plain copies of a world with one seat.
                if spec.seats.len() == 1 {
                    return Ok(());
                }
                skip!("it has no `imagine`, so planners get no copies");
            };
            // A nonsensical action makes the world show the seat its view again.
            let nonsense = Action::new("no such action");
            let twin = replayed(trial, world, episode, at).await?;
            let seen = step(trial, &twin, &nonsense).await?;
            let imagined = step(trial, &first, &nonsense).await?;
            if seen.turn.seat == seat && imagined.turn.seat == seat {
                let (seen, imagined) = (format!("{:?}", seen.turn), format!("{:?}", imagined.turn));
                ensure!(
                    seen == imagined,
                    "after {at} actions seat {seat} sees something else: {}",
                    parting(&seen, &imagined)
                );
            }
            let answer = format!("{:?}", step(trial, &second, &nonsense).await?);
            let before = format!("{imagined:?}");
            ensure!(
                answer == before,
                "the same seed gives two different worlds: {}",
                parting(&before, &answer)
            );
            let hidden = Value::from("no such thing");
            let senseless = Imagine { seat, seed: trial.options.seed, hidden };
            let answer = trial.attempt(inner.imagine(senseless)).await;
            ensure!(matches!(answer, Err(Failure::Error(_))), "`hidden = \"no such thing\"` is not an error");
            for number in 0..3 {
                let answer = step(trial, &first, &choose(trial, spec, turn, number)).await?;
                if answer.terminated || answer.truncated {
                    break;
                }
            }
            for (index, action) in episode.actions().enumerate().skip(at) {
                let answer = step(trial, &inner, action).await?;
                compare(episode, index + 1, &format!("{answer:?}"), "in a world after `imagine`")?;
            }
        }
    }
    Ok(())
}

/// The common rules repeat whole episodes.
async fn work(
    trial: &Trial<'_>,
    world: World,
    spec: &EnvironmentSpec,
    episodes: Arc<[Episode]>,
) -> Option<Work> {
    let steps = episodes.iter().map(|episode| episode.moves.len().max(1)).sum::<usize>() / episodes.len();
    let long_lived = trial.gather(trial.call("spawn", world.spawn())).await?;
    let (others, fork) = (episodes.clone(), spec.fork);
    let apart = move |n: u64| {
        let (world, episodes) = (world.clone(), others.clone());
        async move { walk(&world.spawn().await?, &episodes[n as usize % episodes.len()], fork).await }
    };
    let kept = move |n: u64| {
        let (world, episodes) = (long_lived.clone(), episodes.clone());
        async move { walk(&world, &episodes[n as usize % episodes.len()], fork).await }
    };
    Some(Work { kept: Work::new(kept).kept, steps: steps as u64, ..Work::new(apart) })
}

async fn walk(world: &World, episode: &Episode, fork: bool) -> Answer<String> {
    let mut words = format!("{:?}", world.reset(episode.reset).await?);
    for action in episode.actions() {
        if fork {
            world.fork().await?;
        }
        words += &format!("\n{:?}", world.step(action.clone()).await?);
    }
    Ok(words)
}
