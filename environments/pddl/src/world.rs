//! Episodes: a problem, played action by action; or translated at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use forethought_sdk::{
    api::{
        environment::CallRule,
        llm::{Tool, ToolCall},
        tools,
    },
    prelude::*,
    serde_json::{Map, Value, json},
};
use forethought_strips::{
    Call, State, Task, equal,
    search::{Heuristic, Limits, Order, solve},
    words::Words,
};

use crate::{
    config::{ActionForm, PddlConfig, RewardForm, TaskForm},
    tasks::Tasks,
    text::{self, DONE, REFUSED},
};

/// The most actions that are listed as legal.
const LISTED: usize = 2000;

/// A world of problems in PDDL and, after a reset, an episode in one of them.
pub struct Pddl {
    shared: Arc<Shared>,
    episode: Mutex<Option<Episode>>,
}

/// What all episodes share.
struct Shared {
    config: PddlConfig,
    tasks: Tasks,
    words: Words,
}

/// An episode in play.
#[derive(Clone)]
struct Episode {
    task: Arc<Task>,
    index: u64,
    tools: Vec<Tool>,
    state: State,
    actions: u32,
    refused: u32,
    over: bool,
}

impl Pddl {
    /// A world with these settings.
    ///
    /// # Errors
    /// Settings that contradict each other, a file that cannot be read, or a template that does not fit its predicate.
    pub fn new(config: PddlConfig) -> Result<Self> {
        let tasks = Tasks::new(&config)?;
        let mut words = Words::of(&tasks.domain);
        for (predicate, template) in &config.words {
            let set = words.set(&tasks.domain, predicate, template);
            set.map_err(|why| Error::config(format!("words.{predicate}: {why}")))?;
        }
        // What is wrong with a problem is said before the first episode.
        tasks.task(0)?;
        Ok(Self { shared: Arc::new(Shared { config, tasks, words }), episode: Mutex::default() })
    }

    /// A panic elsewhere cannot leave an episode half changed: a state is replaced as a whole.
    fn episode(&self) -> MutexGuard<'_, Option<Episode>> {
        self.episode.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn observe(&self, episode: &Episode, first: bool, lead: &str) -> String {
        text::observation(&self.config, &episode.task, &self.words, &episode.state, first, lead)
    }

    fn turn(&self, episode: &Episode, observation: String, refused: Option<&str>) -> Turn {
        let mut turn = Turn { observation: Observation::text(observation), ..Turn::default() };
        if let Some(why) = refused {
            turn.observation.data = json!({ "refused": why });
        }
        if episode.over || self.config.task == TaskForm::Translate {
            return turn;
        }
        let possible = episode.task.possible(&episode.state, LISTED).unwrap_or_default();
        turn.legal_actions =
            possible.iter().map(|bound| self.written(&episode.task, &episode.task.call(bound))).collect();
        if self.config.actions == ActionForm::Tools {
            turn.tools.clone_from(&episode.tools);
            turn.call_rule = CallRule { required: true, single: true };
        }
        turn
    }

    /// An action in the form in which it is taken.
    fn written(&self, task: &Task, call: &Call) -> String {
        if self.config.actions == ActionForm::Text {
            return call.words();
        }
        let parameters =
            task.domain.action_named(&call.name).into_iter().flat_map(|action| &action.parameters);
        let pairs = parameters
            .zip(&call.arguments)
            .map(|(one, name)| (one.name[1..].to_owned(), name.clone().into()));
        let arguments: Map<String, Value> = pairs.collect();
        tools::write(&[ToolCall {
            name: call.name.clone(),
            arguments: arguments.into(),
            ..ToolCall::default()
        }])
    }

    /// The action that a text or call means.
    ///
    /// # Errors
    /// Why it is no action, as a sentence.
    fn read(&self, episode: &Episode, action: &Action) -> Result<Call, String> {
        if self.config.actions == ActionForm::Text {
            let text = action.text.trim().trim_end_matches('.').trim_matches('`');
            return Call::read(text).ok_or_else(|| "This is not an action.".into());
        }
        let turn = Turn {
            tools: episode.tools.clone(),
            call_rule: CallRule { required: true, single: true },
            ..Turn::default()
        };
        let sentence = |why: String| format!("{why}.");
        // The name and objects as words are as clear as a call.
        let words = Call::read(&action.text)
            .filter(|call| action.calls.is_empty() && episode.task.bind(call).is_ok());
        if let Some(call) = words {
            return Ok(call);
        }
        let calls = action.calls(&turn).map_err(sentence)?;
        let ToolCall { name, arguments, .. } = calls.first().ok_or("An action is a call of a tool.")?;
        let action = episode.task.domain.action_named(name);
        let parameters = action.into_iter().flat_map(|action| &action.parameters);
        let object = |one: &forethought_strips::domain::Typed| match &arguments[&one.name[1..]] {
            Value::String(name) => name.trim().to_lowercase(),
            other => other.to_string(),
        };
        Ok(Call { name: name.clone(), arguments: parameters.map(object).collect() })
    }

