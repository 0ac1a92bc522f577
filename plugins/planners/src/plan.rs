//! A plan kept in thoughts and read back from the history: what planners have in common that follow a plan over several
//! decisions.
//!
//! The thought of the decision that made a plan ends with all of its steps, and each thought ends with the step that it
//! is about, so that no later thought has to repeat the rest:
//!
//! ```text
//! Plan:
//! 1. find the key
//! 2. open the door (needs: the key)
//! Step 1 of 2: find the key
//! ```

use forethought_sdk::{
    answers::{Complaint, Unread},
    prelude::*,
    serde_json::{Value, json},
};

use crate::{
    allowance::affordable,
    ask::{Asker, Label, Said},
    deliberate::resume,
    prompts::Prompts,
};

/// The line above the steps of a plan.
const MARKER: &str = "Plan:";

/// A step of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// What is to be done.
    pub(crate) text: String,
    /// What must be true before; empty if nothing.
    pub(crate) needs: String,
}

/// A plan that is being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// One or more.
    pub(crate) steps: Vec<Step>,
    /// Index of the step that is carried out.
    pub(crate) at: usize,
    /// Whether it was made in this decision.
    pub(crate) new: bool,
}

impl Plan {
    /// A new plan; `None` without a step.
    pub(crate) fn new(steps: Vec<Step>) -> Option<Self> {
        (!steps.is_empty()).then_some(Self { steps, at: 0, new: true })
    }

    /// The plan that the seat's last thoughts follow, and the exchange in which it was made.
    pub(crate) fn since(context: &DecisionContext) -> Option<(Self, usize)> {
        let mut at = None;
        context.history.iter().enumerate().rev().find_map(|(made, exchange)| {
            let (plan, last) = split(&exchange.thought)?;
            at = at.or(position(last));
            let steps: Vec<_> = plan?.lines().filter_map(numbered).map(Step::read).collect();
            let at = at.filter(|at| *at < steps.len())?;
            Some((Self { steps, at, new: false }, made))
        })
    }

    /// The plan that the seat's last thoughts follow.
    pub(crate) fn of(context: &DecisionContext) -> Option<Self> {
        Self::since(context).map(|(plan, _)| plan)
    }

    /// The step that is carried out.
    pub(crate) fn step(&self) -> &Step {
        &self.steps[self.at]
    }

    /// Goes on to the next step, if there is one.
    pub(crate) fn advance(&mut self) -> bool {
        let more = self.at + 1 < self.steps.len();
        self.at += usize::from(more);
        more
    }

    /// The thought of a decision that carries out this step.
    pub(crate) fn thought(&self) -> String {
        let step = format!("Step {} of {}: {}", self.at + 1, self.steps.len(), self.step().text);
        if !self.new {
            return step;
        }
        let line = |(index, step): (usize, &Step)| format!("{}. {}\n", index + 1, step.written());
        let steps: String = self.steps.iter().enumerate().map(line).collect();
        format!("{MARKER}\n{steps}{step}")
    }

    /// The decision to carry out this step by `action`. `why` the plan was made, if there was one before it.
    pub(crate) fn decision(&self, action: Action, why: Option<&str>, unread: Unread) -> Decision {
        let steps: Vec<_> = self.steps.iter().map(Step::written).collect();
        let mut details = json!({ "plan": steps, "at": self.at + 1, "new": self.new });
        if let Some(why) = why {
            details["why"] = why.into();
        }
        let trace = Trace { details, ..unread.trace() };
        Decision { thought: self.thought(), action, trace, ..Decision::default() }
    }

    /// What templates are given: `steps`, the number of the current one (`at`), its text as `thought`, and `needs`.
    pub(crate) fn given(&self) -> Value {
        let steps: Vec<_> = self.steps.iter().map(Step::written).collect();
        json!({ "steps": steps, "at": self.at + 1, "thought": self.step().text, "needs": self.step().needs })
    }
}

