//! CPL, critical plan step learning (Wang et al., 2024, arXiv 2409.08642), its inference part: the search is over steps of
//! a plan, not over actions, because few of them decide how an episode ends. Nothing is learned here: policy and value
//! are the model's own, or a critic's.
//!
//! ```text
//! at the first decision, and when the plan is used up or the world refuses an action:
//!     repeat n times:
//!         select   walk down the tree of plan steps by Q + c sqrt(N_parent) / (1 + N)
//!         expand   LLM: k next steps of the plan, or that it is complete
//!         evaluate V(plan so far) of each: LLM, from 1 to 10, or the critic's value of the plan as a thought
//!         back up  the highest of them
//!     plan <- down the tree, the step of the highest Q
//! at each decision:
//!     action <- LLM: the next part of the step; where it is done, begin the next one
//! ```

use forethought_sdk::{
    answers::Unread,
    futures::future::join_all,
    prelude::*,
    serde_json::{Value, json},
};

use crate::{
    allowance::Rounds,
    ask::{AskConfig, Label::One, Said},
    plan::{
        ENDED, Plan, Progress, REFUSED, Step, act, brief, go_on, improvise, last_refused, line,
        usual_refusals,
    },
    prompts::{Prompts, prompt_files},
    score::{Measure, Scorer},
    search::{
        counted, grade,
        tree::{Node, ROOT, Tree, best},
        weight,
    },
};

/// Settings of CPL.
#[config]
#[derive(Debug, Clone)]
pub struct CplConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Simulations per search (n).
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub simulations: usize,
    /// Next steps sampled per expansion (k).
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 1000))]
    pub breadth: usize,
    /// Most steps of a plan.
    #[serde(default = "six")]
    #[schemars(range(min = 1, max = 1000))]
    pub length: usize,
    /// Weight of exploration (c).
    #[serde(default = "one")]
    pub exploration: f64,
    /// Leaves that are walked to at once, with virtual loss.
    #[serde(default = "single")]
    #[schemars(range(min = 1, max = 1000))]
    pub parallel: usize,
    /// A critic whose value of the plan so far is V. By default the model judges it.
    #[serde(default)]
    pub measure: Option<Measure>,
    /// Texts of which one in an observation means that the last action was refused, in any case. So does an observation
    /// that is the same as before.
    #[serde(default = "usual_refusals")]
    pub refusals: Vec<String>,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: CplPrompts,
}

prompt_files! {
    /// Files that replace CPL's prompt templates.
    CplPrompts: agent, history, next_step, value, resume, action, react, summarise, outcomes
}

fn eight() -> usize {
    8
}

fn three() -> usize {
    3
}

fn six() -> usize {
    6
}

fn one() -> f64 {
    1.0
}

fn single() -> usize {
    1
}

/// The value of a plan that could not be judged.
const UNKNOWN: f64 = 0.5;

/// What ends a plan.
const COMPLETE: &str = "complete";

/// The CPL planner: per search `n (1 + k)` calls, or what the critic costs in place of the `k`; then one call per decision
/// and two where a step begins.
pub struct Cpl {
    config: CplConfig,
    critic: Option<Scorer>,
    prompts: Prompts,
}

impl Cpl {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A number out of range, or a template that cannot be used.
    pub fn new(config: CplConfig) -> Result<Self> {
        let CplConfig { simulations, breadth, length, parallel, .. } = config;
        let counts =
            [("simulations", simulations), ("breadth", breadth), ("length", length), ("parallel", parallel)];
        counted(&counts)?;
        weight("exploration", config.exploration)?;
        let prompts = || config.ask.prompts(&config.prompts);
        let critic = match config.measure.clone() {
            Some(measure) => Some(Scorer::of(config.ask.clone(), prompts()?, measure, "cpl imagine".into())?),
            None => None,
        };
        Ok(Self { critic, prompts: prompts()?, config })
    }
}

/// A search for a plan.
struct Search<'d> {
    with: &'d Cpl,
    context: &'d DecisionContext,
    models: &'d Arc<dyn Models>,
    llm: Arc<dyn LlmBackend>,
    tree: Tree,
    unread: Unread,
    summary: Option<Summary>,
}

/// What an expansion found: different steps, each with the value of the plan so far.
struct Grown {
    steps: Vec<(String, f64)>,
    unread: Unread,
    summary: Option<Summary>,
}