    /// Scores a translation.
    fn translated(&self, episode: &mut Episode, action: &Action) -> Transition {
        episode.over = true;
        let score = equal::score(&self.tasks.domain, &episode.task.problem, &action.text, Limits::default());
        let said = match &score.fault {
            Some(fault) => format!("The translation cannot be read: {fault}."),
            None => "The translation was scored.".into(),
        };
        Transition {
            turn: self.turn(episode, said, None),
            rewards: vec![if score.equivalent { 1.0 } else { 0.0 }],
            terminated: true,
            success: Some(score.equivalent),
            illegal: score.fault.is_some(),
            info: json!({ "metrics": score.metrics() }),
            ..Transition::default()
        }
    }

    fn step(&self, episode: &mut Episode, action: &Action) -> Transition {
        episode.actions += 1;
        let task = episode.task.clone();
        let bound = self.read(episode, action).and_then(|call| Ok((task.bind(&call)?, call)));
        let done = bound.and_then(|(bound, call)| match &task.unmet(&episode.state, &bound)[..] {
            [] => Ok((bound, call)),
            unmet => Err(self.words.refusal(&task, &call, unmet)),
        });
        let (lead, refused) = match done {
            Ok((bound, call)) => {
                task.apply(&mut episode.state, &bound);
                (format!("{DONE}{}.", call.words()), None)
            }
            Err(why) => {
                episode.refused += 1;
                (format!("{REFUSED}{why}"), Some(why))
            }
        };
        let missing = task.missing(&episode.state).len();
        let limit = self.config.max_steps;
        let success = missing == 0;
        // Where nothing is possible any more there is no future.
        let stuck =
            !success && task.possible(&episode.state, LISTED).is_some_and(|possible| possible.is_empty());
        let truncated = !success && !stuck && limit > 0 && episode.actions >= limit;
        episode.over = success || stuck || truncated;
        let observation = self.observe(episode, false, &lead);
        let mut transition = Transition {
            turn: self.turn(episode, observation, refused.as_deref()),
            rewards: vec![0.0],
            terminated: success || stuck,
            truncated,
            illegal: refused.is_some(),
            ..Transition::default()
        };
        if episode.over {
            let share = match task.goal.len() {
                0 => 1.0,
                all => (all - missing) as f64 / all as f64,
            };
            let reward = match self.config.reward {
                RewardForm::Goal if success => 1.0,
                RewardForm::Goal => 0.0,
                RewardForm::Share => share,
            };
            transition.rewards = vec![reward];
            transition.success = Some(success);
            transition.info = json!({ "metrics": self.metrics(episode, success, share) });
        }
        transition
    }

    fn metrics(&self, episode: &Episode, success: bool, share: f64) -> Value {
        let mut metrics = json!({ "goals": share, "refused": episode.refused });
        // By size, so that a run over several sizes has a column for each.
        if let Some(size) = self.tasks.size(episode.index) {
            metrics[format!("success_{size}")] = if success { 1.0 } else { 0.0 }.into();
        }
        if success && self.config.optimum > 0 {
            let limits = Limits { nodes: self.config.optimum as usize, ..Limits::default() };
            if let Ok(found) = solve(&episode.task, Order::Astar, Heuristic::LmCut, limits) {
                metrics["optimum"] = found.plan.len().into();
                metrics["extra"] = (f64::from(episode.actions) - found.plan.len() as f64).into();
            }
        }
        metrics
    }
}

#[async_trait]
impl Environment for Pddl {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let Shared { config, tasks, words } = &*self.shared;
        let max_steps = match config.task {
            TaskForm::Translate => Some(1),
            TaskForm::Solve => (config.max_steps > 0).then_some(config.max_steps),
        };
        Ok(EnvironmentSpec {
            name: "pddl".into(),
            version: "1".into(),
            seats: vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }],
            tasks: Some(tasks.count()),
            instructions: text::instructions(config, &tasks.domain, words),
            fork: true,
            recovery: Recovery::Replay,
            max_steps,
            ..EnvironmentSpec::default()
        })
    }

    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self { shared: self.shared.clone(), episode: Mutex::default() }))
    }

    async fn reset(&self, reset: Reset) -> Result<Turn> {
        let task = Arc::new(self.shared.tasks.task(reset.task)?);
        let tools = match self.shared.config.actions {
            ActionForm::Text => Vec::new(),
            ActionForm::Tools => text::tools(&task, &self.shared.words),
        };
        let (state, index) = (task.init.clone(), reset.task);
        let episode = Episode { task, index, tools, state, actions: 0, refused: 0, over: false };
        let turn = self.shared.turn(&episode, self.shared.observe(&episode, true, ""), None);
        *self.episode() = Some(episode);
        Ok(turn)
    }

    async fn step(&self, action: Action) -> Result<Transition> {
        let mut guard = self.episode();
        let Some(episode) = guard.as_mut().filter(|episode| !episode.over) else {
            return Err(Error::input("no episode is in play: call `reset` first"));
        };
        Ok(match self.shared.config.task {
            TaskForm::Translate => self.shared.translated(episode, &action),
            TaskForm::Solve => self.shared.step(episode, &action),
        })
    }

    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        let copy = self.episode().clone();
        Ok(Some(Arc::new(Self { shared: self.shared.clone(), episode: Mutex::new(copy) })))
    }
}

register! {
    interface: dyn Environment, kind: "pddl",
    summary: "planning problems in PDDL, generated (blocksworld, logistics, gripper, sokoban) or from files",
    config: PddlConfig,
    new: |config, _host| async move { Ok(Arc::new(Pddl::new(config)?) as _) },
}
