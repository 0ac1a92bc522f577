//! Imagining outcomes before acting, with a critic ([`pnlc`](crate::pnlc)) or without one
//! ([`imagine`](crate::imagine)).

use forethought_sdk::{
    answers::{Complaint, keeps},
    prelude::*,
    serde_json::{Map, Value, json},
};

use crate::{
    allowance::{Rounds, affordable, kept_to_act},
    ask::{AskConfig, Asker, Label, Said, Unreadable},
    prompts::Prompts,
    summarise::{state_only, summarise},
    toolbox,
    weigh::{Scales, Shown, abstained, expected, hope, likeliest, shown},
};

/// What is imagined before a decision, and when.
#[config]
#[derive(Debug, Clone)]
pub struct Imagining {
    /// Name of the language model under `[llm]` that summarises; by default the acting one.
    #[serde(default)]
    #[schemars(with = "Option<LlmName>")]
    pub summariser: Option<String>,
    /// How thoughts are weighed.
    #[serde(default)]
    pub mode: Mode,
    /// Imagined outcomes per round (n): half good, half bad.
    #[serde(default = "four")]
    #[schemars(range(min = 2, max = 1000))]
    pub outcomes: usize,
    /// Maximum number of refinement rounds (m), with `mode = "refine"`.
    #[serde(default = "two")]
    #[schemars(range(max = 1000))]
    pub rounds: usize,
    /// Thoughts that are compared (k), with `mode = "compare"`.
    #[serde(default = "four")]
    #[schemars(range(min = 2, max = 100))]
    pub thoughts: usize,
    /// Take the action without asking anything where the environment lists exactly one as legal.
    #[serde(default)]
    pub skip_single: bool,
    /// Follow a thought for up to this many further steps, as long as the model says that it is not carried out yet,
    /// without imagining again: one call per step.
    #[serde(default)]
    #[schemars(range(max = 1000))]
    pub keep_plan: usize,
    /// Tell the model how many steps are left, where the environment has a limit.
    #[serde(default)]
    pub steps_left: bool,
}

/// How thoughts are weighed.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One thought, which is kept or rewritten until it is kept: the paper's form, 5 to 7 calls.
    #[default]
    Refine,
    /// Several thoughts against one list of outcomes, one choice that is acted on in the same answer: 3 calls.
    Compare,
}

/// How a critic is used.
#[config]
#[derive(Debug, Clone)]
pub struct Weighing {
    /// Name of the critic under `[critic]`.
    #[schemars(with = "CriticName")]
    pub critic: String,
    /// Show the model how the critic's data speak, so that it speaks likewise: typical states, thoughts and outcomes.
    /// No effect with a critic that does not know it.
    #[serde(default = "yes")]
    pub style: bool,
    /// Show next to a probability what is usual for its outcome, and the mean score of the episodes that reached it,
    /// where the critic knows them.
    #[serde(default = "yes")]
    pub yardstick: bool,
    /// Show "no data" in place of a probability outside the critic's data, and skip the refinement when there is no
    /// other (`abstained` among a decision's faults). Without it, such probabilities are shown as any other.
    #[serde(default = "yes")]
    pub abstain: bool,
    /// Skip the refinement when the mean probability of the first thought's good outcomes exceeds that of its bad ones
    /// by more than this. By default, never.
    #[serde(default)]
    #[schemars(range(min = -1.0, max = 1.0))]
    pub confident: Option<f64>,
    /// Count a probability as outside the critic's data also if its question is further from them than this: the share
    /// of the critic's held-out questions that are nearer. By default, what the critic marks is outside. No effect with
    /// a critic that does not say how far a question is.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub furthest: Option<f64>,
    /// What is shown of an outcome that is outside the critic's data.
    #[serde(default)]
    pub outside: Outside,
}

/// What is shown of an outcome that is outside a critic's data.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// The outcome, with "no data" in place of its probability.
    #[default]
    NoData,
    /// Nothing: the outcome is left out. Where thoughts are compared, it stays if one of them has a probability.
    Ignore,
    /// The outcome with its probability, and that it is unlike the critic's data.
    Show,
}