impl Step {
    fn written(&self) -> String {
        match self.needs.as_str() {
            "" => self.text.clone(),
            needs => format!("{} (needs: {needs})", self.text),
        }
    }

    fn read(line: &str) -> Self {
        let needs = line.strip_suffix(')').and_then(|line| line.rsplit_once(" (needs: "));
        let (text, needs) = needs.unwrap_or((line, ""));
        Self { text: text.to_owned(), needs: needs.to_owned() }
    }
}

/// The plan of a thought, if it has one, and its last line, which is about a step.
fn split(thought: &str) -> Option<(Option<&str>, &str)> {
    let (above, last) = match thought.rsplit_once('\n') {
        Some((above, last)) => (Some(above), last),
        None => (None, thought),
    };
    position(last)?;
    let plan = above.and_then(|above| above.strip_prefix(MARKER));
    Some((plan, last))
}

/// The index of the step that a line is about.
fn position(line: &str) -> Option<usize> {
    let (numbers, _) = line.strip_prefix("Step ")?.split_once(": ")?;
    let (at, _) = numbers.split_once(" of ")?;
    at.parse::<usize>().ok()?.checked_sub(1)
}

/// The text of a numbered line.
fn numbered(line: &str) -> Option<&str> {
    let (number, text) = line.split_once(". ")?;
    number.parse::<usize>().is_ok().then_some(text)
}

/// The same, with thoughts that say only which step they are about: prompts show the plan by itself.
pub(crate) fn brief(context: &DecisionContext) -> DecisionContext {
    let mut context = context.clone();
    for Exchange { thought, .. } in &mut context.history {
        if let Some((Some(_), last)) = split(thought) {
            *thought = last.to_owned();
        }
    }
    context
}

/// Whether the world refused the action of exchange `index`: the seat sees the same as before, or one of `refusals`.
pub(crate) fn refused(context: &DecisionContext, index: usize, refusals: &[String]) -> bool {
    let before = &context.history[index].observation;
    let after =
        context.history.get(index + 1).map_or(&context.turn.observation.text, |next| &next.observation);
    let after_lower = after.to_lowercase();
    before == after || refusals.iter().any(|text| after_lower.contains(&text.to_lowercase()))
}

/// Whether the world [refused](refused) the last action.
pub(crate) fn last_refused(context: &DecisionContext, refusals: &[String]) -> bool {
    context.history.len().checked_sub(1).is_some_and(|last| refused(context, last, refusals))
}

/// Texts by which worlds say that an action was not possible.
pub(crate) fn usual_refusals() -> Vec<String> {
    ["invalid action", "not possible", "nothing happens"].map(str::to_owned).into()
}

/// Text on one line.
pub(crate) fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How plans are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writing {
    /// Most steps.
    pub(crate) length: usize,
    /// Whether each step says what it needs.
    pub(crate) needs: bool,
}

impl Writing {
    /// # Errors
    /// Plans without steps.
    pub(crate) fn of(length: usize, needs: bool) -> Result<Self> {
        if length == 0 {
            return Err(Error::config("length = 0: a plan needs at least 1 step"));
        }
        Ok(Self { length, needs })
    }

