//! One episode, from reset to end. Everything it learns from outside comes through [`Durable::effect`], so an episode
//! is a function of its specification and the recorded answers, and of nothing else.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use forethought_api::{
    Error, Result,
    environment::{Action, EnvironmentSpec, Observation, Reset, Transition, Turn},
    error::Code,
    planner::{Decision, DecisionContext, Exchange, Planner, Summariser, Summary},
    trajectory::{Step, Trajectory},
};
use futures::FutureExt as _;
use serde_json::Value;

use crate::budget::decision::too_small;
use crate::budget::{Budget, Limits, PerDecision, Spent};
use crate::journal::effects::{Durable, Position, ResetEnvironment, StepEnvironment};
use crate::run::copies::Path;
use crate::run::critical::critical_path;
use crate::run::events::{self, Event, EventLog};
use crate::run::models::{StepModels, Tally};
use crate::run::summary::{CallCount, add_faults};
pub use crate::run::summary::{EpisodeStatus, EpisodeSummary};
use forethought_api::seed;

/// Which episode to play, and who plays it.
#[derive(Clone)]
pub struct EpisodeSpec {
    /// Identity: see [`EpisodeIdentity`](crate::run::summary::EpisodeIdentity).
    pub id: String,
    /// The environment's specification.
    pub environment: EnvironmentSpec,
    /// Task and seed.
    pub reset: Reset,
    /// Who acts, seat by seat.
    pub seats: Vec<Seat>,
    /// The seat whose score, decisions and calls are reported.
    pub subject: usize,
    /// Set to collect trajectories: summarises what happened.
    pub summariser: Option<Arc<dyn Summariser>>,
    /// The most that this episode may use.
    pub limits: Limits,
    /// The most that each of its decisions may use, by any planner.
    pub per_decision: Arc<PerDecision>,
    /// Called after every decision with the number of decisions so far.
    pub progress: Option<Arc<dyn Fn(u32) + Send + Sync>>,
    /// Called with every decision as soon as it is made, before it is summarised and acted on, and with the calls that
    /// it took.
    pub decided: Option<Decided>,
}

/// See [`EpisodeSpec::decided`].
pub type Decided = Arc<dyn Fn(&Decision, CallCount) + Send + Sync>;

/// A planner in its seat.
#[derive(Clone)]
pub struct Seat {
    /// The planner's configured name.
    pub name: String,
    /// The planner.
    pub planner: Arc<dyn Planner>,
}

/// The result of an episode.
#[derive(Debug)]
pub struct EpisodeResult {
    /// In one line.
    pub summary: EpisodeSummary,
    /// One per seat that acted, if there was a summariser and the episode is done.
    pub trajectories: Vec<Trajectory>,
    /// The event log, as JSON lines.
    pub events: Vec<u8>,
    /// Why it is not done.
    pub error: Option<Error>,
}

/// Decisions after which an episode has failed, where the environment names no `max_steps`.
const ENDLESS: u32 = 10_000;

/// Plays one episode.
///
/// A planner or world that fails makes a failed episode, not an error.
///
/// # Errors
/// A specification that cannot be played.
pub async fn run_episode<D: Durable>(durable: Arc<D>, spec: EpisodeSpec) -> Result<EpisodeResult> {
    let seats = spec.environment.seats.len();
    if seats != spec.seats.len() || spec.subject >= seats {
        return Err(Error::config(format!(
            "environment `{}` has {seats} seats, but {} planners were given, and seat {} is to be reported",
            spec.environment.name,
            spec.seats.len(),
            spec.subject
        )));
    }
    let mut runner = EpisodeRunner::new(durable, spec);
    let end = match AssertUnwindSafe(runner.play()).catch_unwind().await {
        Ok(end) => end,
        Err(panic) => Err(Error::other(format!("panicked: {}", panic_message(&*panic)))),
    };
    runner.close(end)
}