/// What goes beyond the paper's form, all of it off by default. All but `uncertainty` need `mode = "refine"`.
#[config]
#[derive(Debug, Clone, Default)]
pub struct Extensions {
    /// Follow a rewritten thought only if its good outcomes exceed its bad ones by more than those of the thought
    /// before, which is followed otherwise. A rewritten thought is therefore always weighed: up to one call more.
    #[serde(default)]
    pub accept: bool,
    /// Show the critic's uncertainty next to a probability, where it has one: `0.25 ± 0.04`.
    #[serde(default)]
    pub uncertainty: bool,
    /// Where outcomes come from.
    #[serde(default)]
    pub outcomes_from: OutcomesFrom,
    /// Show one number for each thought in place of its outcomes: the score to be expected, which is the mean score of
    /// the recorded outcomes, weighted by their probabilities, or with `goal` its probability. Nothing is imagined
    /// then. With a critic that knows no scores, outcomes are imagined, and the number is 0.5 if the good ones are as
    /// likely as the bad ones.
    #[serde(default)]
    pub scalar: bool,
    /// The outcome whose probability is shown with `scalar`.
    #[serde(default)]
    pub goal: Option<String>,
}

/// Where outcomes come from.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomesFrom {
    /// The model imagines them.
    #[default]
    Imagined,
    /// They are the likeliest of the critic's data: as many good ones, whose episodes scored above the mean, as bad
    /// ones. Saves a call per round. Where the critic knows no outcomes with scores, they are imagined.
    Recorded,
}

fn yes() -> bool {
    true
}

fn four() -> usize {
    4
}

fn two() -> usize {
    2
}

/// Calls of a round of refinement, without the critic's, and of acting.
const ROUND: u64 = 2;
const ACTION: u64 = 1;

pub(crate) const OUTCOMES: [Label; 2] = [Label::Many("Good"), Label::Many("Bad")];
const CANDIDATES: [Label; 3] = [Label::Many("Thought"), Label::Many("Good"), Label::Many("Bad")];
const REFINED: [Label; 2] = [Label::One("Decision"), Label::One("Thought")];
const RESUMED: [Label; 2] = [Label::One("Plan"), Label::One("Action")];

/// A planner that imagines outcomes.
#[derive(Debug)]
pub(crate) struct Deliberation {
    ask: AskConfig,
    imagining: Imagining,
    weighing: Option<Weighing>,
    extensions: Extensions,
    prompts: Prompts,
}

