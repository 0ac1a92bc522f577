//! Reflexion (Shinn et al., 2023, arXiv 2303.11366) over any planner: it plays whole trials in copies of the world,
//! says after each failure what to do differently, and then acts with these reflections in its instructions.
//!
//! ```text
//! at the first decision of an episode:
//!     repeat at most K - 1 times:
//!         play a trial with `inner` in a copy of the world    the actor, and the world as evaluator
//!         stop if it solved the task
//!         reflection <- LLM: why it failed, what to do next time
//!         reflections <- the last `memory` of them
//! at every decision:
//!     action <- `inner`, with the reflections in its instructions
//! ```
//!
//! A trial that solves the task is not repeated move by move: the episode is the next trial. The first decision's
//! thought ends with the reflections, below the line [`MARKER`], and later decisions read them there.

use std::collections::BTreeMap;

use forethought_sdk::{
    answers::Unread,
    prelude::*,
    serde_json::{Value, json},
};

use crate::{
    allowance::affordable,
    ask::{AskConfig, Label::One, Said},
    inner::Inner,
    prompts::{Prompts, prompt_files},
};

/// The line of a thought, and of the instructions, below which each line is `- ` and a reflection.
pub const MARKER: &str = "Reflections on earlier attempts at this task:";

/// Most decisions in a trial where neither the settings nor the environment have a limit.
const STEPS: u32 = 50;

/// Settings of Reflexion.
#[config]
#[derive(Debug, Clone)]
pub struct ReflexionConfig {
    /// The planner that acts, in the trials and in the episode.
    pub inner: PlannerName,
    /// Trials (K), of which the last one is the episode itself.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 1000))]
    pub trials: usize,
    /// Reflections that are remembered (the last ones).
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 1000))]
    pub memory: usize,
    /// Most decisions in a trial. By default the environment's own limit, or 50.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_steps: Option<u32>,
    /// The sum of rewards from which a trial has solved the task, where the environment does not say whether it has.
    #[serde(default = "one")]
    pub solved: f64,
    /// How the model that reflects is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: ReflexionPrompts,
}

prompt_files! {
    /// Files that replace Reflexion's prompt templates.
    ReflexionPrompts: agent, history, reflexion
}

fn three() -> usize {
    3
}

fn one() -> f64 {
    1.0
}

/// The Reflexion planner: at the first decision up to K - 1 episodes and as many reflections, then what `inner` costs.
pub struct Reflexion {
    inner: Inner,
    config: ReflexionConfig,
    prompts: Prompts,
}

