//! Imagining outcomes before acting, with a critic ([`pnlc`](crate::pnlc)) or without one ([`imagine`](crate::imagine)).

use forethought_sdk::{
    answers::{Complaint, keeps},
    prelude::*,
    serde_json::{Map, Value, json},
};

use crate::{
    ask::{AskConfig, Asker, Label, Said, Unreadable},
    prompts::Prompts,
    summarise::{state_only, summarise},
    weigh::{Scales, abstained, shown},
};

/// What is imagined before a decision, and when.
#[config]
#[derive(Debug, Clone)]
pub struct Imagining {
    /// Name of the language model under `[llm]` that summarises; by default the acting one.
    #[serde(default)]
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
    pub critic: String,
    /// Show the model how the critic's data speak, so that it speaks likewise: typical states, thoughts and outcomes. No
    /// effect with a critic that does not know it.
    #[serde(default = "yes")]
    pub style: bool,
    /// Show next to a probability what is usual for its outcome, and the mean score of the episodes that reached it,
    /// where the critic knows them.
    #[serde(default = "yes")]
    pub yardstick: bool,
    /// Show "no data" in place of a probability outside the critic's data, and skip the refinement when there is no other
    /// (`abstained` among a decision's faults). Without it, such probabilities are shown as any other.
    #[serde(default = "yes")]
    pub abstain: bool,
    /// Skip the refinement when the mean probability of the first thought's good outcomes exceeds that of its bad ones by
    /// more than this. By default, never.
    #[serde(default)]
    #[schemars(range(min = -1.0, max = 1.0))]
    pub confident: Option<f64>,
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
        Ok(Self { ask, imagining, weighing, prompts })
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

    pub(crate) async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        if let (true, [only]) = (self.imagining.skip_single, &context.turn.legal_actions[..]) {
            let trace = Trace { details: json!({ "gate": "skip_single" }), ..Trace::default() };
            return Ok(Decision { action: Action::new(only), trace, ..Decision::default() });
        }
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
            return Ok(Decision {
                thought: plan.to_owned(),
                action: Action::new(action),
                trace,
                ..Decision::default()
            });
        }
        let style = scales.as_ref().map_or(Value::Null, Scales::style);
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
            scales: scales.as_ref(),
            given: json!({ "state": state, "style": style, "steps_left": steps_left }),
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
        Ok(Decision { thought, action: Action::new(action), summary, trace })
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
) -> Result<Result<Option<String>, Unreadable>> {
    let messages = prompts.messages("resume", context, json!({ "thought": plan }))?;
    let read = |said: &Said<'_>| match finished(&said.text("Plan")?) {
        Some(true) => Ok(None),
        Some(false) => said.action(&context.turn.legal_actions).map(Some),
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
    scales: Option<&'d Scales<'d>>,
    state: &'d str,
    /// What every template is given: `state`, `style`, `steps_left`.
    given: Value,
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
        let rounds = shown(&self.rounds, self.scales.is_some_and(Scales::yardstick));
        json!({ "rounds": rounds, "weighed": self.scales.is_some() })
    }

    async fn refine(&mut self) -> Result<(String, String)> {
        let messages = self.messages("thought", json!({}))?;
        let read = |said: &Said<'_>| said.text("Thought");
        let thought = self.actor.ask_for(&[Label::One("Thought")], Purpose::Thought, messages, read).await?;
        let mut thought = thought.unwrap_or_else(|unreadable| unreadable.last_resort("Thought"));

        let rounds = self.planner.imagining.rounds;
        // Whether a critic weighed the thought that is followed, where one should.
        let mut weighed = rounds == 0;
        while !thought.is_empty() && self.rounds.len() < rounds {
            let Some(outcomes) = self.imagine(&thought).await? else { break };
            let Some(round) = self.weigh(std::slice::from_ref(&thought), &outcomes).await? else { break };
            self.rounds.extend(round);
            weighed = true;
            if self.settled() {
                break;
            }
            let messages = self.messages("refine", self.evaluation())?;
            let read = |said: &Said<'_>| {
                let decision = said.text("Decision")?;
                let neither = || Complaint::unreadable("the decision is neither \"keep\" nor \"revise\"");
                if keeps(&decision).ok_or_else(neither)? { Ok(None) } else { said.text("Thought").map(Some) }
            };
            // An answer that cannot be read keeps the current thought.
            match self.actor.ask_for(&REFINED, Purpose::Refine, messages, read).await?.unwrap_or(None) {
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
        if !weighed {
            self.unevaluated();
        }
        self.act(thought).await
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

    async fn act(&mut self, thought: String) -> Result<(String, String)> {
        let messages = self.messages("action", json!({ "thought": thought }))?;
        let (_, action) = self.actor.ask_for_action(&[Label::One("Action")], messages, self.context).await?;
        Ok((thought, action))
    }

    async fn compare(&mut self) -> Result<(String, String)> {
        let (thoughts, outcomes) = self.candidates().await?;
        let first = thoughts.first().cloned().unwrap_or_default();
        let rounds = match outcomes.is_empty() {
            true => None,
            false => self.weigh(&thoughts, &outcomes).await?,
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
        let legal = &self.context.turn.legal_actions;
        let read = |said: &Said<'_>| {
            let chosen = chosen(&said.text("Choice")?, thoughts.len())?;
            Ok((chosen, said.action(legal)?))
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
fn chosen(said: &str, thoughts: usize) -> Result<usize, Complaint> {
    let number = said.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty());
    let number: Option<usize> = number.and_then(|digits| digits.parse().ok());
    number.filter(|number| (1..=thoughts).contains(number)).map(|number| number - 1).ok_or_else(|| {
        Complaint::unreadable(format!("the choice is not the number of a thought, from 1 to {thoughts}"))
    })
}