impl Deliberation {
    /// # Errors
    /// Fewer than two outcomes, or than two thoughts to compare.
    pub(crate) fn new(
        ask: AskConfig,
        imagining: Imagining,
        weighing: Option<Weighing>,
        prompts: Prompts,
    ) -> Result<Self> {
        let Imagining { outcomes, thoughts, mode, .. } = imagining;
        if outcomes < 2 {
            return Err(Error::config(format!(
                "outcomes = {outcomes}: must be at least 2, because PNLC weighs good outcomes against bad ones"
            )));
        }
        if mode == Mode::Compare && thoughts < 2 {
            return Err(Error::config(format!("thoughts = {thoughts}: at least 2 are needed to compare")));
        }
        if let Some(Weighing { abstain, furthest, outside, .. }) = &weighing {
            if furthest.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
                return Err(Error::config("furthest: must be a share from 0 to 1"));
            }
            if !abstain && (furthest.is_some() || *outside != Outside::NoData) {
                return Err(Error::config(
                    "furthest and outside: with `abstain = false` nothing counts as outside the critic's data; remove it",
                ));
            }
        }
        Ok(Self { ask, imagining, weighing, extensions: Extensions::default(), prompts })
    }

    /// The same with extensions.
    ///
    /// # Errors
    /// One that does not go with the mode, or a goal that nothing uses.
    pub(crate) fn extended(self, extensions: Extensions) -> Result<Self> {
        let Extensions { accept, outcomes_from, scalar, goal, .. } = &extensions;
        let refining = [
            ("accept = true", *accept),
            ("outcomes_from = \"recorded\"", *outcomes_from == OutcomesFrom::Recorded),
            ("scalar = true", *scalar),
        ];
        let refining = refining.iter().find(|(_, on)| *on && self.imagining.mode != Mode::Refine);
        match refining {
            Some((key, _)) => Err(Error::config(format!("{key}: needs `mode = \"refine\"`"))),
            None if goal.is_some() && !scalar => {
                Err(Error::config("goal: is used with `scalar = true` only"))
            }
            None => Ok(Self { extensions, ..self }),
        }
    }

    fn summariser(&self) -> &String {
        self.imagining.summariser.as_ref().unwrap_or(&self.ask.llm)
    }

    pub(crate) fn requires(&self) -> Requirements {
        let rest = Requirements {
            llms: vec![self.summariser().clone()],
            critics: self.weighing.iter().map(|weighing| weighing.critic.clone()).collect(),
            ..Requirements::default()
        };
        self.ask.requires().and(rest)
    }

    /// The models, which keep a call to act with where thoughts are refined: there every part can be left out.
    pub(crate) fn kept(&self, models: Arc<dyn Models>) -> Arc<dyn Models> {
        if self.imagining.mode == Mode::Refine { kept_to_act(&models) } else { models }
    }

    pub(crate) async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        if let (true, [only]) = (self.imagining.skip_single, &context.turn.legal_actions[..]) {
            let trace = Trace { details: json!({ "gate": "skip_single" }), ..Trace::default() };
            return Ok(Decision {
                action: toolbox::action(only, &context.turn),
                trace,
                ..Decision::default()
            });
        }
        let models = self.kept(models);
        let scales = match &self.weighing {
            Some(weighing) => Some(Scales::of(weighing, &models).await?),
            None => None,
        };
        let actor = models.llm(self.ask.llm.clone()).await?;
        let mut actor = self.ask.asker(actor, seed::derive(context.seed, "pnlc"));
        if let Some(plan) = self.plan(&context)
            && let Ok(Some(action)) = resume(&self.prompts, &mut actor, &context, plan).await?
        {
            let trace = Trace { details: json!({ "gate": "keep_plan" }), ..actor.unread.trace() };
            return Ok(Decision { thought: plan.to_owned(), action, trace, ..Decision::default() });
        }
        let style = scales.as_ref().map_or(Value::Null, Scales::style);
        let given = match &scales {
            Some(scales) => self.outcomes_given(scales, &mut actor),
            None => None,
        };
        let cheap = models.llm(self.summariser().clone()).await?;
        // The same seed as the summariser's, so that a collector's summary of this history is identical.
        let mut cheap = self.ask.asker(cheap, seed::derive(context.seed, "summarise"));
        // Nobody reads the outcome of a summary in the critic's words: a collector makes its own.
        let (state, summary) = if style.is_null() {
            let summary = summarise(&self.prompts, &mut cheap, &context).await?;
            (summary.state.clone(), Some(summary))
        } else {
            (state_only(&self.prompts, &mut cheap, &context, &style).await?, None)
        };
        let steps_left = context.environment.max_steps.filter(|_| self.imagining.steps_left);
        let steps_left = steps_left.map(|most| most.saturating_sub(context.step));
        let mut now = Now {
            planner: self,
            context: &context,
            models: &models,
            scales: scales.as_ref(),
            given: json!({ "state": state, "style": style, "steps_left": steps_left }),
            outcomes: given,
            state: &state,
            actor,
            rounds: Vec::new(),
            gate: None,
        };
        let (thought, action) = match self.imagining.mode {
            Mode::Refine => now.refine().await?,
            Mode::Compare => now.compare().await?,
        };
        let mut unread = cheap.unread;
        unread.append(now.actor.unread);
        let mut details = Map::new();
        if summary.is_none() {
            details.insert("state".into(), state.clone().into());
        }
        details.extend(now.gate.map(|gate| ("gate".to_owned(), Value::from(gate))));
        let details = if details.is_empty() { Value::Null } else { details.into() };
        let trace = Trace { rounds: now.rounds, details, ..unread.trace() };
        Ok(Decision { thought, action, summary, trace })
    }

    /// The outcomes that every thought is weighed by, if none are imagined.
    fn outcomes_given(&self, scales: &Scales<'_>, actor: &mut Asker) -> Option<Vec<(bool, String)>> {
        let Extensions { outcomes_from, scalar, goal, .. } = &self.extensions;
        match goal {
            Some(goal) => return Some(vec![(true, goal.clone())]),
            None if !scalar && *outcomes_from == OutcomesFrom::Imagined => return None,
            None => {}
        }
        let recorded = scales.recorded();
        if recorded.is_none() {
            let why = "the critic knows no outcomes with different scores: they were imagined";
            actor.unread.recoveries.push(why.into());
        }
        recorded
    }

    /// The thought of the last step, if it may be followed further.
    fn plan<'c>(&self, context: &'c DecisionContext) -> Option<&'c str> {
        let plan =
            context.history.last().map(|last| last.thought.as_str()).filter(|plan| !plan.is_empty())?;
        let followed = context.history.iter().rev().take_while(|exchange| exchange.thought == plan).count();
        (followed <= self.imagining.keep_plan).then_some(plan)
    }
}