struct EpisodeRunner<D> {
    durable: Arc<D>,
    spec: EpisodeSpec,
    budget: Arc<Budget>,
    path: Arc<Mutex<Path>>,
    log: EventLog,
    step: u32,
    seats: Vec<SeatState>,
    success: Option<bool>,
    metrics: BTreeMap<String, f64>,
    tally: Tally,
    other_calls: CallCount,
    /// Of the subject, and of the other seats.
    faults: [BTreeMap<String, u32>; 2],
    /// Decisions of the subject without recorded answers, and their milliseconds.
    timed: (u32, f64),
    /// Calls and milliseconds on their critical paths.
    critical: (u64, f64),
    trajectories: Vec<Trajectory>,
}

/// The state of one seat.
#[derive(Default)]
struct SeatState {
    history: Vec<Exchange>,
    score: f64,
    /// Collected steps, whose `next_state` and `outcomes` are filled in by the seat's next summary.
    collected: Vec<Step>,
}

impl<D: Durable> EpisodeRunner<D> {
    fn new(durable: Arc<D>, spec: EpisodeSpec) -> Self {
        Self {
            durable,
            budget: Arc::new(Budget::new("episode", spec.limits, Spent::default())),
            path: Arc::new(Mutex::new(Path { reset: spec.reset, ..Path::default() })),
            log: EventLog::default(),
            step: 0,
            seats: spec.seats.iter().map(|_| SeatState::default()).collect(),
            success: None,
            metrics: BTreeMap::new(),
            tally: Tally::default(),
            other_calls: CallCount::default(),
            faults: Default::default(),
            timed: (0, 0.0),
            critical: (0, 0.0),
            trajectories: Vec::new(),
            spec,
        }
    }

    async fn play(&mut self) -> Result<()> {
        self.log.push(&Event::Episode {
            schema: events::SCHEMA,
            episode: self.spec.id.clone(),
            environment: self.spec.environment.name.clone(),
            version: self.spec.environment.version.clone(),
            reset: self.spec.reset,
            seats: self.planners(),
            seat_names: self.spec.environment.seats.iter().map(|seat| seat.name.clone()).collect(),
        })?;
        let key = Position::new(0, 0).key::<ResetEnvironment>("", &self.spec.reset)?;
        let mut turn = self.durable.effect::<ResetEnvironment>(key, self.spec.reset).await?;
        loop {
            let transition = self.turn(turn).await?;
            turn = transition.turn;
            if transition.terminated || transition.truncated {
                self.success = transition.success;
                self.log.push(&Event::Turn { step: self.step, turn: turn.clone() })?;
                return self.collect_ends(turn, &transition.info).await;
            }
        }
    }

    /// One decision and what it leads to.
    async fn turn(&mut self, turn: Turn) -> Result<Transition> {
        let (step, seat) = (self.step, turn.seat);
        if seat >= self.seats.len() {
            return Err(Error::input(format!(
                "environment `{}` asked seat {seat} to act at step {step}, but has {} seats",
                self.spec.environment.name,
                self.seats.len()
            )));
        }
        self.log.push(&Event::Turn { step, turn: turn.clone() })?;
        self.path().turn = turn.clone();
        let models = StepModels::within(
            self.durable.clone(),
            Position::new(step, seat),
            self.budget.clone(),
            self.path.clone(),
            self.spec.per_decision.clone(),
        );
        let context = self.context(turn, false);
        models.seed(context.seed);
        let mut decision = self.decide(&context, &models).await?;
        let summary = self.summarise(&context, decision.summary, &models).await?;
        // Counted in the summary, and not logged: the logs of earlier releases can then still be replayed.
        self.count_faults(seat, std::mem::take(&mut decision.trace.faults));
        self.log.push(&Event::Decision {
            step,
            seat,
            thought: decision.thought.clone(),
            action: decision.action.text.clone(),
            calls: decision.action.calls.clone(),
            summary: summary.clone(),
            trace: decision.trace,
        })?;

        let transition = self.act(seat, &decision.action).await?;
        self.path().actions.push(decision.action.clone());
        if transition.illegal {
            self.count_faults(seat, BTreeMap::from([("illegal".into(), 1)]));
        }
        self.log.push(&Event::Transition {
            step,
            rewards: transition.rewards.clone(),
            terminated: transition.terminated,
            truncated: transition.truncated,
            success: transition.success,
            info: transition.info.clone(),
        })?;
        if transition.terminated || transition.truncated {
            self.metrics = metrics(&transition.info)
                .map_err(|what| self.wrong(format!("`metrics` must be a flat table of numbers: {what}")))?;
        }
        let exchange = Exchange {
            observation: context.turn.observation.text,
            thought: decision.thought,
            action: decision.action.text,
        };
        self.remember(seat, exchange, summary, &transition);
        self.step += 1;
        if let Some(progress) = &self.spec.progress {
            progress(self.step);
        }
        Ok(transition)
    }