impl Search<'_> {
    /// The steps from the root down to a node.
    fn steps(&self, node: u32) -> Vec<String> {
        self.tree.path(node).into_iter().map(|node| self.tree.at(node).thought.to_string()).collect()
    }

    /// Grows the tree by as many simulations as the decision's budget pays, next to `then` calls.
    async fn run(&mut self, then: u64) -> Result<()> {
        let CplConfig { simulations, breadth, parallel, exploration, .. } = self.with.config;
        // Where a model gives one answer per call, each sample is a call. PUCT has equal priors.
        let puct =
            |parent: &Node, child: &Node| worth(child) + exploration * parent.n().sqrt() / (1.0 + child.n());
        let (mut done, mut rounds) = (0, Rounds::of(2 * (breadth * parallel) as u64));
        while done < simulations && rounds.affordable(self.models, then).await? {
            let most = parallel.min(simulations - done);
            let leaves = self.tree.wave(most, puct);
            done += leaves.len();
            let grown = join_all(leaves.iter().map(|leaf| self.grow(*leaf))).await;
            for (leaf, grown) in leaves.into_iter().zip(grown) {
                let Grown { steps, unread, summary } = grown?;
                self.unread.append(unread);
                self.summary = self.summary.take().or(summary);
                // A complete plan, or one that cannot be continued, is worth what it was.
                let highest = best(steps.iter(), |(_, value)| *value).map(|(_, value)| *value);
                let value = highest.unwrap_or(self.tree.at(leaf).value);
                if !steps.is_empty() {
                    let child = |(step, value): (String, f64)| {
                        let mut node = Node::of(&step, "");
                        node.value = value;
                        node
                    };
                    self.tree.expand(leaf, steps.into_iter().map(child));
                }
                self.tree.back_up(leaf, value);
            }
        }
        Ok(())
    }

    /// Next steps of the plan at a leaf, with their values.
    async fn grow(&self, leaf: u32) -> Result<Grown> {
        let CplConfig { breadth, length, ask, .. } = &self.with.config;
        let plan = self.steps(leaf);
        let visits = self.tree.at(leaf).visits;
        let mut grown = Grown { steps: Vec::new(), unread: Unread::default(), summary: None };
        if plan.len() >= *length || plan.last().is_some_and(|step| step == COMPLETE) {
            return Ok(grown);
        }
        let draw = |what: &str| seed::derive(self.context.seed, &format!("cpl {what} {leaf} {visits}"));
        let mut asker = ask.asker(self.llm.clone(), draw("expand"));
        let messages = self.with.prompts.messages("next_step", self.context, json!({ "plan": plan }))?;
        let read = |said: &Said<'_>| said.text("Next").map(|text| line(&text));
        let samples = u32::try_from(*breadth).unwrap_or(u32::MAX);
        let said = asker.sample_for(&[One("Next")], Purpose::Thought, messages, samples, read).await?;
        grown.unread = asker.unread;
        let mut different: Vec<String> = Vec::new();
        for step in said {
            let bare = step.trim_matches(|c: char| !c.is_alphanumeric());
            let step = if bare.eq_ignore_ascii_case(COMPLETE) { COMPLETE.to_owned() } else { step };
            // A plan has at least one step.
            let empty = plan.is_empty() && step == COMPLETE;
            if !empty && !different.contains(&step) {
                different.push(step);
            }
        }
        let plans: Vec<Vec<String>> =
            different.iter().map(|step| plan.iter().chain([step]).cloned().collect()).collect();
        let values = match &self.with.critic {
            Some(critic) => {
                let thought = |plan: &Vec<String>| Decision {
                    thought: without_end(plan).join(" Then: "),
                    // One summary is enough for all.
                    summary: self.summary.clone(),
                    ..Decision::default()
                };
                let thoughts: Vec<_> = plans.iter().map(thought).collect();
                let scored =
                    critic.score(self.context, &thoughts.iter().collect::<Vec<_>>(), self.models).await?;
                grown.unread.append(scored.unread);
                grown.summary = scored.summary;
                scored.scores.into_iter().map(|score| score.map(|score| critic.share(score))).collect()
            }
            None => {
                let judged = plans.iter().enumerate().map(|(index, plan)| async move {
                    let mut asker = ask.asker(self.llm.clone(), draw(&format!("value {index}")));
                    let given = json!({ "plan": without_end(plan) });
                    let messages = self.with.prompts.messages("value", self.context, given)?;
                    let read = |said: &Said<'_>| grade(&said.text("Grade")?);
                    let grade = asker.ask_for(&[One("Grade")], Purpose::Judge, messages, read).await?;
                    Ok((grade.ok(), asker.unread))
                });
                let judged: Result<Vec<_>> = join_all(judged).await.into_iter().collect();
                let mut values = Vec::new();
                for (value, unread) in judged? {
                    grown.unread.append(unread);
                    values.push(value);
                }
                values
            }
        };
        let values = values.into_iter().map(|value| value.unwrap_or(UNKNOWN));
        grown.steps = different.into_iter().zip(values).collect();
        Ok(grown)
    }

    /// The plan of the highest values.
    fn plan(&self) -> Option<Plan> {
        let (mut node, mut steps) = (ROOT, Vec::new());
        while let Some(child) = best(self.tree.children(node), |child| worth(self.tree.at(child))) {
            steps.push(self.tree.at(child).thought.to_string());
            node = child;
        }
        let step = |text: &String| Step { text: text.clone(), needs: String::new() };
        Plan::new(without_end(&steps).iter().map(step).collect())
    }

    /// The search in the decision's trace.
    fn noted(self, mut decision: Decision) -> Decision {
        let way = |child| {
            let node = self.tree.at(child);
            json!({ "step": &*node.thought, "visits": node.visits, "q": worth(node) })
        };
        let ways: Vec<_> = self.tree.children(ROOT).map(way).collect();
        let search = json!({ "nodes": self.tree.len() - 1, "ways": ways });
        match &mut decision.trace.details {
            Value::Object(details) => _ = details.insert("search".into(), search),
            details => *details = json!({ "search": search }),
        }
        let mut unread = self.unread;
        unread.append(Unread { recoveries: decision.trace.recoveries, faults: decision.trace.faults });
        (decision.trace.recoveries, decision.trace.faults) = (unread.recoveries, unread.faults);
        Decision { summary: self.summary, ..decision }
    }
}