    /// Asks for a plan, in place of one that cannot be followed further, for a reason. `None` if it cannot be read, or the
    /// decision's budget would not leave a call for the action.
    pub(crate) async fn plan(
        &self,
        asker: &mut Asker,
        prompts: &Prompts,
        context: &DecisionContext,
        models: &Arc<dyn Models>,
        before: Option<(&Plan, &str)>,
    ) -> Result<Option<Plan>> {
        if !affordable(models, 2).await? {
            return Ok(None);
        }
        let Self { length, needs } = *self;
        let mut given = match before {
            Some((plan, why)) => {
                let mut given = plan.given();
                given["why"] = why.into();
                given
            }
            None => json!({ "steps": [] }),
        };
        (given["length"], given["needs"]) = (length.into(), needs.into());
        let messages = prompts.messages("plan", context, given)?;
        let names = ["Step", "Needs"];
        let read = |said: &Said<'_>| {
            let mut steps: Vec<Step> = Vec::new();
            for (label, text) in said.texts(&names[..1 + usize::from(needs)])? {
                match (label, steps.last_mut()) {
                    (0, _) => steps.push(Step { text: line(&text), needs: String::new() }),
                    (_, Some(step)) if !nothing(&text) => step.needs = line(&text),
                    _ => {}
                }
            }
            steps.truncate(length);
            Plan::new(steps)
                .ok_or_else(|| said.complaint("there is no line that starts with \"Step:\"".into()))
        };
        let labels = names.map(Label::Many);
        let plan = asker.ask_for(&labels[..1 + usize::from(needs)], Purpose::Thought, messages, read).await?;
        Ok(plan.ok())
    }
}

/// Whether a step is said to need nothing.
fn nothing(needs: &str) -> bool {
    ["nothing", "none", "-"].contains(&needs.trim().trim_end_matches('.').to_lowercase().as_str())
}

/// Carries out the current step of a plan, without asking whether it is carried out already.
pub(crate) async fn act(
    asker: &mut Asker,
    prompts: &Prompts,
    context: &DecisionContext,
    plan: &Plan,
) -> Result<Action> {
    let messages = prompts.messages("action", context, plan.given())?;
    Ok(asker.ask_for_action(&[Label::One("Action")], messages, context).await?.1)
}

/// Goes on with a plan: the action, or none where a step begins or the plan is carried out to its end. A step begins
/// where the one before is said to be done.
pub(crate) async fn go_on(
    asker: &mut Asker,
    prompts: &Prompts,
    context: &DecisionContext,
    models: &Arc<dyn Models>,
    plan: &mut Plan,
) -> Result<Progress> {
    if !affordable(models, 2).await? {
        return Ok(Progress::Action(act(asker, prompts, context, plan).await?));
    }
    Ok(match resume(prompts, asker, context, &plan.step().text).await? {
        Ok(Some(action)) => Progress::Action(action),
        Ok(None) if plan.advance() => Progress::Begins,
        Ok(None) => Progress::Ended,
        // What cannot be read does not end a step.
        Err(_) => Progress::Action(act(asker, prompts, context, plan).await?),
    })
}

/// How far a plan is.
pub(crate) enum Progress {
    /// The action that goes on with the current step.
    Action(Action),
    /// A step begins.
    Begins,
    /// All steps are carried out.
    Ended,
}

/// Why a new plan is needed where the last one [ended](Progress::Ended).
pub(crate) const ENDED: &str = "all of the plan was carried out, and the task is not done yet";

/// Why a new plan is needed where the world [refused](refused) an action.
pub(crate) const REFUSED: &str = "the last action was refused or changed nothing";

/// A decision without a plan, where none can be read: thought and action in one answer.
pub(crate) async fn improvise(
    asker: &mut Asker,
    prompts: &Prompts,
    context: &DecisionContext,
) -> Result<Decision> {
    let messages = prompts.messages("react", context, json!({}))?;
    let labels = [Label::One("Thought"), Label::One("Action")];
    let (thought, action) = asker.ask_for_action(&labels, messages, context).await?;
    let trace = std::mem::take(&mut asker.unread).trace();
    Ok(Decision { thought, action, trace, ..Decision::default() })
}

/// Reads yes or no.
pub(crate) fn yes(said: &Said<'_>, label: &str) -> Result<bool, Complaint> {
    let text = said.text(label)?.to_lowercase();
    let word = text.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
    match word {
        Some("yes" | "true") => Ok(true),
        Some("no" | "not" | "false") => Ok(false),
        _ => Err(Complaint::unreadable(format!("\"{label}:\" is neither \"yes\" nor \"no\""))),
    }
}