    async fn decide(&mut self, context: &DecisionContext, models: &StepModels<D>) -> Result<Decision> {
        let seat = &self.spec.seats[context.seat];
        let (watch, replayed) = (Instant::now(), self.durable.replayed());
        let decision = seat.planner.decide(context.clone(), models.handle()).await;
        let elapsed = watch.elapsed();
        models.decided();
        models.stopped()?;
        let mut tally = models.take_tally();
        let refused: Vec<_> = std::mem::take(&mut tally.refused).into_iter().collect();
        let refused = (!refused.is_empty()).then(|| refused.join(", "));
        let mut decision = decision.map_err(|error| {
            let error = refused.iter().fold(error, |error, limits| too_small(limits, error));
            error.context(format!("planner `{}` failed at step {}", seat.name, self.step))
        })?;
        if let Some(decided) = &self.spec.decided {
            let mut calls = CallCount::default();
            tally.calls.values().for_each(|count| calls += *count);
            decided(&decision, calls);
        }
        decision.trace.recoveries.append(&mut tally.recoveries);
        if let Some(limits) = refused {
            decision.trace.recoveries.push(format!("the budget per decision was reached ({limits})"));
            *tally.faults.entry("over_budget".into()).or_default() += 1;
        }
        if context.seat != self.spec.subject {
            self.count_other(tally);
            return Ok(decision);
        }
        self.count_faults(context.seat, tally.faults);
        for (purpose, count) in tally.calls {
            *self.tally.calls.entry(purpose).or_default() += count;
        }
        self.tally.value_queries += tally.value_queries;
        if self.durable.replayed() == replayed {
            self.timed.0 += 1;
            self.timed.1 += elapsed.as_secs_f64() * 1e3;
            let (calls, busy) = critical_path(&tally.spans);
            self.critical.0 += u64::from(calls);
            self.critical.1 += busy.as_secs_f64() * 1e3;
        }
        Ok(decision)
    }

