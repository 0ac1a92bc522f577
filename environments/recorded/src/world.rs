//! Episodes: what was seen, in the order in which it was seen.

use forethought_sdk::{
    prelude::*,
    serde_json::{Value, json},
};
use tokio::sync::Mutex;

use crate::{
    config::RecordedConfig,
    data::{self, Line},
    repeat::Recording,
    score::Scorer,
};

/// The world of recorded episodes: a task is a trajectory.
pub struct Recorded {
    shared: Arc<Shared>,
    /// The task, and the steps that were taken.
    place: Mutex<Option<(usize, usize)>>,
}

struct Shared {
    lines: Vec<Line>,
    instructions: String,
    scorer: Scorer,
}

impl Recorded {
    /// A world with these settings. `host` has the judge.
    ///
    /// # Errors
    /// Settings that contradict each other, or a file that cannot be read.
    pub async fn new(config: RecordedConfig, host: Arc<dyn Host>) -> Result<Self> {
        let lines = data::read(&config)?;
        let scorer = Scorer::new(&config.reward, &*host).await?;
        let first = &lines[0].trajectory.instructions;
        let same = lines.iter().all(|line| line.trajectory.instructions == *first);
        let instructions = match config.instructions.as_str() {
            "" if same => first.clone(),
            instructions => instructions.to_owned(),
        };
        Ok(Self { shared: Arc::new(Shared { lines, instructions, scorer }), place: Mutex::default() })
    }
}

impl Shared {
    fn turn(&self, task: usize, step: usize) -> Turn {
        let trajectory = &self.lines[task].trajectory;
        let Step { observation, .. } = &trajectory.steps[step];
        let before = step.checked_sub(1).map(|before| &trajectory.steps[before]);
        let recording = Recording::of(&trajectory.steps[step], before);
        Turn {
            observation: Observation { text: observation.clone(), data: recording.written() },
            tools: trajectory.tools.clone(),
            ..Turn::default()
        }
    }

    /// What was seen at the end. Not every format records it.
    fn last(&self, task: usize) -> Turn {
        let trajectory = &self.lines[task].trajectory;
        let last =
            trajectory.steps.last().map(|last| last.next_state.as_str()).filter(|text| !text.is_empty());
        let seen = trajectory.info.get("after").and_then(Value::as_str).or(last);
        let end =
            if truncated(trajectory) { "The episode was cut off here." } else { "The episode ended here." };
        Turn { observation: Observation::text(seen.unwrap_or(end)), ..Turn::default() }
    }
}

/// Whether the episode was cut off: what has no end of its own was.
fn truncated(trajectory: &Trajectory) -> bool {
    !trajectory.steps.last().is_some_and(|last| last.terminated)
}

#[async_trait]
impl Environment for Recorded {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(EnvironmentSpec {
            name: "recorded".into(),
            version: "1".into(),
            seats: vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }],
            tasks: Some(self.shared.lines.len() as u64),
            instructions: self.shared.instructions.clone(),
            // A judge or script need not say the same again.
            recovery: if self.shared.scorer.varies() { Recovery::Restart } else { Recovery::Replay },
            ..EnvironmentSpec::default()
        })
    }

    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self { shared: self.shared.clone(), place: Mutex::default() }))
    }

    async fn reset(&self, reset: Reset) -> Result<Turn> {
        let lines = &self.shared.lines;
        let task = usize::try_from(reset.task).ok().filter(|task| *task < lines.len()).ok_or_else(|| {
            Error::input(format!("there is no task {}: there are {} trajectories", reset.task, lines.len()))
        })?;
        *self.place.lock().await = Some((task, 0));
        Ok(self.shared.turn(task, 0))
    }

    async fn step(&self, action: Action) -> Result<Transition> {
        let mut place = self.place.lock().await;
        let Some((task, step)) = *place else {
            return Err(Error::input("no episode is in play: call `reset` first"));
        };
        let line = &self.shared.lines[task];
        let recorded = &line.trajectory.steps[step];
        if action.text != recorded.action {
            return Err(Error::input(format!(
                "{}: `{}` was done here, and nothing else can be: use a planner of kind `recorded`",
                line.place, recorded.action
            )));
        }
        if step + 1 < line.trajectory.steps.len() {
            *place = Some((task, step + 1));
            let rewards = match self.shared.scorer {
                Scorer::Recorded => recorded.reward,
                _ => 0.0,
            };
            let turn = self.shared.turn(task, step + 1);
            return Ok(Transition { turn, rewards: vec![rewards], ..Transition::default() });
        }
        let score = self.shared.scorer.score(line).await?;
        *place = None;
        let truncated = truncated(&line.trajectory);
        Ok(Transition {
            turn: self.shared.last(task),
            rewards: vec![score.map_or(recorded.reward, |score| score.reward)],
            terminated: !truncated,
            truncated,
            success: score.and_then(|score| score.success),
            info: json!({ "trajectory": self.shared.origin(task) }),
            ..Transition::default()
        })
    }
}

impl Shared {
    /// What the new trajectory says of the one that it repeats.
    fn origin(&self, task: usize) -> Value {
        let Trajectory { episode, environment, task, seed, seat, source, info, .. } =
            &self.lines[task].trajectory;
        let mut all = info.clone();
        let origin = json!({
            "episode": episode, "environment": environment, "task": task, "seed": seed, "seat": seat, "source": source,
        });
        all.insert("recorded".into(), origin);
        if let Some(judge) = self.scorer.judge() {
            all.insert("judged_by".into(), judge.into());
        }
        all.into()
    }
}

register! {
    interface: dyn Environment, kind: "recorded", summary: "recorded episodes once more, such as imported ones",
    config: RecordedConfig,
    new: |config, host| async move { Ok(Arc::new(Recorded::new(config, host).await?) as _) },
}