/// The next action of a plan that is not carried out yet; `None` if it is said to be carried out or to fit no longer.
pub(crate) async fn resume(
    prompts: &Prompts,
    actor: &mut Asker,
    context: &DecisionContext,
    plan: &str,
) -> Result<Result<Option<Action>, Unreadable>> {
    let messages = prompts.messages("resume", context, json!({ "thought": plan }))?;
    let read = |said: &Said<'_>| match finished(&said.text("Plan")?) {
        Some(true) => Ok(None),
        Some(false) => said.action(&context.turn).map(Some),
        None => Err(Complaint::unreadable("the plan is neither \"unfinished\" nor \"done\"")),
    };
    actor.ask_to_act(&RESUMED, messages, context, read).await
}

/// Whether a plan is said to be carried out or given up.
fn finished(said: &str) -> Option<bool> {
    let said = said.to_lowercase();
    let mut words = said.split(|c: char| !c.is_alphanumeric());
    words.find_map(|word| match word {
        "unfinished" | "not" | "continue" | "open" => Some(false),
        "done" | "finished" | "over" | "new" => Some(true),
        _ => None,
    })
}

/// A decision that is being made.
struct Now<'d> {
    planner: &'d Deliberation,
    context: &'d DecisionContext,
    models: &'d Arc<dyn Models>,
    scales: Option<&'d Scales<'d>>,
    state: &'d str,
    /// What every template is given: `state`, `style`, `steps_left`.
    given: Value,
    /// Outcomes that every thought is weighed by, if none are imagined.
    outcomes: Option<Vec<(bool, String)>>,
    actor: Asker,
    rounds: Vec<Round>,
    gate: Option<&'static str>,
}