/// Q: the mean of a node's own value and those of its visits.
fn worth(node: &Node) -> f64 {
    (node.total() + node.value) / (1.0 + node.n())
}

/// The steps of a plan, without the word that it is complete.
fn without_end(plan: &[String]) -> &[String] {
    match plan.split_last() {
        Some((last, steps)) if last == COMPLETE => steps,
        _ => plan,
    }
}

#[async_trait]
impl Planner for Cpl {
    async fn requires(&self) -> Result<Requirements> {
        let critic = self.critic.iter().map(Scorer::requires);
        Ok(critic.fold(self.config.ask.requires(), Requirements::and))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut asker = self.config.ask.asker(llm.clone(), seed::derive(context.seed, "cpl"));
        let mut plan = Plan::of(&context);
        let refused = last_refused(&context, &self.config.refusals);
        let context = brief(&context);
        let mut why = None;
        match &mut plan {
            None => {}
            Some(_) if refused => why = Some(REFUSED),
            Some(plan) => match go_on(&mut asker, &self.prompts, &context, &models, plan).await? {
                Progress::Action(action) => return Ok(plan.decision(action, None, asker.unread)),
                Progress::Begins => {}
                Progress::Ended => why = Some(ENDED),
            },
        }
        if let (Some(plan), None) = (&plan, why) {
            let action = act(&mut asker, &self.prompts, &context, plan).await?;
            return Ok(plan.decision(action, None, asker.unread));
        }
        let (tree, unread, summary) = (Tree::bare(), Unread::default(), None);
        let mut search =
            Search { with: self, context: &context, models: &models, llm, tree, unread, summary };
        search.run(1).await?;
        // One that was not found leaves the plan as it was.
        let decision = match search.plan().or(plan) {
            Some(plan) => {
                let action = act(&mut asker, &self.prompts, &context, &plan).await?;
                plan.decision(action, why, asker.unread)
            }
            None => improvise(&mut asker, &self.prompts, &context).await?,
        };
        Ok(search.noted(decision))
    }
}

register! {
    interface: dyn Planner, kind: "cpl", summary: "a search over the steps of a plan, by their value (CPL)",
    config: CplConfig,
    new: |config, _host| async move { Ok(Arc::new(Cpl::new(config)?) as _) },
}