impl Reflexion {
    /// A planner over `inner` with these settings.
    ///
    /// # Errors
    /// No trial, no memory, or a template that cannot be used.
    pub fn over(inner: Inner, config: ReflexionConfig) -> Result<Self> {
        for (key, number) in [("trials", config.trials), ("memory", config.memory)] {
            if number == 0 {
                return Err(Error::config(format!("{key} = 0: must be at least 1")));
            }
        }
        if config.max_steps == Some(0) {
            return Err(Error::config("max_steps = 0: a trial needs at least 1 decision"));
        }
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, inner, config })
    }

    /// A trial in a copy of the world: its history and last turn, and whether it solved the task. It ends early where the
    /// decision's budget leaves no more than a reflection and one decision (`most`: the calls of the largest so far).
    async fn play(
        &self,
        context: &DecisionContext,
        models: &Arc<dyn Models>,
        trial: usize,
        most: &mut u64,
        trace: &mut Trace,
    ) -> Result<(DecisionContext, bool)> {
        let world = models.fork().await?.ok_or_else(|| {
            let name = &context.environment.name;
            Error::config(format!("`{name}` cannot be copied, which planner.reflexion needs for its trials"))
        })?;
        // Half of what is left: the rest is for the decision that counts.
        let within = Within { models: models.clone(), world: world.clone(), seat: 0, parts: 2 };
        let within = Arc::new(within) as Arc<dyn Models>;
        let steps = self.config.max_steps.or(context.environment.max_steps).unwrap_or(STEPS);
        let (mut now, mut rewards) = (context.clone(), 0.0);
        loop {
            now.seed = seed::derive(context.seed, &format!("trial {trial} step {}", now.step));
            let before = models.allowance().await?.calls;
            let decision = self.inner.decide(now.clone(), &within).await?;
            let left = models.allowance().await?.calls;
            *most = before.zip(left).map_or(*most, |(before, left)| (*most).max(before.saturating_sub(left)));
            let after = world.step(decision.action.clone()).await?;
            let seen = std::mem::replace(&mut now.turn, after.turn).observation.text;
            let (thought, action) = (decision.thought.clone(), decision.action.text.clone());
            now.history.push(Exchange { observation: seen, thought, action });
            now.step += 1;
            now.ended = after.terminated;
            rewards += after.rewards.get(context.seat).unwrap_or(&0.0);
            self.inner.note(trace, Ok(decision), false);
            let over = after.terminated || after.truncated || now.history.len() as u32 >= steps;
            if over || !affordable(models, 2 * *most + 3).await? {
                return Ok((now, after.success.unwrap_or(rewards >= self.config.solved)));
            }
        }
    }

    /// Why a trial failed; `None` if that cannot be read.
    async fn reflect(
        &self,
        failed: &DecisionContext,
        models: &Arc<dyn Models>,
        unread: &mut Unread,
    ) -> Result<Option<String>> {
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut asker = self.config.ask.asker(llm, seed::derive(failed.seed, "reflect"));
        let messages = self.prompts.messages("reflexion", failed, json!({}))?;
        let read = |said: &Said<'_>| said.text("Reflection");
        let said = asker.ask_for(&[One("Reflection")], Purpose::Reflect, messages, read).await?;
        unread.append(asker.unread);
        // One line each, so that they can be read back.
        let said = said.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(said.ok().filter(|text| !text.is_empty()))
    }

    /// Plays trials until one solves the task: the reflections on those that did not, and what happened.
    async fn try_out(
        &self,
        context: &DecisionContext,
        models: &Arc<dyn Models>,
        trace: &mut Trace,
    ) -> Result<Vec<String>> {
        let (mut reflections, mut unread) = (Vec::new(), Unread::default());
        let mut trials: Vec<Value> = Vec::new();
        let mut most = 1;
        for trial in 1..self.config.trials {
            // Any call may be made twice: a trial's next decision, the reflection; and then one decision is made.
            if !affordable(models, 2 * most + 3).await? {
                break;
            }
            let context = instructed(context, &reflections);
            let (played, solved) = self.play(&context, models, trial, &mut most, trace).await?;
            // Whole episodes are not shown move by move; their faults are counted.
            trace.decisions.clear();
            let actions: Vec<_> = played.history.iter().map(|exchange| exchange.action.clone()).collect();
            let mut shown = json!({ "actions": actions, "solved": solved });
            if !solved && let Some(reflection) = self.reflect(&played, models, &mut unread).await? {
                shown["reflection"] = reflection.clone().into();
                reflections.push(reflection);
                let forgotten = reflections.len().saturating_sub(self.config.memory);
                reflections.drain(..forgotten);
            }
            trials.push(shown);
            if solved {
                break;
            }
        }
        if !trials.is_empty() {
            trace.details = json!({ "trials": trials });
        }
        trace.recoveries.extend(unread.recoveries);
        for (fault, count) in unread.faults {
            *trace.faults.entry(fault).or_default() += count;
        }
        Ok(reflections)
    }
}

/// The same, with reflections in the instructions of the seat.
pub(crate) fn instructed(context: &DecisionContext, reflections: &[String]) -> DecisionContext {
    let mut context = context.clone();
    if reflections.is_empty() {
        return context;
    }
    let instructions = match context.environment.seats.get_mut(context.seat) {
        Some(seat) => &mut seat.instructions,
        None => &mut context.environment.instructions,
    };
    *instructions = written(instructions, reflections);
    context
}