    /// How the world came to where it is.
    fn path(&self) -> MutexGuard<'_, Path> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_faults(&mut self, seat: usize, faults: BTreeMap<String, u32>) {
        add_faults(&mut self.faults[usize::from(seat != self.spec.subject)], faults);
    }

    /// The planner's own summary, or the collector's, if one is needed.
    async fn summarise(
        &mut self,
        context: &DecisionContext,
        own: Option<Summary>,
        models: &StepModels<D>,
    ) -> Result<Option<Summary>> {
        let summariser = match (&self.spec.summariser, own) {
            (Some(summariser), None) => summariser,
            (_, own) => return Ok(own),
        };
        // The planner may have asked for the very same.
        if let Some(summary) = models.summarised(context).await {
            return Ok(Some(summary));
        }
        let summary = summariser.summarise(context.clone(), models.handle()).await;
        models.stopped()?;
        let summary =
            summary.map_err(|error| error.context(format!("the summariser failed at step {}", self.step)))?;
        self.count_other(models.take_tally());
        Ok(Some(summary))
    }

    async fn act(&self, seat: usize, action: &Action) -> Result<Transition> {
        let key = Position::new(self.step, seat).key::<StepEnvironment>("", action)?;
        let mut transition = self.durable.effect::<StepEnvironment>(key, action.clone()).await?;
        let wrong = |what: String| Err(self.wrong(what));
        if transition.rewards.len() != self.seats.len() {
            return wrong(format!("{} rewards for {} seats", transition.rewards.len(), self.seats.len()));
        }
        if transition.rewards.iter().any(|reward| !reward.is_finite()) {
            return wrong(format!("rewards must be finite numbers, not {:?}", transition.rewards));
        }
        if transition.terminated && transition.truncated {
            return wrong("an episode cannot be both terminated and truncated".into());
        }
        let sums = self.seats.iter().zip(&transition.rewards).map(|(seat, reward)| seat.score + reward);
        if sums.clone().any(|sum| !sum.is_finite()) {
            let sums: Vec<f64> = sums.collect();
            return wrong(format!("the sum of rewards must be a finite number, not {sums:?}"));
        }
        // The environment should have done so itself; no episode may go on forever.
        let (limit, last) = (self.spec.environment.max_steps, self.step + 1);
        transition.truncated |= !transition.terminated && last >= limit.unwrap_or(u32::MAX);
        if limit.is_none() && last >= ENDLESS && !transition.terminated && !transition.truncated {
            return wrong(format!("no end after {ENDLESS} decisions; `max_steps` in its spec would end it"));
        }
        Ok(transition)
    }

    /// An error of the environment's.
    fn wrong(&self, what: String) -> Error {
        Error::input(format!("environment `{}`, step {}: {what}", self.spec.environment.name, self.step))
    }

    /// Who plays, seat by seat.
    fn planners(&self) -> Vec<String> {
        self.spec.seats.iter().map(|seat| seat.name.clone()).collect()
    }

    fn remember(&mut self, seat: usize, exchange: Exchange, summary: Option<Summary>, led_to: &Transition) {
        if self.spec.summariser.is_some() {
            let summary = summary.unwrap_or_default();
            let state = &mut self.seats[seat];
            link(&mut state.collected, &summary);
            state.collected.push(Step {
                observation: exchange.observation.clone(),
                state: summary.state,
                thought: exchange.thought.clone(),
                action: exchange.action.clone(),
                ..Step::default()
            });
        }
        self.seats[seat].history.push(exchange);
        for (state, reward) in self.seats.iter_mut().zip(&led_to.rewards) {
            state.score += reward;
            // Rewards from the moves of others belong to the seat's own last decision.
            if let Some(step) = state.collected.last_mut() {
                step.reward += reward;
                step.terminated = led_to.terminated;
                step.truncated = led_to.truncated;
            }
        }
    }

    /// Summaries of the end, and the finished trajectories.
    async fn collect_ends(&mut self, last: Turn, info: &Value) -> Result<()> {
        let Some(summariser) = self.spec.summariser.clone() else { return Ok(()) };
        for seat in 0..self.seats.len() {
            if self.seats[seat].collected.is_empty() {
                continue;
            }
            // The seat that acted last sees the end. The others learn it from the list `ends` of the last `info`, seat
            // by seat, where the environment shows it to all; without it they know what they knew before.
            let observation = Observation::text(info["ends"][seat].as_str().unwrap_or_default());
            let turn =
                if seat == last.seat { last.clone() } else { Turn { seat, observation, ..Turn::default() } };
            let position = Position::new(self.step, seat);
            let models =
                StepModels::new(self.durable.clone(), position, self.budget.clone(), self.path.clone());
            let summary = summariser.summarise(self.context(turn, true), models.handle()).await;
            models.stopped()?;
            let summary = summary.map_err(|error| error.context("the summariser failed at the end"))?;
            self.count_other(models.take_tally());
            let mut steps = std::mem::take(&mut self.seats[seat].collected);
            link(&mut steps, &summary);
            self.trajectories.push(Trajectory {
                episode: self.spec.id.clone(),
                environment: self.spec.environment.name.clone(),
                task: self.spec.reset.task,
                seed: self.spec.reset.seed,
                seat,
                source: self.spec.seats[seat].name.clone(),
                steps,
                // What the world knows of it, such as where it was recorded.
                info: info["trajectory"].as_object().cloned().unwrap_or_default(),
                ..Trajectory::default()
            });
        }
        Ok(())
    }

    fn context(&self, turn: Turn, ended: bool) -> DecisionContext {
        DecisionContext {
            environment: self.spec.environment.clone(),
            seat: turn.seat,
            step: self.step,
            history: self.seats[turn.seat].history.clone(),
            turn,
            ended,
            seed: seed::derive(self.spec.reset.seed, &format!("decision/{}", self.step)),
        }
    }

    fn count_other(&mut self, tally: Tally) {
        for count in tally.calls.into_values() {
            self.other_calls += count;
        }
        add_faults(&mut self.faults[1], tally.faults);
    }

    fn close(mut self, end: Result<()>) -> Result<EpisodeResult> {
        let cause = end.err();
        let status = match cause.as_ref().map(|error| error.code) {
            None => EpisodeStatus::Done,
            Some(Code::Budget) => EpisodeStatus::Budget,
            Some(Code::Cancelled) if self.durable.interrupted() => EpisodeStatus::Interrupted,
            Some(_) => EpisodeStatus::Failed,
        };
        let error = cause.as_ref().map(Error::to_string);
        let scores: Vec<f64> = self.seats.iter().map(|seat| seat.score).collect();
        self.log.push(&Event::End { status, error: error.clone(), scores: scores.clone() })?;
        let mut all_calls = CallCount::default();
        for count in self.tally.calls.values() {
            all_calls += *count;
        }
        let (subject, seats) = (self.spec.subject, self.planners());
        let timed = |sum: f64| (self.timed.0 > 0).then(|| sum / f64::from(self.timed.0));
        let [faults, other_faults] = self.faults;
        Ok(EpisodeResult {
            summary: EpisodeSummary {
                episode: self.spec.id,
                task: self.spec.reset.task,
                seed: self.spec.reset.seed,
                status,
                error,
                score: scores[subject],
                scores,
                seats,
                success: self.success,
                metrics: self.metrics,
                steps: self.step,
                decisions: u32::try_from(self.seats[subject].history.len()).unwrap_or(u32::MAX),
                llm_calls: all_calls.calls,
                tokens: all_calls.tokens(),
                calls: self.tally.calls,
                other_calls: self.other_calls,
                faults,
                other_faults,
                value_queries: self.tally.value_queries,
                ms_per_decision: timed(self.timed.1),
                critical_ms_per_decision: timed(self.critical.1),
                critical_calls_per_decision: timed(self.critical.0 as f64),
            },
            trajectories: if status == EpisodeStatus::Done { self.trajectories } else { Vec::new() },
            events: self.log.into_lines(),
            error: cause,
        })
    }
}

/// What the last transition measured.
fn metrics(info: &Value) -> std::result::Result<BTreeMap<String, f64>, String> {
    match info.get("metrics") {
        None => Ok(BTreeMap::new()),
        Some(metrics) => {
            serde_json::from_value(metrics.clone()).map_err(|error| format!("{error} in {metrics}"))
        }
    }
}

/// The summary after the last step is where that step led.
fn link(steps: &mut [Step], Summary { state, outcome }: &Summary) {
    if let Some(step) = steps.last_mut() {
        (step.next_state, step.outcomes) = (state.clone(), vec![outcome.clone()]);
        step.outcomes = step.said().map(String::from).collect();
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