impl Now<'_> {
    fn messages(&self, name: &str, step: Value) -> Result<Vec<Message>> {
        let mut all = self.given.clone();
        if let (Value::Object(all), Value::Object(step)) = (&mut all, step) {
            all.extend(step);
        }
        self.planner.prompts.messages(name, self.context, all)
    }

    /// Rounds as a template shows them, and whether it shows numbers.
    fn evaluation(&self) -> Value {
        let Extensions { uncertainty, scalar, .. } = self.planner.extensions;
        let yardstick = self.scales.is_some_and(Scales::yardstick);
        let ignore = self.scales.is_some_and(Scales::ignores);
        let ignore = ignore.then_some(self.planner.imagining.mode);
        let rounds = shown(&self.rounds, Shown { yardstick, uncertainty, scalar, ignore });
        json!({ "rounds": rounds, "weighed": self.scales.is_some() })
    }

    async fn refine(&mut self) -> Result<(String, Action)> {
        let messages = self.messages("thought", json!({}))?;
        let read = |said: &Said<'_>| said.text("Thought");
        let thought = self.actor.ask_for(&[Label::One("Thought")], Purpose::Thought, messages, read).await?;
        let mut thought = thought.unwrap_or_else(|unreadable| unreadable.last_resort("Thought"));

        let (rounds, accept) = (self.planner.imagining.rounds, self.planner.extensions.accept);
        // Whether a critic weighed the thought that is followed, where one should.
        let mut weighed = rounds == 0;
        let mut accepted = 0;
        // With `accept`, what the last rewriting led to is weighed as well.
        let most = if rounds == 0 { 0 } else { rounds + usize::from(accept) };
        let mut budget = Rounds::of(if self.outcomes.is_some() { ROUND - 1 } else { ROUND });
        while !thought.is_empty() && self.rounds.len() < most {
            if !budget.affordable(self.models, ACTION).await? {
                self.gate = Some("budget");
                break;
            }
            let round = self.evaluate(&thought).await;
            let Some(round) = self.within(round)? else { break };
            let rejected = accept && self.rounds.last().is_some_and(|earlier| !self.better(&round, earlier));
            self.rounds.push(round);
            weighed = !rejected;
            if weighed {
                accepted = self.rounds.len() - 1;
            }
            if rejected || self.settled() {
                break;
            }
            if self.rounds.len() > rounds {
                self.keep(rounds);
                break;
            }
            // What was asked twice may have used up what the rewriting needs.
            if !affordable(self.models, 1 + ACTION).await? {
                self.keep(self.rounds.len() - 1);
                self.gate = Some("budget");
                break;
            }
            let messages = self.messages("refine", self.evaluation())?;
            let read = |said: &Said<'_>| {
                let decision = said.text("Decision")?;
                let neither = || Complaint::unreadable("the decision is neither \"keep\" nor \"revise\"");
                if keeps(&decision).ok_or_else(neither)? { Ok(None) } else { said.text("Thought").map(Some) }
            };
            let answer = self.actor.ask_for(&REFINED, Purpose::Refine, messages, read).await;
            // An answer that cannot be read keeps the current thought.
            match self.within(answer.map(Result::ok))?.flatten() {
                // Even in the same words. If that counted as keeping, a thought that often comes to mind would be
                // confirmed by coming to mind again, whatever its values.
                Some(revised) => {
                    weighed = false;
                    thought = revised;
                }
                None => {
                    self.keep(self.rounds.len() - 1);
                    break;
                }
            }
        }
        if !weighed && accept && !self.rounds.is_empty() {
            // Only what is known to be better replaces it.
            self.keep(accepted);
            self.gate.get_or_insert("rejected");
            thought.clone_from(&self.rounds[accepted].thought);
        } else if !weighed {
            self.unevaluated();
        }
        self.act(thought).await
    }

    /// Whether the first round is known to be better than the other.
    fn better(&self, round: &Round, other: &Round) -> bool {
        let worth = |round| {
            let worth = if self.planner.extensions.scalar { expected(round) } else { hope(round) };
            worth.filter(|worth| worth.is_finite())
        };
        match (worth(round), worth(other)) {
            (Some(new), Some(old)) => new > old,
            (new, _) => new.is_some(),
        }
    }

    /// A thought with its outcomes and their values; `None` if they could not be read.
    async fn evaluate(&mut self, thought: &String) -> Result<Option<Round>> {
        let thought = std::slice::from_ref(thought);
        let Some(given) = self.outcomes.clone() else {
            let Some(outcomes) = self.imagine(&thought[0]).await? else { return Ok(None) };
            return Ok(self.weigh(thought, &outcomes).await?.and_then(|mut rounds| rounds.pop()));
        };
        let mut round = self.weigh(thought, &given).await?.and_then(|mut rounds| rounds.pop());
        if let (Some(round), false) = (&mut round, self.planner.extensions.scalar) {
            likeliest(round, self.planner.imagining.outcomes);
        }
        Ok(round)
    }

    /// What a part of the refinement gave; nothing if the budget of the decision does not pay it.
    fn within<T>(&mut self, part: Result<Option<T>>) -> Result<Option<T>> {
        if part.as_ref().is_err_and(|error| error.code == Code::Budget) {
            self.gate = Some("budget");
            return Ok(None);
        }
        part
    }

    /// Whether the last thought is followed without asking whether to keep it.
    fn settled(&mut self) -> bool {
        let Some(scales) = self.scales else { return false };
        let last = self.rounds.len() - 1;
        if abstained(&self.rounds[last..]) {
            self.actor.unread.count("abstained");
        } else if last == 0 && scales.confident(&self.rounds[last]) {
            self.gate = Some("confident");
        } else {
            return false;
        }
        self.keep(last);
        true
    }

    fn keep(&mut self, round: usize) {
        self.rounds[round].kept = true;
    }

    /// Counts a decision on a thought that the critic did not weigh. The control has no critic, so it counts nothing.
    fn unevaluated(&mut self) {
        if self.scales.is_some() {
            self.actor.unread.count("unevaluated");
        }
    }

    async fn act(&mut self, thought: String) -> Result<(String, Action)> {
        let messages = self.messages("action", json!({ "thought": thought }))?;
        let (_, action) = self.actor.ask_for_action(&[Label::One("Action")], messages, self.context).await?;
        Ok((thought, action))
    }

    async fn compare(&mut self) -> Result<(String, Action)> {
        let (thoughts, outcomes) = self.candidates().await?;
        let first = thoughts.first().cloned().unwrap_or_default();
        let rounds = match outcomes.is_empty() {
            true => None,
            false => {
                let rounds = self.weigh(&thoughts, &outcomes).await;
                self.within(rounds)?
            }
        };
        let Some(rounds) = rounds else {
            self.unevaluated();
            return self.act(first).await;
        };
        self.rounds = rounds;
        if self.scales.is_some() && abstained(&self.rounds) {
            self.actor.unread.count("abstained");
            self.keep(0);
            return self.act(first).await;
        }
        let messages = self.messages("choose", self.evaluation())?;
        let turn = &self.context.turn;
        let read = |said: &Said<'_>| {
            let chosen = chosen(&said.text("Choice")?, thoughts.len())?;
            Ok((chosen, said.action(turn)?))
        };
        let labels = [Label::One("Choice"), Label::One("Action")];
        match self.actor.ask_to_act(&labels, messages, self.context, read).await? {
            Ok((chosen, action)) => {
                self.keep(chosen);
                Ok((thoughts[chosen].clone(), action))
            }
            Err(_) => {
                self.keep(0);
                self.act(first).await
            }
        }
    }

    /// Several thoughts and the outcomes that they share. If they cannot be read, there are no outcomes.
    async fn candidates(&mut self) -> Result<(Vec<String>, Vec<(bool, String)>)> {
        let Imagining { outcomes: n, thoughts: k, .. } = self.planner.imagining;
        let messages = self.messages("candidates", json!({ "thoughts": k, "outcomes": n }))?;
        let read = |said: &Said<'_>| {
            let thoughts = said.texts(&["Thought"])?.into_iter().map(|(_, text)| text);
            let thoughts: Vec<_> = thoughts.take(k).collect();
            if thoughts.is_empty() {
                return Err(said.complaint(format!("{k} lines that start with \"Thought:\" are wanted")));
            }
            Ok((thoughts, good_and_bad(said, n)?))
        };
        let read = self.actor.ask_for(&CANDIDATES, Purpose::Outcomes, messages, read).await?;
        Ok(read.unwrap_or_else(|unreadable| (vec![unreadable.first("Thought")], Vec::new())))
    }

    /// Imagined outcomes of `thought`; `None` if they could not be read.
    async fn imagine(&mut self, thought: &str) -> Result<Option<Vec<(bool, String)>>> {
        let n = self.planner.imagining.outcomes;
        let messages = self.messages("outcomes", json!({ "thought": thought, "outcomes": n }))?;
        let read = |said: &Said<'_>| good_and_bad(said, n);
        Ok(self.actor.ask_for(&OUTCOMES, Purpose::Outcomes, messages, read).await?.ok())
    }

    /// A round per thought; `None` if the critic asks a model whose answer could not be read. Without a critic the
    /// outcomes have no values.
    async fn weigh(
        &mut self,
        thoughts: &[String],
        outcomes: &[(bool, String)],
    ) -> Result<Option<Vec<Round>>> {
        let Some(scales) = self.scales else {
            let outcome = |(good, text): &(bool, String)| ValuedOutcome {
                text: text.clone(),
                good: *good,
                outside: true,
                ..ValuedOutcome::default()
            };
            let round = |thought: &String| Round {
                thought: thought.clone(),
                outcomes: outcomes.iter().map(outcome).collect(),
                kept: false,
            };
            return Ok(Some(thoughts.iter().map(round).collect()));
        };
        Ok(match scales.weigh(self.state, thoughts, outcomes).await? {
            Ok(rounds) => Some(rounds),
            Err(why) => {
                self.actor.unread.without(why);
                None
            }
        })
    }
}

/// Outcomes that an answer names, at most `n`, each with whether it is good.
pub(crate) fn good_and_bad(said: &Said<'_>, n: usize) -> Result<Vec<(bool, String)>, Complaint> {
    let mut outcomes: Vec<_> =
        said.texts(&["Good", "Bad"])?.into_iter().map(|(label, text)| (label == 0, text)).collect();
    outcomes.truncate(n);
    let good = outcomes.iter().filter(|(good, _)| *good).count();
    if good == 0 || good == outcomes.len() {
        return Err(said
            .complaint(format!("{n} lines that start with \"Good:\" or \"Bad:\" are wanted, some of each")));
    }
    Ok(outcomes)
}

/// The index of the thought that a choice names: its first number, counted from 1.
pub(crate) fn chosen(said: &str, thoughts: usize) -> Result<usize, Complaint> {
    let number = said.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty());
    let number: Option<usize> = number.and_then(|digits| digits.parse().ok());
    number.filter(|number| (1..=thoughts).contains(number)).map(|number| number - 1).ok_or_else(|| {
        Complaint::unreadable(format!("the choice is not the number of a thought, from 1 to {thoughts}"))
    })
}