/// `text`, then reflections.
fn written(text: &str, reflections: &[String]) -> String {
    let between = if text.is_empty() { "" } else { "\n\n" };
    let lines: String = reflections.iter().map(|one| format!("\n- {one}")).collect();
    format!("{text}{between}{MARKER}{lines}")
}

/// A thought without its reflections, and these.
fn read(thought: &str) -> (&str, Vec<String>) {
    let Some(at) = thought.rfind(MARKER) else { return (thought, Vec::new()) };
    let lines = thought[at..].lines().filter_map(|line| line.strip_prefix("- "));
    (thought[..at].trim_end(), lines.map(str::to_owned).collect())
}

/// The models of a planner that decides in a copy of the world: copies are copies of that one.
pub(crate) struct Within {
    pub(crate) models: Arc<dyn Models>,
    pub(crate) world: Arc<dyn Environment>,
    pub(crate) seat: usize,
    /// It may use this part of what is left: 2 for half of it.
    pub(crate) parts: u64,
}

#[async_trait]
impl Models for Within {
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        self.models.llm(name).await
    }
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>> {
        self.models.critic(name).await
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        self.world.fork().await
    }
    async fn imagine(&self, hidden: Value, seed: u64) -> Result<Option<Arc<dyn Environment>>> {
        match self.world.imagine(Imagine { seat: self.seat, seed, hidden }).await? {
            None => self.world.fork().await,
            imagined => Ok(imagined),
        }
    }
    async fn summarise(&self, context: DecisionContext) -> Result<Summary> {
        self.models.summarise(context).await
    }
    async fn allowance(&self) -> Result<Allowance> {
        let Allowance { calls, tokens, usd, seconds, largest } = self.models.allowance().await?;
        let part = |left: Option<f64>| left.map(|left| left / self.parts as f64);
        let (calls, tokens) = (calls.map(|left| left / self.parts), tokens.map(|left| left / self.parts));
        Ok(Allowance { calls, tokens, usd: part(usd), seconds: part(seconds), largest })
    }
    async fn note(&self, recoveries: Vec<String>, faults: BTreeMap<String, u32>) -> Result<()> {
        self.models.note(recoveries, faults).await
    }
}

#[async_trait]
impl Planner for Reflexion {
    async fn requires(&self) -> Result<Requirements> {
        let own = Requirements { fork: true, ..self.config.ask.requires() };
        Ok(Inner::requires(&[&self.inner]).await?.and(own))
    }

    async fn decide(&self, mut context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let seats = context.environment.seats.len();
        if seats > 1 {
            return Err(Error::config(format!(
                "planner.reflexion plays whole trials, so it needs an environment with one seat; `{}` has {seats}",
                context.environment.name
            )));
        }
        let mut trace = Trace::default();
        let first = context.history.is_empty();
        let reflections = match context.history.first_mut() {
            None => self.try_out(&context, &models, &mut trace).await?,
            Some(Exchange { thought, .. }) => {
                let (own, reflections) = read(thought);
                // Its planner sees them as instructions, and its own thoughts as it thought them.
                *thought = own.to_owned();
                reflections
            }
        };
        let mut chosen = self.inner.decide(instructed(&context, &reflections), &models).await?;
        self.inner.note(&mut trace, Ok(chosen.clone()), true);
        if first && !reflections.is_empty() {
            chosen.thought = written(&chosen.thought, &reflections);
        }
        Ok(Decision { trace, ..chosen })
    }
}

register! {
    interface: dyn Planner, kind: "reflexion", summary: "a planner with reflections on failed trials in copies of the world (Reflexion)",
    config: ReflexionConfig,
    new: |config: ReflexionConfig, host: Arc<dyn Host>| async move {
        let inner = Inner::named(config.inner.clone(), &host).await?;
        Ok(Arc::new(Reflexion::over(inner, config)?) as _)
    },
}
